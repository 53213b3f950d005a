"""A disk that fails: one file operation of a piece of code goes wrong, or kills the process."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

__all__ = ["ERRORS", "OPERATIONS", "Operation", "failing", "killing"]

OPERATIONS = tuple("open write ftruncate fsync close mkdir rename replace unlink rmdir listdir".split())
"""The functions of ``os`` that files are written with."""

ERRORS = (errno.ENOSPC, errno.EIO, errno.EACCES)

Operation = tuple[str, str]
"""What it is, and the last part of the path where there is one."""


@contextlib.contextmanager
def _at(number: int, action: Callable[[str], None]) -> Iterator[list[Operation]]:
    """Calls ``action`` in place of the file operation ``number``, counted from 1; lists all that were made."""
    made: list[Operation] = []

    def watched(name: str, real: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            place = os.fspath(args[0]) if args and isinstance(args[0], (str, os.PathLike)) else ""
            made.append((name, os.path.basename(place)))
            if len(made) == number:
                if name == "close":  # a handle is closed even where closing it fails
                    real(*args, **kwargs)
                action(name)
            return real(*args, **kwargs)

        return call

    with contextlib.ExitStack() as stack:
        for name in OPERATIONS:
            stack.enter_context(mock.patch.object(os, name, watched(name, getattr(os, name))))
        yield made


def failing(number: int, code: int) -> contextlib.AbstractContextManager[list[Operation]]:
    """Inside the ``with`` block the file operation ``number`` fails with this error; 0 for none."""

    def fail(name: str) -> None:
        raise OSError(code, os.strerror(code))

    return _at(number, fail)


def killing(number: int) -> contextlib.AbstractContextManager[list[Operation]]:
    """Inside the ``with`` block the file operation ``number`` is not made: the process is killed there."""
    return _at(number, lambda name: os.kill(os.getpid(), signal.SIGKILL))
