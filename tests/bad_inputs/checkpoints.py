"""What was saved, and is not any more what it was: the files of a run, and a file of weights."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as onp
from damage import cut, flip, forge_about, write_sealed

import layerkit as lk
from bad_inputs.case import Case
from layerkit import layers as tl
from layerkit.errors import LayerkitWarning
from layerkit_plugins.sentiment.run_folder import WEIGHTS

__all__ = ["CASES", "Saved", "saved"]

TABLE = "0.Embedding/table"


class Saved(NamedTuple):
    """Two runs of other vocabularies and a file of a Dense's weights, to be damaged."""

    folder: Path

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def other(self) -> Path:
        return self.folder / "other"

    @property
    def file(self) -> Path:
        return self.folder / "dense.safetensors"


def saved(folder: Path) -> Saved:
    """Trains the runs, and writes the file."""
    quick = {"steps": 1, "batch_size": 2, "embedding_dim": 2, "backend": "numpy"}
    for name, words in (("run", "happy sad rain sun"), ("other", "fine bad wind snow")):
        lines = [
            f"{word} {number}\t{'good' if at % 2 else 'evil'}"
            for at, word in enumerate(words.split())
            for number in "abc"
        ]
        (folder / f"{name}.tsv").write_text("text\tlabel\n" + "\n".join(lines) + "\n")
        lk.train("sentiment", data=folder / f"{name}.tsv", output=folder / name, **quick)
    with lk.use_backend("numpy"):
        dense = tl.Dense(2)
        dense.init(lk.f32(4, 3))
        dense.save_to_file(folder / "dense.safetensors")
    return Saved(folder)


def of_run(damage: Callable[[Path], Any]) -> Callable[[Saved], Any]:
    """Damages a run, and asks it something."""

    def act(saved: Saved) -> Any:
        damage(saved.run)
        return lk.load(saved.run).predict("happy").label

    return act


def of_file(damage: Callable[[Path], Any], width: int = 2) -> Callable[[Saved], Any]:
    """Damages the file of weights, and gives it to a Dense."""

    def act(saved: Saved) -> Any:
        damage(saved.file)
        dense = tl.Dense(width)
        dense.init_from_file(saved.file, lk.f32(4, 3))
        return dense.weights

    return act


def arrays(**changes: Any) -> Callable[[Path], Any]:
    """Other arrays in a file whose seal is right."""
    whole = {"kernel": onp.zeros((3, 2), "float32"), "bias": onp.zeros(2, "float32")}
    return lambda path: write_sealed(path, {name: a for name, a in {**whole, **changes}.items() if a is not None})


def header(text: str | dict[str, Any], data: bytes = b"", length: int | None = None) -> Callable[[Path], Any]:
    """A file with this header, as anybody may write it."""
    encoded = (text if isinstance(text, str) else json.dumps(text)).encode()
    size = (len(encoded) if length is None else length).to_bytes(8, "little")
    return lambda path: path.write_bytes(size + encoded + data)


def entry(*shape: int, start: int = 0, end: int = 24) -> dict[str, Any]:
    return {"dtype": "F32", "shape": list(shape), "data_offsets": [start, end]}


def from_other(name: str) -> Callable[[Saved], Any]:
    return of_run(lambda run: shutil.copy(run.with_name("other") / name, run / name))


def sick(saved: Saved) -> bool:
    arrays(kernel=onp.full((3, 2), onp.nan, "float32"))(saved.file)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        of_file(lambda path: None)(saved)
    (warning,) = caught
    return issubclass(warning.category, LayerkitWarning) and "kernel has nan in 6 of 6 values" in str(warning.message)


def on_jax(saved: Saved) -> bool:
    here = lk.load(saved.run).predict(["happy", "rain a"])
    with lk.use_backend("jax"):
        there = lk.load(saved.run).predict(["happy", "rain a"])
    return [one.label for one in here] == [one.label for one in there]


def behind_a_link(how: str) -> Callable[[Path], Any]:
    def damage(run: Path) -> None:
        outside = run.with_name("outside")
        (run / WEIGHTS).rename(outside)
        getattr(run / WEIGHTS, how)(outside)

    return damage


def exchanged(one: bytes, other: bytes) -> Callable[[Path], Any]:
    """Puts each of two words of the file in the other's place."""

    def damage(run: Path) -> None:
        data = (run / WEIGHTS).read_bytes()
        assert one in data
        assert other in data
        (run / WEIGHTS).write_bytes(data.replace(one, b"#").replace(other, one).replace(b"#", other))

    return damage


