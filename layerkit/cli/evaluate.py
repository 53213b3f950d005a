"""``layerkit evaluate RUN``."""

from __future__ import annotations

import contextlib
import json
import math
from pathlib import Path

import click

from layerkit.cli.path import PATH
from layerkit.cli.say import say
from layerkit.cli.table import table
from layerkit.run_file import as_metrics, read_run_file
from layerkit.runs import load

__all__ = ["command"]


@click.command()
@click.argument("run", type=PATH)
@click.option("--data", type=PATH, metavar="FILE", help="Measure on this file instead.")
@click.option("--backend", metavar="NAME", help="Backend to compute on; see 'layerkit backends'.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(run: Path, data: Path | None, backend: str | None, as_json: bool) -> None:
    """Measure how good a trained run is, on the data that was held out when it was trained.

    RUN is the folder that 'layerkit train' wrote.
    """
    from layerkit.fastmath import use_backend

    read_run_file(run)  # before any backend is started
    with use_backend(backend) if backend else contextlib.nullcontext():
        metrics = as_metrics(load(run).evaluate(data))
    if as_json:
        click.echo(json.dumps({name: value if math.isfinite(value) else None for name, value in metrics.items()}))
    else:
        say(table(("metric", "value"), [(name, f"{value:.4f}") for name, value in metrics.items()]))
