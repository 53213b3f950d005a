"""threefry-2x32 in NumPy: random words from a key (Salmon et al., SC 2011), in the two streams JAX makes of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as onp

from layerkit.fastmath import random as language
from layerkit.fastmath.backend import ArrayError
from layerkit_plugins.backends.numpy.stand_ins import one_step

__all__ = ["fold_in", "random_bits", "random_blocks", "split"]

Words = onp.ndarray[Any, onp.dtype[onp.uint32]]

# The rotation distances and the key's parity constant of the paper's 20-round variant.
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
_LOW = 0xFFFFFFFF

# Each round passes over a block several times: this size keeps both halves and the scratch in a core's own cache.
_BLOCK = 65536

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
    """Replaces pairs of counters, the key's first two words already added to them, by pairs of random words."""
    for group in range(5):
        for turn in _ROTATIONS[group % 2]:
            onp.add(x, y, x)
            onp.left_shift(y, turn, scratch)
            onp.right_shift(y, 32 - turn, y)
            onp.bitwise_or(y, scratch, y)
            onp.bitwise_xor(x, y, y)
        onp.add(x, key[(group + 1) % 3], x)
        onp.add(y, (key[(group + 2) % 3] + group + 1) & _LOW, y)


def _hashed(key: Any, first: int | None, second: int, stop: int, count: int) -> Iterator[tuple[int, Words, Words]]:
    """``count`` pairs of random words, block by block, with where each begins; the next block overwrites it.

    The counters are first, first + 1, ... (0 throughout for ``None``), and second, second + 1, ...; 0 from ``stop`` on.
    """
    words = _key_words(key)
    if count <= _FEW:
        counters = [((first + i) if first is not None else 0, (second + i) * (second + i < stop)) for i in range(count)]
        pairs = onp.array([_hash_pair(words, *pair) for pair in counters], onp.uint32).reshape(count, 2)
        yield 0, pairs[:, 0], pairs[:, 1]
        return
    ramp = onp.arange(min(count, _BLOCK), dtype=onp.uint32)
    x, y, scratch = onp.empty((3, ramp.size), onp.uint32)
    for start in range(0, count, _BLOCK):
        n = min(count - start, _BLOCK)
        x, y, scratch, ramp = x[:n], y[:n], scratch[:n], ramp[:n]
        if first is None:
            x[...] = words[0]
        else:
            onp.add(ramp, (words[0] + first + start) & _LOW, out=x)
        onp.add(ramp, (words[1] + second + start) & _LOW, out=y)
        y[max(0, stop - second - start) :] = words[1]
        _hash_block(words, x, y, scratch)
        yield start, x, y


def _in_halves(key: Any, count: int) -> Iterator[tuple[int, Words]]:
    """``count`` words of the original stream: the first half of the counters is hashed with the second half."""
    half = (count + 1) // 2
    for start, x, y in _hashed(key, 0, half, count, half):
        yield start, x
        yield half + start, y[: count - half - start]


def _in_pairs(key: Any, count: int) -> Iterator[tuple[int, Words, Words]]:
    """Two words for each place of the partitionable stream: no place's words depend on how many there are."""
    return _hashed(key, None, 0, count, count)


def _gathered(blocks: Iterator[tuple[int, Any]], count: int, dtype: Any) -> Any:
    gathered = onp.empty(count, dtype)
    for start, block in blocks:
        gathered[start : start + len(block)] = block
    return gathered


@one_step(0)
def split(key: Any, num: int = 2) -> Words:
    """``num`` new keys, uint32 (num, 2)."""
    if language.stream() == "partitionable":
        return onp.concatenate([onp.stack(pair, axis=1) for _, *pair in _in_pairs(key, num)])
    return _gathered(_in_halves(key, 2 * num), 2 * num, onp.uint32).reshape(num, 2)


@one_step(0, 1)
def fold_in(key: Any, data: int) -> Words:
    """A new key from a key and a 32-bit number; the same in both streams."""
    return onp.array(_hash_pair(_key_words(key), 0, int(data) & _LOW), onp.uint32)


def random_bits(key: Any, width: int, shape: tuple[int, ...]) -> onp.ndarray[Any, Any]:
    """Random numbers of ``width`` bits, 32 or 64: uint32 or uint64; see ``random_blocks``."""
    count = math.prod(shape)
    return _gathered(random_blocks(key, width, shape), count, f"u{width // 8}").reshape(shape)


def random_blocks(key: Any, width: int, shape: tuple[int, ...]) -> Iterator[tuple[int, onp.ndarray[Any, Any]]]:
    """The numbers of ``random_bits`` in pieces that a core's own cache holds, with where each begins in the flat array.

    A piece may be written into, and is overwritten by the next but one.

    Raises:
        ArrayError: more than 2**32 - 2 words are asked for at once; the counters would start again.
    """
    size = math.prod(shape)
    if size * (width // 32) >= _LOW:
        raise ArrayError(
            f"random: one key gives at most {_LOW - 1:,} words, shape {shape} asks for more; split the key"
        )
    if language.stream() == "partitionable":
        for start, highs, lows in _in_pairs(key, size):
            yield start, highs ^ lows if width == 32 else _joined(highs, lows)
    elif width == 32:
        yield from _in_halves(key, size)
    else:
        for start, highs, lows in _hashed(key, 0, size, 2 * size, size):
            yield start, _joined(highs, lows)


def _joined(highs: Words, lows: Words) -> onp.ndarray[Any, onp.dtype[onp.uint64]]:
    return highs.astype(onp.uint64) << 32 | lows
