"""Which rows of each table a batch reads: every id once, and where each position finds its row among them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = ["RowFinder", "RowIds", "padded_count", "stacked"]


class RowIds(NamedTuple):
    """The rows of a table that a batch reads."""

    ids: Any
    """int32 (n,): the ids, each once; for programs they rise, and those beyond the table fill up one of few lengths."""
    places: tuple[Any, ...]
    """For each array of the batch that holds ids: which of the n each of its ids is; n or more for none of them."""


def padded_count(count: int) -> int:
    """``count`` rounded up: to 128 or 256, then to one of eight lengths between two powers of two.

    Lengths are 64 apart or more. Each is a program of its own to compile; batches of one size mostly have one, or two.

    >>> [padded_count(n) for n in (1, 65, 200, 257, 1000, 1025)]
    [128, 128, 256, 320, 1024, 1152]
    """
    length = 128
    while length < count:
        length += length if length < 256 else max(64, (1 << (length.bit_length() - 1)) // 8)
    return length


def stacked(several: Sequence[RowIds], rows: int) -> RowIds:
    """The same of several batches, each array a stack of theirs; ``rows`` is the number of the table's."""
    length = max(len(one.ids) for one in several)
    # What fills up lies beyond the table.
    ids = [np.concatenate([one.ids, np.arange(rows + len(one.ids), rows + length)]) for one in several]
    places = [np.stack(arrays) for arrays in zip(*(one.places for one in several), strict=True)]
    return RowIds(np.stack(ids).astype(np.int32), tuple(places))


class RowFinder:
    """Finds the rows that a batch reads of each of some tables.

    Args:
        tables: for each its number of rows, and which arrays of a batch hold its ids.
        padded: whether ids are in rising order, and filled up, as a compiled program is made for one length.

    >>> finder = RowFinder([(10, (0,))], padded=True)
    >>> (found,) = finder((np.array([[3, 7], [7, 3]], np.int32),))
    >>> found.ids[:4].tolist(), found.places[0].tolist()
    ([3, 7, 10, 11], [[0, 1], [1, 0]])
    """

    def __init__(self, tables: Sequence[tuple[int, tuple[int, ...]]], padded: bool) -> None:
        self._tables, self._padded = list(tables), padded
        self._marks: dict[int, Any] = {}
        # A run that was interrupted may leave its thread behind, in the midst of a batch.
        self._alone = threading.Lock()

    def __call__(self, batch: tuple[Any, ...]) -> tuple[RowIds, ...]:
        """What the batch reads of each table."""
        known: dict[tuple[int, tuple[int, ...]], RowIds] = {}
        for table in self._tables:
            if table not in known:
                known[table] = self._find(table[0], [_ids(batch, place) for place in table[1]])
        return tuple([known[table] for table in self._tables])

    def _find(self, rows: int, arrays: list[Any]) -> RowIds:
        if not arrays:
            return RowIds(np.arange(rows, rows + padded_count(0) * self._padded, dtype=np.int32), ())
        every = arrays[0].reshape(-1) if len(arrays) == 1 else np.concatenate([array.reshape(-1) for array in arrays])
        # Read as unsigned, a negative id is a huge one.
        inside = every.view(f"u{every.itemsize}") < rows
        whole = bool(inside.all())
        ids, found = self._each_once(rows, every if whole else every[inside])
        length = ids.size
        if self._padded:
            length = padded_count(ids.size)
            ids = np.concatenate([ids, np.arange(rows, rows + length - ids.size, dtype=np.int32)])
        if not whole:
            spread = np.full(every.size, length, np.int32)
            spread[inside] = found
            found = spread
        if len(arrays) == 1:
            return RowIds(ids, (found.reshape(arrays[0].shape),))
        parts = np.split(found, np.cumsum([array.size for array in arrays])[:-1])
        return RowIds(ids, tuple([part.reshape(array.shape) for part, array in zip(parts, arrays, strict=True)]))

    def _each_once(self, rows: int, ids: Any) -> tuple[Any, Any]:
        """(every id once, which of these each id is), int32; without sorting, which takes several times as long."""
        count = np.arange(ids.size, dtype=np.int32)
        with self._alone:
            mark = self._marks.get(rows)
            if mark is None:
                # Nothing is read of it that was not written for the same batch.
                mark = self._marks[rows] = np.empty(rows, np.int32)
            mark[ids] = count
            once = ids[mark[ids] == count].astype(np.int32, copy=False)
            if self._padded:
                once.sort()
            mark[once] = count[: once.size]
            return once, mark[ids]


def _ids(batch: tuple[Any, ...], place: int) -> Any:
    """An array of ids; zeros where the batch is not what it should be, which the model will find fault with."""
    array = np.asarray(batch[place]) if place < len(batch) else np.zeros(1, np.int32)
    return array if array.dtype.kind in "iu" else np.zeros(array.shape, np.int32)
