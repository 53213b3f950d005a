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

from layerkit_plugins.optimizers.momenta import n_steps_of

__all__ = ["Rule", "changing_rule", "steady_rule"]

_NODES = (4, 6, 8, 10, 12, 16, 20, 24)
_NODES_GROWN = (1, 2, 3, *_NODES)
# The relative error of a sum that a rule may have, in the first steps of training and later. Early sums are few.
_EARLY, _LATE = 5e-5, 3e-6


class Rule(NamedTuple):
    """How to sum ``r_j b1^j f(j)`` over j = 1 .. k."""

    nodes: Any
    """Where f is asked for: (n,), or (steps + 1, n), those for each k."""
    weights: Any
    """(steps, n): f at node i counts ``sum_j r_j weights[j - 1, i]``; or (steps + 1, n): for each k what it counts."""


def spread(step: Any, later: Any, b2: float) -> Any:
    """What divides the moments, ``later`` steps after ``step``: sqrt(b2^later / (1 - b2^(step + later + 1)))."""
    log = math.log(b2)
    return onp.exp(0.5 * later * log) / onp.sqrt(-onp.expm1((step + later + 1) * log))


@functools.cache
def changing_rule(b1: float, b2: float, since: int = 0) -> Rule | None:
    """The rule for rates r_j of any kind with the fewest nodes that is good enough for Adam's numbers, if one is.

    Args:
        b1: Adam's.
        b2: Adam's.
        since: the first step after which a sum may begin, 0 or ``GROWN``.

    >>> rule = changing_rule(0.9, 0.999)
    >>> rule.nodes.shape, rule.weights.shape
    ((8,), (160, 8))
    """
    steps = n_steps_of(b1)
    if steps is None or b2 == 0:
        return None
    if b1 == 0:
        return Rule(onp.zeros(0), onp.zeros((steps, 0)))
    sums = _Sums(b1, b2, steps, since)
    rules = (_interpolation(sums, n) for n in sums.numbers())
    return next((rule for rule in rules if _good(sums, rule.nodes[:, None], onp.cumsum(rule.weights, axis=0).T)), None)


@functools.cache
def steady_rule(b1: float, b2: float, since: int = 0) -> Rule | None:
    """The same for rates r_j = 1, with nodes for each number of steps: fewer of them do. Where the other is, this is.

    >>> rule = steady_rule(0.9, 0.999)
    >>> rule.nodes.shape, float(rule.weights[2].sum().round(9))  # of f = 1 over two steps
    ((161, 4), 1.71)
    >>> steady_rule(0.9, 0.999, since=96).nodes.shape
    (161, 2)
    """
    steps = n_steps_of(b1)
    if steps is None or b2 == 0:
        return None
    if b1 == 0:
        return Rule(onp.zeros((steps + 1, 0)), onp.zeros((steps + 1, 0)))
    sums = _Sums(b1, b2, steps, since)
    rules = (_steady(sums, n) for n in sums.numbers())
    return next((rule for rule in rules if _good(sums, rule.nodes[1:].T, rule.weights[1:].T)), None)


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

    def numbers(self) -> list[int]:
        """The numbers of nodes to try."""
        few = _NODES_GROWN if self.since else _NODES
        return [n for n in few if n < self.steps] + [self.steps][: self.steps <= _NODES[-1]]


def _steady(sums: _Sums, n: int) -> Rule:
    """Nodes and weights for sums over 0, 1, ..., ``steps`` steps."""
    # In pieces that a processor's cache holds.
    pieces = [onp.arange(k, min(k + 32, sums.steps + 1)) for k in range(0, sums.steps + 1, 32)]
    parts = [_gauss(sums, ks, n) for ks in pieces]
    return Rule(onp.concatenate([nodes for nodes, _ in parts]), onp.concatenate([weights for _, weights in parts]))


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


def _interpolation(sums: _Sums, n: int) -> Rule:
    """Gauss's nodes for all steps, (n,), and b1^j times the polynomials through them, (steps, n)."""
    later = onp.arange(1.0, sums.steps + 1)
    nodes = _gauss(sums, onp.array([sums.steps]), n)[0][0]
    x, places = onp.log1p(later / sums.scale), onp.log1p(nodes / sums.scale)
    others = [onp.delete(places, i) for i in range(n)]
    lagrange = [onp.prod((x[:, None] - o) / (place - o), axis=1) for place, o in zip(places, others, strict=True)]
    return Rule(nodes, sums.b1 ** later[:, None] * onp.stack(lagrange, axis=1))


def _good(sums: _Sums, nodes: Any, weights: Any) -> bool:
    """Whether sums over 1, 2, 3, ... steps are near enough, whenever they begin and whatever v is.

    Args:
        sums: which sums.
        nodes: (n, 1 or number of sums).
        weights: (n, number of sums).
    """
    begins = sums.since + onp.array([0, 1, 4, 16, 64, 256, 4096])[:, None, None, None]
    roots = onp.array([0.0, 1e-8, 1e-6, 1.0])[:, None, None]

    def size(j: Any) -> Any:
        return 1 / (1 - sums.b1 ** (begins + j + 1)) / (spread(begins, j, sums.b2) * roots + 1e-8)

    later = onp.arange(1.0, weights.shape[1] + 1)[None]
    exact = onp.cumsum(sums.b1**later * size(later), axis=3)[:, :, 0]
    error = onp.abs((size(nodes) * weights).sum(axis=2) / exact - 1).max(axis=(1, 2))
    return bool((error <= onp.where(begins[:, 0, 0, 0] >= 64, _LATE, _EARLY)).all())
