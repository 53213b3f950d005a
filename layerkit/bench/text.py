"""A result as text of 80 columns."""

from __future__ import annotations

import functools
import textwrap
from collections.abc import Sequence

from layerkit.bench.columns import COST, START, STEADY, Column
from layerkit.bench.result import Result, Row
from layerkit.bench.words import amount, processes

__all__ = ["WIDTH", "as_text", "wrapped"]

WIDTH = 80
_GAP = "  "


def as_text(result: Result) -> str:
    """The tables, what they were measured on, and what one should know of them."""
    parts = [
        _table("Steady time", STEADY, result.groups(), result),
        _table("First call and memory", START, _right(result.groups()), result),
        _table("Work, and its share of what the machine can do", COST, _costed(result.groups()), result),
    ]
    if result.crossovers:
        parts.append("\n".join(["Crossovers", *(wrapped(f"{found}", "  ") for found in result.crossovers)]))
    parts.append("\n".join(_about(result)))
    parts.append("\n".join(wrapped(f"warning: {warning}") for warning in result.warnings))
    if result.without_example:
        names = ", ".join(result.without_example)
        parts.append(wrapped(f"not measured, because they have no example: {names}"))
    return "\n\n".join(filter(None, parts))


def wrapped(text: str, indent: str = "") -> str:
    """The text in lines that fit, each after the first indented further."""
    return textwrap.fill(text, WIDTH, initial_indent=indent, subsequent_indent=f"{indent}  ", break_long_words=False)


def _right(groups: list[list[Row]]) -> list[list[Row]]:
    return [own for group in groups if (own := [row for row in group if row.ok])]


def _costed(groups: list[list[Row]]) -> list[list[Row]]:
    return [own for group in groups if (own := [row for row in group if row.flops is not None])]


def _table(title: str, columns: Sequence[Column], groups: list[list[Row]], result: Result) -> str:
    """A heading for each case, its backends below; empty if there is nothing to show."""
    if not groups:
        return ""
    shown: list[tuple[Row, list[str]]] = [
        (row, [column.cell(row, result) for column in columns]) for group in groups for row in group
    ]
    header = [column.title for column in columns]
    cells = [header, *(own for row, own in shown if row.ok)]
    widths = [max(len(line[place]) for line in cells) for place in range(len(columns))]
    widths[0] = max([widths[0], *(len(row.backend) for row, _ in shown)])
    wide = sum(widths) + len(_GAP) * len(widths) > WIDTH
    align = functools.partial(_aligned, widths=widths, gap=" " if wide else _GAP)
    lines = [title, align(header), align(["-" * width for width in widths])]
    by_case = dict.fromkeys(row.case for row, _ in shown)
    for case in by_case:
        own = [(row, line) for row, line in shown if row.case == case]
        lines.append(wrapped(f"{own[0][0].label} {own[0][0].mode}"))
        for row, line in own:
            lines += [align(line)] if row.ok else [wrapped(f"{row.backend}: {row.fault}", "  ")]
            lines += [wrapped(f"({note})", "    ") for note in (row.notes if columns is STEADY else ())]
    return "\n".join(lines)


def _aligned(cells: Sequence[str], widths: Sequence[int], gap: str) -> str:
    first, *rest = [
        cell.ljust(width) if place == 0 else cell.rjust(width)
        for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return gap.join([f"{gap}{first}", *rest]).rstrip()


def _about(result: Result) -> list[str]:
    """What it was measured on, in a few lines."""
    machine, settings = result.machine, result.settings
    versions = [f"Python {result.software['python']}", f"layerkit {result.software['layerkit']}"]
    versions += [
        f"{name} {version}" for one in result.backends.values() for name, version in one["environment"].items()
    ]
    said = ", ".join(dict.fromkeys(versions))
    lines = [
        wrapped(f"{machine['processor']}, {machine['cores']} cores; {machine['system']}; {said}"),
        wrapped(
            f"{processes(settings['processes'])}, {settings['seconds']:g} s a case; every call waited for; "
            "intervals cover the median over processes in 95 % of all cases; '-' was not measured"
        ),
    ]
    for device, rates in result.limits.items():
        lines.append(
            wrapped(f"measured limits of {device}: {amount(rates['flops'], 'FLOP/s')}, {amount(rates['bytes'], 'B/s')}")
        )
    return lines
