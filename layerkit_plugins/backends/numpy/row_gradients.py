"""Gradients of reading rows of a table and of summing rows by id, each made of the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as onp

from layerkit_plugins.backends.numpy.boxes import Sparse, defvjp, is_box, primitive
from layerkit_plugins.backends.numpy.namespace import differentiable, np
from layerkit_plugins.backends.numpy.rows import add_rows, checked_segments, read_rows, sum_rows, take_checked
from layerkit_plugins.backends.numpy.stand_ins import one_step

__all__ = ["RowSums", "take"]


class RowSums(Sparse):
    """The cotangent of a table of which some rows were read."""

    __slots__ = ("dtype", "g", "ids", "shape")

    def __init__(self, ids: Any, g: Any, shape: tuple[int, ...]) -> None:
        self.ids, self.g, self.shape, self.dtype = ids, g, shape, g.dtype

    def pour(self, total: Any) -> None:
        _add_gradient(self.g, self.ids, total)

    def dense(self, dtype: Any) -> Any:
        return _summed(self.g, self.ids, self.shape[0], dtype)

    def added_to(self, total: Any) -> Any:
        return _with_rows(self.g, self.ids, total)


def _add_gradient(g: Any, ids: Any, total: Any) -> None:
    rows, which = _distinct(g, ids.ndim)
    add_rows(total, ids.reshape(-1), rows if which is None else rows.take(which, axis=0))


@one_step(0, 1)
def _summed(g: Any, ids: Any, count: int, dtype: Any) -> Any:
    rows, which = _distinct(g, ids.ndim)
    # In 16 bits a row that is read a thousand times would not add up: 256 + 1 is 256 in bfloat16.
    rows = rows if g.dtype.itemsize >= 4 else rows.astype(onp.float32)
    return sum_rows(rows, ids.reshape(-1), count, which).astype(dtype, copy=False)


@one_step(0, 1, 2)
def _with_rows(g: Any, ids: Any, total: Any) -> Any:
    total = onp.array(total, order="C")
    _add_gradient(g, ids, total)
    return total


def _distinct(g: Any, axes: int) -> tuple[Any, Any]:
    """The rows in ``g``, whose first axes are those of the ids, and which of them each id has; ``None`` for its own.

    The gradient of a sum or a mean says the same to all it was made of: it is one array, stretched without a copy.
    """
    stretched = [size > 1 and not stride for size, stride in zip(g.shape[:axes], g.strides, strict=False)]
    rows = g[tuple([slice(0, 1) if repeats else slice(None) for repeats in stretched])]
    flat = rows.reshape(-1, *g.shape[axes:])
    if not any(stretched):
        return flat, None
    which = onp.empty(g.shape[:axes], onp.intp)
    which[...] = onp.arange(len(flat)).reshape(rows.shape[:axes])
    return flat, which.reshape(-1)


take = primitive(read_rows, "take_rows")
"""``take(table, ids)``: the rows for ids that were checked."""

_sum = primitive(sum_rows, "segment_sum")
defvjp(_sum, lambda ans, rows, ids, count: lambda g: take(g, ids))


def _take_gradient(ans: Any, table: Any, ids: Any) -> Callable[[Any], Any]:
    shape = table.shape

    def vjp(g: Any) -> Any:
        if is_box(g):
            return _sum(np.reshape(g, (ids.size, *shape[1:])), ids.reshape(-1), shape[0])
        return RowSums(ids, g, shape)

    return vjp


defvjp(take, _take_gradient)


def take_rows(table: Any, ids: Any) -> Any:
    return take_checked(take, np.asarray(table), ids)


def segment_sum(values: Any, segment_ids: Any, num_segments: int) -> Any:
    values = np.asarray(values)
    return _sum(values, checked_segments(values, segment_ids, num_segments), int(num_segments))


differentiable.update(take_rows=take_rows, segment_sum=segment_sum)
