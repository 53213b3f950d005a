"""Windows that move over an array: their sizes, their padding, and their parts as slices."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import layerkit as lk
from layerkit import arguments
from layerkit.errors import shown
from layerkit.fastmath import conv_padding
from layerkit.fastmath import numpy as np

__all__ = ["checked_padding", "positive_sizes", "slices"]


def positive_sizes(layer: str, name: str, value: Any, count: int | None = None) -> tuple[int, ...]:
    """``value`` as ``count`` whole numbers from 1 up, where one stands for all.

    >>> positive_sizes("Conv", "strides", 2, 3)
    (2, 2, 2)
    """
    sizes = arguments.sizes(layer, name, value)
    if count is not None and not isinstance(value, (tuple, list)):
        sizes = sizes * count
    if not sizes or min(sizes) < 1 or count not in (None, len(sizes)):
        due = "" if count is None else f"{count} "
        raise lk.LayerError(f"{layer}: {name} must be {due}whole numbers of at least 1, got {shown(value)}")
    return sizes


def checked_padding(layer: str, padding: Any, n_axes: int) -> Any:
    """``padding``, if it is ``"VALID"``, ``"SAME"``, for one axis ``"CAUSAL"``, or a pair of numbers for each axis."""
    words = ("VALID", "SAME", "CAUSAL") if n_axes == 1 else ("VALID", "SAME")
    if isinstance(padding, str):
        return arguments.one_of(layer, "padding", padding, words)
    pairs = padding if isinstance(padding, (tuple, list)) else ()
    if len(pairs) != n_axes:
        raise lk.LayerError(
            f"{layer}: padding must be {', '.join(words)}, or {n_axes} pairs (before, after), got {shown(padding)}"
        )
    found = tuple(arguments.sizes(layer, "padding", pair) for pair in pairs)
    if any(len(pair) != 2 for pair in found):
        raise lk.LayerError(f"{layer}: padding must be pairs (before, after), got {shown(padding)}")
    return found


def slices(x: Any, sizes: Sequence[int], strides: Sequence[int], padding: str, filler: float) -> list[Any]:
    """For each place in a window, x (..., lengths..., c) at that place of every window: (..., windows..., c).

    Raises:
        LayerError: a window is wider than x.
    """
    first, lengths = len(x.shape) - 1 - len(sizes), x.shape[-1 - len(sizes) : -1]
    if first < 0:
        raise lk.LayerError(f"expected at least {len(sizes) + 1} axes, got {tuple(x.shape)}")
    pairs = conv_padding(padding, lengths, sizes, strides)
    if any(map(any, pairs)):
        x = np.pad(x, [(0, 0)] * first + [*pairs] + [(0, 0)], constant_values=filler)
    places = []
    for axis, (size, stride) in enumerate(zip(sizes, strides, strict=True), start=first):
        last = x.shape[axis] - size
        if last < 0:
            raise lk.LayerError(
                f"the window is {size} wide on axis {axis} of {tuple(x.shape)}: pad with 'SAME', or take a smaller one"
            )
        places.append([slice(start, start + last + 1, stride) for start in range(size)])
    return [x[(..., *where, slice(None))] for where in itertools.product(*places)]
