"""Losses and metrics: values worked by hand, float64 references, extremes, dtypes."""

from __future__ import annotations

import math
from typing import Any

import numpy as onp
import pytest
from loss_cases import (
    DIFFERENTIABLE,
    LOG,
    batch,
    gradient,
    host,
    make,
    of,
)

import layerkit as lk
from layerkit import fastmath
from layerkit import layers as tl

LOG2, LOG4, LOG4_3 = math.log(2), math.log(4), math.log(4 / 3)
SEQUENCE = onp.eye(2, dtype="float32")[[[0, 1, 1], [1, 1, 0], [0, 0, 0]]]
SEQUENCE_TARGETS = onp.array([[0, 1, 1], [1, 0, 0], [0, 0, 1]])

BY_HAND = [
    ("CrossEntropyLoss", {}, (LOG, [0, 1, 0], [1.0, 3.0, 0.0]), (LOG2 + 3 * LOG4_3) / 4),
    ("CrossEntropySum", {}, (LOG, [0, 1, 0], [1.0, 3.0, 0.0]), LOG2 + 3 * LOG4_3),
    ("CrossEntropyLossWithLogSoftmax", {}, (LOG + 7, [0, 1, 0], [1.0, 3.0, 0.0]), (LOG2 + 3 * LOG4_3) / 4),
    ("CategoryCrossEntropy", {}, (LOG[:2] - 5, [0, 1]), (LOG2 + LOG4_3) / 2),
    ("CategoryCrossEntropy", {"label_smoothing": 0.3}, (LOG[:1], [0]), 0.8 * LOG2 + 0.2 * LOG4),
    ("CategoryCrossEntropy", {"label_smoothing": 1.0}, (LOG[:1], [2]), (LOG2 + 2 * LOG4) / 3),
    ("WeightedCategoryCrossEntropy", {}, (LOG, [0, 1, 0], [2, 2, 0]), (LOG2 + LOG4_3) / 2),
    ("WeightedCategoryCrossEntropy", {"cutoff": 0.5}, (LOG, [0, 1, 0], [2, 2, 0]), (LOG2 + 0.5) / 2),
    ("BinaryCrossEntropy", {}, ([0.0, math.log(3)], [1, 0]), (LOG2 + LOG4) / 2),
    ("BinaryCrossEntropy", {}, ([1000.0, -1000.0, 1000.0], [1, 0, 0]), 1000 / 3),
    ("BinaryCrossEntropy", {}, ([math.log(3)], [0.5]), -0.5 * math.log(0.75) - 0.5 * math.log(0.25)),
    ("BinaryCrossEntropyLoss", {}, ([0.5, 0.75, 0.3], [1, 0, 1], [1, 2, 0]), (LOG2 + 2 * LOG4) / 3),
    ("BinaryCrossEntropyLoss", {}, ([0.0, 1.0], [0, 1], [1, 1]), 0.0),
    ("BinaryCrossEntropyLoss", {}, ([0.0, 1.0], [1, 0], [1, 1]), 126 * LOG2),
    ("BinaryCrossEntropySum", {}, ([0.5, 0.75, 0.3], [1, 0, 1], [1, 2, 0]), LOG2 + 2 * LOG4),
    ("L2Loss", {}, ([[1.0, 2.0], [3.0, 4.0]], [[1.0, 0.0], [0.0, 4.5]], [[1, 1], [0, 2]]), (0 + 4 + 2 * 0.25) / 4),
    ("SmoothL1Loss", {}, ([1.0, 2.0, 3.0, -1.0], [1.5, 3.0, 9.0, 1.0], [1, 1, 0, 2]), (0.125 + 0.5 + 2 * 1.5) / 4),
    ("WeightedSum", {}, ([1.0, onp.nan, 3.0], [2.0, 0.0, -1.0]), -1.0),
    ("CategoryAccuracy", {}, (LOG, [0, 1, 0]), 2 / 3),
    ("Accuracy", {}, (LOG, [0, 2, 0], [1.0, 2.0, 0.0]), 1 / 3),
    ("WeightedCategoryAccuracy", {}, (LOG, [0, 2, 2], [1.0, 2.0, 3.0]), 4 / 6),
    ("Accuracy", {}, (onp.zeros((2, 3)), [0, 1], [1, 1]), 0.5),
    ("SequenceAccuracy", {}, (SEQUENCE, SEQUENCE_TARGETS, onp.ones((3, 3))), 1 / 3),
    ("SequenceAccuracy", {}, (SEQUENCE, SEQUENCE_TARGETS, [[1, 1, 1], [1, 0, 1], [1, 1, 1]]), 2 / 3),
    ("MaskedSequenceAccuracy", {}, (SEQUENCE, SEQUENCE_TARGETS, [[1, 1, 1], [1, 0.5, 1], [0, 0, 0]]), 1 / 2),
    ("MaskedSequenceAccuracy", {}, (SEQUENCE, SEQUENCE_TARGETS, [[1, 1, 1], [0, 0, 0], [1, 1, 0]]), 1.0),
    # Predictions 0 1 2 for targets 0 1 1: F is 1, 2/3 and 0; one, two and no targets.
    ("MacroAveragedFScore", {}, (LOG, [0, 1, 1]), (1 + 2 / 3 + 0) / 3),
    ("WeightedFScore", {}, (LOG, [0, 1, 1]), (1 + 2 * 2 / 3) / 3),
    ("MacroAveragedFScore", {"beta": 2.0}, (LOG, [0, 1, 1]), (1 + 5 / 9 + 0) / 3),
    ("WeightedFScore", {"beta": 0.0}, (LOG, [0, 1, 1]), 1.0),
    ("MacroAveragedFScore", {"initial_category_index": 1}, (LOG, [0, 1, 1]), (2 / 3 + 0) / 2),
    ("WeightedFScore", {"initial_category_index": 1}, (LOG, [0, 1, 1]), 2 / 3),
    ("MacroAveragedFScore", {"weighted": True}, (LOG, [0, 1, 1], [1, 1, 0]), 1.0),
]  # fmt: skip


