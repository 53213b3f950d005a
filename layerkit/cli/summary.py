"""``layerkit summary NAME`` and ``layerkit summary RUN``."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from layerkit.errors import UsageError, suggest
from layerkit.plugins.kind import UnknownName
from layerkit.plugins.registry import layers, models, recipes

__all__ = ["command"]


@click.command()
@click.argument("target", metavar="NAME|RUN")
def command(target: str) -> None:
    """Show the layers and sizes of a model or a run.

    NAME is a registered model or layer, shown on its own example; RUN is the folder that 'layerkit train' wrote.
    """
    from layerkit.summary import summary

    model, signature = _run(Path(target)) if os.path.isdir(target) else _registered(target)
    summary(model, signature)


def _run(folder: Path) -> tuple[Any, Any]:
    from layerkit.runs import load

    run = load(folder)
    model, signature = getattr(run, "model", None), getattr(run, "signature", None)
    if model is None or signature is None:
        raise UsageError(f"the run in {str(folder)!r} has no model and signature to show")
    return model, signature


def _registered(name: str) -> tuple[Any, Any]:
    from layerkit.example import example_of

    constructor = _constructor(name)
    example = example_of(constructor)
    if example is None:
        call = f"lk.summary({name.rpartition(':')[2]}(...), signature)"
        raise UsageError(f"{name!r} has no example to show it on: in Python, {call} does")
    return constructor(**example.arguments), example.signature


def _constructor(name: str) -> Callable[..., Any]:
    for kind in (models, layers):
        try:
            return kind.get(name)
        except UnknownName:
            continue
    if name in recipes.names():
        raise UsageError(f"{name!r} is a recipe: train it, and give the folder of the run")
    known = [*models.names(), *layers.names()]
    hint = suggest(name, known, "dir(layerkit.layers) and dir(layerkit.models) list them")
    raise UsageError(f"no run, model or layer {name!r}: {hint}")
