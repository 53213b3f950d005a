"""A loss that falls below 0 because the model lacks the layer the loss stands after: training says so once."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as onp
import pytest

import layerkit as lk
from layerkit import layers as tl
from layerkit import optimizers
from layerkit.engine.sources import last_layer
from layerkit.errors import LayerkitWarning

X = onp.ones((8, 4), onp.float32)
Y = onp.zeros(8, onp.int32)


def warnings_of(model: lk.Layer, loss: lk.Layer, weights: Any = 1.0) -> list[str]:
    """What is said while a model is trained until its loss would be below 0."""
    batch = (X, Y, onp.broadcast_to(onp.float32(weights), 8).copy())
    task = lk.TrainTask([batch], loss, optimizers.SGD(0.02), n_steps_per_checkpoint=5)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        lk.Loop(model, task, log=None).run(20)
    assert all((w.category, w.filename) == (LayerkitWarning, __file__) for w in caught)
    return [str(warning.message) for warning in caught]


@pytest.mark.parametrize("loss", [tl.CrossEntropyLoss, tl.CrossEntropySum])
def test_a_forgotten_log_softmax_is_said_once(loss: Any, backend: str) -> None:
    (text,) = warnings_of(tl.Serial(tl.Dense(2), tl.Residual(tl.Relu(), tl.Dense(2))), loss())
    said = "it stands after a LogSoftmax, and the model ends with Residual: end it with tl.LogSoftmax()"
    assert re.fullmatch(rf"{loss.__name__} is -[\d.]+ by step \d+: {re.escape(said)}", text)


@pytest.mark.parametrize(
    ("model", "loss", "weights"),
    [
        (lambda: tl.Serial(tl.Dense(2), tl.LogSoftmax()), tl.CrossEntropyLoss, 1.0),
        (lambda: tl.Serial(tl.Dense(2), tl.Serial(tl.LogSoftmax())), tl.CrossEntropySum, -1.0),
        (lambda: tl.Dense(2), tl.CrossEntropyLossWithLogSoftmax, 1.0),
        (lambda: tl.Dense(2), lambda: lk.Fn("Mine", lambda y, targets, weights: -y.sum()), 1.0),
    ],
    ids=["as it should be", "negative weights", "a softmax inside", "a loss of one's own"],
)
def test_no_false_alarm(model: Any, loss: Any, weights: float, backend: str) -> None:
    assert warnings_of(model(), loss(), weights) == []


def test_the_last_layer_is_found_inside_combinators() -> None:
    dense = tl.Dense(2)
    assert last_layer(dense) is dense
    assert last_layer(tl.Serial(tl.Relu(), tl.Serial(tl.Parallel(dense, tl.Relu())))) is dense
    assert last_layer(tl.Residual(dense)).name == "Residual"
    empty = tl.Serial()
    assert last_layer(empty) is empty
