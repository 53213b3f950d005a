"""Layers made of a function alone: without weights or state."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from layerkit.errors import shown
from layerkit.layer import Layer, LayerError

__all__ = ["Fn", "PureLayer"]


class PureLayer(Layer):
    """A layer without weights or state: ``forward_fn`` of its inputs.

    Args:
        forward_fn: a function of n_in arrays, given as one argument each, that returns n_out.
        n_in: number of arrays it takes.
        n_out: number of arrays it gives back.
        name: its name.

    >>> from layerkit.fastmath import numpy as np
    >>> PureLayer(lambda x: x + 1, name="Increment")(np.array(1.0)).tolist()
    2.0
    """

    def __init__(self, forward_fn: Callable[..., Any], n_in: int = 1, n_out: int = 1, name: str = "PureLayer") -> None:
        super().__init__(n_in, n_out, name)
        self._forward_fn = forward_fn

    def forward(self, x: Any) -> Any:
        return self._forward_fn(x) if self.n_in == 1 else self._forward_fn(*x)

    @property
    def kind(self) -> str:
        return self.name


def Fn(name: str, f: Callable[..., Any], n_out: int = 1) -> PureLayer:
    """A weightless layer from a function; the number of its arguments is n_in.

    Args:
        name: the layer's name.
        f: a function of positional arguments, one for each input.
        n_out: number of arrays ``f`` returns (a tuple where it is not 1).

    Raises:
        LayerError: ``f`` is no function, or has default, keyword-only or ``*`` arguments, so that n_in cannot be told.

    >>> from layerkit.fastmath import numpy as np
    >>> minus = Fn("Minus", lambda x, y: x - y)
    >>> minus
    Minus_in2
    >>> float(minus((np.array(5.0), np.array(3.0))))
    2.0
    """
    if not callable(f):
        raise LayerError(f"Fn: a name and a function are due, got {shown(name)} and {shown(f)}")
    if isinstance(f, Layer):
        raise LayerError(f"Fn {name!r}: {f.name} is a layer already: take it as it is")
    remedy = f"wrap it: Fn({name!r}, lambda x: f(x, ...))"
    try:
        parameters = inspect.signature(f).parameters.values()
    except ValueError as error:
        raise LayerError(f"Fn {name!r}: nobody can read how many arguments {shown(f)} takes; {remedy}") from error
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            several = f"{'*' if parameter.kind is parameter.VAR_POSITIONAL else '**'}{parameter.name}"
            raise LayerError(f"Fn {name!r}: variable arguments ({several}) leave n_in open; {remedy}")
        if parameter.kind is parameter.KEYWORD_ONLY:
            raise LayerError(f"Fn {name!r}: keyword argument {parameter.name} is no input; {remedy}")
        if parameter.default is not parameter.empty:
            raise LayerError(f"Fn {name!r}: default argument {parameter.name} leaves n_in open; {remedy}")
    return PureLayer(f, len(parameters), n_out, name)
