"""``layerkit predict RUN``: texts from the command line, a file or standard input."""

from __future__ import annotations

import contextlib
import json
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

import click

from layerkit.cli.path import PATH
from layerkit.cli.say import say
from layerkit.errors import LayerkitError, UsageError, os_reason, printable
from layerkit.recipe import Prediction
from layerkit.run_file import read_run_file
from layerkit.runs import load, prediction_backend

__all__ = ["command"]

_AT_ONCE = 256
_BLOCK = 1 << 16
_LONGEST = 16 << 20


@click.command()
@click.argument("run", type=PATH)
@click.argument("texts", nargs=-1, metavar="[TEXT]...")
@click.option("--file", type=PATH, metavar="FILE", help="Label the lines of FILE ('-': standard input).")
@click.option("--backend", metavar="NAME", help="Backend to compute on.  [default: LAYERKIT_BACKEND, or numpy]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line: text, label, score.")
def command(run: Path, texts: tuple[str, ...], file: Path | None, backend: str | None, as_json: bool) -> None:
    """Label texts with a trained run.

    RUN is the folder that 'layerkit train' wrote. Without TEXT and --file, the lines of standard input are labelled; so
    is TEXT '-'. Write '--' before a TEXT that begins with a dash.
    """
    from layerkit.fastmath import use_backend

    if texts and file is not None:
        raise UsageError("predict takes TEXT or --file, not both")
    if texts == ("-",):
        texts, file = (), Path("-")
    read_run_file(run)  # before any backend is started
    with use_backend(prediction_backend(backend)):
        trained = load(run)
        for chunk in _chunks_of(texts) if texts else _chunks(file):
            predictions = trained.predict(chunk)
            lines = map(_as_json, chunk, predictions) if as_json else _as_lines(chunk, predictions)
            say("\n".join(lines))


def _chunks_of(texts: Sequence[str]) -> Iterator[list[str]]:
    """Texts in lists short enough to be one batch."""
    for start in range(0, len(texts), _AT_ONCE):
        yield list(texts[start : start + _AT_ONCE])


def _chunks(file: Path | None) -> Iterator[list[str]]:
    """The lines of a file or of standard input, as they come in."""
    name = "standard input" if file in (None, Path("-")) else repr(str(file))
    number = 0
    with _opened(file) as stream:
        for lines in _lines(stream, name):
            texts = [_decoded(line, f"{name}, line {number + i}") for i, line in enumerate(lines, start=1)]
            if number == 0:
                texts[0] = texts[0].removeprefix("\ufeff")
            number += len(lines)
            yield from _chunks_of(texts)
    if number == 0:
        raise UsageError(f"{name} holds no text: give one a line, or as TEXT")


def _opened(file: Path | None) -> AbstractContextManager[BinaryIO]:
    if file is None or file == Path("-"):
        if sys.stdin is None:
            raise UsageError("standard input is closed: give TEXT or --file")
        if sys.stdin.isatty():
            click.echo("reading texts, one a line; Ctrl-D ends", err=True)
        return contextlib.nullcontext(sys.stdin.buffer)
    try:
        return file.open("rb")
    except (OSError, ValueError) as error:
        raise UsageError(f"file {str(file)!r} cannot be read: {os_reason(error)}") from error


def _lines(stream: BinaryIO, name: str) -> Iterator[list[bytes]]:
    """The whole lines of each piece that can be read, so that a slow writer is answered line by line."""
    begun: list[bytes] = []  # the pieces of a line whose end has not come yet
    while block := stream.read1(_BLOCK):  # type: ignore[attr-defined]
        whole, newline, rest = block.rpartition(b"\n")
        if newline:
            yield b"".join([*begun, whole]).split(b"\n")
            begun = []
        begun.append(rest)
        if sum(map(len, begun)) > _LONGEST:
            raise LayerkitError(f"{name} has a line of more than {_LONGEST >> 20} MB: give one text a line")
    if any(begun):
        yield [b"".join(begun)]


def _decoded(line: bytes, where: str) -> str:
    try:
        return line.removesuffix(b"\r").decode("utf-8")
    except UnicodeDecodeError as error:
        byte = line[error.start]
        raise LayerkitError(
            f"{where} is not UTF-8 (byte 0x{byte:02x} at {error.start + 1}): convert it first"
        ) from error


def _as_json(text: str, prediction: Prediction) -> str:
    score = float(prediction.score)
    about = {"text": text, "label": prediction.label, "score": score if math.isfinite(score) else None}
    # Escapes for everything beyond ASCII: the one spelling that every terminal and locale can carry.
    return json.dumps({**about, "note": prediction.note} if prediction.note else about)


def _as_lines(texts: Sequence[str], predictions: Sequence[Prediction]) -> Iterator[str]:
    labels = [printable(prediction.label) for prediction in predictions]  # a text is one line
    width = max(map(len, labels))
    for text, label, prediction in zip(texts, labels, predictions, strict=True):
        note = f"  ({prediction.note})" if prediction.note else ""
        yield f"{label:<{width}}  {float(prediction.score):.3f}  {' '.join(text.split())}{note}"
