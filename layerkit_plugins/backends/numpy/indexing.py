"""Gradients of the functions that pick numbers by their place: indexing, gathering, padding, diagonals.

Whatever such a function does to an array it does to the array of its positions too. So most of them are run on the
positions once, and the numbers are gathered from there: one gradient for all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as onp

from layerkit.fastmath import ArrayError
from layerkit_plugins.backends.numpy.boxes import Sparse, defvjp, is_box, primitive
from layerkit_plugins.backends.numpy.namespace import differentiable, known, np
from layerkit_plugins.backends.numpy.row_gradients import take as take_checked_rows
from layerkit_plugins.backends.numpy.rows import add_rows
from layerkit_plugins.backends.numpy.stand_ins import as_array, one_step

__all__ = ["getitem"]


class _Scattered(Sparse):
    """The cotangent of an array from which some places were picked."""

    __slots__ = ("dtype", "index", "shape", "values")

    def __init__(self, index: tuple[Any, ...], values: Any, shape: tuple[int, ...]) -> None:
        self.index, self.values, self.shape, self.dtype = index, values, shape, values.dtype

    def pour(self, total: Any) -> None:
        _scatter(self.values, self.index, total)

    def dense(self, dtype: Any) -> Any:
        return _scattered(self.values, self.index, self.shape, dtype)

    def added_to(self, total: Any) -> Any:
        return _with_scattered(self.values, self.index, total)


def _scatter(values: Any, index: tuple[Any, ...], total: Any) -> None:
    if _picks_once(index):
        total[index] += values
    elif len(index) == 1:
        ids = index[0]
        rows = onp.reshape(values, (ids.size, *total.shape[1:]))
        add_rows(total, onp.where(ids < 0, ids + total.shape[0], ids).reshape(-1), rows)
    else:
        onp.add.at(total, index, values)


@one_step(0, 1)
def _scattered(values: Any, index: tuple[Any, ...], shape: tuple[int, ...], dtype: Any) -> Any:
    total = onp.zeros(shape, dtype)
    _scatter(values, index, total)
    return total


@one_step(0, 1, 2)
def _with_scattered(values: Any, index: tuple[Any, ...], total: Any) -> Any:
    total = onp.array(total, order="C")
    _scatter(values, index, total)
    return total


def _picks_once(index: tuple[Any, ...]) -> bool:
    """Whether no place can be picked twice: by numbers, slices and truths; positions in an array may repeat."""
    return all(not isinstance(part, onp.ndarray) or part.dtype == bool or part.ndim == 0 for part in index)


def _index(index: Any) -> tuple[Any, ...]:
    """Any index as a tuple, lists made arrays."""
    parts = index if isinstance(index, tuple) else (index,)
    return tuple(onp.asarray(part, None if part else int) if isinstance(part, list) else known(part) for part in parts)


_getitem = primitive(lambda x, index: x[index], "getitem")
_put = primitive(lambda values, index, shape: _Scattered(index, values, shape).dense(values.dtype), "put")


def _getitem_gradient(ans: Any, x: Any, index: Any) -> Callable[[Any], Any]:
    shape = x.shape
    return lambda g: _put(g, index, shape) if is_box(g) else _Scattered(index, g, shape)


defvjp(_getitem, _getitem_gradient)
defvjp(_put, lambda ans, values, index, shape: lambda g: g[index])


def getitem(x: Any, index: Any) -> Any:
    """``x[index]``, for any index that NumPy takes."""
    return _getitem(x, _index(index))


@one_step(0, 1)
def _add_up(values: Any, positions: Any, shape: tuple[int, ...]) -> Any:
    """The values summed by flat position; in float64 on the way."""
    size = math.prod(shape)
    sums = onp.bincount(positions.reshape(-1), onp.reshape(values, -1), size) if values.size else onp.zeros(size)
    return sums.astype(values.dtype).reshape(shape)


_gather = primitive(lambda x, positions: onp.take(x, positions), "gather")
_ungather = primitive(_add_up, "ungather")
defvjp(_gather, lambda ans, x, positions: lambda g: _ungather(g, positions, x.shape))
defvjp(_ungather, lambda ans, values, positions, shape: lambda g: _gather(g, positions))


def _positions(shape: tuple[int, ...]) -> Any:
    return onp.arange(math.prod(shape)).reshape(shape)


def _by_position(name: str) -> Callable[..., Any]:
    plain = getattr(onp, name)

    def move(x: Any, *args: Any, **kwargs: Any) -> Any:
        x = np.asarray(x)
        return _gather(x, plain(_positions(x.shape), *known(args), **kwargs))

    return move


def take(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Any:
    """Through positions along the axis: so "wrap", "clip" and negative indices mean what they mean to NumPy."""
    a = np.asarray(a)
    a, axis = (np.ravel(a), 0) if axis is None else (a, axis % a.ndim)
    ids = onp.take(onp.arange(a.shape[axis]), known(indices), mode=mode)
    rows = take_checked_rows(np.moveaxis(a, axis, 0), ids)
    axes = list(range(ids.ndim, rows.ndim))
    return np.transpose(rows, (*axes[:axis], *range(ids.ndim), *axes[axis:]))


def take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Any:
    arr = np.asarray(arr)
    arr, axis = (np.ravel(arr), 0) if axis is None else (arr, axis)
    return _gather(arr, onp.take_along_axis(_positions(arr.shape), as_array(known(indices)), axis))


def diag(v: Any, k: int = 0) -> Any:
    v = np.asarray(v)
    # Counted from 1, so that 0 is a place that no number moves to.
    places = onp.diag(_positions(v.shape) + 1, k)
    return np.where(places > 0, _gather(v, onp.maximum(places - 1, 0)), 0)


def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None) -> Any:
    return np.sum(np.diagonal(a, offset, axis1, axis2), -1, dtype=dtype)


def tril(m: Any, k: int = 0) -> Any:
    return np.where(onp.tri(*m.shape[-2:], k=k, dtype=bool), m, 0)


def triu(m: Any, k: int = 0) -> Any:
    return np.where(onp.tri(*m.shape[-2:], k=k - 1, dtype=bool), 0, m)


_pad = primitive(lambda x, widths, options: np.pad(x, widths, **options), "pad")
defvjp(
    _pad,
    lambda ans, x, widths, options: (
        lambda g: g[tuple(slice(before, before + size) for (before, _), size in zip(widths, x.shape, strict=True))]
    ),
)
_PAD_BY_POSITION = ("edge", "reflect", "symmetric", "wrap")


def pad(array: Any, pad_width: Any, mode: str = "constant", **kwargs: Any) -> Any:
    if mode == "constant":
        widths = onp.broadcast_to(onp.asarray(pad_width), (array.ndim, 2)).tolist()
        return _pad(array, widths, kwargs)
    if mode in _PAD_BY_POSITION:
        return _gather(array, onp.pad(_positions(array.shape), pad_width, mode, **kwargs))
    raise ArrayError(
        f"np.pad: mode {mode!r} has no gradient on the numpy backend (constant, {', '.join(_PAD_BY_POSITION)} have)"
    )


def flip(m: Any, axis: Any = None) -> Any:
    m = np.asarray(m)
    axes = range(m.ndim) if axis is None else [i % m.ndim for i in (axis if isinstance(axis, tuple) else (axis,))]
    return m[tuple(slice(None, None, -1 if i in axes else None) for i in range(m.ndim))]


differentiable.update({name: _by_position(name) for name in "diagonal repeat roll rot90 tile".split()})
differentiable.update(
    take=take, take_along_axis=take_along_axis, diag=diag, trace=trace, tril=tril, triu=triu, pad=pad, flip=flip
)
