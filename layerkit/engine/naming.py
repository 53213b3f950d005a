"""How layers are called in messages: their names, the line that made them, counts, signatures as code."""

from __future__ import annotations

import os
import sys
from typing import Any

from layerkit.errors import HOUSE
from layerkit.shapes import signature

__all__ = ["as_code", "count", "in_place_of_function", "line_of_caller"]

_COMMANDS = os.path.join(HOUSE[0], "cli", "")
_HOUSE = (*HOUSE, "<frozen")


def line_of_caller() -> str:
    """The innermost line outside of this library: ``model.py:12``; ``layerkit`` if nobody else's program runs."""
    frame: Any = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith(_HOUSE):
        frame = None if frame.f_code.co_filename.startswith(_COMMANDS) else frame.f_back
    return "layerkit" if frame is None else f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"


def as_code(inputs: Any) -> str:
    """What to type for a signature like these inputs."""
    if not hasattr(inputs, "shape"):
        return "signature"
    of = signature(inputs)
    short = {"float": "lk.f32", "int": "lk.i32"}.get(of.dtype.name.rstrip("0123456789"))
    return f"{short}({', '.join(map(str, of.shape))})" if short else f"lk.ShapeDtype({of.shape}, '{of.dtype}')"


def in_place_of_function(value: Any) -> str:
    """What to write where a function was given and a layer is due; nothing for anything else.

    >>> in_place_of_function(abs)
    '; call it if it makes a layer, or wrap it: lk.Fn("Name", f)'
    """
    is_function = callable(value) and hasattr(value, "__name__")
    return '; call it if it makes a layer, or wrap it: lk.Fn("Name", f)' if is_function else ""


def count(n: int, what: str) -> str:
    """``1 input``, ``2 inputs``.

    >>> count(2, "input")
    '2 inputs'
    """
    return f"{n} {what}" if n == 1 else f"{n} {what}s"