def formatted(number: int) -> Callable[[Saved], Any]:
    return of_run(lambda run: forge_about(run / WEIGHTS, lambda about: about.update(format=number)))


class Telltale:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


def pickled(saved: Saved) -> Any:
    mark = saved.folder / "unpickled"
    try:
        return of_file(lambda path: path.write_bytes(pickle.dumps(Telltale(mark))))(saved)
    finally:
        assert not mark.exists()


BIG = 200_000_000

CASES: list[Case] = [
    Case("missing", lambda saved: lk.load(saved.folder / "nowhere"), 2, "nowhere': no such folder"),
    Case("missing file", of_run(lambda run: (run / WEIGHTS).unlink()), 1, WEIGHTS),
    Case("empty", of_run(lambda run: cut(run / WEIGHTS, 0)), 1, WEIGHTS),
    Case("7 bytes", of_run(lambda run: cut(run / WEIGHTS, 7)), 1, WEIGHTS),
    *[
        Case(f"truncated at {tenth}0 %", of_run(lambda run, t=tenth: cut(run / WEIGHTS, t / 10)), 1, WEIGHTS)
        for tenth in range(10)
    ],
    Case("one bit flipped", of_run(lambda run: flip(run / WEIGHTS, -9)), 1, WEIGHTS),
    Case("a bit of its header flipped", of_run(lambda run: flip(run / WEIGHTS, 8 * 99)), 1, WEIGHTS),
    Case("a bit of run.json flipped", of_run(lambda run: flip(run / "run.json", 8 * 30)), 1, "run.json"),
    Case("weights of another run", from_other(WEIGHTS), 1, WEIGHTS),
    Case("another vocabulary", of_run(exchanged(b"sad", b"sun")), 1, WEIGHTS),
    Case("another label order", of_run(exchanged(b"evil", b"good")), 1, WEIGHTS),
    Case(
        "another model",
        of_file(lambda path: None, width=5),
        1,
        "kernel is float32[3, 2], and this layer has float32[3, 5]",
    ),
    Case("another backend", on_jax, 0, "a run can be used on any"),
    Case("newer format", formatted(99), 1, "has format 99, this layerkit reads 2: upgrade layerkit"),
    Case("older format", formatted(1), 1, "has format 1, this layerkit reads 2: train the run again"),
    Case("extra tensors", of_file(arrays(more=onp.zeros(1))), 1, "the array more has no place in this layer"),
    Case("a missing tensor", of_file(arrays(bias=None)), 1, "the array bias is missing"),
    Case(
        "dtype changed",
        of_file(arrays(bias=onp.zeros(2, "float16"))),
        1,
        "bias is float16[2], and this layer has float32",
    ),
    Case(
        "shape transposed", of_file(arrays(kernel=onp.zeros((2, 3), "float32"))), 1, "kernel is float32[2, 3], and this"
    ),
    Case("NaN weights", sick, 0, "they are loaded, with a warning"),
    Case(
        "header length 2**63",
        of_file(header("{}", length=2**63 - 1)),
        1,
        "its header has 9,223,372,036,854,775,807 bytes",
    ),
    Case("header of 200 MB", of_file(header("{}", length=BIG)), 1, "its header has 200,000,000 bytes"),
    Case("shape overflow", of_file(header({"kernel": entry(2**62, 4)}, bytes(24))), 1, "is damaged"),
    Case("holes", of_file(header({"kernel": entry(3, 2, start=8, end=32)}, bytes(32))), 1, "is damaged"),
    Case(
        "overlaps",
        of_file(header({"kernel": entry(3, 2), "bias": entry(2, start=0, end=8)}, bytes(24))),
        1,
        "is damaged",
    ),
    Case("trailing bytes", of_file(lambda path: path.write_bytes(path.read_bytes() + b"x")), 1, "is damaged"),
    Case("duplicate keys", of_file(header('{"a":{}, "a":{}}')), 1, "is damaged"),
    Case("a name that leads out", of_file(header({"../../x": entry(3, 2)}, bytes(24))), 1, "dense.safetensors"),
    Case("NUL in a name", of_file(header({"a\0b": entry(3, 2)}, bytes(24))), 1, "dense.safetensors"),
    Case("a pickle renamed", pickled, 1, "is damaged"),
    Case("a symlink as target", of_run(behind_a_link("symlink_to")), 1, WEIGHTS),
    Case("a hard link out of the folder", of_run(behind_a_link("hardlink_to")), 1, WEIGHTS),
]
