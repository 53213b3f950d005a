"""Rows of a table, read into arrays that stay from step to step, and brought up to date there."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import numpy as onp

from layerkit.fastmath import nested_map
from layerkit.pieces import pieces, put
from layerkit.training.row_ids import RowIds, padded_count

__all__ = ["RowBuffers"]

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
        given = table, slots
        numbers = itertools.count()
        rows = nested_map(lambda array: self._room(next(numbers), array, len(order)), given)
        late = int(last.searchsorted(step - 1))  # from here on rows missed nothing
        for piece in pieces(rows[0]):
            own = nested_map(lambda array, piece=piece: array[piece], rows)
            nested_map(functools.partial(_take, ids.ids[piece]), given, own)
            if piece.start < late:
                count = min(piece.stop, late) - piece.start
                own = nested_map(lambda array, count=count: array[:count], own)
                nested_map(put, own, tuple(skip(last[piece][:count], *own)))
        return *rows, ids

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


def _take(ids: Any, array: Any, out: Any) -> None:
    # Ids are inside the table; without "clip" NumPy would write to another array first.
    array.take(ids, axis=0, out=out, mode="clip")


def _in_order(ids: RowIds, order: Any) -> RowIds:
    """The same rows, each in the place where ``order`` has it."""
    rank = onp.empty(len(order) + 1, onp.int32)
    rank[order] = onp.arange(len(order), dtype=onp.int32)
    rank[-1] = onp.iinfo(onp.int32).max  # an id outside of the table has no row, however many rows are filled up
    return RowIds(ids.ids.take(order), tuple([rank.take(places) for places in ids.places]))
