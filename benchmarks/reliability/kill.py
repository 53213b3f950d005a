"""SIGKILL at random moments of a run; started again, it must end as if nothing had happened.

Run: ``python benchmarks/reliability/kill.py [--moments 200] [--jax 20]``. Half of the moments are moments in time,
half are file operations: there the process is inside a save, and does not get to make the operation. Every second run
writes its checkpoints in the background. With ``--jax N`` so many of the moments are of runs on JAX, each in a new
process; the others are of the NumPy backend, in forks of this one. Exits with 1 if a run cannot be continued, or ends
with other bits than one that was never disturbed.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import small_run
from disk_faults import killing  # in tests/

import layerkit as lk


def undisturbed(folder: Path, backend: str) -> tuple[dict[str, Any], float, int]:
    """(its last state, the seconds it took, its file operations)."""
    with killing(0) as made, lk.use_backend(backend):
        start = time.perf_counter()
        small_run.train(folder)
        seconds = time.perf_counter() - start
    return small_run.last_state(folder), seconds, len(made)


def is_inside_a_save(folder: Path) -> bool:
    """Whether a checkpoint is half-written, or on its way to or from its place."""
    return any(path.name.startswith(".") for path in (folder / "checkpoints").glob("*"))


def killed_in_time(folder: Path, backend: str, seconds: float, background: bool) -> None:
    """Starts the run and kills it after so many seconds."""
    if backend == "numpy":
        child = small_run.forked(lambda: small_run.train(folder, save_in_background=background))
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return
    command = [sys.executable, small_run.__file__, str(folder), backend, *["background"][: int(background)]]
    with subprocess.Popen(command) as process:
        time.sleep(seconds)
        process.kill()


def killed_at_operation(folder: Path, number: int, background: bool) -> None:
    """Starts the run in a fork, which dies where it would make that file operation."""

    def work() -> None:
        with killing(number):
            small_run.train(folder, save_in_background=background)

    os.waitpid(small_run.forked(work), 0)


def continued(folder: Path, backend: str) -> dict[str, Any]:
    """The last state of the run, started again."""
    if backend == "numpy":
        status = os.waitpid(small_run.forked(lambda: small_run.train(folder)), 0)[1]
        return {} if status else small_run.last_state(folder)
    done = subprocess.run([sys.executable, small_run.__file__, str(folder), backend], check=False)
    return {} if done.returncode else small_run.last_state(folder)


def trials(backend: str, moments: int, rng: random.Random) -> Counter[str]:
    """How many of so many kills ended how."""
    seen: Counter[str] = Counter()
    with small_run.scratch() as folder:
        wanted, seconds, operations = undisturbed(folder / "undisturbed", backend)
        for number in range(moments):
            run, background = folder / str(number), number % 4 > 1
            if number % 2 and backend == "numpy":
                killed_at_operation(run, rng.randint(1, operations), background)
                seen["inside a save"] += 1
            else:
                startup = 0.0 if backend == "numpy" else 1.0
                killed_in_time(run, backend, startup + rng.uniform(0, seconds), background)
                seen["inside a save"] += is_inside_a_save(run)
            found = continued(run, backend)
            seen["unrecoverable"] += not found
            seen["bit-identical"] += found == wanted
            seen["kills"] += 1
    return seen


def main() -> int:
    """Kills, continues, prints, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=200)
    parser.add_argument("--jax", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng, missed = random.Random(given.seed), False
    print("| backend | kills | inside a save | unrecoverable | bit-identical at the end |\n|---|---|---|---|---|")
    for backend, moments in (("numpy", given.moments - given.jax), ("jax", given.jax)):
        with lk.use_backend(backend if moments and backend == "numpy" else "numpy"):
            seen = trials(backend, moments, rng) if moments else Counter[str]()
        counts = [seen[name] for name in ("kills", "inside a save", "unrecoverable", "bit-identical")]
        print("|", " | ".join(map(str, [backend, *counts])), "|", flush=True)
        missed |= seen["unrecoverable"] > 0 or seen["bit-identical"] < seen["kills"]
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
