"""The steps that rows missed under Adam, made up in place, in NumPy: few calls, and few passes over the rows."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as onp

from layerkit_plugins.optimizers.momenta import GROWN

if TYPE_CHECKING:
    from layerkit_plugins.optimizers.quadrature import Rule

__all__ = ["Numbers", "move_rows"]

_NOTHING = 1e-8
"""Beside 1 this is not seen in float32."""
_BUFFER = 256
"""Numbers in one of NumPy's buffers. Rows shorter than its usual 8,192 meet a number for each row written out as often
as they are long; those as long as the buffer meet the number as it is, in two thirds of the time."""


class Numbers(NamedTuple):
    """Adam's, as Python's own floats."""

    b1: float
    b2: float
    eps: float


def move_rows(missed: Any, last: Any, rows: Any, slots: Any, rate: Any, numbers: Numbers) -> None:
    """Moves rows, m and v, all of them plain arrays, over the steps that they missed.

    Args:
        missed: these steps, ``lk.Optimizer.missed_steps``.
        last: the step of each row's last update, int32 (rows,).
        rows: the rows.
        slots: (m, v).
        rate: the learning rate, where it stays the same.
        numbers: Adam's.
    """
    m, v = slots
    moved = None
    touched = last[last >= 0]  # other rows have no momentum, and do not make a run a young one
    with onp.errstate():  # which gives NumPy's buffers their size back
        onp.setbufsize(_BUFFER)
        # Without momentum nothing moves, and the rule, whose making takes 2 ms, need not be known.
        if numbers.b1 and touched.size:
            moved = _sum(missed, v, *_quotients(missed, last, int(touched.min()), rate, numbers))
            moved *= m
        kept = missed.decay()
        if kept is not None:
            rows *= kept
        if moved is not None:
            rows -= moved
        m *= missed.power(numbers.b1)
        v *= missed.power(numbers.b2)


def _rule(steady: bool, numbers: Numbers, grown: bool) -> Rule:
    from layerkit_plugins.optimizers.quadrature import changing_rule, steady_rule  # a first step needs neither

    find = steady_rule if steady else changing_rule
    rule = (find(numbers.b1, numbers.b2, GROWN) if grown else None) or find(numbers.b1, numbers.b2)
    assert rule is not None  # or the table would be dense
    return rule


def _quotients(missed: Any, last: Any, first: int, rate: Any, numbers: Numbers) -> tuple[Any, Any]:
    """(strengths, offsets), (rows, n) each: a weight moves by m times the sum of strength / (sqrt(v) + offset)."""
    if missed.steady:
        nodes, offsets, strengths = missed.look_up(_of_steps(numbers, first >= GROWN)).swapaxes(0, 1)
        strengths *= float(rate)
    else:
        rule = _rule(False, numbers, first >= GROWN)
        strengths = missed.sums(rule.weights)
        nodes = rule.nodes.astype(strengths.dtype)
        growth = onp.exp(nodes * (-0.5 * math.log(numbers.b2)))
        strengths *= growth
        offsets = growth * numbers.eps
    time = nodes + (last + 1).astype(nodes.dtype)[:, None]
    if numbers.b1 ** (first + 1) > _NOTHING:
        strengths /= -onp.expm1(time * math.log(numbers.b1))
    time *= math.log(numbers.b2)
    root = onp.sqrt(-onp.expm1(time))
    return strengths * root, offsets * root


@functools.cache
def _of_steps(numbers: Numbers, grown: bool) -> Any:
    """(steps + 1, 3, n), float32: a steady rule's nodes, how much more v has faded there, and weights times that.

    The second comes times eps.
    """
    nodes, weights = _rule(True, numbers, grown)
    growth = onp.exp(nodes * (-0.5 * math.log(numbers.b2)))
    return onp.stack([nodes, growth * numbers.eps, weights * growth], axis=1).astype(onp.float32)


def _sum(missed: Any, v: Any, strengths: Any, offsets: Any) -> Any:
    """sum_i strengths[:, i] / (sqrt(v) + offsets[:, i])."""
    root = onp.sqrt(v)
    total = None
    for place, (strength, offset) in enumerate(zip(strengths.T, offsets.T, strict=True), start=1):
        quotient = onp.add(root, missed.column(offset), out=root if place == strengths.shape[1] else None)
        # A division takes NumPy no longer than any other pass over memory.
        onp.divide(missed.column(strength), quotient, out=quotient)
        total = quotient if total is None else onp.add(total, quotient, out=total)
    return total
