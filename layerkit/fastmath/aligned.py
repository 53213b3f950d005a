"""Plain arrays that begin where a line of the processor's cache does."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as onp

__all__ = ["aligned", "scratch"]

_LINE = 64
"""Bytes; a register of the widest processors holds as many."""
_MOST_KEPT = 1 << 22
"""Bytes that a thread keeps for what is made on the way."""


def aligned(shape: tuple[int, ...], dtype: Any) -> Any:
    """A NumPy array whose first number begins a line of the cache; what the numbers are is left to chance.

    NumPy's own begin at any multiple of 16 bytes. Every load and store of a whole register then takes two lines, and a
    pass over numbers that are in a core's cache up to twice as long.

    >>> array = aligned((3, 5), onp.float32)
    >>> array.shape, array.__array_interface__["data"][0] % 64
    ((3, 5), 0)
    """
    dtype = onp.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    room = onp.empty(size + _LINE, onp.uint8)
    start = -room.__array_interface__["data"][0] % _LINE
    return room[start : start + size].view(dtype).reshape(shape)


class _Kept(threading.local):
    def __init__(self) -> None:
        self.rooms: dict[Any, Any] = {}


_kept = _Kept()


def scratch(count: int, like: Any) -> Any:
    """``count`` arrays like another, (count, ...), for what is made on the way.

    Each thread has its own, which whoever asks next on that thread overwrites: they are in the cache already, where new
    ones would not be.

    >>> scratch(2, onp.zeros((3, 5), onp.float32)).shape
    (2, 3, 5)
    """
    size = count * like.size
    room = _kept.rooms.get(like.dtype)
    if room is None or room.size < size:
        room = aligned((size,), like.dtype)
        if room.nbytes <= _MOST_KEPT:
            _kept.rooms[like.dtype] = room
    return room[:size].reshape(count, *like.shape)
