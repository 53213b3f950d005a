"""``layerkit plugins list``: what is installed, read from metadata alone."""

from __future__ import annotations

import json
from typing import NamedTuple

import click

from layerkit.cli.say import say
from layerkit.cli.table import table
from layerkit.plugins.discovery import Discovery, Entry, discover
from layerkit.plugins.problems import report

__all__ = ["command"]


class _Import(NamedTuple):
    milliseconds: float
    works: bool


@click.command("list")
@click.option("--timing", is_flag=True, help="Import each of them, and say how long that takes.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def command(timing: bool, as_json: bool) -> None:
    """List the installed plugins, without importing them.

    With --timing they are imported after all, layerkit's own first: a plugin's time is what it adds to those that were
    imported before it. Those that are turned off are not imported.
    """
    found = discover()
    for problem in found.problems:
        report(problem)
    entries = sorted(found.entries + found.turned_off)
    times = _imported() if timing else {}
    if as_json:
        for entry in entries:
            about = {**entry._asdict(), "bundled": entry.bundled, "state": _state(found, entry, times)}
            if timing:
                about["import_ms"] = round(times[entry].milliseconds, 3) if entry in times else None
            click.echo(json.dumps(about))
        return
    header = ["distribution", "version", "entry point", "module", "state", *(["import ms"] if timing else [])]
    rows = [
        [
            *(entry.distribution, entry.version, entry.name, entry.value, _state(found, entry, times)),
            *([_milliseconds(times.get(entry))] if timing else []),
        ]
        for entry in entries
    ]
    say(table(header, rows))
    if timing:
        total = sum(taken.milliseconds for taken in times.values())
        say(f"imported {len(times)} plugins in {total:.0f} ms")


def _imported() -> dict[Entry, _Import]:
    # pluggy is imported here, where somebody asked for it, and before the clock runs.
    from layerkit.plugins import loader, outside  # noqa: F401

    return {plugin.entry: _Import(taken, plugin.state == "ready") for plugin, taken in loader.timed()}


def _milliseconds(taken: _Import | None) -> str:
    return "" if taken is None else f"{taken.milliseconds:9.1f}"


def _state(found: Discovery, entry: Entry, times: dict[Entry, _Import]) -> str:
    if entry in found.turned_off:
        return "turned off"
    if entry in times and not times[entry].works:
        return "does not load"
    return "bundled" if entry.bundled else "installed"
