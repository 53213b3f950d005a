"""SIGTERM and Ctrl-C while a program trains: a checkpoint first, then the exit code that the signal means."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from training_setups import powers, slope_loop, trained_on

import layerkit as lk
from layerkit.training.interrupt import Interrupts, Terminated

LONG = 5.0  # seconds that a signal may take


@pytest.fixture(autouse=True)
def _usual() -> Iterator[None]:
    """Signals do what they do where nobody said otherwise, as nohup does."""
    previous = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, previous)


@pytest.mark.parametrize(
    ("number", "raised"),
    [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated), (signal.SIGHUP, Terminated)],
)
def test_a_signal_waits_for_the_step_and_saves(number: int, raised: type[BaseException], tmp_path: Path) -> None:
    def source() -> Any:
        for k, batch in enumerate(powers(20)):
            if k == 5:
                os.kill(os.getpid(), number)
            yield batch

    with lk.use_backend("numpy"):
        lines: list[str] = []
        loop = slope_loop(source(), output_dir=tmp_path, log=lines.append)
        with pytest.raises(raised):
            loop.run(20)
        assert lines[-1] == f"Step {loop.step: 6d}: interrupted, saved in {tmp_path / 'checkpoints' / lines[-1][-13:]}"
        again = slope_loop(powers(20), output_dir=tmp_path)
        assert again.step == loop.step
        again.run(20 - again.step)
        assert trained_on(again) == list(range(20))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_second_signal_does_not_wait_and_a_program_ends_with_its_exit_code(number: int, code: int) -> None:
    with Interrupts() as interrupts:
        os.kill(os.getpid(), number)
        assert interrupts.requested is not None
        with pytest.raises(Terminated) as caught:
            os.kill(os.getpid(), number)
    assert caught.value.code == code
    assert signal.getsignal(number) is signal.SIG_DFL


def test_a_program_that_outlives_its_terminal_is_not_ended_with_it() -> None:
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what nohup does
    try:
        with Interrupts() as interrupts:
            os.kill(os.getpid(), signal.SIGHUP)
        assert interrupts.requested is None
    finally:
        signal.signal(signal.SIGHUP, previous)


def test_handlers_of_ones_own_stay() -> None:
    seen: list[int] = []
    previous = signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
    try:
        with Interrupts() as interrupts:
            os.kill(os.getpid(), signal.SIGTERM)
        assert (seen, interrupts.requested) == ([signal.SIGTERM], None)
    finally:
        signal.signal(signal.SIGTERM, previous)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code", "backend"), [(signal.SIGINT, 130, "numpy"), (signal.SIGTERM, 143, "jax")])
def test_a_training_on_the_command_line_saves_within_seconds_and_goes_on(
    number: int, code: int, backend: str, tmp_path: Path
) -> None:
    pytest.importorskip("nltk", reason="texts are split by NLTK")
    command = [sys.executable, "-m", "layerkit", "train", "sentiment", "--corpus", "starter", "--backend", backend]
    command += ["--output", str(tmp_path / "run"), "--checkpoint-every", "50", "--embedding-dim", "16"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen([*command, "--steps", "1000000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, env=environment)  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("Step    100: eval"):
            break
    sent = time.time()
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, err
    (step,) = re.findall(r"^Step +(\d+): interrupted, saved in ", out, re.MULTILINE)
    saved = tmp_path / "run" / "checkpoints" / f"step-{int(step):08d}" / "manifest.json"
    assert saved.stat().st_mtime - sent < LONG
    again = subprocess.run([*command, "--steps", str(int(step) + 1)], capture_output=True, text=True, env=environment)
    assert again.returncode == 0, again.stderr
    assert f"continuing from step {int(step):,}\n" in again.stdout
