"""Which rows of each table a batch reads: every id once, and where each position finds its row among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = ["RowFinder", "RowIds", "padded_count", "stacked"]


class RowIds(NamedTuple):
    """The rows of a table that a batch reads."""

    ids: Any
    """int32 (n,): the ids, rising, each once; those beyond the table fill it up to one of few lengths."""
    places: tuple[Any, ...]
    """For each array of the batch that holds ids: which of the n each of its ids is; n or more for none of them."""


def padded_count(count: int) -> int:
    """``count`` rounded up: to 128 or 256, and above to one of four lengths between two powers of two.

    Each length is a program of its own, which takes longer to compile than the rows that are there for nothing.

    >>> [padded_count(n) for n in (1, 65, 200, 257, 1000, 1025)]
    [128, 128, 256, 320, 1024, 1280]
    """
    length = 128
    while length < count:
        step = length if length < 256 else (1 << (length.bit_length() - 1)) // 4
        length += step
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
        padded: whether ids are filled up, as a compiled program is made for one length.

    >>> finder = RowFinder([(10, (0,))], padded=False)
    >>> (found,) = finder((np.array([[3, 7], [7, 3]], np.int32),))
    >>> found.ids.tolist(), found.places[0].tolist()
    ([3, 7], [[0, 1], [1, 0]])
    """

    def __init__(self, tables: Sequence[tuple[int, tuple[int, ...]]], padded: bool) -> None:
        self._tables, self._padded = list(tables), padded

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
        outside = [array for array in arrays if array.size and (array.min() < 0 or array.max() >= rows)]
        inside = [np.where((array < 0) | (array >= rows), 0, array) for array in arrays] if outside else arrays
        ids, found = np.unique(np.concatenate([array.reshape(-1) for array in inside]), return_inverse=True)
        ends = np.cumsum([array.size for array in inside])[:-1]
        parts = np.split(found.reshape(-1), ends)
        places = [part.reshape(array.shape) for part, array in zip(parts, inside, strict=True)]
        length = padded_count(ids.size) if self._padded else ids.size
        filled = np.arange(rows, rows + length, dtype=np.int32)
        filled[: ids.size] = ids
        if outside:
            places = [np.where((a < 0) | (a >= rows), length, p) for a, p in zip(arrays, places, strict=True)]
        return RowIds(filled, tuple([place.astype(np.int32, copy=False) for place in places]))


def _ids(batch: tuple[Any, ...], place: int) -> Any:
    """An array of ids; zeros where the batch is not what it should be, which the model will find fault with."""
    array = np.asarray(batch[place]) if place < len(batch) else np.zeros(1, np.int32)
    return array if array.dtype.kind in "iu" else np.zeros(array.shape, np.int32)
