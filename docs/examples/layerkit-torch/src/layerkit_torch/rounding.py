"""The logarithm and the inverse of erf in float32, with the very last digits that layerkit's random numbers have.

Two libraries' logarithms differ in the last place, and a Gumbel number near 0 is a logarithm of a logarithm: it would
differ in its last ten. So the steps are those of the reference, each multiplication and addition rounded once.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as onp
import torch

__all__ = ["erf_inv", "log"]


def _fused(a: Any, b: Any, c: Any) -> Any:
    """a * b + c with one rounding: in float64 the product of two float32 numbers is exact."""
    return (onp.multiply(a, b, dtype=onp.float64) + c).astype(onp.float32)


def _powers(coefficients: tuple[float, ...], x: Any) -> Any:
    """Horner's rule in float32, the highest power first."""
    total = onp.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total = _fused(total, x, float(onp.float32(coefficient)))
    return total


# Cephes, logf: (log(1 + f) - f + f^2 / 2) / f^3 for 1/sqrt(2) <= 1 + f < sqrt(2), as three polynomials in f that are
# put together by powers of f^3; log(2) in two parts, the first of few digits.
_LOG = (
    (7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1),
    (-1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1),
    (2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1),
)
_LN2 = 0.693359375, -2.12194440e-4


def log(x: Any) -> Any:
    """The natural logarithm of positive float32 numbers."""
    mantissa, exponent = onp.frexp(onp.maximum(x, onp.finfo(onp.float32).tiny))
    small = mantissa < onp.float32(math.sqrt(0.5))
    f = onp.where(small, mantissa - onp.float32(1) + mantissa, mantissa - onp.float32(1))
    exponent = (exponent - small).astype(onp.float32)
    square = f * f
    cube = square * f
    first, second, third = (_powers(part, f) for part in _LOG)
    tail = _fused(_fused(first, cube, second), cube, third)
    rest = _fused(tail, cube, exponent * onp.float32(_LN2[1]))
    return _fused(exponent, _LN2[0], _fused(square, -0.5, f) + rest)


# Giles, "Approximating the erfinv function" (GPU Computing Gems, 2010): erf_inv(x) / x in powers of w - 2.5, and from
# w = 5 on in powers of sqrt(w) - 3, for w = -log(1 - x^2). It is up to 5 units in the last place off the truth, and
# layerkit's normal numbers are what it gives.
_CENTRE = (
    2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164,
    0.246640727, 1.50140941,
)  # fmt: skip
_TAIL = (
    -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047,
    1.00167406, 2.83297682,
)  # fmt: skip


def erf_inv(x: Any, dtype: Any) -> Any:
    if dtype != onp.float32:
        return torch.erfinv(torch.from_numpy(onp.asarray(x, onp.float64))).numpy()
    w = -onp.log1p((x * -x).astype(onp.float64)).astype(onp.float32)
    near = _powers(_CENTRE, w - onp.float32(2.5))
    return onp.where(w < 5, near, _powers(_TAIL, onp.sqrt(w) - onp.float32(3))) * x
