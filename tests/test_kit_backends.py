"""The kit for backends: every planted fault is caught by the check meant for it (``test_backends.py``: who passes)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from mutants.backends import MUTANTS, sound

import layerkit as lk
from layerkit.plugins import registry
from layerkit.testing import conformance
from layerkit.testing.backend_case import BACKENDS
from layerkit.testing.backends import check_backend

pytest.importorskip("jax", reason="backends are compared where jax is installed")

EXPENSIVE = {"gradients_agree", "gradients_are_slopes"}


@pytest.mark.parametrize(("make", "name"), MUTANTS, ids=lambda value: getattr(value, "__name__", value))
def test_a_planted_fault_is_caught(make: Callable[[], Any], name: str) -> None:
    (result,) = check_backend(make, only=[name]).results
    assert (result.name, result.status) == (name, "failed"), result.message


def test_the_same_without_a_fault_passes() -> None:
    report = check_backend(sound, only=[name for name in BACKENDS.names() if name not in EXPENSIVE])
    assert report.ok, str(report)
    assert not report.skipped


def test_every_check_catches_something() -> None:
    assert {name for _, name in MUTANTS} == set(BACKENDS.names())
    assert len(BACKENDS.checks) >= 25


def test_a_backend_without_vmap_is_let_off() -> None:
    def no_vmap() -> Any:
        backend = sound()

        def refuse(*_: Any) -> Any:
            raise NotImplementedError("this backend maps with fastmath.map")

        backend.name, backend.vmap = "no_vmap", refuse
        return backend

    (result,) = check_backend(no_vmap, only=["vmap_equals_one_by_one"]).results
    assert (result.status, result.message) == ("skipped", "it has no vmap: this backend maps with fastmath.map")


def test_unknown_backends_are_refused() -> None:
    with pytest.raises(lk.UsageError, match="unknown backend 'nunpy': did you mean 'numpy'"):
        check_backend("nunpy")


def test_a_backend_that_does_not_start() -> None:
    def stalls() -> Any:
        raise RuntimeError("no device")

    report = check_backend(stalls)
    assert [result.name for result in report.failed] == ["it_starts"]
    assert report.failed[0].message.startswith("backend 'stalls' does not start: RuntimeError: no device")
    assert {result.message for result in report.skipped} == {"it_starts failed"}


def test_a_function_that_gives_no_backend() -> None:
    def forgets() -> Any:
        """Another backend would compute in its place, and nobody would know."""

    report = check_backend(forgets)
    assert [result.name for result in report.failed] == ["it_starts"]
    said = "backend 'forgets' does not start: None is returned, which has no name"
    assert report.failed[0].message == said
    with pytest.raises(lk.LayerkitError, match=said), lk.use_backend("forgets"):
        pass


def test_the_decorator_gives_a_test_for_each_check() -> None:
    @conformance("numpy", kind="backend")
    def test_numpy() -> None:
        """The reference keeps every rule."""

    (mark,) = test_numpy.pytestmark
    assert mark.args == ("check", BACKENDS.names())
    test_numpy("has_every_member")


def test_the_reference_where_it_is_the_only_one(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = registry.missing_modules
    monkeypatch.setattr(
        registry,
        "missing_modules",
        lambda made: ("jax",) if getattr(made, "__name__", "") == "jax" else missing(made),
    )
    report = check_backend("numpy")
    assert report.ok, str(report)
    reasons = {result.message for result in report.skipped}
    assert reasons == {"no other backend is installed to compare with", "no other backend is installed to stand beside"}
    assert report.ran > 50
