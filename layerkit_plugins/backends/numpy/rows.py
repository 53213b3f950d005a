"""Reading rows of a table, and adding rows up by id: each is the gradient of the other.

A batch repeats ids, padding above all, and ``numpy.add.at`` is 10 to 60 times slower on wide rows than whole-row
arithmetic. So ids are sorted, rows that repeat often are summed as a block, and what is left is added in rounds
without repeats.
"""

from __future__ import annotations

from typing import Any

import numpy as onp

from layerkit_plugins.backends.checks import check_segments, check_table
from layerkit_plugins.backends.ids import check_id_dtype, check_ids
from layerkit_plugins.backends.numpy.namespace import known, overloaded
from layerkit_plugins.backends.numpy.stand_ins import as_array, one_step

__all__ = [
    "add_rows",
    "checked_segments",
    "put_rows",
    "read_rows",
    "segment_sum",
    "sum_rows",
    "take_checked",
    "take_rows",
    "whole_ids",
]

# Ids that repeat more often are summed as a block each (3 us); the others in as many rounds, all ids at once (15 us).
_ROUNDS = 6
# Where there are no more rows than these, each summed several times, all ids are summed by a matrix product, or those
# that repeat often; in pieces of so few numbers that BLAS starts no threads for them, which would take longer.
_FEW, _SOME, _PRODUCT = 32, 256, 1 << 18

_UNSIGNED = {size: onp.dtype(f"u{size}") for size in (1, 2, 4)}


def add_rows(table: Any, ids: Any, rows: Any) -> None:
    """``table[ids[i]] += rows[i]`` for every i, repeated ids included, in place."""
    if not ids.size:
        return
    order = onp.argsort(ids, kind="stable")
    ids = ids[order]
    starts = onp.flatnonzero(onp.concatenate(([True], ids[1:] != ids[:-1])))
    counts = onp.diff(onp.append(starts, ids.size))
    for segment in onp.flatnonzero(counts > _ROUNDS):
        start = starts[segment]
        table[ids[start]] += rows[order[start : start + counts[segment]]].sum(axis=0, dtype=table.dtype)
    few = counts <= _ROUNDS
    starts, counts = starts[few], counts[few]
    turn = 0
    while starts.size:
        table[ids[starts + turn]] += rows[order[starts + turn]]
        turn += 1
        more = counts > turn
        starts, counts = starts[more], counts[more]


@one_step(0, 1)
def sum_rows(rows: Any, ids: Any, count: int, which: Any = None) -> Any:
    """(count, ...): the sums of the plain rows (n, ...) with the same id (n,), all in range.

    Args:
        rows: the rows.
        ids: the id of each row; with ``which``, of each row that it names.
        count: how many ids there are.
        which: where rows are summed more than once, which row stands in each place (m,).
    """
    if not ids.size:
        return onp.zeros((count, *rows.shape[1:]), rows.dtype)
    # Rows may be counted, and multiplied by how often they come, where none of them makes NaN of 0.
    counted = which is not None and onp.isfinite(rows.sum())
    if counted and len(rows) <= _FEW and count <= ids.size:
        return _product(rows, ids, count, which)
    order = _order(ids, count)
    ordered = ids[order]
    starts = onp.flatnonzero(onp.concatenate(([True], ordered[1:] != ordered[:-1])))
    counts = onp.diff(onp.append(starts, ids.size))
    order = order if which is None else which[order]
    # The first row of each id is moved, not added. Those of ids that come first stand where they belong.
    in_place = ordered[starts[-1]] == starts.size - 1
    found = onp.empty((count if in_place else starts.size, *rows.shape[1:]), rows.dtype)
    total = rows.take(order[starts], axis=0, out=found[: starts.size], mode="clip")
    often = counts > _ROUNDS
    if often.any():
        total[often] = _sum_often(rows, order[onp.repeat(often, counts)], counts[often], counted)
    several = onp.flatnonzero(~often)
    for turn in range(1, _ROUNDS):
        several = several[counts[several] > turn]
        if not several.size:
            break
        total[several] += rows.take(order[starts[several] + turn], axis=0)
    if in_place:
        found[starts.size :] = 0
        return found
    spread = onp.zeros((count, *rows.shape[1:]), rows.dtype)
    spread[ordered[starts]] = total
    return spread


