"""layerkit's random numbers: words from the key, made into numbers by the steps that every backend takes."""

from __future__ import annotations

import math
from typing import Any

import numpy as onp
import torch

from layerkit.fastmath.random import seed_words
from layerkit_torch import rounding, words
from layerkit_torch.array import Array, as_array, detached, to_numpy

__all__ = [
    "bernoulli",
    "categorical",
    "fold_in",
    "get_prng",
    "gumbel",
    "normal",
    "permutation",
    "randint",
    "split",
    "truncated_normal",
    "uniform",
]

Shape = tuple[int, ...]

_ROOT2 = math.sqrt(2)


def get_prng(seed: int) -> Array:
    """The key for a whole number, uint32 (2,)."""
    return as_array(onp.array(seed_words(seed), onp.uint32))


def split(key: Any, num: int = 2) -> Array:
    """``num`` new keys, uint32 (num, 2)."""
    return as_array(words.split(to_numpy(key), num))


def fold_in(key: Any, data: Any) -> Array:
    """A new key from a key and a 32-bit number."""
    return as_array(words.fold_in(to_numpy(key), int(data)))


def _known(x: Any, dtype: Any) -> Any:
    return to_numpy(as_array(detached(x), dtype))


def _unit(key: Any, shape: Shape, dtype: Any) -> Any:
    """Random bits as the fraction of a number in [1, 2), less 1."""
    dtype = onp.dtype(dtype)
    width = dtype.itemsize * 8
    bits = words.words(to_numpy(key), shape, width)
    bits = bits >> bits.dtype.type(width - onp.finfo(dtype).nmant) | onp.ones((), dtype).view(bits.dtype)
    return onp.asarray(bits).view(dtype) - dtype.type(1)


def _uniform(key: Any, shape: Shape, dtype: Any, low: Any, high: Any) -> Any:
    unit = _unit(key, shape, dtype)
    # One rounding for the product and the sum, as of a fused multiply-add: float32 products are exact in float64.
    wide = unit.astype(onp.float64) * (high - low) + low
    return onp.maximum(low, wide.astype(unit.dtype))


def uniform(key: Any, shape: Shape = (), dtype: Any = onp.float32, minval: Any = 0.0, maxval: Any = 1.0) -> Array:
    """Numbers spread evenly over [minval, maxval)."""
    return as_array(_uniform(key, shape, dtype, _known(minval, dtype), _known(maxval, dtype)))


def normal(key: Any, shape: Shape = (), dtype: Any = onp.float32) -> Array:
    """Normal numbers with mean 0 and standard deviation 1."""
    dtype = onp.dtype(dtype)
    low = onp.nextafter(dtype.type(-1), dtype.type(0))
    return as_array(dtype.type(_ROOT2) * rounding.erf_inv(_uniform(key, shape, dtype, low, dtype.type(1)), dtype))


def truncated_normal(key: Any, lower: Any, upper: Any, shape: Shape = (), dtype: Any = onp.float32) -> Array:
    """Normal numbers given that they lie between ``lower`` and ``upper``."""
    dtype = onp.dtype(dtype)
    lower, upper = _known(lower, dtype), _known(upper, dtype)
    ends = [torch.erf(torch.from_numpy(onp.array(end / dtype.type(_ROOT2)))).numpy() for end in (lower, upper)]
    draws = dtype.type(_ROOT2) * rounding.erf_inv(_uniform(key, shape, dtype, *ends), dtype)
    inside = onp.nextafter(lower, dtype.type(onp.inf)), onp.nextafter(upper, dtype.type(-onp.inf))
    return as_array(onp.minimum(inside[1], onp.maximum(inside[0], draws)))


def bernoulli(key: Any, p: Any = 0.5, shape: Shape | None = None) -> Array:
    """True with probability ``p``."""
    p = _known(p, onp.float32)
    return as_array(_unit(key, p.shape if shape is None else shape, onp.float32) < p)


def randint(key: Any, shape: Shape, minval: Any, maxval: Any, dtype: Any = onp.int32) -> Array:
    """Whole numbers spread evenly over minval .. maxval - 1."""
    dtype = onp.dtype(dtype)
    drawn = onp.dtype(onp.int32) if dtype.itemsize < 4 else dtype
    ends, widest = onp.iinfo(dtype), onp.iinfo(drawn)
    minval, maxval = (onp.asarray(to_numpy(bound), onp.int64) for bound in (minval, maxval))
    low = onp.clip(minval, ends.min, ends.max)
    high = onp.clip(maxval, ends.min, min(ends.max + 1, widest.max))
    highs, lows = (words.words(part, shape) for part in words.split(to_numpy(key), 2))
    # 64 random bits modulo the span, in 32-bit arithmetic that wraps around.
    span = onp.where(high > low, high - low, 1).astype(onp.uint32)
    half = onp.uint32(2**16) % span
    with onp.errstate(over="ignore"):
        offset = (highs % span * (half * half % span) + lows % span) % span
    return as_array(onp.asarray(low + offset).astype(dtype))


def permutation(key: Any, x: Any, axis: int = 0) -> Array:
    """The array ``x`` shuffled along an axis; ``range(x)`` shuffled where x is a whole number."""
    if not onp.ndim(x):
        return as_array(_shuffled(key, int(x)))
    x = as_array(x)
    return x[(slice(None),) * (axis % x.ndim) + (_shuffled(key, x.shape[axis]),)]


def _shuffled(key: Any, size: int) -> Any:
    """0 .. size - 1 sorted by random words, as often as it takes for equal words not to matter."""
    order, key = onp.arange(size, dtype=onp.int32), to_numpy(key)
    for _ in range(math.ceil(3 * math.log(max(1, size)) / math.log(2**32 - 1))):
        key, part = words.split(key, 2)
        order = order[onp.argsort(words.words(part, (size,)), kind="stable")]
    return order


def _gumbel(key: Any, shape: Shape, dtype: Any) -> Any:
    log = rounding.log if dtype == onp.float32 else onp.log
    return -log(-log(_unit(key, shape, dtype) + onp.finfo(dtype).tiny))


def gumbel(key: Any, shape: Shape = (), dtype: Any = onp.float32) -> Array:
    """Standard Gumbel numbers: -log(-log(u))."""
    return as_array(_gumbel(key, shape, onp.dtype(dtype)))


def categorical(key: Any, logits: Any, axis: int = -1, shape: Shape | None = None) -> Array:
    """Classes drawn with the probabilities softmax(logits): int32."""
    logits = _known(logits, onp.float32)
    axis = axis % logits.ndim
    batch = logits.shape[:axis] + logits.shape[axis + 1 :]
    shape = batch if shape is None else shape
    prefix, rest = shape[: len(shape) - len(batch)], shape[len(shape) - len(batch) :]
    noise = _gumbel(key, (*prefix, *rest[:axis], logits.shape[axis], *rest[axis:]), onp.dtype(onp.float32))
    return as_array(onp.argmax(noise + logits, axis=len(prefix) + axis).astype(onp.int32))
