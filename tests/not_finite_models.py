"""Models in which one known layer makes the first number that is not finite, on the way forth or on the way back.

``HERE`` marks that layer by its name. Row 2 of the batch is the one it happens on, unless a case says otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as onp

import layerkit as lk
from layerkit import layers as tl
from layerkit.fastmath import numpy as np

__all__ = ["ALL_ROWS", "CASES", "Case"]

ROWS, WIDTH = 4, 3
ALL_ROWS = tuple(range(ROWS))


class Case(NamedTuple):
    """A model, its loss and batch; where the fault is, and which rows it is on."""

    name: str
    make: Callable[[], lk.Layer]
    path: str
    gradient: bool = False
    """Whether the loss is finite, and its gradient is not."""
    rows: tuple[int, ...] = (2,)
    inputs: Callable[[], Any] | None = None
    loss: Callable[[], lk.Layer] | None = None
    spoil: Callable[[lk.Layer], None] | None = None
    """Changes the weights."""
    weight: str = ""
    """The first weight whose gradient is not finite."""


def batch() -> Any:
    """Ones; row 2 is 0."""
    x = onp.ones((ROWS, WIDTH), onp.float32)
    x[2] = 0
    return x


def sequences() -> Any:
    """(length, rows, width), ones; row 2 becomes 0 at the third step."""
    x = onp.ones((5, ROWS, WIDTH), onp.float32)
    x[2, 2] = 0
    return x


def ids() -> Any:
    return onp.array([[1, 2], [3, 4], [5, 6], [1, 1]], onp.int32)


def total() -> lk.Layer:
    return lk.Fn("Total", lambda y, target: y.sum())


class Scale(lk.Layer):
    """y = x * s, s a scalar weight of 1."""

    weight_name = "scale"

    def init_weights_and_state(self, signature: Any) -> None:
        self.weights = np.ones(())

    def forward(self, x: Any) -> Any:
        return x * self.weights


class Power(lk.Layer):
    """y = x + w ** 0.5 - 1 with w = 1, or 0 where it is spoilt: there its slope is infinite."""

    weight_name = "base"

    def init_weights_and_state(self, signature: Any) -> None:
        self.weights = np.ones(())

    def forward(self, x: Any) -> Any:
        return x + np.sqrt(self.weights)


class Outer(lk.Layer):
    """sqrt(sublayer(x)): the root is this layer's own, the sublayer is sound."""

    def forward(self, x: Any) -> Any:
        return np.sqrt(self.sublayers[0](x))


class Guarded(lk.Layer):
    """x, with a backward of its own that divides by it."""

    has_backward = True

    def forward(self, x: Any) -> Any:
        return x + 0.0

    def backward(self, x: Any, y: Any, grad: Any, weights: Any, state: Any, new_state: Any, rng: Any) -> Any:
        return grad / x, ()


def inverse() -> lk.Layer:
    """1 / x: infinite at 0."""
    return tl.Fn("HERE", lambda x: 1 / x)


def root() -> lk.Layer:
    """sqrt(x): finite at 0, and its slope is not."""
    return tl.Fn("HERE", lambda x: np.sqrt(x))


def same(name: str = "Same") -> lk.Layer:
    return tl.Fn(name, lambda x: x)


def step_of(layer: lk.Layer) -> lk.Layer:
    """A step of a scan, (x, carry) -> (layer(x), carry)."""
    return tl.Serial(tl.Parallel(layer, same("Carry")))


def _spoil_table(model: lk.Layer) -> None:
    table = onp.ones((7, WIDTH), onp.float32)
    table[6] = onp.nan
    model.weights = (table, *model.weights[1:])


def _spoil_base(model: lk.Layer) -> None:
    model.weights = (model.weights[0], onp.float32(0), *model.weights[2:])


def _scan(layer: Callable[[], lk.Layer]) -> Callable[[], lk.Layer]:
    def make() -> lk.Layer:
        carry = tl.Fn("Carry0", lambda x: x[0])
        return tl.Serial(Scale(), tl.Branch(None, carry), lk.Scan(step_of(layer())), tl.Select([0], n_in=2))

    return make


def _tied() -> lk.Layer:
    """f(f(x)) with f(x) = 1 / (x - 1): infinite at 2, since f(2) is 1."""
    tied = tl.Fn("HERE", lambda x: 1 / (x - 1))
    return tl.Serial(tied, same(), tied)


