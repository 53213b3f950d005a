"""Small models, data and tasks that the tests of training share."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as onp

import layerkit as lk
from layerkit import layers as tl
from layerkit import optimizers
from layerkit.data import RaggedBatches
from layerkit.fastmath import numpy as np
from layerkit.training import checkpoint

BACKENDS = ["numpy", "jax"]
VOCABULARY = 40


class Slope(lk.Layer):
    """y = w * x with a scalar w that starts at 0."""

    def init_weights_and_state(self, signature: Any) -> None:
        self.weights = np.zeros(())

    def forward(self, x: Any) -> Any:
        return self.weights * x


class Descent(lk.Optimizer):
    """param - learning_rate * gradient."""

    def update(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> Any:
        return param - opt_params.learning_rate * grads, slots


class Doubler(lk.Layer):
    """2 x in training, x in evaluation."""

    def forward(self, x: Any) -> Any:
        return 2 * x if self.training else x


def total() -> lk.Layer:
    """A loss whose gradient with respect to Slope's weight is the sum of the batch's inputs."""
    return lk.Fn("Total", lambda y, target: y.sum())


def powers(count: int) -> Iterator[tuple[Any, Any]]:
    """Batches of one number, 1, 2, 4, ...: Slope's weight then tells which of them it was trained on."""
    for k in range(count):
        yield onp.array([2.0**k], onp.float32), onp.zeros(1, onp.float32)


def trained_on(loop: lk.Loop) -> list[int]:
    """The numbers of the ``powers`` that a loop with Slope, Total and Descent(1.0) was trained on."""
    weight = -int(loop.model.weights)
    return [k for k in range(24) if weight >> k & 1]


def slope_loop(batches: Any, **options: Any) -> lk.Loop:
    """A loop over ``powers``, silent unless told otherwise."""
    options = {"log": None, "learning_curve": False, **options}
    return lk.Loop(Slope(), lk.TrainTask(batches, total(), Descent(1.0)), **options)


def examples(count: int = 60) -> tuple[list[list[int]], list[int]]:
    """Lists of ids, and classes that the ids tell."""
    rng = onp.random.default_rng(3)
    rows = [rng.integers(1, VOCABULARY, rng.integers(1, 12)).tolist() for _ in range(count)]
    return rows, [int(sum(row) / len(row) > VOCABULARY / 2) for row in rows]


def batches(batch_size: int = 8, seed: int = 0, **options: Any) -> RaggedBatches:
    """Endless batches of ``examples``."""
    return RaggedBatches(*examples(), batch_size, seed=seed, n_buckets=2, **options)


def classifier(dropout: float = 0.0, width: int = 4) -> lk.Layer:
    """The notebook's classifier, small."""
    parts = [tl.Embedding(VOCABULARY, width), tl.Mean(axis=1)]
    if dropout:
        parts.append(tl.Dropout(dropout))
    return tl.Serial(*parts, tl.Dense(2), tl.LogSoftmax())


def train_task(data: Any = None, every: int = 10, optimizer: Any = None, **options: Any) -> lk.TrainTask:
    """The classifier's training task."""
    data = batches() if data is None else data
    optimizer = optimizer or optimizers.Adam(0.01)
    return lk.TrainTask(data, tl.CrossEntropyLoss(), optimizer, n_steps_per_checkpoint=every, **options)


def eval_task(data: Any = None, n_eval_batches: int = 2) -> lk.EvalTask:
    """The classifier's evaluation task."""
    data = batches(seed=7) if data is None else data
    return lk.EvalTask(data, [tl.CrossEntropyLoss(), tl.Accuracy()], n_eval_batches=n_eval_batches)


def full_loop(folder: Path | None, **options: Any) -> lk.Loop:
    """A loop with everything that has to be carried over: dropout, slots, shuffling, evaluation."""
    options = {"log": None, "learning_curve": False, "eval_tasks": eval_task(), "output_dir": folder, **options}
    return lk.Loop(classifier(0.4), train_task(every=5), **options)


def saved(folder: Path, steps: int = 5) -> Path:
    """The checkpoint of a run of ``steps`` steps."""
    full_loop(folder).run(steps)
    newest = checkpoint.newest(folder / "checkpoints")
    assert newest is not None
    return newest


def host(tree: Any) -> list[Any]:
    """The leaves of a tree as NumPy arrays."""
    return lk.fastmath.tree_leaves(lk.fastmath.to_host(tree))


def same(one: Any, other: Any) -> bool:
    """Whether two trees have the same bits."""
    left, right = host(one), host(other)
    return len(left) == len(right) and all(
        a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
        for a, b in zip(left, right, strict=True)
    )


def threads() -> list[str]:
    """The names of layerkit's threads that run."""
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("layerkit")]
