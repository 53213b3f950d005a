"""Thirty-two bits: NumPy computes in 64 wherever it may, a layer never means to."""

from __future__ import annotations

from typing import Any

import numpy as onp

from layerkit.fastmath import ArrayError, float64_enabled

__all__ = ["FLOAT32", "default_float", "given", "narrow", "narrow_dtype"]

FLOAT32 = onp.dtype(onp.float32)
_FLOAT64 = onp.dtype(onp.float64)

# By dtype.char, which is three times as fast to look up as the dtype itself.
_INTEGERS = {char: onp.dtype(onp.int32 if onp.dtype(char).kind == "i" else onp.uint32) for char in "lqLQ"}
_INTEGERS = {char: to for char, to in _INTEGERS.items() if onp.dtype(char).itemsize == 8}
_FLOATS = {"d": FLOAT32, "g": FLOAT32, "D": onp.dtype(onp.complex64), "G": onp.dtype(onp.complex64)}


def narrow_dtype(dtype: Any) -> Any:
    """The dtype that takes the place of ``dtype``: 32 bits for 64, except floats inside ``float64()``."""
    dtype = onp.dtype(dtype)
    if dtype.char in _INTEGERS:
        return _INTEGERS[dtype.char]
    if dtype.char in _FLOATS and not float64_enabled():
        return _FLOATS[dtype.char]
    return dtype


def default_float() -> Any:
    """The dtype of floats that nobody gave one: float32, or float64 inside ``float64()``."""
    return _FLOAT64 if float64_enabled() else FLOAT32


def given(x: Any) -> Any:
    """``narrow`` of what somebody hands in: a whole number that would become another is refused.

    Raises:
        ArrayError: one that does not fit into 32 bits, such as an id, which would read another id's row.
    """
    to = _INTEGERS.get(getattr(getattr(x, "dtype", None), "char", ""))
    if to is not None and x.size:
        limits = onp.iinfo(to)
        for extreme in (int(x.min()), int(x.max())):
            if not limits.min <= extreme <= limits.max:
                raise ArrayError(f"whole numbers have 32 bits, {extreme} has more: use smaller ones, or floats")
    return narrow(x)


def narrow(x: Any) -> Any:
    """``x`` with its 64-bit numbers made 32-bit ones; arrays, scalars and boxes, also in tuples and lists."""
    if type(x) is tuple or type(x) is list:
        return type(x)(map(narrow, x))
    dtype = getattr(x, "dtype", None)
    if dtype is None:
        return x
    char = dtype.char
    if char in _FLOATS:
        return x if float64_enabled() else x.astype(_FLOATS[char])
    if char in _INTEGERS:
        return x.astype(_INTEGERS[char])
    return x
