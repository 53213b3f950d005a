"""Reversible layers: inputs come back, gradients are those of the plain composition, memory stays flat."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as onp
import pytest

import layerkit as lk
from layerkit import fastmath
from layerkit import layers as tl

BACKENDS = ("numpy", "jax")


def block(d: int, *more: lk.Layer) -> list[lk.Layer]:
    return [tl.ReversibleHalfResidual(tl.Dense(d), tl.Tanh(), *more, tl.Dense(d)), tl.ReversibleSwap()]


def pair(n: int, d: int) -> tuple[Any, Any]:
    generator = onp.random.default_rng(0)
    return generator.normal(size=(n, d)).astype("f"), generator.normal(size=(n, d)).astype("f")


def loss_of(model: lk.Layer, state: Any) -> Callable[..., Any]:
    def loss(weights: Any, x: Any) -> Any:
        key = fastmath.random.get_prng(7)
        outputs = model.pure_fn(x, weights, state, key, training=True)[0]
        return sum(((i + 1) * y * y).sum() for i, y in enumerate(outputs if type(outputs) is tuple else (outputs,)))

    return loss


MODELS: dict[str, tuple[Callable[[], list[Any]], tuple[Any, ...]]] = {
    "blocks": (lambda: [block(6) for _ in range(5)], pair(4, 6)),
    "dropout": (lambda: [block(6, tl.Dropout(0.5)), block(6, tl.Dropout(0.3))], pair(4, 6)),
    "reshape": (lambda: [tl.ReversibleReshape((6,), (2, 3), n_in=2), block(3), block(3)], pair(4, 6)),
    "select": (lambda: [block(6), tl.ReversibleSelect([1, 0, 1], n_in=2)], pair(4, 6)),
    "concatenate": (lambda: [block(6), tl.ReversibleConcatenatePair()], pair(4, 6)),
    "nested": (lambda: [tl.ReversibleSerial(block(6), block(6)), block(6)], pair(4, 6)),
    "attention layer": (
        lambda: [tl.ReversibleHalfResidual(tl.Dense(6), attention_layer=tl.Tanh()), tl.ReversibleSwap()],
        pair(4, 6),
    ),
    "an array beside": (
        lambda: [tl.ReversibleHalfResidual(tl.Dense(6), tl.Multiply()), tl.ReversibleSelect([1, 0, 2])],
        (*pair(4, 6), onp.ones((4, 1), "f")),
    ),
    "ids beside": (
        lambda: [tl.ReversibleHalfResidual(tl.Parallel(tl.Dense(6), tl.Embedding(9, 6)), tl.Add())],
        (*pair(4, 6), onp.arange(4, dtype="i")),
    ),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_those_of_the_plain_composition(name: str, backend: str) -> None:
    make, x = MODELS[name]
    with lk.use_backend(backend):
        reversible, plain = tl.ReversibleSerial(make()), tl.Serial(make())
        weights, state = reversible.init(x)
        floats = [i for i, part in enumerate(x) if part.dtype.kind == "f"]

        def gradients(model: lk.Layer) -> list[Any]:
            loss = loss_of(model, state)
            of = fastmath.grad(lambda w, xs: loss(w, (*xs, *x[len(floats) :])), (0, 1))
            return fastmath.tree_leaves(fastmath.to_host(fastmath.jit(of)(weights, x[: len(floats)])))

        for found, wanted in zip(gradients(reversible), gradients(plain), strict=True):
            onp.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5 * max(1.0, abs(wanted).max()))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", MODELS)
def test_the_inputs_come_back(name: str, backend: str) -> None:
    make, x = MODELS[name]
    with lk.use_backend(backend):
        model = tl.ReversibleSerial(make())
        model.init(x)
        back = model.reverse(model(x), model.weights, model.state)
        for found, wanted in zip(back, x, strict=True):
            onp.testing.assert_allclose(fastmath.to_host(found), wanted, rtol=1e-5, atol=1e-6)


def peak_on_numpy(model: lk.Layer, x: Any) -> int:
    weights, state = model.init(x)
    gradient = fastmath.grad(loss_of(model, state))
    gradient(weights, x)  # what is imported the first time does not count
    tracemalloc.start()
    gradient(weights, x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def peak_on_jax(model: lk.Layer, x: Any) -> int:
    import jax

    weights, state = model.init(x)
    compiled = jax.jit(jax.grad(loss_of(model, state))).lower(weights, x).compile()
    return int(compiled.memory_analysis().temp_size_in_bytes)


@pytest.mark.parametrize("backend", BACKENDS)
def test_peak_memory_does_not_grow_with_depth(backend: str) -> None:
    x = pair(2048, 8)  # an activation is 64 kB, the weights of a block are less than 1
    peak = {"numpy": peak_on_numpy, "jax": peak_on_jax}[backend]
    with lk.use_backend(backend):
        few, many = (peak(tl.ReversibleSerial([block(8) for _ in range(depth)]), x) for depth in (3, 24))
        plain = peak(tl.Serial([block(8) for _ in range(24)]), x)
    activation = x[0].nbytes
    assert many - few < 3 * activation
    assert plain > many + 20 * activation


def test_a_subclass_writes_forward_and_reverse() -> None:
    class Rotate(lk.ReversibleLayer):
        def init_weights_and_state(self, signature: Any) -> None:
            self.weights = fastmath.numpy.array(0.3)

        def forward(self, x: Any) -> Any:
            return fastmath.numpy.roll(x, 1, axis=-1) + self.weights

        def reverse(self, output: Any, weights: Any = (), state: Any = (), new_state: Any = (), rng: Any = None) -> Any:
            return fastmath.numpy.roll(output - weights, -1, axis=-1)

    x = pair(4, 6)[0]
    for backend in BACKENDS:
        with lk.use_backend(backend):
            model = tl.ReversibleSerial(Rotate(), Rotate())
            weights, state = model.init(x)
            found = fastmath.grad(loss_of(model, state))(weights, x)
            wanted = fastmath.grad(loss_of(tl.Serial(Rotate(), Rotate()), state))(weights, x)
            onp.testing.assert_allclose(fastmath.to_host(found), fastmath.to_host(wanted), rtol=1e-5)


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "plain layer": (
        lambda: tl.ReversibleSerial(tl.Dense(3)),
        "ReversibleSerial: Dense_3 is not reversible; put it into a ReversibleHalfResidual",
    ),
    "arity": (
        lambda: tl.ReversibleSerial(tl.ReversibleSwap(), tl.ReversibleReshape((2,), (1, 2))),
        "ReversibleSerial: ReversibleReshape takes 1 arrays, and ReversibleSwap before it gives 2",
    ),
    "two outputs": (
        lambda: tl.ReversibleHalfResidual(tl.Dup()),
        "ReversibleHalfResidual: its layers give 2 arrays, and one is added",
    ),
    "dropped input": (
        lambda: tl.ReversibleSelect([0, 0], n_in=2),
        "ReversibleSelect takes each of its 2 inputs once at least, and indices are [0, 0]",
    ),
    "index": (
        lambda: tl.ReversibleSelect([0, 5], n_in=2),
        "ReversibleSelect takes each of its 2 inputs once at least, and indices are [0, 5]",
    ),
    "no index": (
        lambda: tl.ReversibleSelect(["a"]),
        "ReversibleSelect: an index must be a whole number of at least 0, got 'a'",
    ),
    "no sizes": (
        lambda: tl.ReversibleReshape(("a",), (3,)),
        "ReversibleReshape: shape1 must be a tuple of whole numbers of at least 0, got ('a',)",
    ),
    "sizes": (
        lambda: tl.ReversibleReshape((4,), (3,)),
        "ReversibleReshape: shape1 (4,) holds 4 numbers, shape2 (3,) holds 3",
    ),
    "last axes": (
        lambda: tl.ReversibleReshape((4,), (2, 2)).init(lk.f32(5, 3)),
        "ReversibleReshape: expected last axes (4,), got (5, 3)",
    ),
    "pair": (
        lambda: tl.ReversibleConcatenatePair().init((lk.f32(5, 3), lk.f32(5, 2))),
        "ReversibleConcatenatePair: joins two arrays of one shape, got (5, 3) and (5, 2)",
    ),
    "no reverse": (
        lambda: lk.ReversibleLayer().reverse(1.0),
        "ReversibleLayer has no reverse method: a ReversibleLayer defines reverse(",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case: str) -> None:
    make, words = REFUSED[case]
    with pytest.raises(lk.LayerError) as caught:
        make()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
