"""Sums over many steps of Adam as sums over a few: nodes and weights for steps whose gradients are zero.

After its last gradient a weight still moves on its momentum, j = 1, 2, ... steps later by m b1^j f(j), where f, the
step's size, changes slowly with log(1 + j). A polynomial in log(1 + j) through a few nodes therefore takes the place of
f, and the sum of b1^j f(j) becomes a weighted sum of f at the nodes: with the weights of Gauss for the whole sum, with
those of interpolation for any part of it, or for steps whose learning rates differ.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as onp

__all__ = ["Rule", "n_steps_of", "rule_for"]

_NEGLIGIBLE = 5e-8
"""What is left of a momentum when its rest no longer counts: half a unit in the last place of float32."""
_LONGEST = 4096
"""The most steps that a rule spans."""
_NODES = (6, 8, 10, 12, 16, 20, 24)
# The relative error of a sum that a rule may have, in the first steps of training and later. Early sums are few.
_EARLY, _LATE = 3e-5, 3e-6


class Rule(NamedTuple):
    """``sum_j r_j b1^j f(j)`` is nearly ``sum_i f(nodes[i]) sum_j r_j weights[j - 1, i]``."""

    nodes: Any
    """(n,): at which numbers of steps f is asked for."""
    weights: Any
    """(steps, n), float64."""


def spread(step: Any, later: Any, b2: float) -> Any:
    """What divides the moments, ``later`` steps after ``step``: sqrt(b2^later / (1 - b2^(step + later + 1)))."""
    log = math.log(b2)
    return onp.exp(0.5 * later * log) / onp.sqrt(-onp.expm1((step + later + 1) * log))


def n_steps_of(mass: float) -> int | None:
    """For how many steps a gradient moves a weight whose momentum shrinks by ``mass``; ``None`` for too many.

    >>> n_steps_of(0.9), n_steps_of(0.0), n_steps_of(0.9999)
    (160, 2, None)
    """
    # An even number: nodes come in pairs, and there are no more than steps.
    steps = 2 * math.ceil(math.log(_NEGLIGIBLE) / math.log(mass) / 2) if mass else 2
    return steps if steps <= _LONGEST else None


@functools.cache
def rule_for(b1: float, b2: float) -> Rule | None:
    """The rule for Adam's numbers with the fewest nodes that is good enough; ``None`` if none is.

    >>> rule = rule_for(0.9, 0.999)
    >>> rule.weights.shape
    (160, 8)
    >>> bool(abs(rule.weights.sum() - 0.9 / (1 - 0.9)) < 1e-5)  # f = 1
    True
    """
    steps = n_steps_of(b1)
    if steps is None or b2 == 0:
        return None
    if b1 == 0:
        return Rule(onp.zeros(0), onp.zeros((steps, 0)))
    for n in _NODES:
        rule = _gauss(b1, steps, min(n, steps))
        early, late = _error(rule, b1, b2)
        if early <= _EARLY and late <= _LATE:
            return rule
    return None


def _gauss(b1: float, steps: int, n: int) -> Rule:
    """Gauss's nodes for the weights b1^j in the variable log(1 + j), and the polynomials through them.

    Lanczos' recurrence makes the Jacobi matrix whose eigenvalues are the nodes (Golub & Welsch 1969, "Calculation of
    Gauss quadrature rules").
    """
    later = onp.arange(1.0, steps + 1)
    x, mass = onp.log1p(later), b1**later
    basis = [onp.sqrt(mass / mass.sum())]
    diagonal, beside = [], []
    for _ in range(n):
        rest = x * basis[-1]
        diagonal.append(rest @ basis[-1])
        for _ in range(2):  # twice is enough to stay orthogonal
            for vector in basis:
                rest = rest - (rest @ vector) * vector
        beside.append(onp.linalg.norm(rest))
        basis.append(rest / max(beside[-1], 1e-300))
    nodes = onp.linalg.eigvalsh(onp.diag(diagonal) + onp.diag(beside[:-1], 1) + onp.diag(beside[:-1], -1))
    others = [onp.delete(nodes, i) for i in range(n)]
    lagrange = [onp.prod((x[:, None] - o) / (node - o), axis=1) for node, o in zip(nodes, others, strict=True)]
    return Rule(onp.expm1(nodes), mass[:, None] * onp.stack(lagrange, axis=1))


def _error(rule: Rule, b1: float, b2: float) -> tuple[float, float]:
    """The largest relative errors of sums over 1, 2, 3, ... steps after early steps, and after later ones."""
    later = onp.arange(1.0, len(rule.weights) + 1)
    weights = onp.cumsum(rule.weights, axis=0)
    roots = onp.concatenate([[0], onp.logspace(-9, 2, 23)])[:, None]
    worst = {False: 0.0, True: 0.0}
    for step in (0, 1, 4, 16, 64, 256, 4096):

        def size(j: Any, step: int = step) -> Any:
            return 1 / (1 - b1 ** (step + j + 1)) / (spread(step, j, b2) * roots + 1e-8)

        exact = onp.cumsum(b1**later * size(later), axis=1)
        error = onp.abs(size(rule.nodes) @ weights.T / exact - 1).max()
        worst[step >= 64] = max(worst[step >= 64], float(error))
    return worst[False], worst[True]
