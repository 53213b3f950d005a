"""Functions as layers, names, printing, depth, paths of tensors, files."""

from __future__ import annotations

from typing import Any

import numpy as onp
import pytest
from toy_layers import BACKENDS, Count, Linear, Mix, Relu, arrays, assert_same

import layerkit as lk
from layerkit import layers as tl
from layerkit.fastmath import numpy as np
from layerkit.fastmath import random
from layerkit.tensor_names import tensor_paths

on_both = pytest.mark.parametrize("backend", BACKENDS)


# -- Fn, names, printing ----------------------------------------------------------------------------------------------


def with_default(x: Any, y: Any = 1) -> Any:
    return x + y


def with_keyword(x: Any, *, axis: Any) -> Any:
    return x + axis


def with_star(*xs: Any) -> Any:
    return xs


def with_options(x: Any, **options: Any) -> Any:
    return x


@pytest.mark.parametrize(
    ("function", "fault"),
    [
        (with_default, "default argument y leaves n_in open"),
        (with_keyword, "keyword argument axis is no input"),
        (with_star, "variable arguments (*xs) leave n_in open"),
        (with_options, "variable arguments (**options) leave n_in open"),
    ],
)
def test_fn_refuses_what_leaves_n_in_open(function: Any, fault: str) -> None:
    with pytest.raises(lk.LayerError) as caught:
        lk.Fn("F", function)
    assert str(caught.value) == f"Fn 'F': {fault}; wrap it: Fn('F', lambda x: f(x, ...))"


@on_both
def test_fn_reads_n_in_from_the_function(backend: str) -> None:
    with lk.use_backend(backend):
        layer = lk.Fn("Both", lambda x, y: (x + y, x - y), n_out=2)
        assert (layer.n_in, layer.n_out, repr(layer)) == (2, 2, "Both_in2_out2")
        assert [float(y) for y in layer((np.array(3.0), np.array(2.0)))] == [5, 1]
        assert float(lk.Fn("Four", lambda: np.array(4.0))(())) == 4


def test_printing_is_that_of_the_seed() -> None:
    model = tl.Serial(tl.Embedding(9088, 256), tl.Mean(axis=1), tl.Dense(2), tl.LogSoftmax())
    assert repr(model) == "Serial[\n  Embedding_9088_256\n  Mean\n  Dense_2\n  LogSoftmax\n]"
    nested = tl.Serial(tl.Branch(tl.Dense(2), [tl.Relu(), None]), tl.Add(), name="Body")
    assert repr(nested) == ("Body[\n  Branch_out2[\n    Dense_2\n    Serial[\n      Relu\n    ]\n  ]\n  Add_in2\n]")
    assert repr(tl.Serial(tl.Dense(2), sublayers_to_print=[tl.Relu()])) == "Serial[\n  Relu\n]"
    assert repr(tl.Serial()) == "Serial"


@pytest.mark.parametrize("name", ["a/b", "..", "a..b", "nul\0", "x" * 10_240, "line\nbreak", "", 3], ids=repr)
def test_names_that_no_file_could_carry(name: Any) -> None:
    with pytest.raises(lk.LayerError) as caught:
        lk.Fn(name, lambda x: x)
    message = str(caught.value)
    assert message.startswith("a layer's name has 1 to 100 printable characters, without / and .., got ")
    assert "\n" not in message
    assert len(message) < 160


def test_a_thousand_layers_deep_is_one_plain_line() -> None:
    def nest(levels: int) -> lk.Layer:
        model = Relu()
        for _ in range(levels):
            model = lk.Serial(model)
        return model

    with pytest.raises(lk.LayerError) as caught:
        nest(1000)
    assert str(caught.value) == (
        "Serial: layers nested more than 100 deep, which Python's stack may not hold; "
        "a Serial takes any number of layers side by side"
    )


class Wraps(lk.Layer):
    def __init__(self, inner: lk.Layer) -> None:
        super().__init__(sublayers=[inner])

    def forward(self, x: Any) -> Any:
        return self.sublayers[0](x)


@on_both
@pytest.mark.parametrize("wrap", [lk.Serial, lk.Residual, Wraps, lk.BatchLeadingAxes], ids=lambda wrap: wrap.__name__)
def test_as_deep_as_it_may_be(backend: str, wrap: Any) -> None:
    model: lk.Layer = Linear(3)
    for _ in range(99):
        model = wrap(model)
    with lk.use_backend(backend):
        x = arrays(1)[0]
        model.init(x)
        assert model(x).shape == (2, 3)


@on_both
def test_fifty_layers_side_by_side(backend: str) -> None:
    model = lk.Serial(*[lk.Fn("Id", lambda x: x) for _ in range(50)])
    with lk.use_backend(backend):
        x = arrays(1)[0]
        weights, state = model.init(x)
        assert (weights, state) == (((),) * 50, ((),) * 50)
        assert_same(model(x), x)


# -- files ------------------------------------------------------------------------------------------------------------


