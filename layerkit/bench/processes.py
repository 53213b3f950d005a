"""The processes of a run: started, listened to, and started again where a case brings one down."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

from layerkit.bench.subjects import Case
from layerkit.errors import LayerkitError, UsageError

__all__ = ["Process"]

_START = "import sys; sys.path[:] = {path!r}; from layerkit.bench.worker import main; main()"


class Process:
    """One process of a run, which measures every case once.

    Args:
        cases: all cases of the run.
        backends: names of backends.
        seconds: how long to sample each case.
        turn: the number of the process; the first one also looks at the machine's limits and the programs' costs.
    """

    def __init__(self, cases: Sequence[Case], backends: Sequence[str], seconds: float, turn: int) -> None:
        self._cases, self._backends = cases, list(backends)
        self._seconds, self._turn = seconds, turn
        self.about: dict[str, dict[str, Any]] = {}
        """What the process says of each backend."""

    def measure(self, numbers: Sequence[int], progress: Callable[[str], None]) -> Iterator[tuple[int, dict[str, Any]]]:
        """(number of the case, what was found on each backend) for these cases.

        Raises:
            LayerkitError: the process cannot begin: a backend does not start, or lacks the device it was told to use.
        """
        left = list(numbers)
        while left:
            for number, found in self._once(left, progress):
                left.remove(number)
                yield number, found

    def _once(self, numbers: Sequence[int], progress: Callable[[str], None]) -> Iterator[tuple[int, dict[str, Any]]]:
        """The same for one process; the case that ends it before its time is the last."""
        current: int | None = None
        with tempfile.TemporaryFile() as errors, self._started(numbers, errors) as process:
            try:
                for line in process.stdout or ():
                    told = json.loads(line)
                    if "error" in told:
                        raise (UsageError if told["exit_code"] == 2 else LayerkitError)(told["error"])
                    self.about = self.about or told.get("about", {})
                    if "begin" in told:
                        current = told["begin"]
                        progress(self._cases[told["begin"]].label)
                    elif "case" in told:
                        current = None
                        yield told["case"], told["found"]
            except BaseException:
                process.kill()
                raise
            process.wait()
            if current is not None:
                fault = _end(process.returncode, errors)
                yield current, {name: {"fault": fault} for name in self._backends}
            elif not self.about:
                raise LayerkitError(f"nothing could be measured: {_end(process.returncode, errors)}")

    def _started(self, numbers: Sequence[int], errors: IO[bytes]) -> subprocess.Popen[str]:
        request = {
            "backends": self._backends,
            "seconds": self._seconds,
            "turn": self._turn,
            "limits": self._turn == 0 and not self.about,
            "costs": self._turn == 0,
            "cases": [(number, self._wanted(self._cases[number])) for number in numbers],
        }
        process = subprocess.Popen(
            [sys.executable, "-c", _START.format(path=sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            encoding="utf-8",
            # A program that is read from disk would not show how long it takes to compile.
            env={**os.environ, "LAYERKIT_CACHE": "off"},
        )
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it ended at once; why is on its standard error
            # It stays open: however this process ends, its end of the pipe is closed, and the other process ends.
            print(json.dumps(request), file=process.stdin, flush=True)
        return process

    @staticmethod
    def _wanted(case: Case) -> dict[str, Any]:
        return {"text": case.subject.text, "kind": case.subject.kind, "size": list(case.asked), "mode": case.mode}


def _end(code: int, errors: IO[bytes]) -> str:
    """How a process ended, in words."""
    if code < 0:
        name = signal.Signals(-code).name if -code in list(signal.Signals) else str(-code)
        hint = ", as happens when memory runs out" if -code == signal.SIGKILL else ""
        return f"the process was ended by {name}{hint}"
    errors.seek(0)
    lines = [line.strip() for line in errors.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return f"the process ended with {code}{f': {lines[-1]}' if lines else ''}"
