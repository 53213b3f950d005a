"""What losses and metrics say to shapes, targets and arguments that do not fit."""

from __future__ import annotations

import math
from typing import Any

import numpy as onp
import pytest
from loss_cases import (
    ACCURACIES,
    BINARY_LOSSES,
    CATEGORY_LOSSES,
    DIFFERENTIABLE,
    F_SCORES,
    LOG,
    NUMBER_LOSSES,
    SEQUENCES,
    batch,
    host,
    make,
)

import layerkit as lk
from layerkit import fastmath
from layerkit import layers as tl

TAKE_SCORES = [*CATEGORY_LOSSES, *ACCURACIES, *SEQUENCES, *F_SCORES]


@pytest.mark.parametrize("wrong", [3, -1, 2**31 - 1])
@pytest.mark.parametrize("name", [*TAKE_SCORES, "CategoryCrossEntropy", "CategoryAccuracy"])
def test_a_target_that_is_no_class_is_never_silent(name: str, wrong: int, backend: str) -> None:
    scores, targets, weights = batch(name)
    targets[(2,) * targets.ndim] = wrong
    rest = () if name.startswith("Category") else (weights,)
    layer = make(name)
    with pytest.raises(lk.LayerError, match=f"^{name}: target {wrong} is none of the 3 classes, which are 0 to 2"):
        layer((scores, targets, *rest))
    if backend == "jax":
        compiled = fastmath.jit(lambda *x: layer.pure_fn(x, (), ())[0])
        assert math.isnan(float(host(compiled(scores, targets, *rest))))
        if name in DIFFERENTIABLE:
            slopes = fastmath.jit(fastmath.grad(lambda p, *x: layer.pure_fn((p, *x), (), ())[0]))
            assert onp.isnan(host(slopes(scores, targets, *rest))).any()


@pytest.mark.parametrize("name", [*BINARY_LOSSES, "BinaryCrossEntropy"])
@pytest.mark.parametrize("what", ["prediction", "target"])
def test_a_probability_outside_of_0_to_1_is_never_silent(name: str, what: str, backend: str) -> None:
    p, targets, weights = onp.array([0.5, 0.2], "float32"), onp.array([1, 0]), onp.ones(2, "float32")
    if what == "target":
        targets = onp.array([1, 2])
    elif name == "BinaryCrossEntropy":
        return
    else:
        p = onp.array([0.5, 2.0], "float32")
    inputs = (p, targets) if name == "BinaryCrossEntropy" else (p, targets, weights)
    layer = getattr(tl, name)()
    with pytest.raises(lk.LayerError, match=f"^{name}: {what} 2 is not in \\[0, 1\\]: "):
        layer(inputs)
    if backend == "jax":
        compiled = fastmath.jit(lambda *x: layer.pure_fn(x, (), ())[0])
        assert math.isnan(float(host(compiled(*inputs))))


def zeros(*shapes: tuple[int, ...], targets: str = "int32") -> tuple[Any, ...]:
    return tuple(onp.zeros(s, targets if i == 1 else "float32") for i, s in enumerate(shapes))


