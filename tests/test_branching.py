"""Cond and Cache: what is run, what is kept, and what is computed when compiled."""

from __future__ import annotations

from typing import Any

import numpy as onp
import pytest
from toy_layers import BACKENDS, Count, Linear, Mix, Noise, Relu, arrays, assert_same

import layerkit as lk
from layerkit.fastmath import grad, jit, random
from layerkit.fastmath import numpy as np

on_both = pytest.mark.parametrize("backend", BACKENDS)


def is_positive() -> lk.Layer:
    return lk.Fn("IsPositive", lambda x: np.sum(x) > 0)


# -- Cond -------------------------------------------------------------------------------------------------------------


@on_both
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
@pytest.mark.parametrize("positive", [True, False])
def test_both_branches_of_a_cond(backend: str, compiled: bool, positive: bool) -> None:
    with lk.use_backend(backend):
        x = abs(arrays(1)[0]) * (1 if positive else -1)
        taken, other = lk.Serial(Count(), Noise(), Linear(3)), lk.Serial(Count(), Noise(), Linear(3))
        model = lk.Cond(is_positive(), taken, other)
        weights, state = model.init((x, x))
        call = jit(lambda *args: model.pure_fn(*args)) if compiled else model.pure_fn
        key, index = random.get_prng(2), 1 if positive else 2
        y, new_state = call((x, x), weights, state, key)
        layer = model.sublayers[index]
        expected, changed = layer.pure_fn(x, weights[index], state[index], random.fold_in(key, index))
        assert_same(y, expected, 1e-5)
        assert_same(new_state[index], changed)
        assert_same(new_state[3 - index], state[3 - index])


@on_both
def test_gradients_reach_the_branch_that_was_taken(backend: str) -> None:
    with lk.use_backend(backend):
        x = abs(arrays(1)[0])
        model = lk.Serial(lk.Dup(), lk.Cond(is_positive(), Linear(3), Linear(3)))
        weights, state = model.init(x)

        def loss(weights: Any) -> Any:
            return np.sum(model.pure_fn(x, weights, state)[0] ** 2)

        def plain(kernel: Any) -> Any:
            return np.sum((x @ kernel) ** 2)

        for gradient in (grad(loss)(weights), jit(grad(loss))(weights)):
            _, (_, taken, other) = gradient
            assert_same(taken, grad(plain)(weights[1][1]), 1e-4)
            assert not onp.any(onp.asarray(other))


@on_both
def test_without_a_second_layer_it_is_the_identity(backend: str) -> None:
    two = lk.Cond(is_positive(), lk.Swap())
    assert (two.n_in, two.n_out) == (3, 2)
    with lk.use_backend(backend):
        a, b = arrays(2)
        one = onp.ones((2, 3), onp.float32)
        assert_same(two((one, a, b)), (b, a))
        assert_same(two((-one, a, b)), (a, b))


@on_both
def test_the_state_of_a_condition_goes_on(backend: str) -> None:
    with lk.use_backend(backend):
        model = lk.Cond([Count(), is_positive()], lk.Fn("Ten", lambda x: x + 10), name="Second")
        assert repr(model) == "Second_in2[\n  Serial[\n    Count\n    IsPositive\n  ]\n  Ten\n]"
        x = np.zeros((2, 3))
        model.init((x, x))
        assert [float(model((x, x))[0, 0]) for _ in range(3)] == [0, 10, 10]


@on_both
def test_one_layer_in_both_branches(backend: str) -> None:
    with lk.use_backend(backend):
        tied, x = Linear(3), arrays(1)[0]
        model = lk.Cond(is_positive(), tied, [tied, Relu()])
        weights, _ = model.init((x, x))
        assert weights == ((), weights[1], ((), ()))
        one = onp.ones((2, 3), onp.float32)
        assert_same(model((one, x)), x @ onp.asarray(weights[1]), 1e-5)
        assert_same(model((-one, x)), onp.maximum(x @ onp.asarray(weights[1]), 0), 1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lk.Cond(Mix(1, 2), Mix()), "Cond: its condition Mix_1_2 has 2 outputs; it must have 1"),
        (
            lambda: lk.Cond(Mix(), Mix(), Mix(2, 1)),
            "Cond: Mix_1_1 has 1 inputs and 1 outputs, Mix_2_1 has 2 and 1; both must have the same",
        ),
        (
            lambda: lk.Cond(Mix(), Mix(2, 1)),
            "Cond: Mix_2_1 has 2 inputs and 1 outputs, the identity has 2 and 2; both must have the same",
        ),
        (lambda: lk.Cond(True, Mix()), "True is no layer; combinators take layers, lists of layers, or None"),
    ],
)
def test_arity_of_a_cond(make: Any, message: str) -> None:
    with pytest.raises(lk.LayerError) as caught:
        make()
    assert str(caught.value) == message


