"""Random numbers from explicit keys: the same key gives the same numbers on every backend.

The generator is threefry-2x32 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), in the stream
JAX has drawn from the start, so that a key gives the numbers that it gave in 2020. A key is a uint32 array, shape (2,).

JAX's newer stream, in which a number does not depend on how many are drawn beside it, suits arrays that are spread over
several devices: ``LAYERKIT_THREEFRY=partitionable`` in the environment selects it for the whole process.
"""

from __future__ import annotations

import functools
import math
import os
from typing import Any

import numpy as onp

from layerkit.errors import UsageError, suggest
from layerkit.fastmath.backend import ArrayError, active, float64_enabled
from layerkit.fastmath.memory import check_room
from layerkit.numbers import whole

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
    "seed_words",
    "split",
    "stream",
    "truncated_normal",
    "uniform",
]

NAMES = tuple(name for name in __all__ if name not in ("NAMES", "seed_words", "stream"))
"""Functions that every backend's ``random`` namespace has, with the arguments they have here."""

Shape = tuple[int, ...]


@functools.cache
def stream() -> str:
    """The stream that keys give, ``"original"`` unless LAYERKIT_THREEFRY says ``"partitionable"``; read once a process.

    Raises:
        UsageError: LAYERKIT_THREEFRY names no stream.
    """
    name = os.environ.get("LAYERKIT_THREEFRY") or "original"
    if name not in ("original", "partitionable"):
        hint = suggest(name, ["original", "partitionable"])
        raise UsageError(f"LAYERKIT_THREEFRY: there is no stream {name!r}; {hint}")
    return name


def seed_words(seed: int) -> tuple[int, int]:
    """The two 32-bit words of a seed's key.

    A seed of 32 bits, with or without a sign, is the second word, as in JAX. A wider one fills both words (JAX without
    64-bit numbers drops its upper half, so that 2**40 and 0 would give the same numbers).

    >>> seed_words(7), seed_words(-1), seed_words(2**40)
    ((0, 7), (0, 4294967295), (256, 0))
    """
    seed = whole("random.get_prng: the seed", seed, error=ArrayError)
    if not -(2**63) <= seed < 2**63:
        raise ArrayError(f"random.get_prng: the seed is a whole number of at most 64 bits, got {seed}")
    if -(2**31) <= seed < 2**32:
        return 0, seed & 0xFFFFFFFF
    return seed >> 32 & 0xFFFFFFFF, seed & 0xFFFFFFFF


def _key(function: str, key: Any) -> Any:
    if getattr(key, "shape", None) != (2,) or key.dtype != onp.uint32:
        got = f"{key.dtype}{tuple(key.shape)}" if hasattr(key, "dtype") and hasattr(key, "shape") else repr(key)
        raise ArrayError(
            f"random.{function}: a key is a uint32 array of shape (2,), got {got}; make one with random.get_prng(seed)"
        )
    return key


def _shape(function: str, shape: Any, *parameters: Any) -> Shape:
    """``shape`` as a tuple, into which the parameters' shapes must broadcast."""
    given = shape if hasattr(shape, "__iter__") else (shape,)
    sizes = tuple(whole(f"random.{function}: a size", size, 0, ArrayError) for size in given)
    check_room(f"random.{function}: an array of shape {sizes} takes", 4 * math.prod(sizes))
    of_parameters = [onp.shape(parameter) for parameter in parameters]
    try:
        fits = onp.broadcast_shapes(sizes, *of_parameters) == sizes
    except ValueError:
        fits = False
    if not fits:
        raise ArrayError(
            f"random.{function}: parameters of shape {', '.join(map(str, of_parameters))} do not fit shape {sizes}"
        )
    return sizes


def _float(function: str, dtype: Any) -> onp.dtype[Any]:
    asked = onp.dtype(dtype)
    if asked not in (onp.float32, onp.float64):
        raise ArrayError(f"random.{function}: numbers are drawn in float32; convert them with .astype({asked.name!r})")
    return asked if float64_enabled() else onp.dtype(onp.float32)


def get_prng(seed: int) -> Any:
    """The key for a whole number: (high 32 bits, low 32 bits), uint32 (2,).

    Raises:
        ArrayError: the seed is no whole number, or has more than 64 bits.

    >>> [int(word) for word in get_prng(1)]
    [0, 1]
    """
    return active().random.get_prng(seed)


def split(key: Any, num: int = 2) -> Any:
    """``num`` new keys, uint32 (num, 2).

    >>> split(get_prng(0), 3).shape
    (3, 2)
    """
    (count,) = _shape("split", (num,))
    return active().random.split(_key("split", key), count)


def fold_in(key: Any, data: int) -> Any:
    """A new key from a key and a 32-bit number.

    Raises:
        ArrayError: ``data`` is not a whole number from 0 to 2**32 - 1.

    >>> fold_in(get_prng(0), 7).shape
    (2,)
    """
    backend = active()
    # Of 32 bits without a sign any number will do.
    if getattr(data, "dtype", None) != onp.uint32 and not backend.is_traced(data):
        data = whole("random.fold_in: the data", data, error=ArrayError)
        if not 0 <= data < 2**32:
            raise ArrayError(f"random.fold_in: the data is a whole number from 0 to {2**32 - 1}, got {data}")
    return backend.random.fold_in(_key("fold_in", key), data)


