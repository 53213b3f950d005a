"""One layer object in several places: one set of weights, one state, one gradient."""

from __future__ import annotations

from typing import Any

import numpy as onp
import pytest
from toy_layers import BACKENDS, Count, Linear, Mix, Noise, Relu, arrays, assert_same

import layerkit as lk
from layerkit import layers as tl
from layerkit.fastmath import grad, jit, random, tree_leaves
from layerkit.fastmath import numpy as np

on_both = pytest.mark.parametrize("backend", BACKENDS)


class Backwards(lk.Layer):
    """Calls its sublayers from the last to the first."""

    def __init__(self, *sublayers: lk.Layer) -> None:
        super().__init__(sublayers=sublayers)

    def forward(self, x: Any) -> Any:
        for layer in reversed(self.sublayers):
            x = layer(x)
        return x


class Reads(lk.Layer):
    """x times the kernel of its sublayer, which it never calls."""

    def __init__(self, layer: lk.Layer) -> None:
        super().__init__(sublayers=[layer])

    def forward(self, x: Any) -> Any:
        return x @ self.sublayers[0].weights


def twice() -> tuple[Any, ...]:
    tied = Linear(3)
    return lk.Serial(tied, Relu(), tied), (1, (), ()), lambda k, x: relu(x @ k) @ k


def nested() -> tuple[Any, ...]:
    tied = Linear(3)
    return (
        lk.Serial(lk.Serial(Relu(), tied), lk.Serial(lk.Serial(tied))),
        (((), 1), (((),),)),
        lambda k, x: relu(x) @ k @ k,
    )


def whole_serial() -> tuple[Any, ...]:
    tied = lk.Serial(Linear(3), Relu())
    return lk.Serial(tied, tied), ((1, ()), ()), lambda k, x: relu(relu(x @ k) @ k)


def in_branch() -> tuple[Any, ...]:
    tied = Linear(3)
    model = lk.Serial(lk.Branch(tied, [Relu(), tied]), lk.Add(), lk.Residual(tied, shortcut=tied))
    return model, ((1, ((), ())), (), ((), ())), lambda k, x: 2 * ((x @ k + relu(x) @ k) @ k)


def in_parallel() -> tuple[Any, ...]:
    tied = Linear(3)
    model = lk.Serial(lk.Dup(), lk.Parallel(tied, tied), lk.Multiply())
    return model, ((), (1, ()), ()), lambda k, x: (x @ k) ** 2


def serial_and_part_of_it() -> tuple[Any, ...]:
    part = Linear(3)
    tied = lk.Serial(part, Relu())
    return lk.Serial(part, tied, tied), (1, ((), ()), ()), lambda k, x: relu(relu(x @ k @ k) @ k)


def called_out_of_order() -> tuple[Any, ...]:
    tied = Linear(3)
    return Backwards(lk.Serial(Relu(), tied), tied), (((), 1), ()), lambda k, x: relu(x @ k) @ k


def twice_in_a_custom_layer() -> tuple[Any, ...]:
    tied = Linear(3)
    return lk.Serial(Backwards(tied, Relu(), tied)), ((1, (), ()),), lambda k, x: relu(x @ k) @ k


def read_and_never_called() -> tuple[Any, ...]:
    tied = Linear(3)
    return lk.Serial(lk.Serial(Relu(), tied), Reads(tied)), (((), 1), ((),)), lambda k, x: relu(x) @ k @ k


def in_side_outputs() -> tuple[Any, ...]:
    tied = Linear(3)
    model = lk.Serial(lk.SerialWithSideOutputs([[tied, lk.Dup()], tied], [1, 0]), lk.Add())
    return model, (((1, ()), ()), ()), lambda k, x: x @ k @ k + x @ k


def relu(x: Any) -> Any:
    return np.maximum(x, 0)


CASES = [
    twice,
    nested,
    whole_serial,
    in_branch,
    in_parallel,
    serial_and_part_of_it,
    called_out_of_order,
    twice_in_a_custom_layer,
    read_and_never_called,
    in_side_outputs,
]


