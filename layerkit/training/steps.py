"""The steps of a run, one after the other: the arrays they change, and their losses, looked at a little later."""

from __future__ import annotations

import itertools
import time
from collections import deque
from typing import Any, NamedTuple

import numpy as np

from layerkit.errors import LayerkitError
from layerkit.fastmath import jit, to_device, to_host, tree_leaves
from layerkit.fastmath.rows import writes_in_place
from layerkit.layer import Layer
from layerkit.shapes import signature
from layerkit.training.feed import Finders, Item
from layerkit.training.lazy_rows import LazyRows, View
from layerkit.training.row_ids import RowFinder, stacked
from layerkit.training.start import Start, start
from layerkit.training.step import Carry, make_several, make_step, tables_of
from layerkit.training.step_in_place import make_step_in_place
from layerkit.training.tables import paths_of, with_tables
from layerkit.training.task import EvalTask, TrainTask
from layerkit.training.variables import Variables

__all__ = ["Losses", "Steps"]

_PATIENCE, _MOST_UNSEEN = 0.01, 16
"""For how many seconds, and how many calls, losses stay on the device before they are looked at."""


class Losses(NamedTuple):
    """The losses of a run that were looked at: one value, so that an interrupt finds all of it or nothing."""

    seen: int
    """The last step whose loss was looked at."""
    reported: int
    """The last step after which there was a report."""
    sums: list[tuple[float, int]]
    """For each task the sum of the losses since then, and their number."""

    def means(self) -> dict[int, float]:
        """The mean loss of each task there was a step of, by its number."""
        return {number: total / count for number, (total, count) in enumerate(self.sums) if count}


