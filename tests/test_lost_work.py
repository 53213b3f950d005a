"""Work that was done stays done: interrupts at bad moments, others in the same folder, disks of other kinds."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import stat
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as onp
import pytest
from at_line import every_line
from disk_faults import failing, killing
from training_setups import Descent, Slope, full_loop, powers, same, slope_loop, total, trained_on

import layerkit as lk
from layerkit import data, optimizers
from layerkit import layers as tl
from layerkit.data import ArrayBatches
from layerkit.data.prefetch import Ahead
from layerkit.engine import calls, frames
from layerkit.engine.frames import current_frame
from layerkit.errors import LayerkitWarning
from layerkit.files import disk, lock
from layerkit.files.lock import locked
from layerkit.training import checkpoint
from layerkit.training.background import Background
from layerkit.training.feed import Feed
from layerkit.training.interrupt import Terminated
from layerkit.training.measuring import Measuring
from layerkit.training.steps import Steps


def kept(folder: Path) -> list[int]:
    return checkpoint.steps(folder / "checkpoints")


def fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of threads that other tests have left running
        return os.fork()


# -- broken off inside a step ----------------------------------------------------------------------------------------


def two_slopes(folder: Path | None, log: Any = None) -> lk.Loop:
    model = tl.Serial(Slope(), Slope())
    model.weights = (onp.ones((), onp.float32), onp.ones((), onp.float32))
    data = [(onp.ones(1, onp.float32), onp.zeros(1, onp.float32))]
    task = lk.TrainTask(data, total(), optimizers.Adam(0.1))
    return lk.Loop(model, task, output_dir=folder, log=log, learning_curve=False)


def test_an_update_that_is_broken_off_is_never_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with lk.use_backend("numpy"):
        undisturbed = two_slopes(None)
        undisturbed.run(5)
        lines: list[str] = []
        loop = two_slopes(tmp_path, log=lines.append)
        optimizer = loop.tasks[0].optimizer
        real = optimizer.overwrite_all

        def halted(step: Any, *rest: Any) -> Any:
            for place, new in enumerate(real(step, *rest)):
                yield new
                if step == 2 and place == 0:
                    raise KeyboardInterrupt

        monkeypatch.setattr(optimizer, "overwrite_all", halted)
        with pytest.raises(KeyboardInterrupt):
            loop.run(5)
        assert kept(tmp_path) == [1]
        assert lines[-1] == "Step      2: interrupted, the last checkpoint stays"
        for attempt in (loop.run, loop.save_checkpoint, loop.run_evals, lambda: loop.model):
            with pytest.raises(
                lk.LayerkitError, match=r"step 3 was broken off half-way.*load_checkpoint\(\) goes back"
            ):
                attempt()
        monkeypatch.undo()
        loop.load_checkpoint()
        loop.run(4)
        assert same(loop.model.weights, undisturbed.model.weights)


def test_an_interrupt_before_the_update_loses_neither_the_step_before_nor_the_batch(
    backend: str, tmp_path: Path
) -> None:
    """A program with a handler of its own has its KeyboardInterrupt anywhere: here where a step begins."""
    loop = slope_loop(powers(20), output_dir=tmp_path)
    real, calls = loop._steps._programs[0], []

    def program(*args: Any) -> Any:
        calls.append(len(calls))
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*args)

    loop._steps._programs[0] = program
    with pytest.raises(KeyboardInterrupt):
        loop.run(8)
    assert kept(tmp_path)[-1] == loop.step == 3
    again = slope_loop(powers(20), output_dir=tmp_path)
    for other in (again, loop):
        other.run(3)
        assert trained_on(other) == list(range(6))


@pytest.mark.parametrize("in_process", [True, False])
@pytest.mark.parametrize("place", [(Ahead, "__next__"), (Feed, "take"), (Steps, "_call"), (Measuring, "_measure")])
def test_an_interrupt_right_after_a_batch_was_taken_or_used_neither_skips_nor_repeats_one(
    place: tuple[type, str], in_process: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with lk.use_backend("numpy"):
        undisturbed, loop = measured_loop(tmp_path / "one"), measured_loop(tmp_path / "other")
        undisturbed.run(10)
        real, calls = getattr(*place), []

        def interrupted(*args: Any) -> Any:
            result = real(*args)
            calls.append(place)
            if len(calls) == 3:
                raise KeyboardInterrupt
            return result

        monkeypatch.setattr(*place, interrupted)
        with pytest.raises(KeyboardInterrupt):
            loop.run(10)
        monkeypatch.undo()
        if not in_process:
            loop = measured_loop(tmp_path / "other")
        loop.run(10 - loop.step)
        assert loop.history.to_dict() == undisturbed.history.to_dict()
        assert same(loop.model.weights, undisturbed.model.weights)


def test_an_interrupt_right_after_a_call_began_leaves_no_call_open(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted:
        get = current_frame.get

        def set(self, frame: Any) -> None:
            current_frame.set(frame)
            if frame is not None:
                raise KeyboardInterrupt

    model = tl.Serial(tl.Dense(2))
    model.init(lk.f32(3, 4))
    for module, call in ((calls, lambda: model(onp.ones((3, 4)))), (frames, lambda: model.init(lk.f32(3, 4)))):
        monkeypatch.setattr(module, "current_frame", Interrupted())
        with pytest.raises(KeyboardInterrupt):
            call()
        monkeypatch.undo()
        assert current_frame.get() is None


def test_an_error_of_the_background_takes_no_batch_away(tmp_path: Path) -> None:
    with lk.use_backend("numpy"):
        at = lambda step: step == 2 or (step == 3 and time.sleep(0.3))
        loop = slope_loop(powers(20), output_dir=tmp_path, checkpoint_at=at, save_in_background=True)
        (tmp_path / "checkpoints").write_text("in the way")
        with pytest.raises(lk.LayerkitError, match="step-00000002 cannot be written"):
            loop.run(8)
        (tmp_path / "checkpoints").unlink()
        loop.run(8 - loop.step)
        assert trained_on(loop) == list(range(8))


@pytest.mark.parametrize("stages", [(), (data.Prefetch(),)])
@pytest.mark.parametrize("interrupted", [False, True])
def test_data_that_raise_once_skip_and_repeat_nothing(interrupted: bool, stages: Any, on_numpy: None) -> None:
    """A read that failed, in the middle of a batch: what it had of the batch already is read again."""
    calls, raised = list[Any](), threading.Event()

    def read(example: Any) -> Any:
        calls.append(example)
        if len(calls) == 11:
            raised.set()
            raise ConnectionError("no answer")
        return example

    def log(text: str) -> None:
        if interrupted and not lines:
            lines.append(text)
            raised.wait(5)
            raise KeyboardInterrupt

    lines = list[str]()
    examples = data.Examples([(onp.float32(2.0**k), onp.float32(0)) for k in range(24)], shuffle=False)
    loop = slope_loop(data.Serial(data.Map(read), data.Batch(3), *stages)(examples), log=log)
    ends: list[type[BaseException]] = []
    while loop.step < 8 and len(ends) < 3:
        try:
            loop.run(8 - loop.step)
        except (KeyboardInterrupt, ConnectionError) as error:
            ends.append(type(error))
    # Where an interrupt came first, it depends on the threads whether the error is told after it.
    assert ends[:1] == [KeyboardInterrupt if interrupted else ConnectionError]
    assert ends[1:] in ([], [ConnectionError]) if interrupted else not ends[1:]
    assert trained_on(loop) == list(range(24))


def test_where_there_are_no_more_threads_the_work_is_done_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more(thread: Any) -> None:
        raise RuntimeError("can't start new thread")

    background, done = Background(), list[str]()
    monkeypatch.setattr(threading.Thread, "start", no_more)
    background.start(lambda: done.append("written"))
    background.wait()
    assert done == ["written"]


@pytest.mark.parametrize("begun", [False, True])
def test_a_job_whose_thread_an_interrupt_kept_from_starting_is_done_by_whoever_waits_for_it(
    begun: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = threading.Thread.start

    def interrupted(thread: Any) -> None:
        if begun:
            real(thread)
        raise KeyboardInterrupt

    background, done = Background(), list[str]()
    background.start(lambda: (time.sleep(0.05), done.append("first")))
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        background.start(lambda: done.append("second"))
    monkeypatch.undo()
    background.start(lambda: done.append("third"))
    background.wait()
    assert done == ["first", "second", "third"]


# -- broken off inside an evaluation ---------------------------------------------------------------------------------


@pytest.fixture
def numpy() -> Iterator[None]:
    with lk.use_backend("numpy"):
        yield


def measured_loop(folder: Path, log: Any = None) -> lk.Loop:
    """Two tasks, a summary, and two metrics on batches whose position is saved."""
    model = tl.Serial(tl.Dense(1), tl.SummaryScalar("mean output"))
    rows = onp.arange(24, dtype=onp.float32).reshape(12, 2)
    data = lambda seed: ArrayBatches(rows, rows[:, :1], 3, seed=seed)
    loss = lk.Fn("Squares", lambda y, target, weights: ((y - target) ** 2).mean())
    tasks = [lk.TrainTask(data(k), loss, optimizers.Adam(0.1), n_steps_per_checkpoint=4) for k in (1, 2)]
    evaluation = lk.EvalTask(data(3), [loss, loss], ["one", "other"])
    return lk.Loop(model, tasks, eval_tasks=evaluation, output_dir=folder, log=log, learning_curve=False)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
@pytest.mark.parametrize("in_process", [True, False])
@pytest.mark.parametrize("line", range(5))
def test_a_log_that_raises_changes_no_history_and_no_evaluation_after_it(
    line: int, in_process: bool, error: type[BaseException], numpy: None, tmp_path: Path
) -> None:
    undisturbed = measured_loop(tmp_path / "one")
    undisturbed.run(10)
    lines: list[str] = []

    def log(text: str) -> None:
        lines.append(text)
        if len(lines) == 5 + line:
            raise error

    loop = measured_loop(tmp_path / "other", log)
    with pytest.raises(error):
        loop.run(10)
    assert loop.step == 4
    if not in_process:
        loop = measured_loop(tmp_path / "other")
        assert loop.step == (4 if error is KeyboardInterrupt else 1)
    loop.run(10 - loop.step)
    assert loop.history.to_dict() == undisturbed.history.to_dict()
    assert same(loop.model.weights, undisturbed.model.weights)


class HaltedOnce:
    """Batches whose second cannot be had at the first attempt: Ctrl-C comes while it is waited for."""

    def __init__(self) -> None:
        rows = onp.arange(6, dtype=onp.float32)
        self._batches, self._halted = ArrayBatches(rows, rows, 2, shuffle=False), False
        self.seek = self._batches.seek

    @property
    def position(self) -> Any:
        return self._batches.position

    def __next__(self) -> Any:
        if self.position["batch"] == 1 and not self._halted:
            self._halted = True
            raise KeyboardInterrupt
        return next(self._batches)


@pytest.mark.parametrize("in_process", [True, False])
def test_an_evaluation_after_the_last_step_that_was_interrupted_is_made_when_the_run_goes_on(
    in_process: bool, numpy: None, tmp_path: Path
) -> None:
    def loop_of(folder: Path, measured: Any) -> lk.Loop:
        task = lk.TrainTask(powers(20), total(), Descent(1.0), n_steps_per_checkpoint=4)
        metric = lk.Fn("Mean", lambda y, target, weights: y.mean())
        return lk.Loop(
            Slope(), task, eval_tasks=lk.EvalTask(measured, [metric]), output_dir=folder, log=None, learning_curve=False
        )

    rows = onp.arange(6, dtype=onp.float32)
    batches = lambda: ArrayBatches(rows, rows, 2, shuffle=False)
    undisturbed = loop_of(tmp_path / "one", batches())
    undisturbed.run(4)
    loop = loop_of(tmp_path / "other", HaltedOnce())
    with pytest.raises(KeyboardInterrupt):
        loop.run(4)
    if not in_process:
        loop = loop_of(tmp_path / "other", batches())
    assert (loop.step, loop.history.to_dict() == undisturbed.history.to_dict()) == (4, False)
    loop.run(4 - loop.step)
    assert loop.history.to_dict() == undisturbed.history.to_dict()
    states = [checkpoint.read(tmp_path / name / "checkpoints" / "step-00000004")[0] for name in ("one", "other")]
    assert states[0] == states[1]


# -- interrupted while something is written --------------------------------------------------------------------------


def interrupt_soon(seconds: float = 0.1) -> None:
    threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT)).start()


def test_whoever_is_interrupted_while_it_waits_can_wait_again() -> None:
    """Python 3.11 takes a thread for ended once a ``join`` was interrupted."""
    background, done, may_end = Background(), list[str](), threading.Event()
    background.start(lambda: (may_end.wait(5), done.append("written")))
    interrupt_soon()
    with pytest.raises(KeyboardInterrupt):
        background.wait()
    background.check()
    assert done == []
    may_end.set()
    background.wait()
    assert done == ["written"]


def test_an_interrupt_after_the_last_step_leaves_the_folder_locked_until_all_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_end, real = threading.Event(), disk.sync
    monkeypatch.setattr(disk, "sync", lambda folder: (may_end.wait(5), real(folder)))
    with lk.use_backend("numpy"):
        loop = slope_loop(
            powers(20), output_dir=tmp_path, checkpoint_at=lambda step: step == 3, save_in_background=True
        )
        interrupt_soon(0.1)
        interrupt_soon(0.2)  # the first waits
        with pytest.raises(KeyboardInterrupt):
            loop.run(3)
        assert not may_end.is_set()
        assert (tmp_path / ".lock").exists()
        may_end.set()
        loop._output._saver._background.wait()
        assert not (tmp_path / ".lock").exists()
        assert slope_loop(powers(20), output_dir=tmp_path).step == loop.step == 3


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)])
def test_a_signal_after_the_last_step_waits_until_its_checkpoint_is_written(
    number: int, raised: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = disk.sync

    def slow(folder: Path) -> None:
        os.kill(os.getpid(), number)
        time.sleep(0.2)
        monkeypatch.undo()
        real(folder)

    monkeypatch.setattr(disk, "sync", slow)
    with lk.use_backend("numpy"):
        loop = slope_loop(
            powers(20), output_dir=tmp_path, checkpoint_at=lambda step: step == 3, save_in_background=True
        )
        with pytest.raises(raised):
            loop.run(3)
    assert (loop.step, whole(tmp_path), os.listdir(tmp_path)) == (3, [3], ["checkpoints"])


def test_an_interrupted_run_is_saved_though_the_checkpoint_before_it_was_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def source() -> Any:
        yield from powers(6)
        raise KeyboardInterrupt

    def slow(*args: Any) -> None:
        time.sleep(0.3)
        monkeypatch.undo()
        raise lk.LayerkitError("the first cannot be written")

    monkeypatch.setattr(checkpoint, "write", slow)
    at = lambda step: step == 5
    with lk.use_backend("numpy"):
        loop = slope_loop(source(), output_dir=tmp_path, checkpoint_at=at, save_in_background=True)
        with pytest.raises(KeyboardInterrupt), pytest.warns(LayerkitWarning, match=r"the first .*; step-00000006 was"):
            loop.run(9)
    assert kept(tmp_path) == [6]


# -- going back ------------------------------------------------------------------------------------------------------


def gone_back(folder: Path, other: Path) -> lk.Loop:
    """A loop whose folder has checkpoints 5 and 6, gone back to a checkpoint of step 2 elsewhere, one step on."""
    at = lambda *steps: {"checkpoint_at": lambda step: step in steps}
    slope_loop(powers(20), output_dir=other, **at(2)).run(2)
    slope_loop(powers(20), output_dir=folder, **at(5, 6)).run(6)
    loop = slope_loop(list(powers(20)), output_dir=folder, **at(0))
    loop.load_checkpoint(other)
    loop.run(1)
    return loop


def whole(folder: Path) -> list[int]:
    """The steps a folder has checkpoints of, each of them sound."""
    checkpoint.recover(folder / "checkpoints")
    for step in kept(folder):
        checkpoint.read(folder / "checkpoints" / checkpoint.folder_name(step))
    assert sorted(os.listdir(folder / "checkpoints")) == list(map(checkpoint.folder_name, kept(folder)))
    return kept(folder)


def some(value: float) -> dict[str, dict[str, Any]]:
    return {kind: {"a": onp.full(3, value, onp.float32)} for kind in ("weights", "slots", "state")}


def about(step: int) -> dict[str, Any]:
    return {"step": step, "identity": {}, "history": {}, "data": {}, "random_seed": 0, "evaluated": 0, "rngs": 0}


def replace_later(parent: Path) -> None:
    """Writes step 3 in the place of 3, 5 and 6."""
    checkpoint.write(parent / checkpoint.folder_name(3), some(1), about(3), [5, 6])


def moves(made: list[tuple[str, str]]) -> list[int]:
    """The numbers of the operations from the first that moves something on."""
    return list(range(1 + next(i for i, (name, _) in enumerate(made) if name == "rename"), len(made) + 1))


@pytest.fixture
def three(tmp_path: Path) -> Callable[[], Path]:
    """Makes folders with checkpoints of the steps 3, 5 and 6."""
    for step in (3, 5, 6):
        checkpoint.write(tmp_path / "three" / "checkpoints" / checkpoint.folder_name(step), some(0), about(step))

    def make() -> Path:
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        shutil.copytree(tmp_path / "three", tmp_path / "run")
        return tmp_path / "run"

    return make


def value(folder: Path) -> tuple[list[int], float]:
    """Which checkpoints there are, all of them sound, and what that of step 3 holds."""
    return whole(folder), float(checkpoint.read(folder / "checkpoints" / checkpoint.folder_name(3))[1]["state"]["a"][0])


def test_a_save_that_fails_leaves_what_it_would_have_replaced(three: Callable[[], Path]) -> None:
    folder = three()
    with failing(0, 0) as made:
        replace_later(folder / "checkpoints")
    assert value(folder) == ([3], 1)
    numbers = moves(made)
    assert len(numbers) > 15
    for number in numbers:
        folder, told = three(), False
        with failing(number, errno.ENOSPC):
            try:
                replace_later(folder / "checkpoints")
            except lk.LayerkitError:
                told = True
        assert value(folder) in [([3, 5, 6], 0), ([3], 1)][not told :]


@pytest.mark.parametrize("number", range(4))
def test_a_save_that_is_interrupted_after_something_was_renamed_leaves_the_old_run_or_the_new_one(
    number: int, three: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, real, names = three(), os.rename, list[str]()

    def renamed(source: Path, target: Path) -> None:
        real(source, target)
        names.append(target.name)
        if len(names) == number + 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "rename", renamed)
    with pytest.raises(KeyboardInterrupt):
        replace_later(folder / "checkpoints")
    assert value(folder) == (([3], 1) if names[number] == "step-00000003" else ([3, 5, 6], 0))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
def test_a_save_that_is_killed_and_again_while_it_is_recovered_leaves_the_old_run_or_the_new_one(
    three: Callable[[], Path],
) -> None:
    def killed(number: int, work: Callable[[Path], None], parent: Path) -> bool:
        child = fork()
        if not child:
            with killing(number):
                work(parent)
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0

    with failing(0, 0) as made:
        replace_later(three() / "checkpoints")
    twice = 0
    for number in moves(made):
        for again in (1, 2, 3, 4, 6):
            folder = three()
            killed(number, replace_later, folder / "checkpoints")
            twice += killed(again, checkpoint.recover, folder / "checkpoints")
            assert value(folder) in (([3, 5, 6], 0), ([3], 1))
    assert twice > 50


def test_a_loop_that_went_back_and_cannot_save_has_its_later_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with lk.use_backend("numpy"):
        loop = gone_back(tmp_path / "run", tmp_path / "other")
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(lk.LayerkitError, match="cannot be written: no space left on device"):
            loop.save_checkpoint()
        monkeypatch.undo()
        assert whole(tmp_path / "run") == [5, 6]
        loop.save_checkpoint()
        assert whole(tmp_path / "run") == [3]


# -- others in the same folder ---------------------------------------------------------------------------------------


def test_a_loop_does_not_remove_what_another_one_wrote_meanwhile(backend: str, tmp_path: Path) -> None:
    first, second = (slope_loop(list(powers(20)), output_dir=tmp_path) for _ in range(2))
    second.run(4)
    second.save_checkpoint()
    for attempt in (lambda: first.run(2), first.save_checkpoint):
        with pytest.raises(
            lk.LayerkitError,
            match=r"step-00000004 was written since .* at step 0: load_checkpoint\(\) goes on from there",
        ):
            attempt()
    first.load_checkpoint()
    first.run(2)
    first.save_checkpoint()
    assert trained_on(first) == list(range(6))
    assert kept(tmp_path)[-2:] == [4, 6]


def test_two_loops_of_one_process_do_not_train_into_one_folder_at_once(backend: str, tmp_path: Path) -> None:
    told: list[str] = []

    def log(text: str) -> None:
        for attempt in (
            lambda: other.run(1),
            other.save_checkpoint,
            lambda: slope_loop(powers(20), output_dir=tmp_path),
        ):
            with pytest.raises(lk.LayerkitError, match="is in use by another Loop of this process: wait until"):
                attempt()
            told.append(text)

    loop, other = (
        slope_loop(powers(20), output_dir=tmp_path, log=log),
        slope_loop(list(powers(20)), output_dir=tmp_path),
    )
    loop.run(3)
    assert len(told) == 3
    other.load_checkpoint()
    other.run(2)
    assert trained_on(other) == [0, 1, 2]


def test_a_fork_that_ends_leaves_its_parents_lock(tmp_path: Path) -> None:
    with locked(tmp_path):
        child = fork()
        if child:
            assert os.waitpid(child, 0)[1] == 0
            assert (tmp_path / ".lock").exists()
    if not child:
        os._exit(0)
    assert not (tmp_path / ".lock").exists()


def test_an_interrupt_right_after_a_lock_was_taken_leaves_the_folder_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = lock._enter

    def interrupted(*args: Any) -> None:
        real(*args)
        raise KeyboardInterrupt

    monkeypatch.setattr(lock, "_enter", interrupted)
    with pytest.raises(KeyboardInterrupt), locked(tmp_path, object()):
        pass
    assert os.listdir(tmp_path) == []
    monkeypatch.undo()
    with locked(tmp_path, object()):
        pass


def test_an_interrupt_where_a_lock_is_let_go_leaves_the_folder_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, interrupts = lock._leave, [KeyboardInterrupt]

    def interrupted(*args: Any) -> None:
        if interrupts:
            raise interrupts.pop()
        real(*args)

    monkeypatch.setattr(lock, "_leave", interrupted)
    with pytest.raises(KeyboardInterrupt), locked(tmp_path, object()):
        pass
    assert os.listdir(tmp_path) == []
    with locked(tmp_path, object()):
        pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
def test_an_interrupt_at_any_line_of_a_lock_leaves_the_folder_free(tmp_path: Path) -> None:
    def in_and_out() -> None:
        with locked(tmp_path, object()):
            pass

    for where in every_line({lock.__file__}, in_and_out):
        child = fork()
        if not child:
            with suppress(BaseException):
                in_and_out()
                os._exit(0)
            os._exit(1)
        assert os.waitpid(child, 0)[1] == 0, where
        in_and_out()
        assert os.listdir(tmp_path) == [], where


def test_a_folder_that_was_moved_takes_no_lock_of_the_one_in_its_place_away(tmp_path: Path) -> None:
    place = tmp_path / "run"
    place.mkdir()
    with locked(place):
        place.rename(tmp_path / "elsewhere")
        place.mkdir()
        (place / ".lock").write_text("another's")
    assert (place / ".lock").read_text() == "another's"


def test_a_lock_needs_no_room_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with locked(tmp_path):
        assert (tmp_path / ".lock").exists()


@pytest.mark.parametrize(
    "make",
    [
        os.mkfifo,
        os.mkdir,
        lambda path: path.hardlink_to(path.with_name("precious")),
        lambda path: path.symlink_to(path.with_name("precious")),
    ],
)
def test_a_lock_is_a_file_of_its_own(make: Any, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("kept")
    make(tmp_path / ".lock")
    with pytest.raises(lk.LayerkitError, match=r"cannot be locked: its \.lock is .*: remove it"), locked(tmp_path):
        pass
    assert (tmp_path / "precious").read_text() == "kept"


def test_a_full_disk_is_told_in_a_sentence_and_no_step_is_lost_wherever_a_resumed_run_meets_it(tmp_path: Path) -> None:
    with lk.use_backend("numpy"):
        undisturbed = full_loop(tmp_path / "one")
        undisturbed.run(5)
        shutil.copytree(tmp_path / "one", tmp_path / "begun")
        undisturbed.run(6)
        for number in range(1, 99):
            folder, loop = Path(shutil.copytree(tmp_path / "begun", tmp_path / f"run {number}")), None
            with suppress(lk.LayerkitError), failing(number, errno.ENOSPC) as made, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a checkpoint that cannot be listed is passed over
                loop = full_loop(folder)
                loop.run(6)
            loop = loop if loop and number % 2 else full_loop(folder)
            loop.run(11 - loop.step)
            assert same(loop.model.weights, undisturbed.model.weights)
            assert loop.history.to_dict() == undisturbed.history.to_dict()
            if len(made) < number:
                break
    assert 50 < number < 98


# -- disks of other kinds --------------------------------------------------------------------------------------------


def test_a_disk_that_flushes_no_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def fsync(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    with lk.use_backend("numpy"):
        slope_loop(powers(20), output_dir=tmp_path).run(1)
    assert kept(tmp_path) == [1]


@pytest.mark.parametrize(
    ("path", "kind", "why"),
    [
        ("a\0b", lk.UsageError, r"is the path of a folder, got 'a\\x00b': .*embedded null (byte|character)"),
        ("x" * 300, lk.LayerkitError, r"'x+' cannot be looked at: file name too long"),
        ("~nobody-of-that-name/x", lk.UsageError, r"is the path of a folder, got '~nobody.*could not determine home"),
        ("", lk.UsageError, r"is the path of a folder, got '': it is empty"),
        (5, lk.UsageError, r"is the path of a folder, got 5: expected str"),
    ],
)
def test_a_folder_that_cannot_be_named(path: Any, kind: type[Exception], why: str) -> None:
    with lk.use_backend("numpy"):
        attempts = {
            "output_dir": lambda: full_loop(path),
            "directory": lambda: slope_loop(powers(20)).load_checkpoint(path),
        }
        for name, attempt in attempts.items():
            with pytest.raises(kind, match=f"^{name} {why}"):
                attempt()


def test_a_run_that_cannot_be_named() -> None:
    with pytest.raises(lk.UsageError, match=r"output is the path of a folder, got 'a\\x00b'"):
        lk.train("sentiment", output="a\0b", overwrite=True, backend="numpy")


def test_another_optimizer_is_named_as_such(tmp_path: Path) -> None:
    with lk.use_backend("numpy"):
        slope_loop(powers(20), output_dir=tmp_path).run(1)
        with pytest.raises(lk.LayerkitError, match=r"this run's optimizer \(Descent, not Adam\)"):
            lk.Loop(Slope(), lk.TrainTask(powers(20), total(), optimizers.Adam(0.1)), output_dir=tmp_path, log=None)


def test_a_load_whose_data_cannot_go_there_moves_no_data(tmp_path: Path) -> None:
    with lk.use_backend("numpy"):
        measured_loop(tmp_path).run(4)
        loop = measured_loop(tmp_path / "other")
        loop.run(3)
        before = [source.position for source in loop._sources]
        loop._sources[2].labeled_data.seek = lambda position: (_ for _ in ()).throw(lk.LayerkitError("no"))
        with pytest.raises(lk.LayerkitError, match="no"):
            loop.load_checkpoint(tmp_path)
        assert [source.position for source in loop._sources] == before


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EACCES])
def test_a_checkpoint_is_not_passed_over_because_the_system_does_not_open_it(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def open_(path: Any, *args: Any) -> int:
        if "step-00000003" in str(path):
            raise OSError(code, os.strerror(code))
        return real(path, *args)

    with lk.use_backend("numpy"):
        slope_loop(powers(20), output_dir=tmp_path, checkpoint_at=lambda step: True).run(3)
        monkeypatch.setattr(os, "open", open_)
        with pytest.raises(lk.LayerkitError, match=rf"manifest\.json cannot be read: {os.strerror(code).lower()}"):
            slope_loop(powers(20), output_dir=tmp_path)
        monkeypatch.undo()
        assert slope_loop(powers(20), output_dir=tmp_path).step == 3


@pytest.mark.parametrize("operation", ["listdir", "rmdir"])
def test_a_folder_that_cannot_be_cleared_or_read(
    operation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise OSError(errno.EIO, "Input/output error")

    with lk.use_backend("numpy"):
        slope_loop(powers(20), output_dir=tmp_path).run(1)
        if operation == "rmdir":
            (tmp_path / "checkpoints" / ".step-00000001.draft").mkdir()
        monkeypatch.setattr(os, operation, broken)
        with pytest.raises(lk.LayerkitError, match="input/output error"):
            slope_loop(powers(20), output_dir=tmp_path)
        loose = slope_loop(powers(20))
        with pytest.raises(lk.LayerkitError, match="input/output error") if operation == "listdir" else nullcontext():
            loose.load_checkpoint(tmp_path / "checkpoints" / "step-00000001")


def test_drafts_that_a_killed_process_left_beside_the_checkpoints_go(tmp_path: Path) -> None:
    (tmp_path / ".learning_curve.png.4711.draft").touch()
    with lk.use_backend("numpy"):
        slope_loop(powers(20), output_dir=tmp_path)
    assert os.listdir(tmp_path) == []
