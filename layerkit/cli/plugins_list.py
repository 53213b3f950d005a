"""``layerkit plugins list``: what is installed, read from metadata alone."""

from __future__ import annotations

import json

import click

from layerkit.cli.table import table
from layerkit.plugins.discovery import Discovery, Entry, discover
from layerkit.plugins.problems import report

__all__ = ["command"]


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def command(as_json: bool) -> None:
    """List the installed plugins, without importing them."""
    found = discover()
    for problem in found.problems:
        report(problem)
    if as_json:
        for entry in sorted(found.entries + found.turned_off):
            click.echo(json.dumps({**entry._asdict(), "bundled": entry.bundled, "state": _state(found, entry)}))
        return
    rows = [
        (entry.distribution, entry.version, entry.name, entry.value, _state(found, entry))
        for entry in sorted(found.entries + found.turned_off)
    ]
    click.echo(table(("distribution", "version", "entry point", "module", "state"), rows))


def _state(found: Discovery, entry: Entry) -> str:
    if entry in found.turned_off:
        return "turned off"
    return "bundled" if entry.bundled else "installed"
