"""What a layer is: frames, purity, training, keys, custom layers, names, printing, files."""

from __future__ import annotations

import io
import re
import sys
import threading
from typing import Any

import numpy as onp
import pytest
from toy_layers import BACKENDS, Count, Linear, Noise, Relu, arrays, assert_same

import layerkit as lk
from layerkit import fastmath
from layerkit.engine.sharing import walk
from layerkit.fastmath import cond, grad, jit, random, remat, scan
from layerkit.fastmath import map as fast_map
from layerkit.fastmath import numpy as np

on_both = pytest.mark.parametrize("backend", BACKENDS)


REMEMBERED = {"_shares", "_trees"}
"""What a layer knows of itself and those inside it, found when it is asked for."""


def snapshot(model: lk.Layer) -> list[tuple[Any, dict[str, Any]]]:
    return [(layer, dict(vars(layer))) for layer in walk(model)]


def assert_untouched(before: list[tuple[Any, dict[str, Any]]]) -> None:
    for layer, attributes in before:
        now = vars(layer)
        assert set(now) - REMEMBERED == set(attributes) - REMEMBERED
        assert all(now[name] is value for name, value in attributes.items() if name not in REMEMBERED)


# -- frames -----------------------------------------------------------------------------------------------------------


class Probe(lk.Layer):
    """Notes what it sees of itself while it runs."""

    def init_weights_and_state(self, signature: Any) -> None:
        self.weights, self.state = np.ones(2), np.zeros(())
        assert self.weights.shape == (2,)

    def forward(self, x: Any) -> Any:
        before = self.state
        self.state = before + 1
        self.seen = self.weights, before, self.state, self.rng, self.training
        return x * self.weights


@on_both
def test_inside_a_call_the_properties_are_those_of_the_call(backend: str) -> None:
    with lk.use_backend(backend):
        probe, x, key = Probe(), np.ones(2), random.get_prng(5)
        probe.init(x)
        y, state = probe.pure_fn(x, 3 * np.ones(2), np.array(7.0), key, training=True)
        weights, before, after, rng, training = probe.seen
        assert (weights.tolist(), float(before), float(after), training) == ([3, 3], 7, 8, True)
        assert_same(rng, key)
        assert (y.tolist(), float(state)) == ([3, 3], 8)
        # Outside, what init left.
        assert (probe.weights.tolist(), float(probe.state), probe.training) == ([1, 1], 0, False)
        assert_same(probe.rng, random.get_prng(0))
        probe.init(x, key)
        assert_same(probe.rng, key)


@on_both
def test_a_call_keeps_its_state_unless_it_was_given_one(backend: str) -> None:
    with lk.use_backend(backend):
        model, x = lk.Serial(Count(), Count()), np.zeros(2)
        model.init(x)
        assert model(x).tolist() == [0, 0]
        assert [float(s) for s in model.state] == [1, 1]
        assert model(x, state=(np.array(5.0), np.array(5.0))).tolist() == [10, 10]
        assert [float(s) for s in model.state] == [1, 1]
        assert model(x, weights=((), ())).tolist() == [2, 2]


@on_both
def test_nothing_changes_on_a_layer_in_pure_fn(backend: str) -> None:
    with lk.use_backend(backend):
        x = arrays(1)[0]
        model = lk.Serial(Linear(3), lk.Branch([Count(), Noise()], lk.Map(Linear(3))), lk.Residual(lk.Add()))
        weights, state = model.init((x, x))
        before, key = snapshot(model), random.get_prng(1)
        model.pure_fn((x, x), weights, state, key, training=True)
        jit(lambda w: model.pure_fn((x, x), w, state, key)[0][0])(weights)
        grad(lambda w: np.sum(model.pure_fn((x, x), w, state, key)[0][0]))(weights)
        model.output_signature((x, x))
        lk.summary(model, (x, x), io.StringIO())
        assert_untouched(before)


class Fails(lk.Layer):
    def forward(self, x: Any) -> Any:
        self.state = x
        raise RuntimeError("on purpose")


