"""Writing so that it is on the disk, and opening what is a plain file and nothing else.

Everything goes through the functions of ``os``, one operation each: a test can let any of them fail.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from layerkit.errors import LayerkitError, UsageError, os_reason, shown

__all__ = [
    "PAGE",
    "DamagedError",
    "folder_of",
    "is_draft",
    "opened",
    "read",
    "read_into",
    "remove",
    "remove_drafts",
    "replace",
    "sync",
    "unreadable",
    "write",
    "write_pages",
    "writing",
]

PAGE = 4096
"""What memory and disk are divided into, in bytes, where nothing lies between them."""

_BINARY = getattr(os, "O_BINARY", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # a pipe would wait for somebody to write
_DIRECT = getattr(os, "O_DIRECT", 0)
_DRAFT = ".draft"
_OBSTACLES = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EACCES, errno.EPERM}
"""What says nothing of a file: one that cannot be opened for these may be sound."""
_NO_FOLDERS = {errno.EINVAL, errno.EBADF, errno.ENOTSUP}
"""What systems say that flush files, and no folders: PostgreSQL too takes the first two for an answer."""


class DamagedError(LayerkitError):
    """What is on the disk is not what was written: a file is missing, cannot be read, or has changed."""


def folder_of(name: str, path: Any) -> Path:
    """The folder that somebody gave as the argument ``name``; ``~`` is the home folder.

    Raises:
        UsageError: no folder can be called so.
        LayerkitError: the system does not even say whether it is there.

    >>> folder_of("output", "runs/first").name
    'first'
    """
    try:
        if not os.fspath(path):
            raise ValueError("it is empty")
        folder = Path(path).expanduser()
        os.stat(folder)
    except FileNotFoundError:
        pass
    except OSError as error:
        if error.errno in (errno.EACCES, errno.ENAMETOOLONG, errno.EIO):
            raise LayerkitError(f"{name} {str(path)!r} cannot be looked at: {os_reason(error)}") from error
    except (TypeError, ValueError, RuntimeError) as error:
        raise UsageError(f"{name} is the path of a folder, got {shown(path)}: {os_reason(error)}") from error
    return folder


@contextlib.contextmanager
def writing(what: Any) -> Iterator[None]:
    """Says of ``what`` that it cannot be written, where the system refuses something inside.

    Raises:
        LayerkitError: the system did.
    """
    try:
        yield
    except OSError as error:
        raise LayerkitError(f"{what} cannot be written: {os_reason(error)}") from error


def write(path: Path, pieces: Iterable[Any]) -> None:
    """Writes a new file of these bytes (anything with a buffer), and waits until it is on the disk."""
    with _made(path) as handle:
        for piece in pieces:
            view = memoryview(piece).cast("B")
            while view:
                view = view[os.write(handle, view) :]
        os.fsync(handle)


def write_pages(path: Path, pages: memoryview, size: int) -> None:
    """Writes a new file of the first ``size`` bytes of whole pages of memory, and waits until it is on the disk.

    Where the system can, the disk takes them from this very memory. A copy in the system's cache, for readers that a
    checkpoint hardly ever has, costs the processor more than all else about writing.
    """
    with _made(path) as handle:
        is_direct = _switch_direct(handle, True)
        while pages:
            try:
                pages = pages[os.write(handle, pages) :]
            except OSError as error:
                if not is_direct or error.errno != errno.EINVAL:
                    raise
                is_direct = _switch_direct(handle, False)  # this disk has other pages
        os.ftruncate(handle, size)
        os.fsync(handle)


@contextlib.contextmanager
def _made(path: Path) -> Iterator[int]:
    """The handle of a new file."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK | _BINARY, 0o666)
    try:
        yield handle
    finally:
        os.close(handle)


def _switch_direct(handle: int, on: bool) -> bool:
    """Switches on or off that writing goes past the system's cache; whether it does now."""
    if not _DIRECT:
        return False
    import fcntl

    flags = fcntl.fcntl(handle, fcntl.F_GETFL) & ~_DIRECT
    try:
        fcntl.fcntl(handle, fcntl.F_SETFL, flags | (_DIRECT if on else 0))
    except OSError:  # tmpfs, some network disks
        return False
    return on


