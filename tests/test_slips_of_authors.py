"""Slips of those who write their first layer or compare backends for the first time, and what they are told."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import layerkit as lk
from layerkit import layers as tl
from layerkit import optimizers
from layerkit.errors import LayerkitError, LayerkitWarning
from layerkit.fastmath import backend_name
from layerkit.fastmath import numpy as np
from layerkit.testing import check_layer


class TwoArguments(lk.Layer):
    def forward(self, x: Any, y: Any) -> Any:  # type: ignore[override]
        return x + y


class LayersFirst(lk.Layer):
    def __init__(self) -> None:
        super().__init__(tl.Relu())


class OneSublayer(lk.Layer):
    def __init__(self) -> None:
        super().__init__(sublayers=tl.Relu())


AS_A_LIST = "layers that it calls are given as a list: super().__init__(sublayers=[f])"
ONE_ARGUMENT = "forward takes one argument, a tuple of several inputs: super().__init__(n_in=2), and x, y = inputs"

SLIPS = {
    "two arguments of forward": (lambda: TwoArguments().init(lk.f32(2, 3)), f"TwoArguments: {ONE_ARGUMENT}"),
    "two arguments in a call": (lambda: TwoArguments()(np.ones(2)), f"TwoArguments: {ONE_ARGUMENT}"),
    "layers in the first place": (LayersFirst, f"LayersFirst: {AS_A_LIST}"),
    "a layer for a list of them": (OneSublayer, f"OneSublayer: {AS_A_LIST}"),
    "Fn of a number": (lambda: lk.Fn("Half", 2), "Fn: a name and a function are due, got 'Half' and 2"),  # type: ignore[arg-type]
    "Fn turned round": (
        lambda: lk.Fn(abs, "Half"),  # type: ignore[arg-type]
        "Fn: a name and a function are due, got <built-in function abs> and 'Half'",
    ),
    "a shape as an example": (
        lambda: lk.example((4, 8)),
        "lk.example takes signatures, as in @lk.example(lk.f32(4, 8)), got (4, 8)",
    ),
    "example without its call": (
        lambda: lk.example(OneSublayer),
        "lk.example takes signatures, as in @lk.example(lk.f32(4, 8)), got <class 'test_slips_of_authors.OneSublayer'>",
    ),
    "a shape for the kit": (
        lambda: check_layer(tl.Dense(3), (4, 8)),
        "inputs are signatures, as in check_layer(Scale, lk.f32(4, 8)), got (4, 8)",
    ),
    "a layer for the bench": (
        lambda: lk.bench.run(tl.Relu()),  # type: ignore[arg-type]
        "names are those of registered things, as in 'Dense(512)', got Relu",
    ),
    "layers for the bench": (
        lambda: lk.bench.run(["Relu", tl.Dense]),  # type: ignore[list-item]
        "names are those of registered things, as in 'Dense(512)', got <class 'layerkit_plugins.layers.dense.Dense'>",
    ),
    "another library's option": (
        lambda: optimizers.Adam(lr=0.1),
        "Adam has no option 'lr': did you mean 'learning_rate'?",
    ),
    "a backend there is not": (lambda: lk.use_backend("nump"), "unknown backend 'nump': did you mean 'numpy'?"),
}


@pytest.mark.parametrize(("slip", "said"), SLIPS.values(), ids=SLIPS)
def test_slips(slip: Any, said: str) -> None:
    with pytest.raises(LayerkitError) as caught:
        slip()
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("random", "layerkit.fastmath.random draws numbers, each from a key such as self.rng"),
        ("einsums", "did you mean 'einsum'?"),
        ("vectorize", "it has the names of NumPy that every backend has, see dir()"),
    ],
)
def test_what_numpy_has_and_the_array_language_has_not(name: str, said: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(np, name)
    assert str(caught.value) == f"module 'layerkit.fastmath.numpy' has no attribute {name!r}: {said}"
    assert not hasattr(np, "__wrapped__")


def test_use_backend_by_itself_is_told_that_it_does_nothing() -> None:
    before = backend_name()
    with pytest.warns(LayerkitWarning) as caught:
        lk.use_backend("numpy")
    assert str(caught[0].message) == (
        "use_backend('numpy') by itself changes nothing: write with lk.use_backend(...), or set LAYERKIT_BACKEND=numpy"
    )
    assert caught[0].filename == __file__
    assert backend_name() == before


def test_use_backend_is_silent_where_it_is_used() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with lk.use_backend("numpy") as backend, lk.use_backend(backend) as same:
            assert backend is same
            assert backend_name() == "numpy"

        @lk.use_backend("numpy")
        def name_of(times: int) -> list[str]:
            return [backend_name(), *(name_of(times - 1) if times else [])]

        with lk.use_backend("jax"):
            assert name_of(2) == ["numpy"] * 3
            assert backend_name() == "jax"


class CountsInFloats(lk.Layer):
    def init_weights_and_state(self, signature: Any) -> None:
        self.state = np.zeros((), np.int32)

    def forward(self, x: Any) -> Any:
        self.state = self.state + 0.5
        return x


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_a_state_that_changes_its_form_in_training_is_named(backend: str) -> None:
    with lk.use_backend(backend):
        model = tl.Serial(tl.Dense(1), tl.Serial(CountsInFloats()))
        task = lk.TrainTask([(np.ones((2, 3)), np.ones((2, 1)), np.ones((2, 1)))], tl.L2Loss(), optimizers.SGD(0.1))
        loop = lk.Loop(model, task, log=None)
        with pytest.raises(lk.LayerError, match=r"CountsInFloats: its state is int32\[\] before a step and float"):
            loop.run(1)
