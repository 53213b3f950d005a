"""What checkpoints every 100 steps cost a run of the sentiment recipe: the same training with and without, in turns.

Run: ``python benchmarks/reliability/checkpoint_cost.py [--rounds 7] [--backend NAME]``. A run goes from the texts
to the saved model; both kinds log and evaluate at the same steps. Seconds of the clock, of the processor for all
threads, and for the thread that trains: that one's is what steps wait for where another core is free to write.
Medians, with the middle half of the rounds in brackets. Exits with 1 if the clock says more than 3 %.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import sys
import time
from pathlib import Path
from statistics import median, quantiles
from unittest import mock

import small_run

import layerkit as lk
from layerkit.training.saving import Saver

MOST = 0.03
CLOCKS = (time.perf_counter, time.process_time, time.thread_time)


def seconds(folder: Path, steps: int, saves: bool) -> list[float]:
    """Clock, processor, and processor of the thread that trains, of one run."""
    quiet = contextlib.redirect_stdout(io.StringIO())
    without = contextlib.nullcontext() if saves else mock.patch.object(Saver, "save", return_value=folder)
    with quiet, without:
        start = [clock() for clock in CLOCKS]
        lk.train("sentiment", output=folder, steps=steps, corpus="twitter_samples", checkpoint_every=100)
        return [clock() - began for clock, began in zip(CLOCKS, start, strict=True)]


def shown(values: list[float]) -> str:
    """The median and the middle half."""
    low, _, high = quantiles(values, n=4)
    return f"{median(values):.3f} [{low:.3f}, {high:.3f}]"


def measured(backend: str, rounds: int, steps: int) -> float:
    """Prints a row, and returns the median of the rounds' ratios, less 1."""
    pairs = []
    with small_run.scratch() as folder, lk.use_backend(backend):
        seconds(folder / "warm", steps, True)
        for number in range(rounds):
            kinds = (True, False) if number % 2 else (False, True)
            took = {saves: seconds(folder / f"{number}-{saves}", steps, saves) for saves in kinds}
            pairs.append((took[True], took[False]))
    extra = [median(one[clock] / other[clock] - 1 for one, other in pairs) for clock in range(len(CLOCKS))]
    columns = [shown([pair[kind][clock] for pair in pairs]) for clock in range(len(CLOCKS)) for kind in (0, 1)]
    print("|", " | ".join([backend, *columns, *(f"{share:+.1%}" for share in extra)]), "|", flush=True)
    return extra[0]


def main() -> int:
    """Measures, prints, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--backend", action="append")
    given = parser.parse_args()
    kinds = [
        f"{clock}{kind}" for clock in ("clock", "processor", "training thread") for kind in (", with", ", without")
    ]
    titles = ["backend", *kinds, "clock more", "processor more", "training thread more"]
    print("|", " | ".join(titles), "|\n" + "|---" * len(titles) + "|")
    extra = [measured(name, given.rounds, given.steps) for name in given.backend or ("numpy", "jax")]
    return int(max(extra) > MOST)


if __name__ == "__main__":
    sys.exit(main())
