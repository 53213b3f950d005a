"""Every bad input of the tables: one line that names the thing, the right exit code, and nothing half-written."""

from __future__ import annotations

import math
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as onp
import pytest
from bad_inputs import checkpoints, commands, construction, files, layers, plugins, texts
from bad_inputs.case import Case

import layerkit as lk
from layerkit.errors import LayerkitWarning
from layerkit_plugins.sentiment import text as texts_module


def each(cases: list[Case]) -> Any:
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


def outcome(act: Callable[[], Any]) -> tuple[int, str, Any]:
    """(exit code, message, result)."""
    try:
        return 0, "", act()
    except lk.LayerkitError as error:
        message = str(error)
        assert message.isprintable(), message
        assert len(message) < 600
        return error.exit_code, message, None


def check(case: Case, act: Callable[[], Any]) -> tuple[str, Any]:
    code, message, result = outcome(act)
    assert code == case.code, message
    if case.code:
        assert case.says in message
    return message, result


def test_there_are_a_hundred_and_fifty() -> None:
    rooms = [checkpoints, commands, construction, files, layers, plugins, texts]
    assert sum(len(room.CASES) for room in rooms) >= 150
    for room in rooms:
        assert len({case.name for case in room.CASES}) == len(room.CASES)


@each(layers.CASES)
def test_arrays_that_a_layer_is_given(case: Case) -> None:
    found = []
    for backend in ("numpy", "jax"):
        with lk.use_backend(backend):
            message, result = check(case, case.act)
            found.append((message, lk.fastmath.to_host(result)))
    (text, left), (other, right) = found
    assert text == other
    if not case.code:
        assert (left.dtype, left.shape) == (right.dtype, right.shape)
        assert onp.allclose(left, right, rtol=1e-5, atol=1e-6)


@each(construction.CASES)
def test_layers_that_are_made_wrongly(case: Case) -> None:
    _, result = check(case, case.act)
    assert bool(case.code) != bool(result)


@pytest.fixture(scope="module")
def run() -> Any:
    """A classifier that knows a few words."""
    return lk.train("sentiment", corpus="starter", steps=2, backend="numpy", embedding_dim=4)


@each(texts.CASES)
def test_texts(case: Case, run: Any, tmp_path: Path) -> None:
    with lk.use_backend("numpy"), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        texts_module._say_that_texts_are_cut.cache_clear()
        start = time.process_time()
        _, predictions = check(case, lambda: run.predict(case.act(tmp_path)))
        assert time.process_time() - start < 5
    if case.code:
        return
    for prediction in predictions if isinstance(predictions, list) else [predictions]:
        assert prediction.label in run.labels
        assert 0 < prediction.score <= 1
        assert sum(map(math.exp, prediction.log_probs)) == pytest.approx(1, abs=1e-5)
        if case.says in (texts.NO_WORD, texts.UNKNOWN):
            assert prediction.note == case.says
    assert {warning.category for warning in caught} <= {LayerkitWarning}
    assert case.says != texts.CUT or str(caught[0].message).startswith(texts.CUT)


def listing(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@each(files.CASES)
def test_data_files(case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(case, lambda: case.act(tmp_path))
    if case.code:
        assert "run" not in listing(tmp_path)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a trained run and a file of lines."""
    folder = tmp_path_factory.mktemp("commands")
    lk.train(
        "sentiment", corpus="starter", steps=2, batch_size=2, backend="numpy", embedding_dim=4, output=folder / "run"
    )
    (folder / "lines.txt").write_text("one day\nanother\n")
    return folder


@pytest.fixture
def shell(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[commands.Shell]:
    # Not below pytest's own folder, into which nobody but its owner may look.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(home, folder, dirs_exist_ok=True)
        folder.chmod(0o755)
        monkeypatch.chdir(folder)
        yield commands.Shell(folder, monkeypatch, capsys)
        folder.chmod(0o755)


@each(commands.CASES)
def test_commands(case: Case, shell: commands.Shell) -> None:
    before = listing(shell.folder)
    done = case.act(shell)
    assert done.code == case.code, done.err
    lines = done.err.splitlines()
    if case.code in (0, 141):
        assert not any(line.startswith("layerkit: ") for line in lines), done.err
        return
    if case.code != 130:
        assert listing(shell.folder) == before
    if case.says.startswith("Usage"):
        assert lines[0].startswith(case.says)
        return
    assert len(lines) == 1, done.err
    assert lines[0].startswith("layerkit: ")
    assert case.says in lines[0]
    assert lines[0].isprintable()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> plugins.World:
    return plugins.world(tmp_path_factory.mktemp("plugins"))


@each(plugins.CASES)
def test_plugins(case: Case, world: plugins.World) -> None:
    code, text = case.act(world)
    assert code == case.code, text
    assert case.says in text
    assert len(text.splitlines()) <= 1


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoints.saved(tmp_path_factory.mktemp("saved")).folder


@each(checkpoints.CASES)
def test_checkpoints(case: Case, whole: Path, tmp_path: Path) -> None:
    saved = checkpoints.Saved(Path(shutil.copytree(whole, tmp_path / "saved")))
    with lk.use_backend("numpy"):
        _, result = check(case, lambda: case.act(saved))
    assert bool(case.code) != bool(result)
