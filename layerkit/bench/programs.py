"""What is run and timed for each kind of subject, on one backend after the other, with the same numbers on each."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as onp

from layerkit import fastmath
from layerkit.bench.subjects import Case
from layerkit.engine.bare import as_tuple, bare
from layerkit.errors import LayerkitError, an
from layerkit.fastmath import random, use_backend
from layerkit.fastmath.backend import Backend
from layerkit.optimizer import Optimizer
from layerkit.testing.arrays import DOMAINS, draw
from layerkit.testing.recipe_case import TEXTS, RecipeCase
from layerkit.testing.trees import is_float, leaves
from layerkit.testing.trial import REFERENCE, blaming, loss_of, split

__all__ = ["Job", "Program", "program_of"]


class Job(NamedTuple):
    """A program on one backend, ready to be called."""

    call: Callable[[], Any]
    """One call; its result may still be computed when it returns."""
    program: Callable[..., Any] | None
    """The compiled function, for its cost."""
    arguments: Callable[[], tuple[Any, ...]]
    compared: Callable[[Any], Any]
    """What of a first call's result has to be the same on every backend."""


class Program(Protocol):
    """A case made runnable."""

    tolerance: float
    """How far backends may be apart, relative to the largest number of an array, or to 1."""

    def job(self, backend: Backend) -> Job:
        """The program on the active backend."""

    def work(self) -> tuple[float, str]:
        """How much one call does, and of what: ``(16, "rows")``."""


def program_of(case: Case) -> Program:
    """The program of a case, its numbers made on NumPy.

    Raises:
        Fault: what is measured raises an exception on NumPy.
        LayerkitError: it refuses what it is given.
    """
    makers: dict[str, Callable[[Case], Program]] = {"optimizer": OptimizerProgram, "recipe": RecipeProgram}
    with use_backend(REFERENCE), blaming(f"{case.subject.text} on {REFERENCE}"):
        return makers.get(case.subject.kind, LayerProgram)(case)


class LayerProgram:
    """A call of a layer or a model in evaluation; or, to train, in training, with the gradients of weights and inputs.

    Args:
        case: what is measured; NumPy is the active backend.
    """

    def __init__(self, case: Case) -> None:
        self._case, self._training = case, case.mode == "train"
        self.tolerance = 1e-4 if self._training else 1e-5
        self._layer = case.subject.constructor(**case.arguments)
        self._key = onp.asarray(random.get_prng(1))
        for domain in DOMAINS:  # a logarithm of numbers below zero would measure NaNs
            self._inputs = draw(case.inputs, 0, domain)
            self._weights, self._state = self._layer.init(bare(self._inputs), random.get_prng(0))
            y, _ = self._layer.pure_fn(bare(self._inputs), self._weights, self._state, self._key, self._training)
            if all(bool(onp.isfinite(leaf).all()) for leaf in leaves(y) if is_float(leaf)):
                break
        generator = onp.random.default_rng(7)
        self._cotangents = tuple(generator.normal(size=one.shape).astype("float32") for one in as_tuple(y))

    def job(self, backend: Backend) -> Job:
        numbers: tuple[Any, ...]
        if self._training:
            numbers = (self._weights, *split(self._inputs), self._state, self._key, self._cotangents)
        else:
            numbers = (bare(self._inputs), self._weights, self._state, self._key)
        given = backend.block_until_ready(backend.to_device(numbers))
        program = backend.jit(self._gradients() if self._training else self._forward)
        return Job(functools.partial(program, *given), program, lambda: given, lambda result: result)

    def _forward(self, x: Any, weights: Any, state: Any, key: Any) -> Any:
        return self._layer.pure_fn(x, weights, state, key, training=False)

    def _gradients(self) -> Callable[..., Any]:
        loss = loss_of(self._layer, training=True)

        def without_outputs(*args: Any) -> Any:
            value, (_, new_state) = loss(*args)
            return value, new_state

        return fastmath.value_and_grad(without_outputs, (0, 1), has_aux=True)

    def work(self) -> tuple[float, str]:
        batch = self._case.size.batch
        return (1.0, "calls") if batch is None else (float(batch), "rows")


class OptimizerProgram:
    """One update of a weight, a matrix and a vector; the arrays it replaces are given up, as in training.

    Args:
        case: what is measured; NumPy is the active backend.
    """

    tolerance = 1e-5

    def __init__(self, case: Case) -> None:
        optimizer = case.subject.constructor(**case.arguments)
        if not isinstance(optimizer, Optimizer):
            raise LayerkitError(f"{case.subject.text} gives {an(type(optimizer).__name__)}, which is no lk.Optimizer")
        self._optimizer = optimizer
        (of,) = case.inputs
        shapes = (of, of.replace(shape=of.shape[1:]))
        weights, self._gradients = draw(shapes, 0), draw(shapes, 1)
        slots, self._record = optimizer.tree_init(weights)
        for step in range(2):  # first steps of many optimizers are all alike
            weights, slots, _ = optimizer.tree_update(step, self._gradients, weights, slots, self._record)
        self._carry = (weights, slots)
        self._size = float(sum(one.size for one in shapes))

    def job(self, backend: Backend) -> Job:
        program = backend.jit(self._update, donate_argnums=(0,))
        gradients = backend.to_device(self._gradients)
        carry = backend.block_until_ready(backend.to_device(fastmath.nested_map(onp.array, self._carry)))

        def call() -> Any:
            nonlocal carry
            carry = program(carry, gradients)
            return carry

        return Job(call, program, lambda: (carry, gradients), lambda result: result)

    def _update(self, carry: Any, gradients: Any) -> Any:
        weights, slots = carry
        weights, slots, _ = self._optimizer.tree_update(2, gradients, weights, slots, self._record)
        return weights, slots

    def work(self) -> tuple[float, str]:
        return self._size, "weights"


class RecipeProgram:
    """Predictions of a few texts by a run trained on NumPy; or, to train, a whole training with the quick settings.

    Args:
        case: what is measured; NumPy is the active backend.
    """

    def __init__(self, case: Case) -> None:
        self._training = case.mode == "train"
        self.tolerance = 1e-2 if self._training else 1e-4
        self._recipe = RecipeCase(case.subject.text)
        if self._recipe.problem:
            raise LayerkitError(self._recipe.problem)
        if not self._training:
            trained = self._recipe.trial(REFERENCE)
            if isinstance(trained, Exception):
                raise trained

    def job(self, backend: Backend) -> Job:
        if self._training:
            train = functools.partial(self._recipe.train, backend.name, None)
            return Job(train, None, tuple, lambda run: _numbers(run.predict(list(TEXTS))))
        from layerkit import runs

        run = runs.load(self._recipe.output(REFERENCE))
        return Job(functools.partial(run.predict, list(TEXTS)), None, tuple, _numbers)

    def work(self) -> tuple[float, str]:
        return (1.0, "trainings") if self._training else (float(len(TEXTS)), "texts")


def _numbers(predictions: Any) -> Any:
    """What predictions hold in numbers: log-probabilities, or where there are none, scores."""
    return [onp.asarray(one.log_probs if len(one.log_probs) else one.score, onp.float32) for one in predictions]
