"""Losses: one number that says how far predictions are from targets.

They take (predictions, targets), and most of them weights, one for each target; positions of weight 0 (padding) count
for nothing. The loss of nothing, an empty batch or weights that are all 0, is 0, and its gradient is 0.
"""

from __future__ import annotations

from typing import Any

import layerkit as lk
from layerkit import arguments, fastmath
from layerkit.fastmath import numpy as np
from layerkit_plugins.layers.inputs import full_float, require_rank
from layerkit_plugins.layers.weighting import (
    class_ids,
    full_weights,
    mean,
    require_shape,
    weighted_mean,
    weighted_sum,
)

__all__ = [
    "BinaryCrossEntropy",
    "BinaryCrossEntropyLoss",
    "BinaryCrossEntropySum",
    "CategoryCrossEntropy",
    "CrossEntropyLoss",
    "CrossEntropyLossWithLogSoftmax",
    "CrossEntropySum",
    "L2Loss",
    "SmoothL1Loss",
    "WeightedCategoryCrossEntropy",
    "WeightedSum",
]

_logits = lk.f32(4, 3)
_classes = lk.i32(4, max=3)
_weights = lk.i32(4, max=3)


# -- several classes -------------------------------------------------------------------------------------------------


@lk.example(_logits, _classes, _weights, rows_independent=False)
def CrossEntropyLoss() -> lk.Layer:
    """loss = sum(-w log p[target]) / sum(w), from log-probabilities.    log p: (..., c)    target, w: (...)

    No softmax inside: it stands after a ``LogSoftmax``. ``WeightedCategoryCrossEntropy`` has one inside.

    Raises:
        LayerError: shapes do not fit, or a target is no class. Inside ``jit`` the loss is NaN for such a target.

    >>> log_probs = np.log(np.array([[0.5, 0.5], [0.25, 0.75], [0.1, 0.9]]))
    >>> round(float(CrossEntropyLoss()((log_probs, np.array([0, 0, 0]), np.array([1, 1, 0])))), 4)
    1.0397
    """

    def loss(log_probs: Any, targets: Any, weights: Any) -> Any:
        return weighted_mean(*_cross_entropies(log_probs, targets, weights))

    return _OfLogProbabilities(loss, n_in=3, name="CrossEntropyLoss")


@lk.example(_logits, _classes, _weights, rows_independent=False)
def CrossEntropySum() -> lk.Layer:
    """loss = sum(-w log p[target]), from log-probabilities.    log p: (..., c)    target, w: (...)

    Raises:
        LayerError: as for ``CrossEntropyLoss``.

    >>> log_probs = np.log(np.array([[0.5, 0.5], [0.25, 0.75]]))
    >>> round(float(CrossEntropySum()((log_probs, np.array([0, 0]), np.array([1, 1])))), 4)
    2.0794
    """

    def loss(log_probs: Any, targets: Any, weights: Any) -> Any:
        return weighted_sum(*_cross_entropies(log_probs, targets, weights))

    return _OfLogProbabilities(loss, n_in=3, name="CrossEntropySum")


@lk.example(_logits, _classes, _weights, rows_independent=False)
def CrossEntropyLossWithLogSoftmax() -> lk.Layer:
    """``CrossEntropyLoss`` after a ``LogSoftmax``.    x: (..., c), any numbers    target, w: (...)

    Raises:
        LayerError: as for ``CrossEntropyLoss``.

    >>> round(float(CrossEntropyLossWithLogSoftmax()((np.zeros((1, 2)), np.array([0]), np.array([1])))), 4)
    0.6931
    """

    def loss(x: Any, targets: Any, weights: Any) -> Any:
        return weighted_mean(*_cross_entropies(x, targets, weights, softmax=True))

    return lk.Fn("CrossEntropyLossWithLogSoftmax", loss)


@lk.example(_logits, _classes, rows_independent=False)
def CategoryCrossEntropy(label_smoothing: float | None = None) -> lk.Layer:
    """loss = mean(-sum_k q[k] log p[k]),  p = softmax(x),  q = (1 - s) one_hot(target) + s / c.

    x: (..., c), any numbers    target: (...)

    Args:
        label_smoothing: s, in [0, 1]; 0 unless given. Szegedy et al. 2016, "Rethinking the Inception architecture for
            computer vision", section 7.

    Raises:
        LayerError: as for ``CrossEntropyLoss``.

    >>> round(float(CategoryCrossEntropy()((np.zeros((4, 2)), np.array([0, 1, 1, 0])))), 4)
    0.6931
    """
    smoothing = _smoothing("CategoryCrossEntropy", label_smoothing)

    def loss(x: Any, targets: Any) -> Any:
        return mean(_cross_entropies(x, targets, None, smoothing, softmax=True)[0])

    return lk.Fn("CategoryCrossEntropy", loss)


