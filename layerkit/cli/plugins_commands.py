"""``layerkit plugins commands``: the commands that plugins add."""

from __future__ import annotations

import click

from layerkit.cli.own_commands import COMMANDS
from layerkit.cli.plugin_commands import commands
from layerkit.cli.say import say
from layerkit.cli.table import table

__all__ = ["command"]


@click.command("commands")
def command() -> None:
    """List the commands that plugins add."""
    names = [name for name in commands.names() if name not in COMMANDS]
    if not names:
        say("no plugin adds a command")
        return
    rows = []
    for name in names:
        added: click.Command = commands.get(name)  # type: ignore[assignment]
        rows.append((name, commands.owner(name), added.get_short_help_str(60)))
    say(table(("command", "distribution", "what it does"), rows))
