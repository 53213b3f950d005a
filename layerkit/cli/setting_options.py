"""Command-line options made from a recipe's settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from layerkit.cli.path import PATH
from layerkit.settings import Setting

__all__ = ["given", "options"]

_TYPES = {int: (click.INT, "N"), float: (click.FLOAT, "X"), str: (click.STRING, "TEXT"), Path: (PATH, "PATH")}


def options(settings: Mapping[str, Setting]) -> list[click.Option]:
    """One option for each setting: ``batch_size`` becomes ``--batch-size``."""
    return [_option(rule) for rule in settings.values()]


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that have a value; the dataclass knows what is assumed for the rest."""
    return {name: value for name, value in values.items() if value is not None and value != ()}


def _option(rule: Setting) -> click.Option:
    flag = "--" + rule.name.replace("_", "-")
    required = rule.default is dataclasses.MISSING
    how: dict[str, Any] = {"required": True} if required else {"default": rule.default, "show_default": True}
    if rule.type is bool and not rule.several:
        return click.Option([rule.name, f"{flag}/--no-{flag[2:]}"], help=rule.help, **how)
    kind, metavar = _TYPES[rule.type]
    if rule.choices:
        kind = click.Choice(rule.choices) if rule.type is str else kind
        metavar = f"[{'|'.join(map(str, rule.choices))}]"
    limits = f" (from {rule.least} to {rule.most})" if rule.least is not None and rule.most is not None else ""
    return click.Option(
        [rule.name, flag],
        type=kind,
        metavar=rule.metavar or metavar,
        multiple=rule.several,
        help=rule.help + limits,
        **how,
    )
