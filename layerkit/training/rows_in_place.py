"""A step's rows where arrays can be written into: read, updated, and written back."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from layerkit.fastmath import tree_leaves
from layerkit.training.lazy_rows import LazyRows
from layerkit.training.row_buffers import RowBuffers
from layerkit.training.row_ids import RowIds

__all__ = ["RowsInPlace"]

Leaves = tuple[list[Any], list[Any]]
"""Leaves of the weights, and the slots of each."""


class RowsInPlace:
    """What ``LazyRows.read`` and ``write`` do inside a program, of plain arrays that are written into."""

    def __init__(self, lazy: LazyRows) -> None:
        self._lazy = lazy
        self._buffers = [RowBuffers() for _ in lazy.tables]

    def read(self, full: Leaves, waiting: Any, step: int, ids: Sequence[RowIds]) -> tuple[Leaves, list[RowIds]]:
        """What is in ``full`` with rows, up to date, in the place of each table; and the ids in their order.

        The next call overwrites the rows.
        """
        leaves, slots, ordered = list(full[0]), list(full[1]), []
        for table, buffers, own in zip(self._lazy.tables, self._buffers, ids, strict=True):
            place, last = table.place, waiting.last[table.path]
            skip = functools.partial(self._lazy.skip, step, waiting.rates)
            leaves[place], slots[place], own = buffers.read(leaves[place], slots[place], last, step, own, skip)
            ordered.append(own)
        return (leaves, slots), ordered

    def filled_up(self, leaves: list[Any]) -> list[Any]:
        """The leaves that ``read`` gave, each table's rows filled up with any numbers: a record is for one length."""
        leaves = list(leaves)
        for table, buffers in zip(self._lazy.tables, self._buffers, strict=True):
            leaves[table.place] = buffers.filled_up(len(leaves[table.place]))
        return leaves

    def without_filling(self, gradients: list[Any], leaves: list[Any]) -> list[Any]:
        """The gradients of ``filled_up(leaves)`` for ``leaves``."""
        gradients = list(gradients)
        for table in self._lazy.tables:
            gradients[table.place] = gradients[table.place][: len(leaves[table.place])]
        return gradients

    def update(
        self,
        full: Leaves,
        rows: Leaves,
        gradients: list[Any],
        update_all: Callable[..., Iterator[tuple[Any, Any]]],
        waiting: Any,
        step: int,
        ids: Sequence[RowIds],
    ) -> Leaves:
        """``full`` after a step; the very same lists where all of it was written in place.

        Args:
            full: everything before it.
            rows: what ``read`` gave.
            gradients: of each of them.
            update_all: ``(gradients, params, slots) -> new params and slots``, one after the other.
            waiting: what is known of rows that wait; is written into.
            step: the step.
            ids: the rows of each table.
        """
        of_tables = {table.place: own.ids for table, own in zip(self._lazy.tables, ids, strict=True)}
        after = full
        for place, new in enumerate(update_all(gradients, *rows)):
            to = of_tables.get(place)
            if to is not None:
                for array, own in zip(tree_leaves((full[0][place], full[1][place])), tree_leaves(new), strict=True):
                    array[to] = own
            elif not _is_same(new, (rows[0][place], rows[1][place])):
                after = after if after is not full else (list(full[0]), list(full[1]))
                after[0][place], after[1][place] = new
        for table, own in zip(self._lazy.tables, ids, strict=True):
            waiting.last[table.path][own.ids] = step
        return after


def _is_same(one: Any, other: Any) -> bool:
    """Whether trees have the very same arrays."""
    if one is other:
        return True
    return isinstance(one, tuple) and len(one) == len(other) and all(map(_is_same, one, other))
