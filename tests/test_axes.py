"""BatchLeadingAxes and Bidirectional, and what a copy of a layer is."""

from __future__ import annotations

from typing import Any

import numpy as onp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_layers import BACKENDS, Count, Linear, Mix, Noise, arrays, assert_same, bare, stack

import layerkit as lk
from layerkit.combinators.axes import fresh_copy
from layerkit.engine.sharing import walk
from layerkit.fastmath import grad, random, tree_leaves
from layerkit.fastmath import numpy as np

on_both = pytest.mark.parametrize("backend", BACKENDS)


# -- BatchLeadingAxes -------------------------------------------------------------------------------------------------


@on_both
@settings(max_examples=20)
@given(leading=st.lists(st.integers(0, 3), max_size=3).map(tuple), keep=st.integers(0, 2), n=st.integers(1, 2))
def test_the_layer_sees_one_batch_axis(backend: str, leading: tuple[int, ...], keep: int, n: int) -> None:
    seen: list[Any] = []

    def note(*xs: Any) -> Any:
        seen.append([x.shape for x in xs])
        return bare([2 * x for x in xs] + [np.sum(xs[0], tuple(range(1, len(xs[0].shape))))])

    layer = lk.PureLayer(note, n, n + 1, "Note")
    model = lk.BatchLeadingAxes(layer, keep)
    with lk.use_backend(backend):
        xs = arrays(n, (*leading, *(4, 5)[:keep]))
        y = model(bare(xs))
        rows = int(onp.prod(leading, dtype=int))
        assert seen == [[(rows, *(4, 5)[:keep])] * n]
        assert_same(y[:n], [2 * x for x in xs])
        assert y[n].shape == leading
        assert model.output_signature(lk.signature(bare(xs))) == lk.signature(y)


@on_both
def test_weights_state_and_gradient_of_the_layer_inside(backend: str) -> None:
    with lk.use_backend(backend):
        model = lk.BatchLeadingAxes(lk.Serial(Count(), Linear(4)))
        x = arrays(1, (2, 5, 3))[0]
        weights, state = model.init(x)
        y, new_state = model.pure_fn(x, weights, state)
        assert y.shape == (2, 5, 4)
        assert_same(new_state, [onp.float32(1)])

        def loss(weights: Any) -> Any:
            return np.sum(model.pure_fn(x, weights, state)[0])

        expected = onp.repeat(x.reshape(10, 3).sum(0)[:, None], 4, 1)
        assert_same(grad(loss)(weights), expected, 1e-4)


# -- Bidirectional ----------------------------------------------------------------------------------------------------


def running_sum() -> lk.Layer:
    return lk.Fn("RunningSum", lambda x: np.cumsum(x, axis=1))


@on_both
def test_one_direction_and_the_other(backend: str) -> None:
    with lk.use_backend(backend):
        x = arrays(1, (2, 5, 3))[0]
        model = lk.Bidirectional([Linear(4), running_sum()])
        (forwards, backwards, _), _ = model.init(x)
        assert not onp.allclose(onp.asarray(forwards[0]), onp.asarray(backwards[0]))
        left = onp.cumsum(x @ onp.asarray(forwards[0]), axis=1)
        right = onp.cumsum((x @ onp.asarray(backwards[0]))[:, ::-1], axis=1)[:, ::-1]
        assert_same(model(x), onp.concatenate([left, right], -1), 1e-4)
        assert model.output_signature(x) == lk.f32(2, 5, 8)
        assert repr(model).splitlines()[0] == "Bidirectional["
        assert [layer.name for layer in model.sublayers] == ["Serial", "Serial", "Concatenate"]


@on_both
def test_both_directions_have_state_and_keys_of_their_own(backend: str) -> None:
    with lk.use_backend(backend):
        x = np.zeros((2, 5, 3))
        model = lk.Bidirectional([Count(), Noise()], axis=-2, merge_layer=lk.Add())
        weights, state = model.init(x)
        key = random.get_prng(1)
        y, new_state = model.pure_fn(x, weights, state, key)
        assert_same(new_state, [onp.float32(1)] * 2)
        one, two = (random.normal(random.fold_in(random.fold_in(key, i), 1), (2, 5, 3)) for i in (0, 1))
        assert_same(y, one + np.flip(two, 1), 1e-6)


def test_every_bidirectional_has_a_merge_layer_of_its_own() -> None:
    one, two = lk.Bidirectional(Mix()), lk.Bidirectional(Mix())
    assert one.sublayers[2] is not two.sublayers[2]


# -- copies -----------------------------------------------------------------------------------------------------------


