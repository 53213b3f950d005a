"""How long random numbers take, on NumPy and on JAX: milliseconds for a million, and for an embedding's weights.

``python benchmarks/random_bits.py [--rounds N] [--json]``. The backends take turns, round after round, so that a busy
machine slows both alike; each figure is the median of its rounds, with the middle half of them. Exits with 1 if the
target is missed: 40 ms of CPU time on NumPy for the 9,088 x 256 numbers of the sentiment classifier's embedding.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import layerkit as lk
from layerkit import fastmath as fm
from layerkit.fastmath import random

__all__ = ["measure"]

MILLION, EMBEDDING = (1000, 1000), (9088, 256)
TARGET = "uniform, 9,088 x 256"
TARGET_MS = 40.0

CASES: dict[str, Callable[[Any], Any]] = {
    "uniform, a million": lambda key: random.uniform(key, MILLION),
    "uniform in a range, a million": lambda key: random.uniform(key, MILLION, minval=-0.1, maxval=0.1),
    "normal, a million": lambda key: random.normal(key, MILLION),
    "truncated normal, a million": lambda key: random.truncated_normal(key, -2.0, 2.0, MILLION),
    "bernoulli, a million": lambda key: random.bernoulli(key, 0.9, MILLION),
    "randint, a million": lambda key: random.randint(key, MILLION, 0, 10),
    "permutation of a million": lambda key: random.permutation(key, 1_000_000),
    TARGET: lambda key: random.uniform(key, EMBEDDING),
    "normal, 9,088 x 256": lambda key: random.normal(key, EMBEDDING),
    "split in two": random.split,
    "fold_in": lambda key: random.fold_in(key, 7),
}


def _seconds(f: Callable[[Any], Any], key: Any) -> float:
    """One call's time; of a call under a millisecond, the mean of a hundred."""
    start = time.perf_counter()
    fm.block_until_ready(f(key))
    once = time.perf_counter() - start
    if once > 1e-3:
        return once
    start = time.perf_counter()
    for _ in range(100):
        result = f(key)
    fm.block_until_ready(result)
    return (time.perf_counter() - start) / 100


def measure(rounds: int) -> dict[str, dict[str, list[float]]]:
    """Seconds by case and backend, round by round; the first round, which compiles, is not counted."""
    names = [name for name in ("numpy", "jax") if importlib.util.find_spec(name)]
    times: dict[str, dict[str, list[float]]] = {case: {name: [] for name in names} for case in CASES}
    for number in range(rounds + 1):
        for case, f in CASES.items():
            for name in names:
                with lk.use_backend(name):
                    seconds = _seconds(f, random.get_prng(number))
                if number:
                    times[case][name].append(seconds)
    return times


def cpu_ms(rounds: int) -> float:
    """The target's CPU time, which other processes hardly change, in the median round."""
    spent = []
    with lk.use_backend("numpy"):
        for number in range(rounds):
            start = time.process_time()
            CASES[TARGET](random.get_prng(number))
            spent.append(1000 * (time.process_time() - start))
    return statistics.median(spent)


def main() -> int:
    """Measures, prints, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    for case, by_backend in measure(max(arguments.rounds, 4)).items():
        quarters = {name: [1000 * s for s in statistics.quantiles(t, n=4)] for name, t in by_backend.items()}
        if arguments.json:
            print(json.dumps({"name": case, "ms": quarters}))
        else:
            columns = (f"{name} {mid:8.3f} ms ({low:.3f} to {high:.3f})" for name, (low, mid, high) in quarters.items())
            print(f"{case:30} {'   '.join(columns)}")
    spent = cpu_ms(max(arguments.rounds, 4))
    figures = {"name": f"{TARGET}, CPU time", "ms": spent, "target_ms": TARGET_MS}
    print(
        json.dumps(figures) if arguments.json else f"{TARGET} on numpy: {spent:.1f} ms of CPU time, target {TARGET_MS}"
    )
    return int(spent > TARGET_MS)


if __name__ == "__main__":
    sys.exit(main())
