"""Results of a bench that nobody ran: rows with the times they are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from layerkit.bench import Result, Row, environment
from layerkit.bench.crossover import crossovers
from layerkit.bench.sizes import Size
from layerkit.bench.statistics import median, ratio_of_pairs

__all__ = ["around", "result", "rows_of"]


def around(seconds: float) -> tuple[float, ...]:
    """Six processes that differ by up to 3 %."""
    return tuple(seconds * (1 + part / 100) for part in (-3, -1, 0, 0, 1, 3))


def rows_of(
    name: str, size: Size, times: Mapping[str, Sequence[float]], mode: str = "forward", **more: Any
) -> list[Row]:
    """A row for each backend; ratios are to the first."""
    made = []
    first = next(iter(times.values()))
    for backend, own in times.items():
        row = Row(
            "layer", name, "layerkit", size, ("float32[4,8]",), mode, backend, "cpu",
            steady=median(own), per_process=tuple(own), work=4.0, unit="rows", **more,
        )  # fmt: skip
        if own is not first:
            row = replace(row, ratio=ratio_of_pairs(own, first), against=next(iter(times)), apart=1e-7)
        made.append(row)
    return made


def result(rows: Sequence[Row], **changes: Any) -> Result:
    """A result of this machine with these rows."""
    backends = dict.fromkeys(row.backend for row in rows)
    made = Result(
        created="2026-01-02T03:04:05+00:00",
        settings={"mode": "forward", "sizes": "example", "seconds": 3.0, "processes": 6, "backends": list(backends)},
        machine={**environment.machine(), "devices": dict.fromkeys(backends, "cpu")},
        software=environment.software(),
        backends={
            name: {"devices": ["cpu:0"], "device": "cpu", "environment": {f"lib{name}": "1.0"}} for name in backends
        },
        limits={"cpu": {"flops": 1e11, "bytes": 1e10}},
        warnings=(),
        rows=tuple(rows),
        crossovers=crossovers(rows),
    )
    return replace(made, **changes)
