"""A row of the tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["Case"]


class Case(NamedTuple):
    """One bad input."""

    name: str
    act: Callable[..., Any]
    """Does it; what it is handed depends on the room."""
    code: int
    """0: it works, and what it gives back is truth; else the exit code of the error."""
    says: str
    """A part of the message; where it works, the policy."""
