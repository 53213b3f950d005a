"""threefry-2x32 in NumPy: random words from a key (Salmon et al., SC 2011), in the two streams JAX makes of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as onp

from layerkit.fastmath import random as language
from layerkit.fastmath.backend import ArrayError

__all__ = ["fold_in", "random_bits", "split"]

Words = onp.ndarray[Any, onp.dtype[onp.uint32]]

# The rotation distances and the key's parity constant of the paper's 20-round variant.
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
_LOW = 0xFFFFFFFF

# Each round passes over a block several times: this size keeps both halves and the scratch in a core's own cache.
_BLOCK = 32768

# A round costs one NumPy call a step whatever the size; below this many pairs Python's own integers are faster.
_FEW = 9


def _key_words(key: Any) -> tuple[int, int, int]:
    first, second = onp.asarray(key).tolist()
    return first, second, first ^ second ^ _PARITY


def _hash_pair(key: tuple[int, int, int], x: int, y: int) -> tuple[int, int]:
    x, y = (x + key[0]) & _LOW, (y + key[1]) & _LOW
    for group in range(5):
        for turn in _ROTATIONS[group % 2]:
            x = (x + y) & _LOW
            y = ((y << turn) & _LOW | y >> (32 - turn)) ^ x
        x = (x + key[(group + 1) % 3]) & _LOW
        y = (y + key[(group + 2) % 3] + group + 1) & _LOW
    return x, y


def _hash_block(key: tuple[int, int, int], x: Words, y: Words, scratch: Words) -> None:
    onp.add(x, key[0], out=x)
    onp.add(y, key[1], out=y)
    for group in range(5):
        for turn in _ROTATIONS[group % 2]:
            onp.add(x, y, out=x)
            onp.left_shift(y, turn, out=scratch)
            onp.right_shift(y, 32 - turn, out=y)
            onp.bitwise_or(y, scratch, out=y)
            onp.bitwise_xor(x, y, out=y)
        onp.add(x, key[(group + 1) % 3], out=x)
        onp.add(y, (key[(group + 2) % 3] + group + 1) & _LOW, out=y)


def _hash(key: Any, xs: Words, ys: Words) -> None:
    """Replaces each pair of counters (x, y) by its pair of random words, in place."""
    words = _key_words(key)
    if xs.size <= _FEW:
        for i, pair in enumerate(zip(xs.tolist(), ys.tolist(), strict=True)):
            xs[i], ys[i] = _hash_pair(words, *pair)
        return
    scratch = onp.empty(min(xs.size, _BLOCK), onp.uint32)
    for start in range(0, xs.size, _BLOCK):
        x, y = xs[start : start + _BLOCK], ys[start : start + _BLOCK]
        _hash_block(words, x, y, scratch[: x.size])


def _in_halves(key: Any, count: int) -> Words:
    """``count`` words of the original stream: the first half of the counters is hashed with the second half."""
    words = onp.arange(count + count % 2, dtype=onp.uint32)
    words[count:] = 0
    half = words.size // 2
    _hash(key, words[:half], words[half:])
    return words[:count]


def _in_pairs(key: Any, count: int) -> tuple[Words, Words]:
    """Two words for each place of the partitionable stream: no place's words depend on how many there are."""
    highs, lows = onp.zeros(count, onp.uint32), onp.arange(count, dtype=onp.uint32)
    _hash(key, highs, lows)
    return highs, lows


def split(key: Any, num: int = 2) -> Words:
    """``num`` new keys, uint32 (num, 2)."""
    if language.stream() == "partitionable":
        return onp.stack(_in_pairs(key, num), axis=1)
    return _in_halves(key, 2 * num).reshape(num, 2)


def fold_in(key: Any, data: int) -> Words:
    """A new key from a key and a 32-bit number; the same in both streams."""
    return onp.array(_hash_pair(_key_words(key), 0, int(data) & _LOW), onp.uint32)


def random_bits(key: Any, width: int, shape: tuple[int, ...]) -> onp.ndarray[Any, Any]:
    """Random numbers of ``width`` bits, 32 or 64: uint32 or uint64.

    Raises:
        ArrayError: more than 2**32 - 2 words are asked for at once; the counters would start again.
    """
    size = math.prod(shape)
    if size * (width // 32) >= _LOW:
        raise ArrayError(
            f"random: one key gives at most {_LOW - 1:,} words, shape {shape} asks for more; split the key"
        )
    if language.stream() == "partitionable":
        highs, lows = _in_pairs(key, size)
        return (highs ^ lows if width == 32 else _joined(highs, lows)).reshape(shape)
    if width == 32:
        return _in_halves(key, size).reshape(shape)
    words = _in_halves(key, 2 * size)
    return _joined(words[:size], words[size:]).reshape(shape)


def _joined(highs: Words, lows: Words) -> onp.ndarray[Any, onp.dtype[onp.uint64]]:
    return highs.astype(onp.uint64) << 32 | lows
