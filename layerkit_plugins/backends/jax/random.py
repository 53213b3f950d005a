"""jax.random under layerkit's names, in the stream that layerkit's keys stand for, whatever jax is set to draw."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as onp

from layerkit.fastmath import random as language

try:
    # What jax.extend.random names. Its package imports Pallas as well, which takes longer than all of layerkit.
    from jax._src.extend.random import define_prng_impl
    from jax._src.random.threefry2x32 import threefry2x32_p, threefry_2x32
except ImportError:
    from jax.extend.random import define_prng_impl, threefry2x32_p, threefry_2x32

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

# jax reads its own setting (jax_threefry_partitionable) when a program is lowered, long after the function that asked
# for numbers has returned, so no setting made around a call would hold. A generator of our own holds everywhere.


def _in_halves(key: Any, count: int) -> Any:
    return threefry_2x32((key[0], key[1]), jax.lax.iota(onp.uint32, count))


def _in_pairs(key: Any, shape: Shape) -> tuple[Any, Any]:
    counts = jax.lax.iota(onp.uint32, math.prod(shape)).reshape(shape)
    highs, lows = threefry2x32_p.bind(key[0], key[1], jnp.zeros_like(counts), counts)
    return highs, lows


def _joined(highs: Any, lows: Any) -> Any:
    return highs.astype(onp.uint64) << onp.uint64(32) | lows.astype(onp.uint64)


def _split(key: Any, shape: Shape) -> Any:
    if language.stream() == "partitionable":
        return jnp.stack(_in_pairs(key, shape), axis=-1)
    return _in_halves(key, 2 * math.prod(shape)).reshape(*shape, 2)


def _random_bits(key: Any, width: int, shape: Shape) -> Any:
    if language.stream() == "partitionable":
        highs, lows = _in_pairs(key, shape)
        return highs ^ lows if width == 32 else _joined(highs, lows)
    if width == 32:
        return _in_halves(key, math.prod(shape)).reshape(shape)
    highs, lows = jnp.split(_in_halves(key, 2 * math.prod(shape)), 2)
    return _joined(highs, lows).reshape(shape)


def _from_seed(seed: Any) -> Any:
    return jnp.stack([jnp.uint32(0), seed.astype(onp.uint32)])


def _fold_in(key: Any, data: Any) -> Any:
    return threefry_2x32((key[0], key[1]), jnp.stack([jnp.uint32(0), data.astype(onp.uint32)]))


_GENERATOR = define_prng_impl(
    key_shape=(2,),
    seed=_from_seed,
    split=_split,
    random_bits=_random_bits,
    fold_in=_fold_in,
    name="layerkit-threefry2x32",
    tag="lk",
)


def _with_key(key: Any) -> Any:
    return jax.random.wrap_key_data(key, impl=_GENERATOR)


@functools.partial(jax.jit, static_argnums=1)
def split(key: Any, num: int = 2) -> Any:
    """``num`` new keys, uint32 (num, 2)."""
    return _split(key, (num,))


def get_prng(seed: Any) -> Any:
    """The key for a whole number, uint32 (2,)."""
    return jnp.asarray(onp.array(language.seed_words(seed), onp.uint32))


_folded = jax.jit(_fold_in)


def fold_in(key: Any, data: Any) -> Any:
    """A new key from a key and a 32-bit number."""
    return _folded(key, data if isinstance(data, jax.Array) else onp.uint32(data))


@functools.partial(jax.jit, static_argnums=(1, 2))
def _uniform(key: Any, shape: Shape, dtype: Any, minval: Any, maxval: Any) -> Any:
    low, high = jax.lax.stop_gradient((minval, maxval))
    return jax.random.uniform(_with_key(key), shape, dtype, low, high)


def uniform(key: Any, shape: Shape = (), dtype: Any = onp.float32, minval: Any = 0.0, maxval: Any = 1.0) -> Any:
    """Numbers spread evenly over [minval, maxval)."""
    return _uniform(key, shape, dtype, minval, maxval)


@functools.partial(jax.jit, static_argnums=(1, 2))
def normal(key: Any, shape: Shape = (), dtype: Any = onp.float32) -> Any:
    """Normal numbers with mean 0 and standard deviation 1."""
    return jax.random.normal(_with_key(key), shape, dtype)


@functools.partial(jax.jit, static_argnums=(3, 4))
def truncated_normal(key: Any, lower: Any, upper: Any, shape: Shape = (), dtype: Any = onp.float32) -> Any:
    """Normal numbers given that they lie between ``lower`` and ``upper``."""
    lower, upper = jax.lax.stop_gradient((lower, upper))
    return jax.random.truncated_normal(_with_key(key), lower, upper, shape, dtype)


@functools.partial(jax.jit, static_argnums=2)
def bernoulli(key: Any, p: Any = 0.5, shape: Shape | None = None) -> Any:
    """True with probability ``p``."""
    return jax.random.bernoulli(_with_key(key), jnp.asarray(p, onp.float32), shape)


@functools.partial(jax.jit, static_argnums=(1, 4))
def _randint(key: Any, shape: Shape, minval: Any, maxval: Any, dtype: Any) -> Any:
    return jax.random.randint(_with_key(key), shape, minval, maxval, dtype)


def randint(key: Any, shape: Shape, minval: Any, maxval: Any, dtype: Any = onp.int32) -> Any:
    """Whole numbers spread evenly over minval .. maxval - 1."""
    if dtype == onp.uint32:
        minval, maxval = jnp.asarray(minval, dtype), jnp.asarray(maxval, dtype)
    return _randint(key, shape, minval, maxval, dtype)


@functools.partial(jax.jit, static_argnums=2)
def _shuffled(key: Any, x: Any, axis: int) -> Any:
    return jax.random.permutation(_with_key(key), x, axis)


def permutation(key: Any, x: Any, axis: int = 0) -> Any:
    """The array ``x`` shuffled along an axis; ``range(x)`` shuffled where x is a whole number."""
    return _shuffled(key, x if onp.ndim(x) else onp.arange(x, dtype=onp.int32), axis)


@functools.partial(jax.jit, static_argnums=(1, 2))
def gumbel(key: Any, shape: Shape = (), dtype: Any = onp.float32) -> Any:
    """Standard Gumbel numbers: -log(-log(u))."""
    return jax.random.gumbel(_with_key(key), shape, dtype, mode="low")


@functools.partial(jax.jit, static_argnums=(2, 3))
def categorical(key: Any, logits: Any, axis: int = -1, shape: Shape | None = None) -> Any:
    """Classes drawn with the probabilities softmax(logits): int32."""
    logits = jnp.asarray(logits, onp.float32)
    return jax.random.categorical(_with_key(key), logits, axis, shape, mode="low").astype(onp.int32)
