"""Files of one's own: every form that is read, and one plain line for every way to be wrong."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from layerkit.errors import LayerkitError, UsageError
from layerkit_plugins.sentiment import text_lines
from layerkit_plugins.sentiment.corpus import read_examples, read_file

ROWS = [(f"text number {i}", "good" if i % 2 else "bad") for i in range(10)]
CSV = "text,label\n" + "".join(f"{text},{label}\n" for text, label in ROWS)
JSONL = "".join(json.dumps({"text": text, "label": label, "id": 3}) + "\n" for text, label in ROWS)


def packed(data: bytes) -> bytes:
    """A gzip file without the time at which it was made: the names of tests hold it."""
    return gzip.compress(data, mtime=0)


def write(folder: Path, name: str, data: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8"))
    return path


# ---- files that are fine


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", CSV),
        ("a.CSV", CSV),
        ("a.tsv", CSV.replace(",", "\t")),
        ("a.tab", CSV.replace(",", "\t")),
        ("a.jsonl", JSONL),
        ("a.ndjson", JSONL),
        ("a.json", JSONL),
        ("a.csv.gz", packed(CSV.encode())),
        ("a.v2.jsonl.gz", packed(JSONL.encode())),
        ("a.csv", packed(CSV.encode())),
        ("bom.csv", b"\xef\xbb\xbf" + CSV.encode()),
        ("bom.jsonl", b"\xef\xbb\xbf" + JSONL.encode()),
        ("crlf.csv", CSV.replace("\n", "\r\n")),
        ("cr.csv", CSV.replace("\n", "\r")),
        ("crlf.jsonl", JSONL.replace("\n", "\r\n")),
        ("blank lines.csv", CSV.replace("\n", "\n\n")),
        ("blank lines.jsonl", JSONL.replace("\n", "\n\n")),
        ("no last newline.csv", CSV.rstrip("\n")),
        ("quoted.csv", CSV.replace("text number 3", '"text number 3"')),
        ("spaces.csv", CSV.replace("text,label", " text , label ").replace(",good", ", good ")),
    ],
)
def test_a_file_in_any_of_its_forms_gives_the_same(tmp_path: Path, name: str, data: str | bytes) -> None:
    corpus = read_file(write(tmp_path, name, data))
    assert list(zip(corpus.texts, corpus.labels, strict=True)) == ROWS
    assert corpus.label_names == ("bad", "good")
    assert corpus.name == name
    assert (len(corpus.train.texts), len(corpus.validation.texts), corpus.notes) == (8, 2, ())
    assert corpus.split == "20% of each class held back, chosen by a hash of the text (seed 0)"


def test_texts_keep_what_is_inside_them(tmp_path: Path) -> None:
    odd = ['a, "b"', "two\nlines", "NEL\x85 LS\u2028 VT\x0b", "NUL\0", "\U0001f600 é", "tab\there"]
    labels = ["x", "y"] * 3
    table = "text,label\n" + "".join(
        '"' + text.replace('"', '""') + f'",{label}\n' for text, label in zip(odd, labels, strict=True)
    )
    lines = "".join(
        json.dumps({"text": t, "label": y}, ensure_ascii=False) + "\n" for t, y in zip(odd, labels, strict=True)
    )
    for path in (write(tmp_path, "a.csv", table), write(tmp_path, "a.jsonl", lines)):
        assert read_file(path).texts == tuple(odd)


def test_columns_and_classes_as_asked_for(tmp_path: Path) -> None:
    path = write(tmp_path, "a.tsv", "id\tstars\treview\n1\t1\tbad\n2\t3\tso so\n3\t5\tgreat\n4\t5\tfine\n")
    corpus = read_file(path, "review", "stars", validation_fraction=0.5, seed=4)
    assert corpus.label_names == ("1", "3", "5")
    assert corpus.texts == ("bad", "so so", "great", "fine")
    assert len(corpus.validation.texts) == 1
    assert corpus.split == "50% of each class held back, chosen by a hash of the text (seed 4)"


def test_labels_in_json_may_be_numbers_and_booleans(tmp_path: Path) -> None:
    values = ["1", "true", '" 1 "', "0.5"]
    lines = "".join(f'{{"text": "{text}", "label": {value}}}\n' for text, value in zip("abcd", values, strict=True))
    assert read_file(write(tmp_path, "a.jsonl", lines)).labels == ("1", "true", "1", "0.5")


def test_rows_without_text_are_left_out_and_counted(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", CSV + ",good\n  ,bad\n")
    corpus = read_file(path)
    assert len(corpus.texts) == 10
    assert corpus.notes == (f"{path}: 2 without text left out (the first is on line 12)",)
    path = write(tmp_path, "a.jsonl", JSONL + '{"label": "good"}\n{"text": null, "label": "bad"}\n')
    assert read_file(path).notes == (f"{path}: 2 without text left out (the first is on line 11)",)


def test_a_file_to_evaluate_on_may_have_one_class_and_is_not_split(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "text,label\na,x\nb,x\n")
    assert read_examples(path) == (["a", "b"], ["x", "x"])
    assert read_examples(path, known_labels=("x", "y")).labels == ["x", "x"]


# ---- files that are wrong: one row a case

Make = Callable[[Path], Path]


def holding(name: str, data: str | bytes) -> Make:
    return lambda folder: write(folder, name, data)


def a_folder(folder: Path) -> Path:
    (folder / "data.csv").mkdir()
    return folder / "data.csv"


def a_plain_folder(folder: Path) -> Path:
    (folder / "data").mkdir()
    return folder / "data"


def a_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe.csv")
    return folder / "pipe.csv"


def a_device(folder: Path) -> Path:
    (folder / "null.csv").symlink_to("/dev/null")
    return folder / "null.csv"


def a_circle(folder: Path) -> Path:
    (folder / "a.csv").symlink_to(folder / "b.csv")
    (folder / "b.csv").symlink_to(folder / "a.csv")
    return folder / "a.csv"


def below_a_file(folder: Path) -> Path:
    return write(folder, "a.csv", CSV) / "b.csv"


PACKED = packed(CSV.encode())
HUGE = "x" * 140_000
BAD_FILES: list[tuple[str, Make, str]] = [
    ("empty", holding("a.csv", ""), "the file is empty"),
    ("empty jsonl", holding("a.jsonl", ""), "the file is empty"),
    ("empty gz", holding("a.csv.gz", packed(b"")), "the file is empty"),
    ("only a byte order mark", holding("a.csv", b"\xef\xbb\xbf"), "no row; it is empty, or holds column names only"),
    ("header only", holding("a.csv", "text,label\n"), "no row; it is empty, or holds column names only: add some"),
    ("blank lines only", holding("a.jsonl", "\n \n"), "no row; it is empty"),
    ("no text anywhere", holding("a.csv", "text,label\n,x\n ,y\n"), "no row with a text: add some"),
    (
        "Latin-1",
        holding("a.csv", CSV.encode() + b"caf\xe9,good\n"),
        "line 12 is not UTF-8 (byte 0xe9): save the file as",
    ),
    ("Latin-1, CR", holding("a.csv", b"text,label\rok,x\rcaf\xe9,y\r"), "line 3 is not UTF-8 (byte 0xe9)"),
    ("UTF-16", holding("a.csv", CSV.encode("utf-16")), "UTF-16, not UTF-8: save it as UTF-8, for example with iconv"),
    ("UTF-16 packed", holding("a.csv.gz", packed(CSV.encode("utf-16-be"))), "no column 'text'"),
    ("UTF-16 BOM packed", holding("a.csv.gz", packed(CSV.encode("utf-16"))), "UTF-16, not UTF-8"),
    ("an Excel workbook", holding("a.csv", b"PK\x03\x04 and more"), "a zip archive or an Excel workbook"),
    ("truncated gz", holding("a.csv.gz", PACKED[:-15]), "damaged gzip data after line"),
    ("half a gz", holding("a.csv.gz", PACKED[: len(PACKED) // 2]), "damaged gzip data after line"),
    ("a flipped bit in gz", holding("a.csv.gz", PACKED[:-6] + b"\0" + PACKED[-5:]), "damaged gzip data after line 11"),
    ("rubbish in gz", holding("a.csv.gz", PACKED[:10] + b"\xff" * 40), "damaged gzip data after line 0"),
    ("a gz header only", holding("a.csv.gz", PACKED[:2]), "damaged gzip data after line 0"),
    ("named gz", holding("a.csv.gz", CSV), "named .gz, but not gzip data: rename it"),
    ("one class", holding("a.csv", "text,label\na,x\nb,x\n"), "all 2 texts have the label 'x': a classifier needs two"),
    (
        "too few to split",
        holding("a.csv", "text,label\na,x\nb,y\n"),
        "no class has 2 different texts (2 rows; different texts in all: 2), so",
    ),
    (
        "a label for every text",
        holding("a.csv", "text,label\n" + "".join(f"t{i},id{i}\n" for i in range(30))),
        "30 different labels in 30 rows are hardly classes: is 'label' the column of labels?",
    ),
    ("no label", holding("a.csv", CSV + "eleven,\n"), "line 12 has no label in 'label': add it, or leave the line out"),
    ("null label", holding("a.jsonl", JSONL + '{"text": "a", "label": null}\n'), "line 11 has no label in 'label'"),
    ("label key gone", holding("a.jsonl", JSONL + '{"text": "a"}\n'), "line 11 has no label in 'label'"),
    ("ragged, long", holding("a.csv", CSV + "a, b, good\n"), "line 12 has 3 fields, the first line names 2 columns"),
    ("ragged, short", holding("a.csv", CSV + "alone\n"), "line 12 has 1 fields, the first line names 2 columns"),
    (
        "ragged after a text of two lines",
        holding("a.csv", 'text,label\n"one\ntwo",x\na,b,c\n'),
        "line 4 has 3 fields, the first line names 2 columns",
    ),
    (
        "a quote never closed",
        holding("a.csv", CSV + '"open,good\nmore,bad\n'),
        "line 12: a double quote is opened and never",
    ),
    (
        "text after a quote",
        holding("a.csv", CSV + '"so" called,good\n'),
        "line 12: text follows a closing double quote",
    ),
    ("a huge field", holding("a.csv", CSV + f'"{HUGE}",good\n'), "line 12: a field is longer than 131,072 characters"),
    ("a column twice", holding("a.csv", "text,label,text\na,x,b\n"), "2 columns are called 'text': rename the others"),
    ("bad JSON", holding("a.jsonl", JSONL + '{"text": oops}\n'), "line 11, column 10: not JSON (Expecting value)"),
    (
        "a list in JSON",
        holding("a.jsonl", JSONL + '["good"]\n'),
        'line 11 holds ["good"], not an object: write lines such',
    ),
    ("JSON of many lines", holding("a.json", json.dumps([{"text": "a"}], indent=1)), "line 1, column 2: not JSON"),
    ("deep JSON", holding("a.jsonl", "[" * 200_000 + "\n"), "line 1: not JSON (too large or too deep)"),
    ("huge number", holding("a.jsonl", '{"text": "a", "label": ' + "1" * 5000 + "}\n"), "line 1: not JSON (too large"),
    (
        "text is no string",
        holding("a.jsonl", '{"text": 5, "label": "x"}\n'),
        "line 1: 'text' holds 5, not a text in quotes",
    ),
    (
        "label is a list",
        holding("a.jsonl", '{"text": "a", "label": ["x"]}\n'),
        "line 1: the label in 'label' is [\"x\"]",
    ),
    (
        "label is no number",
        holding("a.jsonl", '{"text": "a", "label": NaN}\n'),
        "line 1: the label in 'label' is NaN: give a string or a number",
    ),
]
BAD_REQUESTS: list[tuple[str, Make, str]] = [
    ("missing", lambda folder: folder / "none.csv", "no such file: check the spelling and the folder"),
    ("a folder", a_folder, "a folder, not a file: name a file in it"),
    ("a folder without an ending", a_plain_folder, "a folder, not a file: name a file in it"),
    ("a pipe", a_pipe, "a pipe, socket or device, not a file"),
    ("a device", a_device, "a pipe, socket or device, not a file"),
    ("a circle of links", a_circle, "symbolic links that lead in a circle"),
    ("below a file", below_a_file, "part of this path is a file, not a folder"),
    ("too long a name", lambda folder: folder / ("x" * 300 + ".csv"), "the name is too long for a file"),
    ("a NUL in the name", lambda folder: folder / "a\0b.csv", "not a possible file name"),
    (
        "unknown ending",
        holding("a.parquet", CSV),
        "the ending does not say what the file is: name it .csv, .tsv or .jsonl",
    ),
    ("no ending", holding("data", CSV), "the ending does not say what the file is"),
    ("near miss", holding("a.csv", "Texts,label\na,x\n"), "no column 'text'; did you mean 'Texts'?"),
    (
        "other columns",
        holding("a.csv", "review,stars\na,5\n"),
        "no column 'text'; known: review, stars (the setting is text_column)",
    ),
    ("semicolons", holding("a.csv", "text;label\na;x\n"), "no column 'text'; are the columns separated by ';'?"),
    ("tabs", holding("a.csv", "text\tlabel\na\tx\n"), "are the columns separated by tabs? .csv is read with ','"),
    (
        "near miss in JSON",
        holding("a.jsonl", '{"txt": "a", "label": "x"}\n'),
        "line 1 has no 'text'; did you mean 'txt'?",
    ),
]


def one_line(caught: pytest.ExceptionInfo[LayerkitError], path: Path, fragment: str) -> None:
    message = str(caught.value)
    assert fragment in message
    assert path.name in message or repr(path.name)[1:-1] in message
    assert message.isprintable()


@pytest.mark.parametrize(("make", "fragment"), [case[1:] for case in BAD_FILES], ids=[case[0] for case in BAD_FILES])
def test_a_wrong_file_is_one_plain_line(tmp_path: Path, make: Make, fragment: str) -> None:
    path = make(tmp_path)
    with pytest.raises(LayerkitError) as caught:
        read_file(path)
    one_line(caught, path, fragment)
    assert caught.value.exit_code == (2 if "no column" in fragment else 1)


@pytest.mark.parametrize(
    ("make", "fragment"), [case[1:] for case in BAD_REQUESTS], ids=[case[0] for case in BAD_REQUESTS]
)
def test_a_wrong_request_is_one_plain_line(tmp_path: Path, make: Make, fragment: str) -> None:
    path = make(tmp_path)
    with pytest.raises(UsageError) as caught:
        read_file(path)
    one_line(caught, path, fragment)
    assert caught.value.exit_code == 2


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, "a.csv", CSV)

    def refuse(*given: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(text_lines, "open", refuse, raising=False)
    with pytest.raises(UsageError) as caught:
        read_file(path)
    one_line(caught, path, "no permission to read it: change that with chmod")


def test_any_other_trouble_of_the_system_is_passed_on_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, "a.csv", CSV)

    def fail(*given: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(text_lines, "open", fail, raising=False)
    with pytest.raises(LayerkitError) as caught:
        read_file(path)
    one_line(caught, path, "cannot be read (input/output error)")
    assert caught.value.exit_code == 1


def test_a_path_that_breaks_lines_is_quoted(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"two\\nlines.csv': no such file"):
        read_file(tmp_path / "two\nlines.csv")


def test_a_label_the_model_does_not_know(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", "text,label\na,positive\nb,positiv\n")
    with pytest.raises(LayerkitError) as caught:
        read_examples(path, known_labels=("negative", "positive"))
    one_line(caught, path, "line 3: the model does not know the label 'positiv'; did you mean 'positive'?")
