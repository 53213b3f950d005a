"""What backends tell about themselves: stages of compiling, costs of programs, memory, versions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as onp
import pytest

import layerkit as lk
from layerkit.fastmath import Backend, measures
from layerkit.fastmath import numpy as np
from layerkit.testing import check_backend


@pytest.fixture(params=["numpy", "jax"])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    if request.param == "jax":
        pytest.importorskip("jax")
    with lk.use_backend(request.param) as backend:
        yield backend


def test_figures_keep_the_rules_of_the_kit(backend: Backend) -> None:
    report = check_backend(backend.name, only=["figures_are_plain"])
    assert report.ok, str(report)


def test_versions_are_told(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLA_FLAGS", "--some_flag")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    found = measures.environment(backend)
    assert found[backend.name][0].isdecimal()
    assert found.get("XLA_FLAGS") == ("--some_flag" if backend.name == "jax" else None)
    assert found.get("OMP_NUM_THREADS") == ("3" if backend.name == "numpy" else None)


def test_the_memory_of_a_call_holds_what_goes_in_and_what_comes_out(backend: Backend) -> None:
    program = backend.jit(lambda x: np.matmul(x, x))
    x = backend.to_device(onp.ones((128, 128), onp.float32))
    cost = measures.program_cost(backend, program, x)
    assert 2 * 4 * 128**2 <= cost["memory"] < 5 * 4 * 128**2


def test_a_product_of_matrices_costs_what_it_does() -> None:
    pytest.importorskip("jax")
    with lk.use_backend("jax") as backend:
        program, x = backend.jit(lambda x: np.matmul(x, x)), backend.to_device(onp.ones((64, 64), onp.float32))
        cost = measures.program_cost(backend, program, x)
    assert cost["flops"] == pytest.approx(2 * 64**3, rel=0.01)
    assert cost["bytes"] >= 2 * 4 * 64**2


def test_stages_inside_of_others_count_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("jax")
    from layerkit_plugins.backends.jax import measures as own

    trace, compiled = "/jax/core/compile/jaxpr_trace_duration", "/jax/core/compile/backend_compile_duration"
    clock = iter([10.0, 11.0, 12.0, 20.0])
    monkeypatch.setattr(own, "_spent", {})
    monkeypatch.setattr(own.time, "perf_counter", lambda: next(clock))
    told: list[tuple[str, float]] = [(trace, 1.0), (trace, 0.5), (trace, 5.0), ("/jax/other", 9.0), (compiled, 3.0)]
    for event, seconds in told:
        own.note(event, seconds)
    assert own.compile_seconds() == {"trace": 5.0, "compile": 3.0}


def test_a_backend_that_tells_nothing_is_asked_in_vain() -> None:
    silent: Any = object()
    assert measures.compile_seconds(silent) == measures.memory_stats(silent) == measures.environment(silent) == {}
    assert measures.program_cost(silent, len, ()) == {}
