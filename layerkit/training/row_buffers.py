"""Rows of a table, read into arrays that stay from step to step, and brought up to date there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as onp

from layerkit.fastmath import nested_map
from layerkit.training.row_ids import RowIds

__all__ = ["RowBuffers"]

_PIECE = 1 << 16
"""How many numbers are brought up to date at once: with those of the slots they stay in a core's own cache."""

Skip = Callable[..., tuple[Any, Any]]


class RowBuffers:
    """The rows that a batch reads of one table, of plain arrays, and of its slots.

    What ``read`` gives is overwritten by the next ``read``.
    """

    def __init__(self) -> None:
        self._arrays: dict[int, Any] = {}

    def read(self, table: Any, slots: Any, last: Any, step: int, ids: RowIds, skip: Skip) -> tuple[Any, Any, RowIds]:
        """(rows, rows of the slots, ids) before ``step``; those that missed most steps come first.

        Args:
            table: the table.
            slots: its slots.
            last: the step of each row's last update.
            step: the step that comes next.
            ids: which rows; all of them are in the table.
            skip: the optimizer's ``skip_rows(last, rows, slot_rows)`` for this step.
        """
        last = last.take(ids.ids)
        order = last.argsort(kind="stable")
        last, ids = last.take(order), _in_order(ids, order)
        which = iter(range(1 << 30))
        rows = self._taken(next(which), table, ids.ids)
        slot_rows = nested_map(lambda slot: self._taken(next(which), slot, ids.ids), slots)
        # From here on rows missed nothing.
        late = int(last.searchsorted(step - 1))
        count = max(1, _PIECE * len(table) // table.size)
        for start in range(0, late, count):
            piece = slice(start, min(start + count, late))
            given = rows[piece], nested_map(lambda array, piece=piece: array[piece], slot_rows)
            nested_map(_put, given, tuple(skip(last[piece], *given)))
        return rows, slot_rows, ids

    def _taken(self, which: int, table: Any, ids: Any) -> Any:
        buffer = self._arrays.get(which)
        if buffer is None or len(buffer) < len(ids):
            # As long as a power of two: ids are not as many in each batch.
            length = 1 << (len(ids) - 1).bit_length() if len(ids) else 0
            buffer = self._arrays[which] = onp.empty((length, *table.shape[1:]), table.dtype)
        # Ids are inside the table; without "clip" NumPy would write to another array first.
        return table.take(ids, axis=0, out=buffer[: len(ids)], mode="clip")


def _in_order(ids: RowIds, order: Any) -> RowIds:
    """The same rows, each in the place where ``order`` has it."""
    rank = onp.empty(len(order) + 1, onp.int32)
    rank[order] = onp.arange(len(order), dtype=onp.int32)
    rank[-1] = len(order)  # an id outside of the table has no row
    return RowIds(ids.ids.take(order), tuple([rank.take(places) for places in ids.places]))


def _put(given: Any, new: Any) -> None:
    if new is not given:
        given[...] = new
