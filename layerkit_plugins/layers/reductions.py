"""Weightless layers that reduce axes: flatten, average, add up, pick the largest."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import layerkit as lk
from layerkit import arguments
from layerkit.fastmath import numpy as np
from layerkit_plugins.layers.inputs import as_float, axes_of, require_some

__all__ = ["ArgMax", "Flatten", "Max", "Mean", "Min", "Sum"]

Axis = int | tuple[int, ...] | None


def _reduction(name: str, axis: Axis, reduce: Callable[[Any], Any], of_nothing: str = "") -> lk.Layer:
    """A layer that reduces ``axis``; where nothing lies along it, an error unless the result has a meaning."""
    checked = None if axis is None else arguments.axes(name, "axis", axis)

    def run(x: Any) -> Any:
        axes_of(x, checked)
        if of_nothing:
            require_some(x, checked, of_nothing)
        return reduce(x)

    return lk.Fn(name, run)


@lk.example(lk.f32(4, 8))
def Mean(axis: Axis = -1, keepdims: bool = False) -> lk.Layer:
    """y = the mean of x along an axis.    x: (..., n, ...)    y: (..., ...)

    Whole numbers are averaged as float32. The mean of nothing (n = 0) is an error.

    Args:
        axis: the axis, several of them, or None for all.
        keepdims: keeps the axis, with size 1.

    >>> Mean(axis=1)([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).tolist()
    [2.0, 5.0]
    """
    return _reduction("Mean", axis, lambda x: np.mean(as_float(x), axis=axis, keepdims=keepdims), "the mean")


@lk.example(lk.f32(4, 8), rows_independent=False)
def Sum(axis: Axis = None, keepdims: bool = False) -> lk.Layer:
    """y = the sum of x along an axis.    x: (..., n, ...)    y: (..., ...)

    Args:
        axis: the axis, several of them, or None for all.
        keepdims: keeps the axis, with size 1.

    >>> float(Sum()([[1.0, 2.0], [3.0, 4.0]]))
    10.0
    """
    return _reduction("Sum", axis, lambda x: np.sum(x, axis=axis, keepdims=keepdims))


@lk.example(lk.f32(4, 8))
def Min(axis: Axis = -1, keepdims: bool = False) -> lk.Layer:
    """y = the smallest number of x along an axis.    x: (..., n, ...)    y: (..., ...)

    The minimum of nothing (n = 0) is an error.

    Args:
        axis: the axis, several of them, or None for all.
        keepdims: keeps the axis, with size 1.

    >>> Min()([[1.0, 2.0], [4.0, 3.0]]).tolist()
    [1.0, 3.0]
    """
    return _reduction("Min", axis, lambda x: np.min(x, axis=axis, keepdims=keepdims), "the minimum")


@lk.example(lk.f32(4, 8))
def Max(axis: Axis = -1, keepdims: bool = False) -> lk.Layer:
    """y = the largest number of x along an axis.    x: (..., n, ...)    y: (..., ...)

    The maximum of nothing (n = 0) is an error.

    Args:
        axis: the axis, several of them, or None for all.
        keepdims: keeps the axis, with size 1.

    >>> Max()([[1.0, 2.0], [4.0, 3.0]]).tolist()
    [2.0, 4.0]
    """
    return _reduction("Max", axis, lambda x: np.max(x, axis=axis, keepdims=keepdims), "the maximum")


@lk.example(lk.f32(4, 8))
def ArgMax(axis: int = -1) -> lk.Layer:
    """y = the position of the largest number of x along an axis.    x: (..., n, ...)    y: (..., ...), int32

    The first of several equal ones; of nothing (n = 0) an error.

    Args:
        axis: the axis.

    >>> ArgMax()([[1.0, 2.0], [4.0, 3.0]]).tolist()
    [1, 0]
    """
    one = arguments.whole_number("ArgMax", "axis", axis, at_least=None)
    return _reduction("ArgMax", one, lambda x: np.argmax(x, axis=one), "the argmax")


@lk.example(lk.f32(4, 3, 2))
def Flatten(n_axes_to_keep: int = 1) -> lk.Layer:
    """y = x with all axes after the first n made one.    x: (a1, ..., an, b, c, ...)    y: (a1, ..., an, b c ...)

    Args:
        n_axes_to_keep: n, fewer than x has axes.

    >>> Flatten()(np.zeros((2, 3, 4))).shape
    (2, 12)
    """
    n = arguments.whole_number("Flatten", "n_axes_to_keep", n_axes_to_keep, at_least=0)

    def flatten(x: Any) -> Any:
        if len(x.shape) <= n:
            axes = "1 axis" if n == 1 else f"{n} axes"
            raise lk.LayerError(f"expected more than {axes}, got {tuple(x.shape)}")
        # Not -1: it would be undecided for an empty batch.
        return np.reshape(x, (*x.shape[:n], math.prod(x.shape[n:])))

    return lk.Fn("Flatten" if n == 1 else f"Flatten_keep{n}", flatten)
