"""SM3: second moments of a weight kept as one vector for each of its axes."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, ClassVar

import layerkit as lk
from layerkit.errors import UsageError, suggest
from layerkit.fastmath import numpy as np

__all__ = ["SM3"]

_TINY = float(np.finfo(np.float32).tiny)
_MOMENTUM_TYPES = ("ema", "heavy_ball", "nesterov")


class SM3(lk.Optimizer):
    """v = min over axes of their accumulators, + g^2;  u = g / sqrt(v);  w <- w - learning_rate * momentum(u).

    After each step the accumulator of an axis is the largest v along all other axes, so a weight (a, b, c) keeps
    a + b + c numbers. Anil, Gupta, Koren & Singer, "Memory-efficient adaptive optimization", NeurIPS 2019,
    arXiv:1901.11150 (SM3-II). Slots: (m, accumulators); m is like the weight, zeros at first.

    Args:
        learning_rate: a number, or a function of the step.
        momentum: how much of m stays from step to step, in [0, 1).
        second_moment_averaging: 1 adds the g^2 up; below 1, v <- second_moment_averaging * v +
            (1 - second_moment_averaging) * g^2.
        momentum_type: ``"ema"`` m <- momentum m + (1 - momentum) u; ``"heavy_ball"`` m <- momentum m + u;
            ``"nesterov"`` the same, and the step is u + momentum m.
        clip_grad_norm: the norm of all gradients together is scaled down to it, where it is larger.
        weight_decay_rate: decoupled weight decay, see ``lk.Optimizer``.

    Raises:
        UsageError: the momentum type is none of these.

    >>> from layerkit.fastmath import numpy as np
    >>> sm3 = SM3(0.5, momentum=0.0)
    >>> weights = np.array([[2.0, 2.0], [2.0, 2.0]])
    >>> slots, opt_params = sm3.tree_init(weights)
    >>> weights, slots, _ = sm3.tree_update(0, np.array([[3.0, 0.0], [0.0, 0.0]]), weights, slots, opt_params)
    >>> weights.tolist()
    [[1.5, 2.0], [2.0, 2.0]]
    >>> [accumulator.ravel().tolist() for accumulator in slots[1]]
    [[9.0, 0.0], [9.0, 0.0]]
    """

    limits: ClassVar[Mapping[str, str]] = {"momentum": "[0, 1)", "second_moment_averaging": "(0, 1]"}

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.9,
        second_moment_averaging: float = 1.0,
        momentum_type: str = "ema",
        clip_grad_norm: float | None = None,
        weight_decay_rate: float = 0.0,
    ) -> None:
        super().__init__(
            learning_rate,
            clip_grad_norm,
            weight_decay_rate,
            momentum=momentum,
            second_moment_averaging=second_moment_averaging,
        )
        if momentum_type not in _MOMENTUM_TYPES:
            hint = suggest(str(momentum_type), _MOMENTUM_TYPES)
            raise UsageError(f"SM3: unknown momentum_type {momentum_type!r}: {hint}")
        self._momentum_type = momentum_type

    def init(self, param: Any) -> Any:
        m = np.zeros_like(param)
        # Kept in the shape that broadcasts against the weight: (a, 1, 1), (1, b, 1), (1, 1, c).
        return m, tuple(np.sum(m, axis=others, keepdims=True) for others in _others(param))

    def update(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> tuple[Any, Any]:
        m, accumulators = slots
        learning_rate, momentum, averaging = opt_params
        fresh = np.where(averaging < 1, 1 - averaging, averaging)
        v = averaging * functools.reduce(np.minimum, accumulators) + fresh * np.square(grads)
        # v is 0 only where no gradient has been: 0 / sqrt(tiny) is 0.
        u = grads / np.sqrt(np.maximum(v, _TINY))
        accumulators = tuple(np.max(v, axis=others, keepdims=True) for others in _others(param))
        m = momentum * m + (1 - momentum if self._momentum_type == "ema" else 1) * u
        direction = u + momentum * m if self._momentum_type == "nesterov" else m
        return param - learning_rate * direction, (m, accumulators)


def _others(param: Any) -> list[tuple[int, ...]]:
    """For each axis, all others; a weight with one axis or none has itself for accumulator."""
    rank = len(param.shape)
    return [tuple(a for a in range(rank) if a != axis) for axis in range(rank)] or [()]
