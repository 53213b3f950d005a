"""The sentiment recipe on the command line: what it prints, and one line with the right exit code where it cannot."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nltk", reason="texts are split by NLTK")

import layerkit as lk
from layerkit.cli import main

OPTIONS = ["--corpus", "starter", "--embedding-dim", "8", "--checkpoint-every", "8", "--steps", "20"]
TEXTS = ["what a lovely morning", "", "the worst day", "zxcvb", ":)"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run."""
    folder = tmp_path_factory.mktemp("runs") / "first"
    lk.train("sentiment", output=folder, backend="numpy", corpus="starter", embedding_dim=8, steps=5)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAYERKIT_BACKEND", "numpy")
    return tmp_path


def test_train_predict_and_evaluate(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "sentiment", *OPTIONS, "--output", "runs/first", "--backend", "numpy"]) == 0
    *_, accuracy, loss, last = capsys.readouterr().out.splitlines()
    assert (accuracy.split()[0], loss.split()[0]) == ("accuracy", "loss")
    assert last == "kept in runs/first; try: layerkit predict runs/first TEXT"
    assert main(["predict", "runs/first", "--json", *TEXTS]) == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    run: Any = lk.load(here / "runs" / "first")
    assert [record["text"] for record in records] == TEXTS
    assert all({"text", "label", "score"} <= set(record) <= {"text", "label", "score", "note"} for record in records)
    assert [record["label"] for record in records] == [p.label for p in run.predict(TEXTS)]
    assert [record["score"] for record in records] == pytest.approx([p.score for p in run.predict(TEXTS)])
    assert main(["evaluate", "runs/first", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == pytest.approx(run.metrics, abs=1e-6)
    assert main(["summary", "runs/first"]) == 0
    out = capsys.readouterr().out
    assert f"Embedding_{len(run.vocabulary)}_8" in out
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "code", "fragment"),
    [
        (["--data", "mine.csv", "--text-column", "txt"], 2, "no column 'txt'; did you mean 'text'?"),
        (["--data", "one.csv"], 1, "all 2 texts have the label 'a'"),
        (["--data", "none.csv"], 2, "none.csv: no such file"),
        (["--data", ""], 2, "'--data': a path is due, got ''"),
        (["--corpus", "twitter"], 2, "'twitter' is not one of"),
        (["--steps", "many"], 2, "'many' is not a valid integer"),
        (["--batch-siz", "3"], 2, "--batch-size"),
        (["--backend", "jaxx"], 2, "did you mean 'jax'?"),
        (["--output", "one.csv"], 2, "output 'one.csv' is a file"),
    ],
)
def test_train_says_what_is_wrong_in_one_line_and_leaves_nothing(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, fragment: str
) -> None:
    (here / "mine.csv").write_text("text,label\ngood,a\nbad,b\n")
    (here / "one.csv").write_text("text,label\ngood,a\nbad,a\n")
    before = names(here)
    assert main(["train", "sentiment", "--output", "new/run", "--backend", "numpy", *arguments]) == code
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert fragment in err
    assert names(here) == before
    assert not (here / "new").exists()


def test_labels_of_two_lines_are_shown_in_one(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"text": f"{word} {i}", "label": f"{word}\nday"} for i in range(6) for word in ("good", "bad")]
    (here / "days.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ["--steps", "2", "--batch-size", "2", "--embedding-dim", "2", "--backend", "numpy"]
    assert main(["train", "sentiment", "--data", "days.jsonl", *options, "--output", "days"]) == 0
    assert "labels: bad day, good day\n" in capsys.readouterr().out
    assert main(["predict", "days", "one", "two"]) == 0
    assert capsys.readouterr().out.count("\n") == 2


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&- >&- 2>&-"])
def test_a_training_that_nobody_can_watch(here: Path, closed: str) -> None:
    command = [sys.executable, "-m", "layerkit", "train", "sentiment", *OPTIONS, "--backend", "numpy"]
    done = subprocess.run(["bash", "-c", f"{shlex.join(command)} --output run {closed}"], capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert (here / "run" / "model.safetensors").exists()


def test_a_cut_text_is_said_in_one_line(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("good " * 4000)
    for also in ({}, {"PYTHONWARNINGS": "error"}):
        done = subprocess.run(
            [sys.executable, "-m", "layerkit", "predict", str(folder), "--file", str(tmp_path / "long.txt"), "--json"],
            capture_output=True,
            text=True,
            env={**os.environ, **also},
        )
        assert done.returncode == 0
        assert done.stderr.startswith("layerkit: only the first 10,000 characters of a text are read")
        assert done.stderr.count("\n") == 1
        assert json.loads(done.stdout)["label"] in ("positive", "negative")


def test_a_prediction_starts_neither_compiler_nor_training(folder: Path) -> None:
    code = (
        "import sys\n"
        "from layerkit.cli import main\n"
        f"assert main(['predict', {str(folder)!r}, 'good day']) == 0\n"
        "print([name for name in ('jax', 'autograd', 'rich', 'matplotlib') if name in sys.modules])\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "LAYERKIT_BACKEND"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_fits_and_shows_the_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "sentiment", "--help"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80
    words = " ".join(out.split())
    assert "--steps N Training steps. [default: 500]" in words
    assert "--learning-rate X" in words
    assert "[default: 0.003]" in words
    assert "--data FILE A CSV, TSV or JSONL file" in words
    assert "(500)" not in words


@pytest.mark.usefixtures("here")
def test_training_that_explodes_names_a_layer_that_layerkit_made(capsys: pytest.CaptureFixture[str]) -> None:
    """In a command no line of the person's own made it."""
    assert main(["train", "sentiment", *OPTIONS, "--learning-rate", "1e30", "--output", "run"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("layerkit: step 2: the loss CrossEntropyLoss is nan: ")
    assert "(layer made in layerkit)" in said
    assert not Path("run").exists()
