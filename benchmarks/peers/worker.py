"""One framework in a process of its own: started by run.py, which tells it what to do line by line.

Run: ``python worker.py FRAMEWORK JOB``. It prints one JSON object a line: first that the framework is imported, then
that the model is ready, with the losses or log-probabilities to hold against others, and the versions; then, for each
number it reads, the time that so many steps (or calls) took, by the clock and of the processor.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from frameworks import FRAMEWORKS, NotThere, Predict
from jobs import CHECKED_STEPS, JOBS, Job

__all__ = ["main"]


def main() -> None:
    # Whatever a framework prints goes to standard error; the answers have standard output for themselves.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(**fields: Any) -> None:
        print(json.dumps(fields), file=answers, flush=True)

    framework, job = FRAMEWORKS[sys.argv[1]], JOBS[sys.argv[2]]
    module = importlib.import_module(f"frameworks.{framework.module}")
    say(imported=True)
    try:
        if job.kind == "predict":
            work, proof = _predictions(getattr(module, framework.predict)(job), job)
        else:
            work, proof = _steps(getattr(module, framework.train)(job), job)
    except NotThere as missing:
        say(missing=str(missing))
        return
    say(proof=proof)
    say(versions={name: importlib.metadata.version(name) for name in framework.packages.split()})
    for line in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        work(int(line))
        say(wall=time.perf_counter() - wall, cpu=time.process_time() - cpu)


def _steps(run: Callable[[int], float], job: Job) -> tuple[Callable[[int], Any], list[float]]:
    if job.kind == "start":
        return run, [run(1)]
    losses, done = [], 0
    for step in CHECKED_STEPS:
        if step - done > 1:
            run(step - done - 1)
        losses.append(run(1))
        done = step
    return run, losses


def _predictions(predict: Predict, job: Job) -> tuple[Callable[[int], Any], list[float]]:
    ids = [ids for ids, _ in job.batches()]
    place = 0

    def work(n: int) -> None:
        nonlocal place
        for _ in range(n):
            predict(ids[place])
            place = (place + 1) % len(ids)

    return work, [float(number) for number in predict(ids[0])[0]]


if __name__ == "__main__":
    main()
