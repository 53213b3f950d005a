"""A step's rows where arrays can be written into: read, updated piece by piece, and written back."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from layerkit.fastmath import nested_map
from layerkit.pieces import pieces
from layerkit.training.lazy_rows import LazyRows
from layerkit.training.row_buffers import RowBuffers
from layerkit.training.row_ids import RowIds

__all__ = ["RowsInPlace"]

Leaves = tuple[list[Any], list[Any]]
"""Leaves of the weights, and the slots of each."""


class Part(NamedTuple):
    """Something that is updated at once."""

    place: int
    """Which of the leaves it is, or is of."""
    ids: Any
    """Which rows of a table; ``None`` for a leaf that is no table."""
    gradient: Any
    param: Any
    slots: Any


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
        """The leaves that ``read`` gave, each table's rows filled up to one of few lengths with any numbers."""
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
        parts = self._parts(rows, gradients, ids)
        given = [part.gradient for part in parts], [part.param for part in parts], [part.slots for part in parts]
        after = full
        for part, new in zip(parts, update_all(*given), strict=True):
            if part.ids is not None:
                nested_map(functools.partial(_write, part.ids), (full[0][part.place], full[1][part.place]), new)
            elif not _is_same(new, (part.param, part.slots)):
                after = after if after is not full else (list(full[0]), list(full[1]))
                after[0][part.place], after[1][part.place] = new
        for table, own in zip(self._lazy.tables, ids, strict=True):
            waiting.last[table.path][own.ids] = step
        return after

    def _parts(self, rows: Leaves, gradients: list[Any], ids: Sequence[RowIds]) -> list[Part]:
        """What is updated one after the other: each leaf, and the rows of tables in pieces."""
        of_tables = {table.place: own.ids for table, own in zip(self._lazy.tables, ids, strict=True)}
        parts = []
        for place, whole in enumerate(zip(gradients, *rows, strict=True)):
            to = of_tables.get(place)
            if to is None:
                parts.append(Part(place, None, *whole))
                continue
            for piece in pieces(whole[0]):
                gradient, param, slots = nested_map(lambda array, piece=piece: array[piece], whole)
                parts.append(Part(place, to[piece], gradient, param, slots))
        return parts


def _write(ids: Any, table: Any, rows: Any) -> None:
    table[ids] = rows


def _is_same(one: Any, other: Any) -> bool:
    """Whether trees have the very same arrays."""
    if one is other:
        return True
    return isinstance(one, tuple) and len(one) == len(other) and all(map(_is_same, one, other))