class Odd(lk.Layer):
    """Holds what a copy must not have in common with it."""

    def __init__(self, inner: lk.Layer) -> None:
        super().__init__(sublayers=[inner, inner])
        self.inner, self.notes, self.scale = inner, [1], self.scaled

    def scaled(self, x: Any) -> Any:
        self.notes.append(2)
        return x

    def forward(self, x: Any) -> Any:
        return self.sublayers[1](self.inner(self.scale(x)))


@on_both
def test_a_copy_shares_nothing_and_is_put_together_alike(backend: str) -> None:
    with lk.use_backend(backend):
        x = arrays(1)[0]
        original = lk.Serial(Odd(Linear(3)), Count())
        before = original.init(x)
        notes = list(original.sublayers[0].notes)  # type: ignore[attr-defined]
        copied = fresh_copy(original)
        assert not set(walk(original)) & set(walk(copied))
        assert repr(copied) == repr(original)
        with pytest.raises(lk.LayerError, match="Serial has no weights yet"):
            copied(x)
        weights, _ = copied.init(x, random.get_prng(9))
        assert weights[0][1] == ()
        assert not onp.allclose(*(onp.asarray(tree_leaves(w)[0]) for w in (weights, before[0])))
        copied(x)
        assert original.sublayers[0].notes == notes  # type: ignore[attr-defined]
        assert_same((original.weights, original.state), before)


def test_what_cannot_be_copied() -> None:
    layer = Mix()
    layer.rows = (row for row in "abc")  # type: ignore[attr-defined]
    with pytest.raises(lk.LayerError) as caught:
        lk.Bidirectional(layer)
    assert str(caught.value) == (
        "Mix_1_1 cannot be copied (TypeError: cannot pickle 'generator' object); build a second one"
    )


# -- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: lk.BatchLeadingAxes(Mix(), -1),
            "BatchLeadingAxes: n_last_axes_to_keep must be a whole number of at least 0, got -1",
        ),
        (lambda: lk.BatchLeadingAxes(Mix(0)), "BatchLeadingAxes: Mix_0_1 takes no input whose axes could be merged"),
        (
            lambda: lk.Bidirectional(Mix(2, 2)),
            "Bidirectional: Mix_2_2 has 2 inputs and 2 outputs; it must have 1 or more, and 1",
        ),
        (
            lambda: lk.Bidirectional(Mix(), merge_layer=Mix()),
            "Bidirectional: its merge layer Mix_1_1 has 1 inputs, not 2",
        ),
        (lambda: lk.Bidirectional(Mix(), axis="x"), "Bidirectional: axis must be a whole number, got 'x'"),
    ],
)
def test_faults_of_construction(make: Any, message: str) -> None:
    with pytest.raises(lk.LayerError) as caught:
        make()
    assert str(caught.value) == message


@on_both
@pytest.mark.parametrize(
    ("model", "inputs", "message"),
    [
        (
            lk.BatchLeadingAxes(Linear(2), 3),
            lk.f32(4, 3),
            "BatchLeadingAxes: keeps the last 3 axes, got an input of shape (4, 3)",
        ),
        (
            lk.BatchLeadingAxes(lk.Add()),
            (lk.f32(4, 5, 3), lk.f32(5, 4, 3)),
            "BatchLeadingAxes: its inputs (4, 5, 3) and (5, 4, 3) differ in their leading axes (all but the last 1)",
        ),
        (
            lk.BatchLeadingAxes(lk.Fn("Mean", lambda x: np.mean(x, axis=0))),
            lk.f32(4, 5, 3),
            "BatchLeadingAxes: 0:Mean gives shape (3,), whose first axis is not the batch of 20 merged from (4, 5)",
        ),
        (
            lk.Bidirectional(Mix(), axis=2),
            lk.f32(4, 5),
            "Bidirectional: walks along axis 2, which an input of shape (4, 5) does not have",
        ),
        (
            lk.Bidirectional(lk.Fn("Mean", lambda x: np.mean(x, axis=1))),
            lk.f32(4, 5),
            "Bidirectional: walks along axis 1, which an output of shape (4,) does not have",
        ),
    ],
)
def test_faults_before_the_first_step(backend: str, model: lk.Layer, inputs: Any, message: str) -> None:
    with lk.use_backend(backend), pytest.raises(lk.LayerError) as caught:
        model.init(inputs)
    assert str(caught.value).startswith(message)


def test_the_merge_layer_is_told_who_made_its_inputs() -> None:
    model = lk.Bidirectional(Mix(), merge_layer=lk.Fn("Bad", lambda x, y: np.dot(x, y)))
    with pytest.raises(lk.LayerError, match=r"Bidirectional > 2:Bad: .* from 0:Mix_1_1 and 1:Mix_1_1"):
        model.init(lk.f32(2, 5, 3))
    assert len(stack(model.sublayers)) == 3
