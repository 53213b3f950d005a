"""Learning rates that change from step to step.

Each function here returns a schedule: a function of the step. For a known step it gives a Python float; inside ``jit``,
where the step is not known, an array. Give one to an optimizer, ``Adam(learning_rate=warmup(100, 0.001))``, or to a
``TrainTask``. An optimizer counts its steps from 0, where a warm-up is still at 0.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as onp

from layerkit.errors import UsageError, suggest
from layerkit.fastmath import is_traced
from layerkit.fastmath import numpy as np
from layerkit.numbers import real, whole

__all__ = ["Schedule", "constant", "cosine", "multifactor", "warmup", "warmup_and_rsqrt_decay"]

Curve = Callable[[Any, Any], Any]


class Schedule:
    """A function from the step to the learning rate that prints as the call that made it.

    Args:
        text: what ``repr`` shows.
        curve: ``(step, m) -> rate``, written with the functions of the module ``m``: NumPy's for a known step, those of
            ``layerkit.fastmath.numpy`` for one that is not.

    >>> halved = Schedule("halved(0.1)", lambda step, m: 0.1 * m.where(step < 10, 1.0, 0.5))
    >>> halved, halved(10)
    (halved(0.1), 0.05)
    """

    def __init__(self, text: str, curve: Curve) -> None:
        self._text = text
        self._curve = curve

    def __call__(self, step: Any) -> Any:
        """The learning rate of a step, counted from 0."""
        if hasattr(step, "dtype") and is_traced(step):
            return np.asarray(self._curve(step.astype(onp.float32), np), onp.float32)
        return float(self._curve(float(step), onp))

    def __repr__(self) -> str:
        return self._text


def constant(value: float) -> Schedule:
    """The same learning rate at every step.

    >>> constant(0.1)(1000)
    0.1
    """
    rate = real("constant: value", value, at_least=0)
    return Schedule(_text(constant, value=value), lambda step, m: rate)


def warmup(n_warmup_steps: int, max_value: float) -> Schedule:
    """max_value * step / (n_warmup_steps + 1), up to step n_warmup_steps; max_value from then on.

    Args:
        n_warmup_steps: how many steps after step 0 stay below ``max_value``.
        max_value: the learning rate after them.

    >>> [warmup(3, 0.4)(step) for step in (0, 1, 2, 3, 4, 5)]
    [0.0, 0.1, 0.2, 0.30000000000000004, 0.4, 0.4]
    """
    ramp = _ramp("warmup", n_warmup_steps, max_value)
    return Schedule(_text(warmup, n_warmup_steps=n_warmup_steps, max_value=max_value), ramp)


def warmup_and_rsqrt_decay(n_warmup_steps: int, max_value: float) -> Schedule:
    """As ``warmup``, then max_value * sqrt((n_warmup_steps + 1) / step).

    Vaswani et al., "Attention is all you need", NeurIPS 2017, arXiv:1706.03762.

    Args:
        n_warmup_steps: how many steps after step 0 stay below ``max_value``.
        max_value: the largest learning rate.

    >>> [warmup_and_rsqrt_decay(3, 0.4)(step) for step in (2, 4, 16)]
    [0.2, 0.4, 0.2]
    """
    ramp = _ramp("warmup_and_rsqrt_decay", n_warmup_steps, max_value)
    top = n_warmup_steps + 1
    return Schedule(
        _text(warmup_and_rsqrt_decay, n_warmup_steps=n_warmup_steps, max_value=max_value),
        lambda step, m: ramp(step, m) * m.sqrt(top / m.maximum(step, top)),
    )


def cosine(
    n_steps: int, max_value: float, min_value: float = 0.0, n_warmup_steps: int = 0, restarts: bool = False
) -> Schedule:
    """min_value + (max_value - min_value) (1 + cos(pi t)) / 2,  t = (step - n_warmup_steps) / n_steps.

    Before it the learning rate rises in a line from 0; after it the rate stays at ``min_value``, or with ``restarts``
    jumps up and falls again every ``n_steps``. Loshchilov & Hutter, "SGDR: stochastic gradient descent with warm
    restarts", ICLR 2017, arXiv:1608.03983.

    Args:
        n_steps: how many steps the fall takes.
        max_value: the largest learning rate.
        min_value: the smallest.
        n_warmup_steps: how many steps the rise takes.
        restarts: whether it starts again and again.

    >>> [round(cosine(100, 0.1)(step), 6) for step in (0, 50, 100, 150)]
    [0.1, 0.05, 0.0, 0.0]
    >>> [round(cosine(100, 0.1, restarts=True)(step), 6) for step in (50, 100, 150)]
    [0.05, 0.1, 0.05]
    """
    given = dict(locals())
    length = whole("cosine: n_steps", n_steps, 1)
    rise = whole("cosine: n_warmup_steps", n_warmup_steps, 0)
    low = real("cosine: min_value", min_value, at_least=0)
    high = real("cosine: max_value", max_value, at_least=low)

    def curve(step: Any, m: Any) -> Any:
        t = (step - rise) / length
        t = t - m.floor(t) if restarts else m.clip(t, 0.0, 1.0)
        fall = low + (high - low) * 0.5 * (1.0 + m.cos(math.pi * t))
        return m.where(step < rise, high * step / max(rise, 1), fall)

    return Schedule(_text(cosine, **given), curve)


def multifactor(
    factors: str = "constant * linear_warmup * rsqrt_decay",
    constant: float = 0.1,
    warmup_steps: int = 400,
    decay_factor: float = 0.5,
    steps_per_decay: int = 20000,
    steps_per_cycle: int = 100000,
    second_constant: float = 0.01,
    second_constant_step: int = 10000,
    minimum: float = 0.0,
) -> Schedule:
    """The product of the factors named, and at least ``minimum``.

    - ``constant``: the number ``constant``
    - ``two_constants``: ``constant``, from ``second_constant_step`` on ``second_constant``
    - ``linear_warmup``: min(1, step / warmup_steps)
    - ``rsqrt_decay``: 1 / sqrt(max(step, warmup_steps))
    - ``rsqrt_normalized_decay``: sqrt(warmup_steps / max(step, warmup_steps))
    - ``decay_every``: decay_factor ^ floor(step / steps_per_decay)
    - ``cosine_decay``: (1 + cos(pi t)) / 2, t the fraction of max(0, (step - warmup_steps) / steps_per_cycle)

    Args:
        factors: names with ``*`` between them.
        constant: see the factors, as for the others.

    Raises:
        UsageError: a factor is unknown, or a number makes no sense.

    >>> [round(multifactor()(step), 6) for step in (0, 200, 400, 1600)]
    [0.0, 0.0025, 0.005, 0.0025]
    >>> multifactor("constant * decay_every", steps_per_decay=10)(25)
    0.025
    """
    given = dict(locals())
    n = {name: real(f"multifactor: {name}", value, at_least=0) for name, value in given.items() if name != "factors"}
    for name in ("warmup_steps", "steps_per_decay", "steps_per_cycle"):
        whole(f"multifactor: {name}", given[name], 1)
    curves = [_factor(name.strip()) for name in str(factors).split("*")]

    def curve(step: Any, m: Any) -> Any:
        return m.maximum(math.prod(factor(step, m, n) for factor in curves), n["minimum"])

    return Schedule(_text(multifactor, **given), curve)


_FACTORS: Mapping[str, Callable[[Any, Any, Mapping[str, float]], Any]] = {
    "constant": lambda step, m, n: n["constant"],
    "two_constants": lambda step, m, n: m.where(step < n["second_constant_step"], n["constant"], n["second_constant"]),
    "linear_warmup": lambda step, m, n: m.minimum(1.0, step / n["warmup_steps"]),
    "rsqrt_decay": lambda step, m, n: 1.0 / m.sqrt(m.maximum(step, n["warmup_steps"])),
    "rsqrt_normalized_decay": lambda step, m, n: m.sqrt(n["warmup_steps"] / m.maximum(step, n["warmup_steps"])),
    "decay_every": lambda step, m, n: n["decay_factor"] ** m.floor(step / n["steps_per_decay"]),
    "cosine_decay": lambda step, m, n: 0.5 * (1.0 + m.cos(math.pi * _phase(step, m, n))),
}


def _phase(step: Any, m: Any, n: Mapping[str, float]) -> Any:
    cycles = m.maximum(0.0, (step - n["warmup_steps"]) / n["steps_per_cycle"])
    return cycles - m.floor(cycles)


def _factor(name: str) -> Callable[[Any, Any, Mapping[str, float]], Any]:
    if name not in _FACTORS:
        raise UsageError(f"multifactor: unknown factor {name!r}: {suggest(name, _FACTORS)}")
    return _FACTORS[name]


def _text(schedule: Callable[..., Schedule], **given: Any) -> str:
    """The call that makes a schedule, without the arguments that are as they are by default."""
    parameters = inspect.signature(schedule).parameters
    told = [f"{name}={value!r}" for name, value in given.items() if value != parameters[name].default]
    return f"{schedule.__name__}({', '.join(told)})"


def _ramp(schedule: str, n_warmup_steps: int, max_value: float) -> Curve:
    """From 0 at step 0 in a line to ``max_value`` at the first step after the warm-up."""
    top = whole(f"{schedule}: n_warmup_steps", n_warmup_steps, 0) + 1
    high = real(f"{schedule}: max_value", max_value, at_least=0)
    return lambda step, m: high * m.minimum(1.0, step / top)
