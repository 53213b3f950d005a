"""A place to run commands in, and what a command that fails must look like."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from distributions import Done, Site, majority_recipe

__all__ = ["LINES", "close", "command_site", "fails"]

LINES = "good fine day\ngood day\nbad day\n"

# Commands that plugins add, one for each way to end.
COMMANDS = """
    import sys, click
    import layerkit as lk
    @lk.hookimpl
    def layerkit_commands(cli):
        @cli.command()
        @click.argument("how")
        def end(how):
            "End in one way or another."
            click.echo("begun")
            if how == "broken": raise RuntimeError("two\\nlines")
            if how == "mute": raise RuntimeError
            if how == "usage": raise lk.UsageError("asked for wrongly")
            if how == "error": raise lk.LayerkitError("went\\nwrong")
            if how == "os": open("/no/such/file")
            if how == "interrupt": raise KeyboardInterrupt
            if how == "abort": raise click.Abort
            if how == "exit": sys.exit(7)
            if how == "exit-text": sys.exit("text")
            if how == "context": click.get_current_context().exit(5)
        @cli.command()
        def late():
            print("written when the process ends")
        @cli.command()
        def train():
            "Not layerkit's."
            click.echo("mine")
"""


def command_site(folder: Path) -> Site:
    """An installed recipe and an installed set of commands, and a run."""
    site = Site(folder)
    site.add("acme", "1.5", "majority = majority", majority=majority_recipe())
    site.add("beta", "2.0", "commands = beta_commands", beta_commands=COMMANDS)
    (site.folder / "lines.txt").write_text(LINES)
    done = site.layerkit("train", "majority", "--data", "lines.txt", "--output", "run")
    assert done.code == 0, done.err
    return site


def fails(done: Done, code: int, *said: str) -> None:
    """Checks that a command failed with this code and one line that says all this."""
    lines = [line for line in done.errors if "plugin beta 2.0 offers a command 'train'" not in line]
    assert (done.code, len(lines)) == (code, 1), done.err
    assert lines[0].startswith("layerkit: ")
    for part in said:
        assert part in lines[0]


def close(stream: str, *arguments: str, site: Site) -> Done:
    """Runs a command with a stream that is closed, full or abandoned, as a shell does."""
    command = " ".join([sys.executable, "-m", "layerkit", *arguments])
    environment = {**os.environ, "PYTHONPATH": site.path, "LAYERKIT_BACKEND": "numpy", "PYTHONUNBUFFERED": ""}
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} {stream}"],
        capture_output=True, text=True, env=environment, cwd=site.folder,
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)
