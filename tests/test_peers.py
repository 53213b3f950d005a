"""benchmarks/peers: the frameworks that need no installation agree, and the page says what was measured."""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import layerkit as lk

ROOT = Path(__file__).parent.parent
PEERS = ROOT / "benchmarks" / "peers"
NAMES = ("jobs", "frameworks", "measure", "report")


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a module of benchmarks/peers, for the time of a test."""
    monkeypatch.syspath_prepend(str(PEERS))
    yield importlib.import_module
    for name in [name for name in sys.modules if name.partition(".")[0] in NAMES]:
        del sys.modules[name]


def small(peers: Any, name: str) -> Any:
    return dataclasses.replace(peers("jobs").JOBS[name], vocabulary=40, width=8, batch=4)


def test_training_by_hand_and_with_layerkit_gives_the_same_losses(peers: Any) -> None:
    job = small(peers, "train-16")
    losses = {}
    for backend in ("numpy", "jax"):
        with lk.use_backend(backend):
            run = peers("frameworks.with_layerkit").train(job)
            losses[backend] = [run(1), run(3), run(1)]
    for module in ("by_hand_numpy", "by_hand_jax"):
        run = peers(f"frameworks.{module}").train(job)
        losses[module] = [run(1), run(3), run(1)]
    assert losses["numpy"][0] != losses["numpy"][1] != losses["numpy"][2]
    for found in losses.values():
        assert np.allclose(found[::2], losses["numpy"][::2], rtol=1e-5), losses
    assert losses["by_hand_jax"][1] == pytest.approx(losses["by_hand_numpy"][1], rel=1e-5)


def test_predictions_by_hand_and_with_layerkit_are_the_same(peers: Any) -> None:
    job = small(peers, "predict-256")
    ids = job.batches(1)[0][0]
    by_hand = peers("frameworks.by_hand_numpy").predict(job)(ids)
    assert np.allclose(np.exp(by_hand).sum(1), 1)
    assert np.allclose(peers("frameworks.by_hand_jax").predict(job)(ids), by_hand, atol=1e-6)
    for backend in ("numpy", "jax"):
        with lk.use_backend(backend):
            ours = peers("frameworks.with_layerkit")
            assert np.allclose(ours.predict(job)(ids), by_hand, atol=1e-6)
            assert np.allclose(ours.predict_by_run(job)(ids), by_hand, atol=1e-6)


def test_a_row_with_other_losses_is_marked(peers: Any) -> None:
    row = {
        "n": 5,
        "wall_ms": [2.0, 3.0, 4.0],
        "cpu_ms": [1.0] * 3,
        "others": [0.0] * 3,
        "proof": [0.7, 0.6],
        "versions": {"jax": "1"},
    }
    other = row | {"proof": [0.7, 0.57], "versions": {"torch": "2"}, "wall_ms": [4.0, 6.0, 8.0]}
    missing = {"missing": "not there yet"}
    table = peers("report").tables({"train-16": {"rows": {"torch-sparse": other, "plain": row, "layerkit": missing}}})
    assert "| JAX by hand (jax 1) | `plain` | 3 ms [2 ms, 4 ms] | 1 ms | 1 | yes |" in table
    marked = "| PyTorch, SparseAdam (torch 2) | `torch-sparse` | 6 ms [4 ms, 8 ms] | 1 ms | 2.00 [2.00, 2.00] | no, "
    assert f"{marked}5.0e-02 apart |" in table
    assert "layerkit on JAX: not there yet." in table


def test_the_page_shows_what_was_measured(peers: Any) -> None:
    text = (ROOT / "docs" / "peers.md").read_text(encoding="utf-8")
    results = json.loads((PEERS / "results.json").read_text(encoding="utf-8"))
    assert text == peers("report").page(text, results)
    for name, framework in peers("frameworks").FRAMEWORKS.items():
        assert f"| `{name}` |" in text or framework.models == "", name


@pytest.mark.slow
def test_a_job_is_measured_in_turns(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text('{"lstm": {"rows": {}}}')
    command = [sys.executable, str(PEERS / "run.py"), "train-16", "--frameworks", "plain-numpy", "--json", str(file)]
    done = subprocess.run([*command, "--rounds", "3", "--seconds", "0.02"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = json.loads(file.read_text())
    assert results["lstm"] == {"rows": {}}, "a job that was not measured stays"
    rows = results["train-16"]["rows"]
    assert set(rows) == {"plain", "plain-numpy"}
    assert all(len(row["wall_ms"]) == 3 and min(row["wall_ms"]) > 0 for row in rows.values())
    assert rows["plain"]["proof"] == pytest.approx(rows["plain-numpy"]["proof"], rel=1e-4)
    assert done.stdout.count("| yes |") == 2


def test_every_benchmark_is_in_the_index() -> None:
    folder = ROOT / "benchmarks"
    paths = {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in folder.rglob("*.py")}
    scripts = [path for path, text in paths.items() if f"python benchmarks/{path}" in text.partition("\nimport ")[0]]
    assert {"peers/run.py", "train_step.py"} <= set(scripts)
    listed = re.findall(r"^\| `(\S+)` \|", (folder / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(scripts)
