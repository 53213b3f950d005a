"""What a run found: rows, one for each case and backend, and what they were measured on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from layerkit.bench.sizes import AXES, CaseName, Size
from layerkit.bench.statistics import Estimate, verdict

__all__ = ["SCHEMA", "Crossover", "Result", "Row"]

SCHEMA = "layerkit-bench-1"
"""The name of the form that JSON is written in."""


@dataclass(frozen=True)
class Row:
    """One case on one backend. Times are in seconds, memory is in bytes; ``None`` is what was not measured."""

    kind: str
    name: str
    owner: str
    size: Size
    inputs: tuple[str, ...]
    mode: str
    backend: str
    device: str
    fault: str = ""
    """Why there are no times: it fails, or is not what NumPy computes."""
    apart: float | None = None
    """How far its results are from NumPy's, relative to their largest number; ``None`` for NumPy itself."""
    trace: float | None = None
    compile: float | None = None
    first: float | None = None
    """The first call, with tracing and compiling."""
    programs: int = 0
    """Programs that the first call compiled."""
    steady: Estimate | None = None
    """A call once everything is warm: the median of the processes' medians."""
    per_process: tuple[float, ...] = ()
    ratio: Estimate | None = None
    """``steady`` as a multiple of that of the backend ``against``."""
    against: str = ""
    """The backend that this one is held to; empty for that one itself."""
    work: float | None = None
    """How much one call does, in ``unit``s."""
    unit: str = ""
    flops: float | None = None
    bytes: float | None = None
    memory: float | None = None
    """What one call needs on the device: arguments, results, and what lies between."""
    host: float | None = None
    """How much the process grew with the first call."""
    cores: float | None = None
    """Processors kept busy."""
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether it is right, and has times."""
        return not self.fault

    @property
    def label(self) -> str:
        """What was measured: ``Dense 16x-x256``."""
        return self.case.label

    @property
    def case(self) -> CaseName:
        """What tells it from other rows, but for the backend."""
        return CaseName(self.kind, self.name, self.size, self.mode)

    @property
    def throughput(self) -> float | None:
        """``unit``s in a second."""
        return None if self.work is None or self.steady is None else self.work / self.steady.median


@dataclass(frozen=True)
class Crossover:
    """Where one backend overtakes another as one axis grows and the others stay.

    ``at`` is the place in between, on a line through the logarithms; ``below`` and ``above`` are the sizes that were
    measured. ``kind`` is ``overtakes``, ``always faster``, ``never faster`` or ``not shown``.
    """

    name: str
    mode: str
    backend: str
    against: str
    axis: str
    fixed: Size
    kind: str
    below: int | None = None
    above: int | None = None
    at: float | None = None

    def __str__(self) -> str:
        where = ", ".join(
            f"{axis} {length}" for axis, length in zip(AXES, self.fixed, strict=True) if length and axis != self.axis
        )
        who = f"{self.name} {self.mode}{f', {where}' if where else ''}: {self.backend}"
        if self.kind == "overtakes":
            between = f"between {self.axis} {self.below:,} and {self.above:,}"
            return f"{who} overtakes {self.against} {between}, at about {self.at:,.0f}"
        what = {
            "always faster": f"is faster than {self.against} at every {self.axis}",
            "never faster": f"overtakes {self.against} at no {self.axis}",
            "not shown": f"may overtake {self.against}, but is not shown to be faster at any {self.axis}",
        }
        return f"{who} {what[self.kind]}"


@dataclass(frozen=True)
class Result:
    """What ``layerkit.bench.run`` returns: ``str(result)`` is the table, ``to_json`` and ``to_html`` the files.

    ``machine``, ``software`` and ``backends`` say what it was measured on; ``limits`` has for each device the best
    rates seen, in operations and bytes a second.
    """

    created: str
    settings: Mapping[str, Any]
    machine: Mapping[str, Any]
    software: Mapping[str, Any]
    backends: Mapping[str, Mapping[str, Any]]
    limits: Mapping[str, Mapping[str, float]]
    warnings: tuple[str, ...]
    rows: tuple[Row, ...]
    crossovers: tuple[Crossover, ...] = ()
    without_example: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every row is right."""
        return all(row.ok for row in self.rows)

    def groups(self) -> list[list[Row]]:
        """The rows of each case together, in the order in which they were measured."""
        groups: dict[CaseName, list[Row]] = {}
        for row in self.rows:
            groups.setdefault(row.case, []).append(row)
        return list(groups.values())

    def __str__(self) -> str:
        from layerkit.bench.text import as_text

        return as_text(self)

    def to_html(self) -> str:
        """One page with pictures that needs no network."""
        from layerkit.bench.page import as_html

        return as_html(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, in the form that ``schema.json`` describes."""
        return {
            "schema": SCHEMA,
            "created": self.created,
            "settings": dict(self.settings),
            "machine": dict(self.machine),
            "software": dict(self.software),
            "backends": {name: dict(about) for name, about in self.backends.items()},
            "limits": {device: dict(rates) for device, rates in self.limits.items()},
            "warnings": list(self.warnings),
            "without_example": list(self.without_example),
            "rows": [_plain(row) for row in self.rows],
            "crossovers": [
                {**vars(found), "fixed": dict(zip(AXES, found.fixed, strict=True)), "text": str(found)}
                for found in self.crossovers
            ],
        }

    def to_json(self) -> str:
        """One JSON object, as ``layerkit bench --json FILE`` writes it."""
        return json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n"


def _plain(row: Row) -> dict[str, Any]:
    plain = {
        **vars(row),
        "ok": row.ok,
        "size": dict(zip(AXES, row.size, strict=True)),
        "steady": _estimate(row.steady),
        "ratio": None if row.ratio is None else {**_estimate(row.ratio), "verdict": verdict(row.ratio)},
        "throughput": row.throughput,
    }
    return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}


def _estimate(estimate: Estimate | None) -> Any:
    return None if estimate is None else estimate._asdict()


def groups_by_axis(rows: Sequence[Row], axis: str) -> list[list[Row]]:
    """Rows that differ in the length of one axis alone, sorted by it; series with one length are left out."""
    place = AXES.index(axis)
    series: dict[Any, list[Row]] = {}
    for row in rows:
        if row.ok and row.steady is not None and row.size[place] is not None:
            key = (row.kind, row.name, row.mode, row.backend, row.size._replace(**{axis: None}))
            series.setdefault(key, []).append(row)
    return [sorted(found, key=lambda row: row.size[place] or 0) for found in series.values() if len(found) > 1]
