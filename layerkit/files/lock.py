"""A folder for one process at a time."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from layerkit.errors import LayerkitError, os_reason, warn

__all__ = ["NAME", "InUseError", "locked"]

NAME = ".lock"


class InUseError(LayerkitError):
    """Another process has the folder."""


_guard = threading.Lock()
_held: dict[str, tuple[int, int, dict[object, object]]] = {}
"""(process, handle, for whom by ticket) for each folder this process has."""


@contextlib.contextmanager
def locked(folder: Path, owner: object = None) -> Iterator[None]:
    """Keeps other processes out of a folder inside the ``with`` block; the same process may come in again.

    The operating system holds the lock and drops it with the process, however that ends: what a dead process locked
    is free, and nobody has to guess from a file whether it lives. (A package for this would also wait, time out and
    lock on Windows 95; what is needed here is this page.)

    Args:
        owner: for whom it is, if there can be but one in this process as well.

    Raises:
        InUseError: another process, or another owner, has it.
        LayerkitError: the folder cannot be written to.
    """
    place, ticket = os.path.realpath(folder), object()
    try:
        _enter(place, folder, ticket, owner)  # inside, since an interrupt may come when it has just ended
        yield
    finally:
        try:
            _leave(place, ticket)
        finally:
            _leave(place, ticket)  # an interrupt may have come when it had just begun


def _enter(place: str, folder: Path, ticket: object, owner: object) -> None:
    with _guard:
        process, _, owners = _held.get(place, (0, -1, {}))
        if process != os.getpid():  # a fork has its parent's notes, and not its locks
            _held[place] = os.getpid(), _take(folder), {ticket: owner}  # at once: a lock that nobody notes stays
        elif owner is not None and any(other is not None and other is not owner for other in owners.values()):
            raise InUseError(
                f"{folder} is in use by another Loop of this process: wait until it has ended, or give another folder"
            )
        else:
            owners[ticket] = owner


def _leave(place: str, ticket: object) -> None:
    """Broken off anywhere, it can be called again."""
    with _guard:
        if place not in _held:
            return
        process, handle, owners = _held[place]
        owners.pop(ticket, None)
        if owners:
            return
        # The file may be the parent's of this fork, or another's in a folder that came in the place of this one.
        with contextlib.suppress(OSError):
            path = os.path.join(place, NAME)
            if os.name != "nt" and process == os.getpid() and _is_still(path, handle):
                os.unlink(path)
        del _held[place]  # before the handle goes: its number may be another file's at once
        with contextlib.suppress(OSError):  # a network disk may say now that there was no room for whose the lock is
            os.close(handle)


def _take(folder: Path) -> int:
    path = folder / NAME
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        except OSError as error:
            if what := {errno.ELOOP: "a link", errno.EISDIR: "a folder"}.get(error.errno or 0):
                raise LayerkitError(_not_ours(folder, what)) from error
            raise LayerkitError(f"{folder} cannot be written to: {os_reason(error)}") from error
        try:
            about = os.fstat(handle)
            if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1:
                raise LayerkitError(_not_ours(folder, "no file of its own"))
            _lock(handle, folder)
            if _is_still(path, handle):  # else it was let go and deleted before it was locked here
                with contextlib.suppress(OSError):  # it says whose the lock is, and a full disk has no room for that
                    os.ftruncate(handle, 0)
                    os.write(handle, f"{os.getpid()} on {socket.gethostname()}".encode())
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _not_ours(folder: Path, what: str) -> str:
    return f"{folder} cannot be locked: its {NAME} is {what}: remove it"


def _lock(handle: int, folder: Path) -> None:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as error:
        owner = os.read(handle, 100).decode("ascii", "replace") if os.name != "nt" else ""
        raise InUseError(
            f"{folder} is in use by process {owner or '(unknown)'}: wait until it has ended, or give another folder"
        ) from error
    except OSError as error:
        warn(f"{folder} cannot be locked ({os_reason(error)}): see to it that no other process writes there")


def _is_still(path: str | Path, handle: int) -> bool:
    try:
        there, here = os.stat(path, follow_symlinks=False), os.fstat(handle)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)
