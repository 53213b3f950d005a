"""A train step of the Loop against the same model in hand-written, jitted JAX: python benchmarks/train_step.py

The model is the notebook's classifier: Embedding 9088 x 256, Mean over 20 ids, Dense 2, LogSoftmax; Adam, every buffer
donated. Samples of both take turns; a figure is the median of a sample's time by step, with the middle half of the
samples in brackets. ``--backend numpy`` times the Loop on NumPy instead, against the same hand-written JAX.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import layerkit as lk
from layerkit import layers as tl
from layerkit import optimizers
from layerkit.training import Loop, TrainTask

LENGTH, CLASSES = 20, 2

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]


def make_batches(vocabulary: int, rows: int, count: int = 64) -> list[Batch]:
    """Batches of ids whose frequencies follow Zipf's law, as those of words do."""
    rng = np.random.default_rng(0)
    shares = 1 / np.arange(1, vocabulary + 1)
    ids = rng.choice(vocabulary, (count, rows, LENGTH), p=shares / shares.sum()).astype(np.int32)
    targets = rng.integers(CLASSES, size=(count, rows), dtype=np.int32)
    return [(i, t, np.ones(rows, np.float32)) for i, t in zip(ids, targets, strict=True)]


def plain_steps(batches: Iterator[Batch], vocabulary: int, width: int) -> Callable[[int], float]:
    """Runs a number of hand-written steps, and returns the seconds they took."""

    def loss_of(params: Any, ids: Any, targets: Any, weights: Any) -> Any:
        mean = params["table"][ids].mean(1)
        log_probs = jax.nn.log_softmax(mean @ params["kernel"] + params["bias"])
        picked = jnp.take_along_axis(log_probs, targets[:, None], 1)[:, 0]
        return -(picked * weights).sum() / weights.sum()

    def step(params: Any, m: Any, v: Any, count: Any, batch: Any) -> Any:
        loss, grads = jax.value_and_grad(loss_of)(params, *batch)
        t = (count + 1).astype(jnp.float32)
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
        first, second = 1 - 0.9**t, 1 - 0.999**t
        params = jax.tree.map(lambda p, m, v: p - 0.01 * (m / first) / (jnp.sqrt(v / second) + 1e-5), params, m, v)
        return params, m, v, count + 1, loss

    compiled = jax.jit(step, donate_argnums=(0, 1, 2, 3))
    rng = np.random.default_rng(1)
    params = {
        "table": jnp.asarray(rng.uniform(-0.1, 0.1, (vocabulary, width)).astype(np.float32)),
        "kernel": jnp.asarray(rng.uniform(-0.1, 0.1, (width, CLASSES)).astype(np.float32)),
        "bias": jnp.zeros(CLASSES),
    }
    carry = [params, jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params), jnp.zeros((), int)]

    def run(n: int) -> float:
        start = time.perf_counter()
        for _ in range(n):
            *carry[:], loss = compiled(*carry, next(batches))
        jax.block_until_ready((carry, loss))
        return time.perf_counter() - start

    return run


def loop_steps(batches: Iterator[Batch], vocabulary: int, width: int) -> Callable[[int], float]:
    """Runs a number of steps of a Loop, and returns the seconds they took."""
    model = tl.Serial(tl.Embedding(vocabulary, width), tl.Mean(axis=1), tl.Dense(CLASSES), tl.LogSoftmax())
    task = TrainTask(batches, tl.CrossEntropyLoss(), optimizers.Adam(0.01))
    loop = Loop(model, task, eval_at=lambda step: False, log=None)

    def run(n: int) -> float:
        start = time.perf_counter()
        loop.run(n)
        lk.fastmath.block_until_ready(loop.model.weights)
        return time.perf_counter() - start

    return run


def compare(rows: int, options: argparse.Namespace) -> dict[str, Any]:
    """The figures for one batch size."""
    batches = make_batches(options.vocabulary, rows)
    runs = {
        "plain": plain_steps(itertools.cycle(batches), options.vocabulary, options.width),
        "loop": loop_steps(itertools.cycle(batches), options.vocabulary, options.width),
    }
    samples: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run(options.steps)
    for number in range(options.samples):
        for name in sorted(runs, reverse=bool(number % 2)):
            samples[name].append(1000 * runs[name](options.steps) / options.steps)
    medians = {name: statistics.median(times) for name, times in samples.items()}
    quarters = {name: statistics.quantiles(times, n=4)[::2] for name, times in samples.items()}
    ratios = [ours / plain for ours, plain in zip(samples["loop"], samples["plain"], strict=True)]
    return {
        "batch": rows,
        "ms": medians,
        "middle_half": quarters,
        "ratio": medians["loop"] / medians["plain"],
        "ratio_of_pairs": statistics.median(ratios),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 128, 1024])
    parser.add_argument("--vocabulary", type=int, default=9088)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--steps", type=int, default=50, help="steps of a sample")
    parser.add_argument("--samples", type=int, default=15)
    parser.add_argument("--backend", default="jax")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    for rows in options.batches:
        with lk.use_backend(options.backend):
            figures = compare(rows, options)
        if options.json:
            json.dump(figures, sys.stdout)
            print()
            continue
        both = [
            f"{name} {figures['ms'][name]:.3f} ms [{figures['middle_half'][name][0]:.3f}, "
            f"{figures['middle_half'][name][1]:.3f}]"
            for name in ("plain", "loop")
        ]
        print(f"batch {rows:5}: {'   '.join(both)}   ratio {figures['ratio']:.3f}")


if __name__ == "__main__":
    main()
