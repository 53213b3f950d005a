"""The backend in docs/examples/layerkit-torch: it uses public names alone and, where torch is installed, is right."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import layerkit as lk
from layerkit.testing import check_backend

SOURCES = Path(__file__).parents[1] / "docs" / "examples" / "layerkit-torch" / "src"
MODULES = sorted((SOURCES / "layerkit_torch").glob("*.py"))


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SOURCES)
    torch = pytest.importorskip("torch", reason="PyTorch is installed in an environment of its own: see .ci/run")
    # Threads that wait for each other take many times as long on a busy machine.
    torch.set_num_threads(1)
    import layerkit_torch

    return layerkit_torch  # type: ignore[no-any-return]


def _imports(path: Path) -> list[tuple[str, str]]:
    """Every (module, name) that a file imports."""
    found: list[tuple[str, str]] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.extend((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.extend((node.module or "", alias.name) for alias in node.names)
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_it_imports_public_names_alone(path: Path) -> None:
    for module, name in _imports(path):
        top = module.partition(".")[0]
        assert top != "layerkit_plugins", f"{path.name} imports {module}"
        if top == "layerkit":
            assert not any(part.startswith("_") for part in (*module.split("."), name)), f"{module}.{name} is private"
            public = getattr(__import__(module, fromlist=["__all__"]), "__all__", ())
            assert not name or name in public, f"{name} is not in {module}.__all__"


def test_naming_it_does_not_import_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(sys.modules)
    monkeypatch.syspath_prepend(SOURCES)
    import layerkit_torch

    assert [f.__name__ for f in layerkit_torch.layerkit_backends()] == ["torch"]
    assert not {name for name in set(sys.modules) - before if name.partition(".")[0] == "torch"}


@pytest.mark.torch
def test_it_passes_the_kit(package: ModuleType) -> None:
    report = check_backend(package.torch)
    assert report.ok, str(report)
    assert len(report.results) >= 60


@pytest.mark.torch
def test_it_trains_as_numpy_does(package: ModuleType) -> None:
    pytest.importorskip("nltk", reason="texts are split by NLTK")
    check_backend(package.torch, only=["it_starts"])  # registers it, where it is not installed
    settings: dict[str, Any] = {"corpus": "starter", "steps": 60, "learning_rate": 0.02, "embedding_dim": 32}
    ours, wanted = (lk.train("sentiment", backend=name, **settings).metrics for name in ("torch", "numpy"))
    assert ours["accuracy"] == wanted["accuracy"]
    assert ours["loss"] == pytest.approx(wanted["loss"], rel=1e-4)
