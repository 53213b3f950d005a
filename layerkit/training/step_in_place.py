"""The train step on a backend whose arrays can be written into: it changes those that it is given.

What ``step`` says of its steps is true of these; where numbers are known, a step that must not count ends early.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as onp

from layerkit.fastmath import jit
from layerkit.layer import Layer
from layerkit.shapes import signature
from layerkit.training.lazy_rows import LazyRows, View
from layerkit.training.row_ids import RowIds
from layerkit.training.rows_in_place import RowsInPlace
from layerkit.training.start import Keys
from layerkit.training.step import Carry, Step, make_gradient
from layerkit.training.task import TrainTask
from layerkit.training.variables import OfTask

__all__ = ["make_step_in_place"]

_ALIVE = onp.array(True)
"""What steps say of themselves; that of a carry is written into."""


def make_step_in_place(model: Layer, task: TrainTask, opt_params: Any, lazy: LazyRows) -> Step:
    """What ``make_step`` makes, for arrays whose numbers are known: weights and slots are written into.

    Nothing is, where the loss or a gradient is not finite.
    """
    differentiate = _in_jit(make_gradient(model, task, lazy))
    flat, in_place = _Flat(), RowsInPlace(lazy)

    def step(carry: Carry, keys: Keys, n: Any, learning_rate: Any, batch: tuple[Any, ...], ids: Any) -> Any:
        own = carry.task
        if not carry.alive:
            return (onp.float32(math.nan), carry.alive), carry
        view = View((carry.weights, own.loss_weights), own.slots, own.waiting, n)
        full = flat.parts(view)
        rows, ids = in_place.read(full, own.waiting, n, ids)
        (loss, state), gradients = differentiate(in_place.filled_up(rows[0]), carry, keys, n, batch, ids)
        gradients = in_place.without_filling(gradients, rows[0])
        if not all(map(_is_finite, (loss, *gradients))):
            dead = onp.array(False)
            return (loss, dead), carry._replace(alive=dead)
        record = opt_params if learning_rate is None else opt_params._replace(learning_rate=learning_rate)

        def update_all(gradients: list[Any], params: list[Any], slots: list[Any]) -> Any:
            return task.optimizer.overwrite_all(n, gradients, params, slots, record)

        carry.alive[...] = False  # until all is written
        new = in_place.update(full, rows, gradients, update_all, own.waiting, n, ids)
        waiting = lazy.noted(own.waiting, n, learning_rate)
        trained, new_slots = view.trained, own.slots
        if new is not full:
            trained, new_slots = view.whole(*new)
        new_own = OfTask(trained[1], state[1], new_slots, waiting)
        return (loss, _ALIVE), Carry(trained[0], state[0], new_own, onp.array(True))

    return step


class _Flat:
    """Trees that were taken apart, as long as they are the very same from step to step."""

    def __init__(self) -> None:
        self._trees: tuple[Any, ...] = ()
        self._parts: Any = None

    def parts(self, view: View) -> tuple[list[Any], list[Any]]:
        """The leaves of the weights, and the slots of each."""
        trees = (*view.trained, view.slots)
        if not (self._trees and all(map(operator.is_, self._trees, trees))):
            self._trees, self._parts = trees, view.parts()
        return self._parts  # type: ignore[no-any-return]


def _in_jit(differentiate: Step) -> Step:
    """The same inside ``jit``, which is given what the loss depends on and no more: a record is for those arrays."""
    like: list[Any] = []

    def of_arrays(rows: list[Any], states: Any, keys: Keys, n: Any, batch: tuple[Any, ...], places: Any) -> Any:
        weights, loss_weights = like
        carry = Carry(weights, states[0], OfTask(loss_weights, states[1], (), ()), None)
        return differentiate(rows, carry, keys, n, batch, [RowIds((), own) for own in places])

    program = jit(of_arrays)

    def call(rows: list[Any], carry: Carry, keys: Keys, n: int, batch: tuple[Any, ...], ids: Any) -> Any:
        own = carry.task
        if not like:
            like.extend(signature((carry.weights, own.loss_weights)))
        return program(rows, (carry.state, own.loss_state), keys, onp.uint32(n), batch, [one.places for one in ids])

    return call


def _is_finite(array: Any) -> bool:
    # NaN and infinity stay in a sum, the cheapest look at every value. The gradient of what is not trained is ().
    return isinstance(array, tuple) or math.isfinite(array.sum())
