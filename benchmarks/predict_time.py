"""How long ``layerkit predict RUN TEXT`` takes as a whole process, beside importing what it reads texts with.

Run: ``python benchmarks/predict_time.py [--run RUN] [--rounds N]``. Without RUN, one is trained for a few steps first:
on twitter_samples, or on the starter corpus where those are not on this machine. The two processes take turns, so that
a busy machine slows both alike; each figure is the median of its rounds, with the middle half of them in brackets.
Exits with 1 if the target is missed: 1.2 times ``import numpy, nltk``, and 0.3 s.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FACTOR, SECONDS = 1.2, 0.3
TEXT = "I hated my day, it was the worst"
_SCRIPT = str(Path(sys.executable).with_name("layerkit"))


def environment() -> dict[str, str]:
    """As a user has it: nothing chosen for layerkit, and bytecode is kept, as it is for what pip installed."""
    unwanted = ("PYTHONDONTWRITEBYTECODE", "LAYERKIT_BACKEND", "LAYERKIT_DEBUG")
    return {name: value for name, value in os.environ.items() if name not in unwanted}


def train(folder: str) -> str:
    """Trains a run for a few steps, and returns where it is."""
    options = ["--steps", "5", "--backend", "numpy", "--output", f"{folder}/run"]
    command = [_SCRIPT, "train", "sentiment", *options]
    print(subprocess.run(command, env=environment(), check=True, capture_output=True, text=True).stdout.splitlines()[0])
    return f"{folder}/run"


def measure(run: str, rounds: int) -> dict[str, list[float]]:
    """Seconds that each process took, round by round; the first, which fills caches, is not counted."""
    commands = {
        "import numpy, nltk": [sys.executable, "-c", "import numpy, nltk"],
        "layerkit predict": [_SCRIPT, "predict", run, TEXT],
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, env=environment(), check=True, stdout=subprocess.DEVNULL)
            if number:
                times[name].append(time.perf_counter() - start)
    return times


def main() -> int:
    """Measures, prints, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", metavar="RUN", help="a folder that 'layerkit train' wrote")
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        times = measure(given.run or train(folder), max(given.rounds, 4))
    for name, took in times.items():
        low, middle, high = statistics.quantiles(took, n=4)
        print(f"{name:18}  {middle:.2f} s [{low:.2f}, {high:.2f}]")
    theirs, ours = (statistics.median(took) for took in times.values())
    target = FACTOR * theirs + SECONDS
    print(f"{ours:.2f} s, target {FACTOR} x {theirs:.2f} s + {SECONDS} s = {target:.2f} s")
    return int(ours > target)


if __name__ == "__main__":
    sys.exit(main())
