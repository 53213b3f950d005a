"""Mixed precision: models compute in bfloat16; weights, state, loss, gradients and optimizer stay in float32."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as onp
import pytest
from layer_table import ROWS

import layerkit as lk
from layerkit import fastmath, models, optimizers
from layerkit import layers as tl
from layerkit.fastmath import numpy as np
from layerkit.fastmath import random, tree_leaves
from layerkit.training import NotFiniteError
from layerkit.training.precision import apply

# Rounded, a vector of LSHSelfAttention may fall into another bucket, and attend to other positions.
OF_FLOATS = [
    row
    for row in ROWS
    if not row.note and row.name != "LSHSelfAttention" and any(of.dtype == onp.float32 for of in row.inputs)
]
Batch = tuple[onp.ndarray, ...]


@pytest.fixture(autouse=True)
def on_jax() -> Iterator[None]:
    pytest.importorskip("jax")
    with lk.use_backend("jax"):
        yield


def dtypes(tree: Any) -> set[str]:
    return {leaf.dtype.name for leaf in tree_leaves(tree)}


# -------------------- layers


@pytest.mark.parametrize("row", OF_FLOATS, ids=lambda row: row.id)
def test_every_layer_computes_in_bfloat16_what_it_computes_in_float32(row: Any) -> None:
    layer, arrays = row.make(), row.arrays()
    layer.init(row.signature, random.get_prng(0))
    x = arrays[0] if len(arrays) == 1 else tuple(arrays)
    key = random.get_prng(1)
    found = [
        fastmath.jit(lambda x, w, s, dtype=dtype: apply(layer, x, w, s, key, dtype))(x, layer.weights, layer.state)
        for dtype in ("bfloat16", None)
    ]
    for narrow, wide in zip(*map(tree_leaves, found), strict=True):
        assert narrow.dtype == wide.dtype
        both = [onp.asarray(array).astype("float32") for array in (narrow, wide)]
        onp.testing.assert_allclose(*both, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("backend", ["numpy", "jax"])
@pytest.mark.parametrize("narrow", ["bfloat16", "float16"])
def test_the_gradient_of_a_row_that_is_read_often_adds_up(backend: str, narrow: str) -> None:
    with lk.use_backend(backend):
        table = np.zeros((2, 1)).astype(lk.bf16().dtype if narrow == "bfloat16" else narrow)
        ids = np.zeros(4096, np.int32)
        gradient = fastmath.grad(lambda table: np.sum(fastmath.take_rows(table, ids).astype("float32")))(table)
        assert gradient.dtype == table.dtype
        assert onp.asarray(gradient).astype("float32").tolist() == [[4096.0], [0.0]]


class Spy(lk.Layer):
    """y = x * w; notes the dtypes that it meets."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[tuple[str, str]] = set()

    def init_weights_and_state(self, signature: Any) -> None:
        self.weights = np.ones(signature.shape[-1])

    def forward(self, x: Any) -> Any:
        self.seen.add((x.dtype.name, self.weights.dtype.name))
        return x * self.weights


