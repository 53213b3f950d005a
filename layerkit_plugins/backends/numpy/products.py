"""Products of arrays: one primitive, the matrix product, of which all others and all their gradients are made."""

from __future__ import annotations

import math
from typing import Any

from layerkit.fastmath import ArrayError
from layerkit_plugins.backends.numpy.boxes import defvjp, is_box, primitive
from layerkit_plugins.backends.numpy.einsum import einsum
from layerkit_plugins.backends.numpy.elementwise import fit
from layerkit_plugins.backends.numpy.namespace import differentiable, np
from layerkit_plugins.backends.numpy.reductions import axes_of

__all__: list[str] = []

_matmul = primitive(np.matmul, "matmul")
defvjp(
    _matmul,
    lambda ans, a, b: lambda g: fit(np.matmul(g, np.swapaxes(b, -1, -2)), a.shape),
    lambda ans, a, b: lambda g: fit(np.matmul(np.swapaxes(a, -1, -2), g), b.shape),
)


def _an_array(a: Any) -> Any:
    return a if is_box(a) else np.asarray(a)


def matmul(x1: Any, x2: Any) -> Any:
    a, b = _an_array(x1), _an_array(x2)
    if a.ndim == 0 or b.ndim == 0:
        raise ValueError("matmul takes no single numbers: multiply with *")
    if a.ndim == 1 or b.ndim == 1:
        product = matmul(a[None, :] if a.ndim == 1 else a, b[:, None] if b.ndim == 1 else b)
        product = np.squeeze(product, -2) if a.ndim == 1 else product
        return np.squeeze(product, -1) if b.ndim == 1 else product
    if a.ndim > 2 and b.ndim == 2:
        # One product of matrices, whose gradient for b is one too, rather than a batch of them to be summed.
        _check_inner("matmul", a.shape, b.shape, a.shape[-1], b.shape[0])
        rows = _matmul(np.reshape(a, (math.prod(a.shape[:-1]), a.shape[-1])), b)
        return np.reshape(rows, (*a.shape[:-1], b.shape[-1]))
    return _matmul(a, b)


def _check_inner(name: str, left: tuple[int, ...], right: tuple[int, ...], m: int, n: int) -> None:
    if m != n:
        raise ArrayError(f"np.{name}: shapes {left} and {right} do not fit together: {m} against {n}")


def dot(a: Any, b: Any) -> Any:
    a, b = _an_array(a), _an_array(b)
    if a.ndim == 0 or b.ndim == 0:
        return a * b
    if b.ndim <= 2:
        return matmul(a, b)
    return tensordot(a, b, ((-1,), (-2,)))


def inner(a: Any, b: Any) -> Any:
    a, b = _an_array(a), _an_array(b)
    return a * b if a.ndim == 0 or b.ndim == 0 else tensordot(a, b, ((-1,), (-1,)))


def outer(a: Any, b: Any) -> Any:
    return np.reshape(a, (-1, 1)) * np.reshape(b, (1, -1))


def vdot(a: Any, b: Any) -> Any:
    return dot(np.ravel(a), np.ravel(b))


def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    a, b = _an_array(a), _an_array(b)
    if isinstance(axes, int):
        axes = (range(a.ndim - axes, a.ndim), range(axes))
    summed_a, summed_b = axes_of(_several(axes[0]), a.ndim), axes_of(_several(axes[1]), b.ndim)
    free_a = tuple(i for i in range(a.ndim) if i not in summed_a)
    free_b = tuple(i for i in range(b.ndim) if i not in summed_b)
    inner_a, inner_b = (tuple(x.shape[i] for i in s) for x, s in ((a, summed_a), (b, summed_b)))
    if inner_a != inner_b:
        raise ValueError(f"shape-mismatch for sum: {inner_a} against {inner_b}")
    outer_a, outer_b = (tuple(x.shape[i] for i in s) for x, s in ((a, free_a), (b, free_b)))
    count = math.prod(inner_a)
    left = np.reshape(np.transpose(a, free_a + summed_a), (math.prod(outer_a), count))
    right = np.reshape(np.transpose(b, summed_b + free_b), (count, math.prod(outer_b)))
    return np.reshape(_matmul(left, right), outer_a + outer_b)


def _several(axes: Any) -> Any:
    return (axes,) if isinstance(axes, int) else tuple(axes)


def kron(a: Any, b: Any) -> Any:
    a, b = _an_array(a), _an_array(b)
    ndim = max(a.ndim, b.ndim)
    a, b = (np.reshape(x, (1,) * (ndim - x.ndim) + x.shape) for x in (a, b))
    blocks = np.reshape(a, tuple(n for size in a.shape for n in (size, 1)))
    tiles = np.reshape(b, tuple(n for size in b.shape for n in (1, size)))
    return np.reshape(blocks * tiles, tuple(m * n for m, n in zip(a.shape, b.shape, strict=True)))


def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = np.moveaxis(a, axisa, 0), np.moveaxis(b, axisb, 0)
    if a.shape[0] != 3 or b.shape[0] != 3:
        raise ArrayError(f"np.cross: vectors of 3 numbers, got {a.shape[0]} and {b.shape[0]}")
    parts = [a[i - 2] * b[i - 1] - a[i - 1] * b[i - 2] for i in range(3)]
    return np.moveaxis(np.stack(np.broadcast_arrays(*parts)), 0, axisc)


differentiable.update(
    matmul=matmul, dot=dot, inner=inner, outer=outer, vdot=vdot, tensordot=tensordot, kron=kron, cross=cross,
    einsum=einsum,
)  # fmt: skip
