"""``layerkit plugins new NAME``: a plugin to begin with."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from layerkit.cli.path import PATH
from layerkit.cli.say import say
from layerkit.errors import UsageError
from layerkit.plugins.scaffold import KINDS, scaffold

__all__ = ["command"]


@click.command("new")
@click.argument("name")
@click.option("--layer", is_flag=True, help="Begin with a layer (unless another kind is asked for).")
@click.option("--optimizer", is_flag=True, help="Begin with an optimizer.")
@click.option("--backend", is_flag=True, help="Begin with a backend.")
@click.option("--recipe", is_flag=True, help="Begin with a recipe.")
@click.option("--output", type=PATH, metavar="FOLDER", help="Write to this new folder.  [default: NAME]")
def command(name: str, output: Path | None, **kinds: bool) -> None:
    """Write a new plugin: a small distribution that works.

    NAME is the distribution's: letters, digits, '-' and '_'. It comes with one working example, tests that run the
    kit, a README and a CI file; change the example into your own. An existing folder is never touched.
    """
    asked = [kind for kind in KINDS if kinds[kind]]
    if len(asked) > 1:
        raise UsageError(f"a plugin begins with one thing, not with {' and '.join(asked)}: add the other later")
    folder = str(output or name)
    paths = scaffold(name, asked[0] if asked else "layer", folder)
    say(f"written to {folder}:")
    for path in paths:
        say(f"  {path.relative_to(folder).as_posix()}")
    # A path that begins with a dash would be an option, and one without a slash a name to download.
    start = folder if folder.startswith("/") else f"./{folder}"
    say("\nnext:")
    say(f"  pip install -e {shlex.quote(start + '[test]')}")
    say(f"  pytest {shlex.quote(start)}")
    say(f"  layerkit plugins check {name}")
