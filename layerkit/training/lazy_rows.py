"""Training tables by the rows that a batch reads; the others wait, and what they missed is made up when they are read.

A row that waits has missed steps in which its gradient was zero. What those do to it has a formula, the optimizer's
``skip_rows``: a row that is read is first brought up to date, and is then what updating all rows at every step makes
of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as onp

from layerkit.errors import LayerkitError
from layerkit.fastmath import ArrayError, is_traced, jit, nested_map, take_rows, to_device, tree_leaves
from layerkit.fastmath import numpy as np
from layerkit.fastmath.rows import RowTable, put_rows
from layerkit.missed_steps import Rates
from layerkit.training.row_ids import RowIds
from layerkit.training.tables import Table, with_tables
from layerkit.training.task import TrainTask

__all__ = ["LazyRows", "View", "Waiting"]

N_RATES = 1 << 16
"""How many past learning rates are kept; in half as many steps all rows are brought up to date once."""
_AT_ONCE = 1 << 15
"""How many rows are brought up to date at once where all are."""


class Waiting(NamedTuple):
    """What training knows of rows that wait."""

    last: dict[str, Any]
    """For each table, by its path, the step of each row's last update, int32; -1 before the first."""
    numbers: Any
    """The optimizer's numbers, which the missed steps were made with."""
    rates: Any
    """``Rates`` where learning rates change, else ``()``."""


class View(NamedTuple):
    """Weights as they are between two steps, some of whose rows wait."""

    trained: Any
    """(the model's weights, the loss's weights)."""
    slots: Any
    waiting: Any
    step: Any
    """The step that comes next."""


