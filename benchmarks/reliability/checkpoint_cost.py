"""What checkpoints every 100 steps cost the sentiment recipe: the same training with and without them, in turns.

Run: ``python benchmarks/reliability/checkpoint_cost.py [--rounds 15] [--backend NAME]``. A *command* is
``layerkit train sentiment --output FOLDER`` in a process of its own, from its start to its end; a *call* is
``lk.train("sentiment", output=FOLDER)`` in a process that has trained before, so that nothing is imported or compiled
any more. All settings are the defaults: 500 steps, five checkpoints, written in the background. Both kinds of run
evaluate and log at the same steps.

Seconds of the clock and of the processor, all threads together, with the middle half of the rounds in brackets; what is
more is the median of the rounds' ratios. Exits with 1 if the clock says more than 3 % for a command.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles
from unittest import mock

import small_run

import layerkit as lk
from layerkit.cli import main as command_line
from layerkit.training.saving import Saver

MOST = 0.03
STEPS = 500
CORPUS = "twitter_samples"  # the default; where it cannot be had there is nothing to measure
Run = Callable[[str, Path, bool], tuple[float, float]]


def nothing_saved() -> contextlib.AbstractContextManager[object]:
    """Inside the ``with`` block checkpoints are asked for, and not written."""

    def asked(self: Saver, output_dir: Path, variables: object, progress: Callable[[], object], wait: bool) -> Path:
        progress()  # which evaluates
        return output_dir

    return mock.patch.object(Saver, "save", asked)


def call(backend: str, folder: Path, saves: bool, steps: int = STEPS) -> tuple[float, float]:
    """A run in this process: seconds of the clock, and of the processor."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.nullcontext() if saves else nothing_saved():
        began = time.perf_counter(), time.process_time()
        with lk.use_backend(backend):
            lk.train("sentiment", output=folder, steps=steps, corpus=CORPUS)
        return time.perf_counter() - began[0], time.process_time() - began[1]


def command(backend: str, folder: Path, saves: bool, steps: int = STEPS) -> tuple[float, float]:
    """A run in a process of its own."""
    given = ["train", "sentiment", "--output", str(folder), "--backend", backend, "--steps", str(steps)]
    kind = "--saves" if saves else "--saves-nothing"
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, __file__, kind, *given, "--corpus", CORPUS], stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    took = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"layerkit {' '.join(given)} ended with {process.returncode}")
    return took, used.ru_utime + used.ru_stime


def shown(values: list[float]) -> str:
    """The median and the middle half."""
    low, _, high = quantiles(values, n=4)
    return f"{median(values):.3f} [{low:.3f}, {high:.3f}]"


def measured(name: str, run: Run, backend: str, rounds: int) -> float:
    """Prints a row, and returns how much more the clock says with checkpoints."""
    pairs = []
    with small_run.scratch() as folder:
        run(backend, folder / "warm", True)
        for number in range(rounds):
            kinds = (True, False) if number % 2 else (False, True)
            took = {saves: run(backend, folder / f"{number}-{saves}", saves) for saves in kinds}
            pairs.append((took[True], took[False]))
    columns = [shown([pair[kind][clock] for pair in pairs]) for clock in (0, 1) for kind in (0, 1)]
    more = [[one[clock] / other[clock] - 1 for one, other in pairs] for clock in (0, 1)]
    low, middle, high = quantiles(more[0], n=4)
    shares = f"{middle:+.1%} [{low:+.1%}, {high:+.1%}]", f"{median(more[1]):+.1%}"
    print("|", " | ".join([backend, name, *columns, *shares]), "|", flush=True)
    return middle


def main() -> int:
    """Measures, prints, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--backend", action="append")
    given = parser.parse_args()
    backends = given.backend or ["numpy", "jax"]
    titles = ["backend", "a run", "clock, with", "clock, without", "processor, with", "processor, without"]
    titles += ["clock more", "processor more"]
    print("|", " | ".join(titles), "|\n" + "|---" * len(titles) + "|")
    extra = [measured("a command", command, backend, given.rounds) for backend in backends]
    for backend in backends:
        measured("a call", call, backend, given.rounds)
    return int(max(extra) > MOST)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--saves"]:
        sys.exit(command_line(sys.argv[2:]))
    if sys.argv[1:2] == ["--saves-nothing"]:
        with nothing_saved():
            sys.exit(command_line(sys.argv[2:]))
    sys.exit(main())
