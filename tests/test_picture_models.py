"""Residual networks, the Neural GPU and the convolutional classifier of texts: what their papers say of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as onp
import pytest

import layerkit as lk
from layerkit import fastmath, models
from layerkit import layers as tl
from layerkit.fastmath import random
from layerkit.testing import check_layer


@pytest.fixture(params=["numpy"], autouse=True)
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """NumPy, on which weights are made at once; the kit tries every model on all backends."""
    with lk.use_backend(request.param):
        yield request.param


def n_weights(model: lk.Layer, signature: Any) -> int:
    return sum(int(onp.prod(leaf.shape)) for leaf in fastmath.tree_leaves(model.signatures(signature)[0]))


def kinds(model: lk.Layer, kind: str) -> int:
    own = model.kind == kind
    return own + sum(kinds(sublayer, kind) for sublayer in model.sublayers)


def test_resnet50_has_its_layers() -> None:
    model = models.Resnet50(d_hidden=2, n_output_classes=3)
    assert kinds(model, "Conv") == 49 + 4  # 50 with the Dense layer; four shortcuts
    assert n_weights(models.Resnet50(d_hidden=1, n_output_classes=5), lk.f32(1, 16, 16, 3)) == _by_hand(1, 5)


def _by_hand(d: int, n_classes: int) -> int:
    conv = lambda k, c, f: k * k * c * f + f + 2 * f  # its bias, and the two vectors of its normalization
    total, width = conv(7, 3, d), d
    for stage, n_blocks in enumerate((3, 4, 6, 3)):
        narrow = d * 2**stage
        for block in range(n_blocks):
            total += conv(1, width, narrow) + conv(3, narrow, narrow) + conv(1, narrow, 4 * narrow)
            total += conv(1, width, 4 * narrow) * (block == 0)
            width = 4 * narrow
    return total + width * n_classes + n_classes


def test_a_wide_resnet_has_its_layers() -> None:
    model = models.WideResnet(n_blocks=2, widen_factor=2)
    assert kinds(model, "Conv") == 1 + 3 * (2 * 2 + 1)
    widths = [w.shape[-1] for w in fastmath.tree_leaves(model.signatures(lk.f32(1, 8, 8, 3))[0]) if len(w.shape) == 4]
    assert sorted(set(widths)) == [16, 32, 64, 128]
    assert model.output_signature(lk.f32(2, 8, 8, 3)).shape == (2, 10)


def test_the_neural_gpu_carries_what_it_keeps_along_the_tape() -> None:
    from layerkit_plugins.models.neural_gpu import _diagonal

    x = onp.arange(1, 13, dtype="float32").reshape(1, 1, 4, 3)
    assert onp.asarray(_diagonal(x))[0, 0].tolist() == [[0, 2, 6], [1, 5, 9], [4, 8, 12], [7, 11, 0]]


def test_the_neural_gpu_has_one_unit_for_all_steps() -> None:
    few, many = (n_weights(models.NeuralGPU(6, steps, 5), lk.i32(1, 3, 4)) for steps in (1, 9))
    assert few == many


@pytest.mark.parametrize("backend", ["numpy", "jax"], indirect=True)
def test_text_cnn_is_what_it_says(backend: str) -> None:
    model = models.TextCNN(9, 3, d_model=4, kernel_sizes=(3,), filters=5)
    weights, _ = model.init(lk.i32(2, 6, max=9), random.get_prng(2))
    table, kernel, bias, dense, dense_bias = map(onp.asarray, fastmath.tree_leaves(fastmath.to_host(weights)))
    ids = onp.array([[3, 4, 5, 6, 0, 0], [7, 8, 1, 2, 3, 4]], "int32")
    expected = []
    for row in ids:
        x = onp.pad(table[row[row > 0]], [(1, 1), (0, 0)])
        answers = [onp.einsum("tc,tcf->f", x[i : i + 3], kernel) + bias for i in range(len(x) - 2)]
        expected.append(onp.maximum(answers, 0).max(axis=0) @ dense + dense_bias)
    onp.testing.assert_allclose(fastmath.to_host(model(ids)), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: models.TextCNN(9, kernel_sizes=()), "TextCNN: kernel_sizes must be a tuple of whole"),
        (lambda: models.TextCNN(9, kernel_sizes=(0,)), "kernel_sizes must be a whole number of at least 1, got 0"),
        (lambda: models.NeuralGPU(7), "d_feature must be a multiple of 3, as a third goes to either side, got 7"),
        (lambda: models.Resnet50(d_hidden=0), "Resnet50: d_hidden must be a whole number of at least 1, got 0"),
        (lambda: models.Resnet50(norm=3), "Resnet50: norm must be a function of mode"),
        (lambda: models.WideResnet(n_blocks=0), "WideResnet: n_blocks must be a whole number of at least 1, got 0"),
        (lambda: models.Resnet50(4).output_signature(lk.f32(1, 4, 4, 3)), "4:MaxPool: the window is 3 wide on axis 1"),
        (
            lambda: models.NeuralGPU(6).output_signature(lk.i32(2, 3)),
            r"expected ids \(batch, height, length\), got \(2, 3\)",
        ),
    ],
)
def test_what_cannot_be_built_is_refused(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(lk.LayerError, match=said):
        make()


def test_a_resnet_with_another_norm_and_activation() -> None:
    model = models.Resnet50(2, 3, norm=tl.FilterResponseNorm, non_linearity=tl.Tanh)
    assert kinds(model, "BatchNorm") == 0 == kinds(model, "Relu")


def moved(point: Any, direction: list[Any], by: float) -> Any:
    leaves = zip(fastmath.tree_leaves(point), direction, strict=True)
    return fastmath.tree_unflatten([leaf + by * part for leaf, part in leaves], point)


@pytest.mark.parametrize(
    "make",
    [
        lambda: models.Resnet50(2, 3),
        lambda: models.Resnet50(2, 3, non_linearity=tl.Tanh),
        lambda: models.WideResnet(1, n_output_classes=3),
    ],
    ids=["Resnet50", "Resnet50 of Tanh", "WideResnet"],
)
def test_the_gradient_in_training_is_the_slope(make: Callable[[], lk.Layer]) -> None:
    """Of all weights and the picture at once, in float64, where a batch is normalized by itself.

    Fifty layers make steep slopes: the step is short enough to meet no kink of a Relu or of a largest number.
    """
    generator, step = onp.random.default_rng(0), 1e-8
    with fastmath.float64():
        model, pictures, factors = make(), generator.normal(size=(4, 48, 48, 3)), generator.normal(size=(4, 3))
        weights, state = model.init(pictures, random.get_prng(0))
        point = (pictures, weights)

        def total(point: Any) -> Any:
            scores, _ = model.pure_fn(*point, state, random.get_prng(0), True)
            return fastmath.numpy.sum(scores * factors)

        slopes, leaves = fastmath.tree_leaves(fastmath.grad(total)(point)), fastmath.tree_leaves(point)
        for _ in range(2):
            direction = [generator.normal(size=leaf.shape) for leaf in leaves]
            ahead, behind = (total(moved(point, direction, by)) for by in (step, -step))
            expected = sum(onp.sum(slope * part) for slope, part in zip(slopes, direction, strict=True))
            onp.testing.assert_allclose((ahead - behind) / (2 * step), expected, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["NeuralGPU", "Resnet50", "TextCNN", "WideResnet"])
def test_the_kit_finds_no_fault(name: str) -> None:
    report = check_layer(getattr(models, name))
    assert report.ok, str(report)
