"""Names and texts of anybody, and a terminal: nothing that is printed moves its cursor or turns its words."""

from __future__ import annotations

import sys
import unicodedata
import warnings
from pathlib import Path
from typing import Any

import pytest

import layerkit as lk
from layerkit.bench.svg import element, text
from layerkit.cli import main
from layerkit.errors import LayerkitWarning, printable, warn
from layerkit.training.log import line

NAUGHTY = "a\x1b[2J\x1b]0;title\x07\r\n\x08\x7f\x9b31m\x85\u202eb\u2066\u200f\u2028c"


def calm(said: str) -> bool:
    """Whether a terminal would show it as it is: no control character but the end of a line, no mark of direction."""
    return all(
        char == "\n" or unicodedata.category(char) not in ("Cc", "Zl", "Zp") and char not in "\u202e\u2066\u200f"
        for char in said
    )


def test_what_a_terminal_would_act_on_is_an_escape() -> None:
    assert not calm(NAUGHTY)
    assert calm(printable("".join(map(chr, range(0x2100)))))
    assert printable("caf\xe9 \u4f60 \U0001f468\u200d\U0001f469") == "caf\xe9 \u4f60 \U0001f468\u200d\U0001f469"


@pytest.mark.parametrize("kind", [lk.LayerkitError, lk.UsageError, lk.LayerError, LayerkitWarning])
def test_messages(kind: type[Exception]) -> None:
    assert str(kind(f"file {NAUGHTY}: missing")).startswith(r"file a\x1b[2J\x1b]0;title\x07  \x08\x7f\x9b31m \u202eb")
    assert calm(str(kind(NAUGHTY)))
    assert "\n" not in str(kind(NAUGHTY))


def test_warnings_logs_and_pages() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn(NAUGHTY)
    assert calm(str(caught[0].message))
    assert calm(line(1, "train", NAUGHTY, 0.5))
    assert calm(text(NAUGHTY))
    assert calm(element("p", title=NAUGHTY))


def test_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    label = NAUGHTY.replace("\n", "").replace("\r", "")
    data = Path(f"{label}.tsv")
    data.write_text("text\tlabel\n" + f"good day {label}\t{label}\nbad day\tbad\nfine day\t{label}\nsad day\tbad\n")
    options = ["--steps", "1", "--batch-size", "2", "--embedding-dim", "4", "--backend", "numpy", "--output", label]
    said = []

    def run(code: int, *arguments: str) -> None:
        assert main(arguments) == code
        out, err = capfd.readouterr()
        assert out or err
        said.extend([out, err])

    with warnings.catch_warnings():
        run(0, "train", "sentiment", "--data", str(data), *options)
        run(0, "predict", label, f"good {label}", NAUGHTY)
        run(0, "evaluate", label)
        run(2, "evaluate", NAUGHTY)
        run(1, "evaluate", label, "--data", str(other(data)))
        run(2, "train", NAUGHTY)
        run(2, NAUGHTY)
        run(2, "predict", label, NAUGHTY, "--backend", NAUGHTY)
        run(2, "train", "sentiment", "--data", NAUGHTY)
        run(2, "train", "sentiment", "--model", NAUGHTY)
        run(2, "train", "sentiment", "--data", str(data), "--text-column", NAUGHTY)
        run(2, "bench", NAUGHTY)
        run(2, "bench", "Relu", "--sizes", NAUGHTY)
        run(2, "bench", "Relu", "--compare", NAUGHTY)
        run(2, "summary", NAUGHTY)
        run(2, "plugins", "new", NAUGHTY)
        run(2, "plugins", "check", NAUGHTY)
        run(0, "plugins", "new", "mine", "--output", label + "2")
    assert [line for line in said if not calm(line)] == []
    assert repr(label)[1:6] in "".join(said)


def other(data: Path) -> Path:
    """A file with a label that the model does not know."""
    more = data.with_name(f"more {data.name}")
    more.write_text(data.read_text().replace("\tbad", "\tb\x1b[7mad"))
    return more


def test_what_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    from layerkit.cli.bench import _progress

    shown: list[str] = []

    class Terminal:
        def isatty(self) -> bool:
            return True

        def fileno(self) -> int:
            return 2

        def write(self, words: str) -> None:
            shown.append(words)

        def flush(self) -> None:
            pass

    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setattr("os.get_terminal_size", lambda *a: type("Size", (), {"columns": 80}))
    with _progress() as show:
        show(NAUGHTY)
    words: Any = "".join(shown).replace("\r", "")
    assert calm(words)
