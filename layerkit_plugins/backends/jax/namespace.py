"""The array language on JAX: jax.numpy's functions, taking lists as NumPy's do and making no 64-bit whole numbers."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as onp

from layerkit.fastmath import float64_enabled
from layerkit.fastmath.numpy import NAMES
from layerkit_plugins.backends.jax import products, row_sums
from layerkit_plugins.backends.numpy.einsum import check_einsum
from layerkit_plugins.backends.numpy.precision import given, narrow, narrow_dtype

__all__ = ["np"]

_SHAPES_AND_DATA = set("array asarray broadcast_to empty full ones select shape ndim size zeros".split())
_SEVERAL = set("column_stack concatenate hstack stack vstack".split())
_ELEMENTWISE = {name for name in NAMES if isinstance(getattr(onp, name), onp.ufunc)}

_WIDE = {"float64", "int64", "uint64", "float", "int"}


def _array(x: Any) -> Any:
    return jnp.asarray(x) if isinstance(x, (list, tuple)) else x


def _with_arrays(name: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments with arrays for the lists that NumPy would read as arrays, and that jax.numpy refuses."""
    if not args or name in _SHAPES_AND_DATA:
        return args
    if name in _ELEMENTWISE:
        return tuple(map(_array, args))
    if name in _SEVERAL and isinstance(args[0], (list, tuple)):
        return (list(map(_array, args[0])), *args[1:])
    return (_array(args[0]), *args[1:])


def _fmax(x: Any, y: Any) -> Any:
    """Equals share the gradient, as in ``maximum``; jax.numpy's gives all of it to y."""
    return jnp.where(jnp.isnan(x), y, jnp.where(jnp.isnan(y), x, jnp.maximum(x, y)))


def _fmin(x: Any, y: Any) -> Any:
    return jnp.where(jnp.isnan(x), y, jnp.where(jnp.isnan(y), x, jnp.minimum(x, y)))


def _maker(make: Callable[..., Any]) -> Callable[..., Any]:
    def call(a: Any, dtype: Any = None, **options: Any) -> Any:
        try:
            return make(given(a) if dtype is None else a, dtype, **options)
        except OverflowError:  # of a number in a list
            given(onp.asarray(a))
            raise

    return call


def _clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    return jnp.clip(a, a_min if min is None else min, a_max if max is None else max)


def _sort(a: Any, axis: int | None = -1, kind: str | None = None) -> Any:
    """Whatever ``kind`` of sorting is asked for: jax.numpy's keeps the order of equals."""
    return jnp.sort(a, axis)


def _argsort(a: Any, axis: int | None = -1, kind: str | None = None) -> Any:
    return jnp.argsort(a, axis)


def _take(a: Any, indices: Any, axis: int | None = None, **options: Any) -> Any:
    """As NumPy's where the indices are known: one that is out of bounds is an error, which jax.numpy makes NaN."""
    if not isinstance(indices, jax.core.Tracer) and not options:
        known, size = onp.asarray(indices), a.size if axis is None else a.shape[axis]
        outside = (known < -size) | (known >= size)
        if outside.any():
            place = 0 if axis is None else axis
            raise IndexError(f"index {known[outside][0]} is out of bounds for axis {place} with size {size}")
    return jnp.take(a, jnp.asarray(indices), axis, **options)


def _einsum(subscripts: Any, *operands: Any, **options: Any) -> Any:
    arrays = [jnp.asarray(x) for x in operands]
    check_einsum(subscripts, arrays)
    return jnp.einsum(subscripts, *arrays, **options)


_OWN = {
    "argsort": _argsort,
    "array": _maker(jnp.array),
    "asarray": _maker(jnp.asarray),
    "clip": _clip,
    "einsum": _einsum,
    "fmax": _fmax,
    "fmin": _fmin,
    "matmul": products.matmul,
    "mean": row_sums.mean,
    "sort": _sort,
    "sum": row_sums.sum_,
    "take": _take,
    "where": row_sums.where,
}


def _language(name: str) -> Callable[..., Any]:
    function = _OWN.get(name) or getattr(jnp, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        # Asked for 64 bits, jax would warn that it has none, or in float64() give 64-bit whole numbers too.
        if "dtype" in kwargs and kwargs["dtype"] is not None:
            kwargs["dtype"] = narrow_dtype(kwargs["dtype"])
        for place, value in enumerate(args):
            if isinstance(value, (type, onp.dtype)) or (isinstance(value, str) and value in _WIDE):
                args = (*args[:place], narrow_dtype(value), *args[place + 1 :])
        result = function(*_with_arrays(name, args), **kwargs)
        return jax.tree.map(narrow, result) if float64_enabled() else result

    call.__name__ = call.__qualname__ = name
    return call


np = SimpleNamespace(**{name: _language(name) for name in NAMES})
"""Every name of ``layerkit.fastmath.numpy.NAMES``."""
