"""Checkpoints: what is in them, that runs go on from them as if nothing had been, and what damaged ones say."""

from __future__ import annotations

import ast
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as onp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file
from training_setups import (
    BACKENDS,
    Slope,
    backend,
    batches,
    classifier,
    eval_task,
    host,
    powers,
    same,
    slope_loop,
    total,
    train_task,
    trained_on,
)

import layerkit as lk
from layerkit import layers as tl
from layerkit import optimizers
from layerkit.fastmath import numpy as np
from layerkit.training import checkpoint
from layerkit.training.tensor_file import read_arrays, write_arrays

__all__ = ["backend"]


def make(folder: Path | None, **options: Any) -> lk.Loop:
    """A loop with everything that has to be carried over: dropout, slots, shuffling, evaluation."""
    options = {"log": None, "learning_curve": False, "eval_tasks": eval_task(), "output_dir": folder, **options}
    return lk.Loop(classifier(0.4), train_task(every=5), **options)


def saved(folder: Path, steps: int = 5) -> Path:
    """The checkpoint of a run of ``steps`` steps."""
    make(folder).run(steps)
    newest = checkpoint.newest(folder / "checkpoints")
    assert newest is not None
    return newest


# -- what is in one --------------------------------------------------------------------------------------------------


def test_what_a_checkpoint_holds(backend: str, tmp_path: Path) -> None:
    loop = make(tmp_path, random_seed=3)
    loop.run(7)
    folder = tmp_path / "checkpoints" / "step-00000005"
    assert sorted(path.name for path in folder.iterdir()) == [
        "manifest.json",
        "slots.safetensors",
        "state.safetensors",
        "weights.safetensors",
    ]
    names = ["0.Embedding/table", "3.Dense/kernel", "3.Dense/bias"]
    weights, slots = load_file(folder / "weights.safetensors"), load_file(folder / "slots.safetensors")
    assert sorted(weights) == sorted(names)
    assert {name.rpartition("/")[0] for name in slots} == {f"0/{name}" for name in names}
    assert load_file(folder / "state.safetensors") == {}
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["kind"] == "layerkit checkpoint"
    assert (manifest["format"], manifest["step"], manifest["random_seed"]) == (1, 5, 3)
    assert (manifest["backend"], manifest["layerkit"]) == (backend, lk.__version__)
    assert manifest["tensors"]["weights"]["0.Embedding/table"] == {"shape": [40, 4], "dtype": "float32"}
    assert [step for step, _ in manifest["history"]["train"]["CrossEntropyLoss"]] == [1, 5]
    assert manifest["data"]["positions"][0]["batch"] == 5


def test_the_last_ones_are_kept(backend: str, tmp_path: Path) -> None:
    loop = make(tmp_path, keep_checkpoints=2, checkpoint_at=lambda step: True)
    loop.run(5)
    parent = tmp_path / "checkpoints"
    assert sorted(path.name for path in parent.iterdir()) == ["step-00000004", "step-00000005"]
    assert loop.save_checkpoint() == parent / "step-00000005"  # in the place of the one that is there
    assert sorted(path.name for path in parent.iterdir()) == ["step-00000004", "step-00000005"]


def test_loss_weights_and_state_are_in_it_too(backend: str, tmp_path: Path) -> None:
    def loop() -> lk.Loop:
        model = tl.Serial(Slope(), tl.BatchNorm(axis=0))
        loss = tl.Serial(Slope(), total())
        data = [(onp.arange(6, dtype=onp.float32).reshape(3, 2), onp.zeros(3))]
        return lk.Loop(model, lk.TrainTask(data, loss, optimizers.Adam(0.1)), output_dir=tmp_path, log=None)

    first = loop()
    first.run(1)
    folder = tmp_path / "checkpoints" / "step-00000001"
    assert "loss.0/0.Slope/weights" in load_file(folder / "weights.safetensors")
    assert load_file(folder / "state.safetensors")
    second = loop()
    assert same((first.model.weights, first.model.state), (second.model.weights, second.model.state))
    assert same(first.tasks[0].loss_layer.weights, second.tasks[0].loss_layer.weights)


