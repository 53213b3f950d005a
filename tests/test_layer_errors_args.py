"""Every message about a constructor's arguments."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as onp
import pytest

import layerkit as lk
from layerkit import arguments
from layerkit import layers as tl

WHOLE = "must be a whole number of at least 1, got"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tl.Dense(-3), f"Dense: n_units {WHOLE} -3"),
        (lambda: tl.Dense(0), f"Dense: n_units {WHOLE} 0"),
        (lambda: tl.Dense(2.5), f"Dense: n_units {WHOLE} 2.5"),
        (lambda: tl.Dense(3.0), f"Dense: n_units {WHOLE} 3.0"),
        (lambda: tl.Dense(True), f"Dense: n_units {WHOLE} True"),
        (lambda: tl.Dense("3"), f"Dense: n_units {WHOLE} '3'"),
        (lambda: tl.Dense(None), f"Dense: n_units {WHOLE} None"),
        (lambda: tl.Dense([3]), f"Dense: n_units {WHOLE} [3]"),
        (lambda: tl.Dense(3, 4), "Dense: kernel_initializer must be a function of (shape, rng), got 4"),
        (
            lambda: tl.Dense(3, bias_initializer=None),
            "Dense: bias_initializer must be a function of (shape, rng), got None",
        ),
        (lambda: tl.Embedding(-1, 2), f"Embedding: vocab_size {WHOLE} -1"),
        (lambda: tl.Embedding(2, 0), f"Embedding: d_feature {WHOLE} 0"),
        (
            lambda: tl.Embedding(2, 2, kernel_initializer="glorot"),
            "Embedding: kernel_initializer must be a function of (shape, rng), got 'glorot'",
        ),
        (lambda: tl.Dropout(1.0), "Dropout: rate must be a number of at least 0 and below 1, got 1.0"),
        (lambda: tl.Dropout(-0.1), "Dropout: rate must be a number of at least 0 and below 1, got -0.1"),
        (lambda: tl.Dropout("0.5"), "Dropout: rate must be a number of at least 0 and below 1, got '0.5'"),
        (lambda: tl.Dropout(float("nan")), "Dropout: rate must be a number of at least 0 and below 1, got nan"),
        (
            lambda: tl.Dropout(0.5, shared_axes=(1, 1)),
            "Dropout: shared_axes must be a whole number or a tuple of different ones, got (1, 1)",
        ),
        (
            lambda: tl.Dropout(0.5, shared_axes="12"),
            "Dropout: shared_axes must be a whole number or a tuple of different ones, got '12'",
        ),
        (lambda: tl.Dropout(0.5, mode="test"), "Dropout: mode is 'train', 'eval', 'predict' or None, got 'test'"),
        (lambda: tl.Weights(3), "Weights: initializer must be a function of (shape, rng), got 3"),
        (
            lambda: tl.Weights(tl.RandomNormalInitializer(), (2, -1)),
            "Weights: shape must be a tuple of whole numbers of at least 0, got (2, -1)",
        ),
        (
            lambda: tl.RandomUniform(shape=2.5),
            "RandomUniform: shape must be a tuple of whole numbers of at least 0, got 2.5",
        ),
        (lambda: tl.RandomUniform(1.0, 1.0), "RandomUniform: max_val must be a number above 1.0, got 1.0"),
        (lambda: tl.RandomUniform(None), "RandomUniform: min_val must be a number, got None"),
        (lambda: tl.RandomUniform(dtype="int32"), "RandomUniform: dtype must be a floating-point one, got 'int32'"),
        (lambda: tl.RandomUniform(dtype="floaty"), "RandomUniform: dtype must be a floating-point one, got 'floaty'"),
        (lambda: tl.PrintShape(0), f"PrintShape: n_in {WHOLE} 0"),
        (lambda: tl.ThresholdToBinary("a"), "ThresholdToBinary: threshold must be a number, got 'a'"),
        (lambda: tl.Flatten(-1), "Flatten: n_axes_to_keep must be a whole number of at least 0, got -1"),
        (lambda: tl.Mean(axis=1.5), "Mean: axis must be a whole number or a tuple of different ones, got 1.5"),
        (lambda: tl.Sum(axis=()), "Sum: axis must be a whole number or a tuple of different ones, got ()"),
        (lambda: tl.Min(axis=(1, 1)), "Min: axis must be a whole number or a tuple of different ones, got (1, 1)"),
        (lambda: tl.Max(axis="x"), "Max: axis must be a whole number or a tuple of different ones, got 'x'"),
        (lambda: tl.ArgMax(axis=None), "ArgMax: axis must be a whole number, got None"),
        (lambda: tl.Softmax(axis=(0, 1)), "Softmax: axis must be a whole number, got (0, 1)"),
        (lambda: tl.LogSoftmax(axis=0.0), "LogSoftmax: axis must be a whole number, got 0.0"),
        (lambda: tl.LogSumExp(axis=True), "LogSumExp: axis must be a whole number, got True"),
        (lambda: tl.PaddingMask(pad=0.5), "PaddingMask: pad must be a whole number, got 0.5"),
        (lambda: tl.LayerNorm(epsilon=0), "LayerNorm: epsilon must be a number above 0, got 0"),
        (lambda: tl.BatchNorm(epsilon=-1.0), "BatchNorm: epsilon must be a number above 0, got -1.0"),
        (
            lambda: tl.BatchNorm(momentum=1.5),
            "BatchNorm: momentum must be a number of at least 0 and of at most 1, got 1.5",
        ),
        (
            lambda: tl.BatchNorm(axis=None),
            "BatchNorm: axis must be a whole number or a tuple of different ones, got None",
        ),
        (lambda: tl.ParametricRelu("a"), "ParametricRelu: a must be a number, got 'a'"),
        (lambda: tl.LeakyRelu(None), "LeakyRelu: a must be a number, got None"),
        (lambda: tl.Elu(float("inf")), "Elu: a must be a number, got inf"),
        (lambda: tl.Selu(alpha=[1]), "Selu: alpha must be a number, got [1]"),
        (lambda: tl.Selu(lmbda=None), "Selu: lmbda must be a number, got None"),
    ],
)
def test_message(make: Any, message: str) -> None:
    with pytest.raises(lk.LayerError) as caught:
        make()
    assert str(caught.value) == message


def test_numpy_numbers_are_numbers() -> None:
    assert tl.Dense(onp.int64(3)).name == "Dense_3"
    assert tl.Dropout(onp.float32(0.5)).rate == 0.5
    assert tl.Mean(axis=onp.int32(1))([[1.0, 3.0]]).tolist() == [2.0]


def test_a_long_value_is_cut_and_stays_on_one_line() -> None:
    with pytest.raises(lk.LayerError) as caught:
        arguments.whole_number("Dense", "n_units", "a\n" * 500)
    assert len(str(caught.value)) < 130
    assert "\n" not in str(caught.value)


def test_bfloat16_without_the_package_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "ml_dtypes":
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    for make, name in (
        (lambda: tl.Dense(2, use_bfloat16=True), "Dense"),
        (lambda: tl.Embedding(2, 2, True), "Embedding"),
    ):
        with pytest.raises(lk.LayerError) as caught:
            make()
        assert str(caught.value) == f"{name}: use_bfloat16 needs the package ml_dtypes: pip install ml_dtypes"
