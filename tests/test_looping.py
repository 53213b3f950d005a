"""Scan, Map and Chunk against the same steps written as a Python loop."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as onp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_layers import BACKENDS, Count, Linear, Mix, Noise, arrays, assert_same, bare, stack

import layerkit as lk
from layerkit.fastmath import grad, jit, nested_map, random, remat, scan, to_host, tree_leaves
from layerkit.fastmath import numpy as np
from layerkit.fastmath.backend import current_region

on_both = pytest.mark.parametrize("backend", BACKENDS)
few = settings(max_examples=12)


def cell(n_xs: int, n_ys: int, n_carry: int) -> lk.Layer:
    """Weights, state and random numbers, n_xs slices and n_carry carries in, n_ys outputs and n_carry carries out."""
    return lk.Serial(Count(), Noise(), Mix(n_xs + n_carry, n_ys + n_carry))


def by_hand(layer: lk.Layer, xs: Any, carry: Any, weights: Any, state: Any, key: Any, axis: int) -> Any:
    """(outputs, state) of a Scan as a loop over its steps, at least one."""
    steps = []
    for i in range(xs[0].shape[axis]):
        slices = tuple(onp.take(to_host(x), i, axis) for x in xs)
        y, state = layer.pure_fn(bare(slices + carry), weights, state, random.fold_in(key, i))
        ys, carry = stack(y)[: layer.n_out - len(carry)], stack(y)[layer.n_out - len(carry) :]
        steps.append(to_host(ys))
    return tuple(onp.stack(each, axis) for each in zip(*steps, strict=True)) + carry, state


@on_both
@few
@given(
    n_xs=st.integers(1, 2),
    n_ys=st.integers(0, 2),
    n_carry=st.integers(0, 2),
    axis=st.integers(-3, 2),
    length=st.integers(1, 4),
    remat=st.booleans(),
)
def test_scan_is_a_loop(backend: str, n_xs: int, n_ys: int, n_carry: int, axis: int, length: int, remat: bool) -> None:
    n_ys = max(n_ys, 1 - n_carry)
    layer = cell(n_xs, n_ys, n_carry)
    whole = lk.Scan(layer, axis, n_carry, remat)
    shape = [2, 3]
    shape.insert(axis % 3, length)
    with lk.use_backend(backend):
        xs, carry, key = arrays(n_xs, tuple(shape)), arrays(n_carry, (2, 3), seed=1), random.get_prng(7)
        weights, state = whole.init(bare(xs + carry))
        outputs, new_state = whole.pure_fn(bare(xs + carry), weights, state, key)
        expected, last = by_hand(layer, xs, carry, weights[0], state[0], key, axis)
        assert_same(outputs, expected, 1e-5)
        assert_same(new_state[0], last)
        assert whole.output_signature(lk.signature(bare(xs + carry))) == lk.signature(outputs)
        compiled, _ = jit(lambda *args: whole.pure_fn(*args))(bare(xs + carry), weights, state, key)
        assert_same(compiled, outputs, 1e-5)


@on_both
@pytest.mark.parametrize("of", [lk.Scan, lk.Map], ids=["Scan", "Map"])
def test_no_steps_give_empty_outputs_and_the_carry(backend: str, of: Any) -> None:
    with lk.use_backend(backend):
        carry = arrays(1, (2, 3)) if of is lk.Scan else ()
        model = of(cell(1, 1, len(carry)), axis=1)
        inputs = bare((np.zeros((2, 0, 3)), *carry))
        _, state = model.init(inputs)
        outputs = stack(model(inputs, rng=random.get_prng(0)))
        assert outputs[0].shape == (2, 0, 3)
        assert_same(outputs[1:], carry)
        assert_same(model.state, state)


@on_both
@few
@given(length=st.integers(1, 4), axis=st.integers(0, 1))
def test_map_is_a_loop(backend: str, length: int, axis: int) -> None:
    layer = lk.Serial(Count(), Noise(), Linear(4))
    with lk.use_backend(backend):
        x, key = arrays(1, (length, 2, 3) if axis == 0 else (2, length, 3))[0], random.get_prng(3)
        model = lk.Map(layer, axis)
        weights, state = model.init(x)
        outputs, new_state = model.pure_fn(x, weights, state, key)
        (expected,), last = by_hand(layer, (x,), (), weights[0], state[0], key, axis)
        assert_same(outputs, expected, 1e-5)
        assert_same(new_state, (last,))


def loss_of(model: lk.Layer, state: Any = None) -> Any:
    def loss(weights: Any, x: Any) -> Any:
        y, _ = model.pure_fn(x, weights, model.state if state is None else state, random.get_prng(1))
        return sum(np.sum(part**2) for part in stack(y))

    return loss


@on_both
def test_gradients_are_those_of_the_loop_with_and_without_remat(backend: str) -> None:
    layer = cell(1, 1, 1)
    with lk.use_backend(backend):
        x, carry, key = *arrays(2, (2, 3)), random.get_prng(1)
        xs = np.stack([x, 2 * x, 3 * x])
        kept, again = lk.Scan(layer), lk.Scan(layer, remat=True)
        weights, state = kept.init((xs, carry))

        def loop(weights: Any, inputs: Any) -> Any:
            ys, (xs, carry), s = 0.0, inputs, state[0]
            for i in range(3):
                (y, carry), s = layer.pure_fn((xs[i], carry), weights[0], s, random.fold_in(key, i))
                ys = ys + np.sum(y**2)
            return ys + np.sum(carry**2)

        expected = grad(loop, (0, 1))(weights, (xs, carry))
        for model in (kept, again):
            found = grad(loss_of(model, state), (0, 1))(weights, (xs, carry))
            assert_same(found, expected, 1e-4)
            assert_same(jit(grad(loss_of(model, state), (0, 1)))(weights, (xs, carry)), expected, 1e-4)


@on_both
@pytest.mark.parametrize("again", [False, True], ids=["kept", "remat"])
def test_a_layer_shared_into_a_scan_gets_the_whole_gradient(backend: str, again: bool) -> None:
    tied = Linear(3)
    with lk.use_backend(backend):
        x = arrays(1, (4, 3))[0]
        model = lk.Serial(tied, lk.Scan(tied, n_carry=0, remat=again), lk.Chunk(tied, 2))
        weights, _ = model.init(x)
        assert weights[1:] == (((),), ((),))
        table = weights[0]

        def plain(table: Any) -> Any:
            return np.sum((((x @ table) @ table) @ table) ** 2)

        found = grad(loss_of(model))(weights, x)
        assert_same(found[0], grad(plain)(table), 1e-4)
        assert found[1:] == (((),), ((),))


@on_both
def test_nested_scans_carry_their_state_out(backend: str) -> None:
    with lk.use_backend(backend):
        model = lk.Serial(Count(), lk.Scan(lk.Map(Count(), axis=0, remat=True), axis=1, n_carry=0))
        x = np.zeros((2, 3, 4))
        model.init(x)
        y = model(x)
        assert_same(model.state, [onp.float32(1), onp.float32(6)])
        assert_same(y[:, :, 0], onp.array([[0, 2, 4], [1, 3, 5]], onp.float32))


@on_both
def test_training_reaches_the_steps(backend: str) -> None:
    class Flag(lk.Layer):
        def forward(self, x: Any) -> Any:
            return x + (1.0 if self.training else 0.0)

    with lk.use_backend(backend):
        model = lk.Serial(lk.Map(Flag()), lk.Chunk(Flag(), 1), lk.Map(Flag(), remat=True))
        x = np.zeros((2, 3))
        model.init(x)
        assert float(model(x)[0, 0]) == 0
        assert float(model(x, training=True)[0, 0]) == 3


class Where(lk.Layer):
    """Notes in what kind of body it runs."""

    def forward(self, x: Any) -> Any:
        body = current_region.get()
        self.bodies = getattr(self, "bodies", set()) | {body and body.name}
        return x + (1.0 if self.training else 0.0)


@on_both
def test_remat_is_used_where_it_is_asked_for(backend: str) -> None:
    with lk.use_backend(backend):
        x = np.zeros((4, 3))
        for make, body in [
            (lambda layer: lk.Map(layer), "scan"),
            (lambda layer: lk.Map(layer, remat=True), "remat"),
            (lambda layer: lk.Chunk(layer, 2), "remat"),
        ]:
            layer = Where()
            make(layer)(x)
            assert layer.bodies == {body}
        shared = Where()
        model = lk.Serial(shared, lk.Map(shared, remat=True))
        assert float(model(x, training=True)[0, 0]) == 2


@on_both
def test_a_carry_that_changes_its_form_only_when_called(backend: str) -> None:
    scan = lk.Scan(lk.Fn("Half", lambda x, c: (x, c * 0.5), n_out=2))
    with lk.use_backend(backend):
        scan.init((lk.f32(3, 2), lk.f32(2)))
        with pytest.raises(lk.LayerError) as caught:
            scan((np.zeros((3, 2)), np.zeros(2, np.int32)))
    assert str(caught.value).startswith(
        "Scan: its carry goes in as int32[2] and comes out as float32[2]; a carry keeps its form; "
        "its inputs are (3, 2) and int32 (2,)"
    )


@on_both
def test_predicting_goes_on_from_the_last_carry(backend: str) -> None:
    step = lk.Fn("Sum", lambda x, total: (x + total, x + total), n_out=2)
    with lk.use_backend(backend):
        scan, zero = lk.Scan(step, mode="predict"), np.array(10.0)
        _, start = scan.init((np.zeros(2), zero))
        assert scan((np.array([1.0, 2.0]), zero))[0].tolist() == [11.0, 13.0]
        assert scan((np.array([3.0, 4.0]), zero))[0].tolist() == [16.0, 20.0]
        assert scan((np.array([1.0, 2.0]), zero), state=start)[0].tolist() == [11.0, 13.0]
        with pytest.raises(lk.LayerError, match=r"it kept a carry float32\[\] and is given float32\[2\]"):
            scan((np.zeros((2, 2)), np.zeros(2)))
        plain = lk.Scan(step)
        plain.init((np.zeros(2), zero))
        assert nested_map(lk.signature, plain.weights) == scan.weights
        assert plain((np.array([1.0, 2.0]), zero))[0].tolist() == [11.0, 13.0]
        assert plain((np.array([1.0, 2.0]), zero))[0].tolist() == [11.0, 13.0]


def test_printing_shows_the_layer_alone() -> None:
    assert repr(lk.Scan(Mix(2, 2))) == "Scan_in2_out2[\n  Mix_2_2_in2_out2\n]"
    assert repr(lk.Map(Linear(2))) == "Map[\n  Linear_2\n]"
    assert repr(lk.Chunk(Linear(2), 3)) == "Chunk[\n  Linear_2\n]"


# -- Chunk ------------------------------------------------------------------------------------------------------------


@on_both
@few
@given(rows=st.integers(0, 9), size=st.integers(-1, 5), two=st.booleans())
def test_chunked_is_unchunked(backend: str, rows: int, size: int, two: bool) -> None:
    layer: lk.Layer = lk.Serial(lk.Add(), Linear(4)) if two else Linear(4)
    chunked = lk.Chunk(layer, size)
    if size < 1:
        assert chunked is layer
    with lk.use_backend(backend):
        xs = bare(arrays(layer.n_in, (rows, 3)))
        weights, state = chunked.init(xs)
        whole, part = (weights, state) if size < 1 else (weights[0], state[0])
        assert_same(chunked(xs), layer.pure_fn(xs, whole, part)[0], 1e-5)
        assert chunked.output_signature(lk.signature(xs)) == lk.f32(rows, 4)
        mine = grad(loss_of(chunked))(weights, xs)
        assert_same(mine, grad(loss_of(layer, part))(whole, xs), 1e-4)


@on_both
def test_chunks_have_keys_of_their_own_and_hand_state_on(backend: str) -> None:
    with lk.use_backend(backend):
        model = lk.Chunk(lk.Serial(Count(), Noise()), 2)
        model.init(np.zeros((6, 3)), random.get_prng(0))
        y = to_host(model(np.zeros((6, 3)), rng=random.get_prng(4)))
        assert_same(model.state, [onp.float32(3)])
        assert len({float(v) for v in y.ravel()}) == 18


# -- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lk.Scan(3), "3 is no layer; combinators take layers, lists of layers, or None"),
        (
            lambda: lk.Scan(Mix()),
            "Scan: Mix_1_1 has 1 inputs and 1 outputs; with n_carry=1 it needs 2 inputs and 1 outputs or more",
        ),
        (
            lambda: lk.Scan(Mix(3, 1), n_carry=2),
            "Scan: Mix_3_1 has 3 inputs and 1 outputs; with n_carry=2 it needs 3 inputs and 2 outputs or more",
        ),
        (lambda: lk.Scan(Mix(2, 2), n_carry=-1), "Scan: n_carry must be a whole number of at least 0, got -1"),
        (lambda: lk.Scan(Mix(2, 2), axis=0.5), "Scan: axis must be a whole number, got 0.5"),
        (lambda: lk.Scan(Mix(2, 2), mode="test"), "Scan: mode is 'train', 'eval', 'predict' or None, got 'test'"),
        (lambda: lk.Map(Mix(0)), "Map: Mix_0_1 has 0 inputs and 1 outputs; with n_carry=0 it needs 1 inputs"),
        (lambda: lk.Chunk("x", 2), "Chunk: 'x' is no layer"),
        (lambda: lk.Chunk(onp.eye(2), 2), "Chunk: array([[1., 0.], [0., 1.]]) is no layer"),
        (lambda: lk.Chunk(Mix(), 2.5), "Chunk: chunk_size must be a whole number, got 2.5"),
        (lambda: lk.Chunk(Mix(0), 2), "Chunk: Mix_0_1 takes no input that could be cut into chunks"),
    ],
)
def test_faults_of_construction(make: Any, message: str) -> None:
    with pytest.raises(lk.LayerError) as caught:
        make()
    assert str(caught.value).startswith(message)


class Pair(NamedTuple):
    one: Any
    two: Any


class Restless(lk.Layer):
    """Its state has another shape after each call."""

    def init_weights_and_state(self, signature: Any) -> None:
        self.state = Pair(np.zeros(1), np.zeros(2))

    def forward(self, x: Any) -> Any:
        self.state = Pair(np.zeros(1), np.zeros(3))
        return x


@on_both
@pytest.mark.parametrize(
    ("model", "inputs", "message"),
    [
        (lk.Scan(lk.Add(), n_carry=0), (lk.f32(3, 2), lk.f32(4, 2)), "Scan: its inputs (3, 2) and (4, 2) differ in le"),
        (lk.Scan(lk.Add(), 2, n_carry=0), (lk.f32(3, 2), lk.f32(3, 2)), "Scan: has no axis 2 in an input of shape (3,"),
        (
            lk.Scan(lk.Fn("Wider", lambda x, c: (x, np.concatenate([c, c])), n_out=2)),
            (lk.f32(3, 2), lk.f32(2)),
            "Scan: its carry goes in as float32[2] and comes out as float32[4]; a carry keeps its form",
        ),
        (
            lk.Scan(lk.Fn("Half", lambda x, c: (x, c * 0.5), n_out=2)),
            (lk.f32(3, 2), lk.i32(2)),
            "Scan: its carry goes in as int32[2] and comes out as float32[2]; a carry keeps its form",
        ),
        (
            lk.Map(lk.Fn("Total", lambda x: np.sum(x)), axis=1),
            lk.f32(3, 2),
            "Map: its output slices of shape () cannot be stacked along axis 1",
        ),
        (lk.Chunk(Linear(2), 2, False), lk.f32(5, 2), "Chunk: 5 rows cannot be cut into chunks of 2"),
        (
            lk.Chunk(lk.Fn("Total", lambda x: np.sum(x)), 2),
            lk.f32(4, 2),
            "Chunk: Total gives one number for 2 rows, and no row for each",
        ),
    ],
)
def test_faults_before_the_first_step(backend: str, model: lk.Layer, inputs: Any, message: str) -> None:
    with lk.use_backend(backend), pytest.raises(lk.LayerError) as caught:
        model.init(inputs)
    assert str(caught.value).startswith(message)


@on_both
def test_a_state_that_changes_its_form(backend: str) -> None:
    model = lk.Serial(lk.Map(Restless()))
    with lk.use_backend(backend):
        model.init(np.zeros((2, 3)))
        with pytest.raises(lk.LayerError) as caught:
            model(np.zeros((2, 3)))
    assert str(caught.value).startswith(
        "Serial > 0:Map: its state goes in as Pair(one=float32[1], two=float32[2]) "
        "and comes out as Pair(one=float32[1], two=float32[3]); a state keeps its form"
    )


class CallsInLoop(lk.Layer):
    """Calls a sublayer inside a loop of its own."""

    def __init__(self, layer: lk.Layer, loop: str) -> None:
        super().__init__(sublayers=[layer])
        self.loop = loop

    def forward(self, x: Any) -> Any:
        (layer,) = self.sublayers
        if self.loop == "scan":
            return scan(lambda carry, row: (carry, layer(row)), (), x)[1]
        if self.loop == "map":
            return lk.fastmath.map(layer, x)
        if self.loop == "cond":
            return lk.fastmath.cond(np.sum(x) > 0, layer, lambda x: x, x)
        return remat(layer)(x)


@on_both
@pytest.mark.parametrize("loop", ["scan", "map", "cond", "remat"])
def test_state_kept_in_a_loop_of_ones_own_is_refused(backend: str, loop: str) -> None:
    with lk.use_backend(backend):
        x = np.ones((2, 3))
        stateless = CallsInLoop(Linear(3), loop)
        stateless.init(x)
        assert stateless(x).shape == (2, 3)
        with pytest.raises(lk.LayerError, match=f"Count keeps state and is called inside a {loop}: use tl"):
            CallsInLoop(Count(), loop).init(x)


class OwnSlope(lk.Layer):
    """What its sublayer gives; its input's gradient is that of its output."""

    has_backward = True

    def __init__(self, layer: lk.Layer) -> None:
        super().__init__(sublayers=[layer])

    def forward(self, x: Any) -> Any:
        return self.sublayers[0](x)

    def backward(
        self, inputs: Any, output: Any, grad: Any, weights: Any, state: Any, new_state: Any, rng: Any
    ) -> tuple[Any, Any]:
        return grad, nested_map(np.ones_like, weights)


