"""The train step: loss, gradient and optimizer in one compiled program, which overwrites what it replaces."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

from layerkit.fastmath import cond, jit, random, tree_leaves, value_and_grad
from layerkit.fastmath import numpy as np
from layerkit.layer import Layer
from layerkit.training.batch import parts
from layerkit.training.start import Keys
from layerkit.training.task import TrainTask
from layerkit.training.variables import OfTask

__all__ = ["Carry", "compute_loss", "make_step"]


class Carry(NamedTuple):
    """What a step takes and gives back; its arrays are given up by the caller."""

    weights: Any
    state: Any
    task: OfTask
    alive: Any


def make_step(model: Layer, task: TrainTask, opt_params: Any) -> Callable[..., tuple[Any, Carry]]:
    """The function ``step(carry, keys, n, learning_rate, batch) -> ((loss, alive), carry)`` of a task, compiled.

    ``n`` counts steps from 0; ``learning_rate`` is a number, or ``None`` where the optimizer has its own. Where the
    loss or a gradient is not finite, and ever after, the carry comes back as it went in, with ``alive`` false: the
    weights that the loss was computed with can still be looked at.
    """
    update = task.optimizer.tree_update

    def step(carry: Carry, keys: Keys, n: Any, learning_rate: Any, batch: tuple[Any, ...]) -> tuple[Any, Carry]:
        def loss_of(trained: Any) -> Any:
            weights = Carry(trained[0], carry.state, carry.task._replace(loss_weights=trained[1]), None)
            return compute_loss(model, task.loss_layer, weights, keys, n, batch)

        before = (carry.weights, carry.task.loss_weights)
        (loss, state), gradients = value_and_grad(loss_of, has_aux=True)(before)
        record = opt_params if learning_rate is None else opt_params._replace(learning_rate=learning_rate)

        def move(carry: Carry, gradients: Any, state: Any) -> Carry:
            old = (carry.weights, carry.task.loss_weights)
            weights, slots, _ = update(n, gradients, old, carry.task.slots, record)
            return Carry(weights[0], state[0], OfTask(weights[1], state[1], slots), carry.alive)

        alive = functools.reduce(np.logical_and, map(_is_finite, tree_leaves((loss, gradients))), carry.alive)
        carry = carry._replace(alive=alive)
        # A branch costs nothing measurable; choosing each array with np.where makes XLA copy all of them, and a step
        # of the notebook's classifier takes twice as long.
        return (loss, alive), cond(alive, move, lambda carry, gradients, state: carry, carry, gradients, state)

    return jit(step, donate_argnums=(0,))


def _is_finite(array: Any) -> Any:
    return np.all(np.isfinite(array))


def compute_loss(
    model: Layer, loss_layer: Layer, carry: Carry, keys: Keys, n: Any, batch: tuple[Any, ...]
) -> tuple[Any, tuple[Any, Any]]:
    """(loss, (model's new state, loss's new state)) of a training step."""
    inputs, rest = parts(batch, model.n_in)
    y, state = model.pure_fn(inputs, carry.weights, carry.state, random.fold_in(keys.train, n), training=True)
    loss_inputs = (*(y if type(y) is tuple else (y,)), *rest)
    loss_inputs = loss_inputs[0] if len(loss_inputs) == 1 else loss_inputs
    own, key = carry.task, random.fold_in(keys.loss, n)
    loss, loss_state = loss_layer.pure_fn(loss_inputs, own.loss_weights, own.loss_state, key, training=True)
    return loss, (state, loss_state)
