"""Pages that are written from the code: one command writes them, and says with ``--check`` whether they are stale."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["write_page"]


def write_page(arguments: Sequence[str], text: str, usage: str) -> int:
    """Writes ``text`` to the path among the arguments, or with ``--check`` says whether it is stale there.

    Returns the exit code: 1 for a stale page, 2 (after ``usage``) unless there is one path.
    """
    paths = [Path(argument) for argument in arguments if argument != "--check"]
    if len(paths) != 1:
        print(f"usage: {usage}", file=sys.stderr)
        return 2
    stale = not paths[0].is_file() or paths[0].read_text("utf-8") != text
    if stale:
        print(f"{'stale' if '--check' in arguments else 'written'}: {paths[0]}")
        if "--check" not in arguments:
            paths[0].write_text(text, "utf-8")
    return int(stale and "--check" in arguments)
