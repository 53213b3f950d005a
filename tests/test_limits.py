"""Memory and disk: what cannot fit is refused before it begins, and what runs out says what to try."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as onp
import pytest
from training_setups import classifier, train_task

import layerkit as lk
from layerkit import layers as tl
from layerkit import optimizers
from layerkit.cli import main
from layerkit.engine.plain_words import in_plain_words
from layerkit.fastmath import memory
from layerkit.fastmath import numpy as np
from layerkit.fastmath.memory import MemoryShortageError

TB = 10**12


def small(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    """A machine with so little memory, where every size is looked at."""
    monkeypatch.setattr(memory, "free_memory", lambda: free)
    monkeypatch.setattr(memory, "_SMALL", 0)


def test_a_table_that_cannot_fit_is_refused_before_it_is_made(backend: str) -> None:
    with pytest.raises(lk.LayerkitError) as caught:
        tl.Serial(tl.Embedding(10**10, 256), tl.Mean(axis=1)).init(lk.i32(2, 3))
    assert "Embedding_10000000000_256: random." in str(caught.value)
    assert "an array of shape (10000000000, 256) takes 10.2 TB of memory, and " in str(caught.value)
    assert memory.REMEDY in str(caught.value)


def test_a_run_that_cannot_fit_is_refused_before_the_first_step(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = classifier(width=1000)  # 40 rows, 160 KB; the slots of Adam take twice as much
    small(monkeypatch, 600_000)
    with pytest.raises(MemoryShortageError) as caught:
        lk.Loop(model, train_task(), log=None)
    assert str(caught.value).startswith("training holds at least 67")
    assert "KB of memory, and 600.0 KB are free: make the model smaller, or take an optimizer with" in str(caught.value)
    assert "(weights 168.0 KB, slots 336.0 KB, a batch " in str(caught.value)
    lk.Loop(classifier(width=1000), train_task(optimizer=optimizers.SGD(0.1)), log=None).run(1)


def test_checkpoints_that_cannot_fit_are_refused_before_the_first_step(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=10_000))
    with pytest.raises(lk.LayerkitError) as caught:
        lk.Loop(classifier(width=20), train_task(), output_dir=tmp_path, log=None)
    assert str(caught.value) == (
        f"{tmp_path}: checkpoints take 40.4 KB (4 of 10.1 KB), and 10.0 KB are free on that disk: make room, keep "
        "fewer (keep_checkpoints), or name another output_dir"
    )
    assert list(tmp_path.iterdir()) == []
    lk.Loop(classifier(width=2), train_task(), output_dir=tmp_path, keep_checkpoints=1, log=None, learning_curve=False)


def huge() -> lk.Layer:
    return tl.Fn("Huge", lambda x: x.sum() + np.zeros((10**6, 10**7)))


def test_memory_that_runs_out_in_a_layer_is_said_in_the_same_way(backend: str) -> None:
    with pytest.raises(lk.LayerError) as caught:
        tl.Serial(huge())(onp.ones((2, 3), onp.float32))
    amount = "36.4 TiB for an array of shape (1000000, 10000000)" if backend == "numpy" else "40.0 TB at once"
    assert str(caught.value).startswith(f"Serial > 0:Huge: out of memory: {amount}; its input is (2, 3)")


def test_memory_that_runs_out_in_a_step_says_when_and_what_to_try(backend: str) -> None:
    def sorted_zeros(x: Any) -> Any:
        many = 10**6 if x.shape[0] == 3 else 1
        row = np.arange(many) * x.sum()
        return np.sort(row[:, None] * np.arange(10 * many), axis=0)

    loss = lk.Fn("Total", lambda y, target: y.sum())
    data = [(onp.ones((rows, 3), onp.float32), onp.ones(rows, onp.float32)) for rows in (2, 2, 3)]
    loop = lk.Loop(tl.Fn("Huge", sorted_zeros), lk.TrainTask(data, loss, optimizers.SGD(0.1)), log=None)
    with pytest.raises(MemoryShortageError) as caught:
        loop.run(5)
    assert re.match(r"by step [345]: ", str(caught.value))  # the device may be a step behind
    assert "out of memory: " in str(caught.value)
    assert str(caught.value).endswith(f"; {memory.REMEDY}")


def test_on_the_command_line_as_well(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def full(*args: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr("layerkit.plugins.registry.backend_names", full)
    assert main(["backends"]) == 1
    assert capsys.readouterr().err == f"layerkit: out of memory: an array could not be made; {memory.REMEDY}\n"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "an array could not be made"),
        (MemoryError("Unable to allocate 1.5 GiB for an array with shape (2, 3) and data type float32"), "1.5 GiB for"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 37.25GiB."), "37.25GiB at once"),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 2048 bytes"), "2.0 KB at once"),
        (RuntimeError("INTERNAL: something"), ""),
    ],
)
def test_what_is_said_of_a_shortage(error: Exception, said: str) -> None:
    assert memory.shortage(error).startswith(said)
    assert bool(memory.shortage(error)) == bool(said)
    assert in_plain_words(error).startswith("out of memory: " if said else "RuntimeError")
    wrapped = ValueError("outer")
    wrapped.__cause__ = error
    assert memory.shortage(wrapped) == memory.shortage(error)


def test_other_errors_are_left_alone() -> None:
    with pytest.raises(KeyError), memory.explained(lambda: "never"):
        raise KeyError("scale")


def test_free_memory_is_that_of_the_machine_or_of_the_container(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    free = memory.free_memory()
    assert free is None or 0 < free < 100 * TB
    monkeypatch.setattr(memory, "_limits", lambda: iter([1000]))
    assert memory.free_memory() == 1000
    monkeypatch.setattr(memory, "_limits", lambda: iter(()))
    monkeypatch.setattr(memory, "_available", lambda: None)
    assert memory.free_memory() is None
    memory.check_room("anything takes", 2**80)  # where the system does not say, nothing is refused


def test_another_device_has_its_own_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    small(monkeypatch, 1)
    monkeypatch.setattr(memory, "on_cpu", lambda: False)
    memory.check_room("anything takes", 2**80)
