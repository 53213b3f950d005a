"""Adagrad: gradients divided by the size of all that came before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import layerkit as lk
from layerkit.fastmath import numpy as np

__all__ = ["Adagrad"]


class Adagrad(lk.Optimizer):
    """v <- v + g^2;  w <- w - learning_rate * g / (sqrt(v) + eps).

    Duchi, Hazan & Singer, "Adaptive subgradient methods for online learning and stochastic optimization", JMLR 2011.
    Slots: v, like the weight. Weights that seldom have a gradient, such as the rows of rare words, keep long steps.

    Args:
        learning_rate: a number, or a function of the step.
        initial_accumulator_value: what v starts at, at least 0; above 0 it shortens the first steps.
        eps: keeps the quotient finite, above 0.
        clip_grad_norm: the norm of all gradients together is scaled down to it, where it is larger.
        weight_decay_rate: decoupled weight decay, see ``lk.Optimizer``.

    >>> from layerkit.fastmath import numpy as np
    >>> adagrad = Adagrad(0.5)
    >>> param, v = adagrad.update(0, np.array([4.0]), np.array([1.0]), np.array([9.0]), adagrad.opt_params)
    >>> param.tolist(), v.tolist()
    ([0.6000000238418579], [25.0])
    """

    limits: ClassVar[Mapping[str, str]] = {"initial_accumulator_value": "[0, inf)", "eps": "(0, inf)"}
    skips_at_any_rate: ClassVar[bool] = True

    def __init__(
        self,
        learning_rate: Any = 0.01,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        clip_grad_norm: float | None = None,
        weight_decay_rate: float = 0.0,
    ) -> None:
        super().__init__(
            learning_rate,
            clip_grad_norm,
            weight_decay_rate,
            eps=eps,
            initial_accumulator_value=initial_accumulator_value,
        )

    def init(self, param: Any) -> Any:
        return np.full_like(param, self.opt_params.initial_accumulator_value)

    def overwrite(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> tuple[Any, Any]:
        slots += np.square(grads)
        below = np.sqrt(slots)
        below += opt_params.eps
        param -= opt_params.learning_rate * grads / below
        return param, slots

    def skip_rows(self, step: Any, last: Any, param_rows: Any, slot_rows: Any, opt_params: Any) -> tuple[Any, Any]:
        """Rows and slots after steps without a gradient: weight decay alone moves them."""
        kept = self.missed_steps(step, last, opt_params, param_rows).decay()
        return param_rows if kept is None else kept * param_rows, slot_rows
