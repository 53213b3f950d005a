"""A run of 60 steps stopped at every one of them, and resumed: the same examples in the same order, and the same bits.

Run: ``python benchmarks/reliability/resume.py [--backend NAME] [--every 1]``. The run has three epochs, dropout, lazy
rows, an evaluation now and then. Exits with 1 if a resumed run sees other examples, or ends with other weights, slots,
state, history or position.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import small_run

import layerkit as lk
from layerkit.data import RaggedBatches


class Seen:
    """Batches, with a note of every one that a step was trained on."""

    def __init__(self) -> None:
        self._batches = RaggedBatches(*small_run.examples(), 8, seed=1, n_buckets=2)
        self.at: dict[int, Any] = {}
        """The examples' ids by the number of the batch; one that was only looked at is noted again when it is used."""

    @property
    def position(self) -> dict[str, int]:
        return self._batches.position

    def seek(self, position: Any) -> None:
        self._batches.seek(position)
        self.at = {number: ids for number, ids in self.at.items() if number < position["batch"]}

    def __next__(self) -> Any:
        number = self._batches.position["batch"]
        batch = next(self._batches)
        self.at[number] = batch[0].tolist()
        return batch


def stopped_at(step: int, folder: Path) -> tuple[list[Any], dict[str, Any]]:
    """(the examples of all steps in order, the last state) of a run that was stopped once, and resumed."""
    first, second = Seen(), Seen()
    saved_at = lambda n: n in (step, small_run.STEPS)
    small_run.train(folder, step, data=first, checkpoint_at=saved_at)
    if step < small_run.STEPS:
        loop = small_run.make(folder, data=second, checkpoint_at=saved_at)
        if loop.step != step:
            raise SystemExit(f"resumed at step {loop.step}, not {step}")
        loop.run(small_run.STEPS - step)
    order = [(first if n < step else second).at[n] for n in range(small_run.STEPS)]
    return order, small_run.last_state(folder)


def trials(backend: str, every: int = 1) -> tuple[int, int, int]:
    """(stops tried, those with the same examples, those with the same bits)."""
    with small_run.scratch() as folder, lk.use_backend(backend):
        order, state = stopped_at(small_run.STEPS, folder / "undisturbed")
        tried = [stopped_at(step, folder / str(step)) for step in range(1, small_run.STEPS + 1, every)]
    return len(tried), sum(seen == order for seen, _ in tried), sum(found == state for _, found in tried)


def main() -> int:
    """Stops, resumes, prints, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", action="append")
    parser.add_argument("--every", type=int, default=1)
    given = parser.parse_args()
    missed = False
    print("| backend | stopped at | same examples, same order | same bits |\n|---|---|---|---|")
    for backend in given.backend or ("numpy", "jax"):
        count, examples, bits = trials(backend, given.every)
        print(f"| {backend} | {count} steps | {examples} of {count} | {bits} of {count} |", flush=True)
        missed |= min(examples, bits) < count
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