class Steps:
    """Trains a model on batches, one step each.

    Args:
        model: the model; it gets weights if it has none.
        tasks: what the steps may be on.
        seed: what weights and random layers are made from.
        evaluations: what measures the model meanwhile: models with the same weights, and their tasks.
    """

    def __init__(
        self,
        model: Layer,
        tasks: list[TrainTask],
        seed: int,
        evaluations: list[tuple[Layer, EvalTask]],
    ) -> None:
        started = start(model, tasks, seed)
        self.variables, self.keys = started.variables, started.keys
        self.done = 0
        self.losses = Losses(0, 0, [(0.0, 0)] * len(tasks))
        self.shared = not started.private
        """Whether somebody else may hold the arrays: then they are copied before a step overwrites them."""
        self._model, self._tasks = model, tasks
        self._prepare_tables(evaluations, started)
        make = make_step_in_place if writes_in_place() else make_step
        steps = [make(model, task, record, self.lazy) for task, record in zip(tasks, started.opt_params, strict=True)]
        self._programs = [jit(step, donate_argnums=(0,)) for step in steps]
        self._several = [jit(make_several(step), donate_argnums=(0,)) for step in steps]
        self._compiled = started.compiled
        self._settled_at = 0
        self._unseen: deque[tuple[list[Item], int, Any]] = deque()
        self._may_wait, self._looked = 1, time.perf_counter()

    def _prepare_tables(self, evaluations: list[tuple[Layer, EvalTask]], started: Start) -> None:
        variables, task = self.variables, self._tasks[0]
        several = len(self._tasks) > 1

        def obstacle() -> str:
            return "several tasks train it" if several else task.optimizer.cannot_skip()

        tables, self.eval_arrays = tables_of(self._model, task, evaluations, variables, self.keys, obstacle)
        self.lazy = LazyRows.of_task(tables, task, started.opt_params[0])
        finders = [
            RowFinder([(t.shape[0], a) for t, a in zip(tables, arrays, strict=True)], started.compiled)
            for arrays in ([table.arrays for table in tables], *self.eval_arrays)
        ]
        self.finders = Finders(finders[0], finders[1:])
        self._private = {table.place for table in tables}
        if tables:
            variables.weights = with_tables(
                variables.weights,
                {
                    place: leaf if started.private else np.array(leaf)
                    for place, leaf in enumerate(tree_leaves(variables.weights))
                    if place in self._private
                },
            )
            variables.tasks[0] = variables.tasks[0]._replace(waiting=self.lazy.first())

    def train(self, items: list[Item]) -> None:
        """A step on each item, in one call where they are alike; the last may still be running when this returns.

        Raises:
            NotFiniteError: the loss of a step before, or its gradient, is not finite; none after it changed anything.
        """
        if self.shared:
            self.variables.own(self._private)
            self._private = {table.place for table in self.lazy.tables}
            self.shared = False
        # No row waits for more than this, and the steps of one call.
        if self.lazy.period and self.done // self.lazy.period > self._settled_at // self.lazy.period:
            self.settle()
            self._replace(*self.lazy.settled(self.view()))
            self._settled_at = self.done
        if len(items) > 1 and self._alike(items):
            self._call(items)
        else:
            for item in items:
                self._call([item])

    def _alike(self, items: list[Item]) -> bool:
        """Whether one compiled program, made for several steps, can take all of them."""
        kinds = [(item.task, item.learning_rate is None, signature(item.batch)) for item in items]
        return self._compiled and kinds.count(kinds[0]) == len(kinds)

    def _call(self, items: list[Item]) -> None:
        variables, number = self.variables, items[0].task
        carry = Carry(variables.weights, variables.state, variables.tasks[number], variables.alive)
        if len(items) == 1:
            (item,) = items
            given = item.learning_rate, item.on_device, item.ids
            seen, carry = self._programs[number](carry, self.keys, self.done, *given)
        else:
            seen, carry = self._several[number](carry, self.keys, self.done, *self._stacked(items))
        variables.weights, variables.state, variables.tasks[number] = carry[:3]
        self._unseen.append((items, self.done, seen))
        self.done += len(items)
        variables.alive = carry.alive  # comes last: see is_whole
        if len(self._unseen) > self._may_wait:
            # The device is busy with these steps: time to look at the losses of those before. Waiting for it once for
            # several short steps takes less time than once for each.
            took = self._look(len(self._unseen) - 1) / self._may_wait
            self._may_wait = max(1, min(_MOST_UNSEEN, int(_PATIENCE / took)))

    def _stacked(self, items: list[Item]) -> tuple[Any, Any, Any]:
        """The learning rates, batches and ids of several steps, each array a stack of theirs."""
        rates = None
        if items[0].learning_rate is not None:
            rates = np.array([item.learning_rate for item in items], np.float32)
        batches = tuple([np.stack(arrays) for arrays in zip(*(item.batch for item in items), strict=True)])
        of_tables = zip(*(item.ids for item in items), strict=True)
        ids = [stacked(several, table.shape[0]) for several, table in zip(of_tables, self.lazy.tables, strict=True)]
        return rates, batches, tuple(ids)

    @property
    def is_whole(self) -> bool:
        """Whether weights and slots are those after a step that ended, once ``settle`` has looked at its loss.

        A step that was broken off took the ``alive`` it was given: there is no other before all else is in its place.
        """
        try:
            return bool(to_host(self.variables.alive))
        except RuntimeError:  # an array that was given away
            return False

    def check_whole(self) -> None:
        """Refuses weights and slots that are not whole.

        Raises:
            LayerkitError: they are not.
        """
        if not self.is_whole:
            raise LayerkitError(
                f"step {self.done + 1} was broken off half-way, and its weights are of no use: load_checkpoint() goes "
                "back to a checkpoint; without one, make a new Loop"
            )

    def view(self) -> View:
        """The weights as they are now, for evaluation."""
        task = self.variables.tasks[0]
        return View((self.variables.weights, task.loss_weights), task.slots, task.waiting, self.done)

    def take_over(self, variables: Variables, done: int, reported: int, sums: list[tuple[float, int]]) -> None:
        """Goes on from the variables and losses of a checkpoint, written after ``done`` steps."""
        self.variables, self.done, self._settled_at = variables, done, done
        self.losses = Losses(done, reported, [*sums, *[(0.0, 0)] * len(self._tasks)][: len(self._tasks)])
        variables.alive = to_device(np.array(True))
        task = variables.tasks[0]
        paths = paths_of((self._model, self._tasks[0].loss_layer), (variables.weights, task.loss_weights))
        found = self.lazy.taken_over(self.view(), variables.waiting, {path: i for i, path in enumerate(paths)})
        self._replace(*found)
        variables.waiting = {}

    def _replace(self, trained: Any, slots: Any, waiting: Any) -> None:
        self.variables.weights, loss_weights = trained
        task = self.variables.tasks[0]
        self.variables.tasks[0] = task._replace(loss_weights=loss_weights, slots=slots, waiting=waiting)

    def settle(self) -> None:
        """Waits for the running step, and looks at its loss.

        Raises:
            NotFiniteError: it is not finite.
        """
        self._look(len(self._unseen))

    def reported(self) -> None:
        """Begins new sums of losses: there was a report on those up to here."""
        self.losses = Losses(self.done, self.done, [(0.0, 0)] * len(self._tasks))

    def hand_out(self) -> None:
        """Gives the layers the weights and state that training has come to."""
        view = self.view()
        handed = self.lazy.up_to_date(view)
        given, kept = tree_leaves(handed), tree_leaves(view.trained)
        self._private = {table.place for table in self.lazy.tables if given[table.place] is not kept[table.place]}
        weights, loss_weights = handed
        self._model.weights, self._model.state = weights, self.variables.state
        for number, (task, own) in enumerate(zip(self._tasks, self.variables.tasks, strict=True)):
            task.loss_layer.weights = own.loss_weights if number else loss_weights
            task.loss_layer.state = own.loss_state
        self.shared = True

    def _look(self, count: int) -> float:
        """Looks at the losses of the first calls nobody has seen; the seconds since the last time."""
        for seen in to_host([seen for _, _, seen in itertools.islice(self._unseen, count)]):
            self._see(*self._unseen[0][:2], seen)
            self._unseen.popleft()
        before, self._looked = self._looked, time.perf_counter()
        return self._looked - before

    def _see(self, items: list[Item], first: int, seen: tuple[Any, Any]) -> None:
        """Looks at the losses of one call; ``first`` is its first step, counted from 0."""
        values, alive = (np.reshape(array, -1).tolist() for array in seen)
        before, sums = self.losses, list(self.losses.sums)
        for place, (item, value) in enumerate(zip(items, values, strict=True)):
            step = first + place
            if not alive[place]:
                self.losses = Losses(step, before.reported, sums)
                self._stop(items[place:], step + 1, value)
            if step >= before.seen:  # or an interrupt came right after it was looked at
                total, count = sums[item.task]
                sums[item.task] = total + value, count + 1
        self.losses = Losses(first + len(items), before.reported, sums)

    def _stop(self, items: list[Item], step: int, value: float) -> None:
        """Goes back to before the step on the first of these items, and raises what is known of its loss."""
        from layerkit.training.diagnose import diagnose  # a run that goes well never needs it

        item = items[0]
        self._unseen.clear()
        self.done = step - 1
        variables = self.variables
        variables.alive = to_device(np.array(True))
        weights, loss_weights = self.lazy.up_to_date(self.view())
        own = variables.tasks[item.task]
        own = own if item.task else own._replace(loss_weights=loss_weights)
        carry = Carry(weights, variables.state, own, None)
        raise diagnose(step, value, self._model, self._tasks[item.task], carry, self.keys, item)