@on_both
def test_nor_after_an_exception(backend: str) -> None:
    with lk.use_backend(backend):
        x = arrays(1)[0]
        model = lk.Serial(Linear(3), Count(), lk.Parallel(Fails(), Linear(3)))
        model.weights = (np.ones((3, 3)), (), ((), np.ones((3, 3))))
        model.state = ((), np.zeros(()), ((), ()))
        before = snapshot(model)
        with pytest.raises(lk.LayerError, match="Serial > 2:Parallel > 0:Fails: RuntimeError: on purpose") as caught:
            model((x, x))
        assert isinstance(caught.value.__cause__, RuntimeError)
        assert_untouched(before)
        assert model.weights[0].shape == (3, 3)  # no frame was left open


@on_both
def test_eight_threads_at_once(backend: str) -> None:
    model = lk.Serial(Linear(3), lk.Branch([Count(), Noise()], Linear(3)), lk.Add(), Noise())
    with lk.use_backend(backend):
        x = arrays(1)[0]
        model.init(x)

        def work(seed: int) -> Any:
            mine = lk.fastmath.nested_map(lambda w: w * (1 + seed), model.weights)
            return model.pure_fn(x, mine, model.state, random.get_prng(seed), training=bool(seed % 2))

        expected = [work(seed) for seed in range(8)]
        before, found, start = snapshot(model), [[] for _ in range(8)], threading.Barrier(8)

        def repeat(seed: int) -> None:
            with lk.use_backend(backend):
                start.wait()
                for _ in range(5):
                    found[seed].append(work(seed))

        threads = [threading.Thread(target=repeat, args=(seed,)) for seed in range(8)]
        switch = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            sys.setswitchinterval(switch)
        for results, wanted in zip(found, expected, strict=True):
            assert len(results) == 5
            for result in results:
                assert_same(result, wanted)
        assert_untouched(before)


