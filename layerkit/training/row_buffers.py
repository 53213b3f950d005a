"""Rows of a table, read into arrays that stay from step to step, and brought up to date there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as onp

from layerkit.fastmath import nested_map, tree_leaves, tree_unflatten
from layerkit.pieces import pieces, put
from layerkit.training.row_ids import RowIds, padded_count

__all__ = ["RowBuffers"]

Skip = Callable[..., tuple[Any, Any]]

_NO_ROW = 2**31 - 1


class RowBuffers:
    """The rows that a batch reads of one table, of plain arrays, and of its slots.

    What ``read`` gives is overwritten by the next ``read``.
    """

    def __init__(self) -> None:
        self._arrays: dict[int, Any] = {}

    def read(self, table: Any, slots: Any, last: Any, step: int, ids: RowIds, skip: Skip) -> tuple[Any, Any, RowIds]:
        """(rows, rows of the slots, ids) before ``step``; those that missed steps come first.

        Args:
            table: the table.
            slots: its slots.
            last: the step of each row's last update.
            step: the step that comes next.
            ids: which rows; all of them are in the table.
            skip: the optimizer's ``skip_rows(last, rows, slot_rows)`` for this step.
        """
        last = last.take(ids.ids)
        late = last < step - 1
        order = (~late).argsort(kind="stable")
        last, ids, n_late = last.take(order), _in_order(ids, order), onp.count_nonzero(late)
        given = tree_leaves((table, slots))
        rows = [self._room(number, array, len(last)) for number, array in enumerate(given)]
        for array, out in zip(given, rows, strict=True):
            # Ids are inside the table; without "clip" NumPy would write to another array first.
            array.take(ids.ids, axis=0, out=out, mode="clip")
        for piece in pieces(rows[0][:n_late]):
            own = tree_unflatten([array[piece] for array in rows], (table, slots))
            nested_map(put, own, tuple(skip(last[piece], *own)))
        return *tree_unflatten(rows, (table, slots)), ids

    def filled_up(self, count: int) -> Any:
        """The ``count`` rows that were read last, and some more whose numbers mean nothing."""
        return self._arrays[0][: padded_count(count)]

    def _room(self, number: int, array: Any, count: int) -> Any:
        """An array for ``count`` rows of ``array``."""
        buffer = self._arrays.get(number)
        if buffer is None or len(buffer) < count:
            # Zeros, as nobody should meet a NaN where rows are filled up. Not every batch reads as many rows.
            buffer = self._arrays[number] = onp.zeros((padded_count(count), *array.shape[1:]), array.dtype)
        return buffer[:count]


def _in_order(ids: RowIds, order: Any) -> RowIds:
    """The same rows, each in the place where ``order`` has it."""
    rank = onp.empty(len(order) + 1, onp.int32)
    rank[order] = onp.arange(len(order), dtype=onp.int32)
    rank[-1] = _NO_ROW  # of an id outside of the table, however many rows are filled up
    return RowIds(ids.ids.take(order), tuple([rank.take(places) for places in ids.places]))
