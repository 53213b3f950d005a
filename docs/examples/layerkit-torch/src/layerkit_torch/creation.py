"""NumPy's functions that make arrays out of numbers and shapes."""

from __future__ import annotations

import operator
from typing import Any

import numpy as onp
import torch

from layerkit_torch.array import Array, as_array
from layerkit_torch.dtypes import TORCH, WIDE_UNSIGNED, default_float, narrow_dtype

__all__ = ["FUNCTIONS"]


def _shape(shape: Any) -> tuple[int, ...]:
    return tuple(map(operator.index, shape)) if hasattr(shape, "__iter__") else (operator.index(shape),)


def _filled(shape: Any, value: Any, dtype: Any) -> Array:
    kind = TORCH[narrow_dtype(dtype)]
    tensor = torch.full(_shape(shape), value, dtype=WIDE_UNSIGNED.get(kind, kind))
    return Array(tensor.to(kind))


def zeros(shape: Any, dtype: Any = None) -> Array:
    return _filled(shape, 0, default_float() if dtype is None else dtype)


def ones(shape: Any, dtype: Any = None) -> Array:
    return _filled(shape, 1, default_float() if dtype is None else dtype)


def full(shape: Any, fill_value: Any, dtype: Any = None) -> Array:
    value = as_array(fill_value, dtype)
    return Array(value.tensor.expand(_shape(shape)).clone())


def zeros_like(a: Any, dtype: Any = None, shape: Any = None) -> Array:
    a = as_array(a)
    return zeros(a.shape if shape is None else shape, a.dtype if dtype is None else dtype)


def ones_like(a: Any, dtype: Any = None, shape: Any = None) -> Array:
    a = as_array(a)
    return ones(a.shape if shape is None else shape, a.dtype if dtype is None else dtype)


def full_like(a: Any, fill_value: Any, dtype: Any = None, shape: Any = None) -> Array:
    a = as_array(a)
    return full(a.shape if shape is None else shape, fill_value, a.dtype if dtype is None else dtype)


def array(a: Any, dtype: Any = None, copy: bool = True, order: Any = "K", ndmin: int = 0) -> Array:
    made = as_array(a, dtype)
    return Array(made.tensor[(None,) * (ndmin - made.ndim)]) if ndmin > made.ndim else made


def asarray(a: Any, dtype: Any = None, order: Any = None, copy: Any = None) -> Array:
    return as_array(a, dtype)


def copy(a: Any, order: str = "K") -> Array:
    # Arrays are never written, so there is nothing to guard against.
    return as_array(a)


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None) -> Array:
    return as_array(onp.eye(N, M, k, default_float() if dtype is None else narrow_dtype(dtype)))


def identity(n: int, dtype: Any = None) -> Array:
    return eye(n, dtype=dtype)


def arange(start: Any, stop: Any = None, step: Any = None, dtype: Any = None) -> Array:
    first, last = (0, start) if stop is None else (start, stop)
    return as_array(onp.arange(first, last, 1 if step is None else step), dtype)


def linspace(
    start: Any,
    stop: Any,
    num: int = 50,
    endpoint: bool = True,
    retstep: bool = False,
    dtype: Any = None,
    axis: int = 0,
) -> Any:
    values, step = onp.linspace(start, stop, num, endpoint, True, axis=axis)
    made = as_array(values, default_float() if dtype is None else dtype)
    return (made, as_array(step)) if retstep else made


FUNCTIONS = {
    f.__name__: f
    for f in (
        zeros, ones, full, zeros_like, ones_like, full_like, array, asarray, copy, eye, identity, arange, linspace,
    )
} | {"empty": zeros, "empty_like": zeros_like}  # fmt: skip
"""By NumPy's name."""
