"""How often the sentiment recipe is right on held-out texts, and how far NumPy's weights are from JAX's.

Run: ``NLTK_DATA=... python benchmarks/accuracy.py [--seeds 3]`` (it needs twitter_samples and sentence_polarity). Every
corpus is trained on with every seed on every backend; then one seed for 100 steps on both, and their weights compared.
Exits with 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import time
from typing import Any, NamedTuple

import numpy as np

import layerkit as lk
from layerkit import fastmath

BACKENDS = ("numpy", "jax")
WEIGHTS_TARGET = 1e-4


class Task(NamedTuple):
    """A corpus, the settings that differ from the recipe's defaults, and the accuracy to reach."""

    corpus: str
    settings: dict[str, Any]
    target: float


TASKS = (
    Task("twitter_samples", {}, 0.993),
    Task("sentence_polarity", {"steps": 1500, "learning_rate": 0.001, "keep_stop_words": True}, 0.76),
)


def train(corpus: str, backend: str, **settings: Any) -> tuple[Any, float]:
    """A run, trained in silence, and the seconds it took."""
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        run = lk.train("sentiment", corpus=corpus, backend=backend, **settings)
    return run, time.perf_counter() - start


def accuracies(task: Task, seeds: int) -> bool:
    """Prints a line for each backend; whether every run reached the target."""
    reached = True
    for backend in BACKENDS:
        runs = [train(task.corpus, backend, seed=seed, **task.settings) for seed in range(seeds)]
        found = [run.metrics["accuracy"] for run, _ in runs]
        reached &= min(found) >= task.target
        print(
            f"{task.corpus:17}  {backend:5}  accuracy {' '.join(f'{value:.4f}' for value in found)}, "
            f"mean {np.mean(found):.4f}, target {task.target}, {np.median([took for _, took in runs]):.1f} s a run",
            flush=True,
        )
    return reached


def weights_apart(steps: int = 100) -> float:
    """The largest difference between the weights of the two backends after some steps from one seed."""
    runs = [train("twitter_samples", backend, steps=steps)[0] for backend in BACKENDS]
    ours, theirs = (fastmath.to_host(fastmath.tree_leaves(run.model.weights)) for run in runs)
    return max(float(np.abs(a - b).max()) for a, b in zip(ours, theirs, strict=True))


def main() -> int:
    """Measures, prints, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--corpus", choices=[task.corpus for task in TASKS], help="only this one")
    given = parser.parse_args()
    reached = True
    for task in TASKS:
        if given.corpus in (None, task.corpus):
            reached &= accuracies(task, given.seeds)
    apart = weights_apart()
    print(f"weights after 100 steps, NumPy against JAX: at most {apart:.1e} apart, target {WEIGHTS_TARGET:.0e}")
    return int(not (reached and apart <= WEIGHTS_TARGET))


if __name__ == "__main__":
    sys.exit(main())
