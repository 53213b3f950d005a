"""Ctrl-C, and the signals of a machine or a terminal that goes away, at a moment when nothing is half done."""

from __future__ import annotations

import functools
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["Interrupts", "Terminated"]


class Terminated(SystemExit):
    """A signal, once what could be saved was: the program ends with the exit code that the signal would give it.

    >>> Terminated().code
    143
    """

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__(128 + number)


# Each signal, what Python does with it unless somebody said otherwise, and what is raised.
_SIGNALS: dict[int, tuple[Any, Callable[[], BaseException]]] = {
    signal.SIGINT: (signal.default_int_handler, KeyboardInterrupt),
    signal.SIGTERM: (signal.SIG_DFL, Terminated),
}
if hasattr(signal, "SIGHUP"):  # a terminal is closed, a connection lost; not on Windows
    _SIGNALS[signal.SIGHUP] = signal.SIG_DFL, functools.partial(Terminated, signal.SIGHUP)


class Interrupts:
    """Inside the ``with`` block, these signals wait until the running step is done; a second one does not.

    A step gives its arrays away and gets new ones: interrupted in between, there would be none. Where a program has
    a handler of its own for a signal, and in threads other than the main one, nothing is changed.
    """

    def __init__(self) -> None:
        self.requested: Callable[[], BaseException] | None = None
        self._let_through = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number, (usual, _) in _SIGNALS.items():
                if signal.getsignal(number) is usual:
                    self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exc: object) -> None:
        while self._previous:
            signal.signal(*self._previous.popitem())

    def check(self) -> None:
        """Raises the KeyboardInterrupt or Terminated that was put off."""
        if self.requested is not None:
            raise self.requested()

    @contextmanager
    def let_through(self) -> Iterator[None]:
        """A stretch that a signal may end at once."""
        self.check()
        self._let_through = True
        try:
            yield
        except Exception:
            self.check()  # an import that is broken off may say so in an exception of its own
            raise
        finally:
            self._let_through = False

    def _handle(self, number: int, frame: FrameType | None) -> None:
        again, self.requested = self.requested is not None, _SIGNALS[number][1]
        if again or self._let_through:
            raise self.requested()
