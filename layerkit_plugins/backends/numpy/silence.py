"""Floating-point overflow, division by zero and NaN give their value and no warning, as on accelerators.

NumPy keeps in a context variable what it warns of, and setting that costs a microsecond, more than many a call. So it
is set once for every function that the backend runs on somebody's behalf (``jit``, ``value_and_grad``, ``scan``...),
in a context of its own, and for single operations only outside of those. What it cannot reach are Python's operators
on plain arrays outside of all these: ``x / 0`` at the prompt warns, as NumPy does.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from typing import Any

import numpy as onp

__all__ = ["fall_silent", "is_silent", "silently"]

_silent: ContextVar[bool] = ContextVar("layerkit_numpy_silent", default=False)

is_silent = _silent.get
"""Whether this code runs inside ``silently``."""


def fall_silent() -> None:
    """From here on NumPy computes without floating-point warnings in this context."""
    onp.seterr(all="ignore")
    _silent.set(True)


def silently(f: Callable[..., Any]) -> Callable[..., Any]:
    """``f``, in which NumPy computes without floating-point warnings."""

    @functools.wraps(f)
    def run(*args: Any, **kwargs: Any) -> Any:
        if _silent.get():
            return f(*args, **kwargs)
        context = copy_context()
        context.run(fall_silent)
        return context.run(f, *args, **kwargs)

    return run
