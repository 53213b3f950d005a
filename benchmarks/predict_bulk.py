"""Sentences a second from ids to log-probabilities, by a run of the sentiment recipe and by hand: NumPy and JAX.

Run: ``python benchmarks/predict_bulk.py [--rounds 15] [--batches 1 256]``. The notebook's classifier, 9,088 words,
width 256, 20 ids a sentence: with the plain mean, and with padding masked as the recipe's default model has it.
`log_probs` of a run against the same written by hand, in NumPy and as a jitted JAX function; results come back as
NumPy arrays. All take turns, round after round; figures are sentences a second of CPU time, which other people's
programs disturb less, medians with the middle half of the rounds in brackets, and ratios to the way by hand on the same
backend, round by round. Exits with 1 if a target is missed: on NumPy 0.9 times as many as by hand in batches of 1, on
JAX as many in batches of 256.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import layerkit as lk
from layerkit import fastmath
from layerkit_plugins.sentiment.examples import Examples
from layerkit_plugins.sentiment.model import classifier
from layerkit_plugins.sentiment.run import SentimentRun

WORDS, WIDTH, LENGTH = 9088, 256, 20
TARGETS = {("numpy", 1): 0.9, ("jax", 256): 1.0}
NOISE = 0.05  # the same program against itself is off by this much

Function = Callable[[Any], Any]


def numpy_by_hand(table: Any, kernel: Any, bias: Any, masked: bool) -> Function:
    """The model in plain NumPy."""

    def log_probs(ids: Any) -> Any:
        if masked:
            holds = (ids != 0)[..., None]
            mean = np.where(holds, table[ids], 0).sum(axis=1) / np.maximum(holds.sum(axis=1), 1).astype(np.float32)
        else:
            mean = table[ids].mean(axis=1)
        logits = mean @ kernel + bias
        shifted = logits - logits.max(axis=1, keepdims=True)
        return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))

    return log_probs


def jax_by_hand(table: Any, kernel: Any, bias: Any, masked: bool) -> Function:
    """The model in jitted JAX, its weights arguments as in layerkit, its result brought back."""

    @jax.jit
    def log_probs(table: Any, kernel: Any, bias: Any, ids: Any) -> Any:
        rows = table[ids]
        if masked:
            holds = (ids != 0)[..., None]
            mean = jnp.where(holds, rows, 0).sum(axis=1) / jnp.maximum(holds.sum(axis=1), 1)
        else:
            mean = rows.mean(axis=1)
        return jax.nn.log_softmax(mean @ kernel + bias)

    weights = [jnp.asarray(array) for array in (table, kernel, bias)]
    return lambda ids: np.asarray(log_probs(*weights, ids))


def ways(masked: bool) -> dict[str, dict[str, Function]]:
    """By backend: layerkit's way and the one by hand, with the same weights."""
    found: dict[str, dict[str, Function]] = {}
    for backend, by_hand in (("numpy", numpy_by_hand), ("jax", jax_by_hand)):
        with lk.use_backend(backend):
            model = classifier(WORDS, WIDTH, mask_padding=masked)
            model.init(lk.i32(1, LENGTH, max=WORDS))
            weights = [fastmath.to_host(leaf) for leaf in fastmath.tree_leaves(model.weights)]
            run = SentimentRun(model, {"__UNK__": 2}, ("-", "+"), {}, {}, lambda: Examples([], []))
        found[backend] = {"by hand": by_hand(*weights, masked), "layerkit": run.log_probs}
    return found


def rate(function: Function, ids: Any, seconds: float = 0.05) -> float:
    """Sentences a second of CPU time, over some calls."""
    calls, start = 0, time.process_time()
    while (took := time.process_time() - start) < seconds:
        function(ids)
        calls += 1
    return calls * len(ids) / took


def main() -> int:
    """Prints the table; the exit code is 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 256])
    given = parser.parse_args()
    missed = False
    for masked in (False, True):
        functions = ways(masked)
        for batch in given.batches:
            ids = np.random.default_rng(batch).integers(1, WORDS, (batch, LENGTH)).astype(np.int32)
            rates: dict[tuple[str, str], list[float]] = {(b, w): [] for b in functions for w in functions[b]}
            reference = functions["numpy"]["by hand"](ids)
            for number in range(given.rounds + 1):
                for (backend, way), taken in rates.items():
                    with lk.use_backend(backend):
                        np.testing.assert_allclose(functions[backend][way](ids), reference, atol=1e-5)
                        sample = rate(functions[backend][way], ids)
                    if number:  # the first one warms up
                        taken.append(sample)
            for (backend, way), taken in rates.items():
                low, middle, high = statistics.quantiles(taken, n=4)
                by_hand = rates[backend, "by hand"]
                ratio = statistics.median(ours / theirs for ours, theirs in zip(taken, by_hand, strict=True))
                target = TARGETS.get((backend, batch), 0.0) if way == "layerkit" and not masked else 0.0
                missed = missed or ratio < target * (1 - NOISE)
                mean = "masked" if masked else "plain"
                print(
                    f"{mean:6} batch {batch:3} {backend:5} {way:8} {middle:9,.0f} [{low:9,.0f}, {high:9,.0f}]", end=""
                )
                print(f"  ratio {ratio:.2f}" + (f" (target {target})" if target else ""))
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