class SpyingAdam(optimizers.Adam):  # type: ignore[misc]
    seen: set[str]

    def update(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> Any:
        self.seen |= {array.dtype.name for array in (grads, param, *slots)}
        return super().update(step, grads, param, slots, opt_params)


def test_what_is_16_bits_wide_and_what_is_32() -> None:
    spy, adam, seen = Spy(), SpyingAdam(0.01), set()
    adam.seen = set()

    def loss(y: Any, target: Any) -> Any:
        seen.add(y.dtype.name)
        return np.mean((y - target) ** 2)

    model = tl.Serial(tl.Dense(4), spy, tl.BatchNorm(axis=0))
    batch = onp.ones((2, 3), onp.float32), onp.zeros((2, 4), onp.float32)
    loop = lk.Loop(model, lk.TrainTask([batch], lk.Fn("L2", loss), adam, compute_dtype="bfloat16"), log=None)
    spy.seen.clear()
    seen.clear()
    loop.run(2)
    assert spy.seen == {("bfloat16", "bfloat16")}
    assert seen == adam.seen == dtypes(loop.model.weights) == {"float32"}
    assert dtypes(loop.model.state) == {"float32", "int32"}
    spy.seen.clear()
    loop.model(batch[0])
    assert spy.seen == {("float32", "float32")}


# -------------------- training


def words(seed: int) -> Iterator[Batch]:
    """Texts of 12 words; a text is of class 1 if more of its words are odd."""
    rng = onp.random.default_rng(seed)
    while True:
        ids = rng.integers(200, size=(32, 12)).astype(onp.int32)
        yield ids, ((ids % 2).mean(1) > 0.5).astype(onp.int32), onp.ones(32, onp.float32)


def points(seed: int) -> Iterator[Batch]:
    """Points in a square, inside or outside of a circle."""
    rng = onp.random.default_rng(seed)
    while True:
        x = rng.uniform(-1, 1, (64, 2)).astype(onp.float32)
        yield x, ((x**2).sum(1) < 0.6).astype(onp.int32), onp.ones(64, onp.float32)


def classifier(**how: Any) -> lk.Layer:
    return tl.Serial(tl.Embedding(200, 32, **how), tl.Mean(axis=1), tl.Dense(2), tl.LogSoftmax())


def perceptron() -> lk.Layer:
    return tl.Serial(models.MLP((32, 32, 2)), tl.LogSoftmax())


def trained(model: lk.Layer, batches: Any, compute_dtype: str | None, steps: int = 300, **more: Any) -> lk.Loop:
    task = lk.TrainTask(batches(0), tl.CrossEntropyLoss(), optimizers.Adam(0.01), compute_dtype=compute_dtype)
    held_out = lk.EvalTask(batches(1), [tl.Accuracy()], n_eval_batches=20)
    loop = lk.Loop(model, task, eval_tasks=held_out, log=None, eval_at=lambda step: False, **more)
    loop.run(steps)
    return loop


@pytest.mark.parametrize(("make", "batches"), [(classifier, words), (perceptron, points)])
def test_models_learn_as_well(make: Any, batches: Any) -> None:
    wide, narrow = (trained(make(), batches, dtype).run_evals()["Accuracy"] for dtype in (None, "bfloat16"))
    assert wide > 0.93
    assert abs(wide - narrow) < 0.02


def test_a_run_continues_with_the_same_bits(tmp_path: Path) -> None:
    whole = trained(perceptron(), points, "bfloat16", 6)
    batches = list(itertools.islice(points(0), 6))
    for stop in (3, 6):
        task = lk.TrainTask(batches, tl.CrossEntropyLoss(), optimizers.Adam(0.01), compute_dtype="bfloat16")
        loop = lk.Loop(perceptron(), task, output_dir=tmp_path, log=None, learning_curve=False)
        loop.run(stop - loop.step)
        loop.save_checkpoint()
    for ours, theirs in zip(*(tree_leaves(fastmath.to_host(one.model.weights)) for one in (loop, whole)), strict=True):
        assert onp.array_equal(ours, theirs)


def test_a_loss_that_is_not_finite_is_traced_to_its_layer() -> None:
    root = lk.Fn("Root", lambda x: np.sqrt(x - 2))
    task = lk.TrainTask(points(0), tl.CrossEntropyLoss(), optimizers.Adam(0.01), compute_dtype="bfloat16")
    loop = lk.Loop(tl.Serial(tl.Dense(2), root, tl.LogSoftmax()), task, log=None)
    with pytest.raises(NotFiniteError, match="Root") as caught:
        loop.run(1)
    assert caught.value.path.endswith("Root")


@pytest.mark.parametrize("update", ["dense", "lazy"])
def test_rows_that_wait_are_read_in_bfloat16_and_kept_in_float32(update: str) -> None:
    spy = Spy()

    def make() -> lk.Layer:
        return tl.Serial(tl.Embedding(200, 8, update=update), spy, tl.Mean(axis=1), tl.Dense(2), tl.LogSoftmax())

    losses = [trained(make(), words, dtype, 40).run_evals() for dtype in ("bfloat16", None)]
    assert spy.seen == {("bfloat16", "bfloat16"), ("float32", "float32")}
    assert losses[0] == pytest.approx(losses[1], abs=0.05)


def test_lazy_rows_are_those_of_dense_training() -> None:
    loops = [trained(classifier(update=update), words, "bfloat16", 40) for update in ("lazy", "dense")]
    assert [len(loop._steps.lazy.tables) for loop in loops] == [1, 0]
    tables = [onp.asarray(loop.model.weights[0]) for loop in loops]
    assert tables[0].dtype == onp.float32
    onp.testing.assert_allclose(*tables, atol=0.01)  # they moved by 0.4


# -------------------- asking for it


@pytest.mark.parametrize("wrong", ["float16", "bf16", 16, "float32"])
def test_other_dtypes_are_refused(wrong: Any) -> None:
    with pytest.raises(lk.UsageError) as caught:
        lk.TrainTask(points(0), tl.CrossEntropyLoss(), optimizers.Adam(0.01), compute_dtype=wrong)
    message = f"compute_dtype is 'bfloat16', or None for that of the weights, got {wrong!r}"
    assert str(caught.value) == message


def test_numpy_refuses_it() -> None:
    with lk.use_backend("numpy"), pytest.raises(lk.UsageError) as caught:
        trained(perceptron(), points, "bfloat16")
    assert str(caught.value) == (
        "compute_dtype: the numpy backend has no bfloat16; train on jax, or leave compute_dtype out"
    )


def test_the_recipe_has_it() -> None:
    settings = {"corpus": "starter", "steps": 60, "learning_rate": 0.02, "embedding_dim": 32, "backend": "jax"}
    wide, narrow = (
        lk.train("sentiment", **settings, compute_dtype=dtype).metrics["accuracy"] for dtype in (None, "bfloat16")
    )
    assert abs(wide - narrow) <= 0.05
