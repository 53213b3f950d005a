"""The train step: loss, gradient and optimizer in one compiled program, which overwrites what it replaces.

There are two ways to make a step, with the same results. The one here is a function from arrays to arrays, which is
what a compiler takes; it finds out by itself whose memory it may use again. Where nothing is compiled, new arrays for
all weights and slots would cost more than the arithmetic: ``step_in_place`` writes into those that it is given. Either
reads the rows of the batch, differentiates (``make_gradient``, the same for both), updates, and writes the rows back.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as onp

from layerkit.engine.plain_words import in_plain_words
from layerkit.errors import LayerkitError
from layerkit.fastmath import cond, random, scan, tree_leaves, tree_unflatten, value_and_grad
from layerkit.fastmath import numpy as np
from layerkit.layer import Layer, LayerError
from layerkit.optimizer import Optimizer
from layerkit.shapes import signature
from layerkit.training.batch import measured, parts
from layerkit.training.lazy_rows import LazyRows, View
from layerkit.training.precision import apply, require_compute_dtype
from layerkit.training.start import Keys
from layerkit.training.tables import Run, Table, find_tables
from layerkit.training.task import EvalTask, TrainTask
from layerkit.training.variables import OfTask, Variables

__all__ = ["Carry", "compute_loss", "make_gradient", "make_several", "make_step", "tables_of"]


class Carry(NamedTuple):
    """What a step takes and gives back; its arrays are given up by the caller."""

    weights: Any
    state: Any
    task: OfTask
    alive: Any


Step = Callable[..., Any]


def make_step(model: Layer, task: TrainTask, opt_params: Any, lazy: LazyRows) -> Step:
    """The function ``step(carry, keys, n, learning_rate, batch, ids) -> ((loss, alive), carry)`` of a task.

    ``n`` counts steps from 0; ``learning_rate`` is a number, or ``None`` where the optimizer has its own; ``ids`` are
    the rows that the batch reads of each table whose rows wait. Where the loss or a gradient is not finite, and ever
    after, the carry comes back as it went in, with ``alive`` false: the weights that the loss was computed with can
    still be looked at.
    """
    differentiate = make_gradient(model, task, lazy)

    def step(carry: Carry, keys: Keys, n: Any, learning_rate: Any, batch: tuple[Any, ...], ids: Any) -> Any:
        own = carry.task
        view = View((carry.weights, own.loss_weights), own.slots, own.waiting, n)
        full = view.parts()
        # Noted before it is read, past rates are written where they stand: XLA copies what is read before it changes.
        waiting = lazy.noted(own.waiting, n, learning_rate)
        # Lists of leaves from here on: trees are taken apart, and put together, once.
        before = lazy.read(*full, waiting, n, ids)
        (loss, state), gradients = differentiate(before[0], carry, keys, n, batch, ids)
        record = opt_params if learning_rate is None else opt_params._replace(learning_rate=learning_rate)

        def move(old: Any, gradients: Any, state: Any) -> Any:
            leaves, slots, _ = _updated(task.optimizer, n, gradients, *old[:2], record)
            return leaves, slots, state

        alive = functools.reduce(np.logical_and, map(_is_finite, tree_leaves((loss, gradients))), carry.alive)
        old = *before, (carry.state, own.loss_state)
        # A branch costs nothing measurable; choosing each array with np.where makes XLA copy all of them, and a step
        # of the notebook's classifier takes twice as long.
        *after, state = cond(alive, move, lambda old, gradients, state: old, old, gradients, state)
        leaves, slots, waiting = lazy.write(full, after, waiting, n, ids, alive)
        (weights, loss_weights), slots = view.whole(leaves, slots)
        return (loss, alive), Carry(weights, state[0], OfTask(loss_weights, state[1], slots, waiting), alive)

    return step


def _updated(optimizer: Optimizer, *args: Any) -> tuple[Any, Any, Any]:
    try:
        return optimizer.tree_update(*args)
    except (TypeError, ValueError) as error:
        raise LayerkitError(f"{type(optimizer).__name__}: update: {in_plain_words(error)}") from error


def make_gradient(model: Layer, task: TrainTask, lazy: LazyRows) -> Step:
    """The function ``(rows, carry, keys, n, batch, ids) -> ((loss, state), gradients)`` of a task.

    ``rows`` are the leaves that it differentiates by, rows in the place of each table that waits; the gradient of one
    that is not trained is ``()``. ``state`` is that of the model and the loss.
    """
    require_compute_dtype(task.compute_dtype)
    fixed = task.optimizer.fixed_places

    def differentiate(rows: list[Any], carry: Carry, keys: Keys, n: Any, batch: tuple[Any, ...], ids: Any) -> Any:
        own = carry.task

        def loss_of(leaves: list[Any]) -> Any:
            leaves = [
                row if place in fixed else leaf for place, (leaf, row) in enumerate(zip(leaves, rows, strict=True))
            ]
            stand_ins = lazy.stand_ins(leaves, batch, ids)
            weights, loss_weights = tree_unflatten(stand_ins, (carry.weights, own.loss_weights))
            inner = Carry(weights, carry.state, own._replace(loss_weights=loss_weights), None)
            return compute_loss(model, task.loss_layer, inner, keys, n, batch, task.compute_dtype)

        trained = [() if place in fixed else row for place, row in enumerate(rows)]
        return value_and_grad(loss_of, has_aux=True)(trained)

    return differentiate


def make_several(step: Step) -> Step:
    """The function that makes several steps from ``step``: of every batch and ids it takes a stack, and gives stacks.

    ``n`` counts the first of them; ``learning_rate`` is an array, or ``None``.
    """

    def several(carry: Carry, keys: Keys, n: Any, learning_rate: Any, batches: Any, ids: Any) -> Any:
        def one(carry: Carry, given: Any) -> Any:
            later, rate, batch, ids = given
            seen, carry = step(carry, keys, n + later, rate, batch, ids)
            return carry, seen

        later = onp.arange(len(batches[0]), dtype=onp.int32)
        carry, seen = scan(one, carry, (later, learning_rate, batches, ids))
        return seen, carry

    return several


def tables_of(
    model: Layer,
    task: TrainTask,
    evaluations: list[tuple[Layer, EvalTask]],
    variables: Variables,
    keys: Keys,
    obstacle: Callable[[], str],
) -> tuple[list[Table], list[list[tuple[int, ...]]]]:
    """The tables to train by rows, and for each evaluation which arrays of its batches hold the ids of each of them.

    Args:
        obstacle: says why there can be none, if there is a reason.

    Raises:
        UsageError: a layer says ``update="lazy"``, and its table cannot be.
    """
    own, state = variables.tasks[0], variables.state
    trained = signature((variables.weights, own.loss_weights))

    def loss_of(trained: Any, batch: Any) -> Any:
        carry = Carry(trained[0], state, own._replace(loss_weights=trained[1]), None)
        return compute_loss(model, task.loss_layer, carry, keys, 0, batch)[0]

    def output_of(layer: Layer) -> Callable[[Any, Any], Any]:
        def call(trained: Any, batch: Any) -> Any:
            inputs, _ = parts(batch, layer.n_in)
            return layer.pure_fn(inputs, trained[0], state, keys.evaluate, training=False)[0]

        return call

    runs = [Run(output_of(layer), trained, signature(other.sample_batch)) for layer, other in evaluations]
    run = Run(loss_of, trained, signature(task.sample_batch))
    tables, read = find_tables((model, task.loss_layer), run, runs, task.sample_batch, obstacle)
    return tables, [[arrays.get(table.place, ()) for table in tables] for arrays in read]


def _is_finite(array: Any) -> Any:
    # NaN and infinity stay in a sum, which is the cheapest look at every value.
    return np.isfinite(np.sum(array))


def compute_loss(
    model: Layer,
    loss_layer: Layer,
    carry: Carry,
    keys: Keys,
    n: Any,
    batch: tuple[Any, ...],
    compute_dtype: str | None = None,
) -> tuple[Any, tuple[Any, Any]]:
    """(loss, (model's new state, loss's new state)) of a training step."""
    inputs, rest = parts(batch, model.n_in)
    # Functions, since most models ask for no key, and folding one costs more than many a layer.
    key = functools.partial(random.fold_in, keys.train, n)
    y, state = apply(model, inputs, carry.weights, carry.state, key, compute_dtype)
    own, key = carry.task, functools.partial(random.fold_in, keys.loss, n)
    inputs = measured(loss_layer, y, rest)
    loss, loss_state = loss_layer.pure_fn(inputs, own.loss_weights, own.loss_state, key, training=True)
    _check_state(model, carry.state, state)
    _check_state(loss_layer, own.loss_state, loss_state)
    return loss, (state, loss_state)


def _check_state(layer: Layer, before: Any, after: Any) -> None:
    """Makes sure that a layer's state has after a step the form it had before: the next step, and a file, expect it."""
    if after is before or signature(after) == signature(before):
        return
    if layer.sublayers and type(before) is type(after) is tuple and len(before) == len(after) == len(layer.sublayers):
        for sublayer, old, new in zip(layer.sublayers, before, after, strict=True):
            _check_state(sublayer, old, new)
    raise LayerError(
        f"{layer.name}: its state is {signature(before)} before a step and {signature(after)} after it: keep the "
        "shapes and dtypes of init_weights_and_state"
    )