MISFITS = [
    (CATEGORY_LOSSES, zeros((4, 3), (5,), (4,)), "predictions (4, 3) need targets (4,), got (5,)"),
    (ACCURACIES, zeros((4, 3), (4, 1), (4,)), "predictions (4, 3) need targets (4,), got (4, 1)"),
    (BINARY_LOSSES, zeros((4, 1), (4,), (4,)), "predictions (4, 1) need targets (4, 1), got (4,)"),
    (NUMBER_LOSSES, zeros((4, 1), (4,), (4,)), "predictions (4, 1) need targets (4, 1), got (4,)"),
    (SEQUENCES, zeros((4, 2, 3), (2, 4), (4, 2)), "predictions (4, 2, 3) need targets (4, 2), got (2, 4)"),
    (SEQUENCES, zeros((4, 3), (4,), (4,)), "expected at least 2 axes, got (4,)"),
    (ACCURACIES, zeros((4, 3), (4,), (3,)), "expected weights of shape (4,), one for each target, got (3,)"),
    (NUMBER_LOSSES, zeros((2, 2), (2, 2), (2,)), "expected weights of shape (2, 2), one for each target, got (2,)"),
    (
        [*CATEGORY_LOSSES, *ACCURACIES],
        zeros((4, 3), (4,), (4,), targets="float32"),
        "targets are class ids, whole numbers, got float32: use .astype(np.int32)",
    ),
    (["CategoryCrossEntropy", *F_SCORES], zeros((4, 3), (3,)), "predictions (4, 3) need targets (4,), got (3,)"),
    (["BinaryCrossEntropy"], zeros((4,), (4, 4)), "predictions (4,) need targets (4,), got (4, 4)"),
    (["WeightedSum"], zeros((4,), (3,)), "expected weights of shape (4,), one for each target, got (3,)"),
    (CATEGORY_LOSSES, zeros((), (), ()), "expected at least 1 axis, got ()"),
    (F_SCORES, zeros((), ()), "expected at least 1 axis, got ()"),
    (ACCURACIES, zeros((4, 0), (4,), (4,)), "the highest score of nothing: axis -1 is empty, got (4, 0)"),
]
MISFITS_BY_NAME = [(name, inputs, message) for names, inputs, message in MISFITS for name in names]


@pytest.mark.parametrize(("name", "inputs", "message"), MISFITS_BY_NAME)
def test_shapes_that_do_not_fit(name: str, inputs: Any, message: str, backend: str) -> None:
    layer = getattr(tl, name)()
    for call in (lambda: layer(inputs), lambda: layer.init(lk.signature(inputs))):
        with pytest.raises(lk.LayerError) as caught:
            call()
        assert str(caught.value).startswith(f"{name}: {message}")
        assert "\n" not in str(caught.value)


def test_predictions_of_a_classifier_that_do_not_fit(backend: str) -> None:
    with pytest.raises(
        lk.LayerError, match=r"Accuracy > 1:_Accuracy: predictions \(4,\) need targets \(4,\), got \(3,\)"
    ):
        tl.Accuracy(tl.ArgMax())(zeros((4, 3), (3,), (3,)))


ARGUMENTS = [
    (lambda: tl.CategoryCrossEntropy(1.5), "CategoryCrossEntropy: label_smoothing must be a number of at least 0"),
    (lambda: tl.WeightedCategoryCrossEntropy(-0.1), "WeightedCategoryCrossEntropy: label_smoothing must be a number"),
    (lambda: tl.WeightedCategoryCrossEntropy(cutoff=-1), "WeightedCategoryCrossEntropy: cutoff must be a number"),
    (lambda: tl.MacroAveragedFScore(beta=-1), "MacroAveragedFScore: beta must be a number of at least 0, got -1"),
    (
        lambda: tl.WeightedFScore(1.0, 0.5),
        "WeightedFScore: initial_category_index must be a whole number of at least 0",
    ),
    (lambda: tl.Accuracy("argmax"), "Accuracy: classifier must be a layer, such as ArgMax(), got 'argmax'"),
]


@pytest.mark.parametrize(("construct", "message"), ARGUMENTS, ids=[message for _, message in ARGUMENTS])
def test_wrong_arguments(construct: Any, message: str) -> None:
    with pytest.raises(lk.LayerError) as caught:
        construct()
    assert str(caught.value).startswith(message)


def test_f_scores_of_no_classes(backend: str) -> None:
    with pytest.raises(lk.LayerError, match=r"counts classes from 3 on, and its input \(3, 3\) has 3"):
        tl.WeightedFScore(initial_category_index=3)((LOG, onp.array([0, 1, 2])))


@pytest.mark.parametrize("name", F_SCORES)
def test_a_target_that_is_no_class_is_not_lost_with_a_class_left_out(name: str) -> None:
    with lk.use_backend("jax"):
        layer = getattr(tl, name)(initial_category_index=1)
        compiled = fastmath.jit(lambda *x: layer.pure_fn(x, (), ())[0])
        assert math.isfinite(float(host(compiled(LOG, onp.array([0, 1, 2])))))
        assert math.isnan(float(host(compiled(LOG, onp.array([5, 1, 2])))))
