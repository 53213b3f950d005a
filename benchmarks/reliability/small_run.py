"""A small run with everything that has to be carried over: lazy rows, dropout, slots, shuffling, evaluation, history.

Sixty steps are three epochs. The other scripts of this folder stop it, kill it and damage what it wrote.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

import layerkit as lk
from layerkit import layers as tl
from layerkit import optimizers
from layerkit.data import RaggedBatches
from layerkit.training import checkpoint

__all__ = ["EVERY", "STEPS", "examples", "forked", "last_state", "make", "scratch", "state", "train"]

STEPS, EVERY, VOCABULARY = 60, 3, 200


def examples(count: int = 160, seed: int = 5) -> tuple[list[list[int]], list[int]]:
    """Lists of ids, and classes that the ids tell."""
    rng = np.random.default_rng(seed)
    rows = [rng.integers(1, VOCABULARY, rng.integers(1, 30)).tolist() for _ in range(count)]
    return rows, [int(np.mean(row) > VOCABULARY / 2) for row in rows]


def make(folder: Path | None, data: Any = None, **options: Any) -> lk.Loop:
    """The loop; where ``folder`` holds a checkpoint, it goes on from that."""
    model = tl.Serial(tl.Embedding(VOCABULARY, 16), tl.Mean(axis=1), tl.Dropout(0.2), tl.Dense(2), tl.LogSoftmax())
    data = RaggedBatches(*examples(), 8, seed=1, n_buckets=2) if data is None else data
    evaluation = lk.EvalTask(RaggedBatches(*examples(), 32, seed=2, n_buckets=1), [tl.Accuracy()], n_eval_batches=2)
    defaults: dict[str, Any] = {"checkpoint_at": lambda step: step % EVERY == 0 or step == STEPS}
    defaults |= {"eval_at": lambda step: step % 10 == 0, "log": None, "learning_curve": False, "keep_checkpoints": 2}
    task = lk.TrainTask(data, tl.CrossEntropyLoss(), optimizers.Adam(0.01))
    return lk.Loop(model, task, eval_tasks=evaluation, output_dir=folder, **(defaults | options))


def train(folder: Path, steps: int = STEPS, **options: Any) -> lk.Loop:
    """Starts or continues the run, up to a step."""
    loop = make(folder, **options)
    loop.run(max(0, steps - loop.step))
    return loop


def state(place: Path) -> dict[str, Any]:
    """All that a checkpoint says of a run: digests of all arrays, history, position in the data, random key."""
    manifest, _ = checkpoint.read(place)
    return manifest


def last_state(folder: Path) -> dict[str, Any]:
    """That of the last checkpoint in an output folder."""
    place = checkpoint.newest(folder / checkpoint.FOLDER)
    if place is None:
        return {}
    return state(place)


def digest(value: Any) -> str:
    """A value that JSON can hold as a few letters."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A folder for the time of the ``with`` block."""
    with tempfile.TemporaryDirectory(prefix="layerkit-reliability-") as folder:
        yield Path(folder)


def forked(work: Callable[[], Any]) -> int:
    """Starts ``work`` in a fork of this process, and returns the fork's number: no import has to be waited for."""
    sys.stdout.flush()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a fork has none of this process' threads, and needs none
        child = os.fork()
    if child:
        return child
    try:
        work()
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def copied(folder: Path, place: Path) -> Path:
    """A copy of a folder in the place of whatever is there."""
    shutil.rmtree(place, ignore_errors=True)
    return Path(shutil.copytree(folder, place))


if __name__ == "__main__":
    with lk.use_backend(sys.argv[2]):
        train(Path(sys.argv[1]), save_in_background=sys.argv[3:] == ["background"])