class Calls(lk.Layer):
    """Calls its sublayers, one after the other."""

    def __init__(self, *layers: lk.Layer) -> None:
        super().__init__(sublayers=layers)

    def forward(self, x: Any) -> Any:
        for layer in self.sublayers:
            x = layer(x)
        return x


@on_both
@pytest.mark.parametrize("loop", [lambda layer: lk.Chunk(layer, 2), lambda layer: lk.Map(layer, remat=True)])
@pytest.mark.parametrize("inside", [lambda: lk.Serial(Linear(3), Count()), lambda: OwnSlope(Linear(3))])
def test_steps_that_are_computed_again_inside_a_layer_of_ones_own(backend: str, loop: Any, inside: Any) -> None:
    """As inside a Serial, which calls nothing while it is initialized."""
    plain, own = lk.Serial(loop(inside())), Calls(loop(inside()))
    with lk.use_backend(backend):
        x = arrays(1, (4, 3))[0]
        plain.init(x)
        own.init(x)
        assert_same(own.weights, plain.weights)
        assert_same(own(x), plain(x))
        assert_same(own.state, plain.state)
        assert_same(grad(loss_of(own))(own.weights, x), grad(loss_of(plain))(plain.weights, x))


@on_both
@pytest.mark.parametrize("again", [True, False])
def test_layers_of_a_layer_of_ones_own_are_shared_into_a_loop(backend: str, again: bool) -> None:
    shared = lk.Serial(Linear(3), lk.Fn("Half", lambda x: x / 2))
    model = Calls(shared, lk.Map(shared, remat=again))
    with lk.use_backend(backend):
        x = arrays(1, (4, 3))[0]
        (kernel,) = tree_leaves(model.init(x))
        assert_same(model(x), np.dot(np.dot(x, kernel), kernel) / 4, 1e-5)


@on_both
def test_a_shared_layer_with_state_cannot_go_into_a_loop(backend: str) -> None:
    count = Count()
    model = lk.Serial(count, lk.Map(count))
    with lk.use_backend(backend):
        model.init(np.zeros((2, 3)))
        with pytest.raises(lk.LayerError, match="Count keeps state and is shared into a loop"):
            model(np.zeros((2, 3)))
