"""Saved runs of the sentiment recipe: loaded anywhere, continued as if nothing had happened, refused when damaged."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nltk", reason="texts are split by NLTK")

import layerkit as lk
from layerkit import fastmath
from layerkit.cli import main
from layerkit.errors import LayerkitError, UsageError
from layerkit_plugins.sentiment.run import SentimentRun

BACKENDS = ["numpy", "jax"]
SMALL: dict[str, Any] = {"corpus": "starter", "steps": 20, "embedding_dim": 8, "checkpoint_every": 8}
TEXTS = ["what a lovely morning", "", "the worst day", "zxcvb", ":)"]


def train(output: Path | None, **settings: Any) -> SentimentRun:
    made: Any = lk.train("sentiment", output=output, **{**SMALL, **settings})
    return made


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
    assert {"run.json", "sentiment.json", "model.safetensors", "checkpoints"} <= names <= {*names, "learning_curve.png"}
    assert not [name for name in contents(folder) if Path(name).name.startswith(".")]


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
    path = tmp_path / "mine.csv"
    path.write_text("text,label\n" + "".join(f"{word} {i},{word}\n" for i in range(20) for word in ("good", "bad")))
    run = train(tmp_path / "run", corpus=None, data=path, backend="numpy")
    assert load(tmp_path / "run").evaluate() == pytest.approx(run.metrics, abs=1e-6)
    with path.open("a") as file:
        file.write("".join(f"more {i},good\n" for i in range(20)))
    with pytest.raises(LayerkitError, match=r"mine\.csv has changed since the run in .* was trained") as caught:
        load(tmp_path / "run").evaluate()
    assert "\n" not in str(caught.value)
    assert load(tmp_path / "run").evaluate(path)["accuracy"] > 0.4
    path.unlink()
    with pytest.raises(LayerkitError, match=r"mine\.csv: no such file"):
        load(tmp_path / "run").evaluate()
    assert load(tmp_path / "run").predict("good 1").label


# ---- continued


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


# ---- damaged


def change(name: str, old: str, new: str) -> Callable[[Path, Path], None]:
    def damage(folder: Path, other: Path) -> None:
        text = (folder / name).read_text("utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1), encoding="utf-8")

    return damage


def cut(name: str, keep: float) -> Callable[[Path, Path], None]:
    def damage(folder: Path, other: Path) -> None:
        whole = (folder / name).read_bytes()
        (folder / name).write_bytes(whole[: int(keep * len(whole))])

    return damage


def flip(name: str, place: float) -> Callable[[Path, Path], None]:
    def damage(folder: Path, other: Path) -> None:
        whole = bytearray((folder / name).read_bytes())
        whole[int(place * len(whole))] ^= 1
        (folder / name).write_bytes(whole)

    return damage


def swap(name: str) -> Callable[[Path, Path], None]:
    return lambda folder, other: shutil.copy(other / name, folder / name)


def without(name: str) -> Callable[[Path, Path], None]:
    return lambda folder, other: (folder / name).unlink()


def a_word_more(folder: Path, other: Path) -> None:
    about = json.loads((folder / "sentiment.json").read_text())
    about["vocabulary"].append("extra")
    (folder / "sentiment.json").write_text(json.dumps(about))


def a_folder_in_its_place(folder: Path, other: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").mkdir()


DAMAGE: dict[str, tuple[Callable[[Path, Path], Any], int, str]] = {
    "no run.json": (without("run.json"), 2, "is no run: it has no run.json"),
    "no sentiment.json": (without("sentiment.json"), 1, "sentiment.json' cannot be read: no such file"),
    "no model": (without("model.safetensors"), 1, "model.safetensors' cannot be read: no such file"),
    "a folder for a model": (a_folder_in_its_place, 1, "model.safetensors' cannot be read: is a directory"),
    "model empty": (cut("model.safetensors", 0), 1, "model.safetensors' is damaged, or of another run"),
    "model cut to 7 bytes": (cut("model.safetensors", 0.0002), 1, "model.safetensors' is damaged"),
    "model cut": (cut("model.safetensors", 0.9), 1, "model.safetensors' is damaged"),
    "a bit in the model's header": (flip("model.safetensors", 0.001), 1, "model.safetensors' is damaged"),
    "a bit in the model": (flip("model.safetensors", 0.6), 1, "model.safetensors' is damaged"),
    "another run's model": (swap("model.safetensors"), 1, "or of another run than the sentiment.json beside it"),
    "another run's words": (swap("sentiment.json"), 1, "or of another run than the sentiment.json beside it"),
    "one word more": (a_word_more, 1, "sentiment.json' is damaged, its checksum is another"),
    "a letter of a word": (change("sentiment.json", "good", "goad"), 1, "its checksum is another"),
    "labels turned round": (
        change("sentiment.json", '"negative",\n"positive"', '"positive",\n"negative"'), 1, "its checksum is another",
    ),
    "words cut": (cut("sentiment.json", 0.5), 1, "sentiment.json' is damaged, it is no JSON"),
    "newer format": (change("sentiment.json", '"format": 1', '"format": 2'), 1, "has format 2, this layerkit reads 1"),
    "no format": (change("sentiment.json", '"format": 1', '"from": 1'), 1, "has format None, this layerkit reads 1"),
    "a newer run.json": (change("run.json", '"format": 1', '"format": 9'), 1, "format 9, this layerkit reads up to 1"),
    "a setting changed": (change("run.json", '"steps": 20', '"steps": "many"'), 1, "is a whole number, got 'many'"),
    "a setting renamed": (change("run.json", '"steps"', '"stops"'), 1, "no setting 'stops': did you mean 'steps'?"),
    "run.json cut": (cut("run.json", 0.5), 1, "run.json' is damaged, it is no JSON"),
    "not finished": (change("run.json", '"complete": true', '"complete": false'), 1, "was not finished: train it"),
    "another recipe": (change("run.json", '"sentiment"', '"sentimint"'), 2, "did you mean 'sentiment'?"),
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


def test_training_goes_on_where_the_saved_model_is_damaged(folder: Path, two: tuple[Path, Path]) -> None:
    """The remedy that the messages name works: the checkpoint has the weights."""
    cut("model.safetensors", 0.5)(folder, two[1])
    train(folder, backend="numpy")
    np.testing.assert_array_equal(weights(load(folder))[0], weights(load(two[0]))[0])
