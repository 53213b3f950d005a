"""How long layerkit takes to start, as whole processes beside what anybody would have to import anyway.

``python benchmarks/import_time.py [--rounds N] [--json]``. The processes are run in turn, round after round, so that a
busy machine slows all alike; each figure is the median of its rounds, with the middle half of them. Exits with 1 if a
target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

__all__ = ["measure"]

_SCRIPT = str(Path(sys.executable).with_name("layerkit"))


class Case(NamedTuple):
    """One comparison: a command, what it is held against, and how many times as long it may take."""

    name: str
    command: tuple[str, ...]
    beside: str
    target: float


CASES = (
    Case("import layerkit", (sys.executable, "-c", "import layerkit"), "numpy", 1.25),
    Case("layerkit --help", (_SCRIPT, "--help"), "click", 2.5),
    Case("layerkit plugins list", (_SCRIPT, "plugins", "list"), "click", 2.5),
)
BESIDE = {name: (sys.executable, "-c", f"import {name}") for name in ("numpy", "click")}


def measure(rounds: int) -> dict[str, list[float]]:
    """Seconds that each process took, round by round; the first, which fills caches, is not counted."""
    # Without bytecode files every start would compile layerkit, but not the installed numpy and click.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    commands = {**BESIDE, **{case.name: case.command for case in CASES}}
    times: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
            if number:
                times[name].append(time.perf_counter() - start)
    return times


def main() -> int:
    """Measures, prints, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    times = measure(max(arguments.rounds, 4))
    missed = False
    for case in CASES:
        ratios = [mine / theirs for mine, theirs in zip(times[case.name], times[case.beside], strict=True)]
        low, ratio, high = statistics.quantiles(ratios, n=4)
        ours, theirs = (statistics.median(times[name]) * 1000 for name in (case.name, case.beside))
        missed |= ratio > case.target
        if arguments.json:
            figures = {"ratio": ratio, "low": low, "high": high, "ms": ours, f"{case.beside}_ms": theirs}
            print(json.dumps({"name": case.name, **figures, "target": case.target}))
        else:
            print(
                f"{case.name:22} {ours:4.0f} ms, import {case.beside} {theirs:3.0f} ms: "
                f"{ratio:.2f}x ({low:.2f} to {high:.2f}), target {case.target}x"
            )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
