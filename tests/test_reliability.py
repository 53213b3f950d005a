"""Short versions of benchmarks/reliability: the same run gives the same bits, and many runs leave no memory behind."""

from __future__ import annotations

import gc
import importlib.util
import os
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
