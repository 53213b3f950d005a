"""Ctrl-C at every line of a run in turn; gone on with, no bit of weights or history may be another.

Run: ``python benchmarks/reliability/every_line.py [--stride 1] [--backend numpy] [--way WAY]``. What is interrupted is
the code that trains, measures, saves and feeds, in the main thread, where a program's own handler raises
KeyboardInterrupt wherever it is. Lines are those where Python looks for signals: not ``with``, ``try`` and ``finally``,
at which nothing is called. Exits with 1 if a run cannot be gone on with, or ends otherwise than one that was never
disturbed.
"""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import small_run
from at_line import AtLine  # in tests/

import layerkit as lk

HOME = Path(lk.__file__).parent
TRACED = {str(path) for folder in ("training", "files") for path in (HOME / folder).glob("*.py")}
TRACED.add(str(HOME / "data" / "prefetch.py"))
STEPS, MORE = 9, 15  # the run that is interrupted, and where the one after it ends


class Way(NamedTuple):
    """A way to train, and to go on."""

    options: dict[str, Any]
    at_once: int = STEPS
    """The steps of one ``run``."""
    anew: bool = False
    """Whether a new Loop goes on."""


WAYS = {
    "plain": Way({}),
    "a new Loop": Way({}, anew=True),
    "one step at a time": Way({}, at_once=1),
    "several steps a call, saved behind": Way({"n_steps_per_call": 3, "save_in_background": True}),
}


def make(folder: Path, way: Way) -> lk.Loop:
    return small_run.make(folder, checkpoint_at=lambda s: s % 6 == 0, eval_at=lambda s: s % 4 == 0, **way.options)


def train(loop: lk.Loop, to: int, way: Way) -> None:
    while loop.step < to:
        loop.run(min(way.at_once, to - loop.step))
    loop.run(0)  # a report that an interrupt broke off


def go_on(loop: lk.Loop, folder: Path, way: Way) -> lk.Loop:
    """Brings an interrupted run to its end, as its errors say."""
    try:
        loop = make(folder, way) if way.anew else loop
        train(loop, STEPS, way)
    except lk.LayerkitError:  # a step was broken off
        if not small_run.last_state(folder):
            loop = make(folder, way)
        else:
            loop.load_checkpoint()
        train(loop, STEPS, way)
    return loop


def trial(n: int, folder: Path, way: Way) -> tuple[AtLine, Any]:
    """A run that is interrupted at the n-th line, and what it comes to."""
    at_line, loop = AtLine(n, TRACED), make(folder, way)
    sys.settrace(at_line)
    try:
        train(loop, STEPS, way)
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(None)
    loop = go_on(loop, folder, way)
    train(loop, MORE, way)
    weights = [np.array(leaf).tolist() for leaf in lk.fastmath.tree_leaves(loop.model.weights)]
    return at_line, (loop.history.to_dict(), weights)


def trials(way: Way, stride: int, first: int = 1, say: Callable[[str], Any] = print) -> tuple[int, int, int]:
    """(interrupts, runs that could not be gone on with, runs that ended as one never disturbed)."""
    with small_run.scratch() as folder:
        trial(0, folder / "warm", way)
        undisturbed, wanted = trial(0, folder / "undisturbed", way)
        lines = range(first, undisturbed.seen + 1, stride)
        lost = same = 0
        for n in lines:
            try:
                at_line, found = trial(n, folder / str(n), way)
            except BaseException:
                lost += 1
                say(f"line {n}:\n{traceback.format_exc()}")
                continue
            same += found == wanted
            if found != wanted:
                say(f"line {n}, {at_line.where}: {'weights' if found[0] == wanted[0] else 'history'} differ")
    return len(lines), lost, same


def main() -> int:
    """Interrupts, goes on, prints, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--backend", default="numpy")
    parser.add_argument("--way", choices=WAYS, action="append")
    given = parser.parse_args()
    failed = False
    print("| a run | interrupts, one a line | unrecoverable | as never disturbed |\n|---|---|---|---|")
    for name in given.way or WAYS:
        with lk.use_backend(given.backend):
            count, lost, same = trials(WAYS[name], given.stride, say=lambda text: print(text, file=sys.stderr))
        print(f"| {name} | {count:,} | {lost} | {same:,} |", flush=True)
        failed = failed or same < count
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
