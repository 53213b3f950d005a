"""Slips of those who build their first models, and the one line each of them gets, on both backends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as onp
import pytest

import layerkit as lk
from layerkit import fastmath, optimizers
from layerkit import layers as tl
from layerkit.errors import LayerkitError
from layerkit.fastmath import numpy as np
from layerkit_plugins.sentiment import build_vocabulary, data_generator, predict, test_model, tweet_to_tensor

X = onp.ones((4, 3), "float32")
Y = onp.zeros(4, "int32")
IDS = onp.ones((4, 5), "int32")
TEXTS = ["a lovely day", "so good"]
WORDS = {"__PAD__": 0, "__</e>__": 1, "__UNK__": 2}


class InAnotherName(lk.Layer):
    def init_weights_and_state(self, signature: Any) -> None:
        self.w = np.ones((signature.shape[-1], 2))

    def forward(self, x: Any) -> Any:
        return np.matmul(x, self.w)


class Returned(lk.Layer):
    def init_weights_and_state(self, signature: Any) -> Any:
        return np.ones(signature.shape[-1])

    def forward(self, x: Any) -> Any:
        return x * self.weights


class Counted(lk.Layer):
    def init_weights_and_state(self, signature: Any) -> None:
        self.state = 0

    def forward(self, x: Any) -> Any:
        self.state = self.state + 1
        return x


class NeverMade(lk.Layer):
    def init_weights(self, signature: Any) -> None:
        self.weights = np.ones(signature.shape[-1])

    def forward(self, x: Any) -> Any:
        return x * self.weights


class NoReturn(lk.Layer):
    def forward(self, x: Any) -> Any:
        x * 2


class Peeking(lk.Layer):
    def __init__(self, other: lk.Layer) -> None:
        super().__init__()
        self.other = other
        other.init(X)

    def forward(self, x: Any) -> Any:
        return x + self.other.weights[1]


def mlp() -> lk.Layer:
    return tl.Serial(tl.Dense(2), tl.LogSoftmax())


def trained(loss: Callable[..., Any]) -> None:
    task = lk.TrainTask([(X, Y)], lk.Fn("L", loss), optimizers.SGD(0.1))
    lk.Loop(mlp(), task, log=None)


def of_parts(f: Callable[[Any], Any]) -> Callable[[], Any]:
    """A model with a function of somebody's own behind its first layer, differentiated as in training."""

    def call() -> Any:
        model = tl.Serial(tl.Dense(2), tl.Fn("Own", f))
        weights, state = model.init(X)
        return fastmath.grad(lambda w: np.sum(model.pure_fn(X, w, state)[0]))(weights)

    return call


NO_NUMBER = "an array that is being differentiated is no plain number or NumPy array: compute with layerkit.fastmath"
TUPLE = "takes 2 inputs, got 1: give them in a tuple; its input is"