class LazyRows:
    """The tables of a training task whose rows wait.

    Args:
        tables: which they are.
        task: what trains them.
        opt_params: the optimizer's record.
    """

    def __init__(self, tables: Sequence[Table], task: TrainTask, opt_params: Any) -> None:
        self.tables = list(tables)
        self._optimizer = task.optimizer
        self._opt_params = opt_params
        self.scheduled = task.lr_schedule is not None or callable(task.optimizer.learning_rate)
        self._decay = float(task.optimizer.weight_decay_rate)
        self._settle = jit(self._settled, donate_argnums=(0, 1, 2))
        self._bring_up = jit(self._brought_up, donate_argnums=(0,))

    @property
    def period(self) -> int | None:
        """After how many steps no row may wait any longer; ``None`` where it may for ever."""
        return N_RATES // 2 if self.scheduled and self.tables else None

    def first(self, done: int = 0) -> Any:
        """The bookkeeping before step ``done``, in which nothing waits; ``()`` without tables."""
        if not self.tables:
            return ()
        last = {table.path: onp.full(table.shape[0], done - 1, onp.int32) for table in self.tables}
        rates: Any = ()
        if self.scheduled:
            zeros = onp.zeros(N_RATES, onp.float32)
            rates = Rates(zeros, zeros.copy() if self._decay else ())
        return to_device(Waiting(last, self._numbers(), rates))

    def _numbers(self) -> Any:
        record = self._opt_params._replace(learning_rate=0 if self.scheduled else self._opt_params.learning_rate)
        return onp.array([*record, self._decay], onp.float32)

    # -- inside a step ------------------------------------------------------------------------------------------------

    def read(self, trained: Any, slots: Any, waiting: Any, step: Any, ids: Sequence[RowIds]) -> tuple[Any, Any]:
        """``trained`` and ``slots`` with the rows ``ids``, up to date, in the place of each table."""
        if not self.tables:
            return trained, slots
        leaves, parts = tree_leaves(trained), _slots_of(trained, slots)
        rows, slot_rows = {}, {}
        for number, table in enumerate(self.tables):
            place = table.place
            rows[place], slot_rows[place] = self._rows(
                leaves[place], parts[place], waiting.last[table.path], waiting.rates, step, ids[number].ids
            )
        return with_tables(trained, rows), _with_slots(trained, slots, slot_rows)

    def stand_ins(self, rows: Any, full: Any, batch: tuple[Any, ...], ids: Sequence[RowIds], arrays: Any = None) -> Any:
        """``rows``, a tree with the rows of each table in its place, with something that ``take_rows`` can read there.

        Args:
            rows: what ``read`` gave.
            full: the tree with the tables.
            batch: the arrays whose ids are known.
            ids: where each id's row is.
            arrays: for each table, which arrays of the batch hold its ids, where that is not as in training.
        """
        if not self.tables:
            return rows
        arrays = arrays or [table.arrays for table in self.tables]
        leaves, tables = tree_leaves(rows), tree_leaves(full)

        def stand_in(number: int, table: Table) -> RowTable:
            def read(wanted: Any) -> Any:
                for array, places in zip(arrays[number], ids[number].places, strict=True):
                    if batch[array] is wanted:
                        return _take(leaves[table.place], places, tables[table.place], wanted)
                raise LayerkitError(f"{table.path} is read with other ids than when training was prepared")

            return RowTable(table.path, table.shape, leaves[table.place].dtype, read)

        return with_tables(rows, {table.place: stand_in(n, table) for n, table in enumerate(self.tables)})

    def write(
        self, full: tuple[Any, Any], rows: tuple[Any, Any], waiting: Any, step: Any, ids: Sequence[RowIds], alive: Any
    ) -> tuple[Any, Any, Any]:
        """(trained, slots, waiting) after a step: ``rows``, as the step left them, written into ``full``.

        Where ``alive`` is false nothing is written.
        """
        if not self.tables:
            return (*rows, waiting)
        leaves, parts = tree_leaves(full[0]), _slots_of(*full)
        new, new_parts = tree_leaves(rows[0]), _slots_of(*rows)
        tables, slot_tables, last = {}, {}, {}
        for number, table in enumerate(self.tables):
            place = table.place
            # Rows beyond the table are not written.
            to = ids[number].ids + np.where(alive, 0, table.shape[0]).astype(onp.int32)
            tables[place] = put_rows(leaves[place], to, new[place])
            slot_tables[place] = nested_map(
                lambda slot, own, to=to: put_rows(slot, to, own), parts[place], new_parts[place]
            )
            now = np.full(to.shape, step, onp.int32)
            last[table.path] = put_rows(waiting.last[table.path], to, now)
        waiting = waiting._replace(last=last)
        return with_tables(rows[0], tables), _with_slots(rows[0], rows[1], slot_tables), waiting

    def noted(self, waiting: Any, step: Any, learning_rate: Any) -> Any:
        """The bookkeeping with the learning rate that a step had; ``None`` for the optimizer's own."""
        if not self.tables or not self.scheduled:
            return waiting
        rate = self._optimizer.learning_rate_at(step) if learning_rate is None else learning_rate
        rate = np.asarray(rate).astype(onp.float32)
        values, decays = waiting.rates
        at = np.reshape(np.asarray(step % len(values)).astype(onp.int32), (1,))
        values = put_rows(values, at, np.reshape(rate, (1,)))
        if self._decay:
            # A decay that leaves nothing would have the logarithm of 0.
            keep = np.maximum(1 - rate * onp.float32(self._decay), onp.float32(1e-6))
            before = take_rows(decays, (at - 1) % len(values))
            decays = put_rows(decays, at, before + np.log(keep))
        return waiting._replace(rates=Rates(values, decays))

    def _rows(self, table: Any, slots: Any, last: Any, rates: Any, step: Any, ids: Any) -> tuple[Any, Any]:
        """Rows of a table and of its slots, up to date before ``step``; any row for an id beyond the table."""
        inside = np.minimum(ids, onp.int32(table.shape[0] - 1))
        rate = rates if self.scheduled else self._opt_params.learning_rate
        return self._optimizer.skip_rows(  # type: ignore[attr-defined, no-any-return]
            step,
            take_rows(last, inside),
            take_rows(table, inside),
            nested_map(lambda slot: take_rows(slot, inside), slots),
            self._opt_params._replace(learning_rate=rate),
        )

    # -- all rows -----------------------------------------------------------------------------------------------------

    def settled(self, trained: Any, slots: Any, waiting: Any, step: int) -> tuple[Any, Any, Any]:
        """(trained, slots, waiting) with every row up to date; the tables given are given up."""
        if not self.tables:
            return trained, slots, waiting
        leaves, parts = tree_leaves(trained), _slots_of(trained, slots)
        tables, slot_tables, last = {}, {}, {}
        for table in self.tables:
            given = leaves[table.place], parts[table.place], waiting.last[table.path]
            for ids in self._pieces(table):
                given = self._settle(*given, waiting.rates, step, ids)
            tables[table.place], slot_tables[table.place], last[table.path] = given
        waiting = waiting._replace(last=last)
        return with_tables(trained, tables), _with_slots(trained, slots, slot_tables), waiting

    def up_to_date(self, trained: Any, slots: Any, waiting: Any, step: int) -> Any:
        """``trained`` with tables of its own, in which every row is up to date; what is given stays as it is."""
        leaves, parts = tree_leaves(trained), _slots_of(trained, slots)
        tables = {}
        for table in self.tables:
            whole = _copied(leaves[table.place])
            for ids in self._pieces(table):
                rest = leaves[table.place], parts[table.place], waiting.last[table.path], waiting.rates
                whole = self._bring_up(whole, *rest, step, ids)
            tables[table.place] = whole
        return with_tables(trained, tables)

    def _pieces(self, table: Table) -> list[Any]:
        count = min(table.shape[0], _AT_ONCE)
        return [onp.arange(at, at + count, dtype=onp.int32) for at in range(0, table.shape[0], count)]

    def _settled(self, table: Any, slots: Any, last: Any, rates: Any, step: Any, ids: Any) -> tuple[Any, Any, Any]:
        rows, slot_rows = self._rows(table, slots, last, rates, step, ids)
        slots = nested_map(lambda slot, own: put_rows(slot, ids, own), slots, slot_rows)
        now = np.full(ids.shape, step - 1, onp.int32)
        return put_rows(table, ids, rows), slots, put_rows(last, ids, now)

    def _brought_up(self, whole: Any, table: Any, slots: Any, last: Any, rates: Any, step: Any, ids: Any) -> Any:
        return put_rows(whole, ids, self._rows(table, slots, last, rates, step, ids)[0])


_copied = jit(np.copy)


def _take(rows: Any, places: Any, table: Any, ids: Any) -> Any:
    if is_traced(places):
        return take_rows(rows, places)
    try:
        return take_rows(rows, places)
    except ArrayError:
        return take_rows(table, ids)  # says which id is outside of which table


def _slots_of(trained: Any, slots: Any) -> list[Any]:
    """The slots of each leaf of ``trained``."""
    parts: list[Any] = []
    nested_map(lambda _, part: parts.append(part), trained, slots)
    return parts


def _with_slots(trained: Any, slots: Any, new: dict[int, Any]) -> Any:
    """``slots`` with others for some leaves of ``trained``."""
    places = iter(range(len(tree_leaves(trained))))
    return nested_map(lambda _, part: new.get(next(places), part), trained, slots)
