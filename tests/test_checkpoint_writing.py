"""Writing checkpoints: whole or not at all, whatever fails, here or in the background."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
import warnings
from pathlib import Path
from threading import Event
from typing import Any

import numpy as onp
import pytest
from disk_faults import ERRORS, failing, killing
from training_setups import (
    full_loop,
    powers,
    same,
    slope_loop,
    threads,
)

import layerkit as lk
from layerkit.fastmath import numpy as np
from layerkit.files.image import Image
from layerkit.training import checkpoint
from layerkit.training.background import Background

# -- writing ---------------------------------------------------------------------------------------------------------


def test_a_folder_that_is_a_file_or_cannot_be_made(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    with lk.use_backend("numpy"):
        with pytest.raises(lk.UsageError, match=r"output_dir .*file is a file: name a folder"):
            full_loop(file)
        with pytest.raises(lk.LayerkitError, match=r"output_dir .*inside cannot be written to: not a directory"):
            full_loop(file / "inside")
        with pytest.raises(lk.LayerkitError, match=r"output_dir /proc/layerkit cannot be written to"):
            full_loop(Path("/proc/layerkit"))
    assert file.read_text() == "x"


def test_the_home_folder_is_understood(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with lk.use_backend("numpy"):
        loop = full_loop("~/model/")  # type: ignore[arg-type]
        assert loop.output_dir == tmp_path / "model"


def test_a_checkpoint_that_cannot_be_written_stops_the_run_and_the_last_one_stays(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = full_loop(tmp_path)
    loop.run(4)
    shutil.rmtree(tmp_path / "checkpoints")
    (tmp_path / "checkpoints").write_text("in the way")
    with pytest.raises(lk.LayerkitError, match=r"the checkpoint .*step-00000005 cannot be written"):
        loop.run(10)
    assert loop.step == 5
    (tmp_path / "checkpoints").unlink()
    loop.run(1)
    assert loop.step == 6


def test_numbers_that_json_does_not_know(tmp_path: Path) -> None:
    with lk.use_backend("numpy"):
        bad = lk.Fn("Bad", lambda y, t: np.log(np.sum(y) * 0 - 1))

        def loop() -> lk.Loop:
            measured = lk.EvalTask(list(powers(1)), [bad])
            return slope_loop(powers(4), eval_tasks=measured, output_dir=tmp_path)

        loop().run(1)
        text = (tmp_path / "checkpoints" / "step-00000001" / "manifest.json").read_text()
        json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
        assert onp.isnan(loop().history.get("eval", "Bad")[0][1])


def some(value: float) -> dict[str, Any]:
    """Arrays, some of them as an image."""
    arrays = {"a": onp.full(3, value)}
    image = Image(arrays)
    image.fill(arrays)
    return {"weights": arrays, "slots": image, "state": arrays}


ABOUT = {"step": 1, "identity": {}, "history": {}, "data": {}, "random_seed": 0, "evaluated": 0, "rngs": 0}


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("code", ERRORS, ids=errno.errorcode.get)
def test_whatever_operation_fails_the_old_state_or_the_new_one_is_there(again: bool, code: int, tmp_path: Path) -> None:
    for number in range(1, 100):
        parent = tmp_path / str(number)
        old, new = parent / "step-00000001", parent / ("step-00000001" if again else "step-00000002")
        checkpoint.write(old, some(1.0), ABOUT)
        said = ""
        with failing(number, code) as made:
            try:
                checkpoint.write(new, some(2.0), {**ABOUT, "step": int(new.name[5:])})
            except lk.LayerkitError as error:
                said = str(error)
        assert said in ("", f"the checkpoint {new} cannot be written: {os.strerror(code).lower()}") or (
            made[number - 1] == ("listdir", str(number)) and said.startswith(f"{parent} cannot be read: ")
        )
        checkpoint.recover(parent)
        newest = checkpoint.newest(parent)
        assert newest is not None
        _, found = checkpoint.read(newest)
        assert {float(array["a"][0]) for array in found.values()} in ({1.0}, {2.0})
        assert [path.name for path in parent.iterdir() if path.name.startswith(".")] == []
        if len(made) < number:
            break
    assert 20 < number < 99


def test_a_save_that_is_killed_at_any_operation_leaves_the_old_state_or_the_new_one(tmp_path: Path) -> None:
    """In forks of this process, and below the Loop: the long version kills whole runs."""
    for number in range(1, 100):
        parent = tmp_path / str(number)
        checkpoint.write(parent / "step-00000001", some(1.0), ABOUT)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of threads that other tests have left running
            child = os.fork()
        if not child:
            with killing(number) as made:
                checkpoint.write(parent / "step-00000001", some(2.0), ABOUT)
            os._exit(len(made) < number)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        checkpoint.recover(parent)
        newest = checkpoint.newest(parent)
        assert newest is not None
        assert {float(array["a"][0]) for array in checkpoint.read(newest)[1].values()} in ({1.0}, {2.0})
        assert [path.name for path in parent.iterdir()] == ["step-00000001"]
        if ended == 1:
            break
    assert 20 < number < 99


def test_what_a_killed_process_left_is_cleared_away(tmp_path: Path) -> None:
    for step in (1, 2):
        checkpoint.write(tmp_path / f"step-0000000{step}", some(1.0), {**ABOUT, "step": step})
    (tmp_path / "step-00000002").rename(tmp_path / ".step-00000002.old")
    (tmp_path / "step-00000001").rename(tmp_path / ".step-00000001.gone")
    (tmp_path / ".step-00000003.draft").mkdir()
    (tmp_path / "not ours").touch()
    checkpoint.recover(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["not ours", "step-00000002"]


def kept(folder: Path) -> list[int]:
    return checkpoint.steps(folder / "checkpoints")


# -- in the background -----------------------------------------------------------------------------------------------


def test_what_is_written_in_the_background_is_the_state_of_that_step(backend: str, tmp_path: Path) -> None:
    for name, background in (("here", False), ("there", True)):
        options: dict[str, Any] = {"checkpoint_at": lambda step: step % 2 == 0, "keep_checkpoints": 9}
        options["eval_at"] = lambda step: step % 4 == 0
        full_loop(tmp_path / name, save_in_background=background, **options).run(9)
    for step in kept(tmp_path / "here"):
        place = f"checkpoints/{checkpoint.folder_name(step)}"
        (one, arrays), (other, others) = (checkpoint.read(tmp_path / name / place) for name in ("here", "there"))
        assert one == other
        assert same(arrays["weights"], others["weights"])
    assert threads() == []


def test_an_evaluation_that_fails_while_arrays_are_copied(backend: str, tmp_path: Path) -> None:
    fails = True

    def log(text: str) -> None:
        if fails and "eval" in text:
            raise OSError("nobody reads the log")

    every = {"checkpoint_at": lambda step: step % 2 == 0, "eval_at": lambda step: step % 2 == 0}
    undisturbed = full_loop(tmp_path / "one", **every)
    undisturbed.run(4)
    loop = full_loop(tmp_path / "other", log=log, save_in_background=True, **every)
    with pytest.raises(OSError, match="nobody reads the log"):
        loop.run(4)
    assert (loop.step, kept(tmp_path / "other"), threads()) == (2, [], [])
    fails = False
    loop.run(2)
    assert kept(tmp_path / "other") == [4]
    assert same(full_loop(tmp_path / "other").model.weights, undisturbed.model.weights)


def test_jobs_in_the_background_queue_and_none_comes_after_one_that_failed() -> None:
    def fail() -> None:
        raise OSError("the disk is gone")

    background, nobody_waited, done = Background(), Event(), list[Any]()
    background.start(lambda: done.append(nobody_waited.wait(5)))
    background.start(lambda: done.append("second"))
    nobody_waited.set()
    background.wait()
    assert done == [True, "second"]
    background.start(fail)
    background.start(lambda: done.append("third"))
    with pytest.raises(OSError, match="the disk is gone"):
        background.wait()
    background.start(lambda: done.append("fourth"))
    background.wait()
    assert done == [True, "second", "fourth"]


def test_an_error_in_the_background_is_raised_by_the_next_step(backend: str, tmp_path: Path) -> None:
    at = lambda step: step == 2 or (step == 3 and time.sleep(0.3))  # which is more than it takes to fail
    loop = full_loop(tmp_path, checkpoint_at=at, save_in_background=True)
    (tmp_path / "checkpoints").write_text("in the way")
    with pytest.raises(lk.LayerkitError, match="step-00000002 cannot be written: file exists"):
        loop.run(10)
    assert loop.step in (2, 3)
    assert threads() == []


def test_an_error_in_the_background_is_raised_at_the_end_of_the_run(backend: str, tmp_path: Path) -> None:
    loop = full_loop(tmp_path, checkpoint_at=lambda step: step == 4, save_in_background=True)
    loop.run(3)
    (tmp_path / "checkpoints").write_text("in the way")
    with pytest.raises(lk.LayerkitError, match="step-00000004 cannot be written"):
        loop.run(1)
    assert loop.step == 4
    (tmp_path / "checkpoints").unlink()
    loop.save_checkpoint()
    loop.run(1)
    assert full_loop(tmp_path).step == 4
