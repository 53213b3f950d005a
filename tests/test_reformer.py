"""Reformers against their formula in NumPy, and what their options change and what not."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as onp
import pytest

import layerkit as lk
from layerkit import fastmath, models
from layerkit import layers as tl
from layerkit.fastmath import random

SMALL: dict[str, Any] = {"d_model": 8, "d_ff": 12, "n_heads": 2, "max_len": 9, "dropout": 0.0}
TEXT = onp.random.default_rng(0).integers(1, 7, (2, 6)).astype("int32")


def normalized(x: Any, scale: Any, bias: Any) -> Any:
    x = x - x.mean(-1, keepdims=True)
    return x / onp.sqrt((x * x).mean(-1, keepdims=True) + 1e-6) * scale + bias


def attention(x: Any, query: Any, key: Any, value: Any, out: Any) -> Any:
    y = 0
    for wq, wk, wv, wo in zip(query, key, value, out, strict=True):
        scores = onp.exp(onp.einsum("bid,bjd->bij", x @ wq, x @ wk) / math.sqrt(wq.shape[1])) * onp.tri(x.shape[1])
        y = y + scores / scores.sum(-1, keepdims=True) @ (x @ wv) @ wo
    return y


@pytest.mark.parametrize("backend", ["numpy", "jax"])
@pytest.mark.parametrize("options", [{}, {"ff_chunk_size": 3}, {"attention_chunk_size": 1}])
def test_a_language_model_is_its_formula(backend: str, options: dict[str, Any]) -> None:
    with lk.use_backend(backend):
        sizes = {"d_attention_key": 3, "d_attention_value": 5, "n_layers": 2, "ff_activation": tl.Relu}
        model = models.ReformerLM(7, **SMALL, **sizes, **options)
        weights, _ = model.init(TEXT, random.get_prng(1))
        found = fastmath.to_host(model(TEXT))
        table, places, *rest = map(fastmath.to_host, fastmath.tree_leaves(weights))
    x = table[onp.pad(TEXT, ((0, 0), (1, 0)))[:, :-1]] + places[:6]
    take = lambda n: [rest.pop(0) for _ in range(n)]
    y = x
    for _ in range(2):
        x = x + attention(normalized(y, *take(2)), *take(4))
        scale, bias, w1, b1, w2, b2 = take(6)
        y = y + onp.maximum(normalized(x, scale, bias) @ w1 + b1, 0) @ w2 + b2
    scale, bias, w, b = take(4)
    due = normalized(onp.concatenate([x, y], -1), scale, bias) @ w + b
    # Two halves and two swaps a block: what was first is first again.
    assert not rest
    onp.testing.assert_allclose(found, due, rtol=1e-4, atol=1e-5)


def test_positions_can_be_those_of_a_grid() -> None:
    with lk.use_backend("numpy"):
        model = models.ReformerLM(7, n_layers=1, pos_axial_shape=(2, 3), pos_d_axial_embs=(4, 4), **SMALL)
        weights, _ = model.init(TEXT)
        assert [tuple(w.shape) for w in fastmath.tree_leaves(weights)[1:3]] == [(2, 4), (3, 4)]
        assert model(TEXT).shape == (2, 6, 7)


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        ({"pos_type": "sin-cos"}, {"SinCosPositionalEncoding": 1}),
        ({"pos_type": "axial", "pos_axial_shape": (3, 3), "pos_d_axial_embs": (4, 4)}, {"AxialPositionalEncoding": 1}),
        ({"ff_use_sru": 1}, {"SRU_32": 2, "Dense_32": 2}),
        ({"ff_use_sru": (3, 5)}, {"SRU_5": 6, "Dense_5": 2}),
        ({"ff_sparsity": 4}, {"SparseFF": 2, "Dense_12": 0}),
        ({"ff_sparsity": (3, 2, 0.2, 0.5)}, {"SparseFF": 2}),
        ({"loss_sparsity": 2, "loss_sparsity_type": "lowrank", "loss_d_lowrank": 3}, {"LowRankDense": 1, "Dense_3": 1}),
        ({"loss_sparsity": 7}, {"FactoredDense_7": 1}),
        ({"loss_sparsity": 7, "loss_sparsity_prob": 0.5, "mode": "eval"}, {"RandomLayer": 1}),
    ],
)
def test_an_option_puts_in_what_it_says(options: dict[str, Any], kinds: dict[str, int]) -> None:
    with lk.use_backend("numpy"):
        model = models.ReformerLM(7, n_layers=2, **SMALL, **options)
        shown = repr(model)
        names = [line.strip(" ]").partition("[")[0].partition("_in")[0] for line in shown.splitlines()]
        assert {kind: names.count(kind) for kind in kinds} == kinds, shown
        model.init(TEXT)
        assert model(TEXT, rng=random.get_prng(0)).shape == (2, 6, 7)


def test_positions_may_begin_anywhere_while_training() -> None:
    with lk.use_backend("numpy"):
        options = {**SMALL, "pos_start_from_zero_prob": 0.0, "pos_max_offset_to_add": 3}
        model = models.ReformerLM(7, n_layers=1, **options)
        model.init(TEXT)
        ys = [fastmath.to_host(model(TEXT, rng=random.get_prng(seed), training=True)) for seed in range(20)]
        assert len({y.tobytes() for y in ys}) == 4


def test_a_step_of_training_has_the_gradient_of_the_plain_composition() -> None:
    """With buckets, dropout and a choice of units, drawn again in the backward pass."""
    with lk.use_backend("jax"):
        hashed = partial(tl.LSHSelfAttention, chunk_len=2, n_hashes=2)
        options = {**SMALL, "dropout": 0.1, "ff_sparsity": 4}
        model = models.ReformerLM(7, n_layers=2, attention_type=hashed, **options)
        weights, state = model.init(TEXT, random.get_prng(1))
        gradient = lambda: fastmath.jit(fastmath.grad(partial(_total, model, state)))(weights)
        found = gradient()
        reversible = next(layer for layer in model.sublayers if isinstance(layer, tl.ReversibleSerial))
        reversible.__dict__["has_backward"] = False
        due = gradient()
    for one, other in zip(fastmath.tree_leaves(found), fastmath.tree_leaves(due), strict=True):
        onp.testing.assert_allclose(fastmath.to_host(one), fastmath.to_host(other), rtol=1e-3, atol=1e-4)


def _total(model: Any, state: Any, weights: Any) -> Any:
    return (model.pure_fn(TEXT, weights, state, random.get_prng(2), True)[0] ** 2).sum()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: models.ReformerLM(7, n_layers=0), "ReformerLM: n_layers must be a whole number of at least 1, got 0"),
        (lambda: models.ReformerLM(7, attention_type=3), "ReformerLM: attention_type must be a function of the argum"),
        (
            lambda: models.ReformerLM(7, ff_chunk_size=-1),
            "ReformerLM: ff_chunk_size must be a whole number of at least",
        ),
        (
            lambda: models.ReformerLM(7, pos_type="fixed"),
            "ReformerLM: unknown pos_type 'fixed': known: axial, sin-cos",
        ),
        (lambda: models.ReformerLM(7, pos_type="axial"), "shape must be a tuple of whole numbers, one at least"),
        (lambda: models.ReformerLM(7, ff_use_sru=-1), "ReformerLM: ff_use_sru must be a whole number of at least 0"),
        (lambda: models.Reformer(7, ff_use_sru=(1, 2, 3)), r"Reformer: ff_use_sru must be a whole number, or up to 2"),
        (lambda: models.ReformerLM(7, ff_use_sru=(1, 0)), "n_units must be a whole number of at least 1, got 0"),
        (lambda: models.ReformerLM(7, ff_sparsity=3), "SparseFF: d_ff 2048 cannot be cut into blocks of 3"),
        (
            lambda: models.ReformerLM(7, ff_sparsity="3 2"),
            "ff_sparsity must be a whole number of at least 0, got '3 2'",
        ),
        (lambda: models.ReformerLM(7, loss_sparsity=1, loss_sparsity_type="?"), "unknown sparsity_type '.'"),
        (lambda: models.ReformerLM(7, loss_sparsity=1, loss_sparsity_type="lowrank"), "d_lowrank must be a whole numb"),
        (
            lambda: models.ReformerLM(7, attention_chunk_size=-1),
            "attention_chunk_size must be a whole number of at lea",
        ),
        (lambda: models.ReformerLM(7, ff_dropout=1), "ReformerLM: ff_dropout must be a number of at least 0"),
        (lambda: models.ReformerLM(7, d_attention_key=0), "ReformerLM: d_attention_key must be a whole number"),
        (lambda: models.Reformer(7, d_model=8, n_heads=3), "Reformer: 3 heads cannot share the 8 features of d_model"),
        (lambda: models.Reformer(7, n_encoder_layers=0), "Reformer: n_encoder_layers must be a whole number of at lea"),
        (lambda: models.ReformerLM(7, n_layers=1, **{**SMALL, "max_len": 3}).init(TEXT), "longer than max_len"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(make: Callable[[], Any], said: str) -> None:
    with lk.use_backend("numpy"), pytest.raises(lk.LayerError, match=said) as caught:
        make()
    assert "\n" not in str(caught.value)
