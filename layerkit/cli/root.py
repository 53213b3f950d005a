"""The commands there are: layerkit's own, and those of plugins."""

from __future__ import annotations

import click

from layerkit.cli.group import LazyGroup
from layerkit.cli.own_commands import COMMANDS
from layerkit.errors import UsageError

__all__ = ["root"]


class _Root(LazyGroup):
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        if own is not None or ctx.resilient_parsing:
            return own
        from layerkit.cli.plugin_commands import commands
        from layerkit.plugins.kind import UnknownName

        try:
            command: click.Command = commands.get(cmd_name)  # type: ignore[assignment]
        except UnknownName as error:
            if cmd_name in super().get_command(ctx, "plugins").lazy:  # type: ignore[union-attr]
                meant = f"did you mean 'layerkit plugins {cmd_name}'?"
                raise UsageError(f"unknown command {cmd_name!r}: {meant}") from error
            raise
        return command


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        from importlib.metadata import version

        click.echo(f"layerkit {version('layerkit')}")
        ctx.exit()


@click.group(
    cls=_Root,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    epilog="Plugins may add commands: 'layerkit plugins commands' lists them.",
)
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
def root() -> None:
    """Neural NLP models composed from small layers, on NumPy and on JAX.

    \b
    layerkit train sentiment --output runs/first
    layerkit predict runs/first "what a day"
    """
