"""The train step on a backend whose arrays can be written into: it changes those that it is given."""

from __future__ import annotations

import math
from typing import Any

import numpy as onp

from layerkit.layer import Layer
from layerkit.training.lazy_rows import LazyRows, View
from layerkit.training.precision import require_compute_dtype
from layerkit.training.start import Keys
from layerkit.training.step import Carry, Step, make_gradient
from layerkit.training.task import TrainTask
from layerkit.training.variables import OfTask

__all__ = ["make_step_in_place"]


def make_step_in_place(model: Layer, task: TrainTask, opt_params: Any, lazy: LazyRows) -> Step:
    """What ``make_step`` makes, for arrays whose numbers are known: weights and slots are written into.

    Nothing is, where the loss or a gradient is not finite.
    """
    require_compute_dtype(task.compute_dtype)
    optimizer = task.optimizer
    differentiate = make_gradient(model, task, lazy)

    def step(carry: Carry, keys: Keys, n: Any, learning_rate: Any, batch: tuple[Any, ...], ids: Any) -> Any:
        own = carry.task
        if not carry.alive:
            return (onp.float32(math.nan), carry.alive), carry
        view = View((carry.weights, own.loss_weights), own.slots, own.waiting, n)
        full = view.parts()
        rows, slots, ids = lazy.read_in_place(*full, own.waiting, n, ids)
        (loss, state), gradients = differentiate(rows, full[0], carry, keys, n, batch, ids)
        if not all(map(_is_finite, (loss, *gradients))):
            dead = onp.array(False)
            return (loss, dead), carry._replace(alive=dead)
        record = opt_params if learning_rate is None else opt_params._replace(learning_rate=learning_rate)
        leaves, slots = optimizer.overwrite_all(n, gradients, rows, slots, record)
        lazy.write_in_place(full, (leaves, slots), own.waiting, n, ids)
        waiting = lazy.noted(own.waiting, n, learning_rate)
        (weights, loss_weights), slots, waiting = view.whole(leaves, slots, waiting)
        task = OfTask(loss_weights, state[1], slots, waiting)
        return (loss, carry.alive), Carry(weights, state[0], task, carry.alive)

    return step


def _is_finite(array: Any) -> bool:
    # NaN and infinity stay in a sum, which is the cheapest look at every value.
    return math.isfinite(array.sum())