SLIPS: dict[str, tuple[Callable[[], Any], str]] = {
    "forward by itself": (lambda: mlp().forward(X), "Serial.forward is part of a call: call the layer itself, as in"),
    "forward of a part": (
        lambda: tl.Serial(tl.Fn("F", lambda x: mlp().forward(x)))(X),
        "Serial > 0:F: Serial.forward is part of a call: call the layer itself, as in model(x)",
    ),
    "inputs one by one": (lambda: tl.Parallel(tl.Relu(), tl.Relu())(X, X), f"Parallel: {TUPLE} (4, 3)"),
    "inputs in a list": (lambda: tl.Parallel(tl.Relu(), tl.Relu())([X, X]), f"Parallel: {TUPLE} (2, 4, 3)"),
    "a layer of a layer": (lambda: tl.Fn("F", tl.Dense(3)), "Fn 'F': Dense_3 is a layer already: take it as it is"),
    "a layer of a builtin": (
        lambda: tl.Fn("F", max),
        "Fn 'F': nobody can read how many arguments <built-in function max> takes; wrap it: Fn('F', lambda",
    ),
    "a layer of np.tanh": (
        lambda: tl.Fn("F", np.tanh),
        "Fn 'F': variable arguments (*args) leave n_in open; wrap it: Fn('F', lambda x: f(x, ...))",
    ),
    "ragged rows": (
        lambda: tl.Relu()([[1, 2], [3]]),
        "Relu: an input is an array of numbers, got [[1, 2], [3]], whose rows differ in length: pad the shorter ones",
    ),
    "a table of names": (lambda: tl.Relu()({"x": 1.0}), "Relu: an input is an array of numbers, got {'x': 1.0}"),
    "an index for indices": (
        lambda: tl.Select(0),  # type: ignore[arg-type]
        "Select: indices are a list of whole numbers, such as [0, 2], got 0",
    ),
    "a file without signature": (
        lambda: mlp().init_from_file("weights"),
        "Serial has no weights yet (Dense_2 inside it has none): give init_from_file the signature of its inputs as",
    ),
    "weights under another name": (
        lambda: tl.Serial(InAnotherName()).init(X),
        "Serial > 0:InAnotherName: init_weights_and_state sets self.w, which is neither trained nor saved: keep arrays "
        "in self.weights, or in self.state",
    ),
    "weights returned": (
        lambda: Returned().init(X),
        "Returned: what init_weights_and_state returns is not kept: set self.weights, or self.state, in it",
    ),
    "no return": (
        lambda: NoReturn()(X),
        "NoReturn: forward returned None, which is no array: a return is missing; its input is (4, 3)",
    ),
    "no return inside": (
        lambda: tl.Serial(tl.Dense(2), NoReturn()).init(X),
        "Serial > 1:NoReturn: forward returned None, which is no array: a return is missing; its input (4, 2) is from",
    ),
    "weights of another model": (
        lambda: mlp().pure_fn(X, mlp().init(X)[0][:1], ((), ())),
        "Serial: its weights must be a tuple of 2, one entry for each sublayer, got 1 entries; its input is (4, 3)",
    ),
    "no state for the sublayers": (
        lambda: tl.Serial(mlp(), tl.Relu()).pure_fn(X, (mlp().init(X)[0], ()), ()),
        "Serial: its state must be a tuple of 2, one entry for each sublayer, got 0 entries; its input is (4, 3)",
    ),
    "another layer's weights": (
        lambda: Peeking(tl.Dense(2)).init(X),
        "Peeking: Dense_2.weights is read inside the forward of Peeking, where it would be a stale constant: make "
        "Dense_2 a sublayer of it, or pass the arrays in; its input is (4, 3) (layer made",
    ),
    "fewer inputs than none": (lambda: lk.PureLayer(abs, n_in=-1), "PureLayer: n_in must be a whole number of at lea"),
    "half an output": (lambda: lk.Layer(n_out=0.5), "Layer: n_out must be a whole number of at least 0, got 0.5"),
    "nothing to join": (lambda: tl.Concatenate(0), "Concatenate: n_items must be a whole number of at least 1, got 0"),
    "no parts": (lambda: tl.Split("2"), "Split: n_items must be a whole number of at least 1, got '2'"),
    "the summary of a class": (
        lambda: lk.summary(tl.Dense, X),  # type: ignore[arg-type]
        "summary: model is a layer, got <class 'layerkit_plugins.layers.dense.Dense'>: call it",
    ),
    "a recipe by no name": (
        lambda: lk.train(3),  # type: ignore[arg-type]
        "unknown recipe 3: a name in quotes is due",
    ),
    "a state that is no array": (
        lambda: tl.Serial(Counted()).init(X),
        "Serial > 0:Counted: init_weights_and_state sets self.state to 0: make arrays, as in np.array(0.0)",
    ),
    "the gradient of a whole number": (
        lambda: fastmath.grad(lambda x: x**2)(np.array(5)),
        "a gradient is that of a real number, but the function returned one of dtype int32: give it floats, 5.0 in",
    ),
    "the gradient of a value": (
        lambda: fastmath.grad(25.0)(5.0),  # type: ignore[arg-type]
        "grad takes a function, as in grad(f)(x), got 25.0",
    ),
    "the value and gradient of a value": (
        lambda: fastmath.value_and_grad(25.0)(5.0),  # type: ignore[arg-type]
        "value_and_grad takes a function, as in value_and_grad(f)(x), got 25.0",
    ),
    "a compiled value": (
        lambda: fastmath.jit(25.0)(5.0),  # type: ignore[arg-type]
        "jit takes a function, as in jit(f)(x), got 25.0",
    ),
    "a whole loss": (
        lambda: trained(lambda y, target: np.sum(target)),
        "L: a loss is a single float, and it gives int32[]: compute it in floats",
    ),
    "a loss for each": (
        lambda: trained(lambda y, target: y[:, 0]),
        "L: a loss is a single float, and it gives float32[4]: take its mean or sum",
    ),
    "an evaluation as the third argument": (
        lambda: lk.Loop(
            mlp(),
            lk.TrainTask([(X, Y, Y)], tl.CrossEntropyLoss(), optimizers.SGD(0.1)),
            lk.EvalTask([(X, Y, Y)], [tl.Accuracy()]),  # type: ignore[arg-type]
        ),
        "eval_model is a layer, got <EvalTask: Accuracy over 1 batch>: give it as eval_tasks",
    ),
    "a module for a backend": (
        lambda: lk.use_backend(onp),  # type: ignore[arg-type]
        "use_backend takes the name of a backend, such as 'numpy', got <module 'numpy' from",
    ),
    "no vocabulary": (
        lambda: tweet_to_tensor(TEXTS[0], 64),  # type: ignore[arg-type]
        "vocab_dict is a dict from word to id, as build_vocabulary makes it, got 64",
    ),
    "loop and vocabulary swapped": (
        lambda: data_generator(TEXTS, TEXTS, 2, WORDS, True),  # type: ignore[arg-type]
        "vocab_dict is a dict from word to id, as build_vocabulary makes it, got True",
    ),
    "no texts": (
        lambda: build_vocabulary(None),  # type: ignore[arg-type]
        "a vocabulary is built from a collection of texts, got None",
    ),
    "the model where the text is due": (
        lambda: predict(mlp(), TEXTS[0], WORDS),  # type: ignore[arg-type]
        "a text must be a string, got Serial Serial[ Dense_2 LogSoftmax ]: leave out rows without text, or turn them",
    ),
    "the model where the batches are due": (
        lambda: test_model(mlp(), [(IDS, Y, Y)]),  # type: ignore[arg-type]
        "test_model takes the batches first, then the model, got Serial[ Dense_2 LogSoftmax ] for batches",
    ),
    "batches without weights": (
        lambda: test_model([(IDS, Y)], mlp()),  # type: ignore[list-item]
        "a batch is (inputs, targets, example weights), got 2 arrays",
    ),
}


