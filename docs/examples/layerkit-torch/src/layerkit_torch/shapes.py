"""NumPy's functions that move numbers about: into other shapes and orders, together and apart."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as onp
import torch

from layerkit_torch.array import Array, as_array, in_signed, operands, wrapped
from layerkit_torch.reductions import axes_of

__all__ = ["FUNCTIONS"]


def _several(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else (value,)


def reshape(a: Any, shape: Any, order: str = "C") -> Array:
    sizes = tuple(map(operator.index, shape)) if hasattr(shape, "__iter__") else (operator.index(shape),)
    if order == "F":
        turned = in_signed(lambda t: t.permute(*range(t.ndim)[::-1]).reshape(sizes[::-1]), a)
        return in_signed(lambda t: t.permute(*range(t.ndim)[::-1]), turned)
    return in_signed(lambda t: t.reshape(sizes), a)


def ravel(a: Any, order: str = "C") -> Array:
    return reshape(a, -1 if as_array(a).size else 0, order)


def transpose(a: Any, axes: Any = None) -> Array:
    a = as_array(a)
    order = tuple(range(a.ndim))[::-1] if axes is None else axes_of(tuple(axes), a.ndim)
    return Array(a.tensor.permute(order))


def expand_dims(a: Any, axis: Any) -> Array:
    a = as_array(a)
    places = axes_of(axis, a.ndim + len(_several(axis)))
    sizes = iter(a.shape)
    return reshape(a, [1 if i in places else next(sizes) for i in range(a.ndim + len(places))])


def squeeze(a: Any, axis: Any = None) -> Array:
    a = as_array(a)
    if axis is None:
        return reshape(a, [size for size in a.shape if size != 1])
    axes = axes_of(axis, a.ndim)
    if any(a.shape[i] != 1 for i in axes):
        raise ValueError(f"an axis to be squeezed out of shape {a.shape} has size 1, axis {axis} has not")
    return reshape(a, [size for i, size in enumerate(a.shape) if i not in axes])


def broadcast_to(array: Any, shape: Any) -> Array:
    return Array(as_array(array).tensor.expand(_several(shape)))


def broadcast_arrays(*args: Any) -> tuple[Array, ...]:
    arrays = [as_array(a) for a in args]
    shape = onp.broadcast_shapes(*(a.shape for a in arrays))
    return tuple(broadcast_to(a, shape) for a in arrays)


def atleast_1d(a: Any) -> Array:
    a = as_array(a)
    return a if a.ndim else reshape(a, (1,))


def atleast_2d(a: Any) -> Array:
    a = as_array(a)
    return a if a.ndim > 1 else reshape(a, (1, -1) if a.size else (1, 0))


def atleast_3d(a: Any) -> Array:
    a = as_array(a)
    if a.ndim > 2:
        return a
    return expand_dims(a, -1) if a.ndim == 2 else reshape(a, (1, a.size, 1))


def _joined(arrays: Any, join: Callable[[list[torch.Tensor]], torch.Tensor], dtype: Any = None) -> Array:
    dtype, tensors = operands(*arrays, dtype=dtype)
    return wrapped(join(tensors), dtype)


def concatenate(arrays: Any, axis: int | None = 0, dtype: Any = None) -> Array:
    if axis is None:
        return concatenate([ravel(a) for a in arrays], 0, dtype)
    arrays = [as_array(a) for a in arrays]
    if len({a.ndim for a in arrays}) != 1 or not arrays[0].ndim:
        # torch lets an empty one-dimensional array stand beside anything.
        raise ValueError(f"arrays of one number of dimensions are joined, got shapes {[a.shape for a in arrays]}")
    return _joined(arrays, lambda tensors: torch.cat(tensors, axes_of(axis, arrays[0].ndim)[0]), dtype)


def stack(arrays: Any, axis: int = 0, dtype: Any = None) -> Array:
    return _joined(list(arrays), lambda tensors: torch.stack(tensors, axis), dtype)


def hstack(arrays: Any) -> Array:
    arrays = [atleast_1d(a) for a in arrays]
    return concatenate(arrays, 0 if arrays[0].ndim == 1 else 1)


def vstack(arrays: Any) -> Array:
    return concatenate([atleast_2d(a) for a in arrays], 0)


def column_stack(arrays: Any) -> Array:
    return concatenate([a if as_array(a).ndim > 1 else reshape(a, (-1, 1)) for a in arrays], 1)


def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Array]:
    how = indices_or_sections
    how = operator.index(how) if not hasattr(how, "__iter__") else tuple(map(operator.index, how))
    return [Array(part) for part in torch.tensor_split(as_array(ary).tensor, how, axis)]


def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Array]:
    size = as_array(ary).shape[axis]
    if not hasattr(indices_or_sections, "__iter__") and size % indices_or_sections:
        raise ValueError(f"an axis of size {size} has no equal division into {indices_or_sections}")
    return array_split(ary, indices_or_sections, axis)


def flip(m: Any, axis: Any = None) -> Array:
    return in_signed(lambda t: t.flip(axes_of(axis, t.ndim)), m)


def roll(a: Any, shift: Any, axis: Any = None) -> Array:
    if axis is None:
        return reshape(in_signed(lambda t: t.reshape(-1).roll(shift, 0), a), as_array(a).shape)
    pairs = [onp.broadcast_arrays(_several(shift), _several(axis))]
    shifts, axes = pairs[0][0].tolist(), pairs[0][1].tolist()
    return in_signed(lambda t: t.roll(shifts, axes), a)


def rot90(m: Any, k: int = 1, axes: Any = (0, 1)) -> Array:
    return in_signed(lambda t: torch.rot90(t, k, tuple(axes)), m)


def moveaxis(a: Any, source: Any, destination: Any) -> Array:
    return Array(torch.movedim(as_array(a).tensor, source, destination))


def swapaxes(a: Any, axis1: int, axis2: int) -> Array:
    return Array(torch.swapaxes(as_array(a).tensor, axis1, axis2))


def _picked(a: Any, axis: int, places: Any) -> Array:
    """Slices along an axis, by their known places."""
    return in_signed(lambda t: t.index_select(axis, torch.from_numpy(onp.ascontiguousarray(places, onp.int64))), a)


def repeat(a: Any, repeats: Any, axis: int | None = None) -> Array:
    a, axis = (ravel(a), 0) if axis is None else (as_array(a), axis)
    return _picked(a, axis, onp.repeat(onp.arange(a.shape[axis]), onp.asarray(repeats)))


def tile(A: Any, reps: Any) -> Array:
    return in_signed(lambda t: torch.tile(t, _several(reps)), A)


def pad(array: Any, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Array:
    a = as_array(array)
    widths = onp.broadcast_to(onp.asarray(pad_width), (a.ndim, 2)).tolist()
    values = onp.broadcast_to(onp.asarray(constant_values), (a.ndim, 2)).tolist()
    for axis, (before, after) in enumerate(widths):
        if mode != "constant":
            a = _picked(a, axis, onp.pad(onp.arange(a.shape[axis]), (before, after), mode=mode))
            continue
        ends = [
            Array(torch.full([n if i == axis else size for i, size in enumerate(a.shape)], value).to(a.tensor.dtype))
            for n, value in zip((before, after), values[axis], strict=True)
        ]
        a = concatenate([ends[0], a, ends[1]], axis, a.dtype)
    return a


def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
    return Array(torch.diagonal(as_array(a).tensor, offset, axis1, axis2))


def diag(v: Any, k: int = 0) -> Array:
    v = as_array(v)
    return in_signed(lambda t: torch.diag_embed(t, k), v) if v.ndim == 1 else diagonal(v, k)


def tril(m: Any, k: int = 0) -> Array:
    return in_signed(lambda t: torch.tril(t, k), m)


def triu(m: Any, k: int = 0) -> Array:
    return in_signed(lambda t: torch.triu(t, k), m)


def meshgrid(*xi: Any, indexing: str = "xy") -> list[Array]:
    grids = torch.meshgrid(*(as_array(x).tensor.reshape(-1) for x in xi), indexing=indexing)
    return [Array(grid) for grid in grids]


def ndim(a: Any) -> int:
    return as_array(a).ndim


def shape(a: Any) -> tuple[int, ...]:
    return as_array(a).shape


def size(a: Any, axis: int | None = None) -> int:
    a = as_array(a)
    return a.size if axis is None else a.shape[axis]


FUNCTIONS = {
    f.__name__: f
    for f in (
        reshape, ravel, transpose, expand_dims, squeeze, broadcast_to, broadcast_arrays, atleast_1d, atleast_2d,
        atleast_3d, concatenate, stack, hstack, vstack, column_stack, array_split, split, flip, roll, rot90, moveaxis,
        swapaxes, repeat, tile, pad, diagonal, diag, tril, triu, meshgrid, ndim, shape, size,
    )
}  # fmt: skip
"""By NumPy's name."""
