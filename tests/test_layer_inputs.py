"""Inputs that do not fit a bundled layer: one line, the same on both backends; and dtypes that are no float32."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as onp
import pytest
from layer_table import ROWS

import layerkit as lk
from layerkit import fastmath
from layerkit import layers as tl
from layerkit.fastmath import numpy as np
from layerkit.fastmath import random

BACKENDS = ["numpy", "jax"]
on_both = pytest.mark.parametrize("backend", BACKENDS)


def zeros(*shape: int, dtype: Any = "float32") -> Any:
    return onp.zeros(shape, dtype)


# What the layer is initialized for, what it is given, and what is said (before "from the input" and where it was made).
MISFITS: list[tuple[Callable[[], lk.Layer], Any, Any, str]] = [
    (lambda: tl.Dense(3), lk.f32(4, 5), zeros(), "Dense_3: expected at least 1 axis, got () from the input"),
    (lambda: tl.Dense(3), lk.f32(4, 5), zeros(16, 3), "Dense_3: expected last axis 5, got (16, 3) from the input"),
    (lambda: tl.Dense(3, use_bias=False), lk.f32(4, 5), zeros(4), "Dense_3: expected last axis 5, got (4,)"),
    (
        lambda: tl.Dense(3),
        lk.f32(4, 5),
        (zeros(4, 5),) * 2,
        "Dense_3: takes 1 input, got 2; its inputs are (4, 5) and (4, 5)",
    ),
    (
        lambda: tl.Embedding(9, 2),
        lk.i32(4),
        zeros(4, 2),
        "Embedding_9_2: ids must be whole numbers (int32), got float32 (4, 2) from the input",
    ),
    (
        lambda: tl.Embedding(9, 2),
        lk.i32(4),
        zeros(4, dtype=bool),
        "Embedding_9_2: ids must be whole numbers (int32), got bool (4,) from the input",
    ),
    (
        lambda: tl.Dropout(0.5, shared_axes=(-2,)),
        lk.f32(4, 5),
        zeros(3),
        "Dropout: expected an array with axis -2, got (3,) from the input",
    ),
    (
        lambda: tl.Dropout(0.5, shared_axes=(-1, 1)),
        lk.f32(4, 5, 6),
        zeros(3, 4),
        "Dropout: axis (-1, 1) names one axis twice, got (3, 4) from the input",
    ),
    (lambda: tl.Glu(), lk.f32(4, 6), zeros(), "Glu: expected at least 1 axis, got () from the input"),
    (
        lambda: tl.Glu(),
        lk.f32(4, 6),
        zeros(4, 7),
        "Glu: halves the last axis, which has an odd size: got (4, 7) from the input",
    ),
    (
        lambda: tl.ThresholdedLinearUnit(),
        lk.f32(4, 6),
        zeros(4, 7),
        "ThresholdedLinearUnit: expected last axis 6, got (4, 7) from the input",
    ),
    (
        lambda: tl.ThresholdedLinearUnit(),
        lk.f32(4, 6),
        zeros(),
        "ThresholdedLinearUnit: expected at least 1 axis, got () from the input",
    ),
    (
        lambda: tl.LayerNorm(),
        lk.f32(4, 6),
        zeros(4, 7),
        "LayerNorm: expected last axis 6, got (4, 7) from the input",
    ),
    (lambda: tl.LayerNorm(), lk.f32(4, 6), zeros(), "LayerNorm: expected at least 1 axis, got () from the input"),
    (
        lambda: tl.BatchNorm(),
        lk.f32(2, 3, 4, 5),
        zeros(2, 5),
        "BatchNorm: axis is (0, 1, 2), inputs (batch, d) take axis=0: "
        "expected an array with axis 2, got (2, 5) from the input",
    ),
    (
        lambda: tl.BatchNorm(axis=0),
        lk.f32(4, 6),
        zeros(4, 7),
        "BatchNorm: expected the sizes (6,) on the other axes than 0, got (4, 7) from the input",
    ),
    (
        lambda: tl.Mean(axis=2),
        lk.f32(4, 3, 2),
        zeros(4, 3),
        "Mean: expected an array with axis 2, got (4, 3) from the input",
    ),
    (
        lambda: tl.Mean(axis=1),
        lk.f32(4, 3, 2),
        zeros(4, 0, 2),
        "Mean: the mean of nothing: axis 1 is empty, got (4, 0, 2) from the input",
    ),
    (
        lambda: tl.Min(),
        lk.f32(4, 3),
        zeros(4, 0),
        "Min: the minimum of nothing: axis -1 is empty, got (4, 0) from the input",
    ),
    (
        lambda: tl.Max(axis=(0, 1)),
        lk.f32(4, 3),
        zeros(0, 3),
        "Max: the maximum of nothing: axis (0, 1) is empty, got (0, 3) from the input",
    ),
    (
        lambda: tl.ArgMax(),
        lk.f32(4, 3),
        zeros(4, 0),
        "ArgMax: the argmax of nothing: axis -1 is empty, got (4, 0) from the input",
    ),
    (
        lambda: tl.LogSoftmax(),
        lk.f32(4, 3),
        zeros(4, 0),
        "LogSoftmax: the LogSoftmax of nothing: axis -1 is empty, got (4, 0) from the input",
    ),
    (
        lambda: tl.Softmax(axis=1),
        lk.f32(4, 3),
        zeros(4),
        "Softmax: expected an array with axis 1, got (4,) from the input",
    ),
    (lambda: tl.Flatten(), lk.f32(4, 3), zeros(4), "Flatten: expected more than 1 axis, got (4,) from the input"),
    (
        lambda: tl.Flatten(2),
        lk.f32(4, 3, 2),
        zeros(4, 2),
        "Flatten_keep2: expected more than 2 axes, got (4, 2) from the input",
    ),
    (
        lambda: tl.PaddingMask(),
        lk.i32(4, 3),
        zeros(4, dtype="int32"),
        "PaddingMask: expected ids of shape (batch, length), got (4,) from the input",
    ),
    (
        lambda: tl.MaskedMean(),
        (lk.f32(4, 3, 2), lk.bool_(4, 3)),
        (zeros(4, 3, 2), zeros(4, 2)),
        "MaskedMean: expected a mask of shape (4, 3), got (4, 2); its inputs are (4, 3, 2) and (4, 2) from the input",
    ),
    (
        lambda: tl.MaskedMean(),
        (lk.f32(4, 3, 2), lk.bool_(4, 3)),
        (zeros(4), zeros(4)),
        "MaskedMean: expected at least 2 axes, got (4,)",
    ),
    (lambda: tl.MaskedMean(), (lk.f32(4, 3, 2), lk.bool_(4, 3)), zeros(4, 3, 2), "MaskedMean: takes 2 inputs, got 1"),
    (lambda: tl.Weights(tl.RandomNormalInitializer()), (), zeros(3), "Weights: takes 0 inputs, got 1"),
]


@on_both
@pytest.mark.parametrize(("make", "signature", "inputs", "message"), MISFITS, ids=[case[3] for case in MISFITS])
def test_inputs_that_do_not_fit(
    backend: str, make: Callable[[], lk.Layer], signature: Any, inputs: Any, message: str
) -> None:
    with lk.use_backend(backend):
        layer = make()
        layer.init(signature)
        for training in (False, True):
            with pytest.raises(lk.LayerError) as caught:
                layer(inputs, rng=random.get_prng(0), training=training)
            assert said(caught.value).startswith(message.removesuffix(" from the input"))


def said(error: lk.LayerError) -> str:
    """The message, which is one line, without the place where the layer was made."""
    text, _, place = str(error).partition(" (layer made in ")
    assert "\n" not in text
    assert place.startswith("test_layer_inputs.py:")
    return text


@on_both
@pytest.mark.parametrize(
    ("make", "signature", "message"),
    [
        (lambda: tl.Dense(3), lk.f32(), "Dense_3: expected at least 1 axis, got () from the input"),
        (lambda: tl.Embedding(9, 2), lk.f32(4), "Embedding_9_2: ids must be whole numbers (int32), got float32 (4,)"),
        (lambda: tl.LayerNorm(), lk.f32(), "LayerNorm: expected at least 1 axis, got () from the input"),
        (
            lambda: tl.BatchNorm(),
            lk.f32(4, 5),
            "BatchNorm: axis is (0, 1, 2), inputs (batch, d) take axis=0: "
            "expected an array with axis 2, got (4, 5) from the input",
        ),
        (lambda: tl.Glu(), lk.f32(4, 5), "Glu: halves the last axis, which has an odd size: got (4, 5)"),
        (
            lambda: tl.Serial(tl.Embedding(9, 2), tl.Mean(axis=3), tl.Dense(2)),
            lk.i32(4, 7),
            "Serial > 1:Mean: expected an array with axis 3, got (4, 7, 2) from 0:Embedding_9_2",
        ),
        (
            lambda: tl.Serial(tl.Branch(tl.Embedding(9, 2), tl.PaddingMask()), tl.Swap(), tl.MaskedMean()),
            lk.i32(4, 7),
            "Serial > 2:MaskedMean: expected a mask of shape (4, 1), got (4, 7, 2)",
        ),
        (
            lambda: tl.Dense(3, kernel_initializer=lambda shape, rng: np.zeros(shape[::-1])),
            lk.f32(4, 5),
            "Dense_3: its kernel_initializer made the shape (3, 5), and (5, 3) is due",
        ),
        (
            lambda: tl.Dense(3, bias_initializer=lambda shape, rng: 0.0),
            lk.f32(4, 5),
            "Dense_3: its bias_initializer made the shape (), and (3,) is due",
        ),
        (
            lambda: tl.Embedding(9, 2, kernel_initializer=lambda shape, rng: np.zeros((9, 3))),
            lk.i32(4),
            "Embedding_9_2: its kernel_initializer made the shape (9, 3), and (9, 2) is due",
        ),
        (
            lambda: tl.Weights(lambda shape, rng: np.zeros((1,))),
            (),
            "Weights: its initializer made the shape (1,), and () is due",
        ),
    ],
)
def test_signatures_that_do_not_fit(backend: str, make: Callable[[], lk.Layer], signature: Any, message: str) -> None:
    with lk.use_backend(backend), pytest.raises(lk.LayerError) as caught:
        make().init(signature)
    assert said(caught.value).startswith(message)


@on_both
def test_a_dense_in_two_places_of_different_width(backend: str) -> None:
    dense = tl.Dense(3)
    with lk.use_backend(backend), pytest.raises(lk.LayerError) as caught:
        tl.Serial(dense, tl.Relu(), dense).init(lk.f32(16, 5))
    assert said(caught.value) == "Serial > 2:Dense_3: expected last axis 5, got (16, 3) from 1:Relu"


@on_both
@pytest.mark.parametrize("wrong", [9, -1, -9, 2**31 - 1])
def test_an_id_outside_the_table_reads_no_other_row(backend: str, wrong: int) -> None:
    embedding = tl.Embedding(9, 2)
    with lk.use_backend(backend):
        weights, state = embedding.init(lk.i32(4, 6))
        ids = onp.array([[1, wrong, 3]])
        with pytest.raises(lk.LayerError, match="Embedding_9_2: ") as caught:
            embedding(ids)
        assert "id" in said(caught.value)
        if backend == "jax":
            compiled = fastmath.jit(lambda ids: embedding.pure_fn(ids, weights, state)[0])
            rows = fastmath.to_host(compiled(np.array(ids)))
            assert onp.isnan(rows).tolist() == [[[False] * 2, [True] * 2, [False] * 2]]


@on_both
@pytest.mark.parametrize(
    ("ids", "extreme"),
    [
        (onp.array([1, 2**32 + 1]), 2**32 + 1),
        (onp.array([1, -(2**32)]), -(2**32)),
        (onp.array([2**63], "uint64"), 2**63),
        ([[2**40]], 2**40),
        (2**31, 2**31),
    ],
)
def test_an_id_of_more_than_32_bits_reads_no_other_row(backend: str, ids: Any, extreme: int) -> None:
    embedding = tl.Embedding(9, 2)
    with lk.use_backend(backend):
        embedding.init(lk.i32(4))
        with pytest.raises(lk.LayerError) as caught:
            embedding(ids)
    assert said(caught.value).startswith(f"Embedding_9_2: an input is an array of 32-bit numbers, got {extreme}")


@on_both
def test_whole_numbers_of_64_bits_that_fit_are_taken(backend: str) -> None:
    with lk.use_backend(backend):
        for ids in (onp.array([[1, 2]]), onp.array([[1, 2]], "uint64"), [[1, 2]], onp.zeros((1, 0), "int64")):
            assert tl.PaddingMask()(ids).shape == (1, 1, 1, onp.shape(ids)[1])
        two = fastmath.grad(lambda x: tl.Relu()([x, -x]).sum())(np.array(3.0))
        assert float(two) == 1.0


@on_both
@pytest.mark.parametrize("make", [lambda: tl.Dense(3), lambda: tl.LayerNorm(), lambda: tl.BatchNorm(axis=0)])
def test_use_before_init(backend: str, make: Callable[[], lk.Layer]) -> None:
    with (
        lk.use_backend(backend),
        pytest.raises(lk.LayerError, match=r"has no weights yet: call its init\(lk.f32\(4, 5\)\)"),
    ):
        make()(np.zeros((4, 5)))


KEEP_WHOLE_NUMBERS = (
    "Max Min Sum Negate PrintShape StopGradient Flatten ArgMax ThresholdToBinary ToFloat "
    "SplitIntoHeads MergeHeads ShiftRight MergeLastTwoAxes SplitLastAxis RandomLayer SummaryImage SummaryScalar "
    "ReversibleConcatenatePair ReversibleHalfResidual ReversibleReshape ReversibleSelect ReversibleSerial "
    "ReversibleSwap"
).split()
COMPUTE_IN_FLOATS = [
    row
    for row in ROWS
    if row.inputs and all(of.dtype == onp.float32 for of in row.inputs) and not row.note
    if row.name not in KEEP_WHOLE_NUMBERS
]


@on_both
@pytest.mark.parametrize("row", COMPUTE_IN_FLOATS, ids=lambda row: row.id)
@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16", "int32", "int8", "bool"])
def test_other_dtypes(backend: str, row: Any, dtype: str) -> None:
    """float64 is narrowed, half precision stays or is widened, whole numbers and booleans are taken as float32."""
    arrays = tuple(onp.abs(array).astype(lk.bf16().dtype if dtype == "bfloat16" else dtype) for array in row.arrays())
    with lk.use_backend(backend):
        layer = row.make()
        layer.init(row.signature, random.get_prng(0))
        as_32 = tuple(array.astype("float32") for array in arrays)
        x, x_32 = (group[0] if len(group) == 1 else group for group in (arrays, as_32))
        outputs, outputs_32 = (lk.fastmath.tree_leaves(layer(each, rng=random.get_prng(0))) for each in (x, x_32))
        floats = {"float16", "bfloat16"} & {dtype}
        for y, y_32 in zip(outputs, outputs_32, strict=True):
            assert tuple(y.shape) == tuple(y_32.shape)
            assert y.dtype.name in {"float32", *floats}
            numbers, expected = (fastmath.to_host(one).astype("float32") for one in (y, y_32))
            onp.testing.assert_allclose(numbers, expected, rtol=0.03 if floats else 1e-6, atol=0.03 if floats else 1e-6)


class Foreign:
    """An array of another library, whose dtypes are its own."""

    shape, dtype = (2, 2), "theirs.float32"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return onp.array([[1.0, 2.0], [3.0, 4.0]], dtype or "float32")


@on_both
@pytest.mark.parametrize("kind", ["matrix", "masked", "foreign"])
def test_arrays_of_other_kinds_are_arrays(backend: str, kind: str) -> None:
    """A matrix multiplies as matrices do: its square would be another one."""
    with pytest.warns(PendingDeprecationWarning) if kind == "matrix" else contextlib.nullcontext():
        x = {"matrix": onp.asmatrix, "masked": onp.ma.asarray, "foreign": lambda _: Foreign()}[kind](
            onp.asarray(Foreign())
        )
    with lk.use_backend(backend):
        square = tl.Serial(tl.Dup(), tl.Multiply())
        assert fastmath.to_host(square(x)).tolist() == [[1.0, 4.0], [9.0, 16.0]]
        dense = tl.Dense(3)
        weights, _ = dense.init(x)
        assert type(fastmath.to_host(dense(x))) is onp.ndarray
        onp.testing.assert_allclose(dense(x), onp.asarray(Foreign()) @ onp.asarray(weights.kernel), atol=1e-4)
