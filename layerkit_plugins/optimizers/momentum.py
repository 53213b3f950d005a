"""Gradient descent with momentum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as onp

import layerkit as lk
from layerkit.fastmath import numpy as np
from layerkit_plugins.optimizers.momenta import n_steps_of

__all__ = ["Momentum"]


class Momentum(lk.Optimizer):
    """v <- mass * v + g;  w <- w - learning_rate * (g + mass * v), or without Nesterov's look ahead, * v.

    Polyak 1964, "Some methods of speeding up the convergence of iteration methods"; Nesterov's form as in Sutskever,
    Martens, Dahl & Hinton, "On the importance of initialization and momentum in deep learning", ICML 2013.
    Slots: v, like the weight, zeros at first.

    Args:
        learning_rate: a number, or a function of the step.
        mass: how much of v stays from step to step, in [0, 1).
        weight_decay_rate: decoupled weight decay, see ``lk.Optimizer``. (Trax's Momentum decays by default.)
        nesterov: whether the step looks ahead along v.
        clip_grad_norm: the norm of all gradients together is scaled down to it, where it is larger.

    >>> from layerkit.fastmath import numpy as np
    >>> momentum = Momentum(0.5, mass=0.5)
    >>> param, velocity = momentum.update(0, np.array([2.0]), np.array([3.0]), np.array([0.0]), momentum.opt_params)
    >>> param.tolist(), velocity.tolist()
    ([1.5], [2.0])
    """

    limits: ClassVar[Mapping[str, str]] = {"mass": "[0, 1)"}
    skips_at_any_rate: ClassVar[bool] = True

    def __init__(
        self,
        learning_rate: Any = 0.01,
        mass: float = 0.9,
        weight_decay_rate: float = 0.0,
        nesterov: bool = True,
        clip_grad_norm: float | None = None,
    ) -> None:
        super().__init__(learning_rate, clip_grad_norm, weight_decay_rate, mass=mass)
        self._nesterov = nesterov

    def init(self, param: Any) -> Any:
        return np.zeros_like(param)

    def overwrite(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> tuple[Any, Any]:
        learning_rate, mass = opt_params
        slots *= mass
        slots += grads
        direction = grads + mass * slots if self._nesterov else slots
        param -= learning_rate * direction
        return param, slots

    def cannot_skip(self) -> str:
        mass = float(self._options["mass"])
        if n_steps_of(mass) is None:
            return f"with mass {mass:.6g} a gradient moves a row for too many steps"
        return super().cannot_skip()

    def skip_rows(self, step: Any, last: Any, param_rows: Any, slot_rows: Any, opt_params: Any) -> tuple[Any, Any]:
        """Rows and slots after steps without a gradient: the rows move on by a v that fades."""
        mass = float(opt_params.mass)
        missed = self.missed_steps(step, last, opt_params, param_rows)
        later = onp.arange(1, (n_steps_of(mass) or 0) + 1)
        moved = missed.sums((mass ** (later + self._nesterov))[:, None])[:, 0]
        kept = missed.decay()
        param_rows = (param_rows if kept is None else kept * param_rows) - slot_rows * missed.column(moved)
        return param_rows, slot_rows * missed.power(mass)