CASES: list[Case] = [
    Case("alone", inverse, "HERE"),
    Case("last of a Serial", lambda: tl.Serial(Scale(), same(), inverse()), "Serial > 2:HERE"),
    Case("followed by sound layers", lambda: tl.Serial(inverse(), Scale()), "Serial > 0:HERE"),
    Case(
        "hidden by a layer that makes it finite again",
        lambda: tl.Serial(Scale(), inverse(), tl.Tanh()),
        "Serial > 1:HERE",
        True,
        weight="",
    ),
    Case(
        "in a Branch",
        lambda: tl.Serial(Scale(), tl.Branch(same(), [same(), inverse()], same()), tl.Add(), tl.Add()),
        "Serial > 1:Branch > 1:Serial > 1:HERE",
    ),
    Case(
        "in a Parallel",
        lambda: tl.Serial(Scale(), tl.Dup(), tl.Parallel(inverse(), tl.Relu()), tl.Add()),
        "Serial > 2:Parallel > 0:HERE",
    ),
    Case(
        "in a Residual",
        lambda: tl.Serial(Scale(), tl.Residual(tl.Relu(), inverse())),
        "Serial > 1:Residual > 1:HERE",
    ),
    Case("in a Map", lambda: tl.Serial(Scale(), lk.Map(inverse(), axis=1)), "Serial > 1:Map > 0:HERE"),
    Case(
        "in a Scan",
        _scan(lambda: tl.Serial(same(), inverse())),
        "Serial > 2:Scan > 0:Serial > 0:Parallel > 0:Serial > 1:HERE",
        inputs=sequences,
    ),
    Case(
        "the second of two places",
        _tied,
        "Serial > 2:HERE",
        inputs=lambda: 5 - 3 * (1 - batch()),
    ),
    Case(
        "a layer made of layers, itself",
        lambda: tl.Serial(Scale(), Outer(sublayers=[tl.Fn("Less", lambda x: x - 0.5)])),
        "Serial > 1:Outer",
    ),
    Case(
        "a table with a row of NaN",
        lambda: tl.Serial(tl.Embedding(7, WIDTH), tl.Mean(axis=1)),
        "Serial > 0:Embedding_7_3",
        inputs=ids,
        spoil=_spoil_table,
    ),
    Case(
        "overflow of a Dense",
        lambda: tl.Serial(
            tl.Fn("Big", lambda x: (1 - x) * 3e38), tl.Dense(4, kernel_initializer=lambda shape, rng: np.ones(shape))
        ),
        "Serial > 1:Dense_4",
    ),
    Case(
        "a softmax of nothing",
        lambda: tl.Serial(
            Scale(), tl.Fn("Logs", lambda x: np.log(x + 1e-30)), tl.Fn("HERE", lambda x: x / (x + 69.07755))
        ),
        "Serial > 2:HERE",
    ),
    Case("the loss", lambda: tl.Serial(Scale()), "HERE", loss=lambda: tl.Fn("HERE", lambda y, t: np.log(y).sum())),
    Case(
        "inside the loss",
        lambda: Scale(),
        "Serial > 1:HERE",
        loss=lambda: tl.Serial(tl.Select([0], n_in=2), tl.Fn("HERE", lambda y: np.log(y).mean())),
    ),
    # The loss is finite in all that follow, and its gradient is not.
    Case("slope of a root", lambda: tl.Serial(Scale(), root()), "Serial > 1:HERE", True, weight="0.Scale/scale"),
    Case(
        "slope of a root, in a Branch",
        lambda: tl.Serial(Scale(), tl.Branch(tl.Tanh(), tl.Serial(same(), root())), tl.Add()),
        "Serial > 1:Branch > 1:Serial > 1:HERE",
        True,
        weight="0.Scale/scale",
    ),
    Case(
        "slope of a norm, in the loss",
        lambda: tl.Serial(Scale(), tl.Tanh()),
        "HERE",
        True,
        loss=lambda: tl.Fn("HERE", lambda y, t: np.sqrt((y * y).sum(axis=1)).sum()),
        weight="0.Scale/scale",
    ),
    Case(
        "slope of a root, in a Scan",
        _scan(root),
        "Serial > 2:Scan > 0:Serial > 0:Parallel > 0:HERE",
        True,
        inputs=sequences,
        weight="0.Scale/scale",
    ),
    Case(
        "slope of a root, in a Map",
        lambda: tl.Serial(Scale(), lk.Map(root(), axis=1)),
        "Serial > 1:Map > 0:HERE",
        True,
        weight="0.Scale/scale",
    ),
    Case(
        "a layer made of layers, its own slope",
        lambda: tl.Serial(Scale(), Outer(sublayers=[Scale()])),
        "Serial > 1:Outer",
        True,
        weight="0.Scale/scale",
    ),
    Case(
        "a backward of its own",
        lambda: tl.Serial(Scale(), Guarded(), tl.Tanh()),
        "Serial > 1:Guarded",
        True,
        weight="0.Scale/scale",
    ),
    Case(
        "for its own weight alone",
        lambda: tl.Serial(Scale(), Power(), tl.Tanh()),
        "Serial > 1:Power",
        True,
        rows=(),
        spoil=_spoil_base,
        weight="1.Power/base",
    ),
    Case(
        "where both arms are computed",
        lambda: tl.Serial(Scale(), tl.Fn("HERE", lambda x: np.where(x > 0, np.log(x), 0.0))),
        "Serial > 1:HERE",
        True,
        weight="0.Scale/scale",
    ),
]
