"""Texts split into words by several processes at once."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from layerkit.errors import LayerkitError, os_reason
from layerkit_plugins.sentiment.processed import Processed, from_bytes, process_here, to_bytes

__all__ = ["main", "process_in_workers"]


def process_in_workers(texts: Sequence[str], keep_stop_words: bool, n_workers: int) -> list[Processed]:
    """The texts' words, in ``n_workers`` parts of which each process makes one.

    The processes are new Pythons of their own, not copies of this one, which may hold locks and a started compiler;
    and they do not import this program's main module, which need not be guarded by ``if __name__ == "__main__"``. An
    error in one, or Ctrl-C, ends all of them.

    Raises:
        LayerkitError: one of them failed; the message says why.
    """
    bounds = [len(texts) * number // n_workers for number in range(n_workers + 1)]
    with tempfile.TemporaryDirectory(prefix="layerkit-") as folder, contextlib.ExitStack() as stack:
        workers = []
        try:
            for start, end in itertools.pairwise(bounds):
                own = Path(folder, f"{start}")
                worker = _start(own, {"texts": texts[start:end], "keep_stop_words": keep_stop_words})
                stack.callback(_end, worker)
                workers.append((worker, own))
        except OSError as error:
            raise LayerkitError(
                f"{n_workers} processes that split texts into words cannot be started ({os_reason(error)}): "
                "ask for fewer, or for 0, which starts none"
            ) from error
        return [_result(worker, own) for worker, own in workers]


def main() -> None:
    """What a worker does: reads texts from its standard input, and writes their words."""
    warnings.simplefilter("ignore")  # that a text was cut is said once, by the process that wants to know its words
    asked = json.load(sys.stdin)
    try:
        processed = process_here(**asked)
    except LayerkitError as error:
        sys.exit(str(error))
    sys.stdout.buffer.write(to_bytes(processed))


def _start(own: Path, asked: dict[str, Any]) -> subprocess.Popen[bytes]:
    """A worker that reads and writes files of its own: those, unlike pipes, are never full."""
    own.mkdir()
    (own / "asked").write_text(json.dumps(asked), encoding="ascii")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with (own / "asked").open("rb") as asks, (own / "made").open("wb") as makes, (own / "said").open("wb") as says:
        return subprocess.Popen(
            [sys.executable, "-c", f"from {__name__} import main; main()"],
            stdin=asks,
            stdout=makes,
            stderr=says,
            env=environment,
            start_new_session=True,  # Ctrl-C is for this process, which ends the others
        )


def _end(worker: subprocess.Popen[bytes]) -> None:
    worker.kill()
    worker.wait()


def _result(worker: subprocess.Popen[bytes], own: Path) -> Processed:
    code = worker.wait()
    if code:
        said = (own / "said").read_text("utf-8", errors="replace").strip().splitlines()
        why = said[-1] if said else f"it ended with {code}"
        raise LayerkitError(f"a process that splits texts into words failed ({why}): 0 of them does the work without")
    return from_bytes((own / "made").read_bytes())
