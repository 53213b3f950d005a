"""What constructors check their arguments with: one sentence naming the layer, the argument and what it got."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Collection
from typing import Any

from layerkit.engine.layer_error import LayerError
from layerkit.errors import shown, suggest

__all__ = ["axes", "fraction", "function", "number", "one_of", "sizes", "whole_number"]


def whole_number(layer: str, name: str, value: Any, at_least: int | None = 1) -> int:
    """``value`` as an int, if it is a whole number of at least ``at_least`` (of any size for ``None``).

    >>> whole_number("Dense", "n_units", 3)
    3
    """
    whole = _index(value)
    if whole is None or (at_least is not None and whole < at_least):
        bound = "" if at_least is None else f" of at least {at_least}"
        raise LayerError(f"{layer}: {name} must be a whole number{bound}, got {shown(value)}")
    return whole


def number(
    layer: str, name: str, value: Any, at_least: float = -math.inf, at_most: float = math.inf, above: float = -math.inf
) -> float:
    """``value`` as a float, if it is a finite number within the bounds."""
    bounds = [f"of at least {at_least}"] * (at_least > -math.inf)
    bounds += [f"above {above}"] * (above > -math.inf) + [f"of at most {at_most}"] * (at_most < math.inf)
    real = _real(value)
    if real is None or not (at_least <= real <= at_most and real > above and math.isfinite(real)):
        wanted = " and ".join(bounds)
        raise LayerError(f"{layer}: {name} must be a number{' ' + wanted if wanted else ''}, got {shown(value)}")
    return real


def fraction(layer: str, name: str, value: Any) -> float:
    """``value`` as a float, if it lies in [0, 1)."""
    real = _real(value)
    if real is None or not 0 <= real < 1:
        raise LayerError(f"{layer}: {name} must be a number of at least 0 and below 1, got {shown(value)}")
    return real


def axes(layer: str, name: str, value: Any) -> int | tuple[int, ...]:
    """``value``, if it is an axis (a whole number, negative from the end) or several different ones."""
    single = _index(value)
    if single is not None:
        return single
    several = [_index(item) for item in value] if isinstance(value, (tuple, list)) else []
    if not several or None in several or len(set(several)) < len(several):
        raise LayerError(f"{layer}: {name} must be a whole number or a tuple of different ones, got {shown(value)}")
    return tuple(item for item in several if item is not None)


def sizes(layer: str, name: str, value: Any) -> tuple[int, ...]:
    """``value`` as a shape: a tuple of whole numbers of at least 0; a single one is accepted."""
    parts = [_index(item) for item in (value if isinstance(value, (tuple, list)) else (value,))]
    if any(part is None or part < 0 for part in parts):
        raise LayerError(f"{layer}: {name} must be a tuple of whole numbers of at least 0, got {shown(value)}")
    return tuple(part for part in parts if part is not None)


def function(layer: str, name: str, value: Any, takes: str) -> Callable[..., Any]:
    """``value``, if it can be called; ``takes`` says with what."""
    if not callable(value):
        raise LayerError(f"{layer}: {name} must be a function of {takes}, got {shown(value)}")
    checked: Callable[..., Any] = value
    return checked


def one_of(layer: str, name: str, value: Any, known: Collection[str]) -> str:
    """``value``, if it is one of the words ``known``."""
    if value not in known:
        raise LayerError(f"{layer}: unknown {name} {shown(value)}: {suggest(str(value), known)}")
    return str(value)


def _index(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def _real(value: Any) -> float | None:
    if isinstance(value, (bool, str, bytes)):
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None
