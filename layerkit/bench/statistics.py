"""Medians with intervals that assume no distribution, over processes and never over the samples of one process.

The samples of a process are no independent observations: they share its memory layout, its threads and the programs it
compiled. So each process gives one number, and an interval says how much those numbers vary.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["FEWEST", "LEVEL", "Estimate", "median", "ratio_of_pairs", "ratio_of_runs", "verdict"]

LEVEL = 0.95
"""How often an interval covers the true value, at least."""

FEWEST = 6
"""How many processes an interval needs: the smallest and the largest of five cover a median in 93.75 % of all cases."""


class Estimate(NamedTuple):
    """A median, and the interval that covers the true one; no interval where there are too few observations.

    >>> Estimate(2.0, 1.5, 2.5).known
    True
    """

    median: float
    low: float | None = None
    high: float | None = None

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return self.low is not None and self.high is not None


def median(values: Sequence[float]) -> Estimate:
    """The median of independent observations, with the interval between two of them that covers it (the sign test's).

    >>> median([3.0, 1.0, 2.0, 6.0, 5.0, 4.0])
    Estimate(median=3.5, low=1.0, high=6.0)
    >>> median([3.0, 1.0, 2.0])
    Estimate(median=2.0, low=None, high=None)
    """
    ordered = sorted(values)
    middle = statistics.median(ordered)
    cut = _sign_cut(len(ordered))
    return Estimate(middle) if cut < 1 else Estimate(middle, ordered[cut - 1], ordered[-cut])


def ratio_of_pairs(ours: Sequence[float], theirs: Sequence[float]) -> Estimate:
    """The ratio of two things that were measured in turns in the same processes: the median of each process's ratio.

    >>> ratio_of_pairs([2, 4, 6, 2, 4, 6], [1, 2, 3, 1, 2, 3])
    Estimate(median=2.0, low=2.0, high=2.0)
    """
    return median([one / other for one, other in zip(ours, theirs, strict=True)])


def ratio_of_runs(ours: Sequence[float], theirs: Sequence[float]) -> Estimate:
    """The ratio of two things that were measured in processes of their own.

    The estimate of Hodges and Lehmann on logarithms, with the interval that belongs to the test of Mann and Whitney
    (Annals of Mathematical Statistics 18, 1947): the median of all ratios of one to the other.

    >>> estimate = ratio_of_runs([2.0, 2.1, 2.1, 2.3], [1.0, 1.0, 1.0, 1.0])
    >>> estimate.median, estimate.low, estimate.high
    (2.1, 2.0, 2.3)
    """
    ratios = sorted(one / other for one in ours for other in theirs)
    middle = math.sqrt(ratios[(len(ratios) - 1) // 2] * ratios[len(ratios) // 2])
    cut = _rank_sum_cut(len(ours), len(theirs))
    rounded = float(f"{middle:.12g}")
    return Estimate(rounded) if cut < 1 else Estimate(rounded, ratios[cut - 1], ratios[-cut])


def verdict(ratio: Estimate) -> str:
    """What a ratio of times shows: ``slower``, ``faster``, ``no difference shown``, or ``too few processes``.

    >>> verdict(Estimate(1.2, 1.1, 1.3)), verdict(Estimate(1.2, 0.9, 1.3)), verdict(Estimate(1.2))
    ('slower', 'no difference shown', 'too few processes')
    """
    if ratio.low is None or ratio.high is None:
        return "too few processes"
    if ratio.low > 1:
        return "slower"
    return "faster" if ratio.high < 1 else "no difference shown"


def _sign_cut(n: int) -> int:
    """The largest k for which fewer than k of n observations are below the median in at most 2.5 % of all cases."""
    below, k = 0.0, 0
    while k < n // 2:
        below += math.comb(n, k) / 2**n
        if 2 * below > 1 - LEVEL:
            break
        k += 1
    return k


def _rank_sum_cut(n: int, m: int) -> int:
    """The same for Mann and Whitney's count of pairs in which the first is the smaller."""
    # counts[u] is the number of orders of n and m things in which u pairs stand the wrong way round.
    counts = [1]
    for i in range(1, n + 1):
        counts = _times(counts, m + i)
        counts = _divided(counts, i)
    total, below, k = sum(counts), 0, 0
    while k < len(counts) and 2 * (below + counts[k]) <= (1 - LEVEL) * total:
        below += counts[k]
        k += 1
    return k


def _times(counts: list[int], power: int) -> list[int]:
    """The polynomial times (1 - q^power)."""
    padded = counts + [0] * power
    return [one - (padded[place - power] if place >= power else 0) for place, one in enumerate(padded)]


def _divided(counts: list[int], power: int) -> list[int]:
    """The polynomial divided by (1 - q^power), which divides it."""
    result: list[int] = []
    for place, one in enumerate(counts):
        result.append(one + (result[place - power] if place >= power else 0))
    return result[: len(counts) - power]
