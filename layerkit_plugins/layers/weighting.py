"""What losses and metrics share: which targets and weights fit the predictions, and weighted means.

A position of weight 0 counts for nothing, whatever stands there: neither NaN nor a target that is no class, as padding
often is. Where all weights are 0, means are 0.
"""

from __future__ import annotations

import math
from typing import Any

import layerkit as lk
from layerkit import fastmath
from layerkit.fastmath import numpy as np
from layerkit_plugins.layers.inputs import full_float

__all__ = ["class_ids", "full_weights", "mean", "require_shape", "weighted_mean", "weighted_sum"]


def require_shape(targets: Any, shape: tuple[int, ...], predictions: Any) -> None:
    """Raises unless targets have the ``shape`` that the predictions ask for."""
    if tuple(targets.shape) != tuple(shape):
        raise lk.LayerError(
            f"predictions {tuple(predictions.shape)} need targets {tuple(shape)}, got {tuple(targets.shape)}"
        )


def full_weights(weights: Any, shape: tuple[int, ...]) -> Any:
    """The weights as floating-point numbers, one for each of the values of this shape.

    One weight for all of an axis is taken too: () or a 1 in place of the axis. No axis is ever added.
    """
    got, shape = tuple(weights.shape), tuple(shape)
    if got != shape:
        fits = len(got) == len(shape) and all(g in (1, s) for g, s in zip(got, shape, strict=True))
        if got and not fits:
            raise lk.LayerError(f"expected weights of shape {shape}, one for each target, got {got}")
        weights = np.broadcast_to(weights, shape)
    return full_float(weights)


def class_ids(targets: Any, n_classes: int, weights: Any = None) -> tuple[Any, Any]:
    """(ids, doubts): the targets as int32 ids in 0 .. n_classes - 1, where they count.

    A target that is no class is an error. Inside ``jit`` nothing can be raised: ``doubts``, to be multiplied with the
    values, is NaN there and else 1; outside it is simply 1.

    Raises:
        LayerError: targets are no whole numbers, or one of weight other than 0 is no class.
    """
    if targets.dtype.kind not in "biu":
        raise lk.LayerError(f"targets are class ids, whole numbers, got {targets.dtype.name}: use .astype(np.int32)")
    targets = targets.astype(np.int32) if targets.dtype.kind == "b" else targets
    inside = (targets >= 0) & (targets < n_classes)
    ids = np.where(inside, targets, 0).astype(np.int32)
    wrong = ~inside if weights is None else ~inside & (weights != 0)
    if fastmath.is_traced(wrong):
        return ids, np.where(wrong, np.nan, 1.0)
    if fastmath.rarely(wrong):
        first = fastmath.to_host(targets)[fastmath.to_host(wrong)][0]
        raise lk.LayerError(f"target {first} is none of the {n_classes} classes, which are 0 to {n_classes - 1}")
    return ids, 1


def weighted_sum(values: Any, weights: Any) -> Any:
    """sum(values * weights), without the values of weight 0."""
    return np.sum(np.where(weights == 0, 0, values) * weights)


def weighted_mean(values: Any, weights: Any) -> Any:
    """sum(values * weights) / sum(weights); 0 where that would be 0 / 0."""
    total = np.sum(weights)
    return weighted_sum(values, weights) / np.where(total == 0, 1, total)


def mean(values: Any) -> Any:
    """The mean of all values; 0 of none."""
    return np.sum(values) / max(math.prod(values.shape), 1)
