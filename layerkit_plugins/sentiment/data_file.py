"""Labelled texts from a file of one's own: CSV, TSV or JSON lines, packed with gzip or not."""

from __future__ import annotations

import csv
import functools
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from layerkit.errors import LayerkitError, UsageError, suggest
from layerkit_plugins.sentiment.examples import Corpus, Examples, held_back_by_hash
from layerkit_plugins.sentiment.text_lines import read_lines, shown

__all__ = ["read_examples", "read_file"]


class _Row(NamedTuple):
    line: int
    text: str
    label: str


def read_file(
    path: str | os.PathLike[str],
    text_column: str = "text",
    label_column: str = "label",
    *,
    validation_fraction: float = 0.2,
    seed: int = 0,
) -> Corpus:
    """A corpus from a file with a column of texts and a column of labels; two classes or more.

    The ending says what the file is: ``.csv``, ``.tsv``, ``.jsonl`` (or ``.ndjson``, ``.json`` with an object a line),
    each also with ``.gz``. CSV and TSV start with a line of column names. Labels are strings, without spaces at
    their ends, and the classes are in alphabetical order. About ``validation_fraction`` of each class is held back,
    chosen by a hash of the text and ``seed``; equal texts stay on one side (``held_back_by_hash``).

    Raises:
        UsageError: the ending or a column is not known.
        LayerkitError: the file cannot be read, a line of it is wrong, or its labels are no classes.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "days.csv")
    >>> _ = path.write_text("text,label\\ngood day,+\\nfine day,+\\nbad day,-\\nlong day,-\\n")
    >>> corpus = read_file(path)
    >>> corpus.label_names, len(corpus.train.texts), len(corpus.validation.texts)
    (('+', '-'), 2, 2)
    """
    name = shown(path)
    examples, notes = _read(path, text_column, label_column, None)
    label_names = tuple(sorted(set(examples.labels)))
    if len(label_names) < 2:
        raise LayerkitError(
            f"{name}: all {len(examples.labels)} texts have the label {_short(repr(label_names[0]))}: "
            "a classifier needs two classes"
        )
    if len(label_names) > max(20, len(examples.labels) // 2):
        raise LayerkitError(
            f"{name}: {len(label_names)} different labels in {len(examples.labels)} rows are hardly classes: "
            f"is {label_column!r} the column of labels?"
        )
    try:
        held_back = held_back_by_hash(examples.texts, examples.labels, validation_fraction, seed)
    except UsageError:
        raise
    except LayerkitError as error:
        raise LayerkitError(f"{name}: {error}") from error
    split = f"{validation_fraction:.0%} of each class held back, chosen by a hash of the text (seed {seed})"
    return Corpus(Path(path).name, tuple(examples.texts), tuple(examples.labels), label_names, held_back, split, notes)


def read_examples(
    path: str | os.PathLike[str],
    text_column: str = "text",
    label_column: str = "label",
    known_labels: Sequence[str] | None = None,
) -> Examples:
    """The texts and labels of a file, in its order and without a split: for evaluating a model that exists.

    Rows without text are left out. With ``known_labels``, any other label is an error that names its line.

    Raises: as ``read_file``, which says what files may look like.
    """
    return _read(path, text_column, label_column, known_labels)[0]


def _read(
    path: str | os.PathLike[str], text_column: str, label_column: str, known_labels: Sequence[str] | None
) -> tuple[Examples, tuple[str, ...]]:
    name = shown(path)
    rows = _reader(path)(path, text_column, label_column)
    texts: list[str] = []
    labels: list[str] = []
    without_text: list[int] = []
    for row in rows:
        if not row.label:
            raise LayerkitError(
                f"{name}: line {row.line} has no label in {label_column!r}: add it, or leave the line out"
            )
        if known_labels is not None and row.label not in known_labels:
            raise LayerkitError(
                f"{name}: line {row.line}: the model does not know the label {_short(repr(row.label))}; "
                f"{suggest(row.label, known_labels)}"
            )
        if not row.text.strip():
            without_text.append(row.line)
            continue
        texts.append(row.text)
        labels.append(row.label)
    if not texts:
        rest = " with a text" if without_text else "; it is empty, or holds column names only"
        raise LayerkitError(f"{name}: no row{rest}: add some")
    return Examples(texts, labels), _note(name, without_text)


def _note(name: str, without_text: Sequence[int]) -> tuple[str, ...]:
    if not without_text:
        return ()
    return (f"{name}: {len(without_text)} without text left out (the first is on line {without_text[0]})",)


_Reader = Callable[["str | os.PathLike[str]", str, str], Iterator[_Row]]


def _reader(path: str | os.PathLike[str]) -> _Reader:
    endings = [ending.lower() for ending in Path(path).suffixes]
    if endings[-1:] == [".gz"]:
        endings.pop()
    ending = endings[-1] if endings else ""
    if ending in {".jsonl", ".ndjson", ".json"}:
        return _json_rows
    if ending == ".csv":
        return functools.partial(_table_rows, delimiter=",")
    if ending in {".tsv", ".tab"}:
        return functools.partial(_table_rows, delimiter="\t")
    if not Path(path).is_dir():
        raise UsageError(
            f"{shown(path)}: the ending does not say what the file is: name it .csv, .tsv or .jsonl (and .gz after it)"
        )
    return _json_rows  # a folder: opening it says so


def _table_rows(path: str | os.PathLike[str], text_column: str, label_column: str, delimiter: str) -> Iterator[_Row]:
    name = shown(path)
    columns: list[str] | None = None
    for line, fields in _records(path, delimiter):
        if columns is None:
            columns = [field.strip() for field in fields]
            at_text = _column(name, "text_column", text_column, columns)
            at_label = _column(name, "label_column", label_column, columns)
            continue
        if len(fields) != len(columns):
            raise LayerkitError(
                f"{name}: line {line} has {len(fields)} fields, the first line names {len(columns)} columns: "
                "put a text that holds the separator into double quotes"
            )
        yield _Row(line, fields[at_text], fields[at_label].strip())


def _records(path: str | os.PathLike[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    # csv counts lines as it takes them in, so a record starts one line after the previous one's end.
    records = csv.reader((line for _, line in read_lines(path)), delimiter=delimiter, strict=True)
    while True:
        first_line = records.line_num + 1
        try:
            fields = next(records)
        except StopIteration:
            return
        except csv.Error as error:
            raise LayerkitError(f"{shown(path)}: {_csv_fault(str(error), first_line)}") from error
        if fields:
            yield first_line, fields


def _csv_fault(error: str, line: int) -> str:
    if "end of data" in error:
        return f"line {line}: a double quote is opened and never closed: close it, or write two for one in a text"
    if "field limit" in error:
        return f"line {line}: a field is longer than {csv.field_size_limit():,} characters: is a quote left open?"
    if "expected after" in error:
        return f"line {line}: text follows a closing double quote: write two double quotes for one in a text"
    return f"line {line}: not CSV ({error}): write the file anew with a CSV writer"


def _column(name: str, setting: str, wanted: str, columns: Sequence[str]) -> int:
    if columns.count(wanted) > 1:
        raise LayerkitError(f"{name}: {columns.count(wanted)} columns are called {wanted!r}: rename the others")
    if wanted not in columns:
        raise UsageError(f"{name}: no column {wanted!r}; {_hint(wanted, columns)} (the setting is {setting})")
    return columns.index(wanted)


def _hint(wanted: str, columns: Sequence[str]) -> str:
    if len(columns) == 1:
        for separator, called in ((";", "';'"), ("\t", "tabs"), (",", "','"), ("|", "'|'")):
            if separator in columns[0]:
                return f"are the columns separated by {called}? .csv is read with ',' and .tsv with tabs"
    return suggest(wanted, [_short(column if column.isprintable() else repr(column)) for column in columns])


def _json_rows(path: str | os.PathLike[str], text_column: str, label_column: str) -> Iterator[_Row]:
    name = shown(path)
    first = True
    for number, line in read_lines(path):
        if not line.strip():
            continue
        record = _json_object(name, number, line)
        for column in (text_column, label_column):
            if first and column not in record:  # on later lines it is a text or a label that is missing
                raise UsageError(f"{name}: line {number} has no {column!r}; {suggest(column, record)}")
        first = False
        text = record.get(text_column)
        if text is not None and not isinstance(text, str):
            raise LayerkitError(
                f"{name}: line {number}: {text_column!r} holds {_short(json.dumps(text))}, not a text in quotes: "
                "is it the column of texts?"
            )
        yield _Row(number, text or "", _json_label(name, number, record.get(label_column), label_column))


def _json_object(name: str, number: int, line: str) -> Mapping[str, object]:
    try:
        record = json.loads(line.rstrip())
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "msg", None) or "too large or too deep"
        column = f", column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        raise LayerkitError(f"{name}: line {number}{column}: not JSON ({reason}): one object a line is due") from error
    if not isinstance(record, dict):
        raise LayerkitError(
            f"{name}: line {number} holds {_short(line.strip())}, not an object: "
            'write lines such as {"text": "good day", "label": "positive"}'
        )
    return record


def _json_label(name: str, number: int, label: object, column: str) -> str:
    if label is None or isinstance(label, str):
        return (label or "").strip()
    if isinstance(label, (bool, int)) or (isinstance(label, float) and math.isfinite(label)):
        return json.dumps(label)
    raise LayerkitError(
        f"{name}: line {number}: the label in {column!r} is {_short(json.dumps(label))}: give a string or a number"
    )


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."
