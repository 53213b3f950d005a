"""Floating-point overflow, division by zero and NaN give their value and no warning, as on accelerators.

Entering ``numpy.errstate`` costs a microsecond, more than many a call. So it is entered once for every function
that the backend runs on somebody's behalf (``jit``, ``value_and_grad``, ``scan``...), and by single operations only
outside of those. What it cannot reach are Python's operators on plain arrays outside of all these: ``x / 0`` at the
prompt warns, as NumPy does.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import numpy as onp

__all__ = ["is_silent", "silence", "silently"]

_silent: ContextVar[bool] = ContextVar("layerkit_numpy_silent", default=False)

is_silent = _silent.get
"""Whether this code runs inside ``silence()``."""


class silence:
    """A context manager in which NumPy computes without floating-point warnings."""

    __slots__ = ("_errstate", "_token")

    def __enter__(self) -> None:
        self._errstate = None
        if not _silent.get():
            self._errstate = onp.errstate(all="ignore")
            self._errstate.__enter__()
            self._token = _silent.set(True)

    def __exit__(self, *exc: object) -> None:
        if self._errstate is not None:
            _silent.reset(self._token)
            self._errstate.__exit__(*exc)


def silently(f: Callable[..., Any]) -> Callable[..., Any]:
    """``f``, run inside ``silence()``."""

    @functools.wraps(f)
    def run(*args: Any, **kwargs: Any) -> Any:
        with silence():
            return f(*args, **kwargs)

    return run