@lk.example(_logits, _classes, _weights, rows_independent=False)
def WeightedCategoryCrossEntropy(label_smoothing: float | None = None, cutoff: float = 0.0) -> lk.Layer:
    """As ``CategoryCrossEntropy``, with weights: sum(w l) / sum(w).    x: (..., c)    target, w: (...)

    Args:
        label_smoothing: s, in [0, 1]; 0 unless given.
        cutoff: a position whose loss is below it counts as this much, and has no gradient: what is good enough
            does not pull.

    Raises:
        LayerError: as for ``CrossEntropyLoss``.

    >>> x, targets, weights = np.zeros((2, 2)), np.array([0, -1]), np.array([1.0, 0.0])
    >>> round(float(WeightedCategoryCrossEntropy()((x, targets, weights))), 4)
    0.6931
    """
    name = "WeightedCategoryCrossEntropy"
    smoothing = _smoothing(name, label_smoothing)
    least = arguments.number(name, "cutoff", cutoff, at_least=0)

    def loss(x: Any, targets: Any, weights: Any) -> Any:
        values, weights = _cross_entropies(x, targets, weights, smoothing, softmax=True)
        # Not maximum: half its gradient would go to the values that are equal.
        values = np.where(values < least, least, values) if least else values
        return weighted_mean(values, weights)

    return lk.Fn(name, loss)


class _OfLogProbabilities(lk.PureLayer):
    stands_after = "LogSoftmax"


def _smoothing(layer: str, label_smoothing: float | None) -> float:
    if label_smoothing is None:
        return 0.0
    return arguments.number(layer, "label_smoothing", label_smoothing, at_least=0, at_most=1)


def _cross_entropies(
    x: Any, targets: Any, weights: Any, smoothing: float = 0.0, softmax: bool = False
) -> tuple[Any, Any]:
    """(-sum_k q[k] log p[k], weights) for every target; log p is x, or with ``softmax`` log_softmax(x)."""
    require_rank(x, 1)
    require_shape(targets, x.shape[:-1], x)
    x = full_float(x)
    if weights is not None:
        weights = full_weights(weights, targets.shape)
    ids, doubts = class_ids(targets, x.shape[-1], weights)
    if softmax:
        if weights is not None:  # the softmax of NaN has NaN for gradient, even times 0
            x = np.where(np.expand_dims(weights == 0, -1), 0, x)
        x = fastmath.log_softmax(x)
    # Not a product with one_hot: 0 * -inf, of a class ruled out, would be NaN.
    picked = np.take_along_axis(x, np.expand_dims(ids, -1), axis=-1)[..., 0]
    if smoothing:
        picked = (1 - smoothing) * picked + smoothing * np.mean(x, axis=-1)
    return -picked * doubts, weights


# -- two classes -----------------------------------------------------------------------------------------------------


@lk.example(lk.f32(4), lk.i32(4, max=2), rows_independent=False)
def BinaryCrossEntropy() -> lk.Layer:
    """loss = mean(-t log p - (1 - t) log(1 - p)),  p = 1 / (1 + exp(-x)).    x: (...), any numbers    t: (...)

    Computed as max(x, 0) - x t + log(1 + exp(-abs(x))), which no x makes overflow. Targets between 0 and 1 are
    probabilities.

    Raises:
        LayerError: shapes differ, or a target is not in [0, 1]. Inside ``jit`` the loss is NaN for such a target.

    >>> round(float(BinaryCrossEntropy()((np.array([0.0, 100.0]), np.array([0, 1])))), 4)
    0.3466
    """

    def loss(x: Any, targets: Any) -> Any:
        require_shape(targets, x.shape, x)
        x, targets = full_float(x), full_float(targets)
        doubts = _require_unit(targets, "target", "targets are 0 or 1")
        return mean((np.logaddexp(x, 0) - x * targets) * doubts)

    return lk.Fn("BinaryCrossEntropy", loss)


@lk.example(lk.i32(4, max=2), lk.i32(4, max=2), _weights, rows_independent=False)
def BinaryCrossEntropyLoss() -> lk.Layer:
    """loss = sum(w l) / sum(w),  l = -t log p - (1 - t) log(1 - p), from probabilities.    p, t, w: (...)

    It stands after a ``Sigmoid``; ``BinaryCrossEntropy`` has one inside, and is more exact where p is near 0 or 1.
    Logarithms are at least -87.3 (of the smallest float32), so the loss stays finite.

    Raises:
        LayerError: shapes differ, or a p or t is not in [0, 1]. Inside ``jit`` the loss is NaN for such a number.

    >>> p, t, w = np.array([0.5, 0.75]), np.array([0, 1]), np.array([1.0, 1.0])
    >>> round(float(BinaryCrossEntropyLoss()((p, t, w))), 4)
    0.4904
    """

    def loss(p: Any, targets: Any, weights: Any) -> Any:
        return weighted_mean(*_binary_cross_entropies(p, targets, weights))

    return lk.Fn("BinaryCrossEntropyLoss", loss)


