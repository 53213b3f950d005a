"""Data files to train on: what is wrong with them, in one line with the file's name and the line's number."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import layerkit as lk
from bad_inputs.case import Case

__all__ = ["CASES"]

ROWS = [(f"text number {i}", "good" if i % 2 else "bad") for i in range(20)]
CSV = "text,label\n" + "".join(f"{text},{label}\n" for text, label in ROWS)
JSONL = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in ROWS)
QUICK = {"steps": 1, "batch_size": 2, "embedding_dim": 2, "backend": "numpy"}


def train(make: Callable[[Path], Path], **settings: object) -> Callable[[Path], object]:
    """Trains on the file, into a folder that must not be there afterwards if it fails."""
    return lambda folder: lk.train("sentiment", data=make(folder), output=folder / "run", **QUICK, **settings)


def holding(name: str, data: str | bytes) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())
        return folder / name

    return make


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.csv")
    return folder / "pipe.csv"


def directory(folder: Path) -> Path:
    (folder / "data.csv").mkdir()
    return folder / "data.csv"


def device(folder: Path) -> Path:
    (folder / "zero.csv").symlink_to("/dev/zero")
    return folder / "zero.csv"


def loop(folder: Path) -> Path:
    (folder / "a.csv").symlink_to(folder / "b.csv")
    (folder / "b.csv").symlink_to(folder / "a.csv")
    return folder / "a.csv"


def without_overlap(data: str) -> Callable[[Path], bool]:
    """Trains, and looks whether a text that was trained on was held out as well."""

    def act(folder: Path) -> bool:
        from layerkit_plugins.sentiment.corpus import read_file

        corpus = read_file(holding("a.csv", data)(folder))
        run = lk.train("sentiment", data=folder / "a.csv", **QUICK)
        assert len(corpus.texts) == len(data.splitlines()) - 1
        return not set(corpus.train.texts) & set(run.held_out()[0])

    return act


def unknown_label(folder: Path) -> object:
    """Evaluates a run on a file with a label that it was not trained on."""
    run = lk.train("sentiment", data=holding("a.csv", CSV)(folder), **QUICK)
    return run.evaluate(holding("b.csv", "text,label\nok,good\nno,goood\n")(folder))


PACKED = gzip.compress(CSV.encode())

CASES: list[Case] = [
    Case("missing", train(lambda folder: folder / "none.csv"), 2, "none.csv: no such file: check the spelling"),
    Case("empty", train(holding("a.csv", "")), 1, "a.csv: the file is empty: it should hold texts and labels"),
    Case("header only", train(holding("a.csv", "text,label\n")), 1, "no row; it is empty, or holds column names only"),
    Case(
        "wrong columns",
        train(holding("a.csv", CSV.replace("text,", "txt,", 1))),
        2,
        "no column 'text'; did you mean 'txt'?",
    ),
    Case(
        "label outside the set",
        unknown_label,
        1,
        "line 3: the model does not know the label 'goood'; did you mean 'good'?",
    ),
    Case(
        "one class only", train(holding("a.csv", CSV.replace("bad", "good"))), 1, "all 20 texts have the label 'good'"
    ),
    Case("duplicate rows", without_overlap(CSV + CSV.partition("\n")[2]), 0, "equal texts stay on one side"),
    Case(
        "overlap of training and validation",
        without_overlap(CSV + CSV.partition("\n")[2].upper()),
        0,
        "texts that differ in case alone stay on one side",
    ),
    Case(
        "ragged CSV", train(holding("a.csv", CSV + "a, b, good\n")), 1, "line 22 has 3 fields, the first line names 2"
    ),
    Case(
        "quote never closed",
        train(holding("a.csv", CSV + '"open,good\n')),
        1,
        "line 22: a double quote is opened and never closed",
    ),
    Case(
        "JSONL with one bad line",
        train(holding("a.jsonl", JSONL + "{oops}\n" + JSONL)),
        1,
        "line 21, column 2: not JSON",
    ),
    Case("truncated gz", train(holding("a.csv.gz", PACKED[:-9])), 1, "damaged gzip data after line"),
    Case("FIFO", train(pipe), 2, "pipe.csv: a pipe, socket or device, not a file: write the data to a file first"),
    Case("directory", train(directory), 2, "data.csv: a folder, not a file: name a file in it"),
    Case("device", train(device), 2, "zero.csv: a pipe, socket or device, not a file"),
    Case("symlink loop", train(loop), 2, "a.csv: symbolic links that lead in a circle: point at the file itself"),
]
