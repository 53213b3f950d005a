"""The protocol: one process for each framework, samples in turns, so that a busy machine slows all of them alike."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from frameworks import FRAMEWORKS, Framework
from jobs import Job

__all__ = ["THREADS", "Row", "measure"]

THREADS = 2
Row = dict[str, Any]
"""What was measured of one framework; lists of samples in milliseconds, in the order of the rounds."""

_FOLDER = Path(__file__).parent
_REST = 0.02
"""Seconds between two samples, in which the threads of the one before come to rest."""
_DISTURBED, _ATTEMPTS = 0.1, 4
"""A sample is taken again while other programs have more than this share of the processors, so often at most."""


class _Worker:
    """A framework's process."""

    def __init__(self, framework: Framework, job: Job, python: str, scratch: str) -> None:
        self._name, self._errors = framework.name, tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed by end()
        self._start = time.perf_counter()
        self._process = subprocess.Popen(
            [python, str(_FOLDER / "worker.py"), framework.name, job.name],
            env=_environment(framework, scratch),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def hear(self) -> tuple[Row, float]:
        """The next answer, and the seconds since the process was started.

        Raises:
            RuntimeError: the process is over; the message holds what it said last.
        """
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            raise RuntimeError(f"{self._name}: {self._errors.read()[-2000:].strip()}")
        return json.loads(line), time.perf_counter() - self._start

    def prepare(self) -> Row:
        """Hears everything up to the first sample: ``proof`` and ``versions``, or what is ``missing``."""
        row: Row = {}
        while "versions" not in row and "missing" not in row:
            row |= self.hear()[0]
        del row["imported"]
        return row

    def sample(self, n: int) -> Row:
        """What n steps took, and the share of the processors that other programs had meanwhile."""
        busy = _busy_seconds()
        print(n, file=self._process.stdin, flush=True)
        took = self.hear()[0]
        took["others"] = max(0.0, _busy_seconds() - busy - took["cpu"]) / (THREADS * took["wall"])
        return took

    def undisturbed(self, n: int) -> Row:
        """The least disturbed of a few samples, and the first that is hardly disturbed."""
        taken: list[Row] = []
        while len(taken) < _ATTEMPTS and all(took["others"] > _DISTURBED for took in taken):
            time.sleep(_REST)
            taken.append(self.sample(n))
        return min(taken, key=lambda took: took["others"])

    def end(self) -> tuple[float, float]:
        """Ends the process: the seconds since it was started, and those of the processor that it used."""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        _, self._process.returncode, used = os.wait4(self._process.pid, 0)
        self._process.stdout.close()
        self._errors.close()
        return time.perf_counter() - self._start, used.ru_utime + used.ru_stime


def _busy_seconds() -> float:
    """How long the processors that are measured on were busy since the machine was started; 0 where that is unknown."""
    if not hasattr(os, "sched_getaffinity") or not Path("/proc/stat").exists():
        return 0.0
    ours = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    lines = [line.split() for line in Path("/proc/stat").read_text(encoding="ascii").splitlines()]
    # user, nice, system, idle, waiting for disks, interrupts of two kinds, stolen by other machines
    ticks = sum(int(words[i]) for words in lines if words[0] in ours for i in (1, 2, 3, 6, 7, 8))
    return ticks / os.sysconf("SC_CLK_TCK")


def _environment(framework: Framework, scratch: str) -> dict[str, str]:
    """As a user has it, with two threads for everybody, and this checkout's layerkit."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(THREADS))
    unwanted = ("PYTHONDONTWRITEBYTECODE", "LAYERKIT_DEBUG", "LAYERKIT_PLUGINS")
    kept = {name: value for name, value in os.environ.items() if name not in unwanted}
    own = {name: value.format(scratch=scratch) for name, value in framework.settings.items()}
    return {**kept, **threads, **own, "PYTHONPATH": str(_FOLDER.parent.parent)}


def measure(job: Job, pythons: dict[str, str], rounds: int, seconds: float) -> dict[str, Row]:
    """One row for each framework, by its name.

    Args:
        job: what they do.
        pythons: the frameworks' names, each with the Python that it is installed in.
        rounds: how many samples of each.
        seconds: about how long a sample takes.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
    with tempfile.TemporaryDirectory() as scratch:
        if job.kind == "start":
            return _starts(job, pythons, rounds, scratch)
        return _samples(job, pythons, rounds, seconds, scratch)


def _samples(job: Job, pythons: dict[str, str], rounds: int, seconds: float, scratch: str) -> dict[str, Row]:
    workers: dict[str, _Worker] = {}
    rows: dict[str, Row] = {}
    try:
        for name, python in pythons.items():
            worker = workers[name] = _Worker(FRAMEWORKS[name], job, python, f"{scratch}/{name}")
            row = rows[name] = worker.prepare()
            if "missing" in row:
                continue
            row |= {"n": _steps_in(seconds, worker), "wall_ms": [], "cpu_ms": [], "others": []}
            print(f"  {name}: samples of {row['n']:,}", file=sys.stderr)
        ready = [name for name, row in rows.items() if "n" in row]
        for number in range(rounds):
            # Everybody comes after everybody else at some time, and first once.
            turn = number % len(ready)
            order = ready[turn:] + ready[:turn]
            for name in order if number % 2 else reversed(order):
                row = rows[name]
                took = workers[name].undisturbed(row["n"])
                row["wall_ms"].append(1000 * took["wall"] / row["n"])
                row["cpu_ms"].append(1000 * took["cpu"] / row["n"])
                row["others"].append(took["others"])
    finally:
        for worker in workers.values():
            worker.end()
    return rows


def _steps_in(seconds: float, worker: _Worker) -> int:
    """How many steps take so long, once the first calls' surprises are over."""
    n, took = 1, worker.sample(1)["wall"]
    while took < seconds / 2:
        n *= 2
        took = worker.sample(n)["wall"]
    return max(1, round(n * seconds / took))


def _starts(job: Job, pythons: dict[str, str], rounds: int, scratch: str) -> dict[str, Row]:
    rows: dict[str, Row] = {
        name: {"n": 1, "import_ms": [], "wall_ms": [], "cpu_ms": [], "others": []} for name in pythons
    }
    for number in range(rounds + 1):
        for name, python in pythons.items():
            taken: list[Row] = []
            # The first round warms the disk, and the folders of compiled programs.
            while len(taken) < (_ATTEMPTS if number else 1) and all(t["others"] > _DISTURBED for t in taken):
                taken.append(_start(_Worker(FRAMEWORKS[name], job, python, f"{scratch}/{name}")))
            took = min(taken, key=lambda took: took["others"])
            rows[name] |= {key: took.pop(key) for key in ("proof", "versions")}
            for key, value in took.items() if number else ():
                rows[name][key].append(value)
    return rows


def _start(worker: _Worker) -> Row:
    """What one process took, in milliseconds, with its proof and versions."""
    busy = _busy_seconds()
    imported, (proof, first_step) = worker.hear()[1], worker.hear()
    versions = worker.hear()[0]
    whole, cpu = worker.end()
    others = max(0.0, _busy_seconds() - busy - cpu) / (THREADS * whole)
    times = {"import_ms": 1000 * imported, "wall_ms": 1000 * first_step, "cpu_ms": 1000 * cpu, "others": others}
    return {**times, **proof, **versions}
