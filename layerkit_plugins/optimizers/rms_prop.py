"""RMSProp: gradients divided by their own recent size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import layerkit as lk
from layerkit.fastmath import numpy as np

__all__ = ["RMSProp"]


class RMSProp(lk.Optimizer):
    """v <- gamma * v + (1 - gamma) * g^2;  w <- w - learning_rate * g / (sqrt(v) + eps).

    Hinton, Srivastava & Swersky 2012, "Neural networks for machine learning", lecture 6e. Slots: v, like the weight,
    **ones** at first, as in Trax: from zeros, the first step of every weight would be 1 / sqrt(1 - gamma) learning
    rates long, be its gradient signal or noise. From ones the first steps are those of SGD, until v has learned the
    size of the gradients, some 1 / (1 - gamma) steps later.

    Args:
        learning_rate: a number, or a function of the step.
        gamma: how much of v stays from step to step, in [0, 1).
        eps: keeps the quotient finite, above 0.
        clip_grad_norm: the norm of all gradients together is scaled down to it, where it is larger.
        weight_decay_rate: decoupled weight decay, see ``lk.Optimizer``.

    >>> from layerkit.fastmath import numpy as np
    >>> rms_prop = RMSProp(0.5, gamma=0.5)
    >>> param, v = rms_prop.update(0, np.array([7.0]), np.array([1.0]), np.array([1.0]), rms_prop.opt_params)
    >>> param.tolist(), v.tolist()
    ([0.30000001192092896], [25.0])
    """

    limits: ClassVar[Mapping[str, str]] = {"gamma": "[0, 1)", "eps": "(0, inf)"}
    skips_at_any_rate: ClassVar[bool] = True

    def __init__(
        self,
        learning_rate: Any = 0.001,
        gamma: float = 0.9,
        eps: float = 1e-8,
        clip_grad_norm: float | None = None,
        weight_decay_rate: float = 0.0,
    ) -> None:
        super().__init__(learning_rate, clip_grad_norm, weight_decay_rate, gamma=gamma, eps=eps)

    def init(self, param: Any) -> Any:
        return np.ones_like(param)

    def overwrite(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> tuple[Any, Any]:
        learning_rate, gamma, eps = opt_params
        slots *= gamma
        slots += (1 - gamma) * np.square(grads)
        below = np.sqrt(slots)
        below += eps
        param -= learning_rate * grads / below
        return param, slots

    def skip_rows(self, step: Any, last: Any, param_rows: Any, slot_rows: Any, opt_params: Any) -> tuple[Any, Any]:
        """Rows and slots after steps without a gradient: v fades, and weight decay alone moves the rows."""
        missed = self.missed_steps(step, last, opt_params, param_rows)
        kept = missed.decay()
        return param_rows if kept is None else kept * param_rows, slot_rows * missed.power(float(opt_params.gamma))
