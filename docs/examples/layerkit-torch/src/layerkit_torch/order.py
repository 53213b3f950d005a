"""Indexing, and NumPy's functions that look for places: sorting, searching, taking."""

from __future__ import annotations

from typing import Any

import numpy as onp
import torch

from layerkit_torch.array import Array, as_array, in_signed, operands, wrapped

__all__ = ["FUNCTIONS", "getitem", "nonzero"]


def getitem(x: Array, index: Any) -> Array:
    """``x[index]`` for everything that NumPy takes as an index, but for names of fields."""
    parts = list(index) if isinstance(index, tuple) else [index]
    parts = [_part(part) for part in parts]
    tensor, parts = _forwards(x.tensor, parts)
    return in_signed(lambda t: t[tuple(parts)], Array(tensor))


def _part(part: Any) -> Any:
    if isinstance(part, slice):
        return slice(*(None if end is None else end.__index__() for end in (part.start, part.stop, part.step)))
    if part is None or part is Ellipsis or type(part) in (int, bool):
        return part
    if isinstance(part, onp.integer):
        return int(part)
    array = as_array(part)
    if array.dtype.kind not in "biu":
        if array.size or isinstance(part, (Array, onp.ndarray)):
            raise IndexError(f"an index is made of whole numbers or truths, not of {array.dtype}")
        array = as_array(array, onp.int32)
    return array.tensor if array.dtype.kind == "b" else array.tensor.to(torch.int64)


def _forwards(tensor: torch.Tensor, parts: list[Any]) -> tuple[torch.Tensor, list[Any]]:
    """The same with the axes turned round of which a slice goes backwards, which torch does not."""
    taken = sum(_axes_taken(part) for part in parts)
    axis = 0
    for i, part in enumerate(parts):
        if part is Ellipsis:
            axis += tensor.ndim - taken
            continue
        if isinstance(part, slice) and part.step is not None and part.step < 0:
            size = tensor.shape[axis]
            places = range(*part.indices(size))
            first = size - 1 - (places[0] if places else 0)
            signed = in_signed(lambda t, axis=axis: t.flip(axis), Array(tensor))
            tensor = signed.tensor
            parts[i] = slice(first, first - (len(places) - 1) * part.step + 1, -part.step) if places else slice(0, 0)
        axis += _axes_taken(part)
    return tensor, parts


def _axes_taken(part: Any) -> int:
    if part is None or part is Ellipsis or isinstance(part, bool):
        return 0
    return part.ndim if isinstance(part, torch.Tensor) and part.dtype == torch.bool else 1


def sort(a: Any, axis: int | None = -1, kind: Any = None, order: Any = None) -> Array:
    dtype, (tensor,) = operands(a)
    tensor, axis = (tensor.reshape(-1), 0) if axis is None else (tensor, axis)
    return wrapped(torch.sort(tensor, dim=axis, stable=True)[0], dtype)


def argsort(a: Any, axis: int | None = -1, kind: Any = "stable", order: Any = None) -> Array:
    _, (tensor,) = operands(a)
    tensor, axis = (tensor.reshape(-1), 0) if axis is None else (tensor, axis)
    return Array(torch.argsort(tensor, dim=axis, stable=True).to(torch.int32))


def searchsorted(a: Any, v: Any, side: str = "left", sorter: Any = None) -> Array:
    _, (among, wanted) = operands(a, v)
    if sorter is not None:
        among = among[as_array(sorter).tensor.to(torch.int64)]
    return Array(torch.searchsorted(among.contiguous(), wanted.contiguous(), out_int32=True, side=side))


def nonzero(a: Any) -> tuple[Array, ...]:
    found = torch.nonzero(as_array(a).tensor.to(torch.bool), as_tuple=True)
    return tuple(Array(places.to(torch.int32)) for places in found)


def take(a: Any, indices: Any, axis: int | None = None, mode: str = "raise") -> Array:
    a, axis = (Array(as_array(a).tensor.reshape(-1)), 0) if axis is None else (as_array(a), axis)
    size = a.shape[axis]
    places = as_array(indices).tensor.to(torch.int64)
    if mode == "wrap":
        places = places % size
    elif mode == "clip":
        places = places.clamp(0, size - 1)
    outside = (places < -size) | (places >= size)
    if outside.any():
        raise IndexError(f"index {int(places[outside][0])} is out of bounds for axis {axis} with size {size}")
    return getitem(a, (slice(None),) * (axis % a.ndim) + (Array(places),))


def take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Array:
    arr, axis = (Array(as_array(arr).tensor.reshape(-1)), 0) if axis is None else (as_array(arr), axis)
    places = as_array(indices).tensor.to(torch.int64)
    places = torch.where(places < 0, places + arr.shape[axis], places)
    return in_signed(lambda t: torch.take_along_dim(t, places, axis), arr)


FUNCTIONS = {f.__name__: f for f in (sort, argsort, searchsorted, nonzero, take, take_along_axis)}
"""By NumPy's name."""
