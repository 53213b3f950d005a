"""Optimizers of optax by name, with learning rates and schedules as those of layerkit have them."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy
import optax

import layerkit as lk
from layerkit_optax._optimizer import Optax

__all__ = ["OptaxLion", "OptaxRMSProp"]


class _Named(Optax):
    """An optax optimizer made anew from ``opt_params`` at each step, with an update for a learning rate of 1."""

    def __init__(
        self, learning_rate: Any, clip_grad_norm: float | None, weight_decay_rate: float, **opt_params: float
    ) -> None:
        lk.Optimizer.__init__(self, learning_rate, clip_grad_norm, weight_decay_rate, **opt_params)

    __repr__ = lk.Optimizer.__repr__


class OptaxLion(_Named):
    """w <- w - learning_rate * sign(b1 * m + (1 - b1) * g);  m <- b2 * m + (1 - b2) * g.

    ``optax.lion``. Chen et al., "Symbolic discovery of optimization algorithms", arXiv:2302.06675. Slots: m, like the
    weight, zeros at first, and a count.

    Args:
        learning_rate: a number, or a function of the step.
        b1: how much of m is in the direction of a step, in [0, 1).
        b2: how much of m stays from step to step, in [0, 1).
        clip_grad_norm: the norm of all gradients together is scaled down to it, where it is larger.
        weight_decay_rate: decoupled weight decay, see ``lk.Optimizer``.

    >>> OptaxLion(0.1, b1=0.5)
    OptaxLion(learning_rate=0.1, b1=0.5)
    """

    limits: ClassVar = {"b1": "[0, 1)", "b2": "[0, 1)"}

    def __init__(
        self,
        learning_rate: Any = 0.0001,
        b1: float = 0.9,
        b2: float = 0.99,
        clip_grad_norm: float | None = None,
        weight_decay_rate: float = 0.0,
    ) -> None:
        super().__init__(learning_rate, clip_grad_norm, weight_decay_rate, b1=b1, b2=b2)

    def transformation(self, opt_params: Any) -> Any:
        return optax.lion(1.0, b1=opt_params.b1, b2=opt_params.b2, weight_decay=0.0)

    @staticmethod
    def formula(weight: Any, gradients: list[Any], opt_params: Any) -> Any:
        """The weight after all these gradients, in NumPy."""
        mean = numpy.zeros_like(weight)
        for gradient in gradients:
            direction = numpy.sign(opt_params.b1 * mean + (1 - opt_params.b1) * gradient)
            weight = weight - opt_params.learning_rate * direction
            mean = opt_params.b2 * mean + (1 - opt_params.b2) * gradient
        return weight


class OptaxRMSProp(_Named):
    """v <- decay * v + (1 - decay) * g^2;  w <- w - learning_rate * g / sqrt(v + eps).

    ``optax.rmsprop``. Tieleman & Hinton, "Lecture 6.5: RMSProp", 2012. Slots: v, like the weight, zeros at first.

    Args:
        learning_rate: a number, or a function of the step.
        decay: how much of v stays from step to step, in [0, 1).
        eps: keeps the quotient finite, above 0.
        clip_grad_norm: the norm of all gradients together is scaled down to it, where it is larger.
        weight_decay_rate: decoupled weight decay, see ``lk.Optimizer``.

    >>> OptaxRMSProp(0.01)
    OptaxRMSProp(learning_rate=0.01)
    """

    limits: ClassVar = {"decay": "[0, 1)", "eps": "(0, inf)"}

    def __init__(
        self,
        learning_rate: Any = 0.001,
        decay: float = 0.9,
        eps: float = 1e-8,
        clip_grad_norm: float | None = None,
        weight_decay_rate: float = 0.0,
    ) -> None:
        super().__init__(learning_rate, clip_grad_norm, weight_decay_rate, decay=decay, eps=eps)

    def transformation(self, opt_params: Any) -> Any:
        return optax.rmsprop(1.0, decay=opt_params.decay, eps=opt_params.eps)

    @staticmethod
    def formula(weight: Any, gradients: list[Any], opt_params: Any) -> Any:
        """The weight after all these gradients, in NumPy."""
        rate, decay, eps = opt_params
        mean = numpy.zeros_like(weight)
        for gradient in gradients:
            mean = decay * mean + (1 - decay) * gradient**2
            weight = weight - rate * gradient / numpy.sqrt(mean + eps)
        return weight
