"""Positional encodings, shifts and the causal convolution of each feature against their formulas."""

from __future__ import annotations

import math
from typing import Any

import numpy as onp
import pytest
from values import near, numbers

import layerkit as lk
from layerkit import fastmath
from layerkit import layers as tl
from layerkit.fastmath import random

pytestmark = pytest.mark.usefixtures("backend")


def sinusoid(p: int, d: int) -> list[float]:
    """What position p is marked with, number by number."""
    angles = [p / 10000 ** (2 * (j // 2) / d) for j in range(d)]
    return [math.cos(a) if j % 2 else math.sin(a) for j, a in enumerate(angles)]


@pytest.mark.parametrize("d", [1, 4, 7])
@pytest.mark.parametrize("name", ["PositionalEncoding", "SinCosPositionalEncoding"])
def test_sines_and_cosines(name: str, d: int) -> None:
    x = numbers(2, 9, d)
    layer = getattr(tl, name)()
    layer.init(x)
    near(layer(x), x + onp.array([sinusoid(p, d) for p in range(9)]), 1e-5)


def test_the_table_of_positions_is_trained_and_that_of_sines_is_not() -> None:
    x = numbers(2, 3, 4)
    trained = tl.PositionalEncoding(max_len=5)
    weights, _ = trained.init(x)
    assert weights.shape == (5, 4)
    gradient = fastmath.grad(lambda w: (trained(x, weights=w) * x).sum())(weights)
    near(gradient, onp.concatenate([x.sum(0), onp.zeros((2, 4))]))
    assert tl.SinCosPositionalEncoding().init(x)[0] == ()


def test_a_narrow_table_is_widened_by_a_matrix() -> None:
    x = numbers(2, 3, 4)
    layer = tl.PositionalEncoding(max_len=5, d_feature=6)
    (table, kernel), _ = layer.init(x)
    assert (table.shape, kernel.shape) == ((5, 6), (6, 4))
    near(layer(x), x + (onp.array([sinusoid(p, 6) for p in range(3)]) @ fastmath.to_host(kernel)), 1e-5)


def start_of(layer: lk.Layer, seed: int) -> int:
    """Where a training call begins, read from the numbers it adds."""
    added = fastmath.to_host(layer(onp.zeros((1, 2, 8), "float32"), rng=random.get_prng(seed), training=True))[0]
    starts = [p for p in range(40) if onp.allclose(added, [sinusoid(p, 8), sinusoid(p + 1, 8)], atol=1e-4)]
    (start,) = starts
    return start


@pytest.mark.parametrize(
    ("make", "share_of_zeros"),
    [
        (lambda: tl.PositionalEncoding(max_len=16, max_offset_to_add=10, start_from_zero_prob=0.5), 0.55),
        (lambda: tl.SinCosPositionalEncoding(add_offset=10), 0.55),
        (lambda: tl.SinCosPositionalEncoding(add_offset=10, start_from_zero_one_in=5), 0.27),
        (lambda: tl.PositionalEncoding(max_len=16), 1.0),
        (lambda: tl.PositionalEncoding(max_len=16, max_offset_to_add=10), 1.0),
        (lambda: tl.SinCosPositionalEncoding(start_from_zero_one_in=1), 1.0),
    ],
)
def test_training_begins_anywhere_and_evaluation_at_zero(make: Any, share_of_zeros: float) -> None:
    layer = make()
    layer.init(lk.f32(1, 2, 8))
    starts = [start_of(layer, seed) for seed in range(60)]
    assert abs(starts.count(0) / 60 - share_of_zeros) < 0.2
    assert share_of_zeros == 1 or (max(starts) <= 10 and len(set(starts)) > 5)
    near(layer(onp.zeros((1, 1, 8)))[0, 0], sinusoid(0, 8))


def test_a_learned_table_is_added() -> None:
    x = numbers(2, 3, 4)
    layer = tl.LearnedPositionalEncoding(max_len=5)
    weights, _ = layer.init(x)
    near(layer(x), x + fastmath.to_host(weights)[:3])
    assert 0.005 < fastmath.to_host(weights).std() < 0.05


def test_axial_tables_lie_side_by_side() -> None:
    x = numbers(2, 10, 6)
    layer = tl.AxialPositionalEncoding(shape=(2, 3, 2), d_embs=(1, 3, 2))
    weights, _ = layer.init(x)
    one, two, three = map(fastmath.to_host, weights)
    rows = [onp.concatenate([one[i], two[j], three[k]]) for i in range(2) for j in range(3) for k in range(2)]
    near(layer(x), x + onp.stack(rows)[:10])


@pytest.mark.parametrize("n_heads", [1, 2, 3])
def test_rotary_turns_pairs_as_complex_numbers(n_heads: int) -> None:
    x = numbers(2, 7, 12)
    d = 12 // n_heads
    turned = fastmath.to_host(tl.Rotate(n_heads)(x))
    for head in range(n_heads):
        own, result = (a[..., head * d : (head + 1) * d] for a in (x, turned))
        pairs = own[..., : d // 2] + 1j * own[..., d // 2 :]
        angles = onp.arange(7)[:, None] / 10000 ** (2 * onp.arange(d // 2) / d)
        expected = pairs * onp.exp(1j * angles)
        near(result, onp.concatenate([expected.real, expected.imag], -1), 1e-5)


def test_rotary_products_depend_on_distances_alone() -> None:
    q, k = (onp.broadcast_to(numbers(8, seed=seed), (1, 9, 8)) for seed in (0, 1))
    turned_q, turned_k = (fastmath.to_host(tl.Rotate()(x))[0] for x in (q, k))
    products = turned_q @ turned_k.T
    for distance in range(-8, 9):
        along = onp.diagonal(products, distance)
        near(along, onp.full(len(along), along[0]), 1e-4)


def test_shift_right() -> None:
    x = numbers(2, 4, 3)
    for n in (1, 2, 7):
        expected = onp.zeros_like(x)
        expected[:, n:] = x[:, : max(4 - n, 0)]
        near(tl.ShiftRight(n)(x), expected)
    assert tl.ShiftRight(mode="train")([[3, 4]]).tolist() == [[0, 3]]
    assert tl.ShiftRight(mode="predict")([[3, 4]]).tolist() == [[3, 4]]


def test_depthwise_convolution_sees_its_own_feature_and_what_was_before() -> None:
    x = numbers(2, 5, 3)
    layer = tl.CausalDepthwiseConv(kernel_size=3)
    kernel = fastmath.to_host(layer.init(x)[0])
    expected = onp.zeros_like(x)
    for i in range(5):
        for j in range(3):
            if i - 2 + j >= 0:
                expected[:, i] += kernel[j] * x[:, i - 2 + j]
    near(layer(x), expected)


X = lk.f32(2, 5, 6)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: tl.PositionalEncoding(max_len=0), "max_len must be a whole number of at least 1, got 0"),
        (lambda: tl.PositionalEncoding(max_offset_to_add=-1), "max_offset_to_add must be a whole number of at least 0"),
        (lambda: tl.PositionalEncoding(start_from_zero_prob=2), "start_from_zero_prob must be a number"),
        (lambda: tl.PositionalEncoding(dropout=1), "PositionalEncoding: dropout must be a number"),
        (lambda: tl.PositionalEncoding(dropout_broadcast_dims="x"), "dropout_broadcast_dims must be"),
        (lambda: tl.AxialPositionalEncoding(6), "shape must be a tuple of whole numbers, one at least, got 6"),
        (lambda: tl.AxialPositionalEncoding((2, 3), (4,)), "an entry for each axis, got (2, 3) and (4,)"),
        (
            lambda: tl.SinCosPositionalEncoding(start_from_zero_one_in=0),
            "start_from_zero_one_in must be a whole number",
        ),
        (lambda: tl.Rotate(0), "Rotate: n_heads must be a whole number of at least 1, got 0"),
        (lambda: tl.ShiftRight(0), "ShiftRight: n_positions must be a whole number of at least 1, got 0"),
        (lambda: tl.ShiftRight(mode="now"), "ShiftRight: unknown mode 'now'"),
        (lambda: tl.CausalDepthwiseConv(0), "CausalDepthwiseConv: kernel_size must be a whole number of at least 1"),
    ],
)
def test_construction_says_what_is_wrong(make: Any, said: str) -> None:
    with pytest.raises(lk.LayerError) as error:
        make()
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("layer", "signature", "said"),
    [
        (lambda: tl.PositionalEncoding(max_len=4), X, "a sequence of 5 is longer than max_len=4"),
        (lambda: tl.LearnedPositionalEncoding(max_len=4), X, "a sequence of 5 is longer than max_len=4"),
        (
            lambda: tl.PositionalEncoding(max_len=8, max_offset_to_add=4, start_from_zero_prob=0.5),
            X,
            "a sequence of 5 with max_offset_to_add=4 goes beyond max_len=8",
        ),
        (lambda: tl.AxialPositionalEncoding((2, 2), (3, 3)), X, "longer than the product of shape=4"),
        (lambda: tl.AxialPositionalEncoding((2, 3), (3, 4)), X, "d_embs=(3, 4) add up to 7 features, got 6"),
        (lambda: tl.Rotate(2), X, "expected an even number of features for each of 2 heads, got 6"),
        (lambda: tl.CausalDepthwiseConv(), lk.f32(5, 6), "expected at least 3 axes, got (5, 6)"),
        (lambda: tl.ShiftRight(), lk.f32(5), "expected at least 2 axes, got (5,)"),
    ],
)
def test_init_says_what_is_wrong_and_where(layer: Any, signature: Any, said: str) -> None:
    with pytest.raises(lk.LayerError) as error:
        lk.Serial(layer()).init(signature)
    assert said in str(error.value)
    assert str(error.value).startswith("Serial > 0:")


@pytest.mark.parametrize(
    "make", [tl.PositionalEncoding, tl.LearnedPositionalEncoding, lambda: tl.PositionalEncoding(d_feature=4)]
)
def test_other_features_than_at_init_are_refused(make: Any) -> None:
    layer = make()
    layer.init(X)
    with pytest.raises(lk.LayerError, match="was initialized for 6 features, got 7"):
        layer(numbers(2, 5, 7))
