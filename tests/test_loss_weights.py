"""The laws of weights in losses and metrics."""

from __future__ import annotations

import numpy as onp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_cases import (
    BACKENDS,
    DIFFERENTIABLE,
    F_SCORES,
    SEQUENCES,
    SUMS,
    WEIGHTED,
    batch,
    garbage,
    gradient,
    make,
    of,
)

import layerkit as lk
from layerkit import layers as tl

cases = pytest.mark.parametrize("name", WEIGHTED)
few = settings(max_examples=15)
seeds = st.integers(0, 10**6)


@cases
@few
@given(seed=seeds, where=st.integers(0, 5), n_bad=st.integers(1, 3))
@pytest.mark.parametrize("backend_name", BACKENDS)
def test_rows_of_weight_0_change_nothing(name: str, backend_name: str, seed: int, where: int, n_bad: int) -> None:
    with lk.use_backend(backend_name):
        layer, (predictions, targets, weights) = make(name), batch(name, seed=seed)
        bad_predictions, bad_targets = garbage(name, predictions[:n_bad], targets[:n_bad])
        padded = (
            onp.concatenate([predictions[:where], bad_predictions, predictions[where:]]),
            onp.concatenate([targets[:where], bad_targets, targets[where:]]),
            onp.concatenate([weights[:where], 0 * weights[:n_bad], weights[where:]]),
        )
        assert of(layer, *padded) == pytest.approx(of(layer, predictions, targets, weights), rel=1e-6, abs=1e-7)
        if name in DIFFERENTIABLE:
            slopes = gradient(layer, *padded)
            assert (slopes[where : where + n_bad] == 0).all()
            kept = onp.concatenate([slopes[:where], slopes[where + n_bad :]])
            onp.testing.assert_allclose(kept, gradient(layer, predictions, targets, weights), rtol=1e-5, atol=1e-7)


@cases
@few
@given(seed=seeds, factor=st.floats(0.01, 100))
def test_only_the_ratios_of_weights_count(name: str, seed: int, factor: float) -> None:
    with lk.use_backend("numpy"):
        predictions, targets, weights = batch(name, seed=seed)
        once, scaled = (of(make(name), predictions, targets, w) for w in (weights, onp.float32(factor) * weights))
        assert scaled == pytest.approx(factor * once if name in SUMS else once, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("name", [name for name in WEIGHTED if name not in SEQUENCES])
@few
@given(seed=seeds)
def test_a_row_of_weight_2_is_two_rows(name: str, seed: int) -> None:
    with lk.use_backend("numpy"):
        predictions, targets, weights = batch(name, seed=seed)
        times = weights.astype(int)
        repeated = [onp.repeat(part, times, axis=0) for part in (predictions, targets)]
        ones = onp.ones(times.sum(), "float32")
        assert of(make(name), *repeated, ones) == pytest.approx(of(make(name), predictions, targets, weights), rel=1e-5)


@cases
@few
@given(seed=seeds)
def test_the_order_of_rows_does_not_matter(name: str, seed: int) -> None:
    with lk.use_backend("numpy"):
        parts = batch(name, n=7, seed=seed)
        order = onp.random.default_rng(seed).permutation(7)
        shuffled = [part[order] for part in parts]
        assert of(make(name), *shuffled) == pytest.approx(of(make(name), *parts), rel=1e-5, abs=1e-6)


@cases
def test_where_nothing_counts_the_value_is_0(name: str, backend: str) -> None:
    layer, (predictions, targets, weights) = make(name), batch(name)
    assert of(layer, predictions, targets, 0 * weights) == 0
    assert of(layer, *garbage(name, predictions, targets), 0 * weights) == 0
    assert of(layer, predictions[:0], targets[:0], weights[:0]) == 0
    if name in DIFFERENTIABLE:
        assert (gradient(layer, predictions, targets, 0 * weights) == 0).all()
        assert (gradient(layer, *garbage(name, predictions, targets), 0 * weights) == 0).all()


@pytest.mark.parametrize("name", ["CategoryCrossEntropy", "CategoryAccuracy", *F_SCORES])
def test_no_rows_without_weights(name: str, backend: str) -> None:
    assert of(getattr(tl, name)(), onp.zeros((0, 3), "float32"), onp.zeros(0, int)) == 0


@cases
def test_weights_may_be_whole_numbers_or_booleans(name: str, backend: str) -> None:
    predictions, targets, weights = batch(name)
    expected = of(make(name), predictions, targets, weights)
    assert of(make(name), predictions, targets, weights.astype(int)) == expected
    keep = weights > 1
    assert of(make(name), predictions, targets, keep) == of(make(name), predictions, targets, keep.astype("float32"))


@cases
def test_one_weight_may_stand_for_an_axis(name: str, backend: str) -> None:
    predictions, targets, weights = batch(name)
    everywhere = onp.full(weights.shape, 2, "float32")
    expected = of(make(name), predictions, targets, everywhere)
    for short in (onp.float32(2), onp.full((1,) * weights.ndim, 2, "float32")):
        assert of(make(name), predictions, targets, onp.asarray(short)) == expected


@few
@given(seed=seeds)
def test_without_weights_is_with_weights_of_1(seed: int) -> None:
    with lk.use_backend("numpy"):
        scores, targets, weights = batch("Accuracy", seed=seed)
        ones = onp.ones_like(weights)
        for plain, weighted in (
            (tl.CategoryCrossEntropy(0.1), tl.WeightedCategoryCrossEntropy(0.1)),
            (tl.CategoryAccuracy(), tl.WeightedCategoryAccuracy()),
            (tl.MacroAveragedFScore(), tl.MacroAveragedFScore(weighted=True)),
            (tl.WeightedFScore(), tl.WeightedFScore(weighted=True)),
        ):
            assert of(plain, scores, targets) == pytest.approx(of(weighted, scores, targets, ones), rel=1e-6)


@few
@given(seed=seeds)
def test_layers_that_say_the_same_agree(seed: int) -> None:
    with lk.use_backend("numpy"):
        scores, targets, weights = batch("Accuracy", seed=seed)
        value = of(tl.CrossEntropyLossWithLogSoftmax(), scores, targets, weights)
        composed = tl.Serial(tl.LogSoftmax(), tl.CrossEntropyLoss())
        assert of(composed, scores, targets, weights) == pytest.approx(value, rel=1e-5)
        assert of(tl.WeightedCategoryCrossEntropy(), scores, targets, weights) == pytest.approx(value, rel=1e-6)
        total = of(tl.Serial(tl.LogSoftmax(), tl.CrossEntropySum()), scores, targets, weights)
        assert total == pytest.approx(value * float(weights.sum()), rel=1e-5)
        x, bits = scores[:, 0], targets % 2
        sigmoid = tl.Serial(tl.Sigmoid(), tl.BinaryCrossEntropyLoss())
        ones = onp.ones_like(x)
        assert of(tl.BinaryCrossEntropy(), x, bits) == pytest.approx(of(sigmoid, x, bits, ones), rel=1e-4)
        argmax = tl.Accuracy(classifier=tl.ArgMax())
        assert of(argmax, scores, targets, weights) == of(tl.Accuracy(), scores, targets, weights)
