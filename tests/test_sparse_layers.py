"""Layers with fewer weights, or fewer of them in use, than Dense: against the same numbers computed at full length."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as onp
import pytest

import layerkit as lk
from layerkit import fastmath
from layerkit import layers as tl

X = onp.random.default_rng(0).normal(size=(3, 5, 8)).astype("f")


pytestmark = pytest.mark.usefixtures("backend")


def made(layer: lk.Layer, x: Any = X) -> tuple[lk.Layer, Any]:
    """The layer with weights of size 1, and these on the host."""
    weights, _ = layer.init(x)
    generator = onp.random.default_rng(1)
    weights = fastmath.nested_map(lambda w: generator.normal(size=w.shape).astype("f"), weights)
    layer.weights = fastmath.to_device(weights)
    return layer, weights


def near(found: Any, wanted: Any) -> None:
    onp.testing.assert_allclose(fastmath.to_host(found), wanted, rtol=1e-4, atol=1e-4)


# -- fewer weights ----------------------------------------------------------------------------------------------------


def test_einsum_dense_is_dense() -> None:
    layer, (kernel, bias) = made(tl.EinsumDense(8, 3))
    near(layer(X), X @ kernel + bias)
    layer, kernel = made(tl.EinsumDense(8, 3, use_bias=False))
    near(layer(X), X @ kernel)


def test_low_rank_dense_is_two_products() -> None:
    layer, ((u, a), (v, b)) = made(tl.LowRankDense(6, d_lowrank=2))
    near(layer(X), (X @ u + a) @ v + b)


@pytest.mark.parametrize("use_bias", [True, False])
def test_factored_dense_sums_over_its_formula(use_bias: bool) -> None:
    layer, weights = made(tl.FactoredDense(2, 8, 6, use_bias=use_bias))
    modules, places = weights[:2]
    wanted = onp.zeros((3, 5, 6), "f")
    for m in range(2):
        for s in range(3):
            for d in range(8):
                wanted[..., 3 * m + s] += X[..., d] * modules[m, d] * places[d, s]
    near(layer(X), wanted + (weights[2] if use_bias else 0))


def test_factored_dense_starts_as_wide_as_dense() -> None:
    layer = tl.FactoredDense(8, 64, 64)
    modules, places, _ = layer.init(lk.f32(2, 64))[0]
    kernel = fastmath.to_host(modules).T[:, :, None] * fastmath.to_host(places)[:, None, :]
    assert kernel.std() == pytest.approx((2 / 128) ** 0.5, rel=0.1)


@pytest.mark.parametrize("kernel_size", [1, 2, 3])
@pytest.mark.parametrize("use_bias", [True, False])
def test_locally_connected_dense_maps_each_module(kernel_size: int, use_bias: bool) -> None:
    layer, weights = made(tl.LocallyConnectedDense(4, 3, kernel_size, use_bias=use_bias))
    kernel, bias = weights if use_bias else (weights, onp.zeros((4, 3), "f"))
    parts = [X[..., 2 * m : 2 * m + 2] for m in range(4)]
    nothing = onp.zeros_like(parts[0])
    first = -((kernel_size - 1) // 2)
    for m in range(4):
        seen = [parts[i] if 0 <= i < 4 else nothing for i in range(m + first, m + first + kernel_size)]
        near(layer(X)[..., 3 * m : 3 * m + 3], onp.concatenate(seen, -1) @ kernel[m] + bias[m])


def test_splitting_and_merging_the_last_axis() -> None:
    split = tl.SplitLastAxis(4)(X)
    assert split.shape == (3, 5, 4, 2)
    near(tl.MergeLastTwoAxes()(split), X)


# -- fewer units ------------------------------------------------------------------------------------------------------


def sparse_reference(weights: Any, x: Any, block: int, multiply: bool = False) -> Any:
    """SparseFF in evaluation, token by token."""
    u, v, c, kernel_in, kernel_out, bias = weights
    out = []
    for token in x.reshape(-1, x.shape[-1]):
        scores = (token @ u @ v + c).reshape(-1, block)
        y = bias.copy()
        for i, of_block in enumerate(scores):
            unit = i * block + int(onp.argmax(of_block))
            soft = onp.exp(of_block - of_block.max())
            scale = soft.max() / soft.sum() if multiply else 1
            y += max(0.0, float(token @ kernel_in[unit])) * scale * kernel_out[unit]
        out.append(y)
    return onp.array(out).reshape(x.shape)


@pytest.mark.parametrize("multiply", [False, True])
@pytest.mark.parametrize("rows", [1, 15])
def test_sparse_ff_uses_one_unit_of_each_block(rows: int, multiply: bool) -> None:
    x = X.reshape(15, 8)[:rows]  # a single token reads its units, more go through the whole product
    layer, weights = made(tl.SparseFF(16, 8, 3, multiply_by_controller_output=multiply), x)
    near(layer(x), sparse_reference(weights, x, 8, multiply))


def test_sparse_ff_while_training_is_soft_or_hard() -> None:
    key = fastmath.random.get_prng(0)
    layer, weights = made(tl.SparseFF(16, 4, 3, temperature=0.0, quant_prob=1.0))
    hard = layer.pure_fn(X, layer.weights, layer.state, key, training=True)[0]
    near(hard, sparse_reference(weights, X, 4))
    layer = tl.SparseFF(16, 4, 3, temperature=0.0, quant_prob=0.0)
    u, v, c, kernel_in, kernel_out, bias = weights
    layer.init(X)
    soft = layer.pure_fn(X, fastmath.to_device(weights), layer.state, key, training=True)[0]
    scores = (X @ u @ v + c).reshape(3, 5, 4, 4)
    mask = onp.exp(scores) / onp.exp(scores).sum(-1, keepdims=True)
    near(soft, (onp.maximum(X @ kernel_in.T, 0) * mask.reshape(3, 5, 16)) @ kernel_out + bias)


def test_the_controller_learns_through_the_hard_choice() -> None:
    for layer in (tl.SparseFF(16, 4, 3, quant_prob=1.0), tl.BlockSparseFF(16, 4)):
        layer, _ = made(layer)
        key = fastmath.random.get_prng(0)
        loss = lambda w, layer=layer, key=key: (layer.pure_fn(X, w, layer.state, key, training=True)[0] ** 2).sum()
        gradients = fastmath.to_host(fastmath.grad(loss)(layer.weights))
        assert all(abs(g).max() > 0 for g in fastmath.tree_leaves(gradients))


def test_options_of_sparse_ff() -> None:
    plain, weights = made(tl.SparseFF(16, 4, 3))
    chunked = tl.SparseFF(16, 4, 3, ff_chunk_size=1)
    chunked.init(X)
    near(chunked(X, weights=(plain.weights,)), sparse_reference(weights, X, 4))
    scaled, unscaled = (tl.SparseFF(16, 4, 3, kernel_scaling=scaling) for scaling in (True, False))
    near(scaled.init(X)[0].kernel_out, 2 * fastmath.to_host(unscaled.init(X)[0].kernel_out))
    assert tl.SparseFF(16, 4, 3, dropout_rate=0.5).sublayers[1].rate == 0.5
    big = tl.SparseFF(16, 4, 3, big_weights_in_bfloat16=True).init(X)[0]
    assert (big.kernel_in.dtype.name, big.controller_in.dtype.name) == ("bfloat16", "float32")


@pytest.mark.parametrize("make", [tl.BlockSparseFF, tl.SwitchSparseFF])
@pytest.mark.parametrize("rows", [1, 15])
def test_each_token_asks_one_expert(make: Callable[..., Any], rows: int) -> None:
    x = X.reshape(15, 8)[:rows]
    layer, (router, kernel_in, kernel_out, bias) = made(make(16, 4), x)
    wanted = []
    for token in x:
        scores = token @ router
        expert = int(onp.argmax(scores))
        own = slice(4 * expert, 4 * expert + 4)
        gate = onp.exp(scores).max() / onp.exp(scores).sum() if make is tl.SwitchSparseFF else 1
        wanted.append(onp.maximum(token @ kernel_in[own].T, 0) @ kernel_out[own] * gate + bias)
    near(layer(x), onp.array(wanted))


def test_the_load_balancing_loss() -> None:
    layer = tl.SwitchSparseFF(16, 4, return_loss=True)
    x = onp.eye(4, 8, dtype="f")
    weights, _ = layer.init(x)
    balanced = weights._replace(router=fastmath.to_device(50 * onp.eye(8, 4, dtype="f")))
    assert float(layer(x, weights=balanced)[1]) == pytest.approx(1.0)  # each expert gets one of the four tokens
    onesided = weights._replace(router=fastmath.to_device(50 * onp.eye(1, 4, dtype="f").repeat(8, 0)))
    assert float(layer(x, weights=onesided)[1]) == pytest.approx(4.0)  # the first gets all


def test_training_on_the_loss_spreads_the_tokens() -> None:
    layer = tl.SwitchSparseFF(16, 4, temperature=0.0, return_loss=True)
    x = onp.random.default_rng(2).normal(size=(64, 8)).astype("f") + 2
    weights, state = layer.init(x)
    loss = fastmath.jit(fastmath.value_and_grad(lambda w: layer.pure_fn(x, w, state, None, training=True)[0][1]))
    before = float(loss(weights)[0])
    for _ in range(100):
        gradients = loss(weights)[1]
        weights = fastmath.nested_map(lambda w, g: w - 0.3 * g, weights, gradients)
    assert float(loss(weights)[0]) < min(1.2, before)


def test_a_random_layer_runs_one_of_two() -> None:
    layer = tl.RandomLayer(lk.Fn("Zero", lambda x: 0 * x), lk.Fn("Double", lambda x: 2 * x), prob_a=0.25)
    doubled = [float(layer(1.0, rng=fastmath.random.get_prng(seed))) == 2.0 for seed in range(200)]
    assert 0.65 < sum(doubled) / 200 < 0.85


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "rank": (lambda: tl.LowRankDense(3, 0), "LowRankDense: d_lowrank must be a whole number of at least 1, got 0"),
    "input": (lambda: tl.EinsumDense(4, 2).init(X), "EinsumDense_4_2: expected last axis 4, got (3, 5, 8)"),
    "modules": (lambda: tl.FactoredDense(4, 8, 6), "FactoredDense: d_out 6 cannot be cut into 4 equal parts"),
    "split": (lambda: tl.SplitLastAxis(3).init(X), "SplitLastAxis: the last axis 8 cannot be cut into 3 equal parts"),
    "local": (
        lambda: tl.LocallyConnectedDense(3, 2).init(X),
        "LocallyConnectedDense: the last axis 8 cannot be cut into 3 equal parts",
    ),
    "blocks": (lambda: tl.SparseFF(10, 4), "SparseFF: d_ff 10 cannot be cut into blocks of 4"),
    "probability": (
        lambda: tl.SparseFF(8, 4, quant_prob=2),
        "SparseFF: quant_prob must be a number of at least 0 and of at most 1, got 2",
    ),
    "experts": (lambda: tl.SwitchSparseFF(10, 4), "SwitchSparseFF: d_ff 10 cannot be shared by 4 experts"),
    "temperature": (
        lambda: tl.BlockSparseFF(8, 4, temperature=-1),
        "BlockSparseFF: temperature must be a number of at least 0, got -1",
    ),
    "coin": (
        lambda: tl.RandomLayer([], [], prob_a=1.5),
        "RandomLayer: prob_a must be a number of at least 0 and of at most 1, got 1.5",
    ),
    "other input": (
        lambda: made(tl.SwitchSparseFF(8, 4))[0](X[..., :4]),
        "SwitchSparseFF: expected last axis 8, got (3, 5, 4)",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case: str) -> None:
    make, words = REFUSED[case]
    with pytest.raises(lk.LayerError) as caught:
        make()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
