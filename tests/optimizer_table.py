"""The one table of optimizers: how each is made, a float64 reference written from its paper, and what its slots are.

``test_optimizers.py`` drives every property for each row, on both backends, and fails where a registered optimizer has
no row. References see the numbers as the optimizer does: rounded to float32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import layerkit as lk
from layerkit import optimizers

__all__ = ["ROWS", "Row"]

Shape = tuple[int, ...]
Array = Any


class Reference:
    """One weight under one optimizer in float64: what a textbook's loop does."""

    def __init__(self, weight: Array, opt_params: Any) -> None:
        self.w = np.array(weight, np.float64)
        self.p = type(opt_params)(*(float(value) for value in opt_params))
        self.t = 0

    def step(self, gradient: Array) -> None:
        self.t += 1
        self.update(np.array(gradient, np.float64))

    def update(self, g: Array) -> None:
        raise NotImplementedError


class SGD(Reference):
    def update(self, g: Array) -> None:
        self.w = self.w - self.p.learning_rate * g


class HeavyBall(Reference):
    v = 0.0

    def update(self, g: Array) -> None:
        self.v = self.p.mass * self.v + g
        self.w = self.w - self.p.learning_rate * self.v


class Nesterov(Reference):
    """As Nesterov wrote it: the gradient is taken at the point looked ahead to, which is the weight that is kept."""

    v = 0.0

    def update(self, g: Array) -> None:
        rate, mass = self.p
        behind = self.w + rate * mass * self.v
        self.v = mass * self.v + g
        behind = behind - rate * self.v
        self.w = behind - rate * mass * self.v


class RMSProp(Reference):
    v = 1.0

    def update(self, g: Array) -> None:
        rate, gamma, eps = self.p
        self.v = gamma * self.v + (1 - gamma) * g**2
        self.w = self.w - rate / (np.sqrt(self.v) + eps) * g


class Adagrad(Reference):
    def update(self, g: Array) -> None:
        if self.t == 1:
            self.v = self.p.initial_accumulator_value
        self.v = self.v + g**2
        self.w = self.w - self.p.learning_rate * g / (np.sqrt(self.v) + self.p.eps)


class Adam(Reference):
    m = v = 0.0

    def update(self, g: Array) -> None:
        rate, b1, b2, eps = self.p
        self.m = b1 * self.m + (1 - b1) * g
        self.v = b2 * self.v + (1 - b2) * g**2
        m_hat, v_hat = self.m / (1 - b1**self.t), self.v / (1 - b2**self.t)
        self.w = self.w - rate * m_hat / (np.sqrt(v_hat) + eps)


class Adafactor(Reference):
    """Algorithms 4 and 5 of the paper, with row sums and column sums, and the matrix v written out."""

    factored = scaled = clipped = True
    momentum = False
    m: Any = 0.0

    def update(self, g: Array) -> None:
        p = self.p
        b = 1 - self.t**-p.decay_rate
        squares = g**2 + p.epsilon1
        if self.t == 1:
            self.v, self.row, self.column = (np.zeros(g.shape), 0.0, 0.0)
        if self.factored and g.ndim > 1:
            self.row = b * self.row + (1 - b) * squares.sum(-1, keepdims=True)
            self.column = b * self.column + (1 - b) * squares.sum(-2, keepdims=True)
            v = self.row * self.column / self.row.sum(-2, keepdims=True)
        else:
            v = self.v = b * self.v + (1 - b) * squares
        u = g / np.sqrt(v)
        if self.clipped:
            u = u / max(1.0, np.sqrt(np.mean(u**2)) / p.clipping_threshold)
        rate = p.learning_rate * (max(p.epsilon2, np.sqrt(np.mean(self.w**2))) if self.scaled else 1)
        step = rate * u
        if self.momentum:
            step = self.m = p.beta1 * self.m + (1 - p.beta1) * step
        self.w = self.w - step


class PlainAdafactor(Adafactor):
    factored = scaled = clipped = False
    momentum = True


