"""Predict mode: a sequence taken piece by piece gives what it gives at once; and what is called out of order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as onp
import pytest
from values import numbers

import layerkit as lk
from layerkit import fastmath
from layerkit import layers as tl
from layerkit.fastmath import random

pytestmark = pytest.mark.usefixtures("backend")


def decoder(mode: str | None) -> lk.Layer:
    """All kinds of positions and causal layers in one model."""
    return tl.Serial(
        tl.PositionalEncoding(max_len=9, mode=mode),
        tl.Residual(tl.LayerNorm(), tl.CausalAttention(8, n_heads=2, max_inference_length=9, mode=mode)),
        tl.Residual(tl.CausalDepthwiseConv(mode=mode)),
        tl.ConfigurableAttention(
            [tl.Dense(8), tl.Rotate(2, mode=mode)],
            [tl.Dense(8), tl.Rotate(2, mode=mode)],
            tl.Dense(8),
            tl.Dense(8),
            tl.DotProductCausalAttention(max_inference_length=9, mode=mode),
            n_heads=2,
        ),
        tl.AxialPositionalEncoding(shape=(3, 3), d_embs=(4, 4), mode=mode),
        tl.LearnedPositionalEncoding(max_len=9, mode=mode),
        tl.SinCosPositionalEncoding(mode=mode),
    )


CASES: dict[str, Callable[[str | None], lk.Layer]] = {
    "CausalAttention": lambda mode: tl.CausalAttention(8, n_heads=4, max_inference_length=9, mode=mode),
    "in chunks": lambda mode: tl.CausalAttention(8, n_heads=2, max_inference_length=9, mode=mode, chunk_size=2),
    "with dconv": lambda mode: tl.CausalAttention(8, max_inference_length=9, use_dconv=True, mode=mode),
    "CausalConv": lambda mode: tl.Serial(tl.CausalConv(6, 3, dilation=2, mode=mode), tl.CausalConv(8, 1, mode=mode)),
    "decoder": decoder,
}


def in_pieces(step: Callable[..., Any], x: Any, lengths: Sequence[int], state: Any) -> Any:
    """The outputs for pieces of these lengths, side by side."""
    parts, start = [], 0
    for length in lengths:
        y, state = step(x[:, start : start + length], state)
        parts.append(fastmath.to_host(y))
        start += length
    return onp.concatenate(parts, axis=1)


@pytest.mark.parametrize(
    ("name", "lengths"),
    [
        ("CausalAttention", (1,) * 9),
        ("in chunks", (4, 1, 3)),
        ("with dconv", (1, 2, 1)),
        ("CausalConv", (1, 3, 1, 6)),
        ("decoder", (4, 1, 1, 3)),
        ("decoder", (9,)),
    ],
)
def test_piece_by_piece_is_as_at_once(name: str, lengths: tuple[int, ...]) -> None:
    x = numbers(2, sum(lengths), 8)
    whole, pieces = CASES[name](None), CASES[name]("predict")
    weights, _ = whole.init(x, random.get_prng(1))
    own, state = pieces.init(x[:, : lengths[0]], random.get_prng(1))
    assert lk.signature(own) == lk.signature(weights)  # a trained model's weights fit
    step = fastmath.jit(lambda x, state: pieces.pure_fn(x, weights, state))
    found = in_pieces(step, x, lengths, state)
    expected = fastmath.jit(lambda x: whole.pure_fn(x, weights, whole.state)[0])(x)
    onp.testing.assert_allclose(found, fastmath.to_host(expected), rtol=1e-5, atol=1e-5)


def test_a_causal_convolution_of_another_batch_is_refused() -> None:
    conv = tl.CausalConv(4, mode="predict")
    conv.init(lk.f32(2, 1, 3))
    with pytest.raises(lk.LayerError, match="initialized for a batch of 2, got 3; init it again"):
        conv(numbers(3, 1, 3))


def test_a_compiled_loop_decodes_and_starts_again() -> None:
    x = numbers(2, 6, 8)
    whole, pieces = decoder(None), decoder("predict")
    weights, _ = whole.init(x, random.get_prng(1))
    _, state = pieces.init(x[:, :1])

    def step(state: Any, x: Any) -> Any:
        y, state = pieces.pure_fn(x[:, None], weights, state)
        return state, y[:, 0]

    loop = fastmath.jit(lambda x: fastmath.scan(step, state, x.swapaxes(0, 1))[1])
    for seed in (0, 1):
        x = numbers(2, 6, 8, seed=seed)
        found = fastmath.to_host(loop(x)).swapaxes(0, 1)
        onp.testing.assert_allclose(found, fastmath.to_host(whole(x)), rtol=1e-5, atol=1e-5)


def test_the_state_holds_rows_of_the_batch_and_counts() -> None:
    """A beam search reorders the rows of what has axes, and leaves the counts alone."""
    x, order = numbers(3, 5, 8), [2, 0, 0]
    pieces = decoder("predict")
    weights, state = pieces.init(x[:, :1], random.get_prng(1))
    for leaf in fastmath.tree_leaves(state):
        assert leaf.shape == () or leaf.shape[0] == 3
    _, state = pieces.pure_fn(x[:, :4], weights, state)
    mixed = fastmath.nested_map(lambda leaf: leaf[onp.array(order)] if leaf.shape else leaf, state)
    y, _ = pieces.pure_fn(x[order, 4:], weights, mixed)
    expected, _ = pieces.pure_fn(x[:, 4:], weights, state)
    onp.testing.assert_allclose(fastmath.to_host(y), fastmath.to_host(expected)[order], rtol=1e-5, atol=1e-6)


def test_keys_and_values_of_an_encoded_text_are_computed_once() -> None:
    q, kv, mask = numbers(2, 1, 8), numbers(2, 5, 8, seed=1), onp.ones((2, 1, 1, 5), bool)
    layer = tl.AttentionQKV(8, n_heads=2, mode="predict", cache_KV_in_predict=True)
    layer.init((q, kv, kv, mask))
    first = fastmath.to_host(layer((q, kv, kv, mask))[0])
    onp.testing.assert_array_equal(fastmath.to_host(layer((q, 0 * kv, 0 * kv, mask))[0]), first)
    other = fastmath.to_host(layer((2 * q, 0 * kv, 0 * kv, mask))[0])
    assert not onp.allclose(other, first)


# -- out of order -----------------------------------------------------------------------------------------------------

LIMITED: dict[str, tuple[Callable[[], lk.Layer], str]] = {
    "CausalAttention": (
        lambda: tl.CausalAttention(8, max_inference_length=4, mode="predict"),
        "max_inference_length=4",
    ),
    "PositionalEncoding": (lambda: tl.PositionalEncoding(max_len=4, mode="predict"), "max_len=4"),
    "Axial": (lambda: tl.AxialPositionalEncoding((2, 2), (4, 4), mode="predict"), "the product of shape=4"),
}


@pytest.mark.parametrize("name", LIMITED)
def test_more_positions_than_there_is_room_for(name: str) -> None:
    make, limit = LIMITED[name]
    layer = make()
    x = numbers(2, 3, 8)
    _, state = layer.init(x)
    layer(x)
    with pytest.raises(lk.LayerError) as error:
        layer(x[:, :2])
    said = f"called out of order: 2 more after 3 positions is beyond {limit}; start again from the state that init gave"
    assert said in str(error.value)
    layer(x[:, :1])  # one more fits
    layer.state = state
    layer(x)  # and so does a new beginning
    with pytest.raises(lk.LayerError, match=f"a sequence of 5 is longer than {limit}"):
        layer(numbers(2, 5, 8))
    with pytest.raises(lk.LayerError, match=f"a sequence of 5 is longer than {limit}"):
        make().init(lk.f32(2, 5, 8))


@pytest.mark.parametrize("name", LIMITED)
def test_inside_jit_what_is_out_of_order_is_nan(name: str, backend: str) -> None:
    layer = LIMITED[name][0]()
    x = numbers(2, 3, 8)
    weights, state = layer.init(x)
    step = fastmath.jit(lambda x, state: layer.pure_fn(x, weights, state))
    y, state = step(x, state)
    assert onp.isfinite(fastmath.to_host(y)).all()
    if backend == "numpy":
        with pytest.raises(lk.LayerError, match="called out of order"):
            step(x, state)
    else:
        assert onp.isnan(fastmath.to_host(step(x, state)[0])).all()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: tl.CausalAttention(8, n_heads=2, max_inference_length=4, mode="predict"), r"\(2, 2, length, 4\)"),
        (lambda: tl.CausalDepthwiseConv(mode="predict"), "a batch of 2, got 3"),
    ],
)
def test_another_batch_than_at_init(make: Callable[[], lk.Layer], said: str) -> None:
    layer = make()
    layer.init(lk.f32(2, 1, 8))
    with pytest.raises(lk.LayerError, match=f"in predict mode it was initialized for {said}.*init it again"):
        layer(numbers(3, 1, 8))
