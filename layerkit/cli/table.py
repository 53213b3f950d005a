"""Plain tables that fit the terminal."""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterable, Sequence

__all__ = ["table"]

_GAP = "  "
_NARROWEST = 8


def table(header: Sequence[str], rows: Iterable[Sequence[str]], width: int | None = None) -> str:
    """A header, a rule and rows, in columns; the widest columns wrap until everything fits ``width`` (the terminal's).

    >>> print(table(("name", "what"), [("numpy", "the reference")]))
    name   what
    -----  -------------
    numpy  the reference
    """
    lines = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    room = (width or shutil.get_terminal_size().columns) - len(_GAP) * (len(header) - 1)
    while sum(widths) > room and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1
    parts = [*_wrapped(lines[0], widths), _GAP.join("-" * w for w in widths)]
    for line in lines[1:]:
        parts += _wrapped(line, widths)
    return "\n".join(parts)


class _AtSeams(textwrap.TextWrapper):
    """Wraps names too where their parts meet, ``layerkit_plugins.`` and ``backends``, before it cuts a word."""

    wordsep_re = re.compile(r"(\s+|[^\s./:_-]*[./:_-]+)")


def _wrapped(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    columns = [_AtSeams(w).wrap(cell) or [""] for cell, w in zip(cells, widths, strict=True)]
    height = max(map(len, columns))
    padded = [column + [""] * (height - len(column)) for column in columns]
    return [
        _GAP.join(part.ljust(w) for part, w in zip(line, widths, strict=True)).rstrip()
        for line in zip(*padded, strict=True)
    ]
