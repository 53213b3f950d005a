"""Sums over many steps of Adam as sums over a few: nodes and weights for steps whose gradients are zero.

After its last gradient a weight still moves on its momentum, j = 1, 2, ... steps later by m b1^j f(j), where f, the
step's size, changes slowly with log(1 + j). So a sum of b1^j f(j) is nearly a weighted sum of f at a few nodes. For
learning rates that stay the same, these are Gauss's nodes in log(1 + j) for the steps there are. For rates that change
they are those of the longest sum, with the weights of the polynomials through them, which any rates can be summed with.
Once a run has made some steps, f changes much more slowly, with log(1 + j / GROWN), and half as many nodes do.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as onp

__all__ = ["GROWN", "Rule", "n_steps_of", "rule_for"]

_NEGLIGIBLE = 5e-8
"""What is left of a momentum when its rest no longer counts: half a unit in the last place of float32."""
_LONGEST = 2048
"""The most steps that a rule spans."""
_NODES = (4, 6, 8, 10, 12, 16, 20, 24)
_NODES_GROWN = (1, 2, 3, *_NODES)
GROWN = 96
"""From which step on fewer nodes are enough."""
# The relative error of a sum that a rule may have, in the first steps of training and later. Early sums are few.
_EARLY, _LATE = 5e-5, 3e-6


class Rule(NamedTuple):
    """How to sum ``r_j b1^j f(j)`` over j = 1 .. k."""

    steady_nodes: Any
    """(steps + 1, n): for each k where f is asked for, if the rates r are the same."""
    steady_weights: Any
    """(steps + 1, n): for each k what f counts there."""
    nodes: Any
    """(n,): where f is asked for, if the rates change."""
    weights: Any
    """(steps, n), float64: f at node i counts ``sum_j r_j weights[j - 1, i]``."""


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
def rule_for(b1: float, b2: float, since: int = 0) -> Rule | None:
    """The rule for Adam's numbers with the fewest nodes that is good enough; ``None`` if none is.

    Args:
        b1: Adam's.
        b2: Adam's.
        since: the first step after which a sum may begin, 0 or ``GROWN``.

    >>> rule = rule_for(0.9, 0.999)
    >>> rule.steady_nodes.shape, rule.weights.shape
    ((161, 4), (160, 8))
    >>> float(rule.steady_weights[2].sum().round(9))  # f = 1
    1.71
    >>> rule_for(0.9, 0.999, since=GROWN).steady_nodes.shape
    (161, 2)
    """
    steps = n_steps_of(b1)
    if steps is None or b2 == 0:
        return None
    if b1 == 0:
        return Rule(onp.zeros((steps + 1, 0)), onp.zeros((steps + 1, 0)), onp.zeros(0), onp.zeros((steps, 0)))
    lengths = [n for n in (_NODES_GROWN if since else _NODES) if n < steps] + [steps][: steps <= _NODES[-1]]
    sums = _Sums(b1, b2, steps, since)
    steady = (_steady(sums, n) for n in lengths)
    steady_found = next((rule for rule in steady if _good(sums, rule[0].T, rule[1].T)), None)
    if steady_found is None:
        return None
    changing = (_interpolation(sums, n) for n in lengths)
    found = next((r for r in changing if _good(sums, r[0][:, None], onp.cumsum(r[1], axis=0).T, 1)), None)
    return None if found is None else Rule(*steady_found, *found)


class _Sums(NamedTuple):
    """Which sums a rule is for."""

    b1: float
    b2: float
    steps: int
    since: int

    @property
    def scale(self) -> int:
        """f changes with log(1 + j / scale)."""
        return max(1, self.since)


def _steady(sums: _Sums, n: int) -> tuple[Any, Any]:
    """Nodes and weights for sums over 0, 1, ..., ``steps`` steps."""
    # In pieces that a processor's cache holds.
    pieces = [onp.arange(k, min(k + 32, sums.steps + 1)) for k in range(0, sums.steps + 1, 32)]
    parts = [_gauss(sums, ks, n) for ks in pieces]
    return onp.concatenate([nodes for nodes, _ in parts]), onp.concatenate([weights for _, weights in parts])


def _gauss(sums: _Sums, ks: Any, n: int) -> tuple[Any, Any]:
    """Gauss's nodes and weights, (len(ks), n) each, for masses b1^j at the steps 1 .. k, in the variable of f.

    Lanczos' recurrence makes the Jacobi matrix whose eigenvalues are the nodes (Golub & Welsch 1969, "Calculation of
    Gauss quadrature rules"). Where k is less than n the sum is exact, and nodes are left over that count nothing.
    """
    later = onp.arange(1.0, ks[-1] + 1)
    x, mass = onp.log1p(later / sums.scale), onp.where(later <= ks[:, None], sums.b1**later, 0.0)
    total = mass.sum(axis=1, keepdims=True)
    basis = [onp.sqrt(mass / onp.maximum(total, 1e-300))]
    diagonal, beside = [], []
    for _ in range(n):
        rest = x * basis[-1]
        diagonal.append((rest * basis[-1]).sum(axis=1))
        for _ in range(2):  # twice is enough to stay orthogonal
            for vector in basis:
                rest = rest - (rest * vector).sum(axis=1, keepdims=True) * vector
        length = onp.sqrt((rest**2).sum(axis=1, keepdims=True))
        exhausted = length < 1e-9
        beside.append(onp.where(exhausted, 0, length)[:, 0])
        basis.append(onp.where(exhausted, 0, rest / onp.maximum(length, 1e-9)))
    jacobi = onp.zeros((len(ks), n, n))
    for i in range(n):
        jacobi[:, i, i] = diagonal[i]
        if i + 1 < n:
            jacobi[:, i, i + 1] = jacobi[:, i + 1, i] = beside[i]
    nodes, vectors = onp.linalg.eigh(jacobi)
    weights = vectors[:, 0, :] ** 2 * total
    counts = weights > 1e-12 * total
    return onp.where(counts, sums.scale * onp.expm1(nodes), 1.0), onp.where(counts, weights, 0.0)


def _interpolation(sums: _Sums, n: int) -> tuple[Any, Any]:
    """Gauss's nodes for all steps, (n,), and b1^j times the polynomials through them, (steps, n)."""
    later = onp.arange(1.0, sums.steps + 1)
    nodes = _gauss(sums, onp.array([sums.steps]), n)[0][0]
    x, places = onp.log1p(later / sums.scale), onp.log1p(nodes / sums.scale)
    others = [onp.delete(places, i) for i in range(n)]
    lagrange = [onp.prod((x[:, None] - o) / (place - o), axis=1) for place, o in zip(places, others, strict=True)]
    return nodes, sums.b1 ** later[:, None] * onp.stack(lagrange, axis=1)


def _good(sums: _Sums, nodes: Any, weights: Any, first: int = 0) -> bool:
    """Whether sums over 1, 2, 3, ... steps are near enough, whenever they begin.

    Args:
        sums: which sums.
        nodes: (n, 1 or number of sums).
        weights: (n, number of sums).
        first: how many steps the first sum has.
    """
    b1, b2 = sums.b1, sums.b2
    weights = weights[:, 1 - first :]
    nodes = nodes[:, 1 - first :] if nodes.shape[1] > 1 else nodes
    later = onp.arange(1.0, weights.shape[1] + 1)
    for step in (sums.since + n for n in (0, 1, 4, 16, 64, 256, 4096)):
        for root in (0.0, 1e-8, 1e-6, 1.0):

            def size(j: Any, step: int = step, root: float = root) -> Any:
                return 1 / (1 - b1 ** (step + j + 1)) / (spread(step, j, b2) * root + 1e-8)

            exact = onp.cumsum(b1**later * size(later))
            error = onp.abs((size(nodes) * weights).sum(axis=0) / exact - 1).max()
            if not error <= (_LATE if step >= 64 else _EARLY):
                return False
    return True
