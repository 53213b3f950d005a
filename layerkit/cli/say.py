"""What a command says on standard output, to be read by people."""

from __future__ import annotations

import click

from layerkit.errors import printable

__all__ = ["say"]


def say(text: str) -> None:
    """Prints lines, in which anybody's names and texts do nothing to the terminal."""
    click.echo("\n".join(map(printable, text.split("\n"))))
