"""Layers people write: sublayers called in forward, gradients of their own, initialization."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as onp
import pytest
from toy_layers import BACKENDS, Count, Linear, Mix, Noise, Relu, arrays, assert_same

import layerkit as lk
from layerkit import layers as tl
from layerkit.fastmath import grad, jit, random, tree_leaves, value_and_grad
from layerkit.fastmath import numpy as np

on_both = pytest.mark.parametrize("backend", BACKENDS)


# -- sublayers called in forward --------------------------------------------------------------------------------------


class Gated(lk.Layer):
    """sigmoid(gate(x)) * value(relu(x)) + counted zeros, without an init of its own."""

    def __init__(self, n: int) -> None:
        super().__init__(sublayers=[Linear(n), Linear(n), Count(), Noise()])

    def forward(self, x: Any) -> Any:
        gate, value, count, noise = self.sublayers
        y = lk.fastmath.sigmoid(gate(x)) * value(Relu()(x))
        return y + 0 * count(y) + (noise(y) - y if self.training else 0)


@on_both
def test_sublayers_are_initialized_as_forward_calls_them(backend: str) -> None:
    with lk.use_backend(backend):
        x, key = arrays(1)[0], random.get_prng(4)
        layer = Gated(5)
        weights, state = layer.init(x, key)
        assert [w.shape for w in tree_leaves(weights)] == [(3, 5), (3, 5)]
        assert_same(weights[1], Linear(5).init(x, random.fold_in(key, 1))[0])
        y, new_state = layer.pure_fn(x, weights, state)
        gate, value = (onp.asarray(w) for w in weights[:2])
        assert_same(y, onp.maximum(x, 0) @ value / (1 + onp.exp(-(x @ gate))), 1e-5)
        assert_same(new_state, [onp.float32(1)])
        noisy, _ = layer.pure_fn(x, weights, state, key, training=True)
        assert_same(noisy - y, random.normal(random.fold_in(key, 3), (2, 5)), 1e-5)
        compiled, _ = jit(lambda *args: layer.pure_fn(*args))(x, weights, state)
        assert_same(compiled, y, 1e-5)


@on_both
def test_a_custom_layer_inside_combinators_inside_a_custom_layer(backend: str) -> None:
    class Outer(lk.Layer):
        def __init__(self) -> None:
            super().__init__(sublayers=[lk.Serial(lk.Residual(Gated(3)), lk.Map(Gated(2)))])

        def forward(self, x: Any) -> Any:
            return self.sublayers[0](self.sublayers[0](x)[:, :1] + x)

    with lk.use_backend(backend):
        model, x = lk.Serial(Outer()), arrays(1)[0]
        weights, state = model.init(x)
        y, new_state = model.pure_fn(x, weights, state)
        assert y.shape == (2, 2)
        assert sorted(float(s) for s in tree_leaves(new_state)) == [2, 4]
        assert_same(model(x), y)
        assert_same(model.state, new_state)
        gradient = grad(lambda w: np.sum(model.pure_fn(x, w, state)[0]))(weights)
        assert lk.signature(gradient) == lk.signature(weights)


class InitsAsBefore(lk.Layer):
    """Writes its own init around that of its sublayers, with ``init`` or with ``init_sublayer``."""

    def __init__(self, how: str) -> None:
        super().__init__(sublayers=[Linear(4), Linear(4)])
        self.how = how

    def init_weights_and_state(self, signature: Any, rng: Any) -> None:
        if self.how == "init":
            made = [layer.init(signature) for layer in self.sublayers]
        else:
            made = [self.init_sublayer(i, signature)[:2] for i in range(2)]
        self.weights, self.state = (tuple(parts) for parts in zip(*made, strict=True))

    def forward(self, x: Any) -> Any:
        return self.sublayers[0](x) + self.run_sublayer(1, x)


@on_both
def test_an_init_of_ones_own_around_sublayers(backend: str) -> None:
    with lk.use_backend(backend):
        x = arrays(1)[0]
        one, two = InitsAsBefore("init"), InitsAsBefore("init_sublayer")
        weights, _ = one.init(x)
        assert_same(weights, two.init(x)[0])
        assert not onp.allclose(onp.asarray(weights[0]), onp.asarray(weights[1]))
        assert_same(one(x), x @ (weights[0] + weights[1]), 1e-5)
        assert one.sublayers[0].name == "Linear_4"


def test_outside_of_its_own_calls_a_layer_runs_no_sublayer() -> None:
    layer = Gated(3)
    with pytest.raises(lk.LayerError, match=r"Gated\.run_sublayer belongs inside its forward"):
        layer.run_sublayer(0, onp.ones(3))
    with pytest.raises(lk.LayerError, match=r"Gated\.init_sublayer belongs inside its init_weights_and_state"):
        layer.init_sublayer(0, lk.f32(3))


@on_both
def test_a_sublayer_without_weights_need_not_be_called(backend: str) -> None:
    class Spare(lk.Layer):
        def forward(self, x: Any) -> Any:
            return x

    with lk.use_backend(backend):
        model = Spare(sublayers=[lk.Serial(Relu(), lk.Residual(Relu())), Noise()])
        assert model.init(lk.f32(2, 3)) == ((((), ((),)), ()),) * 2
        assert model(np.ones(2)).tolist() == [1, 1]


@on_both
def test_a_sublayer_called_in_training_alone_is_made_too(backend: str) -> None:
    class Auxiliary(lk.Layer):
        def forward(self, x: Any) -> Any:
            return self.sublayers[0](x) + (self.sublayers[1](x) if self.training else 0)

    with lk.use_backend(backend):
        layer, x = Auxiliary(sublayers=[Linear(3), Linear(3)]), arrays(1)[0]
        (one, two), _ = layer.init(x)
        assert_same(layer(x), x @ one, 1e-5)
        assert_same(layer(x, training=True), x @ (one + two), 1e-5)


class Insists(lk.Layer):
    """Calls a sublayer with arguments of its own choice."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(sublayers=[Flag()])
        self.arguments = arguments

    def forward(self, x: Any) -> Any:
        return self.sublayers[0](x, **self.arguments)


