"""What `layerkit bench` adds to a time: python benchmarks/bench_overhead.py [--rounds N] [--json]

A layer's steady time by the bench's own sampler, against a bare timing loop around the jitted function: the same
layer's `pure_fn`, compiled by `jax.jit` itself (on NumPy, recorded by its backend), on the same arrays. Samples of
both take turns. A third turn, on JAX, is the formula written by hand: what a layer costs beside plain code. Ratios are
medians over rounds, with the middle half of them in brackets. Exits with 1 if a target is missed.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

import layerkit as lk
from layerkit import fastmath
from layerkit.bench.programs import Job, program_of
from layerkit.bench.sampling import Timed, sample, take_turns
from layerkit.bench.sizes import parse_sizes
from layerkit.bench.subjects import cases_of, find

__all__ = ["measure"]

TARGET = 1.03
CASES = (("Dense(64)", "16x-x64"), ("Dense(256)", "128x-x256"), ("LayerNorm", "128x-x256"))

BY_HAND: dict[str, Callable[..., Any]] = {
    "Dense": lambda x, weights: jnp.matmul(x, weights.kernel) + weights.bias,
    "LayerNorm": lambda x, weights: (
        weights[0] * (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-6) + weights[1]
    ),
}


def bare(function: Callable[..., Any], wait: Callable[[Any], Any], arguments: Any, n_calls: int) -> float:
    """Seconds of one call, by a loop as one writes it by hand."""
    start = time.perf_counter()
    for _ in range(n_calls):
        wait(function(*arguments))
    return (time.perf_counter() - start) / n_calls


def measure(name: str, size: str, backend_name: str, rounds: int) -> dict[str, Any]:
    """Times in microseconds, and the ratio of each round."""
    (case,) = cases_of(find(name), parse_sizes(size), "forward")
    program = program_of(case)
    with lk.use_backend(backend_name) as backend:
        job: Job = program.job(backend)
        layer = case.subject.constructor(**case.arguments)
        given = job.arguments()

        def forward(x: Any, weights: Any, state: Any, key: Any) -> Any:
            return layer.pure_fn(x, weights, state, key, training=False)

        on_jax = backend_name == "jax"
        plain = jax.jit(forward) if on_jax else backend.jit(forward)
        wait = jax.block_until_ready if on_jax else lambda y: y
        turns: dict[str, Callable[[int], float]] = {
            "bench": functools.partial(sample, job.call, backend.block_until_ready),
            "bare": functools.partial(bare, plain, wait, given),
        }
        if on_jax:
            turns["by hand"] = functools.partial(
                bare, jax.jit(BY_HAND[case.subject.text.partition("(")[0]]), wait, given[:2]
            )
        timed = Timed(job.call, backend.block_until_ready)
        take_turns([timed], 0.2)  # warms up, and says how many calls make a sample
        samples: dict[str, list[float]] = {turn: [] for turn in turns}
        for number in range(-3, rounds):
            for turn in sorted(turns, reverse=bool(number % 2)):
                taken = turns[turn](timed.n_calls)
                if number >= 0:
                    samples[turn].append(1e6 * taken)
    fastmath.block_until_ready(given)
    return {"layer": case.label, "backend": backend_name, "calls": timed.n_calls, "us": samples}


def ratio(samples: dict[str, list[float]], of: str, to: str) -> tuple[float, float, float]:
    """Quartiles of the rounds' ratios."""
    first, middle, third = statistics.quantiles([a / b for a, b in zip(samples[of], samples[to], strict=True)], n=4)
    return first, middle, third


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=101)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = [measure(*case, backend, options.rounds) for case in CASES for backend in ("jax", "numpy")]
    missed = False
    for one in found:
        low, middle, high = ratio(one["us"], "bench", "bare")
        missed = missed or middle > TARGET
        if options.json:
            print(json.dumps(one))
            continue
        line = f"{one['layer']:20} {one['backend']:6} bench {statistics.median(one['us']['bench']):8.2f} us"
        line += f"   / bare loop {middle:.3f} [{low:.3f}, {high:.3f}] (target {TARGET})"
        if "by hand" in one["us"]:
            low, middle, high = ratio(one["us"], "bench", "by hand")
            line += f"   / formula by hand {middle:.3f} [{low:.3f}, {high:.3f}]"
        print(line)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
