"""Checkpoints: what is in them, which of them stay, and that runs go on from them as if nothing had been."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as onp
import pytest
from safetensors.numpy import load_file
from training_setups import (
    BACKENDS,
    Slope,
    batches,
    classifier,
    full_loop,
    host,
    powers,
    same,
    saved,
    slope_loop,
    total,
    train_task,
    trained_on,
)

import layerkit as lk
from layerkit import layers as tl
from layerkit import optimizers
from layerkit.training import checkpoint

# -- what is in one --------------------------------------------------------------------------------------------------


def test_what_a_checkpoint_holds(backend: str, tmp_path: Path) -> None:
    loop = full_loop(tmp_path, random_seed=3)
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
    assert (manifest["format"], manifest["step"], manifest["random_seed"]) == (2, 5, 3)
    assert (manifest["backend"], manifest["layerkit"]) == (backend, lk.__version__)
    assert manifest["plugins"]["layerkit"] == lk.__version__
    assert manifest["optimizers"] == ["Adam(learning_rate=0.01)"]
    assert manifest["identity"]["model"][2].startswith("Serial/1.Mean: Mean, ")
    assert manifest["tensors"]["weights"]["0.Embedding/table"] == {
        "shape": [40, 4],
        "dtype": "float32",
        "sha256": hashlib.sha256(weights["0.Embedding/table"].tobytes()).hexdigest(),
    }
    assert [step for step, _ in manifest["history"]["train"]["CrossEntropyLoss"]] == [1, 5]
    assert manifest["data"]["positions"][0]["batch"] == 5


def test_the_last_ones_are_kept(backend: str, tmp_path: Path) -> None:
    loop = full_loop(tmp_path, keep_checkpoints=2, checkpoint_at=lambda step: True)
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


# -- going on --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stops", [(1,), (5,), (10,), (5, 6, 10), (1, 2, 3, 12)])
def test_a_run_that_was_stopped_ends_with_the_same_bits(stops: tuple[int, ...], backend: str, tmp_path: Path) -> None:
    undisturbed = full_loop(tmp_path / "undisturbed")
    undisturbed.run(14)
    for stop in stops:
        loop = full_loop(tmp_path / "run", checkpoint_at=lambda step, stop=stop: step == stop)
        loop.run(stop + 1 - loop.step)  # the step after the checkpoint is lost
    last = full_loop(tmp_path / "run")
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


def test_a_list_of_batches_knows_where_it_was(backend: str, tmp_path: Path) -> None:
    undisturbed = slope_loop(list(powers(4)))
    undisturbed.run(11)
    slope_loop(list(powers(4)), output_dir=tmp_path, checkpoint_at=lambda step: step == 6).run(8)
    lines: list[str] = []
    loop = slope_loop(list(powers(4)), output_dir=tmp_path, log=lines.append)
    loop.run(5)
    assert float(loop.model.weights) == float(undisturbed.model.weights)
    assert lines == []


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
    said = (
        "labeled_data of the training task: the position was saved with batch_size 8, and these batches have 4: "
        "go on with the data as they were, or start anew"
    )
    with pytest.raises(lk.LayerkitError, match=said):
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
        first = full_loop(tmp_path / "one")
        first.run(5)
        weights = host(first.model.weights)
        shutil.copytree(tmp_path / "one", tmp_path / "other")
        first.run(5)
    with lk.use_backend(other):
        second = full_loop(tmp_path / "other")
        assert same(second.model.weights, weights)
        second.run(5)
    for a, b in zip(host(first.model.weights), host(second.model.weights), strict=True):
        onp.testing.assert_allclose(a, b, atol=1e-5)


def test_any_checkpoint_can_be_gone_back_to(backend: str, tmp_path: Path) -> None:
    loop = full_loop(tmp_path, checkpoint_at=lambda step: step in (3, 6))
    loop.run(6)
    at_six = loop.model.weights
    loop.load_checkpoint(tmp_path / "checkpoints" / "step-00000003")
    assert (loop.step, len(loop.history.get("eval", "Accuracy"))) == (3, 1)
    loop.run(3)
    assert same(loop.model.weights, at_six)
    elsewhere = full_loop(None)
    elsewhere.load_checkpoint(tmp_path)
    assert elsewhere.step == 6
    assert same(elsewhere.model.weights, at_six)


def test_loaded_weights_that_somebody_holds_stay(backend: str, tmp_path: Path) -> None:
    saved(tmp_path)
    loop = full_loop(tmp_path)
    held = loop.model.weights
    copy = [array.copy() for array in host(held)]
    loop.run(3)
    assert same(held, copy)


def test_a_run_in_another_process_goes_on(tmp_path: Path) -> None:
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from training_setups import full_loop
import layerkit as lk
with lk.use_backend("numpy"):
    loop = full_loop(Path({str(tmp_path)!r}) / sys.argv[1])
    loop.run(int(sys.argv[2]) - loop.step)
    print([array.tobytes().hex() for array in lk.fastmath.tree_leaves(loop.model.weights)])
"""
    outputs = [
        subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True).stdout
        for words in (["whole", "12"], ["parts", "7"], ["parts", "12"])
    ]
    assert outputs[0] == outputs[2] != outputs[1]


