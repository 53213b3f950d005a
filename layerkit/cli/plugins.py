"""``layerkit plugins``: what extends layerkit."""

from __future__ import annotations

import click

from layerkit.cli.group import LazyGroup

__all__ = ["command"]


@click.group(
    cls=LazyGroup,
    lazy={
        "list": ("layerkit.cli.plugins_list", "List the installed plugins, without importing them."),
        "new": ("layerkit.cli.plugins_new", "Write a new plugin: a small distribution that works."),
        "check": ("layerkit.cli.plugins_check", "Try everything that the installed distribution NAME offers."),
        "commands": ("layerkit.cli.plugins_commands", "List the commands that plugins add."),
    },
)
def command() -> None:
    """See which plugins extend layerkit.

    LAYERKIT_PLUGINS chooses which of them are loaded: 'acme,beta' these alone, '-acme' all but this, 'none' no others
    than layerkit's own. Installing a plugin is trusting its code.
    """
