"""What layerkit raises at people: one plain line each, and the exit code a command ends with."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterable
from types import FunctionType
from typing import Any

__all__ = [
    "HOUSE",
    "LayerkitError",
    "LayerkitWarning",
    "UsageError",
    "an",
    "os_reason",
    "printable",
    "shown",
    "suggest",
    "warn",
]

_PACKAGE = os.path.dirname(os.path.abspath(__file__))
HOUSE = (_PACKAGE + os.sep, _PACKAGE + "_plugins" + os.sep)
"""Where the files of this library lie: what messages point at lies elsewhere."""


_BREAKS = dict.fromkeys(map(ord, "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u2028\u2029"), " ")
_CONTROLS = (*range(0x20), *range(0x7F, 0xA0), 0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_PRINTABLE = {code: ascii(chr(code))[1:-1] for code in _CONTROLS} | _BREAKS


def printable(text: object) -> str:
    """Text as one line that does nothing to a terminal: what would move its cursor or turn its words is an escape.

    >>> print(printable("two\\nlines, \\x1b[31mred, \\u202eback"))
    two lines, \\x1b[31mred, \\u202eback
    """
    return str(text).translate(_PRINTABLE)


class _OneLine:
    """What is said in it may hold anybody's names and texts."""

    def __str__(self) -> str:
        return printable(super().__str__())


class LayerkitError(_OneLine, Exception):
    """Something went wrong that the message explains in one line: which thing, what is wrong, what to do.

    A command that meets one prints ``layerkit: MESSAGE`` and exits with ``exit_code``.
    """

    exit_code = 1


class UsageError(LayerkitError):
    """The request itself is off (an unknown name, an impossible option): exit code 2."""

    exit_code = 2


class LayerkitWarning(_OneLine, UserWarning):
    """What a person should know, and what stops nothing: one plain line, which a command prints as its own."""


def warn(text: str) -> None:
    """A LayerkitWarning, at the innermost line outside of this library: the one that somebody can change."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(HOUSE):
        level, frame = level + 1, frame.f_back
    warnings.warn(text, LayerkitWarning, stacklevel=level)


def shown(value: Any) -> str:
    """A value in at most 60 characters of one line, for messages; of a function its name, and not its address.

    >>> shown([1.5, None]), shown(suggest)
    ('[1.5, None]', 'function suggest')
    """
    text = f"function {value.__name__}" if isinstance(value, FunctionType) else " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."


def an(word: str) -> str:
    """A word with its article.

    >>> an("layer"), an("optimizer"), an("ndarray"), an("uint8")
    ('a layer', 'an optimizer', 'an ndarray', 'a uint8')
    """
    return f"{'an' if word.lower().startswith((*'aeio', 'nd')) else 'a'} {word}"


def os_reason(error: Exception) -> str:
    """What the operating system says went wrong, without number and path.

    >>> os_reason(PermissionError(13, "Permission denied"))
    'permission denied'
    """
    return str(getattr(error, "strerror", None) or error).lower()


def suggest(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """Ends an "unknown name" message: what it is called here, a near miss if there is one, else the names there are.

    Where these are too many to be listed, ``otherwise`` says where they are.

    >>> suggest("adm", ["Adam", "SGD"])
    "did you mean 'Adam'?"
    >>> suggest("Linear", ["Dense", "LeakyRelu"])
    "did you mean 'Dense'?"
    >>> suggest("xyz", ["jax", "numpy"])
    'known: jax, numpy'
    >>> suggest("xyz", ["jax", "numpy"], "'layerkit backends' lists them")
    "'layerkit backends' lists them"
    """
    import difflib  # wanted only where something has gone wrong

    from layerkit.elsewhere import called_here

    names = sorted(known)
    by_lower = {n.lower(): n for n in names}
    if here := called_here(name, names):
        return f"did you mean {here!r}?"
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    if close:
        return f"did you mean {by_lower[close[0]]!r}?"
    return otherwise or (f"known: {', '.join(names)}" if names else "none is registered")
