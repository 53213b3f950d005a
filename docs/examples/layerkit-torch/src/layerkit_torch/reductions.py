"""NumPy's functions that bring an axis down to one number, or go along it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from layerkit_torch.array import Array, as_array, operands, wrapped
from layerkit_torch.dtypes import default_float, narrow_dtype
from layerkit_torch.elementwise import FUNCTIONS as ELEMENTWISE

__all__ = ["FUNCTIONS", "axes_of", "logsumexp"]


def axes_of(axis: Any, ndim: int) -> tuple[int, ...]:
    """The axes meant by NumPy's ``axis`` argument, each from 0 up; ``None`` means all."""
    if axis is None:
        return tuple(range(ndim))
    axes = tuple(axis) if isinstance(axis, (tuple, list)) else (axis,)
    for i in axes:
        if not -ndim <= i < ndim:
            raise ValueError(f"axis {i} is out of bounds for an array of dimension {ndim}")
    return tuple(i % ndim for i in axes)


def _summing(dtype: Any) -> Any:
    """The dtype of a sum: whole numbers of up to 32 bits are summed in 32."""
    if dtype.kind in "bi":
        return narrow_dtype("int32")
    return narrow_dtype("uint32") if dtype.kind == "u" else dtype


def _counted(a: Any, where: Any, neutral: Any) -> Array:
    return as_array(a) if where is None else ELEMENTWISE["where"](where, a, neutral)


def sum(
    a: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, initial: Any = None, where: Any = None
) -> Array:
    a = _counted(a, where, 0)
    dtype, (tensor,) = operands(a, dtype=_summing(a.dtype) if dtype is None else dtype)
    axes = axes_of(axis, tensor.ndim)
    total = wrapped(torch.sum(tensor, axes, keepdim=keepdims) if axes else tensor, dtype)
    return total if initial is None else ELEMENTWISE["add"](total, initial)


def prod(
    a: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, initial: Any = None, where: Any = None
) -> Array:
    a = _counted(a, where, 1)
    dtype, (tensor,) = operands(a, dtype=_summing(a.dtype) if dtype is None else dtype)
    for i in sorted(axes_of(axis, tensor.ndim), reverse=True):
        tensor = torch.prod(tensor, i, keepdim=keepdims)
    product = wrapped(tensor, dtype)
    return product if initial is None else ELEMENTWISE["multiply"](product, initial)


def _extreme(name: str, f: Callable[..., torch.Tensor], pick: str, worst: float) -> Callable[..., Array]:
    def call(a: Any, axis: Any = None, keepdims: bool = False, initial: Any = None, where: Any = None) -> Array:
        a = _counted(a, where, worst)
        dtype, (tensor,) = operands(a)
        axes = axes_of(axis, tensor.ndim)
        if initial is not None:
            # As one more number along the axes, so that an empty one has a result.
            tensor = torch.cat(
                [torch.full(_one_more(tensor.shape, axes), initial, dtype=tensor.dtype), _flat(tensor, axes)], -1
            )
            best = f(tensor, -1)
            best = best.reshape(_kept(a.shape, axes)) if keepdims else best
            return wrapped(best, dtype)
        if not math.prod(tensor.shape[i] for i in axes):
            raise ValueError(f"np.{name}: an axis of size zero has no {name}imum; give initial=")
        return wrapped(f(tensor, axes, keepdim=keepdims) if axes else tensor, dtype)

    call.__name__ = name
    return call


