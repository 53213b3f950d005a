"""Saved runs of the sentiment recipe: loaded anywhere, continued as if nothing had happened, refused when damaged."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from damage import cut, flip, forge, forge_about, forge_arrays

pytest.importorskip("nltk", reason="texts are split by NLTK")

import layerkit as lk
from layerkit import fastmath
from layerkit.cli import main
from layerkit.errors import LayerkitError, LayerkitWarning, UsageError
from layerkit_plugins.sentiment.corpus import read_file
from layerkit_plugins.sentiment.run import SentimentRun

BACKENDS = ["numpy", "jax"]
SMALL: dict[str, Any] = {"corpus": "starter", "steps": 20, "embedding_dim": 8, "checkpoint_every": 8}
TEXTS = ["what a lovely morning", "", "the worst day", "zxcvb", ":)"]
LINES = [f"{word} {i},{word}\n" for i in range(20) for word in ("good", "bad")]


def train(output: Path | None, **settings: Any) -> SentimentRun:
    made: Any = lk.train("sentiment", output=output, **{**SMALL, **settings})
    return made


def written(path: Path, lines: list[str]) -> Path:
    """A data file of these lines."""
    path.write_text("text,label\n" + "".join(lines))
    return path


def load(folder: Path) -> SentimentRun:
    made: Any = lk.load(folder)
    return made


def weights(run: SentimentRun) -> list[np.ndarray[Any, Any]]:
    leaves: list[np.ndarray[Any, Any]] = fastmath.to_host(fastmath.tree_leaves(run.model.weights))
    return leaves


def log_probs(run: SentimentRun) -> np.ndarray[Any, Any]:
    return np.array([prediction.log_probs for prediction in run.predict(TEXTS)])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module", params=BACKENDS)
def saved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SentimentRun, str]:
    folder = tmp_path_factory.mktemp(request.param) / "run"
    return folder, train(folder, backend=request.param), request.param


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two runs that differ in their seed alone."""
    parent = tmp_path_factory.mktemp("two")
    for seed in (0, 1):
        train(parent / str(seed), seed=seed, backend="numpy")
    return parent / "0", parent / "1"


