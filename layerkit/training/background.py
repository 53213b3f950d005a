"""Work on a thread of its own, one job after the other, whose errors are raised where somebody waits for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import copy_context

__all__ = ["Background"]


class Background:
    """Runs one job at a time in the background.

    The thread is no daemon: a program that ends waits for the job.

    >>> background, done = Background(), []
    >>> background.start(lambda: done.append("it"))
    >>> background.wait()
    >>> done
    ['it']
    """

    def __init__(self) -> None:
        self._last: _Job | None = None
        self._error: BaseException | None = None

    def start(self, job: Callable[[], object]) -> None:
        """Has the job done after the one before, unless that fails; in a copy of the caller's context."""
        before, context = self._last, copy_context()

        def work() -> None:
            if before is not None:
                before.wait()
            try:
                if self._error is None:
                    context.run(job)
            except BaseException as error:
                self._error = error

        self._last = _Job(work)
        self._last.start()

    def check(self) -> None:
        """Raises what a job that has ended raised."""
        if self._last is not None and self._last.ended.is_set():
            self.wait()

    def wait(self) -> None:
        """Waits for all jobs, and raises what one raised."""
        error = self.outcome()
        if error is not None:
            raise error

    def outcome(self) -> BaseException | None:
        """Waits for all jobs; what one raised, if one did."""
        if self._last is not None:
            self._last.wait()
            self._last = None
        error, self._error = self._error, None
        return error


class _Job:
    """Work for a thread; for whoever waits for it, where an interrupt kept the thread from starting."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work, self._claim = work, threading.Lock()
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self._begin, name="layerkit-save")

    def start(self) -> None:
        try:
            self._thread.start()
        except RuntimeError:  # the system gives no more threads
            self._begin()

    def wait(self) -> None:
        if not self._thread.is_alive():
            self._begin()
        # Where a join is interrupted, Python 3.11 holds the thread for ended, and a program's end does not wait.
        self.ended.wait()
        if self._thread.is_alive():
            self._thread.join()

    def _begin(self) -> None:
        if self._claim.acquire(blocking=False):
            try:
                self._work()
            finally:
                self.ended.set()
