"""Files that are written from the code: one command writes them, and says with ``--check`` which are stale."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["stale", "write_page", "write_stale"]


def stale(texts: Mapping[Path, str]) -> list[Path]:
    """The files that do not hold these texts."""
    return [path for path, text in texts.items() if not path.is_file() or path.read_text("utf-8") != text]


def write_stale(texts: Mapping[Path, str], check: bool) -> int:
    """Writes the files that do not hold these texts, or with ``check`` names them, and returns the exit code."""
    paths = stale(texts)
    for path in paths:
        print(f"{'stale' if check else 'written'}: {path}")
        if not check:
            path.write_text(texts[path], "utf-8")
    return int(check and bool(paths))


def write_page(arguments: Sequence[str], text: str, usage: str) -> int:
    """Writes ``text`` to the path among the arguments, or with ``--check`` says whether it is stale there.

    Returns the exit code: 1 for a stale page, 2 (after ``usage``) unless there is one path.
    """
    paths = [Path(argument) for argument in arguments if argument != "--check"]
    if len(paths) != 1:
        print(f"usage: {usage}", file=sys.stderr)
        return 2
    return write_stale({paths[0]: text}, "--check" in arguments)
