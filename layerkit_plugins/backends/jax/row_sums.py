"""Sums and means of rows that were just read, made row by row: the rows of a batch are never laid out side by side.

A mean of word vectors reads 20 MB of rows for 1,024 short texts. On a CPU, writing them down to add them up later takes
six times as long as adding them up as they come, and three times for the gradient. What ``take_rows`` gives in a
compiled program is therefore remembered with its table and ids, as long as it lives; ``sum`` and ``mean`` along an axis
of the ids ask for them, and XLA leaves out the reading that nothing then needs. On a GPU, XLA reads and adds up in one
go by itself.
"""

from __future__ import annotations

import functools
import math
import weakref
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as onp

from layerkit_plugins.backends.jax.setup import on_cpu

__all__ = ["Read", "mean", "noted", "sum_", "where"]

_FEWEST = 8
"""How many rows at once are worth a turn of a loop."""
_TURNS = 4
"""How many rows one turn adds to each sum: each by itself would read and write the sums once more."""


class Read(NamedTuple):
    """Where rows come from."""

    table: Any
    ids: Any
    holds: Any = None
    """Which of them count, the others being zeros: booleans like ``ids``; ``None`` for all."""


_reads: dict[int, tuple[weakref.ref[Any], Read]] = {}


def noted(rows: Any, read: Read) -> Any:
    """``rows``, which are remembered to be these, in a program that is compiled for a CPU."""
    if isinstance(rows, jax.core.Tracer) and read.ids.ndim > 1 and read.table.dtype.kind == "f" and on_cpu():
        key = id(rows)
        _reads[key] = weakref.ref(rows, lambda _: _reads.pop(key, None)), read
    return rows


def _found(x: Any) -> Read | None:
    reference, read = _reads.get(id(x), (None, None))
    return read if reference is not None and reference() is x else None


def where(condition: Any, *choices: Any, **options: Any) -> Any:
    """``jax.numpy.where``; rows of which some are made zeros are still remembered."""
    result = jnp.where(condition, *choices, **options)
    read = _found(choices[0]) if len(choices) == 2 else None
    if read is None or read.holds is not None or not _says_which(condition, read) or not _is_zero(choices[1]):
        return result
    return noted(result, read._replace(holds=jnp.reshape(condition, read.ids.shape)))


def _says_which(condition: Any, read: Read) -> bool:
    return jnp.shape(condition) == (*read.ids.shape, *[1] * (read.table.ndim - 1)) and condition.dtype == bool


def _is_zero(choice: Any) -> bool:
    return type(choice) in (int, float) and choice == 0


def sum_(a: Any, *args: Any, **options: Any) -> Any:
    """``jax.numpy.sum``."""
    total = _row_by_row(a, *args, **options)
    return jnp.sum(a, *args, **options) if total is None else total


def mean(a: Any, *args: Any, **options: Any) -> Any:
    """``jax.numpy.mean``."""
    total = _row_by_row(a, *args, **options)
    return jnp.mean(a, *args, **options) if total is None else total / (a.size // total.size)


def _row_by_row(a: Any, axis: Any = None, *more: Any, keepdims: bool = False, **others: Any) -> Any:
    """The sum of rows along an axis of their ids; ``None`` where that is not what is asked for, or not worth it."""
    read = _found(a)
    if read is None or more or others or not isinstance(axis, int) or not -a.ndim <= axis < a.ndim:
        return None
    axis %= a.ndim
    if axis >= read.ids.ndim or math.prod(read.ids.shape) < _FEWEST * max(read.ids.shape[axis], 1):
        return None
    # Read as unsigned, a negative id is one beyond the table, not one that counts from the end.
    ids = jnp.moveaxis(read.ids.astype(onp.uint32), axis, 0)
    holds = None if read.holds is None else jnp.moveaxis(read.holds, axis, 0)
    total = _sums(read.table.shape[0], read.table, ids, holds)
    return jnp.expand_dims(total, axis) if keepdims else total


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _sums(n_rows: int, table: Any, ids: Any, holds: Any) -> Any:
    """The sum of ``table[ids[i]]`` over i, but for rows that do not hold; NaN for an id beyond the table."""

    def add(total: Any, read: tuple[Any, Any]) -> tuple[Any, None]:
        ids, holds = read
        rows = table.at[ids].get(mode="fill")
        if holds is not None:
            rows = jnp.where(jnp.reshape(holds, (*ids.shape, *[1] * (table.ndim - 1))), rows, 0)
        return total + rows, None

    zeros = jnp.zeros((*ids.shape[1:], *table.shape[1:]), table.dtype)
    return jax.lax.scan(add, zeros, (ids, holds), unroll=min(_TURNS, ids.shape[0]))[0]


def _forward(n_rows: int, table: Any, ids: Any, holds: Any) -> Any:
    # What does not hold has no gradient: an id beyond the table leaves it out.
    return _sums(n_rows, table, ids, holds), ids if holds is None else jnp.where(holds, ids, onp.uint32(n_rows))


def _backward(n_rows: int, ids: Any, of_sums: Any) -> Any:
    def add(of_table: Any, ids: Any) -> tuple[Any, None]:
        return of_table.at[ids].add(of_sums, mode="drop"), None

    zeros = jnp.zeros((n_rows, *of_sums.shape[ids.ndim - 1 :]), of_sums.dtype)
    return jax.lax.scan(add, zeros, ids)[0], None, None


_sums.defvjp(_forward, _backward)