@lk.example(lk.i32(4, max=2), lk.i32(4, max=2), _weights, rows_independent=False)
def BinaryCrossEntropySum() -> lk.Layer:
    """loss = sum(w l),  l = -t log p - (1 - t) log(1 - p), from probabilities.    p, t, w: (...)

    Raises:
        LayerError: as for ``BinaryCrossEntropyLoss``.

    >>> p, t, w = np.array([0.5, 0.75]), np.array([0, 1]), np.array([1.0, 1.0])
    >>> round(float(BinaryCrossEntropySum()((p, t, w))), 4)
    0.9808
    """

    def loss(p: Any, targets: Any, weights: Any) -> Any:
        return weighted_sum(*_binary_cross_entropies(p, targets, weights))

    return lk.Fn("BinaryCrossEntropySum", loss)


def _binary_cross_entropies(p: Any, targets: Any, weights: Any) -> tuple[Any, Any]:
    require_shape(targets, p.shape, p)
    p, targets, weights = full_float(p), full_float(targets), full_weights(weights, p.shape)
    left_out = weights == 0
    p, targets = np.where(left_out, 0.5, p), np.where(left_out, 0, targets)
    doubts = _require_unit(p, "prediction", "predictions are probabilities, such as a Sigmoid gives")
    doubts = doubts * _require_unit(targets, "target", "targets are 0 or 1")
    tiny = float(np.finfo(np.float32).tiny)
    log_p, log_rest = np.log(np.maximum(p, tiny)), np.log(np.maximum(1 - p, tiny))
    return -(targets * log_p + (1 - targets) * log_rest) * doubts, weights


def _require_unit(x: Any, what: str, remedy: str) -> Any:
    """1 where ``x`` lies in [0, 1]; else an error, or NaN inside ``jit``."""
    wrong = ~((x >= 0) & (x <= 1) | np.isnan(x))
    if fastmath.is_traced(wrong):
        return np.where(wrong, np.nan, 1.0)
    if fastmath.rarely(wrong):
        first = fastmath.to_host(fastmath.stop_gradient(x))[fastmath.to_host(wrong)][0]
        raise lk.LayerError(f"{what} {first:g} is not in [0, 1]: {remedy}")
    return 1


# -- numbers ---------------------------------------------------------------------------------------------------------


@lk.example(lk.f32(4, 3), lk.f32(4, 3), lk.i32(4, 3, max=3), rows_independent=False)
def L2Loss() -> lk.Layer:
    """loss = sum(w (y - t)^2) / sum(w).    y, t, w: (...)

    Raises:
        LayerError: shapes differ.

    >>> float(L2Loss()((np.array([1.0, 2.0]), np.array([1.0, 4.0]), np.array([1.0, 1.0]))))
    2.0
    """

    def loss(y: Any, targets: Any, weights: Any) -> Any:
        difference, weights = _differences(y, targets, weights)
        return weighted_mean(np.square(difference), weights)

    return lk.Fn("L2Loss", loss)


@lk.example(lk.f32(4, 3), lk.f32(4, 3), lk.i32(4, 3, max=3), rows_independent=False)
def SmoothL1Loss() -> lk.Layer:
    """loss = sum(w l) / sum(w),  l = d^2 / 2 where d = abs(y - t) < 1, else d - 1/2.    y, t, w: (...)

    Huber 1964, "Robust estimation of a location parameter"; Girshick 2015, "Fast R-CNN".

    Raises:
        LayerError: shapes differ.

    >>> float(SmoothL1Loss()((np.array([1.0, 2.0]), np.array([1.5, 5.0]), np.array([1.0, 1.0]))))
    1.3125
    """

    def loss(y: Any, targets: Any, weights: Any) -> Any:
        difference, weights = _differences(y, targets, weights)
        distance = np.abs(difference)
        near = np.minimum(distance, 1)  # the square of a far one could overflow, and spoil the gradient of where
        return weighted_mean(np.where(distance < 1, 0.5 * near * near, distance - 0.5), weights)

    return lk.Fn("SmoothL1Loss", loss)


def _differences(y: Any, targets: Any, weights: Any) -> tuple[Any, Any]:
    """(y - targets, weights); 0 where the weight is 0."""
    require_shape(targets, y.shape, y)
    weights = full_weights(weights, y.shape)
    return np.where(weights == 0, 0, full_float(y) - full_float(targets)), weights


@lk.example(lk.f32(4, 3), lk.i32(4, 3, max=3), rows_independent=False)
def WeightedSum() -> lk.Layer:
    """y = sum(w x), without the x of weight 0.    x, w: (...)

    Raises:
        LayerError: shapes differ.

    >>> float(WeightedSum()((np.array([1.0, 2.0]), np.array([3.0, 0.5]))))
    4.0
    """
    return lk.Fn("WeightedSum", lambda x, weights: weighted_sum(full_float(x), full_weights(weights, x.shape)))
