"""Many texts into words: the same from the disk, from several processes and from one; whatever happens to either."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from at_line import every_line
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("nltk", reason="texts are split by NLTK")

from layerkit.cache_folder import cache_folder
from layerkit.errors import LayerkitError, LayerkitWarning, UsageError
from layerkit_plugins.sentiment import bulk, processed, text, text_cache, text_workers
from layerkit_plugins.sentiment.bulk import process
from layerkit_plugins.sentiment.processed import Processed, from_bytes, in_one, process_here, to_bytes
from layerkit_plugins.sentiment.text import process_tweet
from layerkit_plugins.sentiment.vocabulary import build_vocabulary, tweet_to_tensor

TEXTS = ["good day @bob", "", "a day off\n\ud800 :)", "not good", "GOOD good", "call 555 0199 . . ."]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where processed texts are kept in these tests."""
    monkeypatch.setenv("LAYERKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "text"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many texts were split into words, each time some were."""
    numbers: list[int] = []

    def counting(texts: list[str], keep_stop_words: bool = False) -> Processed:
        numbers.append(len(texts))
        return process_here(texts, keep_stop_words)

    monkeypatch.setattr(bulk, "process_here", counting)
    return numbers


def words(of: Processed) -> list[list[str]]:
    starts = [0, *of.ends.tolist()]
    return [[of.words[place] for place in of.places[a:b]] for a, b in zip(starts, of.ends.tolist(), strict=False)]


def same(one: Processed, other: Processed) -> bool:
    return one.words == other.words and all(
        mine.dtype == theirs.dtype and np.array_equal(mine, theirs)
        for mine, theirs in zip(one[1:], other[1:], strict=True)
    )


# Texts as numbers ----------------------------------------------------------------------------------------------------


@given(st.lists(st.text(max_size=20), max_size=8), st.booleans(), st.integers(0, 8))
@settings(max_examples=60)
def test_the_words_of_many_texts_are_those_of_each(texts: list[str], keep: bool, cut: int) -> None:
    whole = process_here(texts, keep)
    assert words(whole) == [process_tweet(text, keep) for text in texts]
    assert same(in_one([process_here(texts[:cut], keep), process_here(texts[cut:], keep)]), whole)
    assert same(from_bytes(to_bytes(whole)), whole)
    n_train = min(cut, len(texts))
    vocabulary = build_vocabulary([whole.words_of_first(n_train)])
    assert vocabulary == build_vocabulary([process_tweet(text, keep) for text in texts[:n_train]])
    assert whole.ids(vocabulary) == [tweet_to_tensor(process_tweet(text, keep), vocabulary) for text in texts]


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(UsageError, match="a text must be a string, got None"):
        process(["good", None])  # type: ignore[list-item]


# On disk -------------------------------------------------------------------------------------------------------------


def test_texts_are_processed_once(folder: Path, made: list[int]) -> None:
    first, second = process(TEXTS), process(TEXTS)
    assert same(first, second)
    assert same(first, process_here(TEXTS))
    assert made == [len(TEXTS)]
    (kept,) = folder.iterdir()
    assert kept.stat().st_mode & 0o077 == 0, "words of somebody's texts are for nobody else"


@pytest.mark.parametrize(
    "again",
    [
        lambda patch: process(TEXTS, keep_stop_words=True),
        lambda patch: process(TEXTS[::-1]),
        lambda patch: process([*TEXTS, ""]),
        lambda patch: process(["good da", "y @bob", *TEXTS[1:]]),
        lambda patch: (patch.setattr(text_cache, "_version", lambda name: f"{name}-another.dist-info"), process(TEXTS)),
        lambda patch: (patch.setattr(text_cache, "_CODE", ("text.py",)), process(TEXTS)),
    ],
    ids=["setting", "order", "one more", "other bounds", "another NLTK", "other code"],
)
def test_what_has_a_say_in_the_words_makes_another_file(
    again: object, made: list[int], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process(TEXTS)
    again(monkeypatch)  # type: ignore[operator]
    assert len(made) == 2
    assert len(list(folder.iterdir())) == 2


def test_versions_are_found_without_importing_nltk() -> None:
    code = (
        "import sys; from layerkit_plugins.sentiment.text_cache import _versions, _version\n"
        "print(_version('nltk'), _version('no such library'), 'nltk-' in _versions(), 'nltk' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    name, *rest = done.stdout.split()
    assert name.startswith("nltk-")
    assert rest == ["None", "True", "False"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes()[:-1] + b"\1"),
        lambda path: path.write_bytes(b"\0" + path.read_bytes()[1:]),
        lambda path: path.write_bytes(b"not what was written, and longer than a digest is, by some bytes"),
        lambda path: (path.unlink(), path.mkdir()),
    ],
    ids=["empty", "cut off", "a bit", "the digest", "something else", "a folder"],
)
def test_a_damaged_file_is_made_again(damage: object, folder: Path, made: list[int]) -> None:
    process(TEXTS)
    (path,) = folder.iterdir()
    damage(path)  # type: ignore[operator]
    assert words(process(TEXTS)) == [process_tweet(text) for text in TEXTS]
    assert made == [len(TEXTS)] * 2
    assert len(list(folder.iterdir())) == 1, "no draft is left"
    if path.is_file():
        process(TEXTS)
        assert made == [len(TEXTS)] * 2


@pytest.mark.parametrize("value", ["off", "OFF", "{tmp}/a file", "{tmp}/a file/below", "~nobody-of-that-name/x"])
def test_without_a_folder_nothing_is_kept(
    value: str, tmp_path: Path, made: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a file").write_text("")
    monkeypatch.setenv("LAYERKIT_CACHE", value.format(tmp=tmp_path))
    assert same(process(TEXTS), process(TEXTS))
    assert made == [len(TEXTS)] * 2
    assert [path.name for path in tmp_path.iterdir()] == ["a file"]


def test_the_folder_of_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_folder("text") == tmp_path / "cache" / "text"
    monkeypatch.delenv("LAYERKIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder("text") == tmp_path / "layerkit" / "text"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder("text") == Path.home() / ".cache" / "layerkit" / "text"


def test_the_files_used_last_stay(folder: Path, monkeypatch: pytest.MonkeyPatch, made: list[int]) -> None:
    process(["one"])
    (path,) = folder.iterdir()
    monkeypatch.setattr(text_cache, "MOST_BYTES", 2 * path.stat().st_size)
    (folder / "draft-of-the-dead").write_bytes(b"x")
    for age, name in enumerate(("draft-of-the-dead", path.name)):
        os.utime(folder / name, (age, age))
    process(["one"])  # used now
    process(["two"])
    process(["one"])
    process(["six"])
    assert len(list(folder.iterdir())) == 2
    process(["one"])
    assert made == [1, 1, 1], "what was used last is there"


def test_two_processes_at_once(folder: Path) -> None:
    code = (
        "from layerkit_plugins.sentiment.bulk import process\n"
        "for n in range(200): assert process([f'good {n % 5}']).words == ['good', str(n % 5)]"
    )
    running = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
    assert [one.wait() for one in running] == [0, 0]
    assert len(list(folder.iterdir())) == 5


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # a list of files not read to its end
def test_an_interrupt_at_any_line_leaves_no_half_written_file(folder: Path) -> None:
    for where in every_line({text_cache.__file__, tempfile.__file__}, lambda: process(TEXTS)):
        files = [path for path in folder.glob("*") if path.name.startswith("draft-")]
        assert files == [], where
        assert same(process(TEXTS), process_here(TEXTS)), where
        for path in folder.iterdir():
            path.unlink()


def test_that_a_text_is_cut_is_said_though_it_was_processed_before() -> None:
    long = ["good " * 3000]
    for _ in range(2):
        text._say_that_texts_are_cut.cache_clear()
        with pytest.warns(LayerkitWarning, match="only the first 10,000 characters"):
            assert len(process(long).places) == 2000


# In several processes ------------------------------------------------------------------------------------------------


def test_several_processes_find_the_same(monkeypatch: pytest.MonkeyPatch, made: list[int], folder: Path) -> None:
    texts = [*TEXTS, *(f"day {n} of {n % 7} weeks" for n in range(1500))]
    assert same(process(texts, keep_stop_words=True, n_workers=3), process_here(texts, True))
    assert made == [], "this process had nothing to split"
    assert len(list(folder.iterdir())) == 1
    process(TEXTS, n_workers=3)
    assert made == [len(TEXTS)], "a few texts are not worth a process"


def test_a_script_without_a_guard_can_use_several(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "print('once')\n"
        "from layerkit_plugins.sentiment.bulk import process\n"
        "print(len(process([f'day {n}' for n in range(1500)], n_workers=2).words))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, env=environment)
    assert (done.stdout.split(), done.stderr) == (["once", "1500"], "")  # "1111" is shortened to "111"


def failing(monkeypatch: pytest.MonkeyPatch, statement: str) -> None:
    real = subprocess.Popen

    def popen(command: list[str], **options: object) -> subprocess.Popen[bytes]:
        return real([*command[:-1], f"import sys, os; {statement}"], **options)  # type: ignore[call-overload]

    monkeypatch.setattr(text_workers.subprocess, "Popen", popen)


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("sys.exit('no NLTK here')", "no NLTK here"),
        ("os.kill(os.getpid(), 9)", "it ended with -9"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
    ],
    ids=["an error of ours", "killed", "an error of Python's"],
)
def test_a_process_that_fails_is_one_line(statement: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, statement)
    with pytest.raises(LayerkitError) as caught:
        text_workers.process_in_workers(["a"] * 4, False, 2)
    message = f"a process that splits texts into words failed ({why}): 0 of them does the work without"
    assert str(caught.value) == message


def test_processes_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def popen(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(text_workers.subprocess, "Popen", popen)
    with pytest.raises(LayerkitError, match=r"2 processes .* cannot be started \(resource temporarily unavailable\)"):
        text_workers.process_in_workers(["a"] * 4, False, 2)


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is another thing there")
def test_ctrl_c_ends_all_of_them(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    code = f"""
        import subprocess, sys, time
        from layerkit_plugins.sentiment import text_workers
        real = subprocess.Popen
        slow = "import os, pathlib, time; pathlib.Path({str(marks)!r}, str(os.getpid())).touch(); time.sleep(60)"
        text_workers.subprocess.Popen = lambda command, **options: real([*command[:-1], slow], **options)
        try:
            text_workers.process_in_workers(["a"] * 4, False, 2)
        except KeyboardInterrupt:
            print("interrupted")
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 30
    while len(list(marks.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    assert child.communicate(timeout=30) == ("interrupted\n", "")
    for mark in marks.iterdir():
        with pytest.raises(ProcessLookupError):
            os.kill(int(mark.name), 0)


def test_a_worker_s_errors_are_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise LayerkitError("no words today")

    monkeypatch.setattr(text_workers, "process_here", refuse)
    monkeypatch.setattr(text_workers.json, "load", lambda file: {})
    monkeypatch.setattr(text_workers.warnings, "simplefilter", lambda kind: None)
    with pytest.raises(SystemExit, match="no words today"):
        text_workers.main()
    assert processed.process_here is process_here
