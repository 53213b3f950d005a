"""log, erf and the inverse of erf in NumPy, in float32 rounding for rounding as XLA's CPU code computes them.

A normal number is made from random bits by these functions. A library that rounds differently would give every other
number another last digit, so the steps, their order and their fused multiply-adds are those of XLA's programs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as onp

from layerkit_plugins.backends.numpy.silence import silently

__all__ = ["erf", "erf_inv", "fused_multiply_add", "log"]

Array = onp.ndarray[Any, Any]

_f32 = onp.float32


def fused_multiply_add(a: Array, b: Any, c: Any, out: Array | None = None) -> Array:
    """a * b + c in float32 with one rounding: the product of two float32 numbers is exact in float64."""
    total = a.astype(onp.float64)
    total *= b
    total += c
    if out is None:
        return total.astype(_f32)
    out[...] = total
    return out


def _polynomial(coefficients: Sequence[float], x: Array) -> Array:
    """Horner's rule, highest power first, each step a fused multiply-add."""
    wide = x.astype(onp.float64)
    total = wide * coefficients[0]
    total += coefficients[1]
    rounded = total.astype(_f32)
    for coefficient in coefficients[2:]:
        onp.copyto(total, rounded)
        total *= wide
        total += coefficient
        onp.copyto(rounded, total, casting="same_kind")
    return rounded


def _single(*coefficients: float) -> list[float]:
    return [float(_f32(c)) for c in coefficients]


# Cephes logf: for 1/sqrt(2) <= 1 + f < sqrt(2), (log(1 + f) - f + f^2/2) / f^3 as three interleaved polynomials in f;
# the logarithm of 2 in two parts, of which the first has few digits.
_LOG = (
    _single(7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1),
    _single(-1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1),
    _single(2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1),
)
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4


def log(x: Array) -> Array:
    """The natural logarithm of positive float32 numbers."""
    bits = onp.maximum(x, onp.finfo(_f32).tiny).view(onp.int32)
    mantissa = (bits & 0x7FFFFF | 0x3F000000).view(_f32)
    exponent = ((bits >> 23) - 126).astype(_f32)
    low = mantissa < _f32(math.sqrt(0.5))
    f = mantissa - _f32(1)
    f += onp.where(low, mantissa, _f32(0))
    exponent -= low
    square = f * f
    cube = square * f
    first, second, third = (_polynomial(part, f) for part in _LOG)
    tail = fused_multiply_add(fused_multiply_add(first, cube, second), cube, third)
    small = fused_multiply_add(tail, cube, exponent * _f32(_LN2_LOW))
    return fused_multiply_add(exponent, _LN2_HIGH, fused_multiply_add(square, -0.5, f) + small)


# Cephes log1p: for |z| < sqrt(2) - 1, (log(1 + z) - z + z^2/2) / z^3 as a ratio of polynomials in z.
_LOG1P_TOP = _single(
    4.5270000862445199635215e-5,
    4.9854102823193375972212e-1,
    6.5787325942061044846969e0,
    2.9911919328553073277375e1,
    6.0949667980987787057556e1,
    5.7112963590585538103336e1,
    2.0039553499201281259648e1,
)
_LOG1P_BOTTOM = _single(
    1.0,
    1.5062909083469192043167e1,
    8.3047565967967209469434e1,
    2.2176239823732856465394e2,
    3.0909872225312059774938e2,
    2.1642788614495947685003e2,
    6.0118660497603843919306e1,
)


def _log1p(z: Array) -> Array:
    out = onp.empty_like(z)
    near = onp.abs(z) < _f32(math.sqrt(2) - 1)
    out[near] = _log1p_near_zero(z[near])
    far = ~near
    out[far] = log(z[far] + _f32(1))
    return out


def _log1p_near_zero(z: Array) -> Array:
    ratio = _polynomial(_LOG1P_TOP, z) / _polynomial(_LOG1P_BOTTOM, z)
    square = z * z
    return z + fused_multiply_add(square, -0.5, z * square * ratio)


# Giles, "Approximating the erfinv function" (GPU Computing Gems, 2010): erf_inv(x) / x, for w = -log(1 - x^2) below 5
# in powers of w - 2.5, from 5 on in powers of sqrt(w) - 3.
_CENTRE = _single(
    2.81022636e-08,
    3.43273939e-07,
    -3.5233877e-06,
    -4.39150654e-06,
    0.00021858087,
    -0.00125372503,
    -0.00417768164,
    0.246640727,
    1.50140941,
)
_TAIL = _single(
    -0.000200214257,
    0.000100950558,
    0.00134934322,
    -0.00367342844,
    0.00573950773,
    -0.0076224613,
    0.00943887047,
    1.00167406,
    2.83297682,
)


@silently
def erf_inv(x: Array) -> Array:
    """The y with erf(y) = x, for x from -1 to 1: float32 or float64, like x."""
    flat = onp.asarray(x).reshape(-1)
    y = _erf_inv64(flat) if flat.dtype == onp.float64 else _erf_inv32(flat)
    ends = onp.abs(flat) == 1
    if ends.any():
        y[ends] = flat[ends] * onp.inf
    return y.reshape(onp.shape(x))


def _erf_inv32(x: Array) -> Array:
    w = -_log1p(x * -x)
    y = _polynomial(_CENTRE, w - _f32(2.5))
    tail = w >= 5
    if tail.any():
        y[tail] = _polynomial(_TAIL, onp.sqrt(w[tail]) - _f32(3))
    y *= x
    return y


def _erf_inv64(x: Array) -> Array:
    """A first guess, then Newton's method: on erf below 1/2, on log erfc above, where erf is too flat to tell."""
    size = onp.abs(x)
    w = -onp.log1p(-size * size)
    y = onp.where(w < 5, onp.polyval(_CENTRE, w - 2.5) * size, onp.sqrt(w))
    for _ in range(5):
        rest = _each(math.erfc, y)
        gap = onp.where(size < 0.5, size - _each(math.erf, y), rest * onp.log(rest / (1 - size)))
        y += gap * (math.sqrt(math.pi) / 2) * onp.exp(y * y)
    return onp.copysign(y, x)


def _each(f: Callable[[float], float], x: Array) -> Array:
    return onp.array([f(value) for value in x.ravel().tolist()], onp.float64).reshape(onp.shape(x))


# Eigen's fit: erf(x) = x P(x^2) / Q(x^2) below the bound, from which on it is 1 in float32.
_ERF_TOP = _single(0.00022905065, 0.003408291, 0.050955694, 0.18520832, 1.1283791)
_ERF_BOTTOM = _single(-1.1791603e-07, 2.3547966e-05, 0.0010179626, 0.01407047, 0.11098505, 0.49746925, 1.0)
_ERF_BOUND = _f32(3.832506856900711)


@silently
def erf(x: Any) -> Array:
    """The error function: float32 or float64, like x."""
    values = onp.asarray(x)
    if values.dtype == onp.float64:
        return _each(math.erf, values)
    flat = values.astype(_f32, copy=False).reshape(-1)
    square = flat * flat
    ratio = flat * _polynomial(_ERF_TOP, square) / _polynomial(_ERF_BOTTOM, square)
    y = onp.where(onp.abs(flat) >= _ERF_BOUND, onp.copysign(_f32(1), flat), ratio)
    return y.reshape(values.shape)
