"""Pooling: the largest, the sum or the mean of each window."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import layerkit as lk
from layerkit import arguments, fastmath
from layerkit.fastmath import numpy as np
from layerkit_plugins.layers.inputs import as_float, in_dtype_of
from layerkit_plugins.layers.windows import positive_sizes, slices

__all__ = ["AvgPool", "MaxPool", "SumPool"]

Sizes = int | Sequence[int]


def _pool(
    name: str, pool_size: Sizes, strides: Sizes | None, padding: str, filler: float, reduce: Callable[..., Any]
) -> lk.Layer:
    sizes = positive_sizes(name, "pool_size", pool_size)
    steps = positive_sizes(name, "strides", 1 if strides is None else strides, len(sizes))
    arguments.one_of(name, "padding", padding, ("VALID", "SAME"))

    windows = functools.partial(slices, sizes=sizes, strides=steps, padding=padding, filler=filler)

    def pool(x: Any) -> Any:
        x = as_float(x)
        return in_dtype_of(x, reduce(x, windows))

    return lk.Fn(name, pool)


@lk.example(lk.f32(2, 5, 4, 3))
def MaxPool(pool_size: Sizes = (2, 2), strides: Sizes | None = None, padding: str = "VALID") -> lk.Layer:
    """y[i] = the largest x[i s + t] over the places t of a window.    x: (..., l_1, l_2, d)    y: (..., m_1, m_2, d)

    Equal numbers share the gradient. Whole numbers and booleans are taken as float32.

    Args:
        pool_size: the window, as many numbers as there are axes to go along; the last axis is that of the features.
        strides: s, one for all axes or one each; 1 unless given, so that windows overlap.
        padding: ``"VALID"`` takes windows within x; ``"SAME"`` m = ceil(l / s) of them, which may reach beyond.

    Raises:
        LayerError: an argument is out of range, or a window is wider than x.

    >>> MaxPool(2, strides=2)([[1.0], [5.0], [2.0], [3.0]]).tolist()
    [[5.0], [3.0]]
    """
    return _pool("MaxPool", pool_size, strides, padding, -float("inf"), lambda x, windows: _largest(windows(x)))


def _largest(parts: list[Any]) -> Any:
    """The largest of each place; those that equal it share the gradient.

    The gradient of a maximum over stacked parts says the same, and takes many times as long on JAX.
    """
    return fastmath.custom_vjp(_maximum, lambda parts: (_maximum(parts), parts), _shares)(parts)


def _maximum(parts: list[Any]) -> Any:
    return functools.reduce(np.maximum, parts)


def _shares(parts: list[Any], gradient: Any) -> tuple[list[Any]]:
    largest = _maximum(parts)
    equal = [part == largest for part in parts]
    share = gradient / np.maximum(_sum([one.astype(gradient.dtype) for one in equal]), 1)
    return ([np.where(one, share, 0) for one in equal],)


@lk.example(lk.f32(2, 5, 4, 3))
def SumPool(pool_size: Sizes = (2, 2), strides: Sizes | None = None, padding: str = "VALID") -> lk.Layer:
    """y[i] = the sum of x[i s + t] over the places t of a window.    x: (..., l_1, l_2, d)    y: (..., m_1, m_2, d)

    The arguments are those of ``MaxPool``; beyond x there are zeros.

    >>> SumPool(2)([[1.0], [5.0], [2.0]]).tolist()
    [[6.0], [7.0]]
    """
    return _pool("SumPool", pool_size, strides, padding, 0.0, lambda x, windows: _sum(windows(x)))


@lk.example(lk.f32(2, 5, 4, 3))
def AvgPool(pool_size: Sizes = (2, 2), strides: Sizes | None = None, padding: str = "VALID") -> lk.Layer:
    """y[i] = the mean of x[i s + t] over the places t of a window.    x: (..., l_1, l_2, d)    y: (..., m_1, m_2, d)

    The arguments are those of ``MaxPool``; what lies beyond x does not count.

    >>> AvgPool(2, padding="SAME")([[1.0], [5.0], [2.0]]).tolist()
    [[3.0], [3.5], [2.0]]
    """

    def mean(x: Any, windows: Callable[..., list[Any]]) -> Any:
        inside = np.ones((*x.shape[-1 - len(sizes) : -1], 1), x.dtype)
        return _sum(windows(x)) / _sum(windows(inside))

    sizes = positive_sizes("AvgPool", "pool_size", pool_size)
    return _pool("AvgPool", sizes, strides, padding, 0.0, mean)


def _sum(parts: list[Any]) -> Any:
    return functools.reduce(operator.add, parts)
