"""Attention with weights for each head, in chunks and by buckets: formulas in NumPy, what may be seen, predict mode."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as onp
import pytest
import values

import layerkit as lk
from layerkit import fastmath
from layerkit import layers as tl
from layerkit.fastmath import random

LENGTH = 7
X = onp.random.default_rng(0).normal(size=(2, LENGTH, 6)).astype("float32")
SIZES = {"n_heads": 2, "d_qk": 4, "d_v": 3}
REAL = onp.array([[True] * 5 + [False] * 2, [True] * LENGTH])


near = partial(values.near, tolerance=3e-6)

pytestmark = pytest.mark.usefixtures("backend")


def ready(layer: Any, *inputs: Any) -> Any:
    layer.init(tuple(inputs) if len(inputs) > 1 else inputs[0], rng=random.get_prng(3))
    return layer


def run(layer: Any, x: Any, weights: Any = None) -> Any:
    """An evaluation, by a compiled program."""
    weights = layer.weights if weights is None else weights
    return fastmath.to_host(fastmath.jit(lambda x, w: layer.pure_fn(x, w, ())[0])(x, weights))


def by_hand(x: Any, context: Any, weights: Any, sees: Callable[[int, int, int, int], bool]) -> Any:
    """Query by query; ``sees(example, head, query, key)``. Keys are made of queries where they have no weights."""
    w = [None if type(one) is tuple else fastmath.to_host(one).astype("float64") for one in weights]
    y = onp.zeros(x.shape)
    for b in range(len(x)):
        for h in range(len(w[0])):
            q, v = x[b] @ w[0][h], context[b] @ w[2][h]
            k = q / onp.sqrt((q * q).mean(-1, keepdims=True)) if w[1] is None else context[b] @ w[1][h]
            for i in range(len(q)):
                seen = [j for j in range(len(k)) if sees(b, h, i, j)]
                if w[1] is None and len(seen) > 1:
                    seen = [j for j in seen if j != i]
                if seen:
                    e = onp.exp(k[seen] @ q[i] / math.sqrt(q.shape[1]))
                    y[b, i] += (e / e.sum()) @ v[seen] @ w[3][h]
    return y


@pytest.mark.parametrize(
    ("options", "sees"),
    [
        ({}, lambda i, j: True),
        ({"causal": True, "share_qk": True}, lambda i, j: j <= i),
        ({"chunk_len": LENGTH, "share_qk": True}, lambda i, j: True),
        ({"chunk_len": 3, "n_chunks_before": 1, "causal": True}, lambda i, j: j <= i and i // 3 - j // 3 <= 1),
        ({"chunk_len": 2, "n_chunks_after": 1}, lambda i, j: 0 <= j // 2 - i // 2 <= 1),
        ({"chunk_len": 2, "n_parallel_heads": 1}, lambda i, j: j // 2 == i // 2),
        ({"n_parallel_heads": 2}, lambda i, j: True),
    ],
)
def test_self_attention_is_its_formula(options: dict[str, Any], sees: Callable[[int, int], bool]) -> None:
    layer = ready(tl.SelfAttention(**SIZES, **options), X)
    near(run(layer, X), by_hand(X, X, layer.weights, lambda b, h, i, j: sees(i, j)))
    masked = tl.SelfAttention(**SIZES, **options, masked=True)
    y = run(masked, (X, REAL), layer.weights)
    near(y, by_hand(X, X, layer.weights, lambda b, h, i, j: sees(i, j) and REAL[b, j]))
    near(run(masked, (X, REAL[:, None, None, :].astype("int32")), layer.weights), y)


def test_attention_to_an_encoded_text_is_its_formula() -> None:
    context = X[:, :5, :3]
    layer = ready(tl.EncDecAttention(**SIZES), X, context, REAL[:, :5])
    near(run(layer, (X, context, REAL[:, 2:])), by_hand(X, context, layer.weights, lambda b, h, i, j: REAL[b, j + 2]))
    free = tl.EncDecAttention(**SIZES, masked=False, n_parallel_heads=1)
    near(run(free, (X, context), layer.weights), by_hand(X, context, layer.weights, lambda b, h, i, j: True))


# -- buckets ----------------------------------------------------------------------------------------------------------


def buckets_by_hand(weights: Any, factors: list[int], n_hashes: int, real: Any) -> Any:
    """(b, h, rounds, l), with the vectors R that an evaluation has."""
    shape = (2, 4, n_hashes, sum(factors) // 2)
    rotations = fastmath.to_host(random.normal(random.get_prng(0), shape)).astype("float64")
    q = onp.einsum("bld,hde->bhle", X.astype("float64"), fastmath.to_host(weights.query))
    found, start = onp.zeros((2, 2, n_hashes, LENGTH), int), 0
    for n in factors:
        columns = onp.einsum("bhle,hern->bhrln", q, rotations[..., start : start + n // 2])
        found = found * n + onp.concatenate([columns, -columns], -1).argmax(-1)
        start += n // 2
    return onp.where(real[:, None, None, :], found, math.prod(factors))


def sees_of_buckets(buckets: Any, real: Any, size: int, before: int, after: int, causal: bool) -> Any:
    """Whether a query sees a key: found by sorting positions, as the docstring says it."""

    def sees(b: int, h: int, i: int, j: int) -> bool:
        for of in buckets[b, h]:
            order = sorted(range(LENGTH), key=lambda p: (of[p], p))
            at = {p: rank for rank, p in enumerate(order)}
            chunks = at[j] // size - at[i] // size
            close = 0 <= at[i] - at[j] <= before * size if causal else -before <= chunks <= after
            if real[b, j] and of[i] == of[j] and close:
                return True
        return False

    return sees


@pytest.mark.parametrize(
    ("options", "factors", "masked"),
    [
        ({"n_hashes": 1, "n_chunks_after": 1}, [8], True),
        ({"n_hashes": 3, "causal": True}, [8], False),
        ({"n_hashes": 2, "n_chunks_before": 2, "n_buckets": (2, 4), "n_parallel_heads": None}, [2, 4], False),
        ({"n_hashes": 2, "causal": True, "max_length_for_buckets": 4, "n_parallel_heads": 4}, [4], True),
        ({"n_hashes": 4, "n_buckets": 2}, [2], False),
    ],
)
def test_hashed_attention_is_its_formula(options: dict[str, Any], factors: list[int], masked: bool) -> None:
    layer = tl.LSHSelfAttention(**SIZES, chunk_len=2, masked=masked, **options)
    real = REAL if masked else onp.ones_like(REAL)
    inputs = (X, REAL) if masked else X
    layer.init(inputs, rng=random.get_prng(5))
    buckets = buckets_by_hand(layer.weights, factors, options["n_hashes"], real)
    assert len(set(buckets[real[:, None, None, :].repeat(2, 1).repeat(options["n_hashes"], 2)].tolist())) > 1
    before, after = options.get("n_chunks_before", 1), options.get("n_chunks_after", 0)
    sees = sees_of_buckets(buckets, real, 2, before, after, options.get("causal", False))
    near(run(layer, inputs), by_hand(X, X, layer.weights, sees))


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("options", [{"n_buckets": 1, "n_chunks_before": 4, "chunk_len": 2}, {"chunk_len": LENGTH}])
def test_one_bucket_is_full_attention(options: dict[str, Any], causal: bool) -> None:
    options = {**options, "n_chunks_after": 0 if causal else 3}
    full = ready(tl.SelfAttention(**SIZES, share_qk=True, causal=causal), X)
    hashed = tl.LSHSelfAttention(**SIZES, **options, n_hashes=2, causal=causal)
    near(run(hashed, X, full.weights), run(full, X))


def test_two_trainings_hash_differently_and_two_evaluations_alike() -> None:
    layer = ready(tl.LSHSelfAttention(**SIZES, chunk_len=2), X)
    one, other = (
        fastmath.to_host(layer.pure_fn(X, layer.weights, layer.state, random.get_prng(i), True)[0]) for i in (0, 1)
    )
    assert not onp.allclose(one, other)
    near(layer(X, rng=random.get_prng(0)), layer(X, rng=random.get_prng(1)), tolerance=0)


# -- what may be seen -------------------------------------------------------------------------------------------------

CAUSAL = [
    lambda **more: tl.SelfAttention(**SIZES, causal=True, chunk_len=3, n_chunks_before=1, share_qk=True, **more),
    lambda **more: tl.LSHSelfAttention(**SIZES, causal=True, chunk_len=2, n_hashes=2, n_buckets=4, **more),
]


@pytest.mark.parametrize("make", CAUSAL, ids=["chunks", "buckets"])
def test_later_positions_change_nothing(make: Callable[..., Any]) -> None:
    layer = ready(make(), X)
    y = run(layer, X)
    for t in (1, 4, 6):
        changed = X.copy()
        changed[:, t:] = 9 * onp.random.default_rng(t).normal(size=changed[:, t:].shape)
        found = run(layer, changed)
        near(found[:, :t], y[:, :t])
        assert not onp.allclose(found, y)


@pytest.mark.parametrize(
    "make",
    [
        lambda: tl.SelfAttention(**SIZES, masked=True, chunk_len=3, n_chunks_before=1, n_chunks_after=1),
        lambda: tl.LSHSelfAttention(**SIZES, masked=True, chunk_len=2, n_hashes=2, n_chunks_after=1),
    ],
    ids=["chunks", "buckets"],
)
def test_padding_changes_nothing(make: Callable[[], Any]) -> None:
    layer = ready(make(), X, REAL)
    changed = onp.where(REAL[..., None], X, 9 * X[:, ::-1])
    y, found = (run(layer, (x, REAL)) for x in (X, changed))
    near(found[REAL], y[REAL])


@pytest.mark.parametrize("make", CAUSAL, ids=["chunks", "buckets"])
@pytest.mark.parametrize("pieces", [[1, 1, 5], [3, 1, 3]])
def test_piece_by_piece_is_the_whole(make: Callable[..., Any], pieces: list[int]) -> None:
    whole = ready(make(), X)
    layer = ready(make(mode="predict", predict_mem_len=LENGTH), X[:, :1])
    ends = onp.cumsum([0, *pieces])
    found = [layer(X[:, i:j], weights=whole.weights) for i, j in pairwise(ends)]
    near(onp.concatenate([*map(fastmath.to_host, found)], axis=1), run(whole, X))
    with pytest.raises(lk.LayerError, match="beyond predict_mem_len=7"):
        layer(X[:, :1])


FORGETS: dict[str, Callable[..., Any]] = {
    "whole": partial(tl.SelfAttention, **SIZES, causal=True),
    "whole, keys of queries": partial(tl.SelfAttention, **SIZES, causal=True, share_qk=True),
    "chunks": partial(tl.SelfAttention, **SIZES, causal=True, chunk_len=2, n_chunks_before=1),
    "buckets": partial(tl.LSHSelfAttention, **SIZES, causal=True, chunk_len=2, n_hashes=2, n_buckets=4),
}


@pytest.mark.parametrize("name", FORGETS)
def test_what_is_forgotten_makes_room(name: str) -> None:
    make = FORGETS[name]
    whole = ready(make(), X)
    layer = ready(make(mode="predict", predict_mem_len=5, predict_drop_len=4), X[:, :1])
    step = fastmath.jit(lambda x, state: layer.pure_fn(x, whole.weights, state))
    kept, state = X[:, :0], layer.state
    for i, j in pairwise([0, 3, 5, 6, 7, 9, 10, 11]):
        x = onp.concatenate([X, X[:, ::-1]], axis=1)[:, i:j]
        kept = onp.concatenate([kept if kept.shape[1] + j - i <= 5 else kept[:, 4:], x], axis=1)
        y, state = step(x, state)
        near(y, run(whole, kept)[:, i - j :])


# -- memory and gradients ---------------------------------------------------------------------------------------------


def gradients(layer: Any, rng: Any, *inputs: Any) -> list[Any]:
    def total(weights: Any, inputs: Any) -> Any:
        y = layer.pure_fn(inputs if len(inputs) > 1 else inputs[0], weights, layer.state, rng, True)[0]
        return (layer_sum(y) ** 2).sum()

    layer_sum = lambda y: sum(y) if type(y) is tuple else y
    of_weights, of_inputs = fastmath.jit(fastmath.grad(total, argnums=(0, 1)))(layer.weights, inputs)
    return [*map(fastmath.to_host, fastmath.tree_leaves((of_weights, of_inputs)))]


@pytest.mark.parametrize("parallel", [1, 4])
def test_heads_in_turn_have_the_same_gradients(parallel: int) -> None:
    make = lambda parallel: tl.LSHSelfAttention(
        **SIZES, chunk_len=2, n_hashes=2, n_parallel_heads=parallel, bias=True, causal=True
    )
    all_at_once, in_turn = ready(make(None), X), ready(make(parallel), X)
    rng = random.get_prng(7)
    for one, other in zip(gradients(all_at_once, rng, X), gradients(in_turn, rng, X), strict=True):
        near(one, other, tolerance=1e-5)


@pytest.mark.parametrize("backend", ["numpy"], indirect=True)
def test_a_reversible_block_hashes_alike_both_times(backend: str) -> None:
    """On JAX, see the whole model in test_reformer.py."""
    halves = [
        tl.ReversibleHalfResidual(tl.LayerNorm(), tl.LSHSelfAttention(**SIZES, chunk_len=2, attention_dropout=0.1)),
        tl.ReversibleSwap(),
        tl.ReversibleHalfResidual(tl.LayerNorm(), tl.LSHSelfAttention(**SIZES, chunk_len=2)),
    ]
    reversible, plain = ready(tl.ReversibleSerial(halves), X, X), ready(lk.Serial(halves), X, X)
    rng = random.get_prng(11)
    for one, other in zip(gradients(reversible, rng, X, X), gradients(plain, rng, X, X), strict=True):
        near(one, other, tolerance=1e-4)


# -- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: tl.SelfAttention(n_heads=0), "SelfAttention: n_heads must be a whole number of at least 1, got 0"),
        (lambda: tl.SelfAttention(n_heads=4, n_parallel_heads=3), "n_parallel_heads 3 neither divides n_heads 4"),
        (lambda: tl.SelfAttention(n_chunks_before=1), "n_chunks_before and n_chunks_after need a chunk_len"),
        (
            lambda: tl.SelfAttention(chunk_len=2, n_chunks_after=-1),
            "n_chunks_after must be a whole number of at least 0",
        ),
        (lambda: tl.SelfAttention(mode="predict"), "SelfAttention: mode 'predict' is for causal attention without"),
        (
            lambda: tl.SelfAttention(causal=True, mode="predict", predict_mem_len=5, predict_drop_len=6),
            "SelfAttention: predict_drop_len=6 is more than predict_mem_len=5",
        ),
        (
            lambda: tl.SelfAttention(causal=True, chunk_len=4, mode="predict", predict_drop_len=6),
            "SelfAttention: predict_drop_len=6 is no multiple of chunk_len=4",
        ),
        (
            lambda: tl.LSHSelfAttention(predict_drop_len=0),
            "LSHSelfAttention: predict_drop_len must be a whole number of at least 1, got 0",
        ),
        (lambda: tl.SelfAttention(output_dropout=1), "output_dropout must be a number of at least 0 and below 1"),
        (lambda: tl.LSHSelfAttention(mode="predict"), "LSHSelfAttention: mode 'predict' is for causal attention"),
        (lambda: tl.LSHSelfAttention(n_buckets=3), "n_buckets must be 1, an even number or several, got 3"),
        (lambda: tl.LSHSelfAttention(n_buckets=[]), "n_buckets must be 1, an even number or several, got"),
        (lambda: tl.LSHSelfAttention(causal=True, n_chunks_before=0), "causal attention needs n_chunks_before of at"),
        (lambda: tl.LSHSelfAttention(max_length_for_buckets=0), "max_length_for_buckets must be a whole number"),
        (lambda: ready(tl.SelfAttention(), X[0]), r"expected \(batch, length, features\), got \(7, 6\)"),
        (lambda: ready(tl.SelfAttention(), X)(X[..., :3]), r"expected \(batch, length, 6\), got \(2, 7, 3\)"),
        (lambda: ready(tl.EncDecAttention(masked=False), X, X)((X, X[:1])), "expected sequences of one batch, got"),
        (lambda: ready(tl.EncDecAttention(masked=False), X, X)((X, X[:, :0])), "attention of nothing: axis 1 is empty"),
        (lambda: ready(tl.SelfAttention(masked=True), X, REAL[:, :3]), r"\(2, 7\) or \(2, 1, 1, 7\), true where"),
        (lambda: ready(tl.SelfAttention(masked=True), X, X[..., 0]), "expected a mask of truth values .* got float32"),
        (lambda: ready(tl.LSHSelfAttention(n_buckets=2**28), X), "buckets and a length of 7 are too many for 32-bit"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(lk.LayerError, match=said) as caught:
        make()
    assert "\n" not in str(caught.value)
