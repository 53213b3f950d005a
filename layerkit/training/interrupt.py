"""Ctrl-C at a moment when nothing is half done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["Interrupts"]


class Interrupts:
    """Inside the ``with`` block, Ctrl-C waits until the running step is done; a second one does not.

    A step gives its arrays away and gets new ones: interrupted in between, there would be none. Where a program has
    a handler of its own for SIGINT, and in threads other than the main one, nothing is changed.
    """

    def __init__(self) -> None:
        self.requested = False
        self._let_through = False
        self._previous: Any = None

    def __enter__(self) -> Interrupts:
        is_main = threading.current_thread() is threading.main_thread()
        if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._previous = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *exc: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            self._previous = None

    def check(self) -> None:
        """Raises the KeyboardInterrupt that was put off."""
        if self.requested:
            raise KeyboardInterrupt

    @contextmanager
    def let_through(self) -> Iterator[None]:
        """A stretch that Ctrl-C may end at once."""
        self.check()
        self._let_through = True
        try:
            yield
        finally:
            self._let_through = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested or self._let_through:
            self.requested = True
            raise KeyboardInterrupt
        self.requested = True
