"""A path on the command line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

__all__ = ["PATH"]


class _Path(click.Path):
    """What was typed, as a path.

    Nothing is no path: Python would take it for the folder that one is in. And a tilde is the home folder: the shell
    leaves that of ``--file=~/texts`` alone.
    """

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("a path is due, got ''", param, ctx)
        return super().convert(os.path.expanduser(value), param, ctx)


PATH = _Path(path_type=Path, readable=False)  # whoever opens it says why it cannot
