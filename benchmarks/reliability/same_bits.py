"""The same run, the same bits: a training repeated in processes of its own, and what came out compared to the last bit.

Run: ``python benchmarks/reliability/same_bits.py [--rounds 20] [--steps 60] [--backend NAME]``. Each process trains a
small classifier with dropout on the starter corpus, with another PYTHONHASHSEED each time, and prints the SHA-256 of
its weights, slots, state and history. Exits with 1 if two differ. On a GPU set LAYERKIT_DETERMINISTIC=1.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
from collections import Counter
from typing import Any

import numpy as np

import layerkit as lk
from layerkit import layers as tl
from layerkit import optimizers
from layerkit.data import RaggedBatches
from layerkit.fastmath import to_host, tree_leaves


def examples(count: int = 120) -> tuple[list[list[int]], list[int]]:
    """Lists of ids, and classes that the ids tell."""
    rng = np.random.default_rng(5)
    rows = [rng.integers(1, 200, rng.integers(1, 30)).tolist() for _ in range(count)]
    return rows, [int(np.mean(row) > 100) for row in rows]


def trained(steps: int) -> lk.Loop:
    """A loop after so many steps, with an evaluation now and then."""
    model = tl.Serial(
        tl.Embedding(200, 32), tl.Mean(axis=1), tl.Dropout(0.2), tl.Dense(16), tl.Relu(), tl.Dense(2), tl.LogSoftmax()
    )
    task = lk.TrainTask(RaggedBatches(*examples(), 16, seed=1), tl.CrossEntropyLoss(), optimizers.Adam(0.01))
    evaluation = lk.EvalTask(RaggedBatches(*examples(), 32, seed=2), [tl.Accuracy()], n_eval_batches=2)
    loop = lk.Loop(model, task, eval_tasks=evaluation, eval_at=lambda step: step % 20 == 0, log=None, random_seed=3)
    loop.run(steps)
    return loop


def digest(loop: lk.Loop) -> str:
    """The SHA-256 of everything that a run leaves."""
    kept: Any = (loop.model.weights, loop.model.state, [task.slots for task in loop._steps.variables.tasks])
    found = hashlib.sha256(repr(loop.history.to_dict()).encode())
    for leaf in tree_leaves(to_host(kept)):
        found.update(repr((leaf.shape, leaf.dtype.name)).encode() + np.ascontiguousarray(leaf).tobytes())
    return found.hexdigest()


def repeated(backend: str, rounds: int, steps: int) -> Counter[str]:
    """How often each digest came out."""
    seen: Counter[str] = Counter()
    for number in range(rounds):
        environment = {**os.environ, "PYTHONHASHSEED": str(number), "LAYERKIT_BACKEND": backend}
        command = [sys.executable, __file__, "--one", "--steps", str(steps)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
        seen[done.stdout.strip()] += 1
    return seen


def main() -> int:
    """Trains, compares, prints, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--backend", action="append")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(digest(trained(given.steps)))
        return 0
    missed = False
    print("| backend | runs with the same bits |\n|---|---|")
    for backend in given.backend or ("numpy", "jax"):
        most = repeated(backend, given.rounds, given.steps).most_common(1)[0][1]
        missed |= most < given.rounds
        print(f"| {backend} | {most} of {given.rounds} |")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
