"""Arrays that a layer is given: the same text, or the same numbers, on both backends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as onp

import layerkit as lk
from bad_inputs.case import Case
from layerkit import layers as tl
from layerkit.fastmath import random

__all__ = ["CASES"]


def zeros(*shape: int, dtype: Any = "float32") -> Any:
    return onp.zeros(shape, dtype)


def full(value: Any, dtype: Any = None) -> Callable[[], Any]:
    return lambda: onp.full((4, 6), value, dtype)


def given(make: Callable[[], lk.Layer], signature: Any, inputs: Callable[[], Any]) -> Callable[[], Any]:
    """Initializes a layer for the signature, and calls it on the inputs."""

    def act() -> Any:
        layer = make()
        layer.init(signature)
        return layer(inputs(), rng=random.get_prng(0))

    return act


def dense(inputs: Callable[[], Any]) -> Callable[[], Any]:
    return given(lambda: tl.Dense(3), lk.f32(4, 6), inputs)


def table(inputs: Callable[[], Any]) -> Callable[[], Any]:
    return given(lambda: tl.Embedding(9, 2), lk.i32(4, 6), inputs)


def classifier(inputs: Callable[[], Any]) -> Callable[[], Any]:
    parts = (lambda: tl.Embedding(9, 2), lambda: tl.Mean(axis=1), lambda: tl.Dense(2), lambda: tl.LogSoftmax())
    return given(lambda: tl.Serial(*(make() for make in parts)), lk.i32(4, 6), inputs)


def same_as(one: Callable[[], Any], other: Callable[[], Any]) -> Callable[[], Any]:
    """What the first gives, after a look that the second gives the same."""

    def act() -> Any:
        left, right = lk.fastmath.to_host((one(), other()))
        assert left.dtype == right.dtype
        assert onp.allclose(left.astype("float32"), right.astype("float32"), rtol=0.02, atol=0.02)
        return left

    return act


def spread() -> Any:
    return onp.linspace(-1, 1, 24, dtype="float32").reshape(4, 6)


def read_only() -> Any:
    x = spread()
    x.flags.writeable = False
    return x


def half(dtype: Any) -> Callable[[], Any]:
    return lambda: spread().astype(lk.bf16().dtype if dtype == "bfloat16" else dtype)


def wide() -> Any:
    x = onp.zeros((4, 12), "float32")
    x[:, ::2] = spread()
    return x[:, ::2]


def is_zero(act: Callable[[], Any]) -> Callable[[], Any]:
    def checked() -> Any:
        y = lk.fastmath.to_host(act())
        assert not y.any()
        return y

    return checked


def not_finite(act: Callable[[], Any]) -> Callable[[], Any]:
    """Values that are not finite come out as such: nothing is hidden."""

    def checked() -> Any:
        y = lk.fastmath.to_host(act())
        assert not onp.isfinite(y).any()
        return onp.isnan(y)

    return checked


def masked() -> Callable[[], Any]:
    return given(
        lambda: tl.MaskedMean(), (lk.f32(4, 6, 2), lk.bool_(4, 6)), lambda: (zeros(4, 6, 2) + 1, full(False)())
    )


IN_BRANCH = given(
    lambda: tl.Serial(tl.Branch(tl.Dense(4), tl.Dense(3)), tl.Concatenate()), lk.f32(4, 5), lambda: zeros(4, 6)
)
IN_PARALLEL = given(
    lambda: tl.Parallel(tl.Dense(4), tl.Dense(3)), (lk.f32(4, 5), lk.f32(4, 5)), lambda: (zeros(4, 5), zeros(4, 6))
)
TWO = (lk.f32(4, 5), lk.f32(4, 5))

MASK = (lk.f32(2, 3, 4), lk.bool_(2, 1, 1, 3))


def attention(inputs: Callable[[], Any]) -> Callable[[], Any]:
    """The activations that attention gives; its mask is handed on beside them."""
    act = given(lambda: tl.Attention(4, n_heads=2), MASK, inputs)

    def checked() -> Any:
        y = lk.fastmath.to_host(act()[0])
        assert onp.isfinite(y).all()
        return y

    return checked


CASES: list[Case] = [
    Case("rank 0", dense(lambda: zeros()), 1, "Dense_3: expected at least 1 axis, got () from the input"),
    Case("rank too low", classifier(lambda: zeros(4, dtype="int32")), 1, "expected last axis 2, got (4,) from 1:Mean"),
    Case(
        "rank too high",
        given(lambda: tl.PaddingMask(), lk.i32(4, 6), lambda: zeros(4, 6, 2, dtype="int32")),
        1,
        "PaddingMask: expected ids of shape (batch, length), got (4, 6, 2)",
    ),
    Case("wrong last axis", dense(lambda: zeros(16, 3)), 1, "Dense_3: expected last axis 6, got (16, 3)"),
    Case("wrong axis in a Branch", IN_BRANCH, 1, "Serial > 0:Branch > 0:Dense_4: expected last axis 5, got (4, 6)"),
    Case("wrong axis in a Parallel", IN_PARALLEL, 1, "Parallel > 1:Dense_3: expected last axis 5, got (4, 6)"),
    Case(
        "too few inputs",
        given(lambda: tl.Serial(tl.Add()), TWO, lambda: zeros(4, 5)),
        1,
        "Serial: takes 2 inputs, got 1: the last is read by 0:Add; its input is (4, 5)",
    ),
    Case(
        "a shape for a signature",
        lambda: tl.Serial(tl.Dense(3)).init((8, 6)),
        1,
        "Serial: a signature is due, got the shape (8, 6): lk.f32(8, 6); for ids lk.i32(8, 6)",
    ),
    Case("too many inputs", dense(lambda: (zeros(4, 6), zeros(4, 6))), 1, "Dense_3: takes 1 input, got 2"),
    Case("a tuple for an array", dense(lambda: (zeros(4, 6),)), 1, "takes 1 input, got 1, in a tuple: give it bare"),
    Case(
        "int where float",
        same_as(dense(lambda: zeros(4, 6, dtype="int32") + 1), dense(lambda: zeros(4, 6) + 1)),
        0,
        "whole numbers are taken as float32",
    ),
    Case(
        "float where ids", table(full(1.0)), 1, "Embedding_9_2: ids must be whole numbers (int32), got float32 (4, 6)"
    ),
    Case("bool where ids", table(full(True)), 1, "Embedding_9_2: ids must be whole numbers (int32), got bool (4, 6)"),
    Case("complex", dense(full(1j)), 1, "Dense_3: an input is an array of real numbers, got dtype complex128"),
    Case("object", dense(full(None)), 1, "Dense_3: an input is an array of real numbers, got dtype object"),
    Case("string", dense(full("a")), 1, "Dense_3: an input is an array of real numbers, got dtype <U1"),
    Case("float64", same_as(dense(half("float64")), dense(spread)), 0, "float64 is narrowed to float32"),
    Case("bfloat16", same_as(dense(half("bfloat16")), dense(spread)), 0, "16 bits are widened where the weights are"),
    Case("float16", same_as(dense(half("float16")), dense(spread)), 0, "16 bits are widened where the weights are"),
    Case("empty batch", classifier(lambda: zeros(0, 6, dtype="int32")), 0, "no rows in, no rows out"),
    Case(
        "zero length",
        classifier(lambda: zeros(4, 0, dtype="int32")),
        1,
        "Serial > 1:Mean: the mean of nothing: axis 1 is empty, got (4, 0, 2) from 0:Embedding_9_2",
    ),
    Case("all padding", is_zero(masked()), 0, "the mean over a mask that lets nothing through is 0"),
    Case("batch of 1", classifier(lambda: zeros(1, 6, dtype="int32")), 0, "a batch of one is a batch"),
    Case(
        "all padding, for attention",
        attention(lambda: (zeros(2, 3, 4) + 1, zeros(2, 1, 1, 3, dtype=bool))),
        0,
        "where nothing may be looked at, what comes out is finite",
    ),
    Case(
        "a mask of another length",
        attention(lambda: (zeros(2, 3, 4), zeros(2, 1, 1, 4, dtype=bool))),
        1,
        "PureAttention: expected a mask of shape (1 or 2, 1 or 2, 1 or 3, 3), got (2, 1, 1, 4)",
    ),
    Case(
        "longer than max_len",
        given(lambda: tl.PositionalEncoding(max_len=8), lk.f32(2, 8, 4), lambda: zeros(2, 9, 4)),
        1,
        "PositionalEncoding: a sequence of 9 is longer than max_len=8",
    ),
    Case("NaN", not_finite(dense(full(onp.nan, "float32"))), 0, "NaN in, NaN out; in training the doctor names it"),
    Case("infinity", not_finite(dense(full(onp.inf, "float32"))), 0, "not finite in, not finite out"),
    Case("id = vocabulary size", table(full(9)), 1, "id 9 is outside the table of 9 rows (ids run from 0 to 8)"),
    Case("id = -1", table(full(-1)), 1, "id -1 is outside the table of 9 rows (ids run from 0 to 8)"),
    Case("id = 2**31", table(full(2**31)), 1, "an input is an array of 32-bit numbers, got 2147483648"),
    Case("non-contiguous", same_as(dense(wide), dense(spread)), 0, "strides do not matter"),
    Case(
        "negative strides",
        same_as(dense(lambda: spread()[::-1, ::-1]), dense(lambda: spread()[::-1, ::-1].copy())),
        0,
        "strides do not matter",
    ),
    Case("read-only", same_as(dense(read_only), dense(spread)), 0, "no layer writes into its input"),
]