@on_both
def test_weights_and_state_come_back_from_a_file(backend: str, tmp_path: Any) -> None:
    def build() -> lk.Layer:
        tied = Linear(3)
        return lk.Serial(
            tied, lk.Branch(tied, [Count(), Linear(4)]), lk.Parallel(lk.Map(Count()), lk.Cache(tl.Dense(2)))
        )

    with lk.use_backend(backend):
        x = arrays(1)[0]
        model, path = build(), tmp_path / "model.safetensors"
        weights, _ = model.init(x, random.get_prng(8))
        y = model(x)
        model.save_to_file(path)
        twin = build()
        read = twin.init_from_file(path, x)
        assert_same(read, (weights, model.state))
        assert lk.signature(twin.state) == lk.signature(model.state)
        assert not onp.allclose(onp.asarray(y[0]), onp.asarray(twin(x)[0]))  # the counts have gone on
        assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"]


def test_reading_a_file_draws_no_weights_to_be_replaced(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def build() -> lk.Layer:
        return lk.Serial(tl.Embedding(9, 4), tl.Dropout(0.5), lk.Residual(tl.Dense(4)), tl.LSTM(3))

    def refuse(*args: Any) -> Any:
        raise AssertionError("numbers are drawn")

    with lk.use_backend("numpy"):
        weights, state = (model := build()).init(lk.i32(2, 3), random.get_prng(8))
        model.save_to_file(tmp_path / "model")
        monkeypatch.setattr("layerkit_plugins.backends.numpy.random.random_blocks", refuse)
        assert_same(build().init_from_file(tmp_path / "model", lk.i32(2, 3)), (weights, state))
        with pytest.raises(lk.LayerError, match="numbers are drawn"):
            build().init(lk.i32(2, 3))


class Peculiar(lk.Layer):
    """Looks at its first numbers, or keeps some that are no weights."""

    def __init__(self, looks: bool) -> None:
        super().__init__()
        self.looks = looks

    def init_weights_and_state(self, signature: Any) -> None:
        self.weights = drawn = random.uniform(self.rng, (3,))
        if not self.looks:
            self.drawn = drawn * 2
        elif not float(drawn[0]) > 0:
            raise ValueError("a number that was not drawn")

    def forward(self, x: Any) -> Any:
        return x * self.weights


@on_both
def test_layers_that_use_their_first_numbers_are_read_from_a_file_too(backend: str, tmp_path: Any) -> None:
    with lk.use_backend(backend):
        for looks in (True, False):
            model, twin, path = lk.Serial(Peculiar(looks)), lk.Serial(Peculiar(looks)), tmp_path / f"{looks}"
            weights, _ = model.init(lk.f32(3), random.get_prng(5))
            model.save_to_file(path)
            assert_same(twin.init_from_file(path, lk.f32(3))[0], weights)
            if not looks:
                real = lk.Serial(Peculiar(looks))
                real.init(lk.f32(3))
                assert_same(twin.sublayers[0].drawn, real.sublayers[0].drawn)


def test_every_tensor_has_a_path() -> None:
    tied = tl.Dense(3)
    model = lk.Serial(
        lk.Dup(),
        lk.Parallel(lk.Residual(tied, shortcut=Linear(3)), [lk.Map(Linear(3)), tied]),
        lk.Branch(lk.Chunk(Mix(2), 2), lk.Bidirectional([tl.Dense(3, use_bias=False)]), name="Both"),
    )
    weights, _ = model.init(lk.f32(2, 3, 3))
    assert tensor_paths(model, weights) == [
        "1.Parallel/0.Residual/0.Dense/kernel",
        "1.Parallel/0.Residual/0.Dense/bias",
        "1.Parallel/0.Residual/1.Linear/kernel",
        "1.Parallel/1.Serial/0.Map/0.Linear/kernel",
        "2.Branch/0.Chunk/0.Mix/0",
        "2.Branch/0.Chunk/0.Mix/1",
        "2.Branch/1.Bidirectional/0.Serial/0.Dense/kernel",
        "2.Branch/1.Bidirectional/1.Serial/0.Dense/kernel",
    ]


@on_both
def test_files_of_other_models_are_refused(backend: str, tmp_path: Any) -> None:
    with lk.use_backend(backend):
        path = tmp_path / "model.safetensors"
        model = lk.Serial(Linear(3), Linear(4))
        with pytest.raises(lk.LayerError, match="Serial has no weights yet"):
            model.save_to_file(path)
        model.init(lk.f32(2, 3))
        model.save_to_file(path)
        for other, fault in [
            (lk.Serial(Linear(3)), "the array 1.Linear/kernel has no place in this layer"),
            (lk.Serial(Linear(3), Linear(4), Linear(1)), "the array 2.Linear/kernel is missing"),
            (
                lk.Serial(Linear(5), Linear(4)),
                r"0.Linear/kernel is float32\[3, 3\], and this layer has float32\[3, 5\]",
            ),
        ]:
            with pytest.raises(lk.LayerError, match=fault):
                other.init_from_file(path, lk.f32(2, 3))
        for content, fault in [(b"", "0 bytes are no safetensors file"), (None, "is missing")]:
            broken = tmp_path / "broken"
            if content is not None:
                broken.write_bytes(content)
            else:
                broken = tmp_path / "absent"
            with pytest.raises(lk.LayerError, match=fault):
                model.init_from_file(broken)
        with pytest.raises(lk.LayerError, match=r"cannot be written: no such file or directory"):
            model.save_to_file(tmp_path / "absent" / "model")
