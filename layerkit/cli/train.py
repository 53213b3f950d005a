"""``layerkit train RECIPE``: options, defaults and help come from the recipe's settings."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Callable
from typing import Any

import click

from layerkit.cli.say import say
from layerkit.cli.setting_options import given, options
from layerkit.errors import UsageError, suggest
from layerkit.plugins.registry import recipes
from layerkit.runs import recipe_of, train
from layerkit.settings import settings_of

__all__ = ["command"]


class _Recipes(click.Group):
    """The registered recipes, each a command."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            raise UsageError(f"train what? {suggest('', recipes.names())} (see: layerkit train --help)")
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return recipes.names()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return None if cmd_name.startswith("-") else _command(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Recipes"):
            formatter.write_dl([(name, _first_line(recipes.get(name))) for name in recipes.names()])


@click.group(cls=_Recipes, subcommand_metavar="RECIPE [OPTIONS]")
def command() -> None:
    """Train a recipe, and keep what it learned in a folder.

    'layerkit train RECIPE --help' lists the recipe's settings.
    """


def _command(name: str) -> click.Command:
    recipe = recipe_of(name)
    shared: list[click.Parameter] = [
        click.Option(
            ["output", "--output"],
            type=click.Path(readable=False),
            default=f"runs/{name.rpartition(':')[2]}",
            metavar="RUN",
            help="Folder to keep the run in; one that was begun there with the same settings is continued.",
            show_default=True,
        ),
        click.Option(
            ["overwrite", "--overwrite"], is_flag=True, help="Train anew, in place of the run in that folder."
        ),
        click.Option(["backend", "--backend"], metavar="NAME", help="Backend to compute on; see 'layerkit backends'."),
    ]
    return click.Command(
        name,
        params=[*shared, *options(settings_of(name, recipe.Settings))],
        callback=_trains(name),
        help=inspect.getdoc(type(recipe)) or "",
    )


def _trains(name: str) -> Callable[..., None]:
    def run(output: str, overwrite: bool, backend: str | None, **settings: Any) -> None:
        made = train(name, output=output, overwrite=overwrite, backend=backend, **given(settings))
        for metric, value in made.metrics.items():
            say(f"{metric} {float(value):.4f}")
        named = f"./{output}" if output.startswith("-") else output
        say(f"kept in {output}; try: layerkit predict {shlex.quote(named)} TEXT")

    return run


def _first_line(constructor: Any) -> str:
    return (inspect.getdoc(constructor) or "").partition("\n")[0]
