"""Random numbers in NumPy: what jax.random draws from the same key, by the same steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as onp

from layerkit.fastmath import random as language
from layerkit.shapes import ShapeDtype
from layerkit_plugins.backends.numpy import xla
from layerkit_plugins.backends.numpy.control import blank, is_abstract
from layerkit_plugins.backends.numpy.namespace import known
from layerkit_plugins.backends.numpy.silence import silently
from layerkit_plugins.backends.numpy.stand_ins import one_step
from layerkit_plugins.backends.numpy.threefry import fold_in, random_bits, random_blocks, split

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

Array = onp.ndarray[Any, Any]
Shape = tuple[int, ...]

_f32 = onp.dtype(onp.float32)

# Intermediate results of one block stay in a core's own cache.
_BLOCK = 16384


def get_prng(seed: int) -> Array:
    """The key for a whole number, uint32 (2,)."""
    return onp.array(language.seed_words(seed), onp.uint32)


@one_step(0, 3, 4)
def uniform(key: Any, shape: Shape = (), dtype: Any = onp.float32, minval: Any = 0.0, maxval: Any = 1.0) -> Array:
    """Numbers spread evenly over [minval, maxval)."""
    dtype = onp.dtype(dtype)
    low, high = (onp.asarray(known(bound), dtype) for bound in (minval, maxval))
    if not low.ndim and not high.ndim:
        if (low, high) == (0, 1):
            return _drawn(key, shape, dtype)
        return _drawn(key, shape, dtype, lambda out, unit: _stretch(out, unit, low, high))
    return _stretch(onp.empty(shape, dtype), _drawn(key, shape, dtype), low, high)


def _drawn(key: Any, shape: Shape, dtype: onp.dtype[Any], f: Callable[[Array, Array], Any] = onp.copyto) -> Array:
    """Numbers spread evenly over [0, 1), or what ``f(out, numbers)`` makes of a block of them."""
    if is_abstract():
        return blank(ShapeDtype(shape, dtype))
    drawn = onp.empty(shape, dtype)
    flat = drawn.reshape(-1)
    for start, bits in random_blocks(key, dtype.itemsize * 8, shape):
        unit = _unit(bits, dtype)
        f(flat[start : start + unit.size], unit)
    return drawn


def _unit(bits: Array, dtype: onp.dtype[Any]) -> Array:
    """Random bits as the fraction of a number in [1, 2), less 1; they are overwritten."""
    bits >>= bits.dtype.type(dtype.itemsize * 8 - onp.finfo(dtype).nmant)
    bits |= onp.ones((), dtype).view(bits.dtype)
    floats = bits.view(dtype)
    floats -= dtype.type(1)
    return floats


def _stretch(out: Array, floats: Array, low: Array, high: Array) -> Array:
    span = high - low
    if floats.dtype == _f32:
        xla.fused_multiply_add(floats, span, low, out)
    else:
        onp.add(floats * span, low, out=out)
    # Adding what is not negative rounds to no less than ``low``.
    return out if onp.all(span >= 0) else onp.maximum(low, out, out=out)


def _in_blocks(f: Callable[[Array], Array], x: Array) -> Array:
    """f of x element by element, a block at a time, into x's own memory."""
    flat = x.reshape(-1)
    for start in range(0, flat.size, _BLOCK):
        block = flat[start : start + _BLOCK]
        block[...] = f(block)
    return x


@one_step(0)
def normal(key: Any, shape: Shape = (), dtype: Any = onp.float32) -> Array:
    """Normal numbers with mean 0 and standard deviation 1."""
    dtype = onp.dtype(dtype)
    low = onp.nextafter(dtype.type(-1), dtype.type(0))
    root2 = dtype.type(math.sqrt(2))

    def from_unit(out: Array, floats: Array) -> None:
        # Here the product is exact and needs no fused step: the span from low to 1 rounds to 2.
        onp.multiply(root2, xla.erf_inv(onp.maximum(low, floats * dtype.type(2) + low)), out=out)

    return _drawn(key, shape, dtype, from_unit)