@pytest.mark.parametrize(("name", "arguments", "inputs", "expected"), BY_HAND)
def test_values_worked_by_hand(
    name: str, arguments: dict[str, Any], inputs: Any, expected: float, backend: str
) -> None:
    inputs = tuple(onp.asarray(x, "float32" if onp.asarray(x).dtype.kind == "f" else None) for x in inputs)
    layer = getattr(tl, name)(**arguments)
    assert of(layer, *inputs) == pytest.approx(expected, rel=1e-6, abs=1e-7)
    compiled = fastmath.jit(lambda *x: layer.pure_fn(x, (), ())[0])
    assert float(host(compiled(*inputs))) == pytest.approx(expected, rel=1e-6, abs=1e-7)


NAMES = [
    ("CategoryAccuracy", 2), ("WeightedCategoryAccuracy", 3), ("CategoryCrossEntropy", 2),
    ("WeightedCategoryCrossEntropy", 3), ("BinaryCrossEntropy", 2), ("MaskedSequenceAccuracy", 3), ("Accuracy", 3),
    ("SequenceAccuracy", 3), ("CrossEntropyLoss", 3), ("CrossEntropyLossWithLogSoftmax", 3),
    ("BinaryCrossEntropyLoss", 3), ("L2Loss", 3), ("SmoothL1Loss", 3), ("MacroAveragedFScore", 2),
    ("WeightedFScore", 2), ("WeightedSum", 2), ("CrossEntropySum", 3), ("BinaryCrossEntropySum", 3),
]  # fmt: skip


@pytest.mark.parametrize(("name", "n_in"), NAMES)
def test_names_and_inputs(name: str, n_in: int) -> None:
    layer = getattr(tl, name)()
    assert (layer.name, layer.n_in, layer.n_out, repr(layer)) == (name, n_in, 1, f"{name}_in{n_in}")