def _sum_often(rows: Any, places: Any, counts: Any, counted: bool) -> Any:
    """The sums of the rows in the first ``counts[0]`` places, in the ``counts[1]`` places after them, and so on."""
    if counted and len(rows) <= _SOME:
        return _product(rows, onp.repeat(onp.arange(counts.size), counts), counts.size, places)
    return onp.stack([_sum_of(rows, own, counted) for own in onp.split(places, onp.cumsum(counts)[:-1])])


def _product(rows: Any, ids: Any, count: int, which: Any) -> Any:
    """``sum_rows`` as a matrix product with how many times each id has each row."""
    times = onp.bincount(ids * onp.intp(len(rows)) + which, minlength=count * len(rows))
    times = times.reshape(count, len(rows)).astype(rows.dtype)
    flat = rows.reshape(len(rows), -1)
    total = onp.empty((count, *rows.shape[1:]), rows.dtype)
    flat_total = total.reshape(count, -1)
    length = max(1, _PRODUCT // max(1, flat.size))
    for start in range(0, count, length):
        onp.matmul(times[start : start + length], flat, out=flat_total[start : start + length])
    return total


def _sum_of(rows: Any, places: Any, counted: bool) -> Any:
    """The sum of the rows in these places."""
    if not counted or places.size <= len(rows):
        return rows.take(places, axis=0).sum(axis=0)
    # Padding reads one row many times: counted, it is added once.
    times = onp.bincount(places, minlength=len(rows)).astype(rows.dtype)
    return onp.tensordot(times, rows, 1)


def _order(ids: Any, count: int) -> Any:
    """The positions of equal ids one behind the other, from left to right; all ids are below ``count``."""
    # Sixteen bits are sorted by their digits, without comparisons.
    return onp.argsort(ids.astype(onp.uint16) if count <= 1 << 16 else ids, kind="stable")


def whole_ids(ids: Any) -> Any:
    """Ids as a plain array of whole numbers."""
    ids = as_array(known(ids))
    if not ids.size and ids.dtype.kind == "f":
        return ids.astype(onp.int32)  # an empty list has no dtype of its own
    check_id_dtype(ids.dtype)
    return ids


def take_checked(read: Any, table: Any, ids: Any) -> Any:
    """``read(table, ids)``, or ``ArrayError`` for an id outside the table."""
    ids = whole_ids(ids)
    check_table(table)
    if ids.itemsize == 8:
        check_ids(ids, table.shape[0])
        return read(table, ids.astype(onp.int64, copy=False))
    try:
        return read(table, ids)
    except IndexError:
        check_ids(ids, table.shape[0])
        raise


@one_step(0, 1, always=True)
def read_rows(table: Any, ids: Any) -> Any:
    """``table[ids]`` of a plain table; IndexError for an id outside of it, unless ids have 64 bits."""
    if ids.itemsize < 8:
        # Read as unsigned, a negative id is a huge one: NumPy's own check of the upper bound then finds both.
        ids = ids.view(_UNSIGNED[ids.itemsize])
    # `take` is faster, but first copies a table whose rows do not lie one behind the other.
    return table.take(ids, 0) if table.flags.c_contiguous else table[ids]


def put_rows(table: Any, ids: Any, rows: Any) -> Any:
    """``table`` itself, with ``rows`` written in the places ``ids``; ids beyond the table, at the end, are left out."""
    if len(ids) and ids[-1] >= table.shape[0]:
        count = int(onp.searchsorted(ids, table.shape[0]))
        ids, rows = ids[:count], rows[:count]
    table[ids] = rows
    return table


def _take_rows(table: Any, ids: Any) -> Any:
    return take_checked(read_rows, as_array(table), ids)


def _segment_sum(values: Any, segment_ids: Any, num_segments: int) -> Any:
    values = as_array(values)
    return sum_rows(values, checked_segments(values, segment_ids, num_segments), int(num_segments))


def checked_segments(values: Any, segment_ids: Any, count: int) -> Any:
    """The ids as an array, if there is one from 0 to count - 1 for each value along the first axis."""
    ids = whole_ids(segment_ids)
    check_segments(values, ids)
    check_ids(ids, count)
    return ids


take_rows = overloaded("take_rows", _take_rows, warns=False)
"""``table[ids]``; ``ArrayError`` for an id outside the table."""

segment_sum = overloaded("segment_sum", _segment_sum, warns=False)
"""Sums the values (n, ...) with the same id; ``ArrayError`` for an id outside 0 .. num_segments - 1."""
