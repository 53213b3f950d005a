"""What constructors check their arguments with: one sentence naming the layer, the argument and what it got."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Collection
from typing import Any, ParamSpec

from layerkit.engine.layer_error import LayerError
from layerkit.errors import shown, suggest
from layerkit.layer import Layer
from layerkit.numbers import as_whole, real, whole

__all__ = [
    "axes",
    "fraction",
    "function",
    "in_own_name",
    "maker",
    "number",
    "one_of",
    "sizes",
    "whole_number",
    "whole_numbers",
]

P = ParamSpec("P")


def in_own_name(constructor: Callable[P, Layer]) -> Callable[P, Layer]:
    """Decorates a function that makes a layer of others: what these refuse begins with its name.

    >>> from layerkit import Select
    >>> @in_own_name
    ... def Third():
    ...     return Select([2], n_in=1)
    >>> Third()
    Traceback (most recent call last):
        ...
    layerkit.LayerError: Third: Select: the indices [2] must lie in 0 .. 0 (n_in is 1)
    """
    own = f"{constructor.__name__}: "

    @functools.wraps(constructor)
    def make(*args: P.args, **kwargs: P.kwargs) -> Layer:
        try:
            return constructor(*args, **kwargs)
        except LayerError as error:
            if str(error).startswith(own):
                raise
            raise LayerError(f"{own}{error}", error.path, error.layer) from error

    return make


def whole_number(layer: str, name: str, value: Any, at_least: int | None = 1) -> int:
    """``value`` as an int, if it is a whole number of at least ``at_least`` (of any size for ``None``).

    >>> whole_number("Dense", "n_units", 3)
    3
    """
    return whole(f"{layer}: {name}", value, at_least, LayerError)


def whole_numbers(layer: str, name: str, value: Any) -> tuple[int, ...]:
    """``value`` as a tuple of whole numbers, one or more, each of at least 1."""
    if not isinstance(value, (tuple, list)) or not value:
        raise LayerError(f"{layer}: {name} must be a tuple of whole numbers, one at least, got {shown(value)}")
    return tuple(whole_number(layer, name, item) for item in value)


def number(
    layer: str, name: str, value: Any, at_least: float = -math.inf, at_most: float = math.inf, above: float = -math.inf
) -> float:
    """``value`` as a float, if it is a finite number within the bounds."""
    return real(f"{layer}: {name}", value, at_least=at_least, above=above, at_most=at_most, error=LayerError)


def fraction(layer: str, name: str, value: Any) -> float:
    """``value`` as a float, if it lies in [0, 1)."""
    return real(f"{layer}: {name}", value, at_least=0, below=1, error=LayerError)


def axes(layer: str, name: str, value: Any) -> int | tuple[int, ...]:
    """``value``, if it is an axis (a whole number, negative from the end) or several different ones."""
    single = as_whole(value)
    if single is not None:
        return single
    several = [as_whole(item) for item in value] if isinstance(value, (tuple, list)) else []
    if not several or None in several or len(set(several)) < len(several):
        raise LayerError(f"{layer}: {name} must be a whole number or a tuple of different ones, got {shown(value)}")
    return tuple(item for item in several if item is not None)


def sizes(layer: str, name: str, value: Any) -> tuple[int, ...]:
    """``value`` as a shape: a tuple of whole numbers of at least 0; a single one is accepted."""
    parts = [as_whole(item) for item in (value if isinstance(value, (tuple, list)) else (value,))]
    if any(part is None or part < 0 for part in parts):
        raise LayerError(f"{layer}: {name} must be a tuple of whole numbers of at least 0, got {shown(value)}")
    return tuple(part for part in parts if part is not None)


def function(layer: str, name: str, value: Any, takes: str) -> Callable[..., Any]:
    """``value``, if it can be called; ``takes`` says with what."""
    if not callable(value):
        raise LayerError(f"{layer}: {name} must be a function of {takes}, got {shown(value)}")
    checked: Callable[..., Any] = value
    return checked


def maker(
    layer: str, name: str, value: Any, takes: str = "no arguments", such_as: str = "tl.Relu"
) -> Callable[..., Layer]:
    """``value`` as a function that makes layers, if it can be called; ``takes`` says with what.

    >>> maker("Mine", "activation", 3)
    Traceback (most recent call last):
        ...
    layerkit.LayerError: Mine: activation must be a function of no arguments that makes a layer, such as tl.Relu, got 3
    """
    got = f"the layer {value.name}: leave out its ()" if isinstance(value, Layer) else shown(value)
    if isinstance(value, Layer) or not callable(value):
        raise LayerError(
            f"{layer}: {name} must be a function of {takes} that makes a layer, such as {such_as}, got {got}"
        )

    def make(*args: Any, **kwargs: Any) -> Layer:
        made = value(*args, **kwargs)
        if not isinstance(made, Layer):
            raise LayerError(f"{layer}: {name} must make a layer, got {shown(made)}")
        return made

    return make


def one_of(layer: str, name: str, value: Any, known: Collection[str]) -> str:
    """``value``, if it is one of the words ``known``."""
    if value not in known:
        raise LayerError(f"{layer}: unknown {name} {shown(value)}: {suggest(str(value), known)}")
    return str(value)
