"""Training tables by the rows that a batch reads; the others wait, and what they missed is made up when they are read.

A row that waits has missed steps in which its gradient was zero. What those do to it has a formula, the optimizer's
``skip_rows``: a row that is read is first brought up to date, and is then what updating all rows at every step makes
of it.

A step reads the rows of its batch (``read``), differentiates by them (``stand_ins``), and puts them back (``write``);
an evaluation reads them without their slots (``read_weights``); all rows are brought up to date for whoever asks for
the weights (``up_to_date``), and now and then for good (``settled``). These are functions from arrays to arrays, as
compiled programs need them; ``rows_in_place`` has the step's two for arrays that can be written into.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as onp

from layerkit.errors import LayerkitError
from layerkit.fastmath import (
    ArrayError,
    is_traced,
    jit,
    nested_map,
    take_rows,
    to_device,
    to_host,
    tree_leaves,
    tree_unflatten,
    use_backend,
)
from layerkit.fastmath import numpy as np
from layerkit.fastmath.rows import RowTable, put_rows
from layerkit.fastmath.trees import tree_parts
from layerkit.missed_steps import Rates
from layerkit.optimizer import Optimizer
from layerkit.pieces import pieces
from layerkit.shapes import signature
from layerkit.training.row_ids import RowIds
from layerkit.training.tables import Table
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

    def parts(self) -> tuple[list[Any], list[Any]]:
        """The leaves of the weights, and the slots of each."""
        return tree_leaves(self.trained), tree_parts(self.slots, self.trained)

    def whole(self, leaves: list[Any], slots: list[Any]) -> tuple[Any, Any]:
        """(trained, slots) with other leaves, and other slots of each."""
        return tree_unflatten(leaves, self.trained), tree_unflatten(slots, self.trained)


class LazyRows:
    """The tables of a training task whose rows wait.

    Args:
        tables: which they are.
        optimizer: what trains them.
        opt_params: the optimizer's record.
        scheduled: whether learning rates change from step to step.
    """

    def __init__(self, tables: Sequence[Table], optimizer: Optimizer, opt_params: Any, scheduled: bool) -> None:
        self.tables = list(tables)
        self.scheduled = scheduled
        self._optimizer = optimizer
        self._opt_params = opt_params
        self._decay = float(optimizer.weight_decay_rate)
        self._settle = jit(self._settled, donate_argnums=(0, 1, 2))
        self._bring_up = jit(self._brought_up, donate_argnums=(0,))
        self._bring_up_copy = jit(lambda table, *rest: self._brought_up(np.copy(table), table, *rest))

    @classmethod
    def of_task(cls, tables: Sequence[Table], task: TrainTask, opt_params: Any) -> LazyRows:
        """The tables of a training task."""
        scheduled = task.lr_schedule is not None or callable(task.optimizer.learning_rate)
        return cls(tables, task.optimizer, opt_params, scheduled)

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

    def taken_over(self, view: View, found: Mapping[str, Any], place_of: Mapping[str, int]) -> tuple[Any, Any, Any]:
        """(trained, slots, waiting) of a checkpoint, whose rows may have waited otherwise than they do here.

        Args:
            view: the checkpoint's weights and slots, which are given up.
            found: what it says of rows that wait, by name.
            place_of: for the path of each leaf of the weights which it is.
        """
        if not found:
            return view.trained, view.slots, self.first(view.step)
        last = {name.removeprefix("last."): array for name, array in found.items() if name.startswith("last.")}
        rates: Any = ()
        if "rates.values" in found:
            rates = Rates(found["rates.values"], found.get("rates.decays", ()))
        waiting = Waiting(last, found["numbers"], rates)
        numbers, own = to_host(waiting.numbers), self.first(view.step)
        if own and signature(own) == signature(waiting) and onp.array_equal(to_host(own.numbers), numbers):
            return view.trained, view.slots, waiting
        import copy  # slow to import, and only a run that goes on in another way needs it

        # With other tables, or another optimizer's numbers: what rows missed so far is made up with the old ones.
        leaves = tree_leaves(view.trained)
        tables = [Table(place_of[path], path, tuple(leaves[place_of[path]].shape), ()) for path in last]
        optimizer = copy.copy(self._optimizer)
        optimizer.weight_decay_rate = float(numbers[-1])
        before = LazyRows(tables, optimizer, type(self._opt_params)(*map(onp.float32, numbers[:-1])), bool(rates))
        trained, slots, _ = before.settled(view._replace(waiting=waiting))
        return trained, slots, own

    def _numbers(self) -> Any:
        record = self._opt_params._replace(learning_rate=0 if self.scheduled else self._opt_params.learning_rate)
        return onp.array([*record, self._decay], onp.float32)

    # -- inside a step ------------------------------------------------------------------------------------------------

    def read(
        self, leaves: list[Any], slots: list[Any], waiting: Any, step: Any, ids: Sequence[RowIds]
    ) -> tuple[list[Any], list[Any]]:
        """Leaves of the weights, and the slots of each, with rows, up to date, in the place of each table."""
        leaves, slots = list(leaves), list(slots)
        for number, table in enumerate(self.tables):
            given = leaves[table.place], slots[table.place], waiting.last[table.path], waiting.rates
            leaves[table.place], slots[table.place] = self._rows_and_slots(*given, step, ids[number].ids)
        return leaves, slots

    def read_weights(self, view: View, ids: Sequence[RowIds]) -> list[Any]:
        """The leaves that ``read`` gives of a view."""
        leaves, slots = view.parts()
        for number, table in enumerate(self.tables):
            given = leaves[table.place], slots[table.place], view.waiting.last[table.path], view.waiting.rates
            leaves[table.place] = self._rows_alone(*given, view.step, ids[number].ids)
        return leaves

    def stand_ins(
        self, rows: list[Any], batch: tuple[Any, ...], ids: Sequence[RowIds], arrays: Any = None
    ) -> list[Any]:
        """Leaves with something that ``take_rows`` can read in the place of each table.

        Args:
            rows: what ``read`` gave.
            batch: the arrays whose ids are known.
            ids: where each id's row is.
            arrays: for each table, which arrays of the batch hold its ids, where that is not as in training.
        """
        rows = list(rows)
        for number, table in enumerate(self.tables):
            own = table.arrays if arrays is None else arrays[number]
            rows[table.place] = _stand_in(table, rows[table.place], batch, ids[number], own)
        return rows

    def write(
        self,
        full: tuple[list[Any], list[Any]],
        rows: tuple[list[Any], list[Any]],
        waiting: Any,
        step: Any,
        ids: Sequence[RowIds],
        alive: Any,
    ) -> tuple[list[Any], list[Any], Any]:
        """(leaves, slots, waiting) after a step: ``rows``, as the step left them, written into the tables in ``full``.

        Where ``alive`` is false nothing is written.
        """
        leaves, slots = map(list, rows)
        last = {}
        for number, table in enumerate(self.tables):
            place = table.place
            # Rows beyond the table are not written.
            to = ids[number].ids + np.where(alive, 0, table.shape[0]).astype(onp.int32)
            leaves[place] = put_rows(full[0][place], to, leaves[place])
            slots[place] = nested_map(lambda slot, own, to=to: put_rows(slot, to, own), full[1][place], slots[place])
            last[table.path] = put_rows(waiting.last[table.path], to, np.full(to.shape, step, onp.int32))
        return leaves, slots, waiting._replace(last=last) if last else waiting

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

    def _rows_and_slots(self, table: Any, slots: Any, last: Any, rates: Any, step: Any, ids: Any) -> tuple[Any, Any]:
        """Rows of a table and of its slots, up to date before ``step``; any row for an id beyond the table."""
        last, rows, slot_rows = nested_map(lambda array: _take_any(array, ids), (last, table, slots))
        return self.skip(step, rates, last, rows, slot_rows)

    def _rows_alone(self, table: Any, slots: Any, last: Any, rates: Any, step: Any, ids: Any) -> Any:
        """What ``_rows_and_slots`` gives of the table itself."""
        if is_traced(last):
            return self._rows_and_slots(table, slots, last, rates, step, ids)[0]
        # Where numbers are known, rows that missed nothing are left alone, and the others moved some at a time.
        last, rows = _take_any(last, ids), _take_any(table, ids)
        late = onp.flatnonzero(last < step - 1)
        for piece in pieces(rows[: len(late)]):
            at = late[piece]
            own = nested_map(lambda slot, own_ids=ids[at]: _take_any(slot, own_ids), slots)
            rows[at], _ = self.skip(step, rates, last[at], rows[at], own)
        return rows

    def skip(self, step: Any, rates: Any, last: Any, rows: Any, slot_rows: Any) -> tuple[Any, Any]:
        """Rows and their slots, which are given up, after the steps that they missed."""
        record = self._opt_params._replace(learning_rate=rates) if self.scheduled else self._opt_params
        return self._skipped(step, last, rows, slot_rows, record)

    def _skipped(self, step: Any, last: Any, rows: Any, slot_rows: Any, record: Any) -> tuple[Any, Any]:
        made: Any = self._optimizer.skip_rows(step, last, rows, slot_rows, record)  # type: ignore[attr-defined]
        return self._optimizer.moved("skip_rows", made, rows.shape)

    # -- all rows -----------------------------------------------------------------------------------------------------

    def settled(self, view: View) -> tuple[Any, Any, Any]:
        """(trained, slots, waiting) with every row up to date; the tables in ``view`` are given up."""
        leaves, slots = view.parts()
        last = {}
        for table in self.tables:
            given = leaves[table.place], slots[table.place], view.waiting.last[table.path]
            count = min(table.shape[0], _AT_ONCE)
            for start in range(0, table.shape[0], count):
                ids = onp.arange(start, start + count, dtype=onp.int32)  # beyond the table in the end: not written
                given = self._settle(*given, view.waiting.rates, view.step, ids)
            leaves[table.place], slots[table.place], last[table.path] = given
        return *view.whole(leaves, slots), view.waiting._replace(last=last) if last else view.waiting

    def up_to_date(self, view: View) -> Any:
        """The weights, in which every row is up to date; ``view`` stays as it is.

        Tables are of their own, but for one in which no row waits: that is the very same.
        """
        leaves, slots = view.parts()
        for table in self.tables:
            rest = leaves[table.place], slots[table.place], view.waiting.last[table.path], view.waiting.rates
            owing = self._owing(rest, view.step)
            if not owing:
                continue
            whole = self._bring_up_copy(*rest, view.step, owing[0])
            for ids in owing[1:]:
                whole = self._bring_up(whole, *rest, view.step, ids)
            leaves[table.place] = whole
        return tree_unflatten(leaves, view.trained)

    def _owing(self, rest: tuple[Any, ...], step: int) -> list[Any]:
        """The ids of the rows that wait, in pieces of one length; ids beyond the table fill up the last."""
        last = to_host(rest[2])
        waits = last < step - 1
        fresh = onp.flatnonzero(last < 0)
        if fresh.size and self._fresh_rows_rest(rest[0], rest[3], step):
            waits[fresh] = False
        ids = onp.flatnonzero(waits)
        if not ids.size:
            return []
        count = min(len(last), _AT_ONCE)
        n_pieces = -(-ids.size // count)
        filled = onp.append(ids, onp.arange(len(last), len(last) + n_pieces * count - ids.size))
        return onp.split(filled.astype(onp.int32), n_pieces)

    def _fresh_rows_rest(self, table: Any, rates: Any, step: int) -> bool:
        """Whether rows that no batch ever read, with the slots they began with, stay as they are."""
        row = onp.ones((1, *table.shape[1:]), table.dtype)
        record = self._opt_params._replace(learning_rate=to_host(rates) if self.scheduled else self._opt_params[0])
        with use_backend("numpy"):  # one row is not worth a compiled program
            slots, last = self._optimizer.init(row), onp.full(1, -1, onp.int32)
            moved, _ = self._skipped(step, last, row.copy(), slots, record)
        return bool((moved == row).all())

    def _settled(self, table: Any, slots: Any, last: Any, rates: Any, step: Any, ids: Any) -> tuple[Any, Any, Any]:
        rows, slot_rows = self._rows_and_slots(table, slots, last, rates, step, ids)
        slots = nested_map(lambda slot, own: put_rows(slot, ids, own), slots, slot_rows)
        now = np.full(ids.shape, step - 1, onp.int32)
        return put_rows(table, ids, rows), slots, put_rows(last, ids, now)

    def _brought_up(self, whole: Any, table: Any, slots: Any, last: Any, rates: Any, step: Any, ids: Any) -> Any:
        if not is_traced(last):
            ids = ids[ids < table.shape[0]]  # what fills a piece up is for programs, which have one length
        return put_rows(whole, ids, self._rows_alone(table, slots, last, rates, step, ids))


def _take_any(array: Any, ids: Any) -> Any:
    """Rows of an array; any row for an id beyond it."""
    return np.take(array, ids, axis=0, mode="clip")


def _stand_in(table: Table, rows: Any, batch: tuple[Any, ...], ids: RowIds, arrays: Any) -> RowTable:
    """What stands for a table of which a batch's rows alone are at hand."""

    def read(wanted: Any) -> Any:
        for array, places in zip(arrays, ids.places, strict=True):
            if batch[array] is wanted:
                return _take(rows, places, table, wanted)
        raise LayerkitError(f"{table.path} is read with other ids than when training was prepared")

    return RowTable(table.path, table.shape, rows.dtype, read)


def _take(rows: Any, places: Any, table: Table, ids: Any) -> Any:
    if is_traced(places):
        return take_rows(rows, places)
    try:
        return take_rows(rows, places)
    except ArrayError:
        return take_rows(np.zeros((table.shape[0], 0)), ids)  # says which id is outside
