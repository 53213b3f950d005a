"""Optimizers for the parts of a model: what each trains, what stays as it is, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as onp
import pytest

import layerkit as lk
from layerkit import fastmath, optimizers
from layerkit import layers as tl
from layerkit.fastmath import numpy as np
from layerkit.optimizer import Optimizer
from layerkit.training.identity import identity_of

X = onp.random.default_rng(0).normal(size=(16, 3)).astype("float32")
BATCH = (X, X.sum(axis=1, keepdims=True), onp.ones((16, 1), "float32"))


def model() -> lk.Layer:
    return tl.Serial(tl.Dense(4), tl.Tanh(), tl.Dense(1))


def loop(optimizer: Any, **options: Any) -> lk.Loop:
    task = lk.TrainTask([BATCH], tl.L2Loss(), optimizer, n_steps_per_checkpoint=4)
    return lk.Loop(model(), task, **{"log": None, "learning_curve": False, **options})


def trained(optimizer: Any, steps: int = 6) -> list[Any]:
    made = loop(optimizer)
    made.run(steps)
    return [onp.asarray(leaf) for leaf in fastmath.tree_leaves(fastmath.to_host(made.model.weights))]


def same(one: list[Any], other: list[Any]) -> list[bool]:
    return [bool((a == b).all()) for a, b in zip(one, other, strict=True)]


@pytest.mark.parametrize("name", ["Adam", "Adafactor"])
def test_one_for_all_is_that_one(name: str, backend: str) -> None:
    alone = getattr(optimizers, name)(0.01, clip_grad_norm=0.5, weight_decay_rate=0.1)
    assert all(same(trained({"": alone}), trained(alone)))


def test_each_part_has_its_own(backend: str) -> None:
    start, slow, fast = (
        trained(optimizers.SGD(0.0), 1),
        trained(optimizers.SGD(0.001), 1),
        trained(optimizers.SGD(0.1), 1),
    )
    mixed = trained({"0.Dense": optimizers.SGD(0.001), "2.Dense/bias": None, "": optimizers.SGD(0.1)}, 1)
    assert all(same(mixed, [*slow[:2], fast[2], start[3]]))
    assert not any(same(slow[:2], fast[:2]))


def test_a_schedule_clipping_and_decay_are_those_of_the_part(backend: str) -> None:
    def of(first: Optimizer) -> list[Any]:
        return trained({"0.Dense": first, "": None}, 3)

    plain = of(optimizers.SGD(0.1))
    for other in (
        optimizers.SGD(lambda step: 0.1 * np.where(step < 1, 1.0, 0.5)),
        optimizers.SGD(0.1, clip_grad_norm=0.01),
        optimizers.SGD(0.1, weight_decay_rate=0.5),
    ):
        assert same(of(other), plain) == [False, False, True, True]


def test_the_longest_name_counts(backend: str) -> None:
    start = trained(optimizers.SGD(0.0), 1)
    moved = trained({"0.Dense/kernel": optimizers.SGD(0.1), "0.Dense": None, "": optimizers.SGD(0.1)})
    assert same(moved, start) == [False, True, False, False]


class Rooted(lk.Layer):
    """y = x + sqrt(w), w = 0: its gradient is infinite."""

    def init_weights_and_state(self, signature: Any) -> None:
        self.weights = np.zeros(signature.shape[-1])

    def forward(self, x: Any) -> Any:
        return x + np.sqrt(self.weights)


def test_a_part_that_is_not_trained_has_neither_gradient_nor_slots(backend: str, tmp_path: Path) -> None:
    task = lk.TrainTask([BATCH], tl.L2Loss(), {"0.Rooted": None, "": optimizers.AdamW(0.01, weight_decay_rate=1.0)})
    made = lk.Loop(tl.Serial(Rooted(), tl.Dense(1)), task, log=None, output_dir=tmp_path, learning_curve=False)
    made.run(3)
    assert onp.asarray(fastmath.to_host(made.model.weights[0])).tolist() == [0.0, 0.0, 0.0]
    slots = made.save_checkpoint() / "slots.safetensors"
    assert b"1.Dense/kernel" in slots.read_bytes()
    assert b"Rooted" not in slots.read_bytes()


def test_it_goes_on_with_the_same_bits(backend: str, tmp_path: Path) -> None:
    adam = optimizers.Adam(0.01)

    def start(folder: str, first: Any = adam) -> lk.Loop:
        return loop({"0.Dense": first, "": optimizers.Momentum(0.1)}, output_dir=tmp_path / folder)

    whole = start("whole")
    whole.run(9)
    start("other").run(5)
    again = start("other")
    assert again.step == 4
    again.run(9 - again.step)
    leaves = [fastmath.tree_leaves(fastmath.to_host(made.model.weights)) for made in (whole, again)]
    assert all(same(*leaves))
    with pytest.raises(
        lk.LayerkitError, match=r"this run's optimizer .*0.Dense: Adam, the rest: Momentum, not 0.Dense: None"
    ):
        start("other", None)


def test_what_a_checkpoint_says_of_it_stays() -> None:
    def identity(optimizer: Any) -> Any:
        return identity_of(model(), [lk.TrainTask([BATCH], tl.L2Loss(), optimizer)], {})["optimizer"]

    parts = {"0.Dense": optimizers.Adam(0.01), "2.Dense/bias": None, "": optimizers.Momentum(0.1)}
    assert identity(parts) == ["0.Dense: Adam, 2.Dense/bias: None, the rest: Momentum"]
    assert identity({"": optimizers.SGD(0.1)}) == ["the rest: SGD"]
    assert identity(optimizers.SGD(0.1)) == ["SGD"]


def test_tasks_take_turns_with_a_part_each(backend: str) -> None:
    before = trained(optimizers.SGD(0.0), 1)
    tasks = [
        lk.TrainTask([BATCH], tl.L2Loss(), {"0.Dense": optimizers.SGD(0.1), "": None}),
        lk.TrainTask([BATCH], tl.L2Loss(), {"0.Dense": None, "": optimizers.Adam(0.1)}),
    ]
    made = lk.Loop(model(), tasks, log=None)
    moved = []
    for _ in range(2):
        made.run(1)
        moved.append(same(fastmath.tree_leaves(fastmath.to_host(made.model.weights)), before))
    assert moved == [[False, False, True, True], [False, False, False, False]]


def test_both_backends_and_several_steps_in_one_call() -> None:
    pytest.importorskip("jax")
    parts = {"0.Dense": optimizers.Adam(0.01), "2.Dense/kernel": None, "": optimizers.SGD(0.1)}
    results = []
    for backend, n_steps in (("numpy", 1), ("jax", 1), ("jax", 4)):
        with lk.use_backend(backend):
            made = loop(parts, n_steps_per_call=n_steps)
            made.run(9)
            results.append(fastmath.tree_leaves(fastmath.to_host(made.model.weights)))
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            onp.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-6)


SGD = optimizers.SGD(0.1)
REFUSED = [
    ({"0.Dens": None, "": SGD}, "optimizer: no weight's path begins with '0.Dens': did you mean '0.Dense'?"),
    (
        {"0.Dense": SGD},
        "optimizer: 2.Dense/kernel has none: name it, or give '' one, which is for all that is not named",
    ),
    ({"": None}, "optimizer: no part has one, so nothing would be trained"),
    ({}, "optimizer: no part has one, so nothing would be trained"),
    ({0: SGD}, "optimizer: a part is named by its path, such as '0.Embedding', got 0"),
    ({"": "adam"}, "optimizer of '': an Optimizer such as Adam(0.01) is due, got 'adam'"),
    ({"": optimizers.SGD}, "optimizer of '': SGD is a class, make one of it, as in Adam(0.01)"),
]


@pytest.mark.parametrize(("optimizer", "said"), REFUSED, ids=[str(given) for given, _ in REFUSED])
def test_what_is_refused(optimizer: Any, said: str) -> None:
    with pytest.raises(lk.UsageError) as caught:
        loop(optimizer)
    assert str(caught.value) == said


def test_a_schedule_of_the_task_has_no_part() -> None:
    with pytest.raises(lk.UsageError, match="lr_schedule is for one optimizer: give each part's its own"):
        lk.TrainTask([BATCH], tl.L2Loss(), {"": SGD}, lr_schedule=lambda step: 0.1)
    with pytest.raises(lk.UsageError, match="each part has a learning rate of its own"):
        lk.TrainTask([BATCH], tl.L2Loss(), {"": SGD}).learning_rate(0)


def test_a_task_is_for_one_model() -> None:
    task = lk.TrainTask([BATCH], tl.L2Loss(), {"": SGD})
    lk.Loop(model(), task, log=None)
    lk.Loop(model(), task, log=None)
    with pytest.raises(lk.UsageError, match="its parts are those of another model: make a TrainTask for each model"):
        lk.Loop(tl.Dense(1), task, log=None)


def test_a_table_of_a_part_is_dense() -> None:
    ids = onp.arange(8, dtype="int32").reshape(4, 2)
    table = tl.Embedding(1000, 4, update="lazy")
    task = lk.TrainTask([(ids, onp.zeros((4, 4), "f"), onp.ones((4, 4), "f"))], tl.L2Loss(), {"": SGD})
    with pytest.raises(
        lk.UsageError, match="cannot be updated lazily: parts of the model have optimizers of their own"
    ):
        lk.Loop(tl.Serial(table, tl.Mean(axis=1)), task, log=None)
