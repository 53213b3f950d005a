"""Attention against its formula in NumPy; what may be seen and what not; chunks; what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as onp
import pytest
from values import near, numbers

import layerkit as lk
from layerkit import fastmath
from layerkit import layers as tl
from layerkit.fastmath import numpy as np
from layerkit.fastmath import random

pytestmark = pytest.mark.usefixtures("backend")


def by_hand(q: Any, k: Any, v: Any, seen: Any) -> Any:
    """Attention of one head of one text, query by query: q (m, d), k (n, d), v (n, e), seen (m, n)."""
    rows = []
    for i in range(len(q)):
        keys = [j for j in range(len(k)) if seen[i][j]]
        scores = [math.exp(float(q[i] @ k[j]) / math.sqrt(len(q[i]))) for j in keys]
        rows.append(sum((s * v[j] for s, j in zip(scores, keys, strict=True)), 0 * v[0]) / (sum(scores) or 1))
    return onp.stack(rows)


def heads_by_hand(q: Any, k: Any, v: Any, seen: Any, n_heads: int) -> Any:
    """The same for (b, l, h * d): every head sees its own stretch of the features."""
    parts = [onp.split(x.astype("float64"), n_heads, -1) for x in (q, k, v)]
    return onp.stack(
        [
            onp.concatenate([by_hand(*(part[h][b] for part in parts), seen[b]) for h in range(n_heads)], axis=-1)
            for b in range(len(q))
        ]
    )


def some_mask(*shape: int, seed: int = 3) -> Any:
    return onp.random.default_rng(seed).random(shape) < 0.6


# -- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk_size", [None, 1, 2, 3, 9])
@pytest.mark.parametrize("of_queries", [1, 4])
def test_pure_attention_is_its_formula(chunk_size: int | None, of_queries: int) -> None:
    q, k, v = numbers(2, 4, 6), numbers(2, 5, 6, seed=1), numbers(2, 5, 6, seed=2)
    mask = some_mask(2, 1, of_queries, 5)
    mask[0, 0, 0] = False  # the first query sees nothing
    y, same = tl.PureAttention(n_heads=3, chunk_size=chunk_size)((q, k, v, mask))
    near(y, heads_by_hand(q, k, v, onp.broadcast_to(mask[:, 0], (2, 4, 5)), 3))
    assert not fastmath.to_host(y)[0, 0].any()
    near(same, mask)


@pytest.mark.parametrize("chunk_size", [None, 1, 2, 3, 9])
def test_causal_attention_is_its_formula(chunk_size: int | None) -> None:
    q, k, v = numbers(2, 5, 6), numbers(2, 5, 6, seed=1), numbers(2, 5, 4, seed=2)
    before = onp.broadcast_to(onp.tri(5, dtype=bool), (2, 5, 5))
    near(tl.DotProductCausalAttention(chunk_size=chunk_size)((q, k, v)), heads_by_hand(q, k, v, before, 1))


def dense(weights: Any, x: Any) -> Any:
    kernel, bias = map(fastmath.to_host, weights)
    return x @ kernel + bias


def test_attention_is_dense_layers_around_it() -> None:
    x, mask = numbers(2, 5, 6), some_mask(2, 1, 1, 5)
    mask[..., 0] = True
    attention = tl.Attention(d_feature=8, n_heads=2)
    weights, _ = attention.init((lk.f32(2, 5, 6), lk.bool_(2, 1, 1, 5)), random.get_prng(1))
    of_heads, _, out = weights[1]
    q, k, v = (dense(w, x) for w in of_heads)
    expected = dense(out, heads_by_hand(q, k, v, onp.broadcast_to(mask[:, 0], (2, 5, 5)), 2))
    near(attention((x, mask))[0], expected, 1e-5)


def test_causal_attention_layer_is_dense_layers_around_it() -> None:
    x = numbers(2, 5, 6)
    attention = tl.CausalAttention(d_feature=8, n_heads=4)
    (of_heads, _, _, out), _ = attention.init(x, random.get_prng(1))
    q, k, v = (dense(w[0], x) for w in of_heads)
    before = onp.broadcast_to(onp.tri(5, dtype=bool), (2, 5, 5))
    near(attention(x), dense(out, heads_by_hand(q, k, v, before, 4)), 1e-5)


def test_heads_split_and_merge() -> None:
    x = numbers(2, 5, 6)
    apart = tl.SplitIntoHeads(3, merged_batch_and_head=False)(x)
    merged = tl.SplitIntoHeads(3)(x)
    for b in range(2):
        for h in range(3):
            near(apart[b, h], x[b, :, 2 * h : 2 * h + 2])
            near(merged[3 * b + h], x[b, :, 2 * h : 2 * h + 2])
    near(tl.MergeHeads(3)(merged), x)
    near(tl.MergeHeads(3, merged_batch_and_head=False)(apart), x)


def test_noop_leaves_a_product_out() -> None:
    q, kv, mask = numbers(2, 4, 8), numbers(2, 5, 8, seed=1), onp.ones((2, 1, 1, 5), bool)
    attention = tl.AttentionQKV(8, n_heads=2, q_sparsity="noop", result_sparsity="noop")
    ((nothing, of_k, of_v), _, last), _ = attention.init((q, kv, kv, mask))
    assert nothing == last == ()
    expected = heads_by_hand(q, dense(of_k, kv), dense(of_v, kv), onp.ones((2, 4, 5), bool), 2)
    near(attention((q, kv, kv, mask))[0], expected, 1e-5)


def test_a_mask_of_whole_numbers_holds_where_it_is_not_0() -> None:
    x, mask = numbers(2, 5, 8), onp.array([0, 2, 1, 0, -1], "int32").reshape(1, 1, 1, 5)
    layer = tl.PureAttention(n_heads=2)
    near(layer((x, x, x, mask))[0], layer((x, x, x, mask != 0))[0])


def test_scores_beyond_all_bounds_of_exp_are_taken() -> None:
    x = onp.array([[[30.0], [-30.0], [29.0]]], "float32")
    mask = onp.ones((1, 1, 3), bool)
    near(tl.DotProductAttention()((100 * x, 100 * x, x, mask)), onp.array([[[30.0], [-30.0], [30.0]]]))


# -- who sees what ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk_size", [None, 2])
def test_a_later_token_changes_nothing_before_it(chunk_size: int | None) -> None:
    attention = tl.CausalAttention(d_feature=8, n_heads=2, chunk_size=chunk_size)
    x = numbers(2, 7, 8)
    attention.init(x)
    before = fastmath.to_host(attention(x))
    for place in range(7):
        changed = x.copy()
        changed[:, place] += 100
        after = fastmath.to_host(attention(changed))
        onp.testing.assert_array_equal(after[:, :place], before[:, :place])
        assert (after[:, place] != before[:, place]).any()


@pytest.mark.parametrize("chunk_size", [None, 2])
def test_a_padded_token_changes_nothing_anywhere_else(chunk_size: int | None) -> None:
    attention = tl.Attention(d_feature=8, n_heads=2, chunk_size=chunk_size)
    ids = onp.array([[5, 3, 8, 0, 0], [1, 0, 0, 0, 0]])
    mask = tl.PaddingMask()(ids)
    x = numbers(2, 5, 8)
    attention.init((x, mask))
    real = ids != 0
    before = fastmath.to_host(attention((x, mask))[0])
    after = fastmath.to_host(attention((onp.where(real[..., None], x, 1e4).astype("float32"), mask))[0])
    onp.testing.assert_array_equal(after[real], before[real])
    alone = attention((x[:1, :3], mask[:1, ..., :3]))[0]
    near(alone, before[:1, :3])


def test_what_is_not_seen_gets_no_gradient() -> None:
    x, mask = numbers(1, 5, 4), onp.array([1, 1, 0, 1, 0], bool).reshape(1, 1, 1, 5)
    cotangent = numbers(1, 5, 4, seed=1)
    layer = tl.PureAttention(n_heads=2)
    gradient = fastmath.grad(lambda kv: np.sum(layer((x, kv, kv, mask))[0] * cotangent))(np.array(x))
    assert (fastmath.to_host(gradient)[0] == 0).all(-1).tolist() == [False, False, True, False, True]


def test_encoder_decoder_mask_repeats_the_mask_for_every_query() -> None:
    mask = some_mask(2, 1, 1, 5)
    stretched = tl.EncoderDecoderMask()((numbers(2, 3, 4), mask))
    assert stretched.shape == (2, 1, 3, 5)
    for i in range(3):
        near(stretched[:, :, i], mask[:, :, 0])


# -- chunks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("m", "n", "size", "of_queries"), [(5, 3, 2, True), (1, 6, 4, False), (6, 6, 3, True)])
def test_chunks_change_neither_numbers_nor_gradients(m: int, n: int, size: int, of_queries: bool) -> None:
    q, k, v = (numbers(2, 2, length, 3, seed=i).astype("float64") for i, length in enumerate((m, n, n)))
    mask = some_mask(2, 1, m if of_queries else 1, n)
    cotangent = numbers(2, 2, m, 3, seed=9)

    def value_and_gradients(chunk_size: int | None) -> Any:
        layer = tl.DotProductAttention(chunk_size=chunk_size)
        loss = lambda q, k, v: np.sum(layer((q, k, v, mask)) * cotangent)
        with fastmath.float64():
            gradient = fastmath.jit(fastmath.value_and_grad(loss, (0, 1, 2)))
            return fastmath.to_host(gradient(*map(np.array, (q, k, v))))

    for one, other in zip(*map(fastmath.tree_leaves, map(value_and_gradients, (None, size))), strict=True):
        onp.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("chunk_size", [None, 16])
def test_weights_are_dropped_in_chunks_as_often(chunk_size: int | None) -> None:
    x, mask = onp.ones((1, 1, 64, 1), "float32"), onp.ones((1, 1, 1, 64), bool)
    layer = tl.DotProductAttention(dropout=0.25, chunk_size=chunk_size)
    draw = fastmath.jit(lambda key: layer((0 * x, x, x, mask), rng=key, training=True))
    y = fastmath.to_host(draw(random.get_prng(0)))
    assert abs(y.mean() - 1) < 0.05  # 4096 weights, each kept with 0.75 and divided by it
    assert 0.05 < y.std() < 0.1  # sqrt(1 / 3 / 64) = 0.072


def test_memory_of_chunks_grows_with_the_length_alone(backend: str) -> None:
    if backend != "jax":
        pytest.skip("only a compiler says how much memory a program takes")
    import jax

    def temporary(length: int, chunk_size: int | None) -> int:
        layer = tl.DotProductCausalAttention(chunk_size=chunk_size)
        of = jax.ShapeDtypeStruct((1, length, 16), "float32")
        gradient = jax.grad(lambda q, k, v: (layer((q, k, v)) ** 2).sum(), (0, 1, 2))
        found = jax.jit(gradient).lower(of, of, of).compile().memory_analysis()
        return int(found.temp_size_in_bytes)

    # Plain: some matrices of 8192 x 8192 numbers, 268 MB each.
    plain, short, long = temporary(8192, None), temporary(4096, 128), temporary(8192, 128)
    assert plain > 8192 * 8192 * 4
    assert long < plain / 20
    assert long < 2.2 * short


# -- what is refused --------------------------------------------------------------------------------------------------

X = lk.f32(2, 5, 6)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: tl.Attention(8, n_heads=3), "Attention: 3 heads cannot share the 8 features of d_feature evenly"),
        (lambda: tl.AttentionQKV(8, n_heads=0), "AttentionQKV: n_heads must be a whole number of at least 1, got 0"),
        (lambda: tl.CausalAttention(8, n_heads=5), "CausalAttention: 5 heads cannot share the 8 features"),
        (lambda: tl.CausalAttention(0), "CausalAttention: d_feature must be a whole number of at least 1, got 0"),
        (lambda: tl.Attention(8, dropout=1.0), "dropout must be a number of at least 0 and below 1, got 1.0"),
        (
            lambda: tl.Attention(8, chunk_size=0),
            "PureAttention: chunk_size must be a whole number of at least 1, got 0",
        ),
        (lambda: tl.CausalAttention(8, max_inference_length=0), "max_inference_length must be a whole number"),
        (lambda: tl.AttentionQKV(8, q_sparsity="lowrank"), "unknown q_sparsity 'lowrank': known: noop"),
        (lambda: tl.AttentionQKV(8, result_sparsity=4), "unknown result_sparsity 4"),
        (lambda: tl.Attention(8, mode="test"), "mode is 'train', 'eval', 'predict' or None, got 'test'"),
    ],
)
def test_construction_says_what_is_wrong(make: Any, said: str) -> None:
    with pytest.raises(lk.LayerError) as error:
        make()
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("layer", "signature", "said"),
    [
        (lambda: tl.Attention(6), (X, lk.f32(2, 1, 1, 5)), "a mask of truth values, true where a key may be seen, got"),
        (
            lambda: tl.Attention(6, n_heads=2),
            (X, lk.bool_(2, 5)),
            "expected a mask of shape (1 or 2, 1 or 2, 1 or 5, 5), got (2, 5)",
        ),
        (
            lambda: tl.Attention(6),
            (X, lk.bool_(3, 1, 1, 5)),
            "expected a mask of shape (1 or 2, 1 or 1, 1 or 5, 5), got",
        ),
        (lambda: tl.Attention(6), (X, lk.bool_(2, 1, 1, 4)), "got (2, 1, 1, 4)"),
        (
            lambda: tl.PureAttention(4),
            (X, X, X, lk.bool_(2, 1, 1, 5)),
            "4 heads cannot share the 6 features of its input",
        ),
        (
            lambda: tl.DotProductAttention(),
            (lk.f32(2, 5, 6), lk.f32(2, 4, 7), lk.f32(2, 4, 6), lk.bool_(2, 1, 4)),
            "queries (..., m, d), keys (..., n, d) and values (..., n, e), got (2, 5, 6), (2, 4, 7), (2, 4, 6)",
        ),
        (lambda: tl.DotProductAttention(), (*[lk.f32(2, 0, 6)] * 3, lk.bool_(2, 1, 0)), "attention of nothing"),
        (
            lambda: tl.DotProductCausalAttention(),
            (X, lk.f32(2, 4, 6), lk.f32(2, 4, 6)),
            "expected as many queries as keys",
        ),
        (lambda: tl.ConfigurableAttention(n_heads=4), X, "4 heads cannot share the 6 features"),
        (lambda: tl.SplitIntoHeads(4), X, "SplitIntoHeads: 4 heads cannot share the 6 features of its input evenly"),
        (lambda: tl.SplitIntoHeads(4), lk.f32(5, 6), "expected (batch, length, features), got (5, 6)"),
        (lambda: tl.MergeHeads(4), X, "expected (4 x batch, length, features of a head), got (2, 5, 6)"),
        (lambda: tl.MergeHeads(4, False), lk.f32(2, 3, 5, 6), "expected (batch, 4, length, features of a head)"),
        (lambda: tl.MergeHeads(2, False), lk.f32(2, 2, 5), "expected (batch, heads, length, features of a head)"),
        (lambda: tl.EncoderDecoderMask(), (X, lk.bool_(3, 1, 1, 5)), "expected a mask of shape (2, 1, 1, length)"),
    ],
)
def test_init_says_what_is_wrong_and_where(layer: Any, signature: Any, said: str) -> None:
    with pytest.raises(lk.LayerError) as error:
        lk.Serial(layer()).init(signature)
    assert said in str(error.value)
    assert str(error.value).startswith("Serial > 0:")
    assert "\n" not in str(error.value)
