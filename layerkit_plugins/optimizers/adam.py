"""Adam, and Adam with weight decay."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as onp

import layerkit as lk
from layerkit.fastmath import numpy as np
from layerkit_plugins.optimizers.adam_rows import Numbers, move_rows
from layerkit_plugins.optimizers.momenta import has_rules

__all__ = ["Adam", "AdamW"]

_LEAST_EPS = 1e-15  # its square is a divisor


class Adam(lk.Optimizer):
    """m <- b1 m + (1 - b1) g;  v <- b2 v + (1 - b2) g^2;  w <- w - learning_rate * m' / (sqrt(v') + eps).

    m' = m / (1 - b1^t) and v' = v / (1 - b2^t), with t = step + 1, undo that m and v start at 0. Kingma & Ba, "Adam: a
    method for stochastic optimization", ICLR 2015, arXiv:1412.6980. Slots: (m, v), both like the weight, zeros at
    first.

    Args:
        learning_rate: a number, or a function of the step.
        weight_decay_rate: decoupled weight decay, see ``lk.Optimizer``. (Trax's Adam decays by default.)
        b1: how much of m stays from step to step, in [0, 1).
        b2: how much of v stays from step to step, in [0, 1).
        eps: keeps the quotient finite, above 0. Gradients much smaller than it hardly move a weight; the paper has
            1e-8.
        clip_grad_norm: the norm of all gradients together is scaled down to it, where it is larger.

    >>> from layerkit.fastmath import numpy as np
    >>> adam = Adam(0.01)
    >>> adam
    Adam(learning_rate=0.01)
    >>> weight = np.array([1.0, 1.0])
    >>> slots, opt_params = adam.tree_init(weight)
    >>> weight, slots, _ = adam.tree_update(0, np.array([100.0, -0.1]), weight, slots, opt_params)
    >>> [round(w, 5) for w in weight.tolist()]
    [0.99, 1.01]
    """

    limits: ClassVar[Mapping[str, str]] = {"b1": "[0, 1)", "b2": "[0, 1)", "eps": "(0, inf)"}
    skips_at_any_rate: ClassVar[bool] = True

    def __init__(
        self,
        learning_rate: Any = 0.0001,
        weight_decay_rate: float = 0.0,
        b1: float = 0.9,
        b2: float = 0.999,
        eps: float = 1e-5,
        clip_grad_norm: float | None = None,
    ) -> None:
        super().__init__(learning_rate, clip_grad_norm, weight_decay_rate, b1=b1, b2=b2, eps=eps)

    def init(self, param: Any) -> Any:
        return np.zeros_like(param), np.zeros_like(param)

    def overwrite(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> tuple[Any, Any]:
        m, v = slots
        learning_rate, b1, b2, eps = opt_params
        # Both corrections are scalars, and scale the scalars: dividing m and v by them would cost two more passes.
        root = np.sqrt(1 - b2 ** (step + 1))
        rate = learning_rate * root / (1 - b1 ** (step + 1))
        m *= b1
        m += (1 - b1) * grads
        square = np.square(grads)
        square *= 1 - b2
        v *= b2
        v += square
        below: Any = np.sqrt(v)
        below += eps * root
        move = m / below
        move *= rate
        param -= move
        return param, (m, v)

    def cannot_skip(self) -> str:
        b1, b2, eps = (float(self._options[name]) for name in ("b1", "b2", "eps"))
        if eps < _LEAST_EPS:
            return f"with eps {eps:.6g} the steps that a row missed cannot be summed in float32"
        if not has_rules(b1, b2):
            return f"with b1 {b1:.6g} and b2 {b2:.6g} the steps that a row missed have no short sum"
        return super().cannot_skip()

    def skip_rows(self, step: Any, last: Any, param_rows: Any, slot_rows: Any, opt_params: Any) -> tuple[Any, Any]:
        """Rows and slots after steps without a gradient: w moves on by m, which fades, over sqrt(v), which does too."""
        m, v = slot_rows
        b1, b2, eps = map(float, opt_params[1:])
        missed = self.missed_steps(step, last, opt_params, param_rows)
        if type(param_rows) is onp.ndarray and not lk.fastmath.is_traced(last):
            move_rows(missed, last, param_rows, slot_rows, opt_params.learning_rate, Numbers(b1, b2, eps))
            return param_rows, slot_rows
        from layerkit_plugins.optimizers.quadrature import changing_rule, steady_rule  # a first step needs no rule

        rule = steady_rule(b1, b2) if missed.steady else changing_rule(b1, b2)
        if rule is None:
            raise lk.LayerkitError(f"{type(self).__name__}: {self.cannot_skip()}")
        if missed.steady:
            nodes, strengths = map(missed.look_up, rule)
            strengths = opt_params.learning_rate * strengths
        else:
            nodes, strengths = rule.nodes.astype(param_rows.dtype), missed.sums(rule.weights)
        moved: Any = 0.0
        if b1:
            time = last[:, None].astype(param_rows.dtype) + (nodes + 1)
            strengths = strengths / -np.expm1(time * math.log(b1))
            spread = np.exp(nodes * (0.5 * math.log(b2))) / np.sqrt(-np.expm1(time * math.log(b2)))
            moved = _sum_of_quotients(strengths / spread, eps / spread, v)
            moved *= m
        kept = missed.decay()
        param_rows = (param_rows if kept is None else kept * param_rows) - moved
        return param_rows, (m * missed.power(b1), v * missed.power(b2))


def _sum_of_quotients(strengths: Any, offsets: Any, v: Any) -> Any:
    """sum_i strengths[i] / (sqrt(v) + offsets[i]); strengths and offsets: (rows, n), n even.

    Two quotients become one: a division takes as long as ten multiplications.
    """
    root: Any = np.sqrt(v)
    n = strengths.shape[1] // 2
    (w0, w1), (e0, e1) = ((x[:, :n], x[:, n:]) for x in (strengths, offsets))
    factors = np.concatenate([w0 + w1, w0 * e1 + w1 * e0, e0 + e1, e0 * e1], axis=1)
    columns = np.split(np.reshape(factors, (*factors.shape, *[1] * (len(v.shape) - 2))), 4 * n, axis=1)
    return sum(
        (above * root + rest) / ((slope + root) * root + constant)
        for above, rest, slope, constant in zip(*[columns[i * n : (i + 1) * n] for i in range(4)], strict=True)
    )


class AdamW(Adam):
    """Adam with the weight decay, and the defaults, that are usual under this name.

    w <- (1 - learning_rate * weight_decay_rate) w before each step of Adam. Loshchilov & Hutter, "Decoupled weight
    decay regularization", ICLR 2019, arXiv:1711.05101.

    Args:
        learning_rate: a number, or a function of the step.
        weight_decay_rate: the decay of weights, for a learning rate of 1.
        b1: how much of m stays from step to step, in [0, 1).
        b2: how much of v stays from step to step, in [0, 1).
        eps: keeps the quotient finite, above 0.
        clip_grad_norm: the norm of all gradients together is scaled down to it, where it is larger.

    >>> from layerkit.fastmath import numpy as np
    >>> adam = AdamW(0.1, weight_decay_rate=0.5)
    >>> weight = np.array([1.0])
    >>> slots, opt_params = adam.tree_init(weight)
    >>> round(float(adam.tree_update(0, np.array([0.0]), weight, slots, opt_params)[0][0]), 5)
    0.95
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        weight_decay_rate: float = 0.01,
        b1: float = 0.9,
        b2: float = 0.999,
        eps: float = 1e-8,
        clip_grad_norm: float | None = None,
    ) -> None:
        super().__init__(learning_rate, weight_decay_rate, b1, b2, eps, clip_grad_norm)
