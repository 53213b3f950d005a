"""A prediction on NumPy imports what it needs and nothing else: no compiler, no training loop, no corpus."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import layerkit as lk

pytest.importorskip("nltk", reason="texts are split by NLTK")

ABSENT = [
    *("autograd jax jaxlib matplotlib nltk.corpus rich scipy tensorboardX").split(),
    *("layerkit.data layerkit.testing layerkit.training").split(),
    *(f"layerkit_plugins.sentiment.{name}" for name in "bulk corpus data_file text_cache train".split()),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("light") / "run"
    lk.train("sentiment", corpus="starter", steps=2, backend="numpy", embedding_dim=8, output=folder)
    return folder


@pytest.mark.parametrize(
    "code",
    [
        "lk.predict(run, 'good day')",
        "with lk.use_backend('numpy'): lk.load(run).predict('good day')",
        "from layerkit.cli import main; main(['predict', run, 'good day'])",
    ],
    ids=["lk.predict", "run.predict", "layerkit predict"],
)
def test_a_sentence_wakes_nothing_it_does_not_need(run: Path, code: str) -> None:
    script = (
        f"import atexit, json, sys\nimport layerkit as lk\nrun = {str(run)!r}\n"
        f"atexit.register(lambda: print(json.dumps(sorted(sys.modules))))\n{code}"
    )
    environment = {name: value for name, value in os.environ.items() if name != "LAYERKIT_BACKEND"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    modules = set(json.loads(done.stdout.splitlines()[-1]))
    assert "layerkit_plugins.backends.numpy" in modules
    assert not modules & set(ABSENT)


def test_predict_is_load_and_predict(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAYERKIT_BACKEND", raising=False)
    trained = lk.load(run)
    with lk.use_backend("numpy"):
        assert lk.predict(run, "good day") == trained.predict("good day")
        assert lk.predict(str(run), ["good day", "rain"]) == trained.predict(["good day", "rain"])
    with pytest.raises(lk.UsageError, match="cupy"):
        lk.predict(run, "good day", backend="cupy")
    monkeypatch.setenv("LAYERKIT_BACKEND", "cupy")
    with pytest.raises(lk.UsageError, match="cupy"):
        lk.predict(run, "good day")
    assert lk.predict(run, "good day", backend="numpy").label in trained.labels
    with pytest.raises(lk.UsageError, match="there is no run at 'nowhere'"):
        lk.predict("nowhere", "good day")
