"""What a run says and leaves behind: history, log lines, progress bar, TensorBoard, the learning curve."""

from __future__ import annotations

import errno
import gc
import importlib.util
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from training_setups import (
    Descent,
    Slope,
    batches,
    classifier,
    eval_task,
    powers,
    slope_loop,
    threads,
    total,
    train_task,
)

import layerkit as lk
from layerkit.files import disk
from layerkit.training import History, checkpoint, picture
from layerkit.training.log import line
from layerkit.training.saving import prepare_folder

values = st.dictionaries(
    st.text(max_size=5),
    st.dictionaries(
        st.text(max_size=5),
        st.lists(st.tuples(st.integers(0, 99), st.floats(allow_nan=False)), max_size=4).map(
            lambda pairs: [list(pair) for pair in sorted(dict(pairs).items())]
        ),
    ),
)


# -- history ---------------------------------------------------------------------------------------------------------


def test_history_gives_back_what_was_put_in() -> None:
    history = History()
    history.append("eval", "Accuracy", 1, 0.5)
    history.append("train", "L2Loss", 1, 2)
    history.append("eval", "Accuracy", 10, 1.0)
    assert history.get("eval", "Accuracy") == [(1, 0.5), (10, 1.0)]
    assert history.get("eval", "L2Loss") == history.get("test", "L2Loss") == []
    assert history.modes == ["eval", "train"]
    assert history.metrics_for_mode("eval") == ["Accuracy"]
    assert history.metrics_for_mode("test") == []
    history.get("train", "L2Loss").clear()
    assert history.to_dict() == {
        "eval": {"Accuracy": [[1, 0.5], [10, 1.0]]},
        "train": {"L2Loss": [[1, 2.0]]},
    }


def test_what_is_measured_once_more_at_a_step_counts() -> None:
    history = History()
    for step, value in ((1, 0.5), (2, 0.25), (2, 0.75)):
        history.append("eval", "Accuracy", step, value)
    assert history.get("eval", "Accuracy") == [(1, 0.5), (2, 0.75)]


def test_what_training_is_made_of_says_what_it_is_in_one_line(tmp_path: Path, backend: str) -> None:
    task, evaluation = train_task(), eval_task()
    assert repr(task) == "<TrainTask: CrossEntropyLoss by Adam(learning_rate=0.01)>"
    assert repr(evaluation) == "<EvalTask: CrossEntropyLoss, Accuracy over 2 batches>"
    assert repr(eval_task(n_eval_batches=1)) == "<EvalTask: CrossEntropyLoss, Accuracy over 1 batch>"
    loop = lk.Loop(classifier(), task, eval_tasks=evaluation, log=None)
    assert (repr(loop), repr(loop.history)) == (f"<Loop: Serial at step 0 on {backend}>", "<History: empty>")
    loop.run(12)
    assert repr(loop) == f"<Loop: Serial at step 12 on {backend}>"
    number = r"\d\.\d{4} at step 10"
    said = rf"<History: train CrossEntropyLoss {number}; eval CrossEntropyLoss {number}; eval Accuracy {number}>"
    assert re.fullmatch(said, repr(loop.history))
    assert repr(slope_loop(powers(3), output_dir=tmp_path)) == f"<Loop: Slope at step 0 on {backend}, in '{tmp_path}'>"


@given(values)
def test_history_survives_a_dict_and_json(contents: dict[str, Any]) -> None:
    history = History.from_dict(json.loads(json.dumps(contents)))
    kept = {mode: {m: pairs for m, pairs in metrics.items() if pairs} for mode, metrics in contents.items()}
    assert history.to_dict() == {mode: metrics for mode, metrics in kept.items() if metrics}


def test_history_goes_forward_only() -> None:
    history = History()
    history.append("train", "L2Loss", 5, 1.0)
    with pytest.raises(lk.LayerkitError, match="history of train L2Loss: step 4 comes after step 5"):
        history.append("train", "L2Loss", 4, 1.0)


@pytest.mark.parametrize(
    "contents", [3, {"train": 3}, {"train": {"x": 3}}, {"train": {"x": [[1]]}}, {"a": {"b": [["x", 1]]}}]
)
def test_a_history_of_another_form(contents: Any) -> None:
    with pytest.raises(lk.LayerkitError, match=r"a history is {mode: {metric: \[\[step, value\], \.\.\.\]}}, got "):
        History.from_dict(contents)


# -- log lines -------------------------------------------------------------------------------------------------------