def _rest(ndim: int, axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(i for i in range(ndim) if i not in axes)


def _flat(tensor: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
    """The axes as one, the last."""
    rest = _rest(tensor.ndim, axes)
    sizes = [tensor.shape[i] for i in rest]
    return tensor.permute(rest + axes).reshape(*sizes, math.prod(tensor.shape[i] for i in axes))


def _one_more(shape: Any, axes: tuple[int, ...]) -> tuple[int, ...]:
    return (*(shape[i] for i in _rest(len(shape), axes)), 1)


def _kept(shape: Any, axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if i in axes else size for i, size in enumerate(shape))


max = _extreme("max", torch.amax, "maximum", -math.inf)
min = _extreme("min", torch.amin, "minimum", math.inf)


def _as_floats(a: Any, dtype: Any) -> Array:
    a = as_array(a)
    return as_array(a, (a.dtype if a.dtype.kind in "fcV" else default_float()) if dtype is None else dtype)


def _how_many(a: Array, axis: Any, keepdims: bool, where: Any) -> Any:
    if where is None:
        return math.prod(a.shape[i] for i in axes_of(axis, a.ndim))
    chosen = as_array(where).tensor.to(torch.bool).expand(a.shape)
    return sum(Array(chosen), axis, a.dtype, keepdims)


def mean(a: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False, where: Any = None) -> Array:
    a = _as_floats(a, dtype)
    count = _how_many(a, axis, keepdims, where)
    total = sum(a, axis, None, keepdims, where=where)
    return ELEMENTWISE["divide"](total, float(count) if where is None else count)


def var(
    a: Any, axis: Any = None, dtype: Any = None, ddof: float = 0, keepdims: bool = False, where: Any = None
) -> Array:
    a = _as_floats(a, dtype)
    off = ELEMENTWISE["square"](a - mean(a, axis, keepdims=True, where=where))
    count = ELEMENTWISE["maximum"](as_array(_how_many(a, axis, keepdims, where), a.dtype) - ddof, 0)
    return ELEMENTWISE["divide"](sum(off, axis, None, keepdims, where=where), count)


def std(
    a: Any, axis: Any = None, dtype: Any = None, ddof: float = 0, keepdims: bool = False, where: Any = None
) -> Array:
    return ELEMENTWISE["sqrt"](var(a, axis, dtype, ddof, keepdims, where))


def average(a: Any, axis: Any = None, weights: Any = None, returned: bool = False, *, keepdims: bool = False) -> Any:
    a = _as_floats(a, None)
    if weights is None:
        result = mean(a, axis, keepdims=keepdims)
        total: Any = Array(torch.full(result.shape, float(_how_many(a, axis, False, None)), dtype=a.tensor.dtype))
    else:
        weights = as_array(weights).tensor
        if tuple(weights.shape) != a.shape:
            axes = axes_of(axis, a.ndim)
            weights = weights.reshape([size if i in axes else 1 for i, size in enumerate(a.shape)])
        weights = Array(weights.expand(a.shape))
        total = sum(_as_floats(weights, a.dtype), axis, keepdims=keepdims)
        result = sum(a * weights, axis, keepdims=keepdims) / total
    return (result, total) if returned else result


def median(a: Any, axis: Any = None, keepdims: bool = False) -> Array:
    a = _as_floats(a, None)
    axes = axes_of(axis, a.ndim)
    ordered = torch.sort(_flat(a.tensor, axes), -1)[0]
    count = ordered.shape[-1]
    if not count:
        return mean(a, axis, keepdims=keepdims)
    middle = (ordered[..., (count - 1) // 2] + ordered[..., count // 2]) * 0.5
    return Array(middle.reshape(_kept(a.shape, axes)) if keepdims else middle)


def _all_or_any(f: Callable[..., torch.Tensor]) -> Callable[..., Array]:
    def call(a: Any, axis: Any = None, keepdims: bool = False) -> Array:
        tensor = as_array(a).tensor.to(torch.bool)
        axes = axes_of(axis, tensor.ndim)
        return Array(f(tensor, axes, keepdim=keepdims) if axes else tensor)

    return call


def count_nonzero(a: Any, axis: Any = None, keepdims: bool = False) -> Array:
    return sum(Array(as_array(a).tensor.to(torch.bool)), axis, keepdims=keepdims)


def _place(f: Callable[..., torch.Tensor]) -> Callable[..., Array]:
    def call(a: Any, axis: Any = None, keepdims: bool = False) -> Array:
        _, (tensor,) = operands(a)
        tensor = tensor.to(torch.uint8) if tensor.dtype == torch.bool else tensor
        if axis is None:
            found = f(tensor.reshape(-1), 0)
            found = found.reshape((1,) * tensor.ndim) if keepdims else found
        else:
            found = f(tensor, axes_of(axis, tensor.ndim)[0], keepdim=keepdims)
        return Array(found.to(torch.int32))

    return call


def _running(f: Callable[..., torch.Tensor]) -> Callable[..., Array]:
    def call(a: Any, axis: Any = None, dtype: Any = None) -> Array:
        a = as_array(a)
        dtype, (tensor,) = operands(a, dtype=_summing(a.dtype) if dtype is None else dtype)
        return wrapped(f(tensor.reshape(-1), 0) if axis is None else f(tensor, axis), dtype)

    return call


def diff(a: Any, n: int = 1, axis: int = -1, prepend: Any = None, append: Any = None) -> Array:
    a = as_array(a)
    one = _kept(a.shape, axes_of(axis, a.ndim))
    ends = [None if end is None else as_array(end) for end in (prepend, append)]
    ends = [end if end is None or end.ndim else Array(end.tensor.expand(one)) for end in ends]
    dtype, tensors = operands(a, *(end for end in ends if end is not None))
    rest = iter(tensors[1:])
    before, after = (None if end is None else next(rest) for end in ends)
    return wrapped(torch.diff(tensors[0], n, axis, before, after), dtype)


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Array:
    """log(sum(exp(x))), the largest number taken out first, in the gradient too."""
    x = _as_floats(x, None)
    axes = axes_of(axis, x.ndim)
    if not axes:
        return x
    if not math.prod(x.shape[i] for i in axes):
        return ELEMENTWISE["log"](sum(x, axis, keepdims=keepdims))
    largest = torch.amax(x.tensor.detach(), axes, keepdim=True)
    largest = torch.where(torch.isfinite(largest), largest, 0)
    result = torch.log(torch.sum(torch.exp(x.tensor - largest), axes, keepdim=True)) + largest
    return Array(result if keepdims else result.squeeze(axes))


FUNCTIONS = {f.__name__: f for f in (sum, prod, max, min, mean, var, std, average, median, count_nonzero, diff)} | {
    "amax": max,
    "amin": min,
    "all": _all_or_any(torch.all),
    "any": _all_or_any(torch.any),
    "argmax": _place(torch.argmax),
    "argmin": _place(torch.argmin),
    "cumsum": _running(torch.cumsum),
    "cumprod": _running(torch.cumprod),
}
"""By NumPy's name."""
