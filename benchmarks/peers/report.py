"""Tables in Markdown from what was measured."""

from __future__ import annotations

import statistics
from typing import Any

from frameworks import FRAMEWORKS
from jobs import JOBS, Job
from measure import Row

__all__ = ["BEGIN", "END", "deviation", "page", "tables"]

BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
_REFERENCE = "plain"
_TOLERANCE = {"classifier": 1e-3, "transformer": 2e-3, "lstm": 2e-3, "gru": 2e-3}
"""How far losses may lie apart, relative to their size: rounding grows from step to step, most in the deep models."""
_BUSY = 0.05


def page(text: str, results: dict[str, Any]) -> str:
    """The page with its tables written anew; what stands around them stays."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{tables(results)}\n{END}{rest.partition(END)[2]}"


def tables(results: dict[str, Any]) -> str:
    """The tables of all jobs, in the order of JOBS."""
    return "\n".join(_table(job, results[name]) for name, job in JOBS.items() if name in results)


def deviation(row: Row, reference: Row) -> float:
    """How far a row's losses (or log-probabilities) lie from the reference's: the largest relative difference."""
    return max(abs(a - b) / abs(b) for a, b in zip(row["proof"], reference["proof"], strict=True))


def _table(job: Job, result: dict[str, Any]) -> str:
    rows, unit = result["rows"], "call" if job.kind == "predict" else "step"
    reference = rows[_REFERENCE]
    start = job.kind == "start"
    columns = ["to the first step", "of the processor"] if start else [f"a {unit}", "of the processor"]
    heads = [
        "",
        "`--frameworks`",
        *(["to its imports"] if start else []),
        *columns,
        "beside JAX by hand",
        "same numbers",
    ]
    measured = sorted((name for name in rows if "wall_ms" in rows[name]), key=lambda name: _median(rows[name]))
    lines = [_cells(name, rows[name], reference, job) for name in measured]
    absent = [f"{FRAMEWORKS[name].title}: {row['missing']}." for name, row in rows.items() if "missing" in row]
    notes = [f"{FRAMEWORKS[name].title}: {FRAMEWORKS[name].note}." for name in measured if FRAMEWORKS[name].note]
    out = [f"### {job.title}", "", "```sh", f"python benchmarks/peers/run.py {job.name}", "```", "", _row(heads)]
    others = statistics.median(share for name in measured for share in rows[name].get("others", [0.0]))
    if others > _BUSY:
        notes.append(f"Other programs had {others:.0%} of the two cores meanwhile (the median sample).")
    out += ["|---" * len(heads) + "|", *map(_row, lines), ""]
    for remark in notes + absent:
        out += [remark, ""]
    return "\n".join(out)


def _cells(name: str, row: Row, reference: Row, job: Job) -> list[str]:
    framework = FRAMEWORKS[name]
    main = framework.packages.split()[0]
    apart = deviation(row, reference)
    same = "yes" if apart <= _TOLERANCE[job.model] else f"no, {apart:.1e} apart"
    imports = [_figure(row["import_ms"])] if job.kind == "start" else []
    times = [_figure(row["wall_ms"]), _short(statistics.median(row["cpu_ms"]))]
    ratios = [ours / plain for ours, plain in zip(row["wall_ms"], reference["wall_ms"], strict=True)]
    ratio = f"{_median(row) / _median(reference):.2f} [{_bracket(ratios)}]" if name != _REFERENCE else "1"
    return [f"{framework.title} ({main} {row['versions'][main]})", f"`{name}`", *imports, *times, ratio, same]


def _median(row: Row) -> float:
    return statistics.median(row["wall_ms"])


def _figure(samples: list[float]) -> str:
    low, middle, high = statistics.quantiles(samples, n=4)
    return f"{_short(middle)} [{_short(low)}, {_short(high)}]"


def _short(ms: float) -> str:
    """Three digits, in the unit that suits them."""
    for factor, unit in ((1000, "us"), (1, "ms")):
        if ms * factor < 1000:
            return f"{ms * factor:.3g} {unit}"
    return f"{ms / 1000:.3g} s"


def _bracket(ratios: list[float]) -> str:
    low, _, high = statistics.quantiles(ratios, n=4)
    return f"{low:.2f}, {high:.2f}"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
