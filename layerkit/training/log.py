"""What a run says: a line for each number, and a progress bar where somebody looks on."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from layerkit.errors import printable

__all__ = ["distinct", "line", "progress"]

_INTERVAL = 0.1  # seconds between two looks of the bar


def line(step: int, mode: str, metric: str, value: float, width: int = 0) -> str:
    """One log line, as Trax prints it; ``width`` aligns metrics of different names.

    >>> line(10, "train", "CrossEntropyLoss", 0.81427336)
    'Step     10: train CrossEntropyLoss |  0.81427336'
    >>> line(10, "eval", "Accuracy", 0.75, 16)
    'Step     10: eval          Accuracy |  0.75000000'
    """
    return f"Step {step: 6d}: {mode:5} {printable(metric):>{width}} | {value: .8f}"


def distinct(names: list[list[str]]) -> list[list[str]]:
    """The names of each task; where two tasks share one, with the task's number in front.

    >>> distinct([["Accuracy", "L2Loss"], ["Accuracy"]])
    [['0.Accuracy', 'L2Loss'], ['1.Accuracy']]
    """
    everything = [name for of_task in names for name in of_task]
    return [
        [name if everything.count(name) == 1 else f"{number}.{name}" for name in of_task]
        for number, of_task in enumerate(names)
    ]


@contextmanager
def progress(first: int, last: int) -> Iterator[Callable[[int], None]]:
    """A function to call with the number of steps done: it moves a bar, where standard error is a terminal."""
    if last - first < 2 or sys.stderr is None or not sys.stderr.isatty():
        yield lambda step: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("step"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    # Lines of the log appear above the bar, unless they go to a file, a pipe or nowhere.
    watched = sys.stdout is not None and sys.stdout.isatty()
    with Progress(*columns, console=console, transient=True, redirect_stdout=watched) as bar:
        task = bar.add_task("training", total=last, completed=first)
        due = 0.0

        def move(step: int) -> None:
            nonlocal due
            now = time.monotonic()
            if now >= due or step == last:
                due = now + _INTERVAL
                bar.update(task, completed=step)

        yield move