def uniform(key: Any, shape: Shape = (), dtype: Any = onp.float32, minval: Any = 0.0, maxval: Any = 1.0) -> Any:
    """Numbers spread evenly over [minval, maxval). The bounds are constants to differentiation.

    >>> numbers = uniform(get_prng(0), (100,), minval=2.0, maxval=3.0)
    >>> bool((numbers >= 2).all()), bool((numbers < 3).all())
    (True, True)
    """
    sizes = _shape("uniform", shape, minval, maxval)
    return active().random.uniform(_key("uniform", key), sizes, _float("uniform", dtype), minval, maxval)


def normal(key: Any, shape: Shape = (), dtype: Any = onp.float32) -> Any:
    """Normal numbers with mean 0 and standard deviation 1: sqrt(2) * erf_inv(u), u uniform over (-1, 1).

    >>> [round(float(x), 4) for x in normal(get_prng(1), (2, 3))[0]]
    [0.9573, -0.9699, 1.0071]
    """
    return active().random.normal(_key("normal", key), _shape("normal", shape), _float("normal", dtype))


def truncated_normal(key: Any, lower: Any, upper: Any, shape: Shape = (), dtype: Any = onp.float32) -> Any:
    """Normal numbers given that they lie between ``lower`` and ``upper``, which are constants to differentiation.

    >>> bool((truncated_normal(get_prng(0), 0.0, 1.0, (100,)) >= 0).all())
    True
    """
    name = "truncated_normal"
    sizes = _shape(name, shape, lower, upper)
    return active().random.truncated_normal(_key(name, key), lower, upper, sizes, _float(name, dtype))


def bernoulli(key: Any, p: Any = 0.5, shape: Shape | None = None) -> Any:
    """True with probability ``p``; the shape is that of ``p`` unless given. Drawn in float32, whatever ``p`` is.

    >>> bernoulli(get_prng(0), 1.0, (2,)).tolist()
    [True, True]
    """
    sizes = _shape("bernoulli", onp.shape(p) if shape is None else shape, p)
    return active().random.bernoulli(_key("bernoulli", key), p, sizes)


def randint(key: Any, shape: Shape, minval: Any, maxval: Any, dtype: Any = onp.int32) -> Any:
    """Whole numbers spread evenly over minval .. maxval - 1; minval where that range is empty.

    Raises:
        ArrayError: ``dtype`` is not an integer type of up to 32 bits, or cannot hold the bounds.

    >>> numbers = randint(get_prng(0), (100,), 3, 6)
    >>> sorted(set(numbers.tolist()))
    [3, 4, 5]
    """
    kind = onp.dtype(dtype)
    if kind.kind not in "iu" or kind.itemsize > 4:
        raise ArrayError(f"random.randint: whole numbers of up to 32 bits are drawn, got dtype {kind.name}")
    # A range of small numbers may end with its type's last one: randint(key, shape, 0, 256, uint8).
    ends = onp.iinfo(kind).min, onp.iinfo(kind).max + (kind.itemsize < 4)
    for bound in (minval, maxval):
        if isinstance(bound, (int, onp.integer)) and not ends[0] <= bound <= ends[1]:
            raise ArrayError(f"random.randint: the bounds {minval} and {maxval} do not fit {kind.name}")
    return active().random.randint(_key("randint", key), _shape("randint", shape, minval, maxval), minval, maxval, kind)


def permutation(key: Any, x: Any, axis: int = 0) -> Any:
    """The array ``x`` shuffled along an axis; ``range(x)`` shuffled where x is a whole number.

    >>> sorted(permutation(get_prng(0), 4).tolist())
    [0, 1, 2, 3]
    """
    if not onp.ndim(x):
        (x,) = _shape("permutation", (x,))
    elif not -onp.ndim(x) <= axis < onp.ndim(x):
        raise ArrayError(f"random.permutation: an array of shape {onp.shape(x)} has no axis {axis}")
    return active().random.permutation(_key("permutation", key), x, axis)


def gumbel(key: Any, shape: Shape = (), dtype: Any = onp.float32) -> Any:
    """Standard Gumbel numbers: -log(-log(u)).

    >>> gumbel(get_prng(0), (2, 3)).shape
    (2, 3)
    """
    return active().random.gumbel(_key("gumbel", key), _shape("gumbel", shape), _float("gumbel", dtype))


def categorical(key: Any, logits: Any, axis: int = -1, shape: Shape | None = None) -> Any:
    """Classes drawn with the probabilities softmax(logits), by the Gumbel-max trick: int32. Drawn in float32.

    >>> int(categorical(get_prng(0), [-1e9, 0.0, -1e9]))
    1
    """
    of_logits = onp.shape(logits)
    if not -len(of_logits) <= axis < len(of_logits):
        raise ArrayError(f"random.categorical: logits of shape {of_logits} have no axis {axis}")
    batch = tuple(onp.delete(of_logits, axis).tolist())
    sizes = _shape("categorical", batch if shape is None else shape, onp.broadcast_to(0, batch))
    return active().random.categorical(_key("categorical", key), logits, axis, sizes)
