"""Gradients of the functions that reduce, accumulate or order along an axis."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as onp

from layerkit_plugins.backends.numpy import special
from layerkit_plugins.backends.numpy.boxes import defvjp, primitive
from layerkit_plugins.backends.numpy.elementwise import astype
from layerkit_plugins.backends.numpy.namespace import differentiable, known, np

__all__ = ["axes_of", "spread"]


def axes_of(axis: Any, ndim: int) -> tuple[int, ...]:
    """The axes meant by NumPy's ``axis`` argument, each from 0 up; ``None`` means all."""
    if axis is None:
        return tuple(range(ndim))
    return tuple(int(i) % ndim for i in (axis if isinstance(axis, (tuple, list)) else (axis,)))


def spread(g: Any, shape: tuple[int, ...], axis: Any, keepdims: bool) -> Any:
    """The result of a reduction of ``shape``, with the reduced axes put back and stretched to their size."""
    return np.broadcast_to(_put_back(g, shape, axis, keepdims), shape)


def _put_back(g: Any, shape: tuple[int, ...], axis: Any, keepdims: bool) -> Any:
    if keepdims or not shape:
        return g
    axes = axes_of(axis, len(shape))
    return np.reshape(g, tuple(1 if i in axes else size for i, size in enumerate(shape)))


def _count(shape: tuple[int, ...], axis: Any) -> int:
    return math.prod(shape[i] for i in axes_of(axis, len(shape)))


def _reduction(name: str) -> Callable[..., Any]:
    """A primitive that takes (x, axis, keepdims), or (x, axis, keepdims, ddof)."""
    plain = getattr(np, name)
    if name in ("var", "std"):
        return primitive(lambda x, axis, keepdims, ddof: plain(x, axis, ddof=ddof, keepdims=keepdims), name)
    return primitive(lambda x, axis, keepdims: plain(x, axis, keepdims=keepdims), name)


_sum, _prod, _mean, _var, _std, _max, _min = map(_reduction, "sum prod mean var std max min".split())

defvjp(_sum, lambda ans, x, axis, keepdims: lambda g: spread(g, x.shape, axis, keepdims))
defvjp(_mean, lambda ans, x, axis, keepdims: lambda g: spread(g / _count(x.shape, axis), x.shape, axis, keepdims))


def _off_mean(x: Any, axis: Any) -> Any:
    return x - np.mean(x, axis, keepdims=True)


def _var_gradient(ans: Any, x: Any, axis: Any, keepdims: bool, ddof: float) -> Callable[[Any], Any]:
    def vjp(g: Any) -> Any:
        weight = _put_back(g, x.shape, axis, keepdims) * 2 / (_count(x.shape, axis) - ddof)
        return weight * _off_mean(x, axis)

    return vjp


def _std_gradient(ans: Any, x: Any, axis: Any, keepdims: bool, ddof: float) -> Callable[[Any], Any]:
    def vjp(g: Any) -> Any:
        weight = _put_back(g / ans, x.shape, axis, keepdims) / (_count(x.shape, axis) - ddof)
        return weight * _off_mean(x, axis)

    return vjp


def _extreme_gradient(ans: Any, x: Any, axis: Any, keepdims: bool) -> Callable[[Any], Any]:
    """Places that tie for the maximum (or minimum) share its gradient."""

    def vjp(g: Any) -> Any:
        chosen = np.equal(x, _put_back(ans, x.shape, axis, keepdims))
        ties = np.sum(chosen, axis, keepdims=True)
        return _put_back(g, x.shape, axis, keepdims) * chosen / astype(ties, g.dtype)

    return vjp


def _prod_gradient(ans: Any, x: Any, axis: Any, keepdims: bool) -> Callable[[Any], Any]:
    return lambda g: _put_back(g, x.shape, axis, keepdims) * _product_of_others(x, axis)


