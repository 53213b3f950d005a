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
        self._last: tuple[threading.Thread, threading.Event] | None = None
        self._error: BaseException | None = None

    def start(self, job: Callable[[], object]) -> None:
        """Has the job done after the one before, unless that fails; in a copy of the caller's context."""
        before, ended, context = self._last and self._last[1], threading.Event(), copy_context()

        def work() -> None:
            context.run(self._run, job, before, ended)

        self._last = threading.Thread(target=work, name="layerkit-save"), ended
        try:
            self._last[0].start()
        except RuntimeError:  # the system gives no more threads
            work()

    def check(self) -> None:
        """Raises what a job that has ended raised."""
        if self._last is not None and self._last[1].is_set():
            self.wait()

    def wait(self) -> None:
        """Waits for all jobs, and raises what one raised."""
        error = self.outcome()
        if error is not None:
            raise error

    def outcome(self) -> BaseException | None:
        """Waits for all jobs; what one raised, if one did."""
        if self._last is not None:
            thread, ended = self._last
            # Where a join is interrupted, Python 3.11 holds the thread for ended, and a program's end does not wait.
            ended.wait()
            self._last = None
            if thread.ident is not None:
                thread.join()
        error, self._error = self._error, None
        return error

    def _run(self, job: Callable[[], object], before: threading.Event | None, ended: threading.Event) -> None:
        if before is not None:
            before.wait()
        try:
            if self._error is None:
                job()
        except BaseException as error:
            self._error = error
        finally:
            ended.set()
