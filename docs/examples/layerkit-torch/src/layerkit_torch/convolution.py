"""Convolution, which torch has with the features in front."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from layerkit.fastmath import ArrayError
from layerkit_torch.array import Array, operands, wrapped

__all__ = ["conv"]

_CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


def conv(
    x: Any, kernel: Any, strides: Any, padding: Any, input_dilation: Any, kernel_dilation: Any, groups: int
) -> Array:
    """The kernel over the input, along one axis to three."""
    dtype, (x, kernel) = operands(x, kernel)
    n_axes = x.ndim - 2
    if n_axes not in _CONVOLUTIONS:
        raise ArrayError(f"conv: torch goes along 1 to 3 axes, got {n_axes}")
    x = x.movedim(-1, 1)
    for axis, step in enumerate(input_dilation, start=2):
        x = _apart(x, axis, step)
    # torch pads from the last axis backwards.
    x = functional.pad(x, [zeros for pair in reversed(padding) for zeros in pair])
    y = _CONVOLUTIONS[n_axes](x, kernel.movedim((-1, -2), (0, 1)), None, strides, 0, kernel_dilation, groups)
    return wrapped(y.movedim(1, -1), dtype)


def _apart(x: torch.Tensor, axis: int, step: int) -> torch.Tensor:
    """The tensor with ``step - 1`` zeros between every two along an axis."""
    if step == 1:
        return x
    wide = functional.pad(x.movedim(axis, -1).unsqueeze(-1), (0, step - 1)).flatten(-2)
    return wide[..., : 1 - step].movedim(-1, axis)
