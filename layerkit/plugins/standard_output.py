"""Keeps what a plugin prints while it is imported out of the output people asked for."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator
from typing import Any

__all__ = ["printed_to_stderr"]


class _Diverted:
    """Standard output, except that what this thread writes goes to standard error until ``end`` is called.

    A plugin may keep the stream (a logging handler does), so it goes on as plain standard output afterwards; and
    other threads never notice.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._thread: int | None = threading.get_ident()

    def end(self) -> None:
        self._thread = None

    def _target(self) -> Any:
        return sys.stderr if threading.get_ident() == self._thread else self._stream

    def write(self, text: str) -> int:
        target = self._target()
        return target.write(text) if target is not None else len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def printed_to_stderr() -> Iterator[None]:
    """Inside the ``with`` block, what this thread prints to standard output goes to standard error."""
    before = sys.stdout
    diverted = _Diverted(before)
    sys.stdout = diverted
    try:
        yield
    finally:
        diverted.end()
        if sys.stdout is diverted:
            sys.stdout = before