@settings(max_examples=40, deadline=None)
@given(
    st.dictionaries(
        st.text(min_size=1, max_size=20),
        st.tuples(
            st.sampled_from(["bool", "uint8", "int32", "uint32", "float16", "float32", "float64"]),
            st.lists(st.integers(0, 3), max_size=3),
        ),
        max_size=4,
    )
)
def test_array_files_are_read_by_the_safetensors_library(outlines: dict[str, Any]) -> None:
    import tempfile

    rng = onp.random.default_rng(0)
    arrays = {name: rng.integers(0, 2, shape).astype(dtype) for name, (dtype, shape) in outlines.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.safetensors"
        write_arrays(path, arrays)
        found = load_file(path)
        assert set(found) == set(arrays)
        for name, array in arrays.items():
            assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
            assert found[name].tobytes() == array.tobytes()


def test_arrays_that_do_not_lie_in_order(tmp_path: Path) -> None:
    array = onp.arange(12.0).reshape(3, 4)
    write_arrays(tmp_path / "x", {"T": array.T, "reverse": array[::-1], "scalar": onp.float32(3)})
    found = read_arrays(tmp_path / "x")
    assert found["T"].tolist() == array.T.tolist()
    assert found["reverse"].tolist() == array[::-1].tolist()
    assert found["scalar"] == 3.0
    with pytest.raises(lk.LayerkitError, match="c has dtype complex64, which a safetensors file cannot hold"):
        write_arrays(tmp_path / "x", {"c": onp.zeros(1, "complex64")})


def test_no_code_is_ever_read_from_a_file() -> None:
    forbidden = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "eval", "exec", "load_module"}
    for module in Path(checkpoint.__file__).parents[1].rglob("*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            names = {alias.name for alias in node.names} if isinstance(node, (ast.Import, ast.ImportFrom)) else set()
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                names = {node.func.id}
            if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                assert ast.unparse(node.value) == "False", module
            assert not names & forbidden, (module, names & forbidden)


# -- going on --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stops", [(1,), (5,), (10,), (5, 6, 10), (1, 2, 3, 12)])
def test_a_run_that_was_stopped_ends_with_the_same_bits(stops: tuple[int, ...], backend: str, tmp_path: Path) -> None:
    undisturbed = make(tmp_path / "undisturbed")
    undisturbed.run(14)
    for stop in stops:
        loop = make(tmp_path / "run", checkpoint_at=lambda step, stop=stop: step == stop)
        loop.run(stop + 1 - loop.step)  # the step after the checkpoint is lost
    last = make(tmp_path / "run")
    assert last.step == stops[-1]
    last.run(14 - last.step)
    assert same(last.model.weights, undisturbed.model.weights)
    assert same(
        [task.slots for task in last._steps.variables.tasks],
        [task.slots for task in undisturbed._steps.variables.tasks],
    )
    assert last.history.to_dict() == undisturbed.history.to_dict()
    assert onp.array_equal(last.new_rng(), undisturbed.new_rng())


def test_the_order_of_examples_goes_on(backend: str, tmp_path: Path) -> None:
    seen: list[Any] = []

    class Spy:
        def __init__(self) -> None:
            self.source = batches()

        def __next__(self) -> Any:
            batch = next(self.source)
            seen.append(batch[0].tolist())
            return batch

        position = property(lambda self: self.source.position)

        def seek(self, position: Any) -> None:
            self.source.seek(position)

    make_loop: Callable[[Path], lk.Loop] = lambda folder: lk.Loop(
        classifier(),
        train_task(Spy()),
        output_dir=folder,
        checkpoint_at=lambda s: s == 4,
        log=None,
        learning_curve=False,
    )
    make_loop(tmp_path / "whole").run(12)
    whole, seen[:] = list(seen), []
    make_loop(tmp_path / "run").run(6)
    assert seen == whole[:6]
    seen.clear()
    loop = make_loop(tmp_path / "run")
    first_look = len(seen)  # the batch that told the shapes
    loop.run(8)
    assert seen[first_look:] == whole[4:]


def test_a_plain_generator_is_gone_through_again_and_that_is_said(backend: str, tmp_path: Path) -> None:
    slope_loop(powers(20), output_dir=tmp_path, checkpoint_at=lambda step: step == 6).run(8)
    lines: list[str] = []
    loop = slope_loop(powers(20), output_dir=tmp_path, log=lines.append)
    assert lines == ["labeled_data of the training task does not save its position: skipping the 6 batches seen before"]
    loop.run(4)
    assert trained_on(loop) == list(range(10))


def test_a_generator_that_is_too_short_or_too_far(backend: str, tmp_path: Path) -> None:
    slope_loop(powers(20), output_dir=tmp_path, checkpoint_at=lambda step: step == 6).run(8)
    with pytest.raises(lk.LayerkitError, match="labeled_data of the training task ended after 4 batches"):
        slope_loop(powers(4), output_dir=tmp_path)
    loop = slope_loop(powers(20))
    loop.run(8)
    with pytest.raises(lk.LayerkitError, match="has given 8 batches, the checkpoint was taken after 6: start it anew"):
        loop.load_checkpoint(tmp_path)


def test_other_data_are_noticed(backend: str, tmp_path: Path) -> None:
    saved(tmp_path)
    with pytest.raises(lk.LayerkitError, match="the position was saved with batch_size 8, and these batches have 4"):
        lk.Loop(classifier(0.4), train_task(batches(4)), output_dir=tmp_path, log=None)
    with pytest.raises(lk.LayerkitError, match="the position was saved by another iterator"):
        lk.Loop(classifier(0.4), train_task(list(batches(epochs=1))), output_dir=tmp_path, log=None)


def test_several_tasks_go_on_too(backend: str, tmp_path: Path) -> None:
    def loop(folder: str) -> lk.Loop:
        tasks = [train_task(batches(seed=seed), every=4) for seed in (1, 2)]
        return lk.Loop(classifier(), tasks, output_dir=tmp_path / folder, log=None, learning_curve=False)

    whole = loop("whole")
    whole.run(11)
    loop("run").run(6)
    rest = loop("run")
    assert rest.step == 4
    rest.run(7)
    assert same(rest.model.weights, whole.model.weights)
    assert rest.history.to_dict() == whole.history.to_dict()


@pytest.mark.parametrize(("one", "other"), [BACKENDS, BACKENDS[::-1]])
def test_a_run_goes_on_on_the_other_backend(one: str, other: str, tmp_path: Path) -> None:
    with lk.use_backend(one):
        first = make(tmp_path)
        first.run(5)
        weights = host(first.model.weights)
    with lk.use_backend(other):
        second = make(tmp_path)
        assert same(second.model.weights, weights)
        second.run(5)
    with lk.use_backend(one):
        first.run(5)
    for a, b in zip(host(first.model.weights), host(second.model.weights), strict=True):
        onp.testing.assert_allclose(a, b, atol=1e-5)


def test_any_checkpoint_can_be_gone_back_to(backend: str, tmp_path: Path) -> None:
    loop = make(tmp_path, checkpoint_at=lambda step: step in (3, 6))
    loop.run(6)
    at_six = loop.model.weights
    loop.load_checkpoint(tmp_path / "checkpoints" / "step-00000003")
    assert (loop.step, len(loop.history.get("eval", "Accuracy"))) == (3, 1)
    loop.run(3)
    assert same(loop.model.weights, at_six)
    elsewhere = make(None)
    elsewhere.load_checkpoint(tmp_path)
    assert elsewhere.step == 6
    assert same(elsewhere.model.weights, at_six)


def test_loaded_weights_that_somebody_holds_stay(backend: str, tmp_path: Path) -> None:
    saved(tmp_path)
    loop = make(tmp_path)
    held = loop.model.weights
    copy = [array.copy() for array in host(held)]
    loop.run(3)
    assert same(held, copy)


def test_a_run_in_another_process_goes_on(tmp_path: Path) -> None:
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_checkpoint import make
import layerkit as lk
with lk.use_backend("numpy"):
    loop = make(Path({str(tmp_path)!r}) / sys.argv[1])
    loop.run(int(sys.argv[2]) - loop.step)
    print([array.tobytes().hex() for array in lk.fastmath.tree_leaves(loop.model.weights)])
"""
    outputs = [
        subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True).stdout
        for words in (["whole", "12"], ["parts", "7"], ["parts", "12"])
    ]
    assert outputs[0] == outputs[2] != outputs[1]


# -- damaged and foreign ones ----------------------------------------------------------------------------------------


def truncate(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])


def rewrite(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def replace_array(path: Path, name: str, change: Callable[[Any], Any]) -> None:
    arrays = load_file(path)
    changed = change(arrays.pop(name))
    save_file(arrays if changed is None else {**arrays, name: changed}, path)


DAMAGES: list[tuple[str, Callable[[Path], Any], str]] = [
    (
        "no manifest",
        lambda f: (f / "manifest.json").unlink(),
        "step-00000005 is no checkpoint: it has no manifest.json",
    ),
    ("empty manifest", lambda f: truncate(f / "manifest.json", 0), "manifest.json is damaged: it is no JSON"),
    ("half a manifest", lambda f: truncate(f / "manifest.json", 300), "manifest.json is damaged: it is no JSON"),
    (
        "not utf-8",
        lambda f: (f / "manifest.json").write_bytes(b"\xff\xfe{}"),
        "manifest.json is damaged: it is no JSON",
    ),
    ("nested deep", lambda f: (f / "manifest.json").write_text("[" * 10**5), "manifest.json is damaged: it is no JSON"),
    ("a list", lambda f: (f / "manifest.json").write_text("[]"), "manifest.json is not of a layerkit checkpoint"),
    (
        "other kind",
        lambda f: rewrite(f / "manifest.json", lambda m: m.update(kind="x")),
        "is not of a layerkit checkpoint",
    ),
    (
        "newer",
        lambda f: rewrite(f / "manifest.json", lambda m: m.update(format=9)),
        "format 9, this layerkit reads 1: upgrade",
    ),
    (
        "older",
        lambda f: rewrite(f / "manifest.json", lambda m: m.update(format=0)),
        "format 0, this layerkit reads 1: train",
    ),
    ("no step", lambda f: rewrite(f / "manifest.json", lambda m: m.pop("step")), "is damaged: its 'step' is None"),
    (
        "step text",
        lambda f: rewrite(f / "manifest.json", lambda m: m.update(step="5")),
        "is damaged: its 'step' is '5'",
    ),
    (
        "no sums",
        lambda f: rewrite(f / "manifest.json", lambda m: m.pop("sums")),
        "manifest.json is damaged: KeyError 'sums'",
    ),
    (
        "no slots",
        lambda f: rewrite(f / "manifest.json", lambda m: m["tensors"].pop("slots")),
        "does not list the arrays of slots",
    ),
    (
        "odd history",
        lambda f: rewrite(f / "manifest.json", lambda m: m.update(history={"train": 3})),
        "manifest.json is damaged: a history is {mode: {metric: [[step, value], ...]}}, got {'train': 3}",
    ),
    ("no weights", lambda f: (f / "weights.safetensors").unlink(), "weights.safetensors is missing"),
    (
        "a folder",
        lambda f: ((f / "slots.safetensors").unlink(), (f / "slots.safetensors").mkdir()),
        "slots.safetensors cannot",
    ),
    ("7 bytes", lambda f: truncate(f / "slots.safetensors", 7), "slots.safetensors is damaged: "),
    ("empty", lambda f: truncate(f / "state.safetensors", 0), "state.safetensors is damaged: "),
    ("cut", lambda f: truncate(f / "weights.safetensors", 600), "weights.safetensors is damaged: "),
    (
        "huge header",
        lambda f: (f / "weights.safetensors").write_bytes(b"\xff" * 7 + b"\x7f{}"),
        "weights.safetensors is damaged: ",
    ),
    (
        "a pickle",
        lambda f: (f / "weights.safetensors").write_bytes(pickle.dumps([1] * 99)),
        "weights.safetensors is damaged: ",
    ),
    (
        "array gone",
        lambda f: replace_array(f / "weights.safetensors", "3.Dense/bias", lambda a: None),
        "weights.safetensors is damaged: the array 3.Dense/bias is missing",
    ),
    (
        "array added",
        lambda f: save_file({"x": onp.ones(1)}, f / "state.safetensors"),
        "state.safetensors is damaged: the array x is {'shape': [1], 'dtype': 'float64'}, and manifest.json says None",
    ),
    (
        "transposed",
        lambda f: replace_array(f / "weights.safetensors", "0.Embedding/table", lambda a: a.T.copy()),
        "weights.safetensors is damaged: the array 0.Embedding/table is {'shape': [4, 40], 'dtype': 'float32'}, and",
    ),
    (
        "other dtype",
        lambda f: replace_array(f / "weights.safetensors", "3.Dense/bias", lambda a: a.astype("float16")),
        "weights.safetensors is damaged: the array 3.Dense/bias is {'shape': [2], 'dtype': 'float16'}, and manifest",
    ),
]


@pytest.mark.parametrize(("damage", "message"), [row[1:] for row in DAMAGES], ids=[row[0] for row in DAMAGES])
def test_damaged_checkpoints_are_refused_in_one_line(damage: Any, message: str, tmp_path: Path) -> None:
    with lk.use_backend("numpy"):
        folder = saved(tmp_path)
        damage(folder)
        with pytest.raises(lk.LayerkitError) as caught:
            make(tmp_path)
    assert message in str(caught.value)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


OTHERS: list[tuple[str, Callable[[Path], Any], str]] = [
    (
        "another width",
        lambda f: lk.Loop(classifier(0.4, width=5), train_task(), output_dir=f, log=None),
        "weights.safetensors: 0.Embedding/table is float32[40, 4], and this model has float32[40, 5]: it belongs to",
    ),
    (
        "another layer",
        lambda f: lk.Loop(classifier(), train_task(), output_dir=f, log=None),
        "weights.safetensors: the array 2.Dense/kernel of this model is missing: it belongs to another model; take",
    ),
    (
        "another optimizer",
        lambda f: lk.Loop(classifier(0.4), train_task(optimizer=optimizers.SGD(0.1)), output_dir=f, log=None),
        "slots.safetensors: the array 0/0.Embedding/table/",
    ),
    (
        "another seed",
        lambda f: make(f, random_seed=1),
        "was trained with random_seed 0, this Loop has 1",
    ),
]


@pytest.mark.parametrize(("other", "message"), [row[1:] for row in OTHERS], ids=[row[0] for row in OTHERS])
def test_checkpoints_of_others_are_refused(other: Any, message: str, backend: str, tmp_path: Path) -> None:
    folder = saved(tmp_path)
    with pytest.raises(lk.LayerkitError) as caught:
        other(tmp_path)
    assert message in str(caught.value)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_failed_load_changes_nothing(backend: str, tmp_path: Path) -> None:
    folder = saved(tmp_path / "a")
    truncate(folder / "slots.safetensors", 50)
    loop = make(None)
    loop.run(3)
    before = [array.copy() for array in host(loop.model.weights)]
    with pytest.raises(lk.LayerkitError):
        loop.load_checkpoint(tmp_path / "a")
    assert (loop.step, same(loop.model.weights, before)) == (3, True)


def test_no_checkpoint_at_all(tmp_path: Path) -> None:
    with lk.use_backend("numpy"):
        loop = make(None)
        with pytest.raises(lk.LayerkitError, match=r"nowhere: there is no checkpoint"):
            loop.load_checkpoint(tmp_path / "nowhere")
        with pytest.raises(lk.LayerkitError, match=r"is no checkpoint: it has no manifest\.json"):
            loop.load_checkpoint(tmp_path)


# -- writing ---------------------------------------------------------------------------------------------------------


def test_a_folder_that_is_a_file_or_cannot_be_made(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    with lk.use_backend("numpy"):
        with pytest.raises(lk.UsageError, match=r"output_dir .*file is a file: name a folder"):
            make(file)
        with pytest.raises(lk.LayerkitError, match=r"output_dir .*inside cannot be written to: Not a directory"):
            make(file / "inside")
        with pytest.raises(lk.LayerkitError, match=r"output_dir /proc/layerkit cannot be written to"):
            make(Path("/proc/layerkit"))
    assert file.read_text() == "x"


def test_the_home_folder_is_understood(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with lk.use_backend("numpy"):
        loop = make("~/model/")  # type: ignore[arg-type]
        assert loop.output_dir == tmp_path / "model"


OPERATIONS = [(os, "fsync"), (os, "open"), (Path, "mkdir"), (Path, "rename"), (Path, "open")]


def failing(monkeypatch: pytest.MonkeyPatch, fail_at: int) -> list[str]:
    """Makes the file operation number ``fail_at`` fail, and lists those that are made."""
    made: list[str] = []
    for owner, name in OPERATIONS:

        def failing_call(real: Any, name: str) -> Any:
            def call(*args: Any, **kwargs: Any) -> Any:
                made.append(name)
                if len(made) == fail_at:
                    raise OSError(28, "No space left on device")
                return real(*args, **kwargs)

            return call

        monkeypatch.setattr(owner, name, failing_call(getattr(owner, name), name))
    return made


@pytest.mark.parametrize("again", [False, True])
def test_whatever_operation_fails_the_old_state_or_the_new_one_is_there(
    again: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = [{kind: {"a": onp.full(3, value)} for kind in ("weights", "slots", "state")} for value in (1.0, 2.0)]
    about = {"step": 1, "history": {}, "data": {}, "random_seed": 0}
    counted = None
    for number in range(1, 100):
        parent = tmp_path / str(number)
        old, new = parent / "step-00000001", parent / ("step-00000001" if again else "step-00000002")
        checkpoint.write(old, arrays[0], about)
        with monkeypatch.context() as patch:
            made = failing(patch, number)
            said = ""
            try:
                checkpoint.write(new, arrays[1], about)
                counted = len(made) if len(made) < number else None
            except lk.LayerkitError as error:
                said = str(error)
        assert said in ("", f"the checkpoint {new} cannot be written: No space left on device")
        newest = checkpoint.newest(parent)
        assert newest is not None
        _, found = checkpoint.read(newest)
        assert {float(array["a"][0]) for array in found.values()} in ({1.0}, {2.0})
        checkpoint.write(parent / "step-00000009", arrays[0], about)
        assert [path.name for path in parent.iterdir() if path.name.startswith(".")] == []
        if counted:
            break
    assert counted
    assert counted > 10


def test_what_dead_processes_left_is_cleared_away(tmp_path: Path) -> None:
    arrays = {kind: {"a": onp.ones(1)} for kind in ("weights", "slots", "state")}
    about = {"step": 1, "history": {}, "data": {}, "random_seed": 0}
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    half, aside = tmp_path / f".step-00000003.{dead.pid}.new", tmp_path / f".step-00000002.{dead.pid}.old"
    living = tmp_path / f".step-00000004.{os.getppid()}.new"
    for folder in (half, living):
        folder.mkdir()
    checkpoint.write(tmp_path / "step-00000002", arrays, about)
    (tmp_path / "step-00000002").rename(aside)
    checkpoint.write(tmp_path / "step-00000001", arrays, about)
    assert sorted(path.name for path in tmp_path.iterdir()) == [living.name, "step-00000001", "step-00000002"]


def test_a_checkpoint_that_cannot_be_written_stops_the_run_and_the_last_one_stays(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = make(tmp_path)
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
