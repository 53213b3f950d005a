"""Commands that plugins add to ``layerkit``."""

from __future__ import annotations

from typing import Any

import click

from layerkit.cli.own_commands import COMMANDS
from layerkit.plugins.kind import Offer, Registry
from layerkit.plugins.loader import Plugin

__all__ = ["commands"]


_OWN = {name: Offer(name, click.Command, "layerkit", "") for name in COMMANDS}


class _Commands(Registry):
    """The hook adds commands to a group rather than returning constructors; all else is as with any other kind."""

    def own(self) -> dict[str, Offer]:
        return _OWN

    def _constructors(self, plugin: Plugin) -> list[Any]:
        group = click.Group()
        if plugin.implements(self.hook):
            plugin.call(self.hook, cli=group)
        return list(group.commands.values())


commands = _Commands("command", naming=lambda command: command.name)
