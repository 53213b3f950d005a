"""A result as one HTML page: tables, three kinds of pictures, and the environment. It asks no network for anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from layerkit.bench.charts import bars, curves, legend, rooflines
from layerkit.bench.columns import COST, START, STEADY, Column
from layerkit.bench.result import Result, Row
from layerkit.bench.svg import element, text
from layerkit.bench.words import amount, processes, size

__all__ = ["as_html"]

_STYLE = """
:root { color-scheme: light dark; --ink: #1c1c1c; --paper: #fff; --faint: #e4e4e4; --soft: #666;
  --c0: #2b6cb0; --c1: #c05621; --c2: #2f855a; --c3: #805ad5; --c4: #b83280; --c5: #718096; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --paper: #16181b; --faint: #34373c; --soft: #a0a0a0;
  --c0: #63b3ed; --c1: #f6ad55; --c2: #68d391; --c3: #b794f4; --c4: #f687b3; --c5: #a0aec0; } }
@media print { :root { color-scheme: light; --ink: #000; --paper: #fff; --faint: #ddd; --soft: #444;
  --c0: #2b6cb0; --c1: #c05621; --c2: #2f855a; --c3: #805ad5; --c4: #b83280; --c5: #718096; }
  figure, tr { break-inside: avoid; } h2 { break-after: avoid; } main { max-width: none; } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .87rem; }
th, td { padding: .2rem .8rem .2rem 0; text-align: right; white-space: nowrap; }
th { font-weight: 600; border-bottom: 1px solid var(--soft); } td { border-bottom: 1px solid var(--faint); }
th:first-child, td:first-child, .plain td, .plain th, td.wrong { text-align: left; }
.plain th { border-bottom: 1px solid var(--faint); font-weight: 400; color: var(--soft); }
.plain td, td.wrong { white-space: normal; overflow-wrap: anywhere; }
td.case { padding-top: .7rem; font-weight: 600; text-align: left; }
.wrong { color: #c53030; } .note { color: var(--soft); }
.warning { border-left: 4px solid #d69e2e; padding-left: .8rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fill, minmax(22rem, 1fr)); gap: 1.2rem 2rem; }
.columns { columns: 18rem; }
figure { margin: 0; } figcaption { font-size: .87rem; font-weight: 600; }
svg { width: 100%; height: auto; } svg text { fill: var(--ink); }
.axis, .whisker, .roof { stroke: var(--ink); } .grid { stroke: var(--faint); }
.dotted { stroke: var(--soft); }
""" + "\n".join(f".fill.c{n} {{ fill: var(--c{n}); }} .line.c{n} {{ stroke: var(--c{n}); }}" for n in range(6))


def as_html(result: Result) -> str:
    """The page."""
    sections = [
        _heading(result),
        _table("Steady time", STEADY, result.groups(), result),
        _figures(
            "Bars",
            "Steady time from zero, each case on its own scale; the thin line is the 95 % interval.",
            bars(result),
        ),
        _figures(
            "Sizes",
            _SIZES,
            curves(result),
        ),
        _crossovers(result),
        _table("First call and memory", START, _rows(result, lambda row: row.ok), result),
        _table("Work", COST, _rows(result, lambda row: row.flops is not None), result),
        _figures("Rooflines", _ROOF, rooflines(result)),
        _legend(result),
        _environment(result),
    ]
    head = element("meta", charset="utf-8") + element(
        "meta", name="viewport", content="width=device-width, initial-scale=1"
    )
    head += element("title", "layerkit bench") + element("style", _STYLE)
    body = element("body", element("main", *sections))
    return "<!doctype html>\n" + element("html", element("head", head), body, lang="en") + "\n"


_SIZES = (
    "Steady time over size, both logarithmic; a dotted line is where one backend overtakes, by the ratios that were "
    "taken in turns."
)
_ROOF = (
    "What a call computes for each byte it moves, and how fast; the line is the most that this machine did: moving "
    "memory on the left, multiplying matrices on the right. A point above the slope reads from a cache."
)


def _heading(result: Result) -> str:
    machine, settings = result.machine, result.settings
    where = f"{machine['processor']}, {machine['cores']} cores, {machine['system']}"
    how = (
        f"{processes(settings['processes'])}, {settings['seconds']:g} s of samples a case, taken in "
        "turns, every call waited for. Each process gives one number; an interval covers their median in 95 % of all "
        "cases. A difference is shown where the interval of the ratio does not cover 1."
    )
    warnings = [element("p", text(warning), class_="warning") for warning in result.warnings]
    when = element("p", text(f"{result.created}: {where}"))
    return "".join([element("h1", "layerkit bench"), when, element("p", text(how), class_="note"), *warnings])


def _rows(result: Result, wanted: Any) -> list[list[Row]]:
    return [own for group in result.groups() if (own := [row for row in group if wanted(row)])]


def _table(title: str, columns: Sequence[Column], groups: list[list[Row]], result: Result) -> str:
    if not groups:
        return ""
    head = element("tr", *(element("th", text(column.title), title=column.meaning) for column in columns))
    lines = []
    for group in groups:
        case = f"{group[0].label} {group[0].mode}"
        lines.append(element("tr", element("td", text(case), colspan=len(columns), class_="case")))
        lines += [_line(row, columns, result) for row in group]
    meanings = "; ".join(f"{column.title}: {column.meaning}" for column in columns[1:])
    return "".join(
        [
            element("h2", text(title)),
            element("div", element("table", element("thead", head), element("tbody", *lines)), class_="wide"),
            element("p", text(f"{meanings}."), class_="note"),
        ]
    )


def _line(row: Row, columns: Sequence[Column], result: Result) -> str:
    if not row.ok:
        fault = element("td", text(row.fault), colspan=len(columns) - 1, class_="wrong")
        return element("tr", element("td", text(row.backend)), fault)
    line = element("tr", *(element("td", text(column.cell(row, result)) or "&#8203;") for column in columns))
    notes = row.notes if columns is STEADY else ()
    return line + "".join(
        element("tr", element("td", text(note), colspan=len(columns), class_="note")) for note in notes
    )


def _figures(title: str, about: str, pictures: Sequence[tuple[str, str]]) -> str:
    if not pictures:
        return ""
    figures = [element("figure", element("figcaption", text(caption)), picture) for caption, picture in pictures]
    return element("h2", title) + element("p", text(about), class_="note") + element("div", *figures, class_="figures")


def _crossovers(result: Result) -> str:
    if not result.crossovers:
        return ""
    lines = [element("li", text(found)) for found in result.crossovers]
    return element("h2", "Crossovers") + element("ul", *lines)


def _legend(result: Result) -> str:
    lines = [
        element("li", text(f"{row.label} {row.mode}, {row.backend}, {row.device}"), value=number)
        for number, row in legend(result)
    ]
    return element("ol", *lines, class_="note columns") if lines else ""


def _environment(result: Result) -> str:
    machine = {**result.machine, "memory": size(result.machine["memory"])}
    facts: list[tuple[str, Any]] = [*machine.items(), *result.settings.items()]
    facts += [(name, value) for name, value in result.software.items() if name != "variables"]
    facts += result.software["variables"].items()
    for name, about in result.backends.items():
        facts.append((f"{name}: devices", ", ".join(about["devices"])))
        facts += [(f"{name}: {what}", version) for what, version in about["environment"].items()]
    for device, rates in result.limits.items():
        measured = f"{amount(rates.get('flops'), 'FLOP/s')}, {amount(rates.get('bytes'), 'B/s')}"
        facts.append((f"measured limits of {device}", measured))
    lines = [
        element("tr", element("th", text(name), scope="row"), element("td", text(_words(value))))
        for name, value in facts
    ]
    return element("h2", "Environment") + element("table", element("tbody", *lines), class_="plain")


def _words(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {one}" for name, one in value.items())
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
