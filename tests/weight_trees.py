"""Trees of weights as models have them, and optimizers run on them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as onp

import layerkit as lk
from layerkit import fastmath
from layerkit.fastmath import numpy as np

__all__ = ["BACKENDS", "Dense", "SeedAdam", "host", "leaves", "numbers", "run", "same", "tree"]

BACKENDS = ["numpy", "jax"]


class Dense(NamedTuple):
    kernel: Any
    bias: Any


def host(x: Any) -> Any:
    return onp.asarray(fastmath.to_host(x))


def leaves(tree: Any) -> list[Any]:
    return [host(leaf) for leaf in fastmath.tree_leaves(tree)]


def same(one: Any, other: Any) -> bool:
    """Equal in every bit, shape and dtype."""
    pairs = zip(leaves(one), leaves(other), strict=True)
    return all(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes() for a, b in pairs)


def numbers(shape: tuple[int, ...], seed: int, scale: float = 1.0) -> Any:
    return (scale * onp.random.default_rng(seed).normal(size=shape)).astype("float32")


def tree(seed: int) -> Any:
    """Weights as a model has them: a table, layers without any, a record."""
    return (
        numbers((4, 3), seed),
        (),
        Dense(numbers((3, 2), seed + 1), numbers((2,), seed + 2)),
        [numbers((), seed + 3)],
    )


def run(optimizer: lk.Optimizer, weights: Any, n_steps: int, first: int = 0, slots: Any = None) -> tuple[Any, Any]:
    fresh, opt_params = optimizer.tree_init(weights)
    slots = fresh if slots is None else slots
    for step in range(first, first + n_steps):
        grads = fastmath.nested_map(lambda w, step=step: numbers(w.shape, 100 + step), weights)
        weights, slots, _ = optimizer.tree_update(step, grads, weights, slots, opt_params)
    return weights, slots


class SeedAdam(lk.Optimizer):
    """Adam optimizer."""

    def init(self, param):  # type: ignore[no-untyped-def]
        m = np.zeros_like(param)
        v = np.zeros_like(param)
        return m, v

    def update(self, step, grads, param, slots, opt_params):  # type: ignore[no-untyped-def]
        m, v = slots
        learning_rate, b1, b2, eps = opt_params
        m = (1 - b1) * grads + b1 * m  # First moment estimate.  # fmt: skip
        v = (1 - b2) * (grads ** 2) + b2 * v  # Second moment estimate.  # fmt: skip
        mhat = m / (1 - b1 ** (step + 1))  # Bias correction.  # fmt: skip
        vhat = v / (1 - b2 ** (step + 1))  # Bias correction.  # fmt: skip
        param = param - (
            learning_rate * mhat / (np.sqrt(vhat) + eps)).astype(param.dtype)  # fmt: skip
        return param, (m, v)
