"""Relative attention against its formula, score by score; pooled queries and keys; piece by piece."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as onp
import pytest
import values
from values import numbers

import layerkit as lk
from layerkit import fastmath
from layerkit import layers as tl
from layerkit.fastmath import random

near = partial(values.near, tolerance=1e-5)

pytestmark = pytest.mark.usefixtures("backend")


def place(distance: int, d: int) -> list[float]:
    angles = [distance / 10000 ** (2 * (j // 2) / d) for j in range(d)]
    return [math.cos(a) if j % 2 else math.sin(a) for j, a in enumerate(angles)]


def by_hand(weights: Any, q: Any, k: Any, v: Any, seen: Any, pooling: int, cls: bool) -> Any:
    """One text and two heads, score by score."""
    of_q, of_k, of_v, of_place, of_y = ([fastmath.to_host(w) for w in pair] for pair in weights[:5])
    u, w = (fastmath.to_host(bias)[0, :, 0] for bias in weights[5:7])
    q, k, v = (x @ kernel + bias for x, (kernel, bias) in zip((q, k, v), (of_q, of_k, of_v), strict=True))
    d, m, n = q.shape[-1], len(q), len(k)
    step = pooling * n // m
    heads = []
    for h in range(2):
        own = slice(h * d // 2, (h + 1) * d // 2)
        rows = []
        for i in range(m):
            scores = []
            for j in range(n):
                # A text with a first position outside of the order counts the others from the second on.
                apart = (i - cls) * step - (j - cls) * pooling
                r = (onp.array(place(apart, d)) @ of_place[0] + of_place[1])[own]
                far = 0 if cls and (i == 0 or j == 0) else (q[i, own] + w[h]) @ r
                scores.append(math.exp(((q[i, own] + u[h]) @ k[j, own] + far) / math.sqrt(d // 2)) * seen[i, j])
            rows.append(sum(s * v[j, own] for j, s in enumerate(scores)) / sum(scores))
        heads.append(onp.stack(rows))
    return onp.concatenate(heads, -1) @ of_y[0] + of_y[1]


def spread(weights: Any) -> Any:
    return fastmath.nested_map(lambda w: fastmath.numpy.array(0.5 * numbers(*w.shape, seed=w.size)), weights)


@pytest.mark.parametrize("cls", [False, True])
@pytest.mark.parametrize(
    ("m", "n", "pooling"), [(4, 4, 1), (2, 4, 1), (6, 3, 2), (3, 3, 2), (1, 4, 1), (4, 1, 4), (6, 4, 3)]
)
def test_every_score_is_its_formula(m: int, n: int, pooling: int, cls: bool) -> None:
    q, k, v = numbers(2, m, 5), numbers(2, n, 5, seed=1), numbers(2, n, 5, seed=2)
    mask = onp.random.default_rng(3).random((2, 1, m, n)) < 0.7
    mask[..., 0] = True
    layer = tl.RelativeAttentionLayer(8, total_kv_pooling=pooling, separate_cls=cls, n_heads=2)
    layer.init((q, k, v, mask))
    layer.weights = spread(layer.weights)
    y, same = layer((q, k, v, mask))
    for b in range(2):
        near(y[b], by_hand(layer.weights, q[b], k[b], v[b], mask[b, 0], pooling, cls))
    near(same, mask)


def test_the_language_model_sees_what_was_before() -> None:
    x = numbers(2, 5, 6)
    layer = tl.RelativeAttentionWrapper(8, n_heads=2)
    layer.init(x)
    layer.weights = spread(layer.weights)
    for b in range(2):
        expected = by_hand(layer.weights[1], x[b], x[b], x[b], onp.tri(5), 1, False)
        near(layer(x)[b], expected)


@pytest.mark.parametrize("lengths", [(1,) * 7, (3, 1, 2, 1)], ids=str)
def test_piece_by_piece_is_as_at_once(lengths: tuple[int, ...]) -> None:
    x = numbers(2, 7, 8)
    whole = tl.RelativeAttentionWrapper(8, n_heads=2)
    pieces = tl.RelativeAttentionWrapper(8, n_heads=2, max_inference_length=9, mode="predict")
    whole.init(x, random.get_prng(1))
    weights = spread(whole.weights)
    own, state = pieces.init(x[:, :1])
    assert lk.signature(own) == lk.signature(weights)
    step = fastmath.jit(lambda x, state: pieces.pure_fn(x, weights, state))
    start, found = 0, []
    for length in lengths:
        y, state = step(x[:, start : start + length], state)
        found.append(fastmath.to_host(y))
        start += length
    near(onp.concatenate(found, 1), fastmath.to_host(whole(x, weights=weights)))


def test_biases_are_shared_by_the_layers_that_are_given_them() -> None:
    bias = tl.Weights(tl.RandomNormalInitializer(1.0), (1, 2, 1, 4))
    make = lambda: tl.RelativeAttentionWrapper(8, n_heads=2, context_bias_layer=bias)
    weights, _ = tl.Serial(make(), make()).init(lk.f32(1, 3, 8))
    assert weights[0][1][5].shape == (1, 2, 1, 4)
    assert weights[1][1][5] == ()


X = lk.f32(2, 4, 8)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: tl.RelativeAttentionLayer(8, n_heads=3),
            "RelativeAttentionLayer: 3 heads cannot share the 8 features",
        ),
        (
            lambda: tl.RelativeAttentionWrapper(8, total_pooling=0),
            "total_kv_pooling must be a whole number of at least 1",
        ),
        (
            lambda: tl.RelativeAttentionWrapper(8, total_pooling=2, mode="predict"),
            "RelativeAttentionLMLayer: in predict mode there is neither separate_cls nor total_kv_pooling",
        ),
        (
            lambda: tl.RelativeAttentionLayer(8).init((lk.f32(2, 3, 8), X, X, lk.bool_(2, 1, 3, 4))),
            "3 queries cannot stand for the 4 positions of 4 keys, 1 each: a whole number of positions each is due",
        ),
        (
            lambda: tl.RelativeAttentionLMLayer(8).init((lk.f32(2, 2, 8), X, X)),
            "expected as many queries as keys, got 2 and 4",
        ),
        (
            lambda: tl.RelativeAttentionLayer(
                8, context_bias_layer=tl.Weights(tl.RandomNormalInitializer(), (8,))
            ).init((X, X, X, lk.bool_(2, 1, 1, 4))),
            "expected biases of shape (1, 1, 1, 8) from Weights, got (8,)",
        ),
        (lambda: tl.RelativeAttentionLayer(8).init((X, X, X, lk.f32(2, 1, 1, 4))), "a mask of truth values"),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, said: str) -> None:
    with pytest.raises(lk.LayerError) as error:
        make()
    assert said in str(error.value)


def test_more_positions_than_there_is_room_for() -> None:
    layer = tl.RelativeAttentionWrapper(8, max_inference_length=4, mode="predict")
    layer.init(lk.f32(2, 3, 8))
    layer(numbers(2, 3, 8))
    with pytest.raises(lk.LayerError, match="called out of order: 2 more after 3 positions"):
        layer(numbers(2, 2, 8))
