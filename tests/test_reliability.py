"""Short versions of benchmarks/reliability: what survives, what is noticed, and that runs leave no memory behind."""

from __future__ import annotations

import gc
import importlib.util
import os
import random
import subprocess
import sys
import textwrap
from pathlib import Path
from types import ModuleType

import pytest

import layerkit as lk

FOLDER = Path(__file__).parent.parent / "benchmarks" / "reliability"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_the_same_run_gives_the_same_bits(backend: str) -> None:
    bits = script("same_bits")
    with lk.use_backend(backend):
        here = {bits.digest(bits.trained(12)) for _ in range(2)}
    elsewhere = bits.repeated(backend, rounds=1, steps=12)
    assert here == set(elsewhere)
    assert len(here) == 1


def test_another_run_gives_other_bits() -> None:
    bits = script("same_bits")
    with lk.use_backend("numpy"):
        assert bits.digest(bits.trained(3)) != bits.digest(bits.trained(4))


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_short_runs_leave_nothing_behind(backend: str) -> None:
    """Neither loops nor layers nor arrays; what a program was made from goes with the loop, and the program with it."""
    slope = script("memory_slope")

    def left() -> tuple[int, int]:
        gc.collect()
        arrays = len(sys.modules["jax"].live_arrays()) if backend == "jax" else 0
        return sum(isinstance(thing, lk.Loop | lk.Layer) for thing in gc.get_objects()), arrays

    with lk.use_backend(backend):
        slope.short_run(0)
        before = left()
        for seed in range(1, 4):
            slope.short_run(seed)
        assert left() == before


def test_memory_does_not_grow_with_the_number_of_runs() -> None:
    with lk.use_backend("numpy"):
        assert script("memory_slope").slope("numpy", 40)[0] < 1


@pytest.mark.parametrize(
    ("value", "code", "said"),
    [("1", 0, "cpu"), ("0", 0, "cpu"), ("yes", 2, "LAYERKIT_DETERMINISTIC is 1 or 0, got 'yes'")],
)
def test_the_same_bits_on_a_gpu_are_one_variable_away(value: str, code: int, said: str) -> None:
    """XLA ends the process where it does not know a flag, so a start shows that the flag is right."""
    program = """
    import os, sys
    import layerkit as lk
    try:
        with lk.use_backend("jax"):
            print(lk.fastmath.devices()[0], os.environ.get("XLA_FLAGS", ""))
    except lk.LayerkitError as error:
        print(error)
        sys.exit(error.exit_code)
    """
    environment = {
        **os.environ,
        "LAYERKIT_DETERMINISTIC": value,
        "LAYERKIT_DEVICE": "cpu",
        "XLA_FLAGS": "--xla_dump_to=",
    }
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == code, done.stderr
    assert said in done.stdout
    assert ("--xla_dump_to= --xla_gpu_deterministic_ops=true" in done.stdout) == (value == "1")


@pytest.fixture
def _scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scripts import one another."""
    monkeypatch.syspath_prepend(FOLDER)


@pytest.mark.usefixtures("_scripts")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="runs are forked")
def test_killed_runs_go_on_as_if_nothing_had_happened() -> None:
    kill = script("kill")
    with lk.use_backend("numpy"):
        seen = kill.trials("numpy", 8, random.Random(1))
    assert (seen["kills"], seen["unrecoverable"], seen["bit-identical"]) == (8, 0, 8)
    assert seen["inside a save"] >= 4


@pytest.mark.usefixtures("_scripts")
@pytest.mark.parametrize("number", range(3))
def test_whatever_file_operation_fails_the_old_state_or_the_new_one_loads(number: int) -> None:
    disk = script("failing_disk")
    with lk.use_backend("numpy"):
        seen = disk.trials(disk.KINDS[number], every=5)
    assert seen["wrong"] == 0
    assert seen["old"] > 0
    assert seen["new"] > 0
    assert seen["operations"] > 15


@pytest.mark.usefixtures("_scripts")
def test_no_damage_is_loaded_in_silence(tmp_path: Path) -> None:
    corruption = script("corruption")
    rng, lines = random.Random(2), list[str]()
    with lk.use_backend("numpy"):
        for _, place, load in corruption.targets(tmp_path):
            for damage in (corruption.flipped, corruption.cut, corruption.spliced):
                seen = corruption.trials(place, load, damage, 40, rng, lines.append)
                assert (seen["noticed"], seen["unnamed"], lines) == (40, 0, [])


def test_what_loads_in_silence_is_counted(tmp_path: Path) -> None:
    corruption = script("corruption")
    (tmp_path / "x.json").write_text("text")
    seen = corruption.trials(tmp_path, lambda place: None, corruption.flipped, 3, random.Random(3), lambda line: None)
    assert seen["silent"] == 3


@pytest.mark.usefixtures("_scripts")
@pytest.mark.parametrize(("backend", "every"), [("numpy", 9), ("jax", 29)])
def test_a_run_stopped_at_any_step_sees_the_same_examples_and_ends_with_the_same_bits(backend: str, every: int) -> None:
    count, examples, bits = script("resume").trials(backend, every)
    assert count == examples == bits
    assert count > 2


@pytest.mark.corpus
@pytest.mark.usefixtures("_scripts")
def test_the_cost_of_checkpoints_can_be_measured(tmp_path: Path) -> None:
    """That both kinds of run work; times are for a quiet machine."""
    cost = script("checkpoint_cost")
    for run in (cost.call, cost.command):
        folders = {saves: tmp_path / f"{run.__name__} {saves}" for saves in (True, False)}
        for saves, folder in folders.items():
            assert min(run("numpy", folder, saves, 3)) > 0
        assert [(folder / "checkpoints").exists() for folder in folders.values()] == [True, False]
        assert [(folder / "run.json").exists() for folder in folders.values()] == [True, True]


@pytest.mark.usefixtures("_scripts")
@pytest.mark.parametrize("way", ["plain", "a new Loop", "one step at a time", "several steps a call, saved behind"])
def test_an_interrupt_at_any_line_of_a_run_changes_no_bit_of_it(way: str) -> None:
    lines = script("every_line")
    said: list[str] = []
    with lk.use_backend("numpy"):
        count, lost, same = lines.trials(lines.WAYS[way], stride=127, say=said.append)
    assert (lost, same) == (0, count), "\n".join(said)
    assert count > 20
