"""What checks of an optimizer share: how it is made, weights and gradients to try it on, and its runs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as onp

from layerkit.errors import an
from layerkit.fastmath import nested_map, use_backend
from layerkit.optimizer import Optimizer
from layerkit.plugins import registry
from layerkit.plugins.problems import one_line
from layerkit.testing.blame import faults_of, installed_backends
from layerkit.testing.suite import Fault, Suite

__all__ = ["OPTIMIZERS", "SHAPES", "OptimizerCase", "check", "gradients_like", "numbers", "run", "weights_of_a_model"]

Formula = Callable[[Any, list[Any], Any], Any]
"""``formula(weight, gradients, opt_params) -> weight`` after them all, in NumPy's float64."""

SHAPES: tuple[tuple[int, ...], ...] = ((), (5,), (3, 4), (2, 3, 2), (1, 3))

_RATE = 0.05


class Affine(NamedTuple):
    """A record of weights, as layers keep them."""

    kernel: Any
    bias: Any


@dataclass
class OptimizerCase:
    """An optimizer, or what makes one, and its formula if it has one."""

    subject: Any
    """A constructor, whose first argument is the learning rate, or an optimizer."""

    formula: Formula | None = None
    """What it is held to; the constructor's own attribute ``formula`` where this is not given."""

    arguments: Mapping[str, Any] = field(default_factory=dict)
    """What else the constructor is given."""

    figures: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.subject, Optimizer):
            self.arguments = {**self.subject._arguments, **self.arguments}
            self.subject = type(self.subject)
        if self.formula is None:
            self.formula = getattr(self.subject, "formula", None)
        self.problem = ""
        self.only_on: Sequence[str] | None = None
        try:
            optimizer = self.make()
            self.only_on = optimizer.backends
            with use_backend(self.backends[0]), faults_of(self.name):
                _make_a_step(optimizer)
        except Fault as fault:
            self.problem = str(fault)

    @property
    def name(self) -> str:
        return str(getattr(self.subject, "__name__", type(self.subject).__name__))

    @functools.cached_property
    def backends(self) -> list[str]:
        if self.only_on is None:
            return installed_backends()
        offered = registry.backend_names()
        able = [n for n in self.only_on if n in offered and not registry.missing_modules(registry.backends.get(n))]
        if not able:
            raise Fault(f"{self.name} runs on {' and '.join(self.only_on) or 'no backend'} alone, not installed here")
        return able

    def made(self, learning_rate: Any = _RATE) -> Any:
        """What the constructor gives, as it comes."""
        more = {name: value for name, value in self.arguments.items() if name != "learning_rate"}
        try:
            return self.subject(learning_rate, **more)
        except Exception as error:
            raise Fault(f"{self.name}({learning_rate!r}) cannot be made: {one_line(error)}") from error

    def make(self, learning_rate: Any = _RATE, clip_grad_norm: float | None = None, decay: float = 0.0) -> Optimizer:
        """An optimizer whose steps depend on gradients alone: weight decay and clipping are off unless asked for."""
        optimizer = self.made(learning_rate)
        if not isinstance(optimizer, Optimizer):
            raise Fault(f"{self.name}({learning_rate!r}) gives {an(type(optimizer).__name__)}, no lk.Optimizer")
        optimizer.clip_grad_norm = clip_grad_norm
        optimizer.weight_decay_rate = decay
        return optimizer


OPTIMIZERS = Suite("optimizer", "Optimizers", OptimizerCase, minimum=20)


def check(group: str, everywhere: bool = True) -> Callable[[Callable[[OptimizerCase], None]], Any]:
    """Adds a check; with ``everywhere`` it runs on each backend, and its faults say on which."""

    def add(function: Callable[[OptimizerCase], None]) -> Any:
        @functools.wraps(function)
        def run(case: OptimizerCase) -> None:
            for backend in case.backends if everywhere else case.backends[:1]:
                with use_backend(backend), faults_of(case.name, backend if everywhere else ""):
                    function(case)

        return OPTIMIZERS.check(group)(run)

    return add


def _make_a_step(optimizer: Optimizer) -> None:
    weight, gradient = numbers((3, 4), 0), numbers((3, 4), 1)
    slots = optimizer.init(weight)
    try:
        new = optimizer.update(0, gradient, weight, slots, optimizer.opt_params)
    except Exception as error:
        if type(optimizer).init is Optimizer.init:
            raise Fault(
                f"{type(optimizer).__name__} raises {one_line(error)}; it has no init, so slots are ()"
            ) from error
        raise
    if not isinstance(new, (tuple, list)) or len(new) != 2:
        raise Fault("update returns two things, a weight and its slots")


def numbers(shape: tuple[int, ...], seed: int, scale: float = 1.0) -> Any:
    """Normal numbers, float32; the same for the same seed."""
    return (scale * onp.random.default_rng(seed).normal(size=shape)).astype(onp.float32)


def weights_of_a_model(seed: int = 0) -> Any:
    """Weights as a model has them: a table, a layer without any, a record, a list with a single number."""
    record = Affine(numbers((3, 2), seed + 1), numbers((2,), seed + 2))
    return numbers((4, 3), seed), (), record, [numbers((), seed + 3)]


def gradients_like(weights: Any, seed: int) -> Any:
    """Gradients for a tree of weights."""
    return nested_map(lambda weight: numbers(weight.shape, 100 + seed), weights)


def run(optimizer: Optimizer, weights: Any, n_steps: int, first: int = 0, slots: Any = None) -> tuple[Any, Any]:
    """Weights and slots after ``n_steps`` updates, from step ``first``."""
    fresh, opt_params = optimizer.tree_init(weights)
    slots = fresh if slots is None else slots
    for step in range(first, first + n_steps):
        weights, slots, _ = optimizer.tree_update(step, gradients_like(weights, step), weights, slots, opt_params)
    return weights, slots
