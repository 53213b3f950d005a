"""Gradient descent."""

from __future__ import annotations

from typing import Any, ClassVar

import layerkit as lk

__all__ = ["SGD"]


class SGD(lk.Optimizer):
    """w <- w - learning_rate * g: gradient descent; stochastic, when g comes from a batch.

    Robbins & Monro 1951, "A stochastic approximation method". No slots.

    Args:
        learning_rate: a number, or a function of the step.
        clip_grad_norm: the norm of all gradients together is scaled down to it, where it is larger.
        weight_decay_rate: decoupled weight decay, see ``lk.Optimizer``.

    >>> from layerkit.fastmath import numpy as np
    >>> sgd = SGD(0.5)
    >>> sgd
    SGD(learning_rate=0.5)
    >>> sgd.update(0, np.array([2.0]), np.array([3.0]), (), sgd.opt_params)[0].tolist()
    [2.0]
    """

    skips_at_any_rate: ClassVar[bool] = True

    def __init__(
        self, learning_rate: Any = 0.01, clip_grad_norm: float | None = None, weight_decay_rate: float = 0.0
    ) -> None:
        super().__init__(learning_rate, clip_grad_norm, weight_decay_rate)

    def overwrite(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> tuple[Any, Any]:
        param -= opt_params.learning_rate * grads
        return param, slots

    def skip_rows(self, step: Any, last: Any, param_rows: Any, slot_rows: Any, opt_params: Any) -> tuple[Any, Any]:
        """Rows after steps without a gradient: weight decay alone moves them."""
        kept = self.missed_steps(step, last, opt_params, param_rows).decay()
        return param_rows if kept is None else kept * param_rows, slot_rows
