"""A disk that fails at file operation 1, 2, ... N of a save, in turn: exactly the old state or the new one must load.

Run: ``python benchmarks/reliability/failing_disk.py``. Three saves are tried: a checkpoint of a new step, one in the
place of another of the same step, and the end of a recipe's training in the place of a finished run. Each operation
fails with ENOSPC, EIO and EACCES. Exits with 1 if something else than the old or the new state loads, if the old one
does and nobody was told, or if something half-written is still there after the next save.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import functools
import io
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import small_run
from disk_faults import ERRORS, failing  # in tests/

import layerkit as lk
from layerkit.run_file import read_run_file, write_run_file

Work = Callable[[], Any]


class Kind(NamedTuple):
    """A kind of save."""

    name: str
    begin: Callable[[Path], Any]
    """Makes a folder with the old state."""
    saving: Callable[[Path], Work]
    """What saves the new state in such a folder."""
    load: Callable[[Path], str]
    """What somebody finds there, as a few letters."""


def never(step: int) -> bool:
    return False


def a_step_more(folder: Path) -> Work:
    loop = small_run.make(folder, checkpoint_at=never)
    loop.run(1)
    return loop.save_checkpoint


def the_same_step(folder: Path) -> Work:
    loop = small_run.make(folder, checkpoint_at=never)
    loop.new_rng()
    return loop.save_checkpoint


def load_checkpoint(folder: Path) -> str:
    loop = small_run.make(folder)
    return small_run.digest([loop.step, loop._rngs, small_run.last_state(folder)["tensors"]])


def finished(folder: Path, steps: int) -> Any:
    """A finished run of the sentiment recipe."""
    with contextlib.redirect_stdout(io.StringIO()):
        return lk.train("sentiment", output=folder, steps=steps, corpus="starter", embedding_dim=8, keep_checkpoints=1)


def another_run(folder: Path) -> Work:
    """What the end of a longer training writes: the run's file, and ``run.json``."""
    with small_run.scratch() as parent:
        run, about = finished(parent / "longer", 4), read_run_file(parent / "longer")

    def save() -> None:
        run.write_files(folder)
        write_run_file(folder, about)

    return save


def load_run(folder: Path) -> str:
    run: Any = lk.load(folder)
    return small_run.digest([run.settings["steps"], run.metrics, run.predict("what a day").log_probs])


KINDS = (
    Kind(
        "a checkpoint of a new step",
        lambda folder: small_run.train(folder, 2, checkpoint_at=lambda step: step == 2),
        a_step_more,
        load_checkpoint,
    ),
    Kind(
        "a checkpoint in the place of another",
        lambda folder: small_run.train(folder, 2, checkpoint_at=lambda step: step == 2),
        the_same_step,
        load_checkpoint,
    ),
    Kind(
        "a finished run in the place of another",
        lambda folder: finished(folder, 2),
        functools.cache(another_run),
        load_run,
    ),
)


def trials(kind: Kind, every: int = 1) -> Counter[str]:
    """Fails each operation (or every so many) with each error, and counts what is found afterwards."""
    with small_run.scratch() as parent:
        kind.begin(parent / "old")
        save = kind.saving(small_run.copied(parent / "old", parent / "run"))
        with failing(0, 0) as made:
            save()
        states = {kind.load(parent / "old"): "old", kind.load(parent / "run"): "new"}
        seen = Counter(operations=len(made))
        for number in range(1, len(made) + 1, every):
            for code in ERRORS:
                seen += one(kind, small_run.copied(parent / "old", parent / "run"), number, code, states)
    return seen


def one(kind: Kind, folder: Path, number: int, code: int, states: dict[str, str]) -> Counter[str]:
    """Fails one operation with one error."""
    save, said = kind.saving(folder), ""
    with failing(number, code):
        try:
            save()
        except (lk.LayerkitError, OSError) as error:
            said = str(error)
    found = states.get(kind.load(folder), "other")
    save()
    left = [str(path) for path in folder.rglob(".*")]
    result = Counter({"failures": 1, found: 1, "left": int(bool(left)), "untold": int(found == "old" and not said)})
    if result["other"] or result["left"] or result["untold"] or states.get(kind.load(folder)) != "new":
        result["wrong"] += 1
        print(f"{kind.name}: operation {number}, {errno.errorcode[code]}: {found}, {said!r}, {left}", file=sys.stderr)
    return result


def main() -> int:
    """Fails, loads, prints, and returns the exit code."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    missed = False
    print("| save | file operations | failures | old state | new state | anything else, untold, or half-written |")
    print("|---|---|---|---|---|---|")
    with lk.use_backend("numpy"):
        for kind in KINDS:
            seen = trials(kind)
            counts = [seen[name] for name in ("operations", "failures", "old", "new", "wrong")]
            print("|", " | ".join(map(str, [kind.name, *counts])), "|", flush=True)
            missed |= seen["wrong"] > 0
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