class Flag(lk.Layer):
    def forward(self, x: Any) -> Any:
        return x + (1.0 if self.training else 0.0)


@on_both
def test_arguments_of_a_sublayers_call(backend: str) -> None:
    with lk.use_backend(backend):
        x = np.zeros(())
        assert float(Insists(training=True)(x)) == 1
        assert float(Insists(training=False)(x, training=True)) == 0
        assert float(Insists()(x, training=True)) == 1
        for given in ({"rng": random.get_prng(0)}, {"state": ()}):
            with pytest.raises(lk.LayerError) as caught:
                Insists(**given)(x)
            assert str(caught.value).startswith(
                "Insists: Flag: inside the forward of Insists it runs with that call's state and key; "
                "call its pure_fn to give it others"
            )


class Forgets(lk.Layer):
    def __init__(self) -> None:
        super().__init__(sublayers=[Linear(2), Linear(3)])

    def forward(self, x: Any) -> Any:
        return self.sublayers[0](x)


@on_both
def test_a_sublayer_that_is_never_called(backend: str) -> None:
    with lk.use_backend(backend), pytest.raises(lk.LayerError) as caught:
        lk.Serial(Forgets()).init(lk.f32(2, 3))
    assert str(caught.value).startswith(
        "Serial > 0:Forgets: forward never calls its sublayer Linear_3, which therefore has no weights"
    )


# -- gradients of a layer's own ---------------------------------------------------------------------------------------


class Scaled(NamedTuple):
    scale: Any


class TenfoldGradient(lk.Layer):
    """y = x * scale, with ten times its gradient, and the number of its calls as state."""

    has_backward = True

    def init_weights_and_state(self, signature: Any) -> None:
        self.weights, self.state = Scaled(2 * np.ones(signature.shape[-1])), np.zeros(())

    def forward(self, x: Any) -> Any:
        self.state = self.state + 1
        return x * self.weights.scale

    def backward(
        self, inputs: Any, output: Any, grad: Any, weights: Any, state: Any, new_state: Any, rng: Any
    ) -> tuple[Any, Any]:
        assert self.weights is weights
        extra = 10 * (new_state - state)  # 10: both states come in
        return extra * grad * weights.scale, Scaled(extra * np.sum(grad * inputs, axis=0))


