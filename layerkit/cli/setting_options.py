"""Command-line options made from a recipe's settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from layerkit.settings import Setting

__all__ = ["given", "options"]

_TYPES: dict[type, tuple[click.ParamType[Any] | type, str]] = {
    int: (click.INT, "N"),
    float: (click.FLOAT, "X"),
    str: (click.STRING, "TEXT"),
    Path: (click.Path(path_type=Path), "PATH"),
}


def options(settings: Mapping[str, Setting]) -> list[click.Option]:
    """One option for each setting: ``batch_size`` becomes ``--batch-size``."""
    return [_option(rule) for rule in settings.values()]


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that were said on the command line; the dataclass knows what is assumed for the rest."""
    return {name: value for name, value in values.items() if value is not None and value != ()}


def _option(rule: Setting) -> click.Option:
    flag = "--" + rule.name.replace("_", "-")
    required = rule.default is dataclasses.MISSING
    shown = _default_text(rule)
    if rule.type is bool and not rule.choices and not rule.several:
        names = [rule.name, f"{flag}/--no-{flag[2:]}"]
        return click.Option(names, default=None, required=required, help=rule.help, show_default=shown)
    if rule.choices:
        kind: Any = click.Choice([str(choice) for choice in rule.choices])
        metavar = rule.metavar or None
    else:
        kind, metavar = _TYPES[rule.type][0], rule.metavar or _TYPES[rule.type][1]
    if rule.choices and rule.type is not str:
        kind = _TYPES[rule.type][0]
    return click.Option(
        [rule.name, flag],
        type=kind,
        metavar=metavar,
        multiple=rule.several,
        required=required,
        help=f"{rule.help} {_limits(rule)}".strip(),
        show_default=shown,
    )


def _default_text(rule: Setting) -> str | bool:
    if rule.default is dataclasses.MISSING or rule.default is None or rule.default == ():
        return False
    if rule.type is bool and not rule.several:
        return rule.name.replace("_", "-") if rule.default else f"no-{rule.name.replace('_', '-')}"
    return " ".join(map(str, rule.default)) if rule.several else str(rule.default)


def _limits(rule: Setting) -> str:
    if rule.least is not None and rule.most is not None:
        return f"({rule.least} to {rule.most})"
    return ""