@on_both
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: lk.Cond(lk.Fn("EachPositive", lambda x: x > 0), Relu()),
            "Cond: its condition EachPositive gives bool[2,3]; it must give one number",
        ),
        (
            lambda: lk.Cond(is_positive(), Linear(4), Linear(5)),
            "Cond: 1:Linear_4 gives float32[2,4], and 2:Linear_5 gives float32[2,5]; both must give the same",
        ),
        (
            lambda: lk.Cond(is_positive(), Linear(4)),
            "Cond: 1:Linear_4 gives float32[2,4], and the identity gives float32[2,3]; both must give the same",
        ),
    ],
)
def test_shapes_of_a_cond(backend: str, make: Any, message: str) -> None:
    with lk.use_backend(backend), pytest.raises(lk.LayerError) as caught:
        make().init((lk.f32(2, 3), lk.f32(2, 3)))
    assert str(caught.value).startswith(message)


# -- Cache ------------------------------------------------------------------------------------------------------------


@on_both
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
def test_a_cache_keeps_the_first_outputs(backend: str, compiled: bool) -> None:
    with lk.use_backend(backend):
        x = arrays(1)[0]
        model = lk.Serial(lk.Cache([Count(), Linear(4)]), Relu())
        weights, empty = model.init(x)
        call = jit(lambda *args: model.pure_fn(*args)) if compiled else model.pure_fn
        first, state = call(x, weights, empty)
        again, same = call(10 * x, weights, state)
        assert_same(again, first)
        assert_same(same, state)
        assert float(same[0][0][0]) == 1  # the layer inside was called once
        other, _ = call(10 * x, weights, empty)
        assert_same(other, 10 * first, 1e-4)


@on_both
def test_training_goes_past_the_cache(backend: str) -> None:
    with lk.use_backend(backend):
        x = arrays(1)[0]
        model = lk.Cache(Linear(4))
        weights, empty = model.init(x)
        y, state = model.pure_fn(x, weights, empty, training=True)
        assert_same(state, empty)
        _, filled = model.pure_fn(x, weights, empty)
        again, state = model.pure_fn(2 * x, weights, filled, training=True)
        assert_same(again, 2 * y, 1e-4)
        assert_same(state, filled)


@on_both
def test_a_cache_refuses_inputs_of_another_size(backend: str) -> None:
    with lk.use_backend(backend):
        model = lk.Serial(lk.Cache(Linear(4)))
        model.init(lk.f32(2, 3))
        model(arrays(1)[0])
        with pytest.raises(lk.LayerError) as caught:
            model(arrays(1, (5, 3))[0])
    assert str(caught.value).startswith(
        "Serial > 0:Cache: it was initialized for float32[2,3] and is given float32[5,3]; "
        "init it again for inputs of another size"
    )


@on_both
def test_several_inputs_and_outputs_are_cached(backend: str) -> None:
    with lk.use_backend(backend):
        a, b = arrays(2)
        model = lk.Cache(lk.Swap())
        assert repr(model) == "Cache_in2_out2[\n  Swap_in2_out2\n]"
        model.init((a, b))
        assert_same(model((a, b)), (b, a))
        assert_same(model((b, b)), (b, a))


@on_both
def test_a_cache_in_mode_train_keeps_nothing(backend: str) -> None:
    with lk.use_backend(backend):
        a, b = arrays(2)
        model, keeps = lk.Cache(Linear(4), mode="train"), lk.Cache(Linear(4), mode="predict")
        (weights, state), kept = model.init(a), keeps.init(a)
        assert lk.signature(kept[0]) == lk.signature(weights)
        assert state == ((), ())
        assert_same(model(b), model.sublayers[0](b))
        assert_same(keeps(b, training=True), keeps(a))
