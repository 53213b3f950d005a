"""One process of a run: reads from standard input what to measure, and writes one JSON object a line.

Everything is built, compared with NumPy and only then timed. What plugins print goes to standard error.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import statistics
import threading
import time
from collections.abc import Mapping
from typing import Any, TextIO

from layerkit.bench import limits, memory, sampling
from layerkit.bench.programs import Job, Program, program_of
from layerkit.bench.sizes import Size
from layerkit.bench.subjects import Case, cases_of, find
from layerkit.errors import LayerkitError
from layerkit.fastmath import measures, use_backend
from layerkit.fastmath.backend import Backend
from layerkit.testing.suite import Fault, Skip
from layerkit.testing.trees import require_close
from layerkit.testing.trial import REFERENCE, blaming

__all__ = ["main", "measure"]


def main() -> None:
    """Runs the process."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    asks = os.fdopen(os.dup(0), encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)

    def tell(**found: Any) -> None:
        print(json.dumps(found), file=out, flush=True)

    request = json.loads(asks.readline())
    threading.Thread(target=_end_with, args=(asks,), daemon=True).start()
    try:
        _work(request, tell)
    except LayerkitError as error:
        tell(error=" ".join(str(error).split()), exit_code=error.exit_code)
    _close(out)


def _end_with(asks: TextIO) -> None:
    """Waits for the end of the process that asks, whatever ends it, and ends this one: nobody wants its times."""
    os.read(asks.fileno(), 1)
    os._exit(1)


def _close(out: TextIO) -> None:
    with contextlib.suppress(OSError):
        out.close()


def _work(request: Mapping[str, Any], tell: Any) -> None:
    names: list[str] = request["backends"]
    about = {}
    for name in names:
        with use_backend(name) as backend:
            _wake(backend)
            about[name] = {
                "devices": [str(device) for device in backend.devices()],
                "device": limits.device_of(backend),
                "environment": measures.environment(backend),
                "memory": measures.memory_stats(backend),
            }
            if request["limits"]:
                about[name]["limits"] = limits.measured_limits(backend, request["seconds"])
    tell(about=about)
    for number, wanted in request["cases"]:
        tell(begin=number)
        tell(case=number, found=measure(_case(wanted), names, request["seconds"], request["turn"], request["costs"]))


def _case(wanted: Mapping[str, Any]) -> Case:
    subjects = [subject for subject in find(wanted["text"]) if subject.kind == wanted["kind"]]
    (case,) = cases_of(subjects, [Size(*wanted["size"])], wanted["mode"])
    return case


def _wake(backend: Backend) -> None:
    """Makes the backend import and start what it needs, which would count for the first case otherwise."""
    program = backend.jit(backend.value_and_grad(lambda x: (x * x).sum()))
    backend.block_until_ready(program(backend.to_device([2.0])[0]))


def measure(case: Case, backends: list[str], seconds: float, turn: int = 0, costs: bool = True) -> dict[str, Any]:
    """What this process finds out about a case on each backend, by name.

    ``fault`` says why there is no time. Else: ``apart`` (how far from NumPy; ``None`` for NumPy itself), ``first``,
    ``trace`` and ``compile`` in seconds, ``programs`` made, ``host`` bytes grown, ``samples``, ``processor`` seconds,
    ``calls`` in a sample, ``steady``, ``again`` (programs made while it was timed), ``work`` with its ``unit``, and
    with ``costs`` also ``cost``.
    """
    found: dict[str, dict[str, Any]] = {}
    try:
        program = program_of(case)
        with use_backend(REFERENCE) as backend:
            job, wanted, found[REFERENCE] = _begin(program, backend, case)
    except (Fault, Skip, LayerkitError) as fault:
        return {name: {"fault": str(fault)} for name in backends}
    jobs: dict[str, Job] = {REFERENCE: job}
    for name in backends:
        if name != REFERENCE:
            other, found[name] = _held_to(wanted, program, case, name)
            if other is not None:
                jobs[name] = other
    work, unit = program.work()
    for name, timed in _timed(jobs, backends, seconds, turn).items():
        found[name] |= timed | {"work": work, "unit": unit}
        if costs:
            found[name]["cost"] = _cost(name, jobs[name])
    return {name: found[name] for name in backends}


def _held_to(wanted: Any, program: Program, case: Case, name: str) -> tuple[Job | None, dict[str, Any]]:
    """The case built on another backend, and what that took; no job unless it gives what NumPy does."""
    try:
        with use_backend(name) as backend:
            stats = measures.memory_stats(backend)
            if "limit" in stats:
                memory.check_fits(case, 0, stats["limit"] - stats.get("in_use", 0.0))
            job, got, found = _begin(program, backend, case)
        found["apart"] = require_close(f"its results on {name} and on numpy", got, wanted, program.tolerance)
        return job, found
    except (Fault, Skip, LayerkitError) as fault:
        return None, {"fault": str(fault)}


def _begin(program: Program, backend: Backend, case: Case) -> tuple[Job, Any, dict[str, Any]]:
    """The job on the active backend, the numbers of its first call, and what that took."""
    with blaming(f"{case.subject.text} on {backend.name}"):
        with memory.growth() as grown:
            job = program.job(backend)
            made, spent = backend.compilations(), measures.compile_seconds(backend)
            start = time.perf_counter()
            result = backend.block_until_ready(job.call())
            first = time.perf_counter() - start
        stages = {name: after - spent.get(name, 0.0) for name, after in measures.compile_seconds(backend).items()}
        figures = {"apart": None, "first": first, "programs": backend.compilations() - made, "host": grown.peak}
        numbers = backend.to_host(job.compared(result))
    return job, numbers, figures | {name: stages.get(name) for name in ("trace", "compile")}


def _timed(jobs: Mapping[str, Job], backends: list[str], seconds: float, turn: int) -> dict[str, dict[str, Any]]:
    """Samples of the jobs, taken in turns."""
    timed = {name: _ready(name, jobs[name]) for name in backends if name in jobs}
    before = {name: _programs(name) for name in timed}
    if timed:
        sampling.take_turns(list(timed.values()), seconds, turn)
    return {
        name: {
            "samples": one.samples,
            "processor": statistics.median(one.processor),
            "calls": one.n_calls,
            "steady": one.steady,
            "again": _programs(name) - before[name],
        }
        for name, one in timed.items()
    }


def _ready(name: str, job: Job) -> sampling.Timed:
    with use_backend(name) as backend:
        return sampling.Timed(job.call, backend.block_until_ready, functools.partial(use_backend, name))


def _programs(name: str) -> int:
    with use_backend(name) as backend:
        return backend.compilations()


def _cost(name: str, job: Job) -> dict[str, float]:
    if job.program is None:
        return {}
    with use_backend(name) as backend:
        return measures.program_cost(backend, job.program, *job.arguments())


if __name__ == "__main__":
    main()
