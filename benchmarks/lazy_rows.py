"""Train steps by the rows a batch reads against dense ones in hand-written JAX: python benchmarks/lazy_rows.py

The model is the notebook's classifier (see train_step.py), and the vocabulary grows. Samples of both take turns, unless
``--apart`` (two tables of a million rows, with their moments, need 8 GB). A figure is the median of a sample's
milliseconds by step, with the middle half of the samples in brackets, of wall time and of CPU time. What a run does
once at its end, handing out the weights, is not part of a step. ``--evaluation`` times evaluation between steps,
``--accuracy`` compares weights after 2,000 steps with those of dense Adam in float64.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from train_step import CLASSES, Batch, make_batches, plain_steps

import layerkit as lk
from layerkit import layers as tl
from layerkit import optimizers
from layerkit.training import EvalTask, Loop, TrainTask
from layerkit.training.feed import Feed, n_ahead, requests
from layerkit.training.interrupt import Interrupts

Timed = tuple[float, float]


def classifier(vocabulary: int, width: int, update: str) -> Any:
    # Uniform numbers for a large table would take longer than the steps.
    def small(shape: tuple[int, ...], rng: Any) -> Any:
        return lk.fastmath.numpy.full(shape, 0.05)

    kernel = {"kernel_initializer": small} if vocabulary > 50_000 else {}
    embedding = tl.Embedding(vocabulary, width, update=update, **kernel)
    return tl.Serial(embedding, tl.Mean(axis=1), tl.Dense(CLASSES), tl.LogSoftmax())


def loop_of(batches: list[Batch], vocabulary: int, width: int, update: str, seed: int = 0) -> Loop:
    task = TrainTask(itertools.cycle(batches), tl.CrossEntropyLoss(), optimizers.Adam(0.01))
    metric = EvalTask(itertools.cycle(batches), [tl.CrossEntropyLoss()], n_eval_batches=20)
    model = classifier(vocabulary, width, update)
    return Loop(model, task, eval_tasks=metric, eval_at=lambda step: False, random_seed=seed, log=None)


def steps_of(loop: Loop) -> Callable[[int], Timed]:
    """Runs a number of the loop's steps, and returns the seconds of each kind they took."""

    def run(n: int) -> Timed:
        steps = loop._steps
        with lk.use_backend(loop.backend), Interrupts() as interrupts:
            asked = requests(
                range(loop.step, loop.step + n), loop.tasks, [], lambda n: 0, lambda n: False, loop._move, steps.finders
            )
            feed = Feed(asked, loop._sources, n_ahead(loop.tasks), interrupts, lambda: steps.losses[:2])
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(n):
                steps.train([feed.take()])
            steps.settle()
            lk.fastmath.block_until_ready(steps.variables.weights)
            taken = time.perf_counter() - wall, time.process_time() - cpu
            feed.close()
        return taken

    return run


def plain_of(batches: Iterator[Batch], vocabulary: int, width: int) -> Callable[[int], Timed]:
    run = plain_steps(batches, vocabulary, width)

    def timed(n: int) -> Timed:
        cpu = time.process_time()
        return run(n), time.process_time() - cpu

    return timed


def in_turns(runs: dict[str, Callable[[int], Timed]], options: argparse.Namespace) -> dict[str, list[Timed]]:
    """Milliseconds a step of each sample of each run."""
    counts = {}
    for name, run in runs.items():
        run(2)
        wall, _ = run(4)
        counts[name] = max(3, min(options.steps, int(options.seconds / (wall / 4))))
        run(min(64, counts[name]))  # every length of ids has a program of its own
    samples: dict[str, list[Timed]] = {name: [] for name in runs}
    for number in range(options.samples):
        for name in sorted(runs, reverse=bool(number % 2)):
            samples[name].append(tuple(1000 * t / counts[name] for t in runs[name](counts[name])))  # type: ignore[arg-type]
    return samples


def compare(vocabulary: int, rows: int, options: argparse.Namespace) -> None:
    batches = make_batches(vocabulary, rows)
    makers: dict[str, Callable[[], Callable[[int], Timed]]] = {
        "plain": lambda: plain_of(itertools.cycle(batches), vocabulary, options.width),
        "loop": lambda: steps_of(loop),
    }
    samples = {}
    with lk.use_backend(options.backend):
        if options.apart:
            samples.update(in_turns({"plain": makers["plain"]()}, options))
        loop = loop_of(batches, vocabulary, options.width, options.update)
        names = ["loop"] if options.apart else ["plain", "loop"]
        samples.update(in_turns({name: makers[name]() for name in names}, options))
    lazy = "lazy" if loop._steps.lazy.tables else "dense"
    words = []
    for kind, place in (("wall", 0), ("CPU", 1)):
        times = {name: [sample[place] for sample in taken] for name, taken in samples.items()}
        medians = {name: statistics.median(values) for name, values in times.items()}
        spread = {name: statistics.quantiles(values, n=4)[::2] for name, values in times.items()}
        shown = [f"{n} {medians[n]:.3f} [{spread[n][0]:.3f}, {spread[n][1]:.3f}]" for n in ("plain", "loop")]
        words.append(f"{kind} {' '.join(shown)} ratio {medians['loop'] / medians['plain']:.4f}")
    print(f"V {vocabulary:9,} batch {rows:5,} {options.backend} {lazy}: {'; '.join(words)}", flush=True)


