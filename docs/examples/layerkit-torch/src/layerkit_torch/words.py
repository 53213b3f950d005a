"""Random words from a key: threefry-2x32 with 20 rounds (Salmon et al., SC 2011), in the streams that layerkit has."""

from __future__ import annotations

import math
from typing import Any

import numpy as onp

from layerkit.fastmath import ArrayError
from layerkit.fastmath.random import stream

__all__ = ["fold_in", "split", "words"]

_TURNS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = onp.uint32(0x1BD11BDA)


def _hashed(key: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """A pair of random words for each pair of counters."""
    keys = (key[0], key[1], key[0] ^ key[1] ^ _PARITY)
    with onp.errstate(over="ignore"):
        x, y = x + keys[0], y + keys[1]
        for group in range(5):
            for turn in _TURNS[group % 2]:
                x = x + y
                y = (y << onp.uint32(turn) | y >> onp.uint32(32 - turn)) ^ x
            x = x + keys[(group + 1) % 3]
            y = y + keys[(group + 2) % 3] + onp.uint32(group + 1)
    return x, y


def _by_halves(key: Any, count: int) -> Any:
    """The original stream: the first half of the counters is hashed with the second."""
    counters = onp.arange(count + count % 2, dtype=onp.uint32)
    counters[count:] = 0
    half = counters.size // 2
    return onp.concatenate(_hashed(key, counters[:half], counters[half:]))[:count]


def _by_places(key: Any, count: int) -> tuple[Any, Any]:
    """The partitionable stream: two words for each place, however many places there are."""
    return _hashed(key, onp.zeros(count, onp.uint32), onp.arange(count, dtype=onp.uint32))


def split(key: Any, num: int) -> Any:
    """New keys, uint32 (num, 2)."""
    if stream() == "partitionable":
        return onp.stack(_by_places(key, num), axis=1)
    return _by_halves(key, 2 * num).reshape(num, 2)


def fold_in(key: Any, data: int) -> Any:
    """A new key from a key and a whole number; the same in both streams."""
    zero, number = onp.zeros(1, onp.uint32), onp.array([int(data) & 0xFFFFFFFF], onp.uint32)
    return onp.concatenate(_hashed(key, zero, number))


def words(key: Any, shape: tuple[int, ...], width: int = 32) -> Any:
    """Random numbers of 32 or 64 bits."""
    count = math.prod(shape)
    if count * (width // 32) >= 2**32 - 1:
        raise ArrayError(f"random: one key gives at most {2**32 - 2:,} words, shape {shape} asks for more")
    if stream() == "partitionable":
        highs, lows = _by_places(key, count)
        made = highs ^ lows if width == 32 else highs.astype(onp.uint64) << 32 | lows
    elif width == 32:
        made = _by_halves(key, count)
    else:
        highs, lows = onp.split(_by_halves(key, 2 * count), 2)
        made = highs.astype(onp.uint64) << 32 | lows
    return made.reshape(shape)
