"""Weights between calls: whatever layer of a nest is given others, the whole tree and what it predicts are the new."""

from __future__ import annotations

import copy
import threading
from typing import Any

import numpy as onp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import layerkit as lk
from layerkit import fastmath
from layerkit import layers as tl
from layerkit.engine.sharing import walk

ARRAY = onp.arange(1.0, 4.0, dtype=onp.float32)


class Shift(lk.Layer):
    """y = x w + k, for a number k of its own: the order of layers matters."""

    def init_weights_and_state(self, signature: Any) -> None:
        self.weights, self.state = onp.float32(1) * ARRAY, onp.zeros((), onp.float32)

    def forward(self, x: Any) -> Any:
        return x * self.weights + self.state


def nest(draw: Any, depth: int, pool: list[lk.Layer]) -> lk.Layer:
    """Layers inside layers; one of the pool may stand in several places."""
    kind = draw(st.sampled_from(["pool", "new", "bare", "serial", "residual"][: 5 if depth else 3]))
    if kind == "pool":
        return draw(st.sampled_from(pool))
    if kind == "new":
        return Shift()
    if kind == "bare":
        return tl.Tanh()
    inner = [nest(draw, depth - 1, pool) for _ in range(draw(st.integers(1, 3)))]
    return tl.Residual(*inner) if kind == "residual" else WholeSerial(*inner)


class WholeSerial(lk.Layer):
    """A Serial that stays a layer of its own inside another."""

    def __init__(self, *layers: lk.Layer) -> None:
        super().__init__(sublayers=layers)

    def forward(self, x: Any) -> Any:
        for layer in self.sublayers:
            x = layer(x)
        return x


@st.composite
def models(draw: Any) -> lk.Layer:
    pool = [Shift(), WholeSerial(Shift(), Shift())]
    return WholeSerial(*[nest(draw, 3, pool) for _ in range(draw(st.integers(1, 3)))])


def tree_of(layer: lk.Layer, held: dict[lk.Layer, Any], seen: set[lk.Layer]) -> Any:
    """The tree that the layers' own arrays make."""
    if layer in seen:
        return ()
    seen.add(layer)
    return tuple(tree_of(part, held, seen) for part in layer.sublayers) if layer.sublayers else held.get(layer, ())


def same(one: Any, other: Any) -> bool:
    """Whether two trees hold the same arrays in the same places."""
    if isinstance(one, tuple):
        return isinstance(other, tuple) and len(one) == len(other) and all(map(same, one, other))
    return one is other


@settings(max_examples=60, deadline=None)
@given(models(), st.data())
def test_weights_given_anywhere_are_used_everywhere(model: lk.Layer, data: Any) -> None:
    with lk.use_backend("numpy"):
        _, state = model.init(ARRAY)
        layers = list(walk(model))
        held = {layer: layer.weights for layer in layers if isinstance(layer, Shift)}
        program = fastmath.jit(lambda x, weights, state: model.pure_fn(x, weights, state)[0])
        for number in range(data.draw(st.integers(1, 12))):
            one = data.draw(st.sampled_from(layers))
            for part in walk(one):
                if part in held:
                    held[part] = ARRAY * (number + len(held)) / (1 + layers.index(part))
            one.weights = tree_of(one, held, set())
            asked = data.draw(st.sampled_from(layers))
            assert same(asked.weights, tree_of(asked, held, set()))
            expected = model.pure_fn(ARRAY, tree_of(model, held, set()), state)[0]
            onp.testing.assert_array_equal(program(ARRAY, model.weights, model.state), expected)
            onp.testing.assert_array_equal(model(ARRAY), expected)


def two_deep() -> tuple[lk.Layer, lk.Layer]:
    """A model, and a layer deep inside it."""
    inner = Shift()
    model = WholeSerial(WholeSerial(tl.Tanh(), inner), Shift())
    model.init(ARRAY)
    return model, inner


def test_the_tree_is_the_same_object_until_a_layer_is_given_something() -> None:
    with lk.use_backend("numpy"):
        model, inner = two_deep()
        weights, state = model.weights, model.state
        assert model.weights is weights
        assert model.state is state
        inner.weights = 2 * ARRAY
        assert model.weights[0][1] is inner.weights
        inner.state = onp.ones((), onp.float32)
        assert model.state[0][1] is inner.state
        inner.init(ARRAY)
        assert model.weights[0][1] is inner.weights
        inner.weights[:] = 7  # in place: an array of a layer's is that layer's
        assert model.weights[0][1].tolist() == [7, 7, 7]


def test_what_does_not_fit_leaves_everything_as_it_was() -> None:
    with lk.use_backend("numpy"):
        model, _ = two_deep()
        weights = model.weights
        with pytest.raises(lk.LayerError, match="must be a tuple of 2"):
            model.weights = ((), (), ())
        assert same(model.weights, weights)


@pytest.mark.parametrize("twin_of", [copy.copy, copy.deepcopy], ids=["copy", "deepcopy"])
def test_a_copy_has_what_its_own_layers_have(twin_of: Any) -> None:
    with lk.use_backend("numpy"):
        model, inner = two_deep()
        weights = model.weights
        twin = twin_of(model)
        onp.testing.assert_array_equal(twin.weights[0][1], weights[0][1])
        twin.sublayers[0].sublayers[1].weights = 5 * ARRAY
        assert twin.weights[0][1].tolist() == [5, 10, 15]
        shared = twin.sublayers is model.sublayers
        assert model.weights[0][1].tolist() == (twin.weights[0][1].tolist() if shared else ARRAY.tolist())
        assert inner.weights is model.weights[0][1]


def test_threads_that_give_and_ask_never_see_an_old_tree() -> None:
    with lk.use_backend("numpy"):
        model, inner = two_deep()
    wrong: list[int] = []

    def ask() -> None:
        for _ in range(3000):
            low = counter[0]
            if model.weights[0][1][0] < low:
                wrong.append(low)

    counter = [0]
    askers = [threading.Thread(target=ask) for _ in range(3)]
    inner.weights = onp.zeros(3, onp.float32)
    for asker in askers:
        asker.start()
    while any(asker.is_alive() for asker in askers):
        inner.weights = onp.full(3, counter[0] + 1, onp.float32)
        counter[0] += 1
    assert not wrong
