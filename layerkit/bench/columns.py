"""The columns of the tables, on the screen and on the page: the same cells for both."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from layerkit.bench.result import Result, Row
from layerkit.bench.statistics import verdict
from layerkit.bench.words import amount, duration, multiple, share, size

__all__ = ["COST", "START", "STEADY", "Column"]


class Column(NamedTuple):
    """A title, what the title means, and the cell of a row."""

    title: str
    meaning: str
    cell: Callable[[Row, Result], str]


def _apart(row: Row, _: Result) -> str:
    if row.apart is None:
        return "-"
    return f"{row.apart:.0e}" if row.apart else "0"


def _steady(row: Row, _: Result) -> str:
    return "-" if row.steady is None else duration(*row.steady)


def _ratio(row: Row, _: Result) -> str:
    if row.ratio is None:
        return "-" if row.against else "reference"
    if not row.ratio.known:
        return f"{multiple(row.ratio.median)}, no interval"
    low, high = map(multiple, row.ratio[1:])
    found = verdict(row.ratio)
    return found if found == "no difference shown" else f"{multiple(row.ratio.median)} [{low}, {high}]"


def _flop_rate(row: Row) -> float | None:
    return row.flops / row.steady.median if row.flops is not None and row.steady is not None else None


def _byte_rate(row: Row) -> float | None:
    return row.bytes / row.steady.median if row.bytes is not None and row.steady is not None else None


_BACKEND = Column("backend", "what computes", lambda row, _: row.backend)

STEADY = (
    _BACKEND,
    Column("apart", "how far from NumPy's numbers, relative to the largest", _apart),
    Column("steady", "a call once it is warm: median over processes, with its 95 % interval", _steady),
    Column("time ratio", "steady time as a multiple of the reference backend's", _ratio),
    Column("throughput", "work done in a second", lambda row, _: amount(row.throughput, f"{row.unit}/s")),
)

START = (
    _BACKEND,
    Column("trace", "from Python to a program", lambda row, _: duration(row.trace)),
    Column("compile", "from the program to machine code, nothing cached", lambda row, _: duration(row.compile)),
    Column("first", "the first call, with tracing and compiling", lambda row, _: duration(row.first)),
    Column("programs", "compiled by the first call", lambda row, _: str(row.programs)),
    Column("needs", "memory of one call: arguments, results, what lies between", lambda row, _: size(row.memory)),
    Column("grew", "how much the process grew with the first call", lambda row, _: size(row.host)),
    Column("cores", "processors kept busy", lambda row, _: "-" if row.cores is None else f"{row.cores:.1f}"),
)

COST = (
    _BACKEND,
    Column("FLOP", "operations of a call, as the compiler counts them", lambda row, _: amount(row.flops)),
    Column("FLOP/s", "operations in a second", lambda row, _: amount(_flop_rate(row))),
    Column(
        "of limit",
        "share of the best rate of a matrix product here",
        lambda row, result: share(_flop_rate(row), result.limits.get(row.device, {}).get("flops")),
    ),
    Column("bytes", "memory read and written by a call, as the compiler counts", lambda row, _: size(row.bytes)),
    Column("B/s", "memory read and written in a second", lambda row, _: amount(_byte_rate(row))),
    Column(
        "of limit",
        "share of the best rate of moving memory here; above 100 % it comes from a cache",
        lambda row, result: share(_byte_rate(row), result.limits.get(row.device, {}).get("bytes")),
    ),
)
