"""Ctrl-C at random moments of a run, where nothing waits for the end of a step; gone on with, no bit may be another.

Run: ``python benchmarks/reliability/interrupts.py [--moments 300]``. Half of the runs get a second Ctrl-C right after
the first, and it does not wait; in the others a handler of the program's own raises KeyboardInterrupt wherever it is.
Half of them go on with the Loop that was interrupted, half with a new one in the same process. Exits with 1 if a run
cannot be gone on with, or ends with other bits than one that was never disturbed.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import small_run

import layerkit as lk

CLOSE = 0.002  # seconds between two of them


def raising(number: int, frame: FrameType | None) -> None:
    """A handler of a program's own."""
    raise KeyboardInterrupt


def goes_on(loop: lk.Loop, folder: Path, anew: bool) -> None:
    """Brings an interrupted run to its end."""
    if anew:
        loop = small_run.make(folder)
    try:
        loop.run(small_run.STEPS - loop.step)
    except lk.LayerkitError:  # a step was broken off: what the error says is to be done
        try:
            loop.load_checkpoint()
        except lk.LayerkitError:  # there is none yet
            loop = small_run.make(folder)
        loop.run(small_run.STEPS - loop.step)


def to_be_interrupted(folder: Path, own: bool, anew: bool, begins: int) -> None:
    """A run that somebody interrupts once it has begun, and that goes on; says in a file where it was."""
    loop = small_run.make(folder)
    signal.signal(signal.SIGINT, raising if own else signal.default_int_handler)
    try:
        try:
            os.write(begins, b".")
            loop.run(small_run.STEPS)
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        folder.with_suffix(".place").write_text(traceback.format_exc())
    goes_on(loop, folder, anew)


def interrupted(folder: Path, after: float, own: bool, anew: bool, rng: random.Random) -> bool:
    """Starts a run, interrupts it after so many seconds, and lets it go on; whether it comes to its end."""
    begun, begins = os.pipe()
    child = small_run.forked(lambda: to_be_interrupted(folder, own, anew, begins))
    os.read(begun, 1)
    for seconds in (after,) if own else (after, rng.uniform(0, CLOSE)):
        time.sleep(seconds)
        os.kill(child, signal.SIGINT)
    ended = os.waitpid(child, 0)[1] == 0
    os.close(begun)
    os.close(begins)
    return ended


def undisturbed(folder: Path) -> tuple[dict[str, Any], float]:
    """(its last state, the seconds it takes in a process that has made one before)."""
    for name in ("first", "undisturbed"):
        loop, start = small_run.make(folder / name), time.perf_counter()
        loop.run(small_run.STEPS)
        seconds = time.perf_counter() - start
    return small_run.last_state(folder / "undisturbed"), seconds


def trials(moments: int, rng: random.Random) -> Counter[str]:
    """How many of so many interrupts ended how."""
    seen: Counter[str] = Counter()
    with small_run.scratch() as folder:
        wanted, seconds = undisturbed(folder)
        for number in range(moments):
            run, own, anew = folder / str(number), number % 2 == 1, number % 4 > 1
            ended = interrupted(run, rng.uniform(0, seconds), own, anew, rng)
            same = ended and small_run.last_state(run) == wanted
            place = run.with_suffix(".place")
            seen.update(interrupts=1, inside=place.exists(), unrecoverable=not ended, identical=same)
            if not same and place.exists():
                print(place.read_text(), file=sys.stderr)
    return seen


def main() -> int:
    """Interrupts, goes on, prints, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--moments", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with lk.use_backend("numpy"):
        seen = trials(given.moments, random.Random(given.seed))
    counts = [seen[name] for name in ("interrupts", "inside", "unrecoverable", "identical")]
    print("| backend | interrupts | before the run's end | unrecoverable | bit-identical at the end |")
    print("|---|---|---|---|---|")
    print("| numpy |", " | ".join(map(str, counts)), "|", flush=True)
    return int(seen["unrecoverable"] > 0 or seen["identical"] < seen["interrupts"])


if __name__ == "__main__":
    sys.exit(main())