@on_both
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
def test_a_gradient_of_ones_own(backend: str, compiled: bool) -> None:
    with lk.use_backend(backend):
        x = arrays(1)[0]
        model = lk.Serial(Linear(3), lk.Branch(TenfoldGradient(), None), lk.Add())
        weights, state = model.init(x)

        def loss(weights: Any, x: Any) -> Any:
            y, new_state = model.pure_fn(x, weights, state)
            return np.sum(y**2), new_state

        def plain(weights: Any, x: Any) -> Any:
            h = x @ weights[0]
            return np.sum((h * weights[1][0].scale + h) ** 2)

        call = jit(value_and_grad(loss, (0, 1), has_aux=True)) if compiled else value_and_grad(loss, (0, 1), True)
        (value, new_state), (found, of_x) = call(weights, x)
        assert float(value) == pytest.approx(float(plain(weights, x)), rel=1e-5)
        assert_same(new_state, [onp.float32(1)])
        expected = grad(plain)(weights, x)
        assert_same(found[1][0].scale, 10 * expected[1][0].scale, 1e-3)
        # Through the branch and past it: y = h (s + 1), of which the branch's share, s, counts tenfold.
        h = x @ weights[0]
        into_h = 2 * (3 * h) * (10 * 2 + 1)
        assert_same(found[0], np.transpose(x) @ into_h, 1e-3)
        assert_same(of_x, into_h @ np.transpose(weights[0]), 1e-3)


@on_both
def test_a_gradient_of_ones_own_in_two_places_and_in_a_scan(backend: str) -> None:
    with lk.use_backend(backend):
        x, layer = arrays(1)[0], TenfoldGradient()
        model = lk.Serial(layer, layer)
        weights, state = model.init(x)
        found = grad(lambda x: np.sum(model.pure_fn(x, weights, state)[0]))(x)
        assert_same(found, onp.full((2, 3), 10 * 2 * 10 * 2, onp.float32), 1e-4)
        for again in (False, True):
            scan = lk.Map(TenfoldGradient(), remat=again)
            weights, state = scan.init(np.ones((4, 2, 3)))
            x = np.ones((4, 2, 3))
            (_, new_state), found = value_and_grad(
                lambda x, s=scan, w=weights, t=state: (lambda y, t: (np.sum(y), t))(*s.pure_fn(x, w, t)), 0, True
            )(x)
            assert_same(found, onp.full((4, 2, 3), 20, onp.float32), 1e-4)
            assert_same(new_state, [onp.float32(4)])


@on_both
def test_a_gradient_of_ones_own_sees_the_training_flag(backend: str) -> None:
    class Twice(lk.Layer):
        has_backward = True

        def forward(self, x: Any) -> Any:
            return x * (2.0 if self.training else 1.0)

        def backward(self, inputs: Any, output: Any, grad: Any, *rest: Any) -> tuple[Any, Any]:
            return grad * (20.0 if self.training else 10.0), ()

    with lk.use_backend(backend):
        for training, value, slope in [(False, 3, 10), (True, 6, 20)]:
            for model, nothing in [(Twice(), ()), (lk.Serial(Twice()), ((),))]:
                call = value_and_grad(lambda x, m=model, n=nothing, t=training: m.pure_fn(x, n, n, None, t)[0])
                assert [float(each) for each in call(np.array(3.0))] == [value, slope]