def test_lines_are_those_of_the_seed() -> None:
    assert line(1, "train", "CrossEntropyLoss", 1.12272775) == "Step      1: train CrossEntropyLoss |  1.12272775"
    assert line(10, "eval", "Accuracy", 0.75, 16) == "Step     10: eval          Accuracy |  0.75000000"
    assert line(100, "eval", "CrossEntropyLoss", 0.00595517, 16) == "Step    100: eval  CrossEntropyLoss |  0.00595517"
    assert line(1234567, "train", "Loss", -2.5) == "Step  1234567: train Loss | -2.50000000"


def test_a_run_prints_the_seed_s_lines(backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    loop = lk.Loop(classifier(), train_task(), eval_tasks=eval_task())
    loop.run(20)
    out, err = capsys.readouterr()
    number = r"\d\.\d{8}"
    expected = "".join(
        rf"Step {step: 6d}: train CrossEntropyLoss \|  {number}\n"
        rf"Step {step: 6d}: eval  CrossEntropyLoss \|  {number}\n"
        rf"Step {step: 6d}: eval          Accuracy \|  {number}\n"
        for step in (1, 10, 20)
    )
    assert re.fullmatch(expected, out)
    assert err == ""
    printed = [float(text) for text in re.findall(r"train.*\|  (.*)", out)]
    assert printed == [round(v, 8) for _, v in loop.history.get("train", "CrossEntropyLoss")]


def test_a_log_of_ones_own_and_none(capsys: pytest.CaptureFixture[str]) -> None:
    lines: list[str] = []
    with lk.use_backend("numpy"):
        slope_loop(powers(3), log=lines.append).run(1)
        slope_loop(powers(3), log=None).run(1)
    assert lines == ["Step      1: train Total |  0.00000000"]
    assert capsys.readouterr() == ("", "")


# -- progress bar ----------------------------------------------------------------------------------------------------

RUN = """
import sys
import numpy as np
import layerkit as lk
from layerkit import layers as tl, optimizers
task = lk.TrainTask([(np.ones((2, 3)), np.ones((2, 1)), np.ones((2, 1)))], tl.L2Loss(), optimizers.SGD(0.1))
with lk.use_backend("numpy"):
    lk.Loop(tl.Dense(1), task).run(50)
print("rich" in sys.modules)
"""


def test_the_bar_moves_where_standard_error_is_a_terminal() -> None:
    reader, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    done = subprocess.run(
        [sys.executable, "-c", RUN], stdout=subprocess.PIPE, stderr=terminal, env=environment, text=True, check=True
    )
    os.close(terminal)
    shown = os.read(reader, 100_000).decode()
    os.close(reader)
    assert done.stdout.splitlines()[0].startswith("Step      1: train L2Loss |")
    assert done.stdout.splitlines()[-1] == "True"
    assert "50/50" in shown


def test_no_bar_and_no_rich_elsewhere() -> None:
    done = subprocess.run([sys.executable, "-c", RUN], capture_output=True, text=True, check=True)
    assert (done.stdout.splitlines()[-1], done.stderr) == ("False", "")


# -- TensorBoard -----------------------------------------------------------------------------------------------------

tensorboard = pytest.mark.skipif(importlib.util.find_spec("tensorboardX") is None, reason="needs tensorboardX")


@tensorboard
@pytest.mark.filterwarnings("default")  # tensorboardX's own affair
def test_scalars_for_tensorboard(tmp_path: Path) -> None:
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import RecordWriter

    assert RecordWriter
    with lk.use_backend("numpy"):
        loop = lk.Loop(
            classifier(), train_task(), eval_tasks=eval_task(), output_dir=tmp_path, log=None, tensorboard=True
        )
        loop.run(10)
        loop.run(10)
    for mode in ("train", "eval"):
        found: dict[str, list[tuple[int, float]]] = {}
        for path in sorted((tmp_path / mode).iterdir()):
            data = path.read_bytes()
            while data:
                length = int.from_bytes(data[:8], "little")
                event = Event.FromString(data[12 : 12 + length])
                data = data[16 + length :]
                for value in event.summary.value:
                    found.setdefault(value.tag, []).append((event.step, value.simple_value))
        assert sorted(found) == loop.history.metrics_for_mode(mode)
        for metric, points in found.items():
            assert [step for step, _ in points] == [1, 10, 20]
            expected = [value for _, value in loop.history.get(mode, metric)]
            assert [value for _, value in points] == pytest.approx(expected)


def test_tensorboard_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from layerkit.training import scalars

    monkeypatch.setattr(scalars, "find_spec", lambda name: None)
    with lk.use_backend("numpy"), pytest.raises(lk.UsageError, match=r'pip install "layerkit\[tensorboard\]"'):
        slope_loop(powers(3), output_dir=tmp_path, tensorboard=True)


# -- learning curve --------------------------------------------------------------------------------------------------

matplotlib = pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="needs matplotlib")


