"""What the machinery of layers costs: python benchmarks/stack_overhead.py [--layers N] [--rounds N] [--json]

A Serial of N identity layers, run eagerly on a small NumPy array on each backend: CPU time of one call, divided by N.
Each round times 200 calls; the figure is the median of the rounds, with the middle half of them. Exits with 1 if a
target is missed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import layerkit as lk
from layerkit.plugins.registry import backend_names, backends, missing_modules

__all__ = ["measure"]

CALLS = 200
TARGET = 3.0  # microseconds of CPU time for each layer


def measure(backend: str, n_layers: int, rounds: int) -> dict[str, float]:
    """Median and quartiles, in microseconds of CPU time per layer: of ``pure_fn``, and of calling the model."""
    with lk.use_backend(backend):
        model = lk.Serial(*[lk.Fn("Identity", lambda x: x) for _ in range(n_layers)])
        x = np.ones((4, 4), np.float32)
        weights, state = model.init(x)
        pure = _rounds(lambda: model.pure_fn(x, weights, state), n_layers, rounds)
        call = _rounds(lambda: model(x), n_layers, rounds)
    first, median, third = statistics.quantiles(pure, n=4)
    return {"median": median, "first_quartile": first, "third_quartile": third, "called": statistics.median(call)}


def _rounds(call: Callable[[], Any], n_layers: int, rounds: int) -> list[float]:
    times = []
    for _ in range(rounds + 1):
        start = time.process_time()
        for _ in range(CALLS):
            call()
        times.append((time.process_time() - start) / CALLS / n_layers * 1e6)
    return times[1:]  # the first warms up


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--layers", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    names = [name for name in backend_names() if not missing_modules(backends.get(name))]
    found = {name: measure(name, options.layers, options.rounds) for name in names}
    if options.json:
        print(json.dumps({"layers": options.layers, "target": TARGET, "microseconds": found}))
    else:
        for name, figures in found.items():
            print(
                f"{name:8} {figures['median']:.2f} us for each of {options.layers} layers "
                f"({figures['first_quartile']:.2f} to {figures['third_quartile']:.2f}); "
                f"model(x) {figures['called']:.2f} us (target {TARGET:g})"
            )
    return int(any(figures["median"] > TARGET for figures in found.values()))


if __name__ == "__main__":
    sys.exit(main())