def outline(weights: Any) -> Any:
    return tuple(map(outline, weights)) if isinstance(weights, tuple) else 1


@on_both
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_stored_once_in_the_first_place_and_used_in_all(backend: str, case: Any) -> None:
    model, places, formula = case()
    with lk.use_backend(backend):
        x = arrays(1, (4, 3))[0]
        weights, state = model.init(x, random.get_prng(2))
        assert outline(weights) == places
        (kernel,) = tree_leaves(weights)
        assert_same(model(x), formula(kernel, x), 1e-5)
        assert outline(model.weights) == places
        found = grad(lambda w: np.sum(model.pure_fn(x, w, state)[0] ** 2))(weights)
        assert outline(found) == places
        assert_same(found, grad(lambda k: np.sum(formula(k, x) ** 2))(kernel), 1e-3)
        twin_weights, _ = case()[0].init(x, random.get_prng(2))
        assert_same(twin_weights, weights)
        assert model.output_signature(x) == lk.f32(4, 3)


@on_both
def test_a_shared_state_is_one_state(backend: str) -> None:
    with lk.use_backend(backend):
        count = Count()
        model = lk.Serial(count, lk.Branch(count, [Relu(), count]), lk.Add(), lk.Serial(count))
        x = np.zeros(2)
        weights, state = model.init(x)
        assert_same(state, [onp.float32(0)])
        y, new_state = model.pure_fn(x, weights, state)
        assert_same(new_state, [onp.float32(4)])
        assert float(y[0]) == 0 + 1 + 2 + 3
        compiled, _ = jit(lambda s: model.pure_fn(x, weights, s))(state)
        assert_same(compiled, y)
        model(x)
        model(x)
        assert_same(model.state, [onp.float32(8)])
        assert float(count.state) == 8


@on_both
def test_batch_norm_in_two_places_moves_its_statistics_twice(backend: str) -> None:
    with lk.use_backend(backend):
        norm = tl.BatchNorm(axis=0, momentum=0.5)
        model = lk.Serial(norm, Relu(), norm)
        x = arrays(1, (8, 3))[0]
        weights, state = model.init(x)
        _, new_state = model.pure_fn(x, weights, state, training=True)
        assert new_state[1:] == ((), ())
        assert int(new_state[0].n_batches) == 2
        first, _ = norm.pure_fn(x, weights[0], state[0], training=True)
        _, once = norm.pure_fn(x, weights[0], state[0], training=True)
        _, expected = norm.pure_fn(onp.maximum(first, 0), weights[0], once, training=True)
        assert_same(new_state[0], expected, 1e-5)


@on_both
def test_each_place_has_a_random_key_of_its_own(backend: str) -> None:
    with lk.use_backend(backend):
        noise = Noise()
        model = lk.Serial(lk.Branch(noise, noise), lk.SubtractTop())
        x = np.zeros(4)
        weights, state = model.init(x)
        assert onp.all(onp.asarray(model.pure_fn(x, weights, state, random.get_prng(0))[0]) != 0)


@on_both
def test_explicit_weights_win_over_shared_ones(backend: str) -> None:
    """A model run with its pure_fn inside another's forward has the weights it is given, shared layers and all."""
    with lk.use_backend(backend):
        tied = Linear(3)
        inner = lk.Serial(tied, tied)

        class Doubles(lk.Layer):
            def init_weights_and_state(self, signature: Any) -> None:
                self.weights = 2 * np.eye(3)

            def forward(self, x: Any) -> Any:
                y, _ = inner.pure_fn(x, (self.weights, ()), ((), ()))
                return y

        model = lk.Serial(inner, Doubles())
        x = arrays(1)[0]
        weights, _ = model.init(x)
        kernel = weights[0][0]
        assert_same(model(x), 4 * (x @ kernel @ kernel), 1e-4)


