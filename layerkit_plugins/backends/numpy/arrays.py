"""Plain NumPy where its own functions would widen, warn or differ: creation, reductions, order. No gradients here."""

from __future__ import annotations

import math
from typing import Any

import numpy as onp

from layerkit_plugins.backends.numpy.einsum import einsum
from layerkit_plugins.backends.numpy.precision import default_float, given, narrow, narrow_dtype
from layerkit_plugins.backends.numpy.stand_ins import as_array, one_step

__all__ = ["PLAIN"]


def zeros(shape: Any, dtype: Any = None) -> Any:
    return onp.zeros(shape, default_float() if dtype is None else narrow_dtype(dtype))


def ones(shape: Any, dtype: Any = None) -> Any:
    return onp.ones(shape, default_float() if dtype is None else narrow_dtype(dtype))


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Any:
    dtype = onp.asarray(fill_value).dtype if dtype is None else dtype
    return onp.full(shape, fill_value, narrow_dtype(dtype))


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Any:
    return onp.eye(N, M, k, default_float() if dtype is None else narrow_dtype(dtype))


def identity(n: int, dtype: Any = None) -> Any:
    return eye(n, dtype=dtype)


def zeros_like(a: Any, dtype: Any = None, shape: Any = None) -> Any:
    a = _like(a)
    # Not numpy.zeros_like, which writes the zeros: memory that nobody touched is zero, and costs nothing yet.
    return onp.zeros(a.shape if shape is None else shape, narrow_dtype(a.dtype if dtype is None else dtype))


def ones_like(a: Any, dtype: Any = None, shape: Any = None) -> Any:
    a = _like(a)
    return onp.ones_like(a, dtype=narrow_dtype(a.dtype if dtype is None else dtype), shape=shape, subok=False)


def full_like(a: Any, fill_value: Any, dtype: Any = None, shape: Any = None) -> Any:
    a = _like(a)
    return onp.full_like(a, fill_value, dtype=narrow_dtype(a.dtype if dtype is None else dtype), shape=shape)


def _like(a: Any) -> Any:
    return a if isinstance(a, onp.ndarray) else as_array(a)


@one_step(0)
def array(a: Any, dtype: Any = None, copy: bool = True, order: Any = "K", ndmin: int = 0) -> Any:
    if dtype is not None:
        return onp.array(a, narrow_dtype(dtype), copy=copy or None, order=order, ndmin=ndmin)
    return given(onp.array(a, copy=copy or None, order=order, ndmin=ndmin))


@one_step(0)
def asarray(a: Any, dtype: Any = None, order: Any = None, copy: Any = None) -> Any:
    if dtype is not None:
        return onp.array(a, narrow_dtype(dtype), copy=copy, order=order or "K")
    return given(onp.array(a, copy=copy, order=order or "K"))


def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Any:
    bounds = (0, start) if stop is None else (start, stop)
    values = onp.arange(*bounds, 1 if step is None else step)
    return values.astype(narrow_dtype(values.dtype if dtype is None else dtype), copy=False)


def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    dtype = default_float() if dtype is None else narrow_dtype(dtype)
    values, step = onp.linspace(start, stop, num, endpoint, True, axis=axis)
    values = values.astype(dtype)
    return (values, narrow(onp.asarray(step))) if retstep else values


def sum(
    a: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, initial: Any = None, where: Any = True
) -> Any:
    return onp.add.reduce(a, axis, dtype, None, keepdims, 0 if initial is None else initial, where)


def prod(
    a: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, initial: Any = None, where: Any = True
) -> Any:
    return onp.multiply.reduce(a, axis, dtype, None, keepdims, 1 if initial is None else initial, where)


def max(a: Any, axis: Any = None, keepdims: bool = False, initial: Any = None, where: Any = True) -> Any:
    return onp.maximum.reduce(a, axis, None, None, keepdims, initial, where)


def min(a: Any, axis: Any = None, keepdims: bool = False, initial: Any = None, where: Any = True) -> Any:
    return onp.minimum.reduce(a, axis, None, None, keepdims, initial, where)


