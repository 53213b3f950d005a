"""Attention through features: its formula in NumPy, how near softmax it is, what may be seen, predict mode."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as onp
import pytest
import values
from values import numbers

import layerkit as lk
from layerkit import fastmath
from layerkit import layers as tl

LENGTH = 70
"""More than a chunk of positions."""


near = partial(values.near, tolerance=1e-5)

pytestmark = pytest.mark.usefixtures("backend")


def by_hand(q: Any, k: Any, v: Any, seen: Any, stabilizer: float) -> Any:
    weights = (onp.maximum(q, 0) + stabilizer) @ (onp.maximum(k, 0) + stabilizer).T * seen
    return weights @ v / onp.maximum(weights.sum(-1, keepdims=True), 1e-30)


def test_it_is_its_formula() -> None:
    q, k, v = numbers(2, 3, 4), numbers(2, 5, 4, seed=1), numbers(2, 5, 6, seed=2)
    mask = onp.array([[[True, True, False, True, False]], [[False] * 5]])
    y, out = tl.FavorAttention(d_feature=4, numerical_stabilizer=0.1)((q, k, v, mask))
    near(y[0], by_hand(q[0], k[0], v[0], mask[0], 0.1))
    near(y[1], onp.zeros((3, 6)))
    assert fastmath.to_host(out).tolist() == mask.tolist()


@pytest.mark.parametrize("normalize", [False, True])
def test_more_features_come_nearer_to_softmax(normalize: bool) -> None:
    q, k, v = numbers(1, 20, 8), numbers(1, 20, 8, seed=1), numbers(1, 20, 4, seed=2)
    q, k = (q / 2, k / 2) if normalize else (q / 3, k / 3)
    mask = onp.arange(20)[None, None, :] < 15
    scores = onp.exp(q @ k.swapaxes(1, 2) / (math.sqrt(8) if normalize else 1)) * mask
    due = scores / scores.sum(-1, keepdims=True) @ v
    errors = []
    for n in (16, 256, 4096):
        layer = tl.FavorAttention(8, 1, n, use_approximate_softmax=True, normalize_data=normalize, epsilon=1e-6)
        errors.append(float(onp.abs(fastmath.to_host(layer((q, k, v, mask))[0]) - due).mean()))
    assert errors[2] < errors[1] / 2 < errors[0] / 4, errors
    assert errors[2] < 0.02


def test_padding_changes_nothing() -> None:
    x, mask = numbers(2, 6, 8), onp.arange(6)[None, None, None, :] < onp.array([[[[4]]], [[[6]]]])
    layer = tl.Favor(8, n_heads=2, n_random_features=16, use_approximate_softmax=True)
    layer.init((x, mask))
    changed = x.copy()
    changed[0, 4:] *= 50
    y, found = (fastmath.to_host(layer((one, mask))[0]) for one in (x, changed))
    near(found[0, :4], y[0, :4])
    near(found[1], y[1])


def test_causal_sums_over_chunks_are_the_formula() -> None:
    q, k, v = numbers(2, LENGTH, 3), numbers(2, LENGTH, 3, seed=1), numbers(2, LENGTH, 4, seed=2)
    y = tl.CausalFavorAttention(numerical_stabilizer=0.01)((q, k, v))
    for b in range(2):
        near(y[b], by_hand(q[b], k[b], v[b], onp.tri(LENGTH), 0.01))


def test_later_positions_change_nothing() -> None:
    x = numbers(1, LENGTH, 8)
    layer = tl.CausalFavor(8, n_heads=2)
    layer.init(x)
    y = fastmath.to_host(layer(x))
    for t in (1, 40, 66):
        changed = x.copy()
        changed[:, t:] *= -3
        found = fastmath.to_host(layer(changed))
        near(found[:, :t], y[:, :t])
        assert not onp.allclose(found[:, t], y[:, t])


def test_piece_by_piece_is_the_whole() -> None:
    x = numbers(2, LENGTH, 8)
    whole, layer = tl.CausalFavor(8, n_heads=2), tl.CausalFavor(8, n_heads=2, mode="predict")
    weights, _ = whole.init(x)
    layer.init(x[:, :1])
    found = [fastmath.to_host(layer(x[:, i:j], weights=weights)) for i, j in ((0, 66), (66, 67), (67, 70))]
    near(onp.concatenate(found, axis=1), fastmath.to_host(whole(x)), tolerance=3e-5)
    with pytest.raises(lk.LayerError, match=r"initialized for sums \(2, 2, 4, 5\), got \(1, 2, 4, 5\); init it again"):
        layer(x[:1])


def test_compositions_are_made_of_the_layers_they_name() -> None:
    kinds = {
        tl.ModularCausalAttention: "LocallyConnectedDense",
        tl.MultiplicativeCausalAttention: "FactoredDense_8",
        tl.MultiplicativeModularCausalAttention: "MultiplicativeModularSparseDense",
        tl.LowRankCausalAttention: "LowRankDense",
    }
    for make, inside in kinds.items():
        written = repr(make(8, n_heads=2))
        assert written.count(inside) == (3 if make is tl.MultiplicativeModularCausalAttention else 4), written
        assert written.startswith(make.__name__)
    assert repr(tl.SparseDenseWithOptions(6)) == "Dense_6"
    assert repr(tl.SparseDenseWithOptions(6, 8, "einsum")) == "EinsumDense_8_6"
    assert repr(tl.SparseDenseWithOptions(6, 8, "mult", 2)) == "FactoredDense_6"
    sometimes = tl.SparseDenseWithOptions(6, 8, "mult", 2, prob_sparse=0.5)
    assert "FactoredDense_6" in repr(sometimes)
    assert "Dense_6" in repr(sometimes).replace("FactoredDense_6", "")


def test_the_sparse_layer_alone_is_run_where_that_is_due() -> None:
    layer = tl.SparseDenseWithOptions(6, 8, "mult", 2, prob_sparse=0.5, mode="eval")
    weights, _ = layer.init(lk.f32(3, 8), rng=fastmath.random.get_prng(0))
    sparse = tl.SparseDenseWithOptions(6, 8, "mult", 2)
    x = numbers(3, 8)
    of_sparse = next(w for w in fastmath_leaves(weights) if len(w) == 3)
    for i in range(5):
        near(layer(x, rng=fastmath.random.get_prng(i)), fastmath.to_host(sparse(x, weights=of_sparse)))


def fastmath_leaves(weights: Any) -> Iterator[Any]:
    """Every tuple of arrays in a tree of weights."""
    if type(weights) is tuple and not any(hasattr(w, "shape") for w in weights):
        for inner in weights:
            yield from fastmath_leaves(inner)
    else:
        yield weights


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: tl.FavorAttention(d_feature=6, n_heads=4), "4 heads cannot share the 6 features of d_feature evenly"),
        (lambda: tl.FavorAttention(n_random_features=0), "n_random_features must be a whole number of at least 1"),
        (lambda: tl.FavorAttention(epsilon=-1), "epsilon must be a number of at least 0, got -1"),
        (lambda: tl.CausalFavor(6, n_heads=4), "CausalFavor: 4 heads cannot share the 6 features"),
        (lambda: tl.CausalFavor(6, dropout=1), "CausalFavor: dropout must be a number of at least 0 and below 1"),
        (
            lambda: tl.FavorAttention(3)((*[numbers(2, 4)] * 3, onp.ones((1, 2), bool))),
            "queries and keys of 3 features",
        ),
        (
            lambda: tl.FavorAttention(4)((*[numbers(2, 4)] * 3, onp.ones((1, 3), bool))),
            r"expected a mask of shape \(1 or 1, 2\), got \(1, 3\)",
        ),
        (
            lambda: tl.CausalFavorAttention()((numbers(3, 4), numbers(2, 4), numbers(2, 4))),
            r"expected as many queries as keys, got \(3, 4\) and \(2, 4\)",
        ),
        (
            lambda: tl.CausalFavorAttention()((numbers(3, 4), numbers(3, 5), numbers(3, 4))),
            r"expected queries \(..., m",
        ),
        (
            lambda: tl.ModularCausalAttention(8, sparsity=3),
            "ModularCausalAttention: sparsity 3 does not divide d_featur",
        ),
        (lambda: tl.LowRankCausalAttention(8, lowrank=0), "LowRankCausalAttention: lowrank must be a whole number"),
        (lambda: tl.SparseDenseWithOptions(6, sparsity_type="mul"), "unknown sparsity_type 'mul': did you mean 'mult'"),
        (lambda: tl.SparseDenseWithOptions(6, 8, "mult"), "sparsity must be a whole number of at least 1, got 0"),
        (lambda: tl.SparseDenseWithOptions(6, sparsity_type="lowrank"), "d_lowrank must be a whole number"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(lk.LayerError, match=said) as caught:
        make()
    assert "\n" not in str(caught.value)