@on_both
def test_weights_are_set_and_read_as_trees(backend: str) -> None:
    with lk.use_backend(backend):
        tied = Linear(3)
        model = lk.Serial(tied, lk.Branch(Mix(), tied))
        model.init(lk.f32(2, 3))
        first, (mix, _) = model.weights
        model.weights = (np.ones((3, 3)), (mix, ()))
        assert_same(tied.weights, np.ones((3, 3)))
        assert_same(model.weights[1], mix)
        tied.weights = first
        assert_same(model.weights[0], first)
        with pytest.raises(lk.LayerError) as caught:
            model.weights = (first,)
    assert str(caught.value) == "Serial: its weights must be a tuple of 2, one entry for each sublayer, got 1 entries"


@pytest.mark.parametrize("tree", [3, {"kernel": 1}], ids=["a number", "a dict"])
def test_other_trees_are_refused(tree: Any) -> None:
    model = lk.Serial(Linear(3))
    with pytest.raises(
        lk.LayerError, match=r"Serial: its state must be a tuple of 1, one entry for each sublayer, got"
    ):
        model.state = tree


class CallsAfar(lk.Layer):
    """Calls a layer that stands further out in the model."""

    def __init__(self, other: lk.Layer) -> None:
        super().__init__()
        self.other = other

    def forward(self, x: Any) -> Any:
        return self.other(x)


@on_both
def test_a_layer_further_out_can_be_called(backend: str) -> None:
    with lk.use_backend(backend):
        tied = Linear(3)
        model = lk.Serial(tied, lk.Branch([Relu(), CallsAfar(tied)], None), lk.Add())
        x = arrays(1)[0]
        weights, state = model.init(x)
        h = x @ onp.asarray(weights[0])
        assert_same(model(x), onp.maximum(h, 0) @ onp.asarray(weights[0]) + h, 1e-5)
        found = grad(lambda w: np.sum(model.pure_fn(x, w, state)[0]))(weights)
        expected = grad(lambda k: np.sum(relu(x @ k) @ k + x @ k))(weights[0])
        assert_same(found, expected, 1e-4)


@on_both
def test_but_not_to_keep_state_nor_before_its_place(backend: str) -> None:
    with lk.use_backend(backend):
        count = Count()
        with pytest.raises(lk.LayerError) as caught:
            lk.Serial(count, lk.Serial(CallsAfar(count))).init(lk.f32(2))
        assert str(caught.value).startswith(
            "Serial > 1:Serial > 0:CallsAfar: Count keeps state and is called inside CallsAfar, which does not have it "
            "as a sublayer: hand it to super().__init__(sublayers=[...])"
        )
        tied = Linear(3)
        for first in (CallsAfar(tied), lk.Fn("Reads", lambda x: x @ tied.weights)):
            with pytest.raises(lk.LayerError) as caught:
                lk.Serial(first, tied).init(lk.f32(2, 3))
            assert str(caught.value).startswith(
                f"Serial > 0:{first.name}: Linear_3 is used before its place in Serial, where it gets its weights"
            )
        with pytest.raises(
            lk.LayerError, match=r"^Reads: Linear_3 is used before its place in Reads, where it gets its"
        ):
            Reads(tied).init(lk.f32(2, 3))


class Near(lk.Layer):
    """The difference of its own noise and that of a layer further out."""

    def __init__(self, other: lk.Layer) -> None:
        super().__init__(sublayers=[Noise()])
        self.other = other

    def forward(self, x: Any) -> Any:
        return self.sublayers[0](x) - self.other(x)


@on_both
def test_noise_from_afar_is_other_noise(backend: str) -> None:
    with lk.use_backend(backend):
        for caller in (CallsAfar, Near):
            noise = Noise()
            model = lk.Serial(lk.Branch(noise, caller(noise)), lk.SubtractTop())
            y, _ = model.pure_fn(np.zeros(4), *model.init(lk.f32(4)), random.get_prng(0))
            assert onp.all(onp.asarray(y) != 0)
            noise = Noise()
            model = lk.Serial(noise, caller(noise))
            y, _ = model.pure_fn(np.zeros(4), *model.init(lk.f32(4)), random.get_prng(0))
            assert onp.all(onp.asarray(y) != 0)