class SM3(Reference):
    """SM3-II of the paper, number by number."""

    kind = "ema"
    m: Any = 0.0

    def update(self, g: Array) -> None:
        rate, momentum, averaging = self.p
        covers = [(axis, i) for axis in range(g.ndim) for i in range(g.shape[axis])] if g.ndim else [None]
        if self.t == 1:
            self.mu = dict.fromkeys(covers, 0.0)
        new = dict.fromkeys(covers, 0.0)
        u = np.zeros_like(g)
        for at in np.ndindex(g.shape):
            mine = list(enumerate(at)) if g.ndim else [None]
            fresh = g[at] ** 2 if averaging == 1 else (1 - averaging) * g[at] ** 2
            v = averaging * min(self.mu[cover] for cover in mine) + fresh
            u[at] = g[at] / np.sqrt(v) if v > 0 else 0.0
            for cover in mine:
                new[cover] = max(new[cover], v)
        self.mu = new
        self.m = momentum * self.m + ((1 - momentum) if self.kind == "ema" else 1) * u
        self.w = self.w - rate * (u + momentum * self.m if self.kind == "nesterov" else self.m)


class NesterovSM3(SM3):
    kind = "nesterov"


class HeavyBallSM3(SM3):
    kind = "heavy_ball"


# -- rows ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Row:
    """One way to make an optimizer, and what is expected of it."""

    name: str
    """The registered name."""

    reference: type[Reference]

    slots: Callable[[Shape], list[Shape]]
    """The shapes of the slots of a weight of this shape."""

    fast: float
    """A learning rate with which it finds the bottom of x^2 from 3 in 300 steps."""

    rosenbrock: float
    """One with which it gets below 0.5 on Rosenbrock's valley in 3,000 steps."""

    arguments: tuple[tuple[str, Any], ...] = ()

    def make(self, learning_rate: Any = 0.05, **more: Any) -> lk.Optimizer:
        return getattr(optimizers, self.name)(learning_rate, **{**dict(self.arguments), **more})

    @property
    def id(self) -> str:
        return f"{self.name}({', '.join(f'{name}={value}' for name, value in self.arguments)})"


def _none(shape: Shape) -> list[Shape]:
    return []


def _one(shape: Shape) -> list[Shape]:
    return [shape]


def _two(shape: Shape) -> list[Shape]:
    return [shape, shape]


def _row_and_column(shape: Shape) -> list[Shape]:
    return [shape[:-1], (*shape[:-2], shape[-1])] if len(shape) > 1 else [shape]


def _axes(shape: Shape) -> list[Shape]:
    ones = [1] * len(shape)
    return [shape, *((*ones[:i], n, *ones[i + 1 :]) for i, n in enumerate(shape))] if shape else [(), ()]


_plain = (
    ("factored", False), ("multiply_by_parameter_scale", False), ("do_clipping", False), ("do_momentum", True),
    ("beta1", 0.5),
)  # fmt: skip

ROWS = [
    Row("SGD", SGD, _none, 0.1, 0.002),
    Row("Momentum", Nesterov, _one, 0.02, 0.0005),
    Row("Momentum", HeavyBall, _one, 0.02, 0.0005, (("nesterov", False), ("mass", 0.8))),
    Row("RMSProp", RMSProp, _one, 0.02, 0.002),
    Row("RMSProp", RMSProp, _one, 0.02, 0.002, (("gamma", 0.5), ("eps", 0.1))),
    Row("Adagrad", Adagrad, _one, 1.0, 0.5),
    Row("Adagrad", Adagrad, _one, 1.0, 0.5, (("initial_accumulator_value", 0.1),)),
    Row("Adam", Adam, _two, 0.1, 0.02),
    Row("Adam", Adam, _two, 0.05, 0.02, (("b1", 0.0), ("b2", 0.9), ("eps", 1e-8))),
    Row("AdamW", Adam, _two, 0.1, 0.02, (("weight_decay_rate", 0.0),)),
    Row("Adafactor", Adafactor, _row_and_column, 0.1, 0.01),
    Row("Adafactor", PlainAdafactor, _two, 0.05, 0.003, _plain),
    Row("SM3", SM3, _axes, 1.0, 0.3),
    Row("SM3", NesterovSM3, _axes, 0.2, 0.05, (("momentum_type", "nesterov"), ("momentum", 0.5))),
    Row("SM3", HeavyBallSM3, _axes, 0.2, 0.02, (("momentum_type", "heavy_ball"), ("second_moment_averaging", 0.9))),
]
