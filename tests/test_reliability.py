"""Short versions of benchmarks/reliability: the same run gives the same bits, and many runs leave no memory behind."""

from __future__ import annotations

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


@pytest.mark.parametrize(("backend", "runs"), [("numpy", 60), ("jax", 10)])
def test_short_runs_leave_little_memory_behind(backend: str, runs: int) -> None:
    """A few runs, not five hundred: programs kept by each would show all the same."""
    code = f"import memory_slope; print(memory_slope.slope({backend!r}, {runs})[0])"
    path = os.pathsep.join([str(FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert float(done.stdout) < 1, done.stdout


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
