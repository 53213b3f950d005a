"""The steps that rows of a table missed: how many they were, at which learning rates, and what decays in them."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as onp

from layerkit.fastmath import numpy as np
from layerkit.fastmath import take_rows

__all__ = ["MissedSteps", "Rates"]


class Rates(NamedTuple):
    """The learning rates of past steps, where they change: that of step n stands at n % length.

    ``decays`` are the sums of log(1 - learning rate * weight decay) up to each step; ``()`` without weight decay.
    """

    values: Any
    decays: Any = ()


class MissedSteps:
    """What rows missed between the step of their last update and the next: steps in which their gradient was zero.

    Args:
        step: the step that comes next.
        last: the step of each row's last update, int32 (rows,); -1 before the first.
        learning_rate: a number, or the ``Rates`` of past steps.
        weight_decay_rate: the optimizer's.
        like: the rows, for their dtype and number of axes.

    >>> missed = MissedSteps(10, np.array([9, 7]), 0.5, 0.0, np.zeros((2, 3)))
    >>> missed.power(0.5).tolist()
    [[1.0], [0.25]]
    >>> missed.sums(onp.array([[1.0], [0.5]])).tolist()
    [[0.0], [0.75]]
    """

    def __init__(self, step: Any, last: Any, learning_rate: Any, weight_decay_rate: float, like: Any) -> None:
        self._step, self._last, self._rate = step, last, learning_rate
        self._decay = float(weight_decay_rate)
        self._axes = (-1,) + (1,) * (len(like.shape) - 1)
        self._dtype = like.dtype
        self._count = step - 1 - last
        self._numpy = onp if type(self._count) is onp.ndarray else np  # known numbers need no backend
        self.count = self._count.astype(like.dtype)
        """How many steps each row missed, (rows,)."""

    def column(self, values: Any) -> Any:
        """Values of rows, (rows,), shaped so that they meet the rows' numbers."""
        return values.reshape(self._axes)

    def power(self, base: float) -> Any:
        """``base`` to the number of missed steps, a column: what is left of a slot that each step multiplies by it."""
        if base == 0:
            return self.column(np.where(self._count > 0, 0.0, 1.0).astype(self._dtype))
        return self.column(self._numpy.exp(self.count * self._number(math.log(base))))

    def decay(self) -> Any:
        """What weight decay left of the weights, a column; ``None`` where there is none."""
        if not self._decay:
            return None
        if isinstance(self._rate, Rates):
            return self.column(np.exp(self._decayed_until(self._step - 1) - self._decayed_until(self._last)))
        return self.column(np.exp(self.count * self._log_keep()))

    @property
    def steady(self) -> bool:
        """Whether all missed steps had the same learning rate, and no decay: only their number counts."""
        return not self._decay and not isinstance(self._rate, Rates)

    def look_up(self, table: Any) -> Any:
        """(rows, ...): for each row the entry of ``table`` for its number of missed steps, the last one for more."""
        table = table.astype(self._dtype, copy=False)
        return self._numpy.take(table, self._count, axis=0, mode="clip")

    def sums(self, weights: Any) -> Any:
        """The sums over the missed steps j = 1, 2, ... of learning rate * later decay * ``weights[j - 1]``.

        Args:
            weights: (steps, n) in NumPy's float64; those of later steps count as zero.

        Returns:
            (rows, n); the learning rate is that of the j-th missed step, the decay that of the missed steps after it.
        """
        most = len(weights)
        if self.steady:
            return self._rate * self.look_up(onp.concatenate([0 * weights[:1], onp.cumsum(weights, axis=0)]))
        return np.matmul(self._strengths(most), weights.astype(self._dtype))

    def _strengths(self, most: int) -> Any:
        """(rows, most): the learning rate of each missed step, times the decay of those after it; 0 beyond them."""
        if self._numpy is onp and isinstance(self._rate, Rates):
            return self._windows(most)
        steps = onp.arange(1, most + 1, dtype=onp.int32)
        missed = steps <= self._count[:, None]
        if not isinstance(self._rate, Rates):
            left = (self.count[:, None] - steps.astype(self._dtype)) * self._log_keep()
            return self._rate * np.exp(np.where(missed, left, self._number(-onp.inf)))
        at = self._last[:, None] + steps
        rates = take_rows(self._rate.values, at % len(self._rate.values)).astype(self._dtype)
        if self._decay:
            left = self._decayed_until(self._step - 1) - self._decayed_until(at)
            rates = rates * np.exp(np.where(missed, left, self._number(-onp.inf)))
        return np.where(missed, rates, self._number(0))

    def _windows(self, most: int) -> Any:
        """``_strengths`` of known numbers: a step counts the same for all rows, each of which sees a window of them."""
        first = int(self._last.min()) + 1
        strengths = onp.zeros(self._step - first + most, self._dtype)
        past = strengths[: self._step - first]
        past[...] = self._past(self._rate.values, first)
        if self._decay:
            past *= onp.exp(self._decayed_until(self._step - 1) - self._past(self._rate.decays, first))
        # NumPy's sliding_window_view takes longer than all of this.
        windows: Any = onp.ndarray((len(past) + 1, most), self._dtype, strengths, strides=strengths.strides * 2)
        return windows[self._last + (1 - first)]

    def _past(self, ring: Any, first: int) -> Any:
        """What a ring holds for the steps from ``first`` to the one that comes next."""
        start = first % len(ring)
        beyond = start + self._step - first - len(ring)
        return ring[start : len(ring) + beyond] if beyond <= 0 else onp.concatenate([ring[start:], ring[:beyond]])

    def _decayed_until(self, step: Any) -> Any:
        decays = self._rate.decays
        return take_rows(decays, np.asarray(step) % len(decays)).astype(self._dtype)

    def _log_keep(self) -> Any:
        return np.log1p(-self._rate * self._number(self._decay))

    def _number(self, value: float) -> Any:
        return onp.asarray(value, self._dtype)[()]
