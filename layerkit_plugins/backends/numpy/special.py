"""Functions that NumPy lacks: erf, logsumexp, top_k, update_slice."""

from __future__ import annotations

import functools
from typing import Any

import numpy as onp

from layerkit_plugins.backends.checks import check_top_k, check_update
from layerkit_plugins.backends.numpy.namespace import known, np, overloaded
from layerkit_plugins.backends.numpy.stand_ins import one_step

__all__ = ["erf", "logsumexp", "top_k", "update_slice"]

# W. J. Cody, "Rational Chebyshev approximations for the error function", Mathematics of Computation 23 (1969) 631-637,
# tables II and III, in the digits of his program CALERF: x P(x^2)/Q(x^2) up to 0.46875, then 1 - exp(-x^2) P(x)/Q(x).
# Numerator and denominator (whose leading 1 is left out), by falling power.
_NEAR = (
    (1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3),
    (2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3),
)
_FAR = (
    (
        2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1,
        2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
        1.23033935479799725e3,
    ),
    (
        1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
        3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3,
    ),
)  # fmt: skip
_BLOCK = 1 << 16  # numbers at a time: the dozen temporaries then stay in the cache, which halves the time


def _ratio(x: Any, numerator: tuple[float, ...], denominator: tuple[float, ...]) -> Any:
    above, below = x * numerator[0], x + denominator[0]
    for a, b in zip(numerator[1:-1], denominator[1:], strict=True):
        above, below = (above + a) * x, below * x + b
    return (above + numerator[-1]) / below


def _erf_block(x: Any) -> Any:
    size = onp.abs(x)
    near = x * _ratio(size * size, *_NEAR)
    clipped = onp.clip(size, 0.46875, 6.0)  # beyond 6 it is 1 in float64 too
    far = 1 - onp.exp(-clipped * clipped) * _ratio(clipped, *_FAR)
    return onp.where(size <= 0.46875, near, onp.copysign(far, x))


@one_step(0)
def _erf(x: Any) -> Any:
    """Right to 5e-16 in float64 and 4e-7 in float32."""
    x = np.asarray(x)
    if x.dtype.kind != "f" or x.itemsize < 4:
        return _erf(x.astype(onp.float32)).astype(x.dtype if x.dtype.kind in "fV" else onp.float32)
    flat = x.reshape(-1)
    result = onp.empty_like(flat)
    for start in range(0, flat.size, _BLOCK):
        result[start : start + _BLOCK] = _erf_block(flat[start : start + _BLOCK])
    return result.reshape(x.shape)


@functools.cache
def _largest(dtype: Any) -> Any:
    """The largest finite number of a dtype."""
    return onp.nextafter(dtype.type(onp.inf), dtype.type(0))


def _logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    x = np.asarray(x)
    x = x if x.dtype.kind in "fV" else x.astype(onp.float32)
    # Held to finite numbers: all -inf gives -inf, and +inf gives +inf, where inf - inf would be NaN.
    limit = _largest(x.dtype)
    largest = onp.minimum(np.max(x, axis, keepdims=True, initial=-limit), limit)
    total = onp.log(np.sum(onp.exp(x - largest), axis, keepdims=True)) + largest
    return total if keepdims else onp.squeeze(total, axis)


erf = overloaded("erf", _erf)
"""The error function of every number."""

logsumexp = overloaded("logsumexp", _logsumexp)
"""``logsumexp(x, axis=None, keepdims=False)``: log(sum(exp(x))), without overflow."""


def top_k(x: Any, k: int) -> tuple[Any, Any]:
    """The k largest along the last axis in falling order, and where they were; of equals, the first comes first."""
    x = np.asarray(x)
    check_top_k(x, k)
    plain, last = known(x), x.shape[-1] - 1
    # The last of a stable sort of the reversed row are the largest, equals in falling order of position.
    order = onp.argsort(plain[..., ::-1], axis=-1, kind="stable")[..., ::-1][..., :k]
    positions = (last - order).astype(onp.int32)
    return np.take_along_axis(x, positions, -1), positions


def update_slice(x: Any, part: Any, start: Any, axis: int) -> Any:
    """``x`` with ``part`` from ``start`` on: a new array, put together from three."""
    x, part = np.asarray(x), np.asarray(part)
    first = int(known(start))
    check_update(x, part, first, axis)
    axis %= x.ndim
    before, after = (
        (slice(None),) * axis + (piece,) for piece in (slice(first), slice(first + part.shape[axis], None))
    )
    return np.concatenate([x[before], part.astype(x.dtype), x[after]], axis=axis)