def _product_of_others(x: Any, axis: Any) -> Any:
    """For each place, the product of the other places along the axes: no division, so zeros do no harm."""
    axes = axes_of(axis, x.ndim)
    rest = tuple(i for i in range(x.ndim) if i not in axes)
    order = rest + axes
    rest_shape = tuple(x.shape[i] for i in rest)
    flat = np.reshape(np.transpose(x, order), (*rest_shape, _count(x.shape, axis)))
    if not flat.size:
        return x
    one = np.ones((*rest_shape, 1), x.dtype)
    before = np.cumprod(np.concatenate([one, flat[..., :-1]], -1), -1)
    after = np.flip(np.cumprod(np.concatenate([one, np.flip(flat[..., 1:], -1)], -1), -1), -1)
    others = np.reshape(before * after, tuple(x.shape[i] for i in order))
    return np.transpose(others, tuple(onp.argsort(order)))


_logsumexp = primitive(special.logsumexp, "logsumexp")


def _logsumexp_gradient(ans: Any, x: Any, axis: Any, keepdims: bool) -> Callable[[Any], Any]:
    def vjp(g: Any) -> Any:
        # exp(x - answer) would be as wrong as the answer's last digit is coarse: 3e-5 where it is 1000.
        largest = np.max(known(x), axis, keepdims=True, initial=-onp.inf)
        parts = np.exp(x - np.where(np.isfinite(largest), largest, 0))
        return _put_back(g, x.shape, axis, keepdims) * parts / np.sum(parts, axis, keepdims=True)

    return vjp


defvjp(_logsumexp, _logsumexp_gradient)
defvjp(_var, _var_gradient)
defvjp(_std, _std_gradient)
defvjp(_max, _extreme_gradient)
defvjp(_min, _extreme_gradient)
defvjp(_prod, _prod_gradient)


def sum(
    a: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, initial: Any = None, where: Any = None
) -> Any:
    total = _sum(_counted(_in_dtype(a, dtype), where, 0), axis, keepdims)
    return total if initial is None else total + initial


def prod(
    a: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, initial: Any = None, where: Any = None
) -> Any:
    product = _prod(_counted(_in_dtype(a, dtype), where, 1), axis, keepdims)
    return product if initial is None else product * initial


def max(a: Any, axis: Any = None, keepdims: bool = False, initial: Any = None, where: Any = None) -> Any:
    largest = _max(_counted(a, where, -onp.inf), axis, keepdims)
    return largest if initial is None else np.maximum(largest, initial)


def min(a: Any, axis: Any = None, keepdims: bool = False, initial: Any = None, where: Any = None) -> Any:
    smallest = _min(_counted(a, where, onp.inf), axis, keepdims)
    return smallest if initial is None else np.minimum(smallest, initial)


def mean(a: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, where: Any = None) -> Any:
    a = _in_dtype(a, dtype)
    if where is None:
        return _mean(a, axis, keepdims)
    return _sum(_counted(a, where, 0), axis, keepdims) / _how_many(a, axis, keepdims, where)


def var(a: Any, axis: Any = None, dtype: Any = None, ddof: float = 0, keepdims: bool = False, where: Any = None) -> Any:
    a = _in_dtype(a, dtype)
    if where is None:
        return _var(a, axis, keepdims, ddof)
    off = np.square(a - mean(a, axis, keepdims=True, where=where))
    return _sum(_counted(off, where, 0), axis, keepdims) / (_how_many(a, axis, keepdims, where) - ddof)


def std(a: Any, axis: Any = None, dtype: Any = None, ddof: float = 0, keepdims: bool = False, where: Any = None) -> Any:
    if where is None:
        return _std(_in_dtype(a, dtype), axis, keepdims, ddof)
    return np.sqrt(var(a, axis, dtype, ddof, keepdims, where))


def _in_dtype(a: Any, dtype: Any) -> Any:
    return (np.array(a) if isinstance(a, (list, tuple)) else a) if dtype is None else astype(np.asarray(a), dtype)


