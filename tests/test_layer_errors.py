"""Errors name the whole path, both sides, and where the input came from, in the same words on both backends."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import pytest
from broken_models import MODELS
from toy_layers import BACKENDS, Linear, Relu, arrays

import layerkit as lk
from layerkit.engine.plain_words import in_plain_words
from layerkit.fastmath import abstract_eval
from layerkit.fastmath import numpy as np

on_both = pytest.mark.parametrize("backend", BACKENDS)


def line_at_fault(build: Callable[[], lk.Layer]) -> int:
    lines, first = inspect.getsourcelines(build)
    (at,) = [number for number, line in enumerate(lines) if line.rstrip().endswith("# HERE")]
    return first + at


def test_there_are_thirty() -> None:
    assert len({build for build, _, _ in MODELS}) >= 30


@on_both
@pytest.mark.parametrize(("build", "inputs", "message"), MODELS, ids=lambda part: getattr(part, "__name__", ""))
def test_thirty_broken_models_before_the_first_step(backend: str, build: Any, inputs: Any, message: str) -> None:
    model = build()
    with lk.use_backend(backend), pytest.raises(lk.LayerError) as caught:
        model.init(inputs)
    assert str(caught.value) == f"{message} (layer made in broken_models.py:{line_at_fault(build)})"
    assert str(caught.value).startswith(f"{caught.value.path}: ")
    assert caught.value.layer is not None
    assert caught.value.exit_code == 1


# -- calls ------------------------------------------------------------------------------------------------------------


@on_both
def test_a_call_says_it_as_init_does(backend: str) -> None:
    tied = Linear(3)
    model = lk.Serial(lk.Select([1, 0]), lk.Branch([lk.Drop(), Relu()], tied), lk.Add())
    with lk.use_backend(backend):
        model.init((lk.f32(2, 3), lk.f32(2, 3)))
        with pytest.raises(lk.LayerError) as caught:
            model((arrays(1, (2, 4))[0], arrays(1, (2, 3))[0]))
    assert str(caught.value) == (
        "Serial > 2:Add: shapes (2, 4) and (2, 3) do not broadcast together; its inputs are from "
        f"1:Branch > 0:Serial > 1:Relu and 1:Branch > 1:Linear_3 (layer made in {model.sublayers[2].made_at})"
    )
    assert isinstance(caught.value.__cause__, (TypeError, ValueError))


class Doubles(lk.Layer):
    def forward(self, x: Any) -> Any:
        return self.sublayers[0](2 * x)


@on_both
def test_an_input_of_unknown_origin_is_not_ascribed_to_anybody(backend: str) -> None:
    add_three = lk.Fn("AddThree", lambda x: x + np.ones(3))
    with lk.use_backend(backend), pytest.raises(lk.LayerError) as caught:
        lk.Serial(Relu(), Doubles(sublayers=[add_three])).init(lk.f32(2, 4))
    assert str(caught.value) == (
        "Serial > 1:Doubles > 0:AddThree: shapes (2, 4) and (3,) do not broadcast together "
        f"(layer made in {add_three.made_at})"
    )


class Both(lk.Layer):
    """Its last sublayer, of what it was given itself and what its first makes of that."""

    def forward(self, x: Any) -> Any:
        return self.sublayers[1]((self.sublayers[0](x), x))


@on_both
def test_inside_a_layer_of_ones_own_as_well(backend: str) -> None:
    model = lk.Serial(Relu(), lk.Branch([Relu(), Both(sublayers=[Linear(3), lk.Add()])], None))
    with lk.use_backend(backend), pytest.raises(lk.LayerError) as caught:
        model.init(lk.f32(2, 4))
    assert str(caught.value) == (
        "Serial > 1:Branch > 0:Serial > 1:Both > 1:Add: shapes (2, 3) and (2, 4) do not broadcast together; "
        "its inputs are from 1:Branch > 0:Serial > 1:Both > 0:Linear_3 and 1:Branch > 0:Serial > 0:Relu "
        f"(layer made in {model.made_at})"
    )


def sources_through(*layers: lk.Layer) -> str:
    """What is said of the inputs of a layer with as many inputs as these layers give outputs."""

    def fail(*xs: Any) -> Any:
        raise RuntimeError("on purpose")

    last = lk.PureLayer(fail, lk.Serial(*layers).n_out, 1, "Last")
    model = lk.Serial(*layers, last)
    with pytest.raises(lk.LayerError) as caught:
        model.init(tuple(lk.f32(2, 2) for _ in range(model.n_in)) if model.n_in > 1 else lk.f32(2, 2))
    return str(caught.value).partition(" from ")[2].partition(" (layer made")[0]


def give(name: str, n_in: int = 1, n_out: int = 1) -> lk.Layer:
    return lk.PureLayer(lambda *xs: (xs[0],) * n_out if n_out > 1 else xs[0], n_in, n_out, name)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([give("A"), give("B")], "1:B"),
        ([give("A", 1, 2), lk.Swap()], "0:A"),
        ([give("A"), lk.Dup(), lk.Parallel(None, give("B"))], "0:A and 2:Parallel > 1:B"),
        ([lk.Branch(give("A"), [lk.Swap(), give("B", 2, 1)])], "0:Branch > 0:A and 0:Branch > 1:Serial > 1:B"),
        ([lk.Parallel(give("A"), None), lk.Swap()], "the input and 0:Parallel > 0:A"),
        ([lk.Serial(give("A"), lk.Serial(lk.Dup(), lk.Select([1])))], "0:Serial > 0:A"),
        ([give("A"), lk.Residual(give("B"))], "1:Residual"),
        ([give("A", 1, 2), lk.Residual(give("B"))], "1:Residual and 0:A"),
        ([lk.Residual(give("A", 1, 3))], "0:Residual and 0:Residual > 0:A"),
        ([give("A", 1, 3), lk.Residual(give("B"), shortcut=give("C", 2))], "1:Residual and 0:A"),
        ([lk.Serial(lk.Serial(None), give("A")), lk.Map(give("B"))], "1:Map"),
    ],
)
def test_who_made_the_inputs(layers: list[lk.Layer], expected: str) -> None:
    assert sources_through(*layers) == expected


def test_very_long_paths_lose_their_middle() -> None:
    model: lk.Layer = lk.Fn("Fails", lambda x: x + np.ones(3))
    for _ in range(30):
        model = lk.Serial(model)
    with pytest.raises(lk.LayerError) as caught:
        model.init(lk.f32(2, 4))
    six = " > ".join(["0:Serial"] * 5)
    assert caught.value.path == f"Serial > {six} > ... 19 more ... > {six} > 0:Fails"


# -- words ------------------------------------------------------------------------------------------------------------

A, B = lk.f32(16, 4), lk.f32(16, 5)
NO_OPERATION = "an operation that is not defined for such arrays"
TOO_CURIOUS = "Python looks at the value of an array (an if, a while, float()); use np.where or fastmath.cond"

FAULTS: list[tuple[str, Callable[..., Any], tuple[Any, ...], str]] = [
    ("+", lambda a, b: a + b, (A, B), "shapes (16, 4) and (16, 5) do not broadcast together"),
    ("**", lambda a, b: a**b, (A, B), "shapes (16, 4) and (16, 5) do not broadcast together"),
    (">", lambda a, b: a > b, (A, B), "shapes (16, 4) and (16, 5) do not broadcast together"),
    ("*", lambda a, b: a * b, (lk.f32(2, 3, 4), lk.f32(5)), "shapes (2, 3, 4) and (5,) do not broadcast together"),
    ("@", lambda a, b: a @ b, (A, B), "matrix product of sizes that do not match: 4 and 16"),
    ("@ 0-d", lambda a: a @ np.ones(()), (A,), "matrix product with a single number"),
    (
        "@ batches",
        lambda a, b: a @ b,
        (lk.f32(3, 16, 4), lk.f32(2, 4, 5)),
        "matrix product of shapes (3, 16, 4) and (2, 4, 5), which do not fit together",
    ),
    (".reshape", lambda a: a.reshape(5, 5), (A,), "64 elements cannot be reshaped to (5, 5)"),
    (".reshape -1", lambda a: a.reshape((5, -1)), (A,), "64 elements cannot be reshaped to (5, -1)"),
    (".sum", lambda a: a.sum(axis=2), (A,), "there is no axis 2 in an array of 2 axes"),
    ("[]", lambda a: a[:, :, 5], (A,), "3 indices for an array of 2 axes"),
    ("[floats]", lambda a: np.arange(5)[a], (A,), "an index is a whole number or a boolean"),
    ("-bool", lambda a: -(a > 0), (A,), NO_OPERATION),
    ("bool - bool", lambda a: (a > 0) - (a > 0), (A,), NO_OPERATION),
    ("&", lambda a: a & 1, (A,), NO_OPERATION),
    ("+ text", lambda a: a + "a", (A,), NO_OPERATION),
    ("+ None", lambda a: a + None, (A,), NO_OPERATION),
    ("np.add text", lambda a: np.add(a, "a"), (A,), NO_OPERATION),
    ("attribute", lambda a: a.softmax(), (A,), "an array has no attribute 'softmax'"),
    ("np.reshape", lambda a: np.reshape(a, (5, 5)), (A,), "np.reshape: shape (16, 4) does not fit (5, 5)"),
    ("np.transpose", lambda a: np.transpose(a, (0, 2, 1)), (A,), "np.transpose: shape (16, 4) does not fit (0, 2, 1)"),
    ("np.swapaxes", lambda a: np.swapaxes(a, 1, 2), (A,), "np.swapaxes: shape (16, 4) does not fit 1, 2"),
    ("np.sum", lambda a: np.sum(a, axis=2), (A,), "np.sum: shape (16, 4) does not fit axis=2"),
    ("np.argmax", lambda a: np.argmax(a, axis=3), (A,), "np.argmax: shape (16, 4) does not fit axis=3"),
    ("np.squeeze", lambda a: np.squeeze(a, 1), (A,), "np.squeeze: shape (16, 4) does not fit 1"),
    ("np.split", lambda a: np.split(a, 3, axis=1), (A,), "np.split: shape (16, 4) does not fit 3, axis=1"),
    ("np.dot", lambda a, b: np.dot(a, b), (A, B), "np.dot: shapes (16, 4) and (16, 5) do not fit together"),
    (
        "np.concatenate",
        lambda a, b: np.concatenate([a, b], axis=2),
        (A, B),
        "np.concatenate: shapes (16, 4) and (16, 5) do not fit together with axis=2",
    ),
    (
        "np.einsum",
        lambda a, b: np.einsum("ij,kj->ik", a, b),
        (A, B),
        "np.einsum: 'ij,kj->ik': 'j' is 4 and 5 in shapes (16, 4) and (16, 5)",
    ),
    (
        "np.where",
        lambda a, b: np.where(a > 0, a, b),
        (A, B),
        "np.where: shapes (16, 4) and (16, 4) and (16, 5) do not fit together",
    ),
]


@on_both
@pytest.mark.parametrize(("what", "function", "inputs", "expected"), FAULTS, ids=[case[0] for case in FAULTS])
def test_the_same_words_for_the_same_fault(
    backend: str, what: str, function: Callable[..., Any], inputs: tuple[Any, ...], expected: str
) -> None:
    with lk.use_backend(backend), pytest.raises(Exception) as caught:  # noqa: PT011
        abstract_eval(function, *inputs)
    assert in_plain_words(caught.value) == expected


def test_a_look_at_a_value_that_is_not_known() -> None:
    with lk.use_backend("jax"):
        for look in (lambda a: a if np.sum(a) > 0 else -a, lambda a: a * float(np.sum(a)), lambda a: a[a > 0]):
            with pytest.raises(Exception) as caught:  # noqa: PT011
                abstract_eval(look, A)
            assert in_plain_words(caught.value) == TOO_CURIOUS


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("first line\nsecond"), "RuntimeError: first line"),
        (RuntimeError(""), "RuntimeError"),
        (lk.LayerError("as it is"), "as it is"),
    ],
)
def test_other_errors_keep_their_first_line(error: Exception, expected: str) -> None:
    assert in_plain_words(error) == expected