def evaluation(vocabularies: list[int], options: argparse.Namespace) -> None:
    """Evaluation of 20 batches of 128 between steps, for each vocabulary, in turns.

    Larger vocabularies have batches with more different words. What is left without that shows the last row: the
    batches of the first vocabulary, their words spread over the last table.
    """
    first, last = vocabularies[0], vocabularies[-1]
    cases = {f"V {vocabulary:9,}": (vocabulary, make_batches(vocabulary, 128)) for vocabulary in vocabularies}
    places = np.random.default_rng(1).permutation(last)[:first].astype(np.int32)
    cases[f"V {last:9,}, words of {first:,}"] = last, [(places[i], *rest) for i, *rest in make_batches(first, 128)]
    loops, taken = {}, {name: list[Timed]() for name in cases}
    with lk.use_backend(options.backend):
        for name, (vocabulary, batches) in cases.items():
            loops[name] = loop_of(batches, vocabulary, options.width, "lazy")
            steps_of(loops[name])(64)
            loops[name].run_evals()
        for _ in range(options.samples):
            for name, loop in loops.items():
                start, cpu = time.perf_counter(), time.process_time()
                loop.run_evals()
                taken[name].append((1000 * (time.perf_counter() - start), 1000 * (time.process_time() - cpu)))
    for name, (_, batches) in cases.items():
        rows = statistics.mean(len(np.unique(ids)) for ids, *_ in batches)
        words = []
        for kind, times in zip(("wall", "CPU"), zip(*taken[name], strict=True), strict=True):
            low, middle, high = statistics.quantiles(times, n=4)
            words.append(f"{kind} {middle:.1f} ms [{low:.1f}, {high:.1f}]")
        print(f"{name} evaluation of 20 batches, {rows:,.0f} rows each: {'; '.join(words)}", flush=True)


def float64_adam(batches: Iterator[Batch], vocabulary: int, width: int, weights: Any, n_steps: int) -> list[Any]:
    """The table, kernel and bias after dense steps in float64, by hand."""
    params = [np.asarray(w, np.float64) for w in weights]
    m, v = ([np.zeros_like(p) for p in params] for _ in range(2))
    for step in range(n_steps):
        ids, targets, _ = next(batches)
        table, kernel, bias = params
        mean = table[ids].mean(1)
        scores = mean @ kernel + bias
        shares = np.exp(scores - scores.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        shares[np.arange(len(ids)), targets] -= 1
        shares /= len(ids)
        of_table = np.zeros_like(table)
        np.add.at(of_table, ids.reshape(-1), np.repeat(shares @ kernel.T / ids.shape[1], ids.shape[1], axis=0))
        for p, own_m, own_v, g in zip(params, m, v, (of_table, mean.T @ shares, shares.sum(0)), strict=True):
            own_m += 0.1 * (g - own_m)
            own_v += 0.001 * (g * g - own_v)
            p -= 0.01 * own_m / (1 - 0.9 ** (step + 1)) / (np.sqrt(own_v / (1 - 0.999 ** (step + 1))) + 1e-5)
    return params


def accuracy(vocabulary: int, seed: int, options: argparse.Namespace) -> None:
    """The largest error of a weight after 2,000 steps of 16, lazy and dense, against dense Adam in float64."""
    batches, n_steps = make_batches(vocabulary, 16, 2000), 2000
    first = None
    for update in ("dense", "lazy"):
        with lk.use_backend(options.backend):
            loop = loop_of(batches, vocabulary, options.width, update, seed)
            weights = [np.array(w) for w in lk.fastmath.tree_leaves(lk.fastmath.to_host(loop.model.weights))]
            if first is None:
                first = weights
                truth = float64_adam(iter(batches), vocabulary, options.width, weights, n_steps)
            loop.run(n_steps)
            found = lk.fastmath.tree_leaves(lk.fastmath.to_host(loop.model.weights))
        error = max(float(abs(a - b).max()) for a, b in zip(found, truth, strict=True))
        moved = max(float(abs(a - b).max()) for a, b in zip(truth, first, strict=True))
        who = f"V {vocabulary:,} {options.backend} seed {seed} {update}"
        print(f"{who}: largest error {error:.2e}; weights moved by {moved:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vocabulary", type=int, nargs="+", default=[9088, 100_000])
    parser.add_argument("--batches", type=int, nargs="+", default=[16, 128, 1024])
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--steps", type=int, default=100, help="the most steps of a sample")
    parser.add_argument("--seconds", type=float, default=0.5, help="how long a sample should take")
    parser.add_argument("--samples", type=int, default=9)
    parser.add_argument("--backend", default="jax", help="the Loop's; what it is compared with is always JAX")
    parser.add_argument("--update", default="auto", help="auto, lazy or dense")
    parser.add_argument("--apart", action="store_true", help="one after the other, where memory holds no two tables")
    parser.add_argument("--evaluation", action="store_true")
    parser.add_argument("--accuracy", action="store_true")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0], help="of the first weights, for --accuracy")
    options = parser.parse_args()
    if options.evaluation:
        evaluation(options.vocabulary, options)
    elif options.accuracy:
        for seed in options.seeds:
            accuracy(options.vocabulary[0], seed, options)
    else:
        for vocabulary in options.vocabulary:
            for rows in options.batches:
                compare(vocabulary, rows, options)


if __name__ == "__main__":
    main()