def test_a_category_loss_is_its_float64_formula(backend: str) -> None:
    generator = onp.random.default_rng(0)
    x, targets, weights = generator.normal(size=(6, 7, 11)), generator.integers(0, 11, (6, 7)), generator.random((6, 7))
    log_p = x - onp.log(onp.exp(x).sum(-1, keepdims=True))
    q = 0.9 * onp.eye(11)[targets] + 0.1 / 11
    expected = (weights * -(q * log_p).sum(-1)).sum() / weights.sum()
    layer = tl.WeightedCategoryCrossEntropy(label_smoothing=0.1)
    inputs = (x.astype("float32"), targets, weights.astype("float32"))
    assert of(layer, *inputs) == pytest.approx(expected, rel=1e-6)
    p = onp.exp(log_p)
    onp.testing.assert_allclose(
        gradient(layer, *inputs), weights[..., None] * (p - q) / weights.sum(), rtol=1e-4, atol=1e-7
    )


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_f_scores_are_those_of_precision_and_recall(beta: float, backend: str) -> None:
    generator = onp.random.default_rng(1)
    scores, targets = generator.normal(size=(40, 5)).astype("float32"), generator.integers(0, 3, 40)
    scores[:, 4] = -9  # never predicted, never a target; 3 is predicted alone
    weights = generator.integers(0, 3, 40)
    predictions, f, counts = scores.argmax(-1), [], []
    for k in range(4):
        hits = weights[(predictions == k) & (targets == k)].sum()
        precision = hits / weights[predictions == k].sum()
        recall = hits / max(weights[targets == k].sum(), 1)
        both = beta**2 * precision + recall
        f.append((1 + beta**2) * precision * recall / both if both else 0.0)
        counts.append(weights[targets == k].sum())
    inputs = (scores, targets, weights)
    assert of(tl.MacroAveragedFScore(beta, weighted=True), *inputs) == pytest.approx(onp.mean(f), rel=1e-5)
    expected = onp.average(f, weights=counts)
    assert of(tl.WeightedFScore(beta, weighted=True), *inputs) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("size", [1e4, 1e37])
def test_large_logits_give_finite_losses_and_gradients(size: float, backend: str) -> None:
    x = onp.array([[size, -size, 0.0], [-size, size, 0.0]], "float32")
    targets, weights = onp.array([0, 2]), onp.ones(2, "float32")
    for layer, inputs in (
        (tl.CategoryCrossEntropy(), (targets,)),
        (tl.CrossEntropyLossWithLogSoftmax(), (targets, weights)),
        (tl.BinaryCrossEntropy(), (onp.array([[1, 0, 1], [1, 0, 0]]),)),
        (tl.SmoothL1Loss(), (onp.zeros_like(x), onp.ones_like(x))),
    ):
        scaled = x if layer.name != "SmoothL1Loss" else x / 8
        assert math.isfinite(of(layer, scaled, *inputs))
        assert onp.isfinite(gradient(layer, scaled, *inputs)).all()


def test_a_class_ruled_out_does_not_spoil_the_others(backend: str) -> None:
    log_p = onp.array([[0.0, -onp.inf], [-0.7, -0.7]], "float32")
    inputs = (log_p, onp.array([0, 1]), onp.ones(2, "float32"))
    assert of(tl.CrossEntropyLoss(), *inputs) == pytest.approx(0.35)
    assert onp.isfinite(gradient(tl.CrossEntropyLoss(), *inputs)).all()
    assert of(tl.CrossEntropyLoss(), log_p, onp.array([1, 1]), inputs[2]) == onp.inf


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_nan_in_a_row_that_counts_is_not_hidden(name: str, backend: str) -> None:
    predictions, targets, weights = batch(name)
    predictions[1] = onp.nan
    assert math.isnan(of(make(name), predictions, targets, weights))


def test_positions_below_the_cutoff_have_no_gradient(backend: str) -> None:
    inputs = (LOG, onp.array([0, 1, 2]), onp.ones(3, "float32"))
    slopes = gradient(tl.WeightedCategoryCrossEntropy(cutoff=0.5), *inputs)
    assert (slopes[1:] == 0).all()
    assert (slopes[0] != 0).all()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_16_bit_predictions_are_summed_in_32_bits(dtype: str, backend: str) -> None:
    narrow = lk.bf16().dtype if dtype == "bfloat16" else onp.dtype("float16")
    n = 5000  # in bfloat16, 256 + 1 is 256
    log_p = onp.full((n, 2), -0.5).astype(narrow)
    assert of(tl.CrossEntropyLoss(), log_p, onp.zeros(n, int), onp.ones(n).astype(narrow)) == pytest.approx(0.5)
    assert of(tl.L2Loss(), onp.ones(n).astype(narrow), onp.zeros(n, int), onp.ones(n).astype(narrow)) == 1.0
    assert of(tl.CategoryAccuracy(), log_p, onp.arange(n) % 2) == 0.5


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "uint32", "bool"])
def test_targets_of_every_whole_dtype(dtype: str, backend: str) -> None:
    targets = onp.array([0, 1, 1]).astype(dtype)
    expected = of(tl.CategoryCrossEntropy(), LOG, onp.array([0, 1, 1]))
    assert of(tl.CategoryCrossEntropy(), LOG, targets) == expected
    assert of(tl.CategoryAccuracy(), LOG, targets) == pytest.approx(2 / 3)
