"""Context variables that have a value for a while, and have it no longer whatever interrupts that while.

Python lets Ctrl-C in between any two calls, so also between a variable that is set and the ``try`` after it, and at the
first line of an ``__exit__``. What is set in a context of its own need not be put back.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, copy_context
from typing import Generic, ParamSpec, TypeVar

__all__ = ["holding", "inside"]

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


def inside(variable: ContextVar[T], value: T, f: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """``f(*args, **kwargs)``, in a copy of the context in which the variable has this value.

    >>> depth = ContextVar("depth", default=0)
    >>> inside(depth, 1, depth.get), depth.get()
    (1, 0)
    """
    context = copy_context()
    context.run(variable.set, value)
    return context.run(f, *args, **kwargs)


class holding(Generic[T]):
    """A ``with`` block in which a variable has a value; for people, ``inside`` leaves no gap at the block's end.

    >>> depth = ContextVar("depth", default=0)
    >>> with holding(depth, 1):
    ...     depth.get()
    1
    """

    def __init__(self, variable: ContextVar[T], value: T) -> None:
        self._variable, self._value = variable, value

    def __enter__(self) -> None:
        self._before = self._variable.get()
        try:
            self._variable.set(self._value)
        except BaseException:  # Ctrl-C may come right after it
            self._variable.set(self._before)
            raise

    def __exit__(self, *error: object) -> None:
        self._variable.set(self._before)
