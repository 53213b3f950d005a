"""Convolution: windows of an array as rows, and one product of matrices."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as onp

from layerkit_plugins.backends.numpy.namespace import differentiable, np, overloaded
from layerkit_plugins.backends.numpy.stand_ins import one_step

__all__ = ["Plan", "conv", "fold", "plain_fold", "plain_windows", "windows"]


class Plan(NamedTuple):
    """Which windows of an array (n, lengths..., c) are meant."""

    lengths: tuple[int, ...]
    taps: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    apart: tuple[int, ...]
    """How far apart the numbers of the array are moved."""
    holes: tuple[int, ...]
    """How far apart the taps of a window are."""

    @property
    def stretched(self) -> tuple[int, ...]:
        """The lengths with zeros between the numbers."""
        return tuple(max((size - 1) * step + 1, 0) for size, step in zip(self.lengths, self.apart, strict=True))

    @property
    def padded(self) -> tuple[int, ...]:
        """The lengths with zeros between and around the numbers."""
        return tuple(before + size + after for size, (before, after) in zip(self.stretched, self.padding, strict=True))

    @property
    def spans(self) -> tuple[int, ...]:
        return tuple((size - 1) * step + 1 for size, step in zip(self.taps, self.holes, strict=True))

    @property
    def places(self) -> tuple[slice, ...]:
        """Where the numbers are among the zeros."""
        along = zip(self.padding, self.stretched, self.apart, strict=True)
        return (slice(None), *(slice(before, before + size, step) for (before, _), size, step in along))


@one_step(0)
def plain_windows(x: Any, plan: Plan) -> Any:
    """(n, windows..., taps..., c): the windows of x (n, lengths..., c)."""
    n_axes = len(plan.taps)
    if plan.padded != plan.lengths:
        among_zeros = onp.zeros((x.shape[0], *plan.padded, x.shape[-1]), x.dtype)
        among_zeros[plan.places] = x
        x = among_zeros
    view = onp.lib.stride_tricks.sliding_window_view(x, plan.spans, tuple(range(1, n_axes + 1)))
    steps = (slice(None, None, step) for step in plan.strides)
    holes = (slice(None, None, step) for step in plan.holes)
    return onp.moveaxis(view[(slice(None), *steps, slice(None), *holes)], n_axes + 1, -1)


@one_step(0)
def plain_fold(w: Any, plan: Plan) -> Any:
    """(n, lengths..., c): the windows added up where they came from, the transpose of ``windows``."""
    n_axes = len(plan.taps)
    total = onp.zeros((w.shape[0], *plan.padded, w.shape[-1]), w.dtype)
    counts = w.shape[1 : n_axes + 1]
    for tap in itertools.product(*map(range, plan.taps)):
        starts = (t * hole for t, hole in zip(tap, plan.holes, strict=True))
        along = zip(starts, counts, plan.strides, strict=True)
        where = (slice(start, start + (count - 1) * step + 1, step) for start, count, step in along)
        total[(slice(None), *where)] += w[(slice(None),) * (n_axes + 1) + tap]
    return total[plan.places]


windows = overloaded("windows", plain_windows, warns=False)
"""``windows(x, plan)``: (n, windows..., taps..., c)."""

fold = overloaded("fold", plain_fold, warns=False)
"""``fold(w, plan)``: (n, lengths..., c)."""


def _with_gradient(name: str) -> Callable[..., Any]:
    def differentiate(*args: Any) -> Any:
        from layerkit_plugins.backends.numpy import window_gradients  # noqa: F401  (it takes this one's place)

        return differentiable[name](*args)

    return differentiate


differentiable.update(windows=_with_gradient("windows"), fold=_with_gradient("fold"))


def conv(
    x: Any, kernel: Any, strides: Any, padding: Any, input_dilation: Any, kernel_dilation: Any, groups: int
) -> Any:
    """y[n, i, f] = sum over t, c of x[n, i s + t d, c] kernel[t, c, f]; every argument is checked."""
    plan = Plan(tuple(x.shape[1:-1]), tuple(kernel.shape[:-2]), strides, padding, input_dilation, kernel_dilation)
    rows = windows(x, plan)
    outer, n_taps = tuple(rows.shape[: len(plan.taps) + 1]), math.prod(plan.taps)
    n_rows, (n_features, n_filters) = math.prod(outer), kernel.shape[-2:]
    # Each group is a product by itself: (groups, rows, taps features) times (groups, taps features, filters).
    rows = np.transpose(np.reshape(rows, (n_rows, n_taps, groups, n_features)), (2, 0, 1, 3))
    kernel = np.transpose(np.reshape(kernel, (n_taps, n_features, groups, n_filters // groups)), (2, 0, 1, 3))
    rows = np.reshape(rows, (groups, n_rows, n_taps * n_features))
    kernel = np.reshape(kernel, (groups, n_taps * n_features, n_filters // groups))
    return np.reshape(np.transpose(np.matmul(rows, kernel), (1, 0, 2)), (*outer, n_filters))
