"""Random numbers from explicit keys: the same key gives the same numbers on every backend.

The generator is threefry-2x32 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), in the stream
JAX has used from the start, so that a key gives the numbers that it gave in 2020. A key is a uint32 array of shape
(2,).
"""

from __future__ import annotations

from typing import Any

import numpy as onp

from layerkit.fastmath.backend import active

__all__ = [
    "NAMES",
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

NAMES = tuple(name for name in __all__ if name != "NAMES")
"""Functions that every backend's ``random`` namespace has, with the arguments they have here."""

Shape = tuple[int, ...]


def get_prng(seed: int) -> Any:
    """The key for a whole number: (high 32 bits, low 32 bits), uint32 (2,).

    >>> [int(word) for word in get_prng(1)]
    [0, 1]
    """
    return active().random.get_prng(seed)


def split(key: Any, num: int = 2) -> Any:
    """``num`` new keys, uint32 (num, 2)."""
    return active().random.split(key, num)


def fold_in(key: Any, data: int) -> Any:
    """A new key from a key and a 32-bit number."""
    return active().random.fold_in(key, data)


def uniform(key: Any, shape: Shape = (), dtype: Any = onp.float32, minval: Any = 0.0, maxval: Any = 1.0) -> Any:
    """Numbers spread evenly over [minval, maxval)."""
    return active().random.uniform(key, shape, dtype, minval, maxval)


def normal(key: Any, shape: Shape = (), dtype: Any = onp.float32) -> Any:
    """Normal numbers with mean 0 and standard deviation 1: sqrt(2) * erf_inv(u), u uniform over (-1, 1).

    >>> [round(float(x), 4) for x in normal(get_prng(1), (2, 3))[0]]
    [0.9573, -0.9699, 1.0071]
    """
    return active().random.normal(key, shape, dtype)


def truncated_normal(key: Any, lower: Any, upper: Any, shape: Shape = (), dtype: Any = onp.float32) -> Any:
    """Normal numbers given that they lie between ``lower`` and ``upper``."""
    return active().random.truncated_normal(key, lower, upper, shape, dtype)


def bernoulli(key: Any, p: Any = 0.5, shape: Shape | None = None) -> Any:
    """True with probability ``p``; the shape is that of ``p`` unless given."""
    return active().random.bernoulli(key, p, shape)


def randint(key: Any, shape: Shape, minval: Any, maxval: Any, dtype: Any = onp.int32) -> Any:
    """Whole numbers spread evenly over minval .. maxval - 1."""
    return active().random.randint(key, shape, minval, maxval, dtype)


def permutation(key: Any, x: Any, axis: int = 0) -> Any:
    """The array ``x`` shuffled along an axis; ``range(x)`` shuffled where x is a whole number."""
    return active().random.permutation(key, x, axis)


def gumbel(key: Any, shape: Shape = (), dtype: Any = onp.float32) -> Any:
    """Standard Gumbel numbers: -log(-log(u))."""
    return active().random.gumbel(key, shape, dtype)


def categorical(key: Any, logits: Any, axis: int = -1, shape: Shape | None = None) -> Any:
    """Classes drawn with the probabilities softmax(logits), by the Gumbel-max trick: int32."""
    return active().random.categorical(key, logits, axis, shape)
