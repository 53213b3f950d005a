"""Just enough SVG and HTML: elements as text, and axes.

Three plain pictures are all the page has. Written by hand they need no plotting library, stay text that a browser draws
sharply at any size, follow the page's dark or light colours, and keep the base installation small.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable
from dataclasses import dataclass

from layerkit.errors import printable

__all__ = ["Scale", "element", "log_scale", "text"]


def element(name: str, /, *inside: str, **attributes: object) -> str:
    """An element; ``class_`` stands for ``class``, ``font_size`` for ``font-size``. What is inside is not escaped.

    >>> element("line", x1=0, y1=1.23456, class_="axis")
    '<line x1="0" y1="1.23" class="axis"/>'
    >>> element("p", text("a < b"))
    '<p>a &lt; b</p>'
    """
    words = [name]
    for key, value in attributes.items():
        shown = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else text(value)
        words.append(f'{key.rstrip("_").replace("_", "-")}="{shown}"')
    start = " ".join(words)
    return f"<{start}>{''.join(inside)}</{name}>" if inside else f"<{start}/>"


def text(words: object) -> str:
    """Words as they may stand between tags."""
    return html.escape(printable(words))


@dataclass(frozen=True)
class Scale:
    """Where a value is on a picture, and the values that get a mark."""

    place: Callable[[float], float]
    ticks: tuple[float, ...]

    def __call__(self, value: float) -> float:
        return self.place(value)


def log_scale(low: float, high: float, start: float, end: float) -> Scale:
    """A logarithmic scale from ``low`` at ``start`` to ``high`` at ``end``, with room around, marked at powers of ten.

    >>> scale = log_scale(1.0, 100.0, 0.0, 300.0)
    >>> scale.ticks, round(scale(10.0))
    ((1.0, 10.0, 100.0), 150)
    """
    first, last = math.log10(low), math.log10(high)
    room = max(0.05 * (last - first), 0.15)
    first, last = first - room, last + room

    def place(value: float) -> float:
        return start + (end - start) * (math.log10(value) - first) / (last - first)

    every = max(1, math.ceil((last - first) / 6))
    powers = [power for power in range(math.ceil(first), math.floor(last) + 1) if power % every == 0]
    ticks = [10.0**power for power in powers]
    if len(ticks) < 2:  # less than two decades: 1, 2 and 5 as well
        decades = range(math.floor(first), math.ceil(last) + 1)
        ticks = [n * 10.0**d for d in decades for n in (1, 2, 5) if first <= math.log10(n * 10.0**d) <= last]
    return Scale(place, tuple(ticks))
