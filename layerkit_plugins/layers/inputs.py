"""What layers ask of their inputs: floating-point numbers, a last axis of the right size, axes that exist."""

from __future__ import annotations

from typing import Any

import layerkit as lk
from layerkit import fastmath
from layerkit.fastmath import numpy as np
from layerkit.fastmath import random

__all__ = [
    "as_float",
    "axes_of",
    "bfloat16",
    "default_float",
    "first_weights",
    "float_dtype",
    "full_float",
    "in_dtype_of",
    "kernel_and_bias",
    "require_last",
    "require_rank",
    "require_some",
]


def default_float() -> Any:
    """float32; float64 inside ``fastmath.float64()``."""
    return np.float64 if fastmath.float64_enabled() else np.float32


def float_dtype(dtype: Any) -> Any:
    """The dtype that numbers of this dtype are computed in: its own if it is a floating-point one, else float32."""
    return default_float() if dtype.kind in "biu" else dtype


def as_float(x: Any) -> Any:
    """``x`` with whole numbers and booleans turned into float32.

    >>> as_float(np.array([1, 2])).tolist()
    [1.0, 2.0]
    """
    return x.astype(default_float()) if x.dtype.kind in "biu" else x


def full_float(x: Any) -> Any:
    """``x`` in float32, or in float64 if it is: sums and means are too long for 16 bits."""
    x = as_float(x)
    return x.astype(np.float32) if x.dtype.itemsize < 4 else x


def in_dtype_of(x: Any, y: Any) -> Any:
    """``y`` in the dtype of ``x``: NumPy widens bfloat16 where it meets a Python number, JAX does not."""
    return y if y.dtype == x.dtype else y.astype(x.dtype)


def bfloat16(layer: str) -> Any:
    """The dtype bfloat16, which the package ml_dtypes adds to NumPy's."""
    try:
        return lk.bf16().dtype
    except ImportError:
        raise lk.LayerError(f"{layer}: use_bfloat16 needs the package ml_dtypes: pip install ml_dtypes") from None


def first_weights(name: str, initializer: Any, shape: tuple[int, ...], rng: Any, dtype: Any = None) -> Any:
    """What the initializer in the argument ``name`` makes for a shape, kept in ``dtype`` where that is not None."""
    made = initializer(shape, rng)
    if tuple(getattr(made, "shape", ())) != shape:
        raise lk.LayerError(f"its {name} made the shape {tuple(getattr(made, 'shape', ()))}, and {shape} is due")
    return made if dtype is None else made.astype(dtype)


def kernel_and_bias(layer: Any, kind: Any, kernel: tuple[int, ...], bias: tuple[int, ...], dtype: Any = None) -> Any:
    """``kind(kernel, bias)`` of these shapes, by the layer's own initializers; the kernel alone without a bias."""
    if not layer.use_bias:
        return first_weights("kernel_initializer", layer.kernel_initializer, kernel, layer.rng, dtype)
    kernel_rng, bias_rng = random.split(layer.rng)
    return kind(
        first_weights("kernel_initializer", layer.kernel_initializer, kernel, kernel_rng, dtype),
        first_weights("bias_initializer", layer.bias_initializer, bias, bias_rng, dtype),
    )


def require_rank(x: Any, at_least: int) -> None:
    """Raises where ``x`` (an array or a signature) has fewer than ``at_least`` axes."""
    if len(x.shape) < at_least:
        axes = "1 axis" if at_least == 1 else f"{at_least} axes"
        raise lk.LayerError(f"expected at least {axes}, got {tuple(x.shape)}")


def require_last(x: Any, size: int) -> None:
    """Raises where the last axis of ``x`` (an array or a signature) is not of this size."""
    require_rank(x, 1)
    if x.shape[-1] != size:
        raise lk.LayerError(f"expected last axis {size}, got {tuple(x.shape)}")


def axes_of(x: Any, axis: int | tuple[int, ...] | None) -> tuple[int, ...]:
    """The axes of ``x`` that ``axis`` means, counted from 0; all of them for ``None``.

    >>> axes_of(np.zeros((2, 3)), -1)
    (1,)
    """
    rank = len(x.shape)
    if axis is None:
        return tuple(range(rank))
    found = []
    for one in axis if isinstance(axis, tuple) else (axis,):
        if not -rank <= one < rank:
            raise lk.LayerError(f"expected an array with axis {one}, got {tuple(x.shape)}")
        found.append(one % rank)
    if len(set(found)) < len(found):
        raise lk.LayerError(f"axis {axis} names one axis twice, got {tuple(x.shape)}")
    return tuple(found)


def require_some(x: Any, axis: int | tuple[int, ...] | None, what: str) -> None:
    """Raises where there is nothing along ``axis`` to take the ``what`` of."""
    if any(x.shape[one] == 0 for one in axes_of(x, axis)):
        raise lk.LayerError(f"{what} of nothing: axis {axis} is empty, got {tuple(x.shape)}")