@one_step(0, 1, 2)
def truncated_normal(key: Any, lower: Any, upper: Any, shape: Shape = (), dtype: Any = onp.float32) -> Array:
    """Normal numbers given that they lie between ``lower`` and ``upper``."""
    dtype = onp.dtype(dtype)
    root2 = dtype.type(math.sqrt(2))
    lower, upper = (onp.asarray(known(bound), dtype) for bound in (lower, upper))
    # XLA divides by a constant as it multiplies by its reciprocal.
    low, high = (xla.erf(bound * (1 / root2)) for bound in (lower, upper))
    u = uniform(key, shape, dtype, low, high)
    draws = _in_blocks(lambda part: root2 * xla.erf_inv(part), u)
    ends = onp.nextafter(lower, dtype.type(onp.inf)), onp.nextafter(upper, dtype.type(-onp.inf))
    return onp.minimum(ends[1], onp.maximum(ends[0], draws))


@one_step(0, 1)
def bernoulli(key: Any, p: Any = 0.5, shape: Shape | None = None) -> Array:
    """True with probability ``p``."""
    p = onp.asarray(known(p), onp.float32)
    return onp.asarray(_drawn(key, p.shape if shape is None else shape, _f32) < p)


@one_step(0, 2, 3)
@silently
def randint(key: Any, shape: Shape, minval: Any, maxval: Any, dtype: Any = onp.int32) -> Array:
    """Whole numbers spread evenly over minval .. maxval - 1."""
    dtype = onp.dtype(dtype)
    drawn = onp.dtype(onp.int32) if dtype.itemsize < 4 else dtype
    narrow, wide = onp.iinfo(dtype), onp.iinfo(drawn)
    low = onp.clip(onp.asarray(minval, onp.int64), narrow.min, narrow.max)
    high = onp.clip(onp.asarray(maxval, onp.int64), narrow.min, min(narrow.max + 1, wide.max))
    highs, lows = (random_bits(part, 32, shape) for part in split(key))
    # 64 random bits modulo the span, in 32-bit arithmetic that wraps around: (a * 2**32 + b) % span.
    span = onp.where(high > low, high - low, 1).astype(onp.uint32)
    half = onp.uint32(2**16) % span
    offset = (highs % span * (half * half % span) + lows % span) % span
    return onp.asarray(low + offset).astype(dtype)


@one_step(0, 1)
def permutation(key: Any, x: Any, axis: int = 0) -> Any:
    """The array ``x`` shuffled along an axis; ``range(x)`` shuffled where x is a whole number."""
    if not onp.ndim(x):
        return _shuffled(key, int(x))
    index = _shuffled(key, x.shape[axis])
    return x[(slice(None),) * (axis % x.ndim) + (index,)]


def _shuffled(key: Any, size: int) -> Array:
    """0 .. size - 1 sorted by random 32-bit numbers, as often as it takes for equal numbers not to matter."""
    order = onp.arange(size, dtype=onp.int32)
    for _ in range(math.ceil(3 * onp.log(max(1, size)) / onp.log(2**32 - 1))):
        key, part = split(key)
        # The place in the lower half keeps equal numbers in their order.
        ranked = random_bits(part, 32, (size,)).astype(onp.uint64) << 32
        ranked |= onp.arange(size, dtype=onp.uint64)
        ranked.sort()
        order = order[(ranked & 0xFFFFFFFF).astype(onp.intp)]
    return order


@one_step(0)
def gumbel(key: Any, shape: Shape = (), dtype: Any = onp.float32) -> Array:
    """Standard Gumbel numbers: -log(-log(u))."""
    dtype = onp.dtype(dtype)
    tiny = onp.finfo(dtype).tiny
    log = xla.log if dtype == _f32 else onp.log
    return _drawn(key, shape, dtype, lambda out, unit: onp.negative(log(-log(unit + tiny)), out=out))


@one_step(0, 1)
def categorical(key: Any, logits: Any, axis: int = -1, shape: Shape | None = None) -> Array:
    """Classes drawn with the probabilities softmax(logits): int32."""
    logits = onp.asarray(known(logits), onp.float32)
    axis = axis % logits.ndim
    batch = logits.shape[:axis] + logits.shape[axis + 1 :]
    shape = batch if shape is None else shape
    prefix, rest = shape[: len(shape) - len(batch)], shape[len(shape) - len(batch) :]
    noise = gumbel(key, (*prefix, *rest[:axis], logits.shape[axis], *rest[axis:]))
    return onp.argmax(noise + logits, axis=len(prefix) + axis).astype(onp.int32)