def test_two_threads_with_two_backends() -> None:
    model = lk.Serial(Linear(3), Relu())
    found: dict[str, Any] = {}
    start = threading.Barrier(2)

    def run(backend: str) -> None:
        with lk.use_backend(backend):
            start.wait()
            for _ in range(10):
                weights, state = lk.Serial(Linear(3), Relu()).init(lk.f32(2, 3))
                found[backend] = weights[0], model.pure_fn(arrays(1)[0], weights, state)[0]

    threads = [threading.Thread(target=run, args=(backend,)) for backend in BACKENDS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for ours, theirs in zip(found["numpy"], found["jax"], strict=True):
        assert type(ours) is onp.ndarray
        assert type(theirs) is not onp.ndarray
        onp.testing.assert_allclose(ours, theirs, atol=1e-6)


# -- what would be a stale constant -----------------------------------------------------------------------------------


class Peeks(lk.Layer):
    def __init__(self, other: lk.Layer, what: str) -> None:
        super().__init__()
        self.other, self.what = other, what

    def forward(self, x: Any) -> Any:
        getattr(self.other, self.what)
        return x


@on_both
@pytest.mark.parametrize("what", ["weights", "state"])
def test_reading_another_layer_is_an_error_that_says_so(backend: str, what: str) -> None:
    with lk.use_backend(backend):
        other = Linear(2)
        other.init(lk.f32(1, 2))
        with pytest.raises(lk.LayerError) as caught:
            lk.Serial(Peeks(other, what)).init(lk.f32(1, 2))
    line = r"\(layer made in test_layer_core.py:\d+\)"
    assert re.fullmatch(
        rf"Serial > 0:Peeks: Linear_2\.{what} is read inside the forward of Peeks, where it would be a stale constant: "
        rf"make Linear_2 a sublayer of it, or pass the arrays in; its input is \(1, 2\) {line}",
        str(caught.value),
    )


@on_both
def test_a_layer_of_the_same_model_can_be_read(backend: str) -> None:
    """Output weights tied to an embedding's table, which lies further out in the same model."""
    with lk.use_backend(backend):
        table = Linear(3)

        class Tied(lk.Layer):
            def forward(self, x: Any) -> Any:
                return x @ np.transpose(table.weights)

        x = arrays(1, (2, 4))[0]
        model = lk.Serial(table, [Relu(), Tied()])
        weights, _ = model.init(x)
        kernel = onp.asarray(weights[0])
        assert_same(model(x), onp.maximum(x @ kernel, 0) @ kernel.T, 1e-5)
        found = grad(lambda w: np.sum(model.pure_fn(x, w, model.state)[0]))(weights)
        assert_same(found[0], grad(lambda k: np.sum(np.maximum(x @ k, 0) @ k.T))(weights[0]), 1e-4)


class Foreign(lk.Layer):
    def forward(self, x: Any) -> Any:
        return _outside(x)


_outside = Linear(2)


@on_both
def test_calling_a_layer_that_is_no_sublayer(backend: str) -> None:
    with lk.use_backend(backend), pytest.raises(lk.LayerError) as caught:
        Foreign().init(lk.f32(1, 2))
    assert str(caught.value).startswith(
        "Foreign: Linear_2 is called inside Foreign, which does not know it: "
        "hand it to super().__init__(sublayers=[...]), or call its pure_fn"
    )


class WritesInside(lk.Layer):
    def __init__(self, region: str) -> None:
        super().__init__()
        self.region = region

    def init_weights_and_state(self, signature: Any) -> None:
        self.state = np.zeros(())

    def forward(self, x: Any) -> Any:
        def body(row: Any) -> Any:
            self.state = np.ones(())
            return row

        if self.region == "scan":
            return scan(lambda carry, row: (carry, body(row)), np.zeros(()), x)[1]
        if self.region == "map":
            return fast_map(body, x)
        if self.region == "cond":
            return cond(np.sum(x) >= 0, body, body, x)
        if self.region == "while_loop":
            return lk.fastmath.while_loop(lambda x: np.sum(x) < 1, body, x)
        return {"remat": remat, "jit": jit}[self.region](body)(x)


@on_both
@pytest.mark.parametrize("region", ["scan", "map", "cond", "while_loop", "remat", "jit"])
def test_state_set_inside_a_loop_must_be_returned(backend: str, region: str) -> None:
    with lk.use_backend(backend), pytest.raises(lk.LayerError) as caught:
        lk.Serial(WritesInside(region)).init(lk.f32(2, 2))
    assert str(caught.value).startswith(
        f"Serial > 0:WritesInside: state set inside a {region}; return it from the body as a carry, and set it after"
    )


@on_both
def test_setting_what_belongs_to_another_call(backend: str) -> None:
    other = Linear(2)

    class Meddles(lk.Layer):
        def forward(self, x: Any) -> Any:
            other.weights = x
            return x

    class MeddlesWithState(lk.Layer):
        def forward(self, x: Any) -> Any:
            other.state = x
            return x

    class Itself(lk.Layer):
        def forward(self, x: Any) -> Any:
            self.weights = x
            return x

    with lk.use_backend(backend):
        with pytest.raises(
            lk.LayerError, match=r"inside the forward of Itself: keep what a call changes in self\.state"
        ):
            Itself()(np.ones(2))
        with pytest.raises(lk.LayerError, match="Linear_2: its weights cannot be set inside the forward of Meddles"):
            Meddles().init(lk.f32(1, 2))
        with pytest.raises(lk.LayerError, match="Linear_2: its state cannot be set inside the forward of MeddlesWit"):
            MeddlesWithState().init(lk.f32(1, 2))


# -- training ---------------------------------------------------------------------------------------------------------


class Flag(lk.Layer):
    """1 while training, else 0."""

    def forward(self, x: Any) -> Any:
        return x * 0 + (1.0 if self.training else 0.0)


@on_both
def test_the_training_flag_is_inherited_and_mode_overrides_it(backend: str) -> None:
    with lk.use_backend(backend):
        fixed = [Flag(mode=mode) for mode in ("train", "eval", "predict")]
        model = lk.Serial(lk.Branch([Flag()], lk.Residual(Flag()), *fixed))
        x = np.zeros(())
        model.init(x)
        assert [float(y) for y in model(x)] == [0, 0, 1, 0, 0]
        assert [float(y) for y in model(x, training=True)] == [1, 1, 1, 0, 0]
        assert [float(y) for y in model(x, training=False)] == [0, 0, 1, 0, 0]
    with pytest.raises(lk.LayerError, match="mode is 'train', 'eval', 'predict' or None, got 'test'"):
        Flag(mode="test")


@on_both
def test_jit_keeps_training_and_evaluation_apart(backend: str) -> None:
    class Jitted(lk.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.double = jit(lambda x: x + (1.0 if self.training else 0.0))

        def forward(self, x: Any) -> Any:
            return self.double(x)

    with lk.use_backend(backend):
        layer, x = Jitted(), np.zeros(())
        for _ in range(2):
            assert float(layer(x)) == 0
            assert float(layer(x, training=True)) == 1


@on_both
def test_a_layer_inside_jit_is_called_as_without(backend: str) -> None:
    with lk.use_backend(backend):
        model = lk.Serial(Linear(3), Count(), Noise())
        x, key = np.ones((2, 3)), random.get_prng(1)
        with pytest.raises(lk.LayerError, match="has no weights yet"):
            jit(model)(x)
        model.init(x, key)
        alone = lk.Serial(Linear(3), Count(), Noise())
        alone.init(x, key)
        compiled = jit(model)
        for call in ({}, {"training": True, "rng": key}, {"training": True, "rng": key}, {}):
            assert_same(compiled(x, **call), alone(x, **call), 1e-6)
            assert_same(model.state, alone.state)
        # What it computes with is what it has, not what it had when it was compiled.
        for layer in (model, alone):
            layer.weights = fastmath.nested_map(lambda w: 2 * w, layer.weights)
        assert_same(compiled(x), alone(x), 1e-6)
        other = fastmath.nested_map(lambda w: 3 * w, model.weights)
        assert_same(compiled(x, other), alone(x, other), 1e-6)


class ReadsInsideJit(lk.Layer):
    """What is read in a function that is compiled inside forward would be compiled in, and stale at the next call."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what, self.inner = what, Linear(2)
        self.compiled = jit(self.body)
        if what == "sublayer":
            self.sublayers = (self.inner,)

    def init_weights_and_state(self, signature: Any) -> None:
        if self.what == "sublayer":
            inner, _, _ = self.init_sublayer(0, signature)
            self.weights, self.state = (inner,), ((),)
        else:
            self.weights = self.state = np.ones(())

    def body(self, x: Any) -> Any:
        if self.what == "sublayer":
            return self.inner(x)
        return x + scan(lambda carry, _: (carry, getattr(self, self.what)), (), None, 2)[1][0]

    def forward(self, x: Any) -> Any:
        return self.compiled(x)


@on_both
@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("weights", "ReadsInsideJit.weights"),
        ("state", "ReadsInsideJit.state"),
        ("rng", "ReadsInsideJit.rng"),
        ("sublayer", "Linear_2.weights"),
    ],
)
def test_weights_state_and_keys_are_never_compiled_in(backend: str, what: str, told: str) -> None:
    with lk.use_backend(backend), pytest.raises(lk.LayerError) as caught:
        lk.Serial(ReadsInsideJit(what)).init(lk.f32(2))
    assert str(caught.value).startswith(
        f"Serial > 0:ReadsInsideJit: {told} is read inside a jit that began in the forward of ReadsInsideJit, "
        "where it would be compiled in: pass it to the compiled function as an argument"
    )


@on_both
def test_infinity_passes_through_without_a_warning(backend: str) -> None:
    import numpy

    with lk.use_backend(backend):
        y = lk.Fn("Difference", lambda x: (x - x) / (0 * x))(numpy.full(3, numpy.inf, "float32"))
    assert numpy.isnan(numpy.asarray(y)).all()
