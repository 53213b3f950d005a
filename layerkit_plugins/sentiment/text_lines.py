"""Text files opened with care: every way in which a file can be wrong becomes one plain line."""

from __future__ import annotations

import errno
import gzip
import io
import os
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from layerkit.errors import LayerkitError, UsageError, os_reason

__all__ = ["read_lines", "shown"]

_GZIP = b"\x1f\x8b"
_ZIP = b"PK\x03\x04"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_BOM = b"\xef\xbb\xbf"

_REASONS = {
    errno.ENOENT: "no such file: check the spelling and the folder",
    errno.ENOTDIR: "part of this path is a file, not a folder: check the spelling",
    errno.EACCES: "no permission to read it: change that with chmod, or copy the file",
    errno.EPERM: "no permission to read it: change that with chmod, or copy the file",
    errno.ELOOP: "symbolic links that lead in a circle: point at the file itself",
    errno.ENAMETOOLONG: "the name is too long for a file: check what was given as path",
}


def shown(path: str | os.PathLike[str]) -> str:
    """A path for a message: as it is, or quoted where it would break the line.

    >>> shown("data.csv"), shown("two\\nlines.csv")
    ('data.csv', "'two\\\\nlines.csv'")
    """
    text = os.fspath(path)
    return text if text.isprintable() and text else repr(text)


def read_lines(path: str | os.PathLike[str]) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file with their numbers, from 1; line ends are kept. A gzip file is unpacked on the way.

    A line ends with LF, CR LF or CR, and with nothing else. A byte order mark at the start is left out.

    Raises:
        UsageError: the path is missing, a folder, a device, unreadable or in a circle of links.
        LayerkitError: the file is empty, not UTF-8, UTF-16, a zip archive or Excel workbook, or damaged gzip data.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "two.txt")
    >>> _ = path.write_bytes(b"one\\r\\ntwo")
    >>> list(read_lines(path))
    [(1, 'one\\r\\n'), (2, 'two')]
    """
    number = 0
    name = shown(path)
    try:
        _check_regular(path)
        with open(os.path.expanduser(path), "rb") as file:
            start = file.read(4)
            _check_start(name, start, file)
            file.seek(0)
            for chunk in _unpacked(file, start):
                text = _decoded(name, number + 1, chunk)
                for line in _split_at_carriage_returns(text):
                    number += 1
                    yield number, line
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise LayerkitError(f"{name}: damaged gzip data after line {number} ({error}): fetch the file again") from error
    except OSError as error:
        if reason := _REASONS.get(error.errno or 0):
            raise UsageError(f"{name}: {reason}") from error
        raise LayerkitError(f"{name}: cannot be read ({os_reason(error)})") from error
    if not number:
        raise LayerkitError(f"{name}: the file is empty: it should hold texts and labels")


def _check_regular(path: str | os.PathLike[str]) -> None:
    name = shown(path)
    try:
        mode = os.stat(os.path.expanduser(path)).st_mode
    except ValueError as error:  # a NUL in the path
        raise UsageError(f"{name}: not a possible file name ({error}): check what was given as path") from error
    if stat.S_ISDIR(mode):
        raise UsageError(f"{name}: a folder, not a file: name a file in it")
    if not stat.S_ISREG(mode):
        raise UsageError(f"{name}: a pipe, socket or device, not a file: write the data to a file first")


def _check_start(name: str, start: bytes, file: BinaryIO) -> None:
    if start[:2] == _GZIP:
        file.seek(0)
        start = gzip.GzipFile(fileobj=file).read(4)
    elif Path(name).suffix.lower() == ".gz" and start:
        raise LayerkitError(f"{name}: named .gz, but not gzip data: rename it, or fetch it again")
    if start[:2] in _UTF16:
        raise LayerkitError(
            f"{name}: UTF-16, not UTF-8: save it as UTF-8, for example with iconv -f UTF-16 -t UTF-8 OLD > NEW"
        )
    if start == _ZIP:
        raise LayerkitError(f"{name}: a zip archive or an Excel workbook: unpack it, or export it as CSV")


def _unpacked(file: BinaryIO, start: bytes) -> Iterator[bytes]:
    lines: io.BufferedIOBase | BinaryIO = gzip.GzipFile(fileobj=file) if start[:2] == _GZIP else file
    first = True
    for line in lines:
        yield line.removeprefix(_BOM) if first else line
        first = False


def _decoded(name: str, number: int, line: bytes) -> str:
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as error:
        number += line[: error.start].count(b"\r")
        raise LayerkitError(
            f"{name}: line {number} is not UTF-8 (byte 0x{line[error.start]:02x}): save the file as UTF-8, "
            "for example with iconv -f LATIN1 -t UTF-8 OLD > NEW"
        ) from error


def _split_at_carriage_returns(text: str) -> Iterator[str]:
    if "\r" not in text[:-2]:
        return iter((text,))
    return iter(io.StringIO(text, newline=""))
