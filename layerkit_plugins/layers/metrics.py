"""Metrics: what people want to know about predictions, and no gradient can improve.

They take (predictions, targets), and most of them weights, one for each target; positions of weight 0 (padding) count
for nothing. A metric of nothing, an empty batch or weights that are all 0, is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import layerkit as lk
from layerkit import arguments, fastmath
from layerkit.errors import shown
from layerkit.fastmath import numpy as np
from layerkit_plugins.layers.inputs import full_float, require_rank, require_some
from layerkit_plugins.layers.weighting import class_ids, full_weights, mean, require_shape, weighted_mean

__all__ = [
    "Accuracy",
    "CategoryAccuracy",
    "MacroAveragedFScore",
    "MaskedSequenceAccuracy",
    "SequenceAccuracy",
    "WeightedCategoryAccuracy",
    "WeightedFScore",
]

_scores = lk.f32(4, 3)
_classes = lk.i32(4, max=3)
_weights = lk.i32(4, max=3)

_sequences = lk.f32(4, 5, 3)
_class_sequences = lk.i32(4, 5, max=3)
_weight_sequences = lk.i32(4, 5, max=2)


# -- accuracy --------------------------------------------------------------------------------------------------------


@lk.example(_scores, _classes, _weights, rows_independent=False)
def Accuracy(classifier: lk.Layer | None = None) -> lk.Layer:
    """y = sum(w (prediction = target)) / sum(w).    scores: (..., c)    target, w: (...)

    Args:
        classifier: the layer that makes predictions of what the model gives; ``ArgMax()``, the class with the highest
            score, unless given.

    Raises:
        LayerError: shapes do not fit, or a target is no class (with a classifier of one's own, classes are not known).
            Inside ``jit`` the accuracy is NaN for such a target.

    >>> scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    >>> float(Accuracy()((scores, np.array([0, 1, 1]), np.array([1.0, 1.0, 2.0]))))
    0.5
    >>> Accuracy()
    Accuracy_in3
    """
    return _with_classifier("Accuracy", classifier, weighted_mean)


@lk.example(_scores, _classes, _weights, rows_independent=False)
def WeightedCategoryAccuracy() -> lk.Layer:
    """y = sum(w (argmax(scores) = target)) / sum(w).    scores: (..., c)    target, w: (...)

    Raises:
        LayerError: as for ``Accuracy``.

    >>> scores = np.array([[0.9, 0.1], [0.2, 0.8]])
    >>> float(WeightedCategoryAccuracy()((scores, np.array([0, 0]), np.array([3.0, 1.0]))))
    0.75
    """
    return _with_classifier("WeightedCategoryAccuracy", None, weighted_mean)


@lk.example(_scores, _classes, rows_independent=False)
def CategoryAccuracy() -> lk.Layer:
    """y = mean(argmax(scores) = target).    scores: (..., c)    target: (...)

    Raises:
        LayerError: as for ``Accuracy``.

    >>> scores = np.array([[0.9, 0.1], [0.2, 0.8]])
    >>> float(CategoryAccuracy()((scores, np.array([0, 0]))))
    0.5
    """

    def accuracy(scores: Any, targets: Any) -> Any:
        return mean(_hits(scores, targets, None)[0])

    return lk.Fn("CategoryAccuracy", accuracy)


@lk.example(_sequences, _class_sequences, _weight_sequences, rows_independent=False)
def SequenceAccuracy(classifier: lk.Layer | None = None) -> lk.Layer:
    """y = the share of sequences whose predictions are all right.    scores: (b, ..., c)    target, w: (b, ...)

    Positions of weight 0 may be wrong; the other weights all mean the same. A sequence with no other position is not
    counted. (Trax counts it as right.)

    Args:
        classifier: the layer that makes predictions of what the model gives; ``ArgMax()`` unless given.

    Raises:
        LayerError: as for ``Accuracy``, or targets have one axis.

    >>> scores = np.array([[[0.9, 0.1], [0.2, 0.8]], [[0.9, 0.1], [0.9, 0.1]]])
    >>> float(SequenceAccuracy()((scores, np.array([[0, 1], [0, 1]]), np.ones((2, 2)))))
    0.5
    """
    return _with_classifier("SequenceAccuracy", classifier, _of_sequences)


@lk.example(_sequences, _class_sequences, _weight_sequences, rows_independent=False)
def MaskedSequenceAccuracy() -> lk.Layer:
    """y = the share of sequences that are right wherever w is not 0.    scores: (b, ..., c)    target, w: (b, ...)

    A sequence whose weights are all 0 is not counted. (Trax counts it as right.)

    Raises:
        LayerError: as for ``SequenceAccuracy``.

    >>> scores = np.array([[[0.9, 0.1], [0.2, 0.8]], [[0.9, 0.1], [0.9, 0.1]]])
    >>> float(MaskedSequenceAccuracy()((scores, np.array([[0, 1], [0, 1]]), np.array([[1, 1], [1, 0]]))))
    1.0
    """
    return _with_classifier("MaskedSequenceAccuracy", None, _of_sequences)


def _with_classifier(name: str, classifier: lk.Layer | None, average: Callable[[Any, Any], Any]) -> lk.Layer:
    def of_scores(scores: Any, targets: Any, weights: Any) -> Any:
        return average(*_hits(scores, targets, weights))

    def of_predictions(predictions: Any, targets: Any, weights: Any) -> Any:
        require_shape(targets, predictions.shape, predictions)
        weights = full_weights(weights, targets.shape)
        return average((predictions == targets).astype(weights.dtype), weights)

    if classifier is None:
        return lk.Fn(name, of_scores)
    if not isinstance(classifier, lk.Layer):
        raise lk.LayerError(f"{name}: classifier must be a layer, such as ArgMax(), got {shown(classifier)}")
    return lk.Serial(classifier, lk.Fn("_" + name, of_predictions), name=name, sublayers_to_print=[])


def _hits(scores: Any, targets: Any, weights: Any) -> tuple[Any, Any]:
    """(1 where the highest score is the target's, else 0, and NaN where the target is no class; weights)."""
    require_rank(scores, 1)
    require_some(scores, -1, "the highest score")
    require_shape(targets, scores.shape[:-1], scores)
    if weights is not None:
        weights = full_weights(weights, targets.shape)
    ids, doubts = class_ids(targets, scores.shape[-1], weights)
    hits = (np.argmax(scores, axis=-1) == ids).astype(full_float(scores).dtype)
    # Not a product: XLA takes 0 * NaN for 0 where the 0 comes from a comparison.
    return np.where(doubts == 1, hits, np.nan), weights


def _of_sequences(hits: Any, weights: Any) -> Any:
    require_rank(hits, 2)
    axes = tuple(range(1, len(hits.shape)))
    counts = weights != 0
    # A product, not all(): NaN must stay NaN.
    right = np.prod(np.where(counts, hits, 1), axis=axes)
    return weighted_mean(right, np.any(counts, axis=axes).astype(hits.dtype))


# -- F-scores --------------------------------------------------------------------------------------------------------


@lk.example(_scores, _classes, rows_independent=False)
def MacroAveragedFScore(beta: float = 1.0, initial_category_index: int = 0, weighted: bool = False) -> lk.Layer:
    """y = the mean over classes of F = (1 + beta^2) hits / (beta^2 n + m).    scores: (..., c)    target, w: (...)

    n is how often a class is the target, m how often the prediction (the highest score); beta > 1 favours recall,
    beta < 1 precision. A class that is neither target nor prediction is left out of the mean. Van Rijsbergen 1979,
    "Information retrieval", chapter 7.

    Args:
        beta: at least 0.
        initial_category_index: the first class that is counted; 1 leaves class 0 out.
        weighted: whether the layer takes weights as its third input.

    Raises:
        LayerError: as for ``Accuracy``, or there are no classes from ``initial_category_index`` on.

    >>> scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    >>> round(float(MacroAveragedFScore()((scores, np.array([0, 1, 1])))), 4)
    0.6667
    """
    name = "MacroAveragedFScore"

    def average(f: Any, n_targets: Any, n_predictions: Any) -> Any:
        return weighted_mean(f, ((n_targets > 0) | (n_predictions > 0)).astype(f.dtype))

    return _f_score(name, beta, initial_category_index, weighted, average)


@lk.example(_scores, _classes, rows_independent=False)
def WeightedFScore(beta: float = 1.0, initial_category_index: int = 0, weighted: bool = False) -> lk.Layer:
    """As ``MacroAveragedFScore``, but each class weighs as much as it has targets: sum(n F) / sum(n).

    scores: (..., c)    target, w: (...)

    Args:
        beta: at least 0.
        initial_category_index: the first class that is counted; 1 leaves class 0 out.
        weighted: whether the layer takes weights as its third input.

    Raises:
        LayerError: as for ``MacroAveragedFScore``.

    >>> scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.1, 0.9]])
    >>> round(float(WeightedFScore()((scores, np.array([0, 1, 1, 1])))), 4)
    0.7667
    """

    def average(f: Any, n_targets: Any, n_predictions: Any) -> Any:
        return weighted_mean(f, n_targets)

    return _f_score("WeightedFScore", beta, initial_category_index, weighted, average)


def _f_score(
    name: str, beta: float, initial_category_index: int, weighted: bool, average: Callable[[Any, Any, Any], Any]
) -> lk.Layer:
    square = arguments.number(name, "beta", beta, at_least=0) ** 2
    first = arguments.whole_number(name, "initial_category_index", initial_category_index, at_least=0)

    def score(scores: Any, targets: Any, weights: Any = None) -> Any:
        n_classes = scores.shape[-1] if len(scores.shape) else 0
        if len(scores.shape) and n_classes <= first:
            raise lk.LayerError(f"counts classes from {first} on, and its input {tuple(scores.shape)} has {n_classes}")
        hits, weights = _hits(scores, targets, weights)
        weights = np.ones_like(hits) if weights is None else weights
        ids, predictions = class_ids(targets, n_classes, weights)[0], np.argmax(scores, axis=-1)

        def count(values: Any, of: Any) -> Any:
            flat = (np.reshape(values, (-1,)), np.reshape(of, (-1,)))
            return fastmath.segment_sum(*flat, n_classes)[first:]

        n_targets, n_predictions = count(weights, ids), count(weights, predictions)
        total = square * n_targets + n_predictions
        f = (1 + square) * count(weights * hits, ids) / np.where(total == 0, 1, total)
        # A target that is no class may count for one that is left out.
        return np.where(np.any(np.isnan(hits)), np.nan, average(f, n_targets, n_predictions))

    f = score if weighted else lambda scores, targets: score(scores, targets)
    return lk.PureLayer(f, 3 if weighted else 2, name=name)
