"""Checkpoints that were damaged, exchanged or made up: refused in one line; the run goes on from a sound one."""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as onp
import pytest
from damage import cut, flip, forge, forge_arrays, write_sealed
from safetensors.numpy import load_file, save_file
from training_setups import batches, classifier, eval_task, host, same, train_task

import layerkit as lk
from layerkit import layers as tl
from layerkit import optimizers
from layerkit.errors import LayerkitWarning
from layerkit.files import DamagedError
from layerkit.training import checkpoint

WEIGHTS, SLOTS, STATE, MANIFEST = "weights.safetensors", "slots.safetensors", "state.safetensors", "manifest.json"
TABLE = "0.Embedding/table"


def make(folder: Path | None, model: Any = None, **options: Any) -> lk.Loop:
    options = {"log": None, "learning_curve": False, "eval_tasks": eval_task(), "output_dir": folder, **options}
    return lk.Loop(model or classifier(0.4), train_task(every=5), **options)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with checkpoints of steps 1 and 5."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    with lk.use_backend("numpy"):
        make(folder).run(5)
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint of step 5, to be damaged."""
    return Path(shutil.copytree(whole, tmp_path / "run")) / "checkpoints" / "step-00000005"


# -- damage ----------------------------------------------------------------------------------------------------------

Damage = Callable[[Path], Any]


def manifest(**values: Any) -> Damage:
    return lambda f: forge(f / MANIFEST, lambda m: m.update(values))


def text(content: bytes) -> Damage:
    return lambda f: (f / MANIFEST).write_bytes(content)


def array(name: str, change: Callable[[Any], Any]) -> Damage:
    def put(arrays: dict[str, Any]) -> None:
        arrays[name] = change(arrays[name])

    return lambda f: forge_arrays(f / WEIGHTS, put)


def link(name: str, how: str) -> Damage:
    def damage(f: Path) -> None:
        outside = f.parents[2] / "outside"
        (f / name).rename(outside)
        getattr(f / name, how)(outside)

    return damage


def folder_link(f: Path) -> None:
    f.rename(f.parents[2] / "outside")
    f.symlink_to(f.parents[2] / "outside")


def other_step(f: Path) -> None:
    shutil.rmtree(f)
    shutil.copytree(f.with_name("step-00000001"), f)


def raw(header: bytes, data: bytes = b"") -> Damage:
    return lambda f: (f / WEIGHTS).write_bytes(len(header).to_bytes(8, "little") + header + data)


DAMAGES: dict[str, tuple[Damage, str]] = {
    "no manifest": (lambda f: (f / MANIFEST).unlink(), "step-00000005 is no checkpoint: it has no manifest.json"),
    "empty manifest": (text(b""), "manifest.json is damaged: it is no JSON"),
    "half a manifest": (lambda f: cut(f / MANIFEST, 300), "manifest.json is damaged: it is no JSON"),
    "not utf-8": (text(b"\xff\xfe{}"), "manifest.json is damaged: it is no JSON, not even text"),
    "nested deep": (text(b"[" * 10**5), "manifest.json is damaged: it is nested too deep"),
    "a key twice": (text(b'{"format":2,"format":2}'), "manifest.json is damaged: it has the key 'format' twice"),
    "not a number": (text(b'{"format":NaN}'), "manifest.json is damaged: it has NaN, which is no JSON"),
    "a list": (text(b"[]"), "manifest.json is damaged: it is no JSON object"),
    "a bit of the seal": (lambda f: flip(f / MANIFEST, 161), "manifest.json is damaged: its checksum is another"),
    "a digit": (
        lambda f: (f / MANIFEST).write_bytes((f / MANIFEST).read_bytes().replace(b'"step":5', b'"step":6')),
        "manifest.json is damaged: its checksum is another",
    ),
    "other kind": (manifest(kind="x"), "manifest.json is not of a layerkit checkpoint, but of 'x'"),
    "newer": (manifest(format=9), "format 9, this layerkit reads 2: upgrade layerkit"),
    "older": (manifest(format=1), "format 1, this layerkit reads 2: train the run again"),
    "older, without a seal": (text(b'{"kind": "layerkit checkpoint", "format": 1}'), "has format 1, this layerkit"),
    "no step": (lambda f: forge(f / MANIFEST, lambda m: m.pop("step")), "is damaged: its 'step' is None"),
    "step text": (manifest(step="5"), "is damaged: its 'step' is '5'"),
    "step yes": (manifest(step=True), "is damaged: its 'step' is True"),
    "evaluated text": (manifest(evaluated="5"), "is damaged: its 'evaluated' is '5'"),
    "keys text": (manifest(rngs="5"), "is damaged: its 'rngs' is '5'"),
    "another step": (manifest(step=4), "step-00000005 is damaged: its manifest.json is of step 4"),
    "no sums": (lambda f: forge(f / MANIFEST, lambda m: m.pop("sums")), "manifest.json is damaged: KeyError 'sums'"),
    "no slots": (
        lambda f: forge(f / MANIFEST, lambda m: m["tensors"].pop("slots")),
        "manifest.json is damaged: it does not list the arrays of slots.safetensors",
    ),
    "odd history": (manifest(history={"train": 3}), "a history is {mode: {metric: [[step, value], ...]}}, got {'tr"),
    "no weights": (lambda f: (f / WEIGHTS).unlink(), "weights.safetensors is missing"),
    "a file more": (lambda f: (f / "more").touch(), "step-00000005 is damaged: 'more' has no place in a checkpoint"),
    "a folder": (
        lambda f: ((f / SLOTS).unlink(), (f / SLOTS).mkdir()),
        "slots.safetensors cannot be read: it is a folder, not a file",
    ),
    "a pipe": (
        lambda f: ((f / SLOTS).unlink(), os.mkfifo(f / SLOTS)),
        "slots.safetensors cannot be read: it is a pipe, a socket or a device, not a file",
    ),
    "a link": (link(SLOTS, "symlink_to"), "slots.safetensors cannot be read: it is a link, and links are not followed"),
    "a link to itself": (
        lambda f: ((f / SLOTS).unlink(), (f / SLOTS).symlink_to(SLOTS)),
        "slots.safetensors cannot be read: it is a link, and links are not followed",
    ),
    "a hard link": (link(SLOTS, "hardlink_to"), "slots.safetensors cannot be read: it is a hard link, another place"),
    "the manifest a link": (link(MANIFEST, "symlink_to"), "manifest.json cannot be read: it is a link, and links are"),
    "the folder a link": (folder_link, "step-00000005: it is a link, and links are not followed"),
    "7 bytes": (lambda f: cut(f / SLOTS, 7), "slots.safetensors is damaged: 7 bytes are no safetensors file"),
    "empty": (lambda f: cut(f / STATE, 0), "state.safetensors is damaged: 0 bytes are no safetensors file"),
    "cut": (lambda f: cut(f / WEIGHTS, 0.9), "weights.safetensors is damaged: its arrays have"),
    "trailing bytes": (
        lambda f: (f / WEIGHTS).write_bytes((f / WEIGHTS).read_bytes() + b"x"),
        "weights.safetensors is damaged: its arrays have",
    ),
    "header of 2**63": (
        lambda f: (f / WEIGHTS).write_bytes(b"\xff" * 7 + b"\x7f{}"),
        "weights.safetensors is damaged: its header has 9,223,372,036,854,775,807 bytes, the file 10",
    ),
    "a pickle": (lambda f: (f / WEIGHTS).write_bytes(pickle.dumps([1] * 99)), "weights.safetensors is damaged: its he"),
    "no seal": (raw(b"{}"), "weights.safetensors is damaged: the checksum of its header is another"),
    "of another program": (
        lambda f: save_file(load_file(f / WEIGHTS), f / WEIGHTS),
        "weights.safetensors is damaged: the checksum of its header is another",
    ),
    "array gone": (
        lambda f: forge_arrays(f / WEIGHTS, lambda a: a.pop("3.Dense/bias")),
        "weights.safetensors is damaged: the array 3.Dense/bias is missing",
    ),
    "array added": (
        lambda f: write_sealed(f / STATE, {"x": onp.ones(1)}),
        "state.safetensors is damaged: the array x is not one that manifest.json lists",
    ),
    "transposed": (array(TABLE, lambda a: a.T.copy()), "the array 0.Embedding/table has shape [4, 40], and manifest"),
    "other dtype": (array("3.Dense/bias", lambda a: a.astype("float16")), "3.Dense/bias has dtype float16, and manif"),
    "other values": (array(TABLE, lambda a: a + 1), "weights.safetensors is damaged, or of another checkpoint: the ar"),
    "a square transposed": (array(TABLE, lambda a: a[::-1]), "the array 0.Embedding/table has sha256 "),
    "weights of step 1": (
        lambda f: shutil.copy(f.with_name("step-00000001") / WEIGHTS, f / WEIGHTS),
        "weights.safetensors is damaged, or of another checkpoint: the array 0.Embedding/table has sha256",
    ),
    "files exchanged": (
        lambda f: shutil.copy(f / SLOTS, f / WEIGHTS),
        "weights.safetensors is damaged: the array 0.Embedding/table is missing",
    ),
    "another step's folder": (other_step, "step-00000005 is damaged: its manifest.json is of step 1"),
    **{
        f"cut at {tenth}0 %": (lambda f, t=tenth: cut(f / WEIGHTS, t / 10), "weights.safetensors is damaged: ")
        for tenth in range(10)
    },
}  # fmt: skip


NOT_DAMAGE = ("newer", "older", "older, without a seal", "other kind")


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_checkpoints_are_refused_in_one_line(name: str, folder: Path) -> None:
    damage, message = DAMAGES[name]
    damage(folder)
    with lk.use_backend("numpy"), pytest.raises(lk.LayerkitError) as caught:
        make(folder.parents[1], strict=True)
    assert message in str(caught.value)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [name for name in list(DAMAGES)[::4] if name not in NOT_DAMAGE])
def test_the_run_goes_on_from_the_last_sound_one_and_says_so(name: str, folder: Path, whole: Path) -> None:
    damage, message = DAMAGES[name]
    damage(folder)
    with lk.use_backend("numpy"):
        with pytest.warns(LayerkitWarning) as warned:
            loop = make(folder.parents[1])
        (line,) = [str(w.message) for w in warned]
        assert message in line
        assert line.endswith("; going on from step-00000001, the last one that is sound")
        assert "\n" not in line
        loop.run(4)
        undisturbed = make(whole)
        assert (loop.step, undisturbed.step) == (5, 5)
        assert same(loop.model.weights, undisturbed.model.weights)
        assert loop.history.to_dict() == undisturbed.history.to_dict()
        assert make(folder.parents[1]).step == 5  # what was damaged is replaced


@pytest.mark.parametrize(("how_many", "strict"), [(3, False), (1, False), (1, True)])
def test_where_none_is_sound_the_run_does_not_start_anew_in_silence(how_many: int, strict: bool, folder: Path) -> None:
    for step in sorted(folder.parent.iterdir())[:-how_many]:
        shutil.rmtree(step)
    for step in folder.parent.iterdir():
        flip(step / WEIGHTS, -1)
    with (
        lk.use_backend("numpy"),
        pytest.raises(DamagedError, match=r"no other checkpoint in .* is sound: give .* or move that folder away"),
    ):
        make(folder.parents[1], strict=strict)


def test_a_checkpoint_that_was_asked_for_by_name_has_no_stand_in(folder: Path) -> None:
    flip(folder / WEIGHTS, -1)
    with lk.use_backend("numpy"), pytest.raises(DamagedError, match="has another checksum than when it was written"):
        make(None).load_checkpoint(folder)


def test_a_file_where_checkpoints_would_go_is_refused_before_step_1(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("in the way")
    with lk.use_backend("numpy"), pytest.raises(lk.UsageError, match=r"cannot hold checkpoints: .* is a file: move it"):
        make(tmp_path)


def test_a_folder_of_checkpoints_that_is_a_link(folder: Path, tmp_path: Path) -> None:
    folder.parent.rename(tmp_path / "elsewhere")
    folder.parent.symlink_to(tmp_path / "elsewhere")
    with lk.use_backend("numpy"), pytest.raises(lk.LayerkitError, match="checkpoints is a link, and links are not"):
        make(folder.parents[1])


def test_no_flipped_bit_truncation_or_splice_is_loaded_in_silence(folder: Path) -> None:
    """The long version is benchmarks/reliability/corruption.py."""
    rng = random.Random(0)
    files = sorted(folder.iterdir())
    kept = {path: path.read_bytes() for path in files}
    for trial in range(400):
        path, other = rng.sample(files, 2)
        if trial % 2:
            flip(path, rng.randrange(8 * len(kept[path])))
        elif trial % 4:
            cut(path, rng.randrange(len(kept[path])))
        else:
            at = rng.randrange(len(kept[path]))
            path.write_bytes(kept[path][:at] + kept[other][rng.randrange(len(kept[other])) :])
        if path.read_bytes() != kept[path]:
            with pytest.raises(lk.LayerkitError) as caught:
                checkpoint.read(folder)
            assert path.name in str(caught.value)
        path.write_bytes(kept[path])
    checkpoint.read(folder)


# -- others' ---------------------------------------------------------------------------------------------------------


def serial(*layers: Any) -> lk.Layer:
    return lk.Serial(tl.Embedding(40, 4), *layers, tl.Dense(2), tl.LogSoftmax())


OTHERS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "another width": (
        lambda f: make(f, classifier(0.4, width=5)),
        "weights.safetensors: 0.Embedding/table is float32[40, 4], and this model has float32[40, 5]: it belongs to",
    ),
    "another layer": (
        lambda f: make(f, classifier()),
        "weights.safetensors: the array 2.Dense/kernel of this model is missing: it belongs to another model; take",
    ),
    "another optimizer": (
        lambda f: lk.Loop(classifier(0.4), train_task(optimizer=optimizers.SGD(0.1)), output_dir=f, log=None),
        "does not fit this run's optimizer (Adam, not SGD)",
    ),
    "another seed": (lambda f: make(f, random_seed=1), "was trained with random_seed 0, this Loop has 1"),
    "same shapes, another rate": (
        lambda f: make(f, classifier(0.3)),
        "does not fit this run's model (Serial/2.Dropout: Dropout, rate=0.4, shared_axes=(), not Serial/2.Dropout: "
        "Dropout, rate=0.3, shared_axes=()): it belongs to another run; take what it was trained with, or another out",
    ),
    "same shapes, another axis": (
        lambda f: make(f, serial(tl.Mean(axis=-2), tl.Dropout(0.4))),
        "does not fit this run's model (Serial/1.Mean: Mean, checked=1",
    ),
    "same shapes, another layer": (
        lambda f: make(f, serial(tl.Max(axis=1), tl.Dropout(0.4))),
        "does not fit this run's model (Serial/1.Mean: Mean",
    ),
    "same shapes, one layer more": (
        lambda f: make(f, lk.Serial(*classifier(0.4).sublayers, tl.Relu())),
        "does not fit this run's model (",
    ),
    "another loss": (
        lambda f: lk.Loop(
            classifier(0.4), lk.TrainTask(batches(), tl.WeightedCategoryCrossEntropy(), optimizers.Adam(0.01)),
            output_dir=f, log=None,
        ),
        "does not fit this run's loss (",
    ),
    "another identity": (lambda f: make(f, identity={"labels": ["a", "b"]}), "does not fit this run's labels (None, n"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_checkpoints_of_others_are_refused(name: str, folder: Path, whole: Path) -> None:
    other, message = OTHERS[name]
    with lk.use_backend("numpy"), pytest.raises(lk.LayerkitError) as caught:
        other(folder.parents[1])
    assert message in str(caught.value)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("theirs", "message"),
    [
        ({"labels": ["no", "yes"], "text": {"lower": False}}, "this run's text (lower: True, not False)"),
        ({"labels": ["yes", "no"], "text": {"lower": True}}, "this run's labels (no, not yes)"),
        (
            {"labels": ["no", "yes", "maybe"], "text": {"lower": True}},
            "this run's labels (['no', 'yes'], not ['no', 'ye",
        ),
    ],
)
def test_what_else_must_be_the_same(theirs: dict[str, Any], message: str, tmp_path: Path) -> None:
    with lk.use_backend("numpy"):
        ours = {"labels": ("no", "yes"), "text": {"lower": True}}
        make(tmp_path, identity=ours).run(1)
        assert make(tmp_path, identity=ours).step == 1
        assert make(tmp_path).step == 1  # who does not ask is not refused
        with pytest.raises(lk.LayerkitError) as caught:
            make(tmp_path, identity=theirs)
        assert f"does not fit {message}" in str(caught.value)


@pytest.mark.parametrize(
    ("identity", "message"),
    [
        ({"model": 1}, "identity: 'model' is there already, call it something else"),
        ({"labels": {1, 2}}, "identity: values that JSON can hold are due"),
        (["labels"], r"identity maps names to values, such as .*, got \['labels'\]"),
    ],
)
def test_an_identity_that_cannot_be_kept(identity: Any, message: str) -> None:
    with lk.use_backend("numpy"), pytest.raises(lk.UsageError, match=message):
        make(None, identity=identity)


def test_strict_says_what_happens_without_it(tmp_path: Path) -> None:
    """Where there is something else to go on from."""
    with lk.use_backend("numpy"):
        loop = make(tmp_path, checkpoint_at=lambda step: True)
        loop.run(2)
        cut(tmp_path / "checkpoints" / "step-00000002" / SLOTS, 50)
        with pytest.raises(DamagedError, match=r"; without strict, training goes on from the last one that is sound$"):
            make(tmp_path, strict=True)
        with pytest.warns(LayerkitWarning, match="going on from step-00000001, the last one that is sound"):
            assert make(tmp_path).step == 1


def test_a_failed_load_changes_nothing(backend: str, whole: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(whole, tmp_path / "a")) / "checkpoints" / "step-00000005"
    cut(folder / SLOTS, 50)
    loop = make(None, strict=True)
    loop.run(3)
    before = [array.copy() for array in host(loop.model.weights)]
    with pytest.raises(DamagedError):
        loop.load_checkpoint(tmp_path / "a")
    assert (loop.step, same(loop.model.weights, before)) == (3, True)


def test_no_checkpoint_at_all(tmp_path: Path) -> None:
    with lk.use_backend("numpy"):
        loop = make(None)
        with pytest.raises(lk.LayerkitError, match=r"nowhere: there is no checkpoint"):
            loop.load_checkpoint(tmp_path / "nowhere")
        with pytest.raises(lk.LayerkitError, match=r"is no checkpoint: it has no manifest\.json"):
            loop.load_checkpoint(tmp_path)


def test_an_array_file_is_what_other_programs_read(whole: Path) -> None:
    folder = whole / "checkpoints" / "step-00000005"
    _, arrays = checkpoint.read(folder)
    for kind, named in arrays.items():
        theirs = load_file(folder / f"{kind}.safetensors")
        assert theirs.keys() == named.keys()
        assert all(theirs[name].tobytes() == array.tobytes() for name, array in named.items())
    assert json.loads((folder / MANIFEST).read_text())["tensors"].keys() == arrays.keys()
    assert subprocess.run([sys.executable, "-m", "json.tool", folder / MANIFEST], capture_output=True).returncode == 0