def mean(a: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, where: Any = None) -> Any:
    """As ``numpy.mean``, but NaN without a warning where there is nothing to average."""
    a = as_array(a)
    sums_in, result = _accumulator(a.dtype if dtype is None else onp.dtype(dtype))
    if where is None:
        total, count = onp.add.reduce(a, axis, sums_in, None, keepdims), _count(a.shape, axis)
    else:
        total = onp.add.reduce(a, axis, sums_in, None, keepdims, 0, where)
        count = onp.add.reduce(onp.broadcast_to(where, a.shape), axis, onp.int32, None, keepdims)
    return onp.true_divide(total, count).astype(result, copy=False)


def var(a: Any, axis: Any = None, dtype: Any = None, ddof: float = 0, keepdims: bool = False, where: Any = None) -> Any:
    """As ``numpy.var``: the mean of the squared distances from the mean, in two passes."""
    a = as_array(a)
    sums_in, result = _accumulator(a.dtype if dtype is None else onp.dtype(dtype))
    a = a.astype(sums_in, copy=False)
    off = onp.square(a - mean(a, axis, keepdims=True, where=where))
    if where is None:
        count = _count(a.shape, axis) - ddof
        total = onp.add.reduce(off, axis, None, None, keepdims)
    else:
        count = onp.add.reduce(onp.broadcast_to(where, a.shape), axis, sums_in, None, keepdims) - ddof
        total = onp.add.reduce(off, axis, None, None, keepdims, 0, where)
    return onp.true_divide(total, onp.maximum(count, 0)).astype(result, copy=False)


def std(a: Any, axis: Any = None, dtype: Any = None, ddof: float = 0, keepdims: bool = False, where: Any = None) -> Any:
    return onp.sqrt(var(a, axis, dtype, ddof, keepdims, where))


def _accumulator(dtype: Any) -> tuple[Any, Any]:
    """In which dtype to add numbers of ``dtype`` up for an average, and that of the average."""
    if dtype.kind in "biu":
        return onp.dtype(onp.float64), default_float()
    return (onp.dtype(onp.float32) if dtype.itemsize == 2 else dtype), dtype


def _count(shape: tuple[int, ...], axis: Any) -> int:
    if axis is None:
        return math.prod(shape)
    return math.prod(shape[i] for i in (axis if isinstance(axis, tuple) else (axis,)))


def median(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    a = as_array(a)
    if a.size == 0:  # NumPy's own would warn
        return mean(a, axis, keepdims=keepdims)
    return onp.median(a, axis, keepdims=keepdims)


def clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    low, high = a_min if min is None else min, a_max if max is None else max
    a = a if low is None else onp.maximum(a, low)
    return as_array(a) if high is None else onp.minimum(a, high)


def argsort(a: Any, axis: Any = -1, kind: Any = "stable", order: Any = None) -> Any:
    return onp.argsort(a, axis, kind, order)


def count_nonzero(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return onp.add.reduce(onp.not_equal(a, 0), axis, onp.int32, None, keepdims)


def divmod(x1: Any, x2: Any) -> Any:
    return onp.divmod(x1, x2)


def dot(a: Any, b: Any) -> Any:
    """As ``numpy.dot``, which leaves arrays of more than two axes to a loop a hundred times slower than BLAS."""
    a, b = as_array(a), as_array(b)
    if a.ndim < 3 and b.ndim < 3:
        return onp.dot(a, b)
    if a.ndim == 0 or b.ndim == 0:
        return onp.multiply(a, b)
    return onp.tensordot(a, b, (-1, -2 if b.ndim > 1 else 0))


def inner(a: Any, b: Any) -> Any:
    a, b = as_array(a), as_array(b)
    large = (a.ndim > 2 or b.ndim > 2) and a.ndim and b.ndim
    return onp.tensordot(a, b, (-1, -1)) if large else onp.inner(a, b)


PLAIN = {
    f.__name__: f
    for f in (
        zeros, ones, full, eye, identity, zeros_like, ones_like, full_like, array, asarray, arange, linspace,
        sum, prod, max, min, mean, var, std, median, clip, argsort, count_nonzero, divmod, einsum, dot,
        inner,
    )
}  # fmt: skip
"""By name, what the namespace takes in place of NumPy's own function."""

PLAIN.update(empty=zeros, empty_like=zeros_like, amax=max, amin=min)