@matplotlib
def test_the_learning_curve_is_drawn_at_the_end_of_a_run(tmp_path: Path) -> None:
    with lk.use_backend("numpy"):
        loop = lk.Loop(classifier(), train_task(), eval_tasks=eval_task(), output_dir=tmp_path, log=None)
        loop.run(10)
        path = tmp_path / "learning_curve.png"
        assert path.read_bytes().startswith(b"\x89PNG")
        path.unlink()
        loop.run(2)  # nothing new was measured
        assert not path.exists()
        loop.run(8)
        assert path.exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoints", "learning_curve.png"]


@matplotlib
def test_axes_are_labelled_and_training_and_evaluation_share_a_panel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from matplotlib.figure import Figure

    figures: list[Figure] = []
    real = Figure.subplots
    monkeypatch.setattr(Figure, "subplots", lambda self, *a, **k: (figures.append(self), real(self, *a, **k))[1])
    history = History()
    for step in (1, 10):
        history.append("train", "CrossEntropyLoss", step, 1 / step)
        history.append("eval", "CrossEntropyLoss", step, 2 / step)
        history.append("eval", "Accuracy", step, 0.5)
    assert picture.draw(history, tmp_path) == tmp_path / "learning_curve.png"
    panels = figures[0].axes
    assert [(p.get_xlabel(), p.get_ylabel()) for p in panels] == [("step", "CrossEntropyLoss"), ("step", "Accuracy")]
    assert [[text.get_text() for text in p.get_legend().get_texts()] for p in panels] == [["train", "eval"], ["eval"]]


def test_no_picture_of_nothing_or_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert picture.draw(History(), tmp_path) is None
    history = History()
    history.append("train", "L2Loss", 1, 1.0)
    monkeypatch.setattr(picture, "find_spec", lambda name: None)
    assert picture.draw(history, tmp_path) is None
    assert list(tmp_path.iterdir()) == []


@matplotlib
def test_a_picture_that_cannot_be_written(tmp_path: Path) -> None:
    history = History()
    history.append("train", "L2Loss", 1, 1.0)
    (tmp_path / "learning_curve.png").mkdir()
    with pytest.raises(lk.LayerkitError, match=r"learning_curve\.png cannot be written: is a directory"):
        picture.draw(history, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["learning_curve.png"]


def test_what_a_run_leaves_in_its_folder(backend: str, tmp_path: Path) -> None:
    loop = lk.Loop(classifier(), train_task(batches()), output_dir=tmp_path / "a" / "b", log=None, learning_curve=False)
    loop.run(3)
    assert loop.output_dir == tmp_path / "a" / "b"
    assert [path.name for path in loop.output_dir.iterdir()] == ["checkpoints"]
    assert [path.name for path in (loop.output_dir / "checkpoints").iterdir()] == [checkpoint.folder_name(1)]
    assert threads() == []
    assert prepare_folder(tmp_path / "a") == tmp_path / "a"


def test_losses_of_a_run_that_is_not_logged_are_counted_in_the_next(backend: str) -> None:
    task = lk.TrainTask(powers(9), total(), Descent(1.0), n_steps_per_checkpoint=4)
    loop = lk.Loop(Slope(), task, log=None)
    for _ in range(4):
        loop.run(1)
    # Slope's weight before steps 2 to 4 is -1, -3, -7; the batches are 2, 4, 8.
    assert loop.history.get("train", "Total") == [(1, 0.0), (4, (-2 - 12 - 56) / 3)]


@matplotlib
def test_a_picture_that_cannot_be_written_leaves_nothing_that_python_stumbles_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is freed in a circle, as an error and its frames are, is freed in any order: warnings are errors here."""
    history = History()
    history.append("train", "L2Loss", 1, 0.5)

    def full(*args: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(disk, "write", full)
    try:
        picture.draw(history, tmp_path)
    except lk.LayerkitError as error:
        circle: list[Any] = [error]
        circle.append(circle)
        del circle
    gc.collect()
    assert list(tmp_path.iterdir()) == []
