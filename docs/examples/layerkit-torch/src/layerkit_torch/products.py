"""NumPy's products of arrays."""

from __future__ import annotations

from typing import Any

import torch

from layerkit.fastmath import ArrayError
from layerkit_torch.array import Array, as_array, operands, wrapped
from layerkit_torch.reductions import sum as total
from layerkit_torch.shapes import broadcast_arrays, diagonal, moveaxis, ravel, stack

__all__ = ["FUNCTIONS"]


def _computed(f: Any, *arrays: Any) -> Array:
    """Truths are multiplied as whole numbers: torch has no products of them."""
    dtype, tensors = operands(*arrays)
    if dtype.kind == "b":
        return Array(f(*(tensor.to(torch.int32) for tensor in tensors)) != 0)
    return wrapped(f(*tensors), dtype)


def matmul(x1: Any, x2: Any) -> Array:
    x1, x2 = as_array(x1), as_array(x2)
    if not x1.ndim or not x2.ndim:
        raise ValueError("matmul takes no single numbers (an array of dimension 0): multiply with *")
    return _computed(torch.matmul, x1, x2)


def dot(a: Any, b: Any) -> Array:
    a, b = as_array(a), as_array(b)
    if not a.ndim or not b.ndim:
        return a * b
    return matmul(a, b) if b.ndim <= 2 else tensordot(a, b, ((-1,), (-2,)))


def inner(a: Any, b: Any) -> Array:
    a, b = as_array(a), as_array(b)
    return tensordot(a, b, ((-1,), (-1,))) if a.ndim and b.ndim else a * b


def outer(a: Any, b: Any) -> Array:
    return ravel(a)[:, None] * ravel(b)[None, :]


def vdot(a: Any, b: Any) -> Array:
    return dot(as_array(a).conj().ravel(), ravel(b))


def tensordot(a: Any, b: Any, axes: Any = 2) -> Array:
    if not isinstance(axes, int):
        axes = tuple([one] if isinstance(one, int) else list(one) for one in axes)
    return _computed(lambda x, y: torch.tensordot(x, y, axes), a, b)


def kron(a: Any, b: Any) -> Array:
    return _computed(torch.kron, a, b)


def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Array:
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = moveaxis(a, axisa, 0), moveaxis(b, axisb, 0)
    if a.shape[0] != 3 or b.shape[0] != 3:
        raise ArrayError(f"np.cross: vectors of 3 numbers, got {a.shape[0]} and {b.shape[0]}")
    parts = [a[i - 2] * b[i - 1] - a[i - 1] * b[i - 2] for i in range(3)]
    return moveaxis(stack(broadcast_arrays(*parts)), 0, axisc)


def einsum(subscripts: Any, *operands: Any, dtype: Any = None, optimize: Any = None) -> Array:
    """As ``numpy.einsum`` with subscripts in letters; ``optimize`` makes no difference."""
    if not isinstance(subscripts, str):
        raise ArrayError("np.einsum: write the subscripts as a string, such as 'ij,jk->ik'")
    arrays = [as_array(x) for x in operands]
    try:
        result = _computed(lambda *tensors: torch.einsum(subscripts, *tensors), *arrays)
    except RuntimeError as error:
        shapes = " and ".join(str(x.shape) for x in arrays)
        raise ArrayError(f"np.einsum: {subscripts!r} does not fit shapes {shapes}") from error
    return result if dtype is None else as_array(result, dtype)


def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
    return total(diagonal(a, offset, axis1, axis2), -1)


FUNCTIONS = {f.__name__: f for f in (matmul, dot, inner, outer, vdot, tensordot, kron, cross, einsum, trace)}
"""By NumPy's name."""
