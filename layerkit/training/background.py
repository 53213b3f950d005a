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
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def start(self, job: Callable[[], object]) -> None:
        """Has the job done after the one before, unless that fails; in a copy of the caller's context."""
        context = copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run, job, self._thread), name="layerkit-save")
        self._thread.start()

    def check(self) -> None:
        """Raises what a job that has ended raised."""
        if self._thread is not None and not self._thread.is_alive():
            self.wait()

    def wait(self) -> None:
        """Waits for all jobs, and raises what one raised."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _run(self, job: Callable[[], object], before: threading.Thread | None) -> None:
        if before is not None:
            before.join()
        try:
            if self._error is None:
                job()
        except BaseException as error:
            self._error = error