def replace(path: Path, pieces: Iterable[Any]) -> None:
    """Puts a file of these bytes at ``path``: who reads finds the old one or the new one, whole.

    Raises:
        OSError: it cannot be written; what was there still is.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}{_DRAFT}")
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)  # of a dead process that had the same number
        write(draft, pieces)
        os.replace(draft, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(draft)
        raise
    sync(path.parent)


def is_draft(name: str) -> bool:
    """Whether a name is that of something half-written, which a killed process left behind.

    >>> is_draft(".run.json.4711.draft"), is_draft("run.json")
    (True, False)
    """
    return name.startswith(".") and name.endswith(_DRAFT)


def remove_drafts(folder: Path) -> None:
    """Removes what killed processes left half-written in a folder."""
    for name in os.listdir(folder):
        if is_draft(name):
            remove(folder / name)


def sync(folder: Path) -> None:
    """Waits until the names in a folder are on the disk (Windows, and some network disks, do so by themselves)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_FOLDERS:
            raise
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """Removes a file, or a folder of files and all in it; a link goes, what it leads to stays."""
    if path.is_symlink() or not path.is_dir():
        os.unlink(path)
        return
    for name in os.listdir(path):
        remove(path / name)
    os.rmdir(path)


@contextlib.contextmanager
def opened(path: Path, follow: bool = False) -> Iterator[tuple[int, int]]:
    """(handle, size) of a plain file to read from.

    Args:
        follow: whether it may be a link, or one of several names of a file: where a person named this very path.

    Raises:
        DamagedError: it is missing, cannot be read, is no file, or a link.
        LayerkitError: too many files are open.
    """
    try:
        handle = os.open(path, os.O_RDONLY | _NO_WAIT | _BINARY | (0 if follow else _NO_LINK))
    except FileNotFoundError as error:
        raise DamagedError(f"{path} is missing") from error
    except OSError as error:
        why = "it is a link, and links are not followed" if error.errno == errno.ELOOP else os_reason(error)
        raise unreadable(path, error, why) from error
    try:
        about = os.fstat(handle)
        if not stat.S_ISREG(about.st_mode):
            kind = "a folder" if stat.S_ISDIR(about.st_mode) else "a pipe, a socket or a device"
            raise DamagedError(f"{path} cannot be read: it is {kind}, not a file")
        if about.st_nlink > 1 and not follow:
            raise DamagedError(f"{path} cannot be read: it is a hard link, another place has the same file: copy it")
        yield handle, about.st_size
    finally:
        with contextlib.suppress(OSError):  # all was read
            os.close(handle)


def unreadable(path: Path, error: OSError, why: str = "") -> LayerkitError:
    """The error for what cannot be read: it is damaged, unless the system merely does not let anybody look."""
    kind = LayerkitError if error.errno in _OBSTACLES else DamagedError
    return kind(f"{path} cannot be read: {why or os_reason(error)}")


def read(path: Path, most: int, follow: bool = False) -> bytes:
    """All bytes of a plain file of at most ``most`` bytes; else as ``opened``."""
    with opened(path, follow) as (handle, size):
        if size > most:
            raise DamagedError(f"{path} is damaged: it has {size:,} bytes, and at most {most:,} make sense")
        buffer = bytearray(size)
        read_into(path, handle, buffer)
        return bytes(buffer)


def read_into(path: Path, handle: int, buffer: Any) -> None:
    """Fills a buffer with the next bytes of an open file.

    Raises:
        DamagedError: the file ends before, or cannot be read.
    """
    view = memoryview(buffer).cast("B")
    while view:
        try:
            got = os.readv(handle, [view]) if hasattr(os, "readv") else _read(handle, view)
        except OSError as error:
            raise DamagedError(f"{path} cannot be read: {os_reason(error)}") from error
        if not got:
            raise DamagedError(f"{path} is damaged: it ends before it should")
        view = view[got:]


def _read(handle: int, view: memoryview) -> int:
    piece = os.read(handle, min(len(view), 1 << 20))
    view[: len(piece)] = piece
    return len(piece)
