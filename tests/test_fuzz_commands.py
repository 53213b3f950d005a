"""Command lines that nobody thought of: an exit code that means something, and no traceback."""

from __future__ import annotations

import io
import shutil
import sys
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import layerkit as lk
from layerkit.cli import main

pytestmark = pytest.mark.fuzz

# No system hands on a NUL, nor half a character but as the escape of a byte that is not UTF-8.
LETTERS = st.one_of(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    st.characters(min_codepoint=0xDC80, max_codepoint=0xDCFF),
)
WORDS = """-1 0 1e999 nan inf 1.5 99999999999999999999 -- - --x -h --help --version . .. / ~ run lines.txt numpy jax
none starter sentiment Dense MLP layerkit --json --steps --seed --output --backend --data --corpus --overwrite --file
--devices --only --strict --timing""".split()
ODD = st.one_of(st.text(LETTERS, max_size=12), st.sampled_from(["", "two\nlines", *WORDS]))
COMMANDS = st.sampled_from(
    [
        [], ["train"], ["train", "sentiment", "--data", "none.csv"], ["evaluate"], ["predict"], ["predict", "run"],
        ["summary"], ["summary", "Dense"], ["backends"], ["plugins"], ["plugins", "list"], ["plugins", "commands"],
        ["plugins", "check"],
    ]
)  # fmt: skip
LINES = st.tuples(COMMANDS, st.lists(ODD, max_size=4)).map(lambda parts: [*parts[0], *parts[1]])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzz")
    lk.train("sentiment", corpus="starter", steps=1, embedding_dim=2, backend="numpy", output=folder / "run")
    (folder / "lines.txt").write_text("one day\nanother\n")
    return folder


@settings(max_examples=settings.default.max_examples // 2, suppress_health_check=list(HealthCheck))
@given(arguments=LINES)
@example(arguments=["predict", "run", "\udcff"])
@example(arguments=["evaluate", "run", "--data", ""])
@example(arguments=["summary", ""])
@example(arguments=["plugins", "check", ""])
def test_any_command_line_ends_with_a_code_and_a_line(
    arguments: list[str],
    home: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "here"
    shutil.copytree(home, folder, dirs_exist_ok=True)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a text\n")))
    capsys.readouterr()
    with warnings.catch_warnings():
        code = main(arguments)
    said = capsys.readouterr()
    assert code in (0, 1, 2), arguments
    assert "Traceback" not in said.err
    assert "LAYERKIT_DEBUG" not in said.err, said.err
    if code == 2 and not said.err.startswith("Usage"):
        (line,) = said.err.splitlines()
        assert line.startswith("layerkit: ")