@on_both
def test_a_backward_that_draws_numbers_gets_the_key_of_the_call(backend: str) -> None:
    class Straight(lk.Layer):
        has_backward = True

        def forward(self, x: Any) -> Any:
            return x + random.normal(self.rng, x.shape)

        def backward(self, inputs: Any, output: Any, grad: Any, *rest: Any) -> tuple[Any, Any]:
            return grad * (output - inputs) / random.normal(self.rng, grad.shape) * rest[-1][0], ()

    with lk.use_backend(backend):
        x, key = arrays(1)[0], np.array([1, 7], dtype=np.uint32)
        model = Straight()
        found = grad(lambda x: np.sum(model.pure_fn(x, (), (), key)[0]))(x)
        assert_same(found, onp.ones((2, 3), onp.float32), 1e-3)


@on_both
def test_a_backward_of_ones_own_would_lose_the_gradient_of_what_is_shared(backend: str) -> None:
    class Reversible(lk.Layer):
        has_backward = True

        def forward(self, x: Any) -> Any:
            return self.sublayers[0](x)

    tied = Linear(3)
    model = lk.Serial(tied, Reversible(sublayers=[tied]))
    with lk.use_backend(backend):
        model.init(lk.f32(2, 3))
        with pytest.raises(lk.LayerError) as caught:
            model(np.ones((2, 3)))
    assert str(caught.value).startswith(
        "Serial > 1:Reversible: Linear_3 inside it stands in several places, and a layer with a backward of its own "
        "would lose its gradient; make it a layer of its own there"
    )


@on_both
def test_has_backward_without_a_backward(backend: str) -> None:
    class Empty(lk.Layer):
        has_backward = True

        def forward(self, x: Any) -> Any:
            return x

    with lk.use_backend(backend), pytest.raises(lk.LayerError, match="Empty says has_backward, and has no backward"):
        grad(lambda x: np.sum(Empty().pure_fn(x, (), ())[0]))(np.ones(2))


# -- initialization ---------------------------------------------------------------------------------------------------


@on_both
def test_init_twice_gives_the_same_and_an_array_is_as_good_as_its_signature(backend: str) -> None:
    with lk.use_backend(backend):
        model = lk.Serial(Linear(4), Gated(3), lk.Residual(Mix()))
        first = model.init(lk.f32(2, 3))
        assert_same(model.init(lk.f32(2, 3)), first)
        assert_same(model.init(onp.ones((2, 3))), first)
        assert_same(model.init([[1, 2, 3], [4, 5, 6]]), first)
        other = model.init(lk.f32(2, 3), random.get_prng(1))
        assert not onp.allclose(onp.asarray(other[0][0]), onp.asarray(first[0][0]))


def test_the_same_seed_gives_the_same_weights_on_both_backends() -> None:
    found = []
    for backend in BACKENDS:
        with lk.use_backend(backend):
            found.append(lk.fastmath.to_host(tl.Serial(tl.Dense(4), Gated(3)).init(lk.f32(2, 3))))
    assert_same(*found, tolerance=1e-6)


@on_both
@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Linear(2), "Linear_2 has no weights yet: call its init(lk.f32(2, 3)) first"),
        (
            lk.Serial(Relu(), lk.Branch(Linear(2), Relu())),
            "Serial has no weights yet (Linear_2 inside it has none): call its init(lk.f32(2, 3)) first",
        ),
    ],
)
def test_use_before_init(backend: str, model: lk.Layer, message: str) -> None:
    with lk.use_backend(backend), pytest.raises(lk.LayerError) as caught:
        model(onp.ones((2, 3), onp.float32))
    assert str(caught.value) == message


@on_both
def test_what_has_nothing_to_initialize_needs_no_init(backend: str) -> None:
    with lk.use_backend(backend):
        assert lk.Serial(Relu(), lk.Residual(Relu()))(np.array([-1.0, 2.0])).tolist() == [0, 4]


@on_both
def test_a_random_layer_without_a_key(backend: str) -> None:
    with lk.use_backend(backend), pytest.raises(lk.LayerError) as caught:
        lk.Serial(Noise()).pure_fn(np.ones(2), ((),), ((),))
    assert str(caught.value).startswith(
        "Serial > 0:Noise: draws random numbers and got no key: pass rng=fastmath.random.get_prng(seed)"
    )
