"""Intervals that cover what they say, and ratios that show no more than they can."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerkit.bench.statistics import (
    FEWEST,
    LEVEL,
    Estimate,
    _rank_sum_cut,
    _sign_cut,
    median,
    ratio_of_pairs,
    ratio_of_runs,
    verdict,
)

times = st.floats(1e-6, 1e3)


def miss_of_the_median(n: int, cut: int) -> float:
    """How often the cut-th smallest and largest of n leave out the median: fewer than ``cut`` fall on one side."""
    return sum(2 * math.comb(n, below) for below in range(cut)) / 2**n


@pytest.mark.parametrize("n", range(1, 30))
def test_the_interval_of_a_median_is_the_narrowest_that_covers(n: int) -> None:
    cut = _sign_cut(n)
    assert miss_of_the_median(n, cut) <= 1 - LEVEL
    assert cut == n // 2 or miss_of_the_median(n, cut + 1) > 1 - LEVEL


def test_six_processes_are_the_fewest() -> None:
    assert [median([1.0] * n).known for n in range(1, 8)] == [n >= FEWEST for n in range(1, 8)]


@pytest.mark.parametrize(("n", "m"), list(itertools.product(range(1, 6), repeat=2)))
def test_the_rank_sum_cut_counts_orders(n: int, m: int) -> None:
    orders = list(itertools.combinations(range(n + m), n))
    wrong = [sum(place - number for number, place in enumerate(order)) for order in orders]
    cut = _rank_sum_cut(n, m)
    share = [2 * sum(u < k for u in wrong) / len(orders) for k in range(n * m + 2)]
    assert share[cut] <= 1 - LEVEL
    assert share[cut + 1] > 1 - LEVEL


def test_the_rank_sum_cut_is_that_of_the_tables() -> None:
    # Critical values of U, two-sided 5 % (Mann and Whitney 1947): 5 for 6 and 6, 23 for 10 and 10; the cut is one more.
    assert (_rank_sum_cut(6, 6), _rank_sum_cut(10, 10), _rank_sum_cut(4, 4)) == (6, 24, 1)


@given(st.lists(times, min_size=6, max_size=12), st.floats(0.1, 10))
def test_a_ratio_scales_with_the_times(values: list[float], factor: float) -> None:
    for ratio in (ratio_of_pairs, ratio_of_runs):
        one, other = ratio(values, values), ratio([factor * value for value in values], values)
        for ours, theirs in zip(one, other, strict=True):
            assert ours is not None
            assert theirs == pytest.approx(factor * ours)


@given(st.lists(times, min_size=6, max_size=12))
def test_nothing_differs_from_itself(values: list[float]) -> None:
    assert verdict(ratio_of_runs(values, values)) == "no difference shown"
    assert verdict(ratio_of_pairs(values, values)) == "no difference shown"


@given(st.lists(times, min_size=1, max_size=12))
def test_the_interval_holds_the_median(values: list[float]) -> None:
    found = median(values)
    assert not found.known or found.low <= found.median <= found.high  # type: ignore[operator]


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        (Estimate(1.1, 1.01, 1.2), "slower"),
        (Estimate(0.9, 0.8, 0.99), "faster"),
        (Estimate(1.1, 1.0, 1.2), "no difference shown"),
        (Estimate(3.0), "too few processes"),
    ],
)
def test_what_a_ratio_shows(ratio: Estimate, words: str) -> None:
    assert verdict(ratio) == words
