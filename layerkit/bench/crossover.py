"""Where a backend overtakes another, read from a grid of sizes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from layerkit.bench.result import Crossover, Row, groups_by_axis
from layerkit.bench.sizes import AXES
from layerkit.bench.statistics import Estimate, verdict

__all__ = ["crossovers"]


def crossovers(rows: Sequence[Row]) -> tuple[Crossover, ...]:
    """One for each backend, axis, and combination of the other axes' lengths that was measured at several lengths.

    A backend overtakes where its ratio falls below 1 and stays below, as far as was measured, and is shown to be
    faster at the end.
    """
    return tuple(
        _crossover(series, axis)
        for axis in AXES
        for series in groups_by_axis(rows, axis)
        if all(row.ratio is not None for row in series)
    )


def _crossover(series: Sequence[Row], axis: str) -> Crossover:
    place, row = AXES.index(axis), series[0]
    lengths = [one.size[place] or 0 for one in series]
    ratios = [one.ratio for one in series if one.ratio is not None]
    kind, number = _kind(ratios)
    fixed = row.size._replace(**{axis: None})
    found = Crossover(row.name, row.mode, row.backend, row.against, axis, fixed, kind)
    if kind != "overtakes":
        return found
    below, above = lengths[number - 1], lengths[number]
    at = _between((below, ratios[number - 1].median), (above, ratios[number].median))
    return replace(found, below=below, above=above, at=at)


def _kind(ratios: Sequence[Estimate]) -> tuple[str, int]:
    """What becomes of the ratio, and the first place from which on it is below 1."""
    start = len(ratios)
    while start > 0 and ratios[start - 1].median < 1:
        start -= 1
    if start == len(ratios):
        return "never faster", start
    if _none_shown(ratios[start:]):
        return "not shown", start
    return ("overtakes", start) if start else ("always faster", 0)


def _none_shown(ratios: Iterable[Estimate]) -> bool:
    return not any(verdict(ratio) == "faster" for ratio in ratios)


def _between(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Where the ratio is 1, on a straight line through the logarithms.

    >>> round(_between((4, 2.0), (16, 0.5)))
    8
    """
    (x0, y0), (x1, y1) = [(math.log(x), math.log(y)) for x, y in (one, other)]
    return math.exp(x0 + (x1 - x0) * (y0 / (y0 - y1))) if y0 != y1 else math.exp(x1)