@pytest.fixture
def folder(two: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of a run, to be damaged."""
    return Path(shutil.copytree(two[0], tmp_path / "run"))


# ---- saved and loaded


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_saved_run_gives_the_same_scores_on_any_backend(saved: tuple[Path, SentimentRun, str], backend: str) -> None:
    folder, run, trained_on = saved
    with lk.use_backend(trained_on):
        here = log_probs(run)
    with lk.use_backend(backend):
        loaded = load(folder)
        np.testing.assert_allclose(log_probs(loaded), here, rtol=0, atol=1e-6)
        assert (loaded.labels, loaded.vocabulary) == (run.labels, run.vocabulary)
        assert loaded.metrics == run.metrics
        assert loaded.evaluate() == pytest.approx(run.metrics, abs=1e-6)
        assert loaded.predict("zxcvb").note == "no word of it is known"


def test_a_run_can_be_moved(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = log_probs(load(folder))
    monkeypatch.chdir(tmp_path)
    folder.rename("elsewhere")
    np.testing.assert_array_equal(log_probs(load(Path("elsewhere"))), before)


def test_what_a_run_holds(saved: tuple[Path, SentimentRun, str]) -> None:
    folder, run, backend = saved
    about = json.loads((folder / "run.json").read_text())
    assert (about["recipe"], about["backend"], about["complete"]) == ("sentiment", backend, True)
    assert about["metrics"] == pytest.approx(run.metrics)
    names = {path.name for path in folder.iterdir()}
    assert {"run.json", "model.safetensors", "checkpoints"} <= names <= {*names, "learning_curve.png"}
    assert not [name for name in contents(folder) if Path(name).name.startswith(".")]


def test_a_run_that_was_trained_without_a_folder_is_kept(two: tuple[Path, Path], tmp_path: Path) -> None:
    kept, output = train(None, backend="numpy"), tmp_path / "new" / "run"
    kept.save(output)
    again = load(output)
    assert contents(output).keys() == {"run.json", "model.safetensors"}
    np.testing.assert_array_equal(log_probs(again), log_probs(kept))
    assert (again.metrics, again.settings) == (kept.metrics, kept.settings)
    assert again.evaluate() == pytest.approx(kept.metrics)
    ours, trained = (lk.runs.read_run_file(folder) for folder in (output, two[0]))
    assert ours.settings == {**trained.settings, "corpus": "starter"}
    assert ours.complete


def test_a_run_is_not_kept_in_the_place_of_something_else(
    folder: Path, two: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, before = load(two[1]), contents(folder)
    with pytest.raises(UsageError, match="holds a run already: give a new or empty folder"):
        run.save(folder)
    assert contents(folder) == before
    (tmp_path / "diary").mkdir()
    (tmp_path / "diary" / "monday.txt").write_text("rain")
    with pytest.raises(UsageError, match="holds something that is no run"):
        run.save(tmp_path / "diary")
    with pytest.raises(UsageError, match="output is the path of a folder, got ''"):
        run.save("")

    def full(folder: Path) -> None:
        raise LayerkitError("the disk is full")

    monkeypatch.setattr(run, "write_files", full)
    with pytest.raises(LayerkitError, match="the disk is full"):
        run.save(tmp_path / "new" / "run")
    assert not (tmp_path / "new").exists()


def test_odd_words_and_labels_survive(tmp_path: Path) -> None:
    path = tmp_path / "odd.jsonl"
    odd = ["\ud800", "e\u0301", "\0", "😀", "naïve"]
    lines = [{"text": f"{word} {number}", "label": label} for word in odd for number, label in enumerate("é\u2028")]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="ascii")
    with pytest.raises(LayerkitError, match="no label"):  # a line separator is a space
        train(tmp_path / "run", corpus=None, data=path, backend="numpy")
    lines = [{**line, "label": f"{line['label']}x"} for line in lines]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="ascii")
    run = train(tmp_path / "run", corpus=None, data=path, backend="numpy")
    loaded = load(tmp_path / "run")
    assert "\ud800" in loaded.vocabulary
    assert (loaded.vocabulary, loaded.labels) == (run.vocabulary, run.labels)


def test_held_out_texts_that_have_changed_are_not_measured(tmp_path: Path) -> None:
    path = written(tmp_path / "mine.csv", LINES)
    run = train(tmp_path / "run", corpus=None, data=path, backend="numpy")
    assert load(tmp_path / "run").evaluate() == pytest.approx(run.metrics, abs=1e-6)
    with path.open("a") as file:
        file.write("".join(f"more {i},good\n" for i in range(20)))
    with pytest.raises(LayerkitError, match=r"mine\.csv has changed since the run in .* was trained") as caught:
        load(tmp_path / "run").evaluate()
    assert "\n" not in str(caught.value)
    assert load(tmp_path / "run").evaluate(path)["accuracy"] > 0.4
    path.unlink()
    with pytest.raises(
        LayerkitError, match=r"mine\.csv: no such file.*; the run in .* held .* evaluate on a file"
    ) as caught:
        load(tmp_path / "run").evaluate()
    assert caught.value.exit_code == 1
    with pytest.raises(UsageError, match=r"mine\.csv: no such file"):
        load(tmp_path / "run").evaluate(path)
    assert load(tmp_path / "run").predict("good 1").label


# ---- continued


def test_a_data_file_is_the_same_by_any_path_and_another_with_other_words(tmp_path: Path) -> None:
    path = written(tmp_path / "mine.csv", LINES)
    (tmp_path / "inner").mkdir()
    train(tmp_path / "run", corpus=None, data=path, backend="numpy")
    train(tmp_path / "run", corpus=None, data=tmp_path / "inner" / ".." / "mine.csv", backend="numpy")
    path.write_text(path.read_text().replace("good ", "good news "))
    with pytest.raises(LayerkitError, match=r"does not fit this run's vocabulary \(.*: it belongs to another run"):
        train(tmp_path / "run", corpus=None, data=path, backend="numpy")


class _Stops(io.StringIO):
    """Standard output at which somebody presses Ctrl-C when a step is reported."""

    def __init__(self, at: str) -> None:
        super().__init__()
        self._at = at

    def write(self, text: str) -> int:
        if self._at and text.startswith(self._at):
            self._at = ""
            raise KeyboardInterrupt
        return super().write(text)


@pytest.mark.parametrize("at", ["Step      1: eval", "Step      8: train", "Step     16: eval"])
def test_an_interrupted_run_that_is_continued_is_as_one_undisturbed(
    saved: tuple[Path, SentimentRun, str], tmp_path: Path, at: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, undisturbed, backend = saved
    with pytest.raises(KeyboardInterrupt), contextlib.redirect_stdout(_Stops(at)):
        train(tmp_path / "run", backend=backend)
    with pytest.raises(LayerkitError, match="was not finished: train it again with the same settings"):
        load(tmp_path / "run")
    run = train(tmp_path / "run", backend=backend)
    assert f"continuing from step {int(at.split()[1][:-1])}\n" in capsys.readouterr().out
    for ours, theirs in zip(weights(run), weights(undisturbed), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert run.metrics == undisturbed.metrics
    np.testing.assert_array_equal(weights(load(tmp_path / "run"))[0], weights(undisturbed)[0])


def test_a_run_that_was_killed_is_continued(two: tuple[Path, Path], tmp_path: Path) -> None:
    code = (
        "import os, sys, layerkit as lk\n"
        "class Dies:\n"
        "    def write(self, text):\n"
        "        if text.startswith('Step     16: train'): os._exit(9)\n"
        "    def flush(self): pass\n"
        "sys.stdout = Dies()\n"
        f"lk.train('sentiment', output={str(tmp_path / 'run')!r}, backend='numpy', **{SMALL!r})\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    run = train(tmp_path / "run", backend="numpy")
    for ours, theirs in zip(weights(run), weights(load(two[0])), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_more_steps_continue_and_fewer_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], two: tuple[Path, Path]
) -> None:
    again = train(folder, backend="numpy")
    assert "step 20 was reached before\n" in capsys.readouterr().out
    np.testing.assert_array_equal(weights(again)[0], weights(load(two[0]))[0])
    before = contents(folder)
    with pytest.raises(UsageError, match=r"is at step 20 already, beyond 10: ask for more steps, give another folder"):
        train(folder, steps=10, backend="numpy")
    assert contents(folder) == before
    more = train(folder, steps=30, backend="numpy")
    assert "continuing from step 20\n" in capsys.readouterr().out
    assert np.abs(weights(more)[0] - weights(again)[0]).max() > 0
    assert load(folder).settings["steps"] == 30


@pytest.mark.parametrize(
    ("settings", "fragment"),
    [({"embedding_dim": 16}, "with embedding_dim=8, not 16"), ({"seed": 5}, "with seed=0, not 5")],
)
def test_other_settings_need_another_folder(folder: Path, settings: dict[str, Any], fragment: str) -> None:
    before = contents(folder)
    with pytest.raises(UsageError, match=fragment):
        train(folder, **settings, backend="numpy")
    assert contents(folder) == before


def test_a_run_to_be_replaced_stays_where_the_new_one_fails(folder: Path) -> None:
    before = contents(folder)
    with pytest.raises(LayerkitError):
        train(folder, overwrite=True, corpus=None, data="missing.csv", backend="numpy")
    assert contents(folder) == before
    train(folder, overwrite=True, seed=5, backend="numpy")
    assert load(folder).settings["seed"] == 5


def test_a_damaged_run_file_is_written_anew_where_training_goes_on(folder: Path, two: tuple[Path, Path]) -> None:
    flip(folder / "run.json", -99)
    with pytest.warns(LayerkitWarning, match=r"run\.json is damaged: .*; it is written anew"):
        run = train(folder, backend="numpy")
    np.testing.assert_array_equal(weights(run)[0], weights(load(two[0]))[0])
    flip(folder / "run.json", -99)
    with (
        pytest.warns(LayerkitWarning, match="it is written anew"),
        pytest.raises(LayerkitError, match=r"does not fit this run's settings \(learning_rate: 0\.003, not 0\.1\)"),
    ):
        train(folder, learning_rate=0.1, backend="numpy")


def test_a_damaged_checkpoint_is_passed_over_unless_strict(folder: Path, two: tuple[Path, Path]) -> None:
    flip(folder / "checkpoints" / "step-00000020" / "weights.safetensors", -1)
    with pytest.raises(LayerkitError, match=r"weights\.safetensors is damaged: the array 2\.Dense/"):
        train(folder, strict=True, backend="numpy")
    with pytest.warns(LayerkitWarning, match="going on from step-00000016, the last one that is sound"):
        run = train(folder, backend="numpy")
    np.testing.assert_array_equal(weights(run)[0], weights(load(two[0]))[0])


def test_other_examples_are_noticed_where_a_run_goes_on(tmp_path: Path) -> None:
    path = written(tmp_path / "mine.csv", LINES)
    options: dict[str, Any] = {"corpus": None, "data": path, "backend": "numpy"}
    train(tmp_path / "run", **options)
    written(path, LINES[::-1])
    with pytest.raises(LayerkitError, match=r"does not fit this run's (vocabulary|training examples) "):
        train(tmp_path / "run", steps=30, **options)


def test_other_held_out_examples_are_noticed_where_a_run_goes_on(tmp_path: Path) -> None:
    path = written(tmp_path / "mine.csv", LINES)
    options: dict[str, Any] = {"corpus": None, "data": path, "backend": "numpy"}
    train(tmp_path / "run", **options)
    corpus = read_file(path)
    text, label = (part[0] for part in corpus.validation)
    for number in range(100):  # until the other text is held out as well
        written(path, [f"{text} {number},{label}\n" if line == f"{text},{label}\n" else line for line in LINES])
        if read_file(path).train == corpus.train:
            break
    with pytest.raises(LayerkitError, match="does not fit this run's held-out examples "):
        train(tmp_path / "run", steps=30, **options)


def test_the_best_checkpoint_stays_where_it_is_asked_for(tmp_path: Path) -> None:
    run = train(tmp_path / "run", keep_best="loss", keep_checkpoints=1, learning_rate=5.0, steps=40, backend="numpy")
    steps = sorted(int(path.name[5:]) for path in (tmp_path / "run" / "checkpoints").iterdir())
    assert steps[-1] == 40
    assert len(steps) == 2 or run.metrics["loss"] == pytest.approx(0, abs=1)


def test_two_processes_do_not_train_into_one_folder(folder: Path) -> None:
    before = contents(folder)
    code = "import sys; from pathlib import Path; from layerkit.files.lock import locked\n"
    code += "with locked(Path(sys.argv[1])): print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()
        for options in ({}, {"overwrite": True}):
            with pytest.raises(LayerkitError, match=f"is in use by process {other.pid} on "):
                lk.train("sentiment", output=folder, backend="numpy", **{**SMALL, **options})
        assert load(folder).predict("good day").label
        other.kill()
    (folder / ".lock").unlink()
    assert contents(folder) == before


# ---- damaged


def forged(name: str, *path: str, to: Any) -> Callable[[Path, Path], None]:
    """Changes one value of run.json, or of what is said about the weights, and makes the checksums right again."""

    def change(contents: Any) -> None:
        for key in path[:-1]:
            contents = contents[key]
        contents[path[-1]] = to(contents[path[-1]]) if callable(to) else to

    forge_file = forge if name.endswith(".json") else forge_about
    return lambda folder, other: forge_file(folder / name, change)


def linked(hard: bool) -> Callable[[Path, Path], None]:
    def damage(folder: Path, other: Path) -> None:
        (folder / "model.safetensors").unlink()
        link = (folder / "model.safetensors").hardlink_to if hard else (folder / "model.safetensors").symlink_to
        link(other / "model.safetensors")

    return damage


def swap(name: str) -> Callable[[Path, Path], None]:
    return lambda folder, other: shutil.copy(other / name, folder / name)


def without(name: str) -> Callable[[Path, Path], None]:
    return lambda folder, other: (folder / name).unlink()


def bit(name: str, place: int) -> Callable[[Path, Path], None]:
    return lambda folder, other: flip(folder / name, place)


def short(name: str, keep: float) -> Callable[[Path, Path], None]:
    return lambda folder, other: cut(folder / name, keep)


def a_folder_in_its_place(folder: Path, other: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").mkdir()


def a_pipe_in_its_place(folder: Path, other: Path) -> None:
    (folder / "model.safetensors").unlink()
    os.mkfifo(folder / "model.safetensors")


def transposed(folder: Path, other: Path) -> None:
    forge_arrays(folder / MODEL, lambda arrays: arrays.update({KERNEL: arrays[KERNEL].T.copy()}))


def an_array_gone(folder: Path, other: Path) -> None:
    forge_arrays(folder / MODEL, lambda arrays: arrays.pop(KERNEL))


def too_wide(folder: Path, other: Path) -> None:
    for name in (MODEL, "run.json"):
        forged(name, "settings", "embedding_dim", to=1 << 40)(folder, other)


MODEL, KERNEL = "model.safetensors", "2.Dense/kernel"
DAMAGE: dict[str, tuple[Callable[[Path, Path], Any], int, str]] = {
    "no run.json": (without("run.json"), 2, "is no run: it has no run.json"),
    "no model": (without(MODEL), 1, "model.safetensors is missing"),
    "a folder for a model": (a_folder_in_its_place, 1, "model.safetensors cannot be read: it is a folder, not a file"),
    "a pipe for a model": (a_pipe_in_its_place, 1, "model.safetensors cannot be read: it is a pipe, a socket or a"),
    "a link for a model": (linked(False), 1, "model.safetensors cannot be read: it is a link, and links are not"),
    "a hard link": (linked(True), 1, "model.safetensors cannot be read: it is a hard link, another place has the same"),
    "model empty": (short(MODEL, 0), 1, "model.safetensors is damaged: 0 bytes are no safetensors file"),
    "model cut to 7 bytes": (short(MODEL, 7), 1, "model.safetensors is damaged: 7 bytes are no safetensors file"),
    "model cut": (short(MODEL, 0.9), 1, "model.safetensors is damaged: its arrays have"),
    "a bit in the model's length": (bit(MODEL, 40), 1, "model.safetensors is damaged: its header has"),
    "a bit in the model's header": (bit(MODEL, 8000), 1, "the checksum of its header is another"),
    "a bit in the model": (bit(MODEL, -3), 1, "model.safetensors is damaged: the array 2.Dense/"),
    "another run's model": (swap(MODEL), 1, "another run than the run.json beside it: it was trained with seed=1, not"),
    "a label order": (forged(MODEL, "labels", to=["a", "a"]), 1, "model.safetensors is damaged: its labels is ['a', "),
    "words twice": (forged(MODEL, "words", to=lambda words: [*words, "good"]), 1, "is damaged: its words is ['__PAD"),
    "one word more": (forged(MODEL, "words", to=lambda words: [*words, "x"]), 1, "float32[829, 8], and this layer has"),
    "a label more": (forged(MODEL, "labels", to=["a", "b", "c"]), 1, "2.Dense/kernel is float32[8, 2], and this layer"),
    "transposed": (transposed, 1, "2.Dense/kernel is float32[2, 8], and this layer has float32[8, 2]"),
    "an array gone": (an_array_gone, 1, "the array 2.Dense/kernel is missing"),
    "too wide": (too_wide, 1, "its model would be larger than the file"),
    "newer format": (forged(MODEL, "format", to=9), 1, "has format 9, this layerkit reads 2: upgrade layerkit"),
    "older format": (forged(MODEL, "format", to=1), 1, "has format 1, this layerkit reads 2: train the run again"),
    "another kind": (forged(MODEL, "kind", to="x"), 1, "model.safetensors is not of a sentiment run"),
    "a setting of the model": (forged(MODEL, "settings", "steps", to="many"), 1, "is a whole number, got 'many'"),
    "other text settings": (
        forged("run.json", "settings", "keep_stop_words", to=True), 1, "trained with keep_stop_words=False, not True",
    ),
    "a newer run.json": (forged("run.json", "format", to=9), 1, "format 9, this layerkit reads 2: upgrade layerkit"),
    "an older run.json": (forged("run.json", "format", to=1), 1, "format 1, this layerkit reads 2: train the run"),
    "run.json of another kind": (forged("run.json", "kind", to="x"), 1, "run.json is not of a layerkit run"),
    "no settings": (forged("run.json", "settings", to=3), 1, "damaged: its 'settings' is 3: train the run again"),
    "odd metrics": (forged("run.json", "metrics", to={"a": "b"}), 1, "run.json is damaged: its 'metrics' is {'a'"),
    "a bit of run.json": (bit("run.json", 3000), 1, "run.json is damaged: "),
    "run.json cut": (short("run.json", 0.5), 1, "run.json is damaged: it is no JSON"),
    "not finished": (forged("run.json", "complete", to=False), 1, "was not finished: train it"),
    "another recipe": (forged("run.json", "recipe", to="sentimint"), 2, "did you mean 'sentiment'?"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_a_damaged_run_is_one_plain_line(
    folder: Path, two: tuple[Path, Path], capsys: pytest.CaptureFixture[str], name: str, command: str
) -> None:
    damage, code, fragment = DAMAGE[name]
    damage(folder, two[1])
    arguments = [str(folder), "good day"] if command == "predict" else [str(folder), "--backend", "numpy"]
    assert main([command, *arguments]) == code
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("layerkit: ")
    assert fragment in err
    assert MODEL not in err or "train the run again" in err or "upgrade layerkit" in err


def test_training_goes_on_where_the_saved_model_is_damaged(folder: Path, two: tuple[Path, Path]) -> None:
    """The remedy that the messages name works: the checkpoint has the weights."""
    cut(folder / MODEL, 0.5)
    train(folder, backend="numpy")
    np.testing.assert_array_equal(weights(load(folder))[0], weights(load(two[0]))[0])


# -- replaced --------------------------------------------------------------------------------------------------------


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.parent.iterdir() if path.name != folder.name)


def killed_at(step: int, how: str, folder: Path) -> None:
    """A training that replaces the run in a folder, and is ended at a step."""
    code = f"""
import os, signal, sys
import layerkit as lk
from layerkit.training.loop import Loop
real = Loop._train
def train(self, items):
    real(self, items)
    if self.step == {step}:
        self._output._saver._background.wait()
        {how}
Loop._train = train
from test_sentiment_runs import train as begin
from pathlib import Path
begin(Path(sys.argv[1]), overwrite=True, seed=5, backend="numpy")
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, env=environment)
    assert done.returncode not in (0, 1), done.stderr


