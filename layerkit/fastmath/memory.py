"""How much memory there is, and words for the moment when it is not enough."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator

from layerkit.errors import LayerkitError
from layerkit.fastmath.ops import on_cpu

__all__ = ["MemoryShortageError", "check_room", "explained", "free_memory", "in_words", "shortage"]

REMEDY = "try smaller batches, shorter sequences or a smaller model"

_SMALL = 1 << 28
"""Bytes below which nothing is looked up: making such arrays takes longer than the look, and they mostly fit."""


class MemoryShortageError(LayerkitError):
    """There is not memory enough, or there would not be."""


def check_room(what: str, n_bytes: int, remedy: str = REMEDY) -> None:
    """Refuses arrays that cannot fit into the memory of this machine; on another device than its processor, nothing.

    Raises:
        MemoryShortageError: they take more than is free. ``what`` begins the sentence: ``"its weights take"``.
    """
    if n_bytes < _SMALL or not on_cpu():
        return
    free = free_memory()
    if free is not None and n_bytes > free:
        raise MemoryShortageError(f"{what} {in_words(n_bytes)} of memory, and {in_words(free)} are free: {remedy}")


def free_memory() -> int | None:
    """Bytes that this process may still take: what the machine can give, or the limit of its container if that is less.

    ``None`` where the system does not say.
    """
    known = [size for size in (_available(), *_limits()) if size is not None]
    return min(known, default=None)


def _available() -> int | None:
    with contextlib.suppress(OSError), open("/proc/meminfo", encoding="ascii") as lines:
        for line in lines:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    with contextlib.suppress(ValueError, OSError, AttributeError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def _limits() -> Iterator[int]:
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError), open(path, encoding="ascii") as file:
            yield int(file.read())


def in_words(n_bytes: float) -> str:
    """A number of bytes as people say it.

    >>> in_words(9_306_112), in_words(2e12), in_words(512)
    ('9.3 MB', '2.0 TB', '512 bytes')
    """
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if n_bytes >= size:
            return f"{n_bytes / size:,.1f} {unit}"
    return f"{n_bytes:.0f} bytes"


def shortage(error: BaseException | None) -> str:
    """What an exception, or the one it was raised from, says of memory that ran out; empty if nothing.

    >>> shortage(MemoryError("Unable to allocate 36.4 TiB for an array with shape (1000, 10) and data type float32"))
    '36.4 TiB for an array of shape (1000, 10)'
    >>> shortage(RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 40000000000 bytes."))
    '40.0 GB at once'
    >>> shortage(ValueError("memory"))
    ''
    """
    while error is not None:
        if isinstance(error, MemoryError) or re.search("RESOURCE_EXHAUSTED|Out of memory", str(error)):
            return _amount(str(error))
        error = error.__cause__
    return ""


def _amount(text: str) -> str:
    if found := re.search(r"allocate (\S+ \w+) for an array with shape (\([^)]*\))", text):
        return f"{found[1]} for an array of shape {found[2]}"
    if found := re.search(r"allocat\w+ (\d+) bytes", text):
        return f"{in_words(int(found[1]))} at once"
    if found := re.search(r"allocat\w+ ([\d.]+ ?[KMGT]i?B)", text):
        return f"{found[1]} at once"
    return "an array could not be made"


@contextlib.contextmanager
def explained(when: Callable[[], str]) -> Iterator[None]:
    """Inside the ``with`` block, memory that runs out becomes a sentence with what to try; ``when`` begins it.

    Raises:
        MemoryShortageError: memory ran out.
    """
    try:
        yield
    except MemoryShortageError:
        raise
    except Exception as error:
        words = shortage(error)
        if not words:
            raise
        text = str(error) if isinstance(error, LayerkitError) else f"out of memory: {words}"
        raise MemoryShortageError(f"{when()}: {text}; {REMEDY}") from error
