"""Texts that a trained classifier is asked about, and files of them: all are answered but what is no text, and soon."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bad_inputs.case import Case
from layerkit_plugins.sentiment.corpus import read_examples

__all__ = ["CASES", "CUT", "NO_WORD", "UNKNOWN"]

NO_WORD = "there is no word in it"
UNKNOWN = "no word of it is known"
CUT = "only the first 10,000 characters of a text are read"

Act = Callable[[Path], Any]


def text(value: Any) -> Act:
    return lambda folder: value


def file(name: str, data: bytes) -> Act:
    """The texts of a file."""

    def act(folder: Path) -> list[str]:
        (folder / name).write_bytes(data)
        return read_examples(folder / name).texts

    return act


def lines(*texts: str) -> bytes:
    return "".join(json.dumps({"text": each, "label": "x"}) + "\n" for each in texts).encode()


ODD_ENDS = "text,label\r\none day,x\r\n" + '"two\x85\u2028days",x\r\n'

CASES: list[Case] = [
    Case("empty", text(""), 0, NO_WORD),
    Case("spaces only", text(" \t\n\u00a0 "), 0, NO_WORD),
    Case("None", text([None]), 2, "a text must be a string, got None: leave out rows without text"),
    Case("a float NaN", text([float("nan")]), 2, "a text must be a string, got float nan: leave out rows"),
    Case("bytes", text(b"happy"), 2, "a text must be a string, got bytes b'happy': decode it first"),
    Case("one character", text("a"), 0, NO_WORD),
    Case("280 characters", text("happy day " * 28), 0, ""),
    Case("10 KB", text("happy day " * 1024), 0, ""),
    Case("1 MB of words", text("happy day " * 104_858), 0, CUT),
    Case("1 MB of one word", text("ab" * 524_288), 0, UNKNOWN),
    Case("100 KB of a.", text("a." * 51_200), 0, NO_WORD),
    Case("100 KB of 1-", text("1-" * 51_200), 0, UNKNOWN),
    Case("only handles", text("@one @two_3"), 0, NO_WORD),
    Case("only URLs", text("http://a.example/b?c=d https://e.example"), 0, NO_WORD),
    Case("only hashtags", text("#zxcv #qwrtp"), 0, UNKNOWN),
    Case("emoji", text("\U0001f600 \U0001f622"), 0, UNKNOWN),
    Case(
        "ZWJ family, skin tone, flag",
        text("\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f44d\U0001f3fd \U0001f1e9\U0001f1ea"),
        0,
        UNKNOWN,
    ),
    Case("1,000 combining marks", text("a" + "\u0301" * 1000), 0, UNKNOWN),
    Case(
        "right to left, bidi controls",
        text("\u202e\u05e9\u05dc\u05d5\u05dd\u202c \u0645\u0631\u062d\u0628\u0627"),
        0,
        UNKNOWN,
    ),
    Case("zero-width", text("zx\u200bcv\u200d\ufeff"), 0, UNKNOWN),
    Case("NUL", text("zxcv\0qwrtp"), 0, UNKNOWN),
    Case("control characters", text("\x01\x02\x1b[31m\x7f"), 0, UNKNOWN),
    Case("lone surrogate", text("\ud800 zxcv \udfff"), 0, UNKNOWN),
    Case(
        "invalid UTF-8 file",
        file("a.csv", b"text,label\nok,x\ncaf\xe9,x\n"),
        1,
        "a.csv: line 3 is not UTF-8 (byte 0xe9)",
    ),
    Case(
        "UTF-16 with BOM", file("a.csv", "text,label\na,x\n".encode("utf-16")), 1, "UTF-16, not UTF-8: save it as UTF-8"
    ),
    Case("CRLF, CR, NEL, U+2028", file("a.csv", ODD_ENDS.encode()), 0, ""),
    Case("HTML entities", text("&amp; &lt;3 &#128512; &nosuch; &#x110000;"), 0, ""),
    Case("every token unknown", text("zxcvbn qwrtp"), 0, UNKNOWN),
    Case("escaped NUL in JSON", file("a.jsonl", lines("zxcv\0", "\ud800 qwrtp")), 0, UNKNOWN),
]