@pytest.mark.parametrize("how", ["os.kill(os.getpid(), signal.SIGKILL)", "os.kill(os.getpid(), signal.SIGTERM)"])
def test_a_run_to_be_replaced_stays_until_the_new_one_has_ended_however_that_is_stopped(
    how: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    beside, before = left(folder), contents(folder)
    killed_at(10, how, folder)
    assert {**contents(folder), ".lock": b""} == {**before, ".lock": b""}  # the lock of a killed process is free
    run = train(folder, overwrite=True, seed=5, backend="numpy")
    assert f"continuing from step {10 if 'TERM' in how else 8}\n" in capsys.readouterr().out
    assert left(folder) == beside
    assert load(folder).settings["seed"] == 5
    undisturbed = train(tmp_path / "undisturbed", seed=5, backend="numpy")
    np.testing.assert_array_equal(weights(run)[0], weights(undisturbed)[0])


def test_what_was_left_of_another_replacement_is_not_continued(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    beside = left(folder)
    killed_at(10, "os.kill(os.getpid(), signal.SIGKILL)", folder)
    train(folder, overwrite=True, seed=6, backend="numpy")
    assert "continuing" not in capsys.readouterr().out
    assert (left(folder), load(folder).settings["seed"]) == (beside, 6)


def test_a_replacement_that_fails_or_is_killed_at_the_end_leaves_the_old_run_or_the_new_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside, real = left(folder), os.rename

    def failing(number: int) -> Callable[..., None]:
        made: list[int] = []

        def rename(source: Any, target: Any) -> None:
            made.extend([0] * (Path(source).parent == folder.parent))
            if len(made) == number and Path(source).parent == folder.parent:
                raise OSError(5, "Input/output error")
            real(source, target)

        return rename

    for number in (1, 2):
        before = contents(folder)
        monkeypatch.setattr(os, "rename", failing(number))
        with pytest.raises(LayerkitError, match=r"cannot be replaced: input/output error; the new run is in .*\.new"):
            train(folder, overwrite=True, seed=4 + number, backend="numpy")
        monkeypatch.undo()
        assert contents(folder) == before
    monkeypatch.setattr(os.path, "ismount", lambda path: True)
    with pytest.raises(LayerkitError, match="cannot be replaced: it is a disk of its own, name a folder in it"):
        train(folder, overwrite=True, seed=6, backend="numpy")
    monkeypatch.undo()
    folder.rename(folder.with_name(f".{folder.name}.old"))  # as if killed between two names
    monkeypatch.setattr(os, "rename", failing(1))
    with pytest.raises(LayerkitError, match=r"run' is in .*\.run\.old': input/output error"):
        train(folder, overwrite=True, seed=6, backend="numpy")
    monkeypatch.undo()
    train(folder, overwrite=True, seed=6, backend="numpy")
    assert (left(folder), load(folder).settings["seed"]) == (beside, 6)


def test_what_is_no_run_is_never_removed_for_a_replacement(folder: Path) -> None:
    before = contents(folder)
    other = folder.with_name(f".{folder.name}.new")
    other.mkdir()
    (other / "precious").write_text("kept")
    with pytest.raises(UsageError, match="holds something that is no run"):
        train(folder, overwrite=True, seed=5, backend="numpy")
    assert (contents(folder), (other / "precious").read_text()) == (before, "kept")
