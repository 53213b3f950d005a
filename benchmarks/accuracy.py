"""How often the sentiment recipe is right on held-out texts; how far apart are scores and weights that should be equal.

Run: ``NLTK_DATA=... python benchmarks/accuracy.py [--seeds 3]`` (it needs twitter_samples and sentence_polarity). Every
corpus is trained on with every seed on every backend; the last tweets' log-probabilities are computed alone and in a
batch with longer ones; one seed is trained for 100 steps on both backends, and the weights are compared. Exits with 1
if a target is missed.
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
from layerkit_plugins.sentiment.batches import pad
from layerkit_plugins.sentiment.corpus import load_corpus
from layerkit_plugins.sentiment.vocabulary import tweet_to_tensor

BACKENDS = ("numpy", "jax")
WEIGHTS_TARGET, SCORES_TARGET = 1e-4, 1e-6


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


def scores_apart(backend: str, tweets: int = 200) -> tuple[float, float]:
    """How far a tweet's log-probabilities alone are from those in a batch: by ``predict``, and by the bare model.

    The bare model gets the tweet alone without padding, and is compared relative to the number's size where that is
    beyond 1: shapes that differ are multiplied in other orders, and float32 has seven digits.
    """
    run, _ = train("twitter_samples", backend)
    texts = load_corpus("twitter_samples").validation.texts
    ids = [tweet_to_tensor(text, run.vocabulary) or [0] for text in texts[-tweets:]]
    with lk.use_backend(backend):
        scores = [prediction.log_probs for prediction in run.predict(texts)][-tweets:]
        by_predict = np.abs(np.subtract(scores, [run.predict(text).log_probs for text in texts[-tweets:]]))
        together = fastmath.to_host(run.model(pad(ids)))
        alone = np.stack([fastmath.to_host(run.model(pad([own])))[0] for own in ids])
    return float(by_predict.max()), float((np.abs(together - alone) / np.maximum(1, np.abs(alone))).max())


def weights_apart(steps: int = 100) -> float:
    """The largest difference between the weights of the two backends after some steps from one seed."""
    runs = [train("twitter_samples", backend, steps=steps)[0] for backend in BACKENDS]
    ours, theirs = (fastmath.to_host(fastmath.tree_leaves(run.model.weights)) for run in runs)
    return max(float(np.abs(a - b).max()) for a, b in zip(ours, theirs, strict=True))


def main() -> int:
    """Measures, prints, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--corpus", choices=[*(task.corpus for task in TASKS), "none"], help="only this one")
    given = parser.parse_args()
    reached = True
    for task in TASKS:
        if given.corpus in (None, task.corpus):
            reached &= accuracies(task, given.seeds)
    for backend in BACKENDS:
        by_predict, by_model = scores_apart(backend)
        reached &= max(by_predict, by_model) <= SCORES_TARGET
        print(
            f"{backend}: log-probabilities alone and in a batch: predict at most {by_predict:.1e} apart, "
            f"the model {by_model:.1e} of their size, target {SCORES_TARGET:.0e}"
        )
    apart = weights_apart()
    reached &= apart <= WEIGHTS_TARGET
    print(f"weights after 100 steps, NumPy against JAX: at most {apart:.1e} apart, target {WEIGHTS_TARGET:.0e}")
    return int(not reached)


if __name__ == "__main__":
    sys.exit(main())
