"""Layers that are made wrongly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as onp

import layerkit as lk
from bad_inputs.case import Case
from layerkit import layers as tl

__all__ = ["CASES"]

NAME = "a layer's name has 1 to 100 printable characters, without / and .., got "


def nested(depth: int) -> lk.Layer:
    layer: lk.Layer = tl.Relu()
    for _ in range(depth):
        layer = tl.Residual(layer)
    return layer


def called(name: str) -> Callable[[], lk.Layer]:
    return lambda: tl.Fn(name, lambda x: x)


def twice() -> bool:
    dense = tl.Dense(4)
    model = tl.Serial(dense, dense)
    model.init(lk.f32(2, 4))
    return len(lk.fastmath.tree_leaves(model.weights)) == 2


def empty() -> bool:
    return bool((lk.fastmath.to_host(tl.Serial()(onp.arange(3))) == [0, 1, 2]).all())


def unused(make: Callable[[], Any]) -> Callable[[], Any]:
    return lambda: make()(onp.ones((2, 4)))


CASES: list[Case] = [
    Case("negative width", lambda: tl.Dense(-3), 1, "Dense: n_units must be a whole number of at least 1, got -3"),
    Case("width 0", lambda: tl.Dense(0), 1, "Dense: n_units must be a whole number of at least 1, got 0"),
    Case("float width", lambda: tl.Dense(2.5), 1, "Dense: n_units must be a whole number of at least 1, got 2.5"),
    Case("dropout -0.1", lambda: tl.Dropout(-0.1), 1, "Dropout: rate must be a number of at least 0 and below 1"),
    Case("dropout 1.0", lambda: tl.Dropout(1.0), 1, "Dropout: rate must be a number of at least 0 and below 1"),
    Case("empty Serial", empty, 0, "an empty Serial is the identity"),
    Case("the same object twice", twice, 0, "it shares its weights"),
    Case("nested 1,000 deep", lambda: nested(1000), 1, "Residual: layers nested more than 100 deep"),
    Case("name with /", called("a/b"), 1, NAME + "'a/b'"),
    Case("name with ..", called("a..b"), 1, NAME + "'a..b'"),
    Case("name with NUL", called("a\0b"), 1, NAME + r"'a\x00b'"),
    Case("name of 10 KB", called("x" * 10_240), 1, NAME + "'xxxx"),
    Case("unknown activation", lambda: tl.Swich(), 2, "unknown layer 'Swich': did you mean 'Swish'?"),
    Case(
        "an activation by its name",
        lambda: lk.models.MLP(activation_fn="relu"),
        1,
        "MLP: activation_fn must be a function of no arguments that makes a layer, such as tl.Relu, got 'relu'",
    ),
    Case("use before init", unused(lambda: tl.Dense(3)), 1, "Dense_3 has no weights yet: call its init(lk.f32(2, 4))"),
    Case(
        "use before init, inside",
        unused(lambda: tl.Serial(tl.Dense(3))),
        1,
        "Serial has no weights yet (Dense_3 inside it has none)",
    ),
]
