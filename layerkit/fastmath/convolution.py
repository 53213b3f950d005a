"""Convolution, on the active backend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as onp

from layerkit.errors import shown
from layerkit.fastmath import numpy as np
from layerkit.fastmath.backend import ArrayError, active

__all__ = ["conv", "conv_padding"]

Sizes = int | Sequence[int]


def conv(
    x: Any,
    kernel: Any,
    strides: Sizes = 1,
    padding: str | Sequence[tuple[int, int]] = "VALID",
    input_dilation: Sizes = 1,
    kernel_dilation: Sizes = 1,
    groups: int = 1,
) -> Any:
    """y[n, i, f] = sum over t, c of x[n, i s + t d, c] kernel[t, c, f], along as many axes as lie between n and c.

    x: (n, l_1, ..., c)    kernel: (k_1, ..., c / groups, f)    y: (n, m_1, ..., f), floating-point numbers all

    Args:
        strides: s, one for all axes or one each.
        padding: zeros around x: ``"VALID"`` for none, ``"SAME"`` for as many as make m = ceil(l / s), or a pair
            (before, after) for each axis.
        input_dilation: how far apart the numbers of x are moved before, with zeros between.
        kernel_dilation: d, how far apart the places are that the kernel takes.
        groups: into how many groups the features are cut, each with its share of the f filters.

    Raises:
        ArrayError: shapes do not fit, or the kernel is wider than x with its padding.

    >>> x, kernel = np.array([[[1.0], [2.0], [4.0]]]), np.array([[[1.0]], [[-1.0]]])
    >>> conv(x, kernel).tolist()
    [[[-1.0], [-2.0]]]
    """
    x, kernel = np.asarray(x), np.asarray(kernel)
    n_axes = len(x.shape) - 2
    if n_axes < 1 or len(kernel.shape) != n_axes + 2:
        raise ArrayError(
            f"conv: an input (n, lengths..., c) and a kernel (widths..., c, f) have as many axes, 3 or more, got "
            f"{tuple(x.shape)} and {tuple(kernel.shape)}"
        )
    if any(array.dtype.kind in "biu" for array in (x, kernel)):
        raise ArrayError(f"conv takes floating-point numbers, got {x.dtype} and {kernel.dtype}")
    if groups < 1 or kernel.shape[-2] * groups != x.shape[-1] or kernel.shape[-1] % groups:
        raise ArrayError(
            f"conv: {x.shape[-1]} features in {groups} groups do not fit a kernel of shape {tuple(kernel.shape)}"
        )
    steps, apart = _each("strides", strides, n_axes), _each("input_dilation", input_dilation, n_axes)
    holes = _each("kernel_dilation", kernel_dilation, n_axes)
    lengths, spans = _reach(x.shape[1:-1], apart), _reach(kernel.shape[:-2], holes)
    pairs = conv_padding(padding, lengths, spans, steps)
    for axis, (length, span, pair) in enumerate(zip(lengths, spans, pairs, strict=True), start=1):
        if span > length + sum(pair):
            raise ArrayError(
                f"the kernel reaches over {span} on axis {axis} of {tuple(x.shape)}, where there are "
                f"{length + sum(pair)}: pad with 'SAME', or take a narrower kernel"
            )
    dtype = onp.promote_types(x.dtype, kernel.dtype)
    x, kernel = (array if array.dtype == dtype else array.astype(dtype) for array in (x, kernel))
    return active().conv(x, kernel, steps, pairs, apart, holes, groups)


def conv_padding(
    padding: Any, lengths: Sequence[int], spans: Sequence[int], strides: Sequence[int]
) -> tuple[tuple[int, int], ...]:
    """The zeros (before, after) on each axis for a window that reaches over ``spans``.

    >>> conv_padding("SAME", [5], [4], [2])
    ((1, 2),)
    """
    if padding == "VALID":
        return ((0, 0),) * len(lengths)
    if padding == "SAME":
        missing = [
            max((-(-length // stride) - 1) * stride + span - length, 0)
            for length, span, stride in zip(lengths, spans, strides, strict=True)
        ]
        return tuple((total // 2, total - total // 2) for total in missing)
    pairs = () if isinstance(padding, str) else tuple(map(tuple, padding))
    if len(pairs) != len(lengths) or any(len(pair) != 2 or min(pair) < 0 for pair in pairs):
        raise ArrayError(f"padding is 'SAME', 'VALID', or {len(lengths)} pairs (before, after), got {shown(padding)}")
    return pairs


def _reach(sizes: Sequence[int], steps: Sequence[int]) -> list[int]:
    """How far so many places reach that lie so far apart."""
    return [max((size - 1) * step + 1, 0) for size, step in zip(sizes, steps, strict=True)]


def _each(name: str, sizes: Sizes, n_axes: int) -> tuple[int, ...]:
    each = (sizes,) * n_axes if isinstance(sizes, int) else tuple(sizes)
    if len(each) != n_axes or any(size < 1 for size in each):
        raise ArrayError(f"conv: {name} are {n_axes} whole numbers from 1 up, got {sizes}")
    return each
