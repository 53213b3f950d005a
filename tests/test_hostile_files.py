"""Files from strangers do nothing: no code is read from one, and loading one imports, runs and opens nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
FORBIDDEN_MODULES = {
    "pickle",
    "cPickle",
    "_pickle",
    "marshal",
    "shelve",
    "dill",
    "cloudpickle",
    "joblib",
    "yaml",
    "jsonpickle",
}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}


def faults(source: str) -> Iterator[str]:
    """What a source file does that could run what a data file says."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names = {(node.module or "").partition(".")[0]}
        else:
            names = set()
        yield from (f"imports {name}" for name in names & FORBIDDEN_MODULES)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS:
            yield f"calls {node.func.id}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            called, given = ast.unparse(node.func), {keyword.arg for keyword in node.keywords}
            if called in ("np.load", "onp.load", "numpy.load") and "allow_pickle" not in given:
                yield f"calls {called}, and does not say what it allows"
            if called in ("builtins.eval", "builtins.exec", "torch.load"):
                yield f"calls {called}"
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle" and ast.unparse(node.value) != "False":
            yield "allows pickles"


@pytest.mark.parametrize("package", ["layerkit", "layerkit_plugins"])
def test_no_code_is_ever_read_from_a_data_file(package: str) -> None:
    files = sorted((TESTS.parent / package).rglob("*.py"))
    assert len(files) > 30
    assert {str(file): list(found) for file in files if (found := list(faults(file.read_text("utf-8"))))} == {}


@pytest.mark.parametrize(
    "source",
    ["import pickle", "from marshal import loads", "eval('1')", "import yaml.nodes", "np.load(f)", "f(allow_pickle=x)"],
)
def test_what_could_run_data_is_seen(source: str) -> None:
    assert list(faults(source))


def test_loading_hostile_files_imports_runs_and_opens_nothing(tmp_path: Path) -> None:
    pytest.importorskip("nltk", reason="texts are split by NLTK")
    done = subprocess.run(
        [sys.executable, str(TESTS / "hostile_loads.py"), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    first, refused, *noted = done.stdout.splitlines()
    assert (first.split(), noted) == (["checkpoint", "run", "weights"], [])
    assert int(refused.split()[0]) >= 100
    assert not Path("/tmp/layerkit-was-here").exists()