# -- which of them stay ----------------------------------------------------------------------------------------------


def measured(values: list[float], folder: Path, **options: Any) -> lk.Loop:
    """A loop that saves at every step, and measures these values, one a step."""
    data = [(onp.ones(1, onp.float32), onp.array([value], onp.float32)) for value in values]
    metrics = [lk.Fn("Accuracy", lambda y, target: target.sum()), lk.Fn("Loss", lambda y, target: -target.sum())]
    every = {"eval_at": lambda step: True, "checkpoint_at": lambda step: True}
    return slope_loop(powers(20), eval_tasks=lk.EvalTask(data, metrics), output_dir=folder, **every, **options)


def kept(folder: Path) -> list[int]:
    return checkpoint.steps(folder / "checkpoints")


@pytest.mark.parametrize(
    ("best", "values", "stay"),
    [
        (None, [1, 9, 2, 3, 4], [5]),
        ("Accuracy", [1, 9, 2, 3, 4], [2, 5]),
        ("Accuracy", [1, 9, 2, 9, 4], [2, 5]),
        ("Accuracy", [1, 2, 3, 4, 5], [5]),
        ("Accuracy", [onp.nan, 3, 2, onp.nan, onp.nan], [2, 5]),
        ("-Loss", [1, 9, 2, 3, 4], [2, 5]),
        ("-Accuracy", [3, 9, 1, 2, 4], [3, 5]),
    ],
)
@pytest.mark.parametrize("background", [False, True])
def test_the_best_one_stays_too(
    best: str | None, values: list[float], stay: list[int], background: bool, tmp_path: Path
) -> None:
    with lk.use_backend("numpy"):
        options: dict[str, Any] = {"keep_checkpoints": 1, "keep_best": best, "save_in_background": background}
        measured(values, tmp_path, **options).run(3)
        measured(values, tmp_path, **options).run(2)
    assert kept(tmp_path) == stay


@pytest.mark.parametrize(
    ("best", "message"),
    [
        ("Acuracy", "keep_best: no evaluation task has a metric 'Acuracy'; did you mean 'Accuracy'"),
        ("-", "keep_best: no evaluation task has a metric ''"),
        (3, "keep_best is a metric's name, such as 'Accuracy' or '-CrossEntropyLoss', got 3"),
    ],
)
def test_a_best_that_cannot_be_told(best: Any, message: str, tmp_path: Path) -> None:
    with lk.use_backend("numpy"), pytest.raises(lk.UsageError, match=message):
        measured([1.0], tmp_path, keep_best=best)


def test_a_run_that_went_back_goes_on_from_there(backend: str, tmp_path: Path) -> None:
    """What came after is of a run that is no more: a restart must not find it."""
    loop = full_loop(tmp_path, checkpoint_at=lambda step: step in (3, 6))
    loop.run(6)
    loop.load_checkpoint(tmp_path / "checkpoints" / "step-00000003")
    assert kept(tmp_path) == [3, 6]
    loop.run(1)
    loop.save_checkpoint()
    assert kept(tmp_path) == [3, 4]
    assert full_loop(tmp_path).step == 4


# -- one process at a time -------------------------------------------------------------------------------------------


def test_two_processes_do_not_train_into_one_folder(tmp_path: Path) -> None:
    with lk.use_backend("numpy"):
        loop = full_loop(tmp_path)
        loop.run(1)
        code = "import sys; from pathlib import Path; from layerkit.files.lock import locked\n"
        code += "with locked(Path(sys.argv[1])): print(flush=True); sys.stdin.read()"
        command = [sys.executable, "-c", code, str(tmp_path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout is not None
            other.stdout.readline()
            for attempt in (lambda: full_loop(tmp_path), lambda: loop.run(1), loop.save_checkpoint):
                with pytest.raises(lk.LayerkitError, match=f"is in use by process {other.pid} on .*: wait"):
                    attempt()
            other.kill()
        loop.run(1)
        assert loop.step == 2
