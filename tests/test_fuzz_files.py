"""Data files that nobody thought of: read, or refused in one line with the file's name."""

from __future__ import annotations

import csv
import gzip
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from layerkit.errors import LayerkitError
from layerkit_plugins.sentiment.corpus import read_examples, read_file

pytestmark = pytest.mark.fuzz

ENDINGS = st.sampled_from([".csv", ".tsv", ".jsonl", ".csv.gz", ".jsonl.gz", ".tab", ".json", ".txt", ""])
PIECES = st.sampled_from(
    [b"text", b"label", b",", b"\t", b"\n", b"\r\n", b"\r", b'"', b'""', b"\0", b"{", b"}", b'"text": ', b'"label": ']
    + [b"x", b"y", b"caf\xc3\xa9", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\x1f\x8b", b"PK\x03\x04", b"[", b"1e999"]
    + [b"NaN", b"null", b"\\ud800", b" ", b";", b"\xe2\x80\xa8", b'{"text": "a", "label": "x"}\n', b"text,label\n"]
)
BYTES = st.one_of(st.binary(max_size=80), st.lists(PIECES, max_size=40).map(b"".join))


def read(name: str, data: bytes, how: Callable[[Path], object]) -> object:
    """What a reader makes of a file; ``None`` where it refuses it, in a line as it should be."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(data)
        try:
            return how(path)
        except LayerkitError as error:
            message = str(error)
            assert message.isprintable(), message
            assert name in message
            assert len(message) < 800
            return None


@given(BYTES, ENDINGS, st.booleans())
@example(b"text,label\n" + b'"' * 3, ".csv", False)
def test_any_bytes_are_read_or_refused(data: bytes, ending: str, packed: bool) -> None:
    name = f"data{ending}"
    found = read(name, gzip.compress(data, mtime=0) if packed else data, read_examples)
    if found is not None:
        texts, labels = found  # type: ignore[misc]
        assert len(texts) == len(labels) > 0
        assert all(text.strip() for text in texts)
        assert all(label and label == label.strip() for label in labels)


@given(BYTES, st.integers(0, 200), st.integers(1, 255))
def test_a_damaged_archive_is_read_or_refused(data: bytes, place: int, flip: int) -> None:
    packed = bytearray(gzip.compress(b"text,label\n" + data, mtime=0))
    packed[place % len(packed)] ^= flip
    read("data.csv.gz", bytes(packed), read_examples)
    read("data.csv.gz", bytes(packed[: place % len(packed)]), read_examples)


TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).filter(str.strip)
ROWS = st.lists(st.tuples(TEXT, st.sampled_from(["x", "y", "é z"])), min_size=1, max_size=8)


@given(ROWS, st.sampled_from([",", "\t"]), st.sampled_from(["\n", "\r\n"]))
def test_what_a_csv_writer_wrote_is_read(rows: list[tuple[str, str]], delimiter: str, end: str) -> None:
    file = io.StringIO()
    csv.writer(file, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(
        [("text", "label"), *rows]
    )
    name = "data.csv" if delimiter == "," else "data.tsv"
    texts, labels = read(name, file.getvalue().encode(), read_examples)  # type: ignore[misc]
    assert list(zip(texts, labels, strict=True)) == rows


@given(st.lists(st.tuples(st.text(st.characters(), min_size=1, max_size=20).filter(str.strip), st.sampled_from("xy"))))
def test_what_a_json_writer_wrote_is_read(rows: list[tuple[str, str]]) -> None:
    data = "".join(json.dumps({"label": label, "text": text}) + "\n" for text, label in rows)
    found = read("data.jsonl", data.encode(), read_examples)
    assert found is None if not rows else list(zip(*found, strict=True)) == rows  # type: ignore[misc]


@given(ROWS)
def test_a_file_that_can_be_split_is_split(rows: list[tuple[str, str]]) -> None:
    data = "".join(json.dumps({"label": label, "text": text}) + "\n" for text, label in rows)
    corpus = read("data.jsonl", data.encode(), read_file)
    if corpus is not None:
        assert set(corpus.label_names) == {label for _, label in rows}  # type: ignore[attr-defined]
        assert not set(corpus.train.texts) & set(corpus.validation.texts)  # type: ignore[attr-defined]