@pytest.mark.parametrize(("slip", "said"), SLIPS.values(), ids=SLIPS)
def test_slips(slip: Callable[[], Any], said: str, backend: str) -> None:
    with pytest.raises(LayerkitError) as caught:
        slip()
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "look", [lambda x: float(np.sum(x)), lambda x: onp.concatenate([x, x])], ids=["a number", "plain NumPy"]
)
def test_what_is_differentiated_is_no_number(look: Callable[[Any], Any], backend: str) -> None:
    with pytest.raises((LayerkitError, TypeError)) as caught:
        fastmath.grad(lambda x: np.sum(look(x)))(np.ones(3))
    assert str(caught.value).startswith(NO_NUMBER)
    assert "\n" not in str(caught.value)


def test_weights_that_no_hook_makes(backend: str) -> None:
    with pytest.raises(
        lk.LayerError, match=r"^NeverMade: .*; it has no init_weights_and_state, so self.weights is \(\)"
    ):
        NeverMade().init(X)


def test_plain_numpy_in_a_layer() -> None:
    with lk.use_backend("jax"), pytest.raises(lk.LayerError) as caught:
        of_parts(lambda x: onp.tanh(x))()
    said = "Serial > 1:Own: plain NumPy cannot compute with this array; use layerkit.fastmath.numpy; its input"
    assert str(caught.value).startswith(said)
    with lk.use_backend("numpy"):
        assert of_parts(lambda x: onp.tanh(x))()


def test_writing_into_an_array_in_a_layer(backend: str) -> None:
    def write(x: Any) -> Any:
        x[0] = 0
        return x

    with pytest.raises(lk.LayerError, match=r"^Serial > 1:Own: .* written( into)?: make a new one with np.where; its"):
        of_parts(write)()


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "prod", "var", "cumsum"])
def test_reductions_of_plain_numpy_are_differentiated(name: str, backend: str) -> None:
    x = onp.array([1.0, 2.0, 4.0], "float32")
    ours, theirs = getattr(np, name), getattr(onp, name)
    gradients = [fastmath.grad(lambda x, f=f: np.sum(f(x)))(x) for f in (ours, theirs)]
    assert onp.array_equal(*map(fastmath.to_host, gradients))


def test_a_box_is_not_written_through_out() -> None:
    with lk.use_backend("numpy"), pytest.raises(TypeError, match="cannot be written into another"):
        fastmath.grad(lambda x: onp.sum(x, out=onp.zeros(())))(np.ones(3))


def test_what_is_differentiated_shows_its_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    def look(x: Any) -> Any:
        print(x)
        return np.sum(x)

    with lk.use_backend("numpy"):
        fastmath.grad(look)(np.array([1.0, 2.0]))
    assert capsys.readouterr().out == "Box(array([1., 2.], dtype=float32))\n"


@pytest.mark.parametrize("name", ["numpy", "grad", "jit", "random"])
def test_what_stands_in_fastmath(name: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(lk, name)
    assert str(caught.value) == f"module 'layerkit' has no attribute {name!r}: did you mean layerkit.fastmath.{name}?"
