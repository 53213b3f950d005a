"""The commands there are: layerkit's own, known without importing them, and those of plugins."""

from __future__ import annotations

import click

from layerkit.cli.group import LazyGroup

__all__ = ["COMMANDS", "root"]

COMMANDS = {
    "train": ("layerkit.cli.train", "Train a recipe, and keep what it learned in a folder."),
    "evaluate": ("layerkit.cli.evaluate", "Measure how good a trained run is."),
    "predict": ("layerkit.cli.predict", "Label texts with a trained run."),
    "summary": ("layerkit.cli.summary", "Show the layers and sizes of a model or a run."),
    "bench": ("layerkit.cli.bench", "Measure how fast layers and models are on each backend."),
    "backends": ("layerkit.cli.backends", "List what computes here, and what would."),
    "plugins": ("layerkit.cli.plugins", "See which plugins extend layerkit."),
}


class _Root(LazyGroup):
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        own = super().get_command(ctx, cmd_name)
        if own is not None or ctx.resilient_parsing:
            return own
        from layerkit.cli.plugin_commands import commands

        command: click.Command = commands.get(cmd_name)  # type: ignore[assignment]
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