def _counted(a: Any, where: Any, neutral: float) -> Any:
    return a if where is None else np.where(where, a, neutral)


def _how_many(a: Any, axis: Any, keepdims: bool, where: Any) -> Any:
    return np.sum(onp.broadcast_to(known(where), a.shape), axis, keepdims=keepdims).astype(a.dtype)


def average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: bool = False) -> Any:
    a = np.asarray(a)
    if weights is None:
        result = mean(a, axis, keepdims=keepdims)
        total: Any = np.full(result.shape, _count(a.shape, axis), a.dtype)
    else:
        weights = _along(np.asarray(weights), a.shape, axis)
        total = np.sum(weights * np.ones(a.shape, a.dtype), axis, keepdims=keepdims)
        result = np.sum(a * weights, axis, keepdims=keepdims) / total
    return (result, total) if returned else result


def _along(weights: Any, shape: tuple[int, ...], axis: Any) -> Any:
    """Weights of one axis, shaped so that they multiply along it."""
    if weights.shape == shape:
        return weights
    axes = axes_of(axis, len(shape))
    return np.reshape(weights, tuple(size if i in axes else 1 for i, size in enumerate(shape)))


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    return _logsumexp(x, axis, keepdims)


_cumsum = primitive(lambda x, axis: np.cumsum(x, axis), "cumsum")
defvjp(_cumsum, lambda ans, x, axis: lambda g: np.flip(np.cumsum(np.flip(g, axis), axis), axis))


def cumsum(a: Any, axis: Any = None, dtype: Any = None) -> Any:
    a = _in_dtype(a, dtype)
    return _cumsum(np.ravel(a), 0) if axis is None else _cumsum(a, axis)


def cumprod(a: Any, axis: Any = None, dtype: Any = None) -> Any:
    """Step by step, so that zeros do no harm to the gradient."""
    a = _in_dtype(a, dtype)
    a, axis = (np.ravel(a), 0) if axis is None else (a, axis)
    if a.shape[axis] == 0:
        return a
    steps = np.moveaxis(a, axis, 0)
    products = [steps[0]]
    for i in range(1, steps.shape[0]):
        products.append(products[-1] * steps[i])
    return np.stack(products, axis)


def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Any:
    a = np.asarray(a)
    ends = [part if part is None else np.asarray(part) for part in (prepend, append)]
    one = tuple(1 if i == axis % a.ndim else size for i, size in enumerate(a.shape))
    ends = [np.broadcast_to(part, one) if part is not None and part.ndim == 0 else part for part in ends]
    if prepend is not None or append is not None:
        a = np.concatenate([part for part in (ends[0], a, ends[1]) if part is not None], axis)
    a = np.moveaxis(a, axis, -1)
    for _ in range(n):
        a = a[..., 1:] - a[..., :-1]
    return np.moveaxis(a, -1, axis)


def median(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
    a = np.asarray(a)
    axes = axes_of(axis, a.ndim)
    rest = tuple(i for i in range(a.ndim) if i not in axes)
    count = _count(a.shape, axis)
    ordered = np.sort(np.reshape(np.transpose(a, rest + axes), (*(a.shape[i] for i in rest), count)), -1)
    middle = (ordered[..., (count - 1) // 2] + ordered[..., count // 2]) * 0.5
    return _put_back(middle, a.shape, axis, False) if keepdims else middle


def sort(a: Any, axis: Any = -1, kind: Any = None, order: Any = None) -> Any:
    a = np.asarray(a)
    a, axis = (np.ravel(a), 0) if axis is None else (a, axis)
    return np.take_along_axis(a, onp.argsort(known(a), axis, kind or "stable"), axis)


differentiable.update(
    sum=sum, prod=prod, max=max, min=min, amax=max, amin=min, mean=mean, var=var, std=std, average=average,
    cumsum=cumsum, cumprod=cumprod, diff=diff, median=median, sort=sort,
    logsumexp=logsumexp,
)  # fmt: skip
