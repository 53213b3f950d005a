"""The files of a trained classifier, with checksums: what was damaged or mixed up is refused, not loaded."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import layerkit as lk
from layerkit import LayerkitError

from .examples import Examples

__all__ = ["ABOUT", "FORMAT", "WEIGHTS", "About", "fill", "fingerprint", "read", "write"]

FORMAT = 1
WEIGHTS, ABOUT = "model.safetensors", "sentiment.json"


class About(NamedTuple):
    """What ``sentiment.json`` says of the weights beside it."""

    labels: Sequence[str]
    """In the order of the model's outputs."""
    words: Sequence[str]
    """In the order of their ids."""
    model: Mapping[str, Any]
    """The settings that say which model it is, and which words of a text it reads."""
    corpus: str | None
    held_out: str
    """The fingerprint of the examples that were held out."""


def write(folder: Path, model: lk.Layer, about: About) -> None:
    """Writes the model's weights and what belongs to them; what describes the weights is written after them.

    Raises:
      LayerkitError: a file cannot be written.
    """
    model.save_to_file(folder / WEIGHTS)
    contents = {
        "format": FORMAT,
        "labels": list(about.labels),
        "model": dict(about.model),
        "corpus": about.corpus,
        "held_out": about.held_out,
        "weights": _digest_of_file(folder / WEIGHTS),
        "vocabulary": list(about.words),
    }
    contents["checksum"] = _digest(contents)
    draft = folder / f".{ABOUT}.{os.getpid()}"
    try:
        draft.write_text(json.dumps(contents, indent=0), encoding="ascii")
        draft.replace(folder / ABOUT)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise LayerkitError(f"{str(folder / ABOUT)!r} cannot be written: {error.strerror}") from error


def read(folder: Path) -> About:
    """What ``sentiment.json`` says, after a look at its checksum.

    Raises:
      LayerkitError: it is missing or damaged, of another format, or belongs to other weights than lie beside it.
    """
    path = folder / ABOUT
    try:
        contents = json.loads(path.read_bytes())
    except OSError as error:
        raise LayerkitError(f"{str(path)!r} cannot be read: {_reason(error)}") from error
    except (ValueError, RecursionError) as error:
        raise LayerkitError(f"{str(path)!r} is damaged, it is no JSON: train the run again") from error
    version = contents.get("format") if isinstance(contents, dict) else None
    if version != FORMAT:
        newer = isinstance(version, int) and version > FORMAT
        remedy = "upgrade layerkit" if newer else "train the run again"
        raise LayerkitError(f"{str(path)!r} has format {version!r}, this layerkit reads {FORMAT}: {remedy}")
    if contents.pop("checksum", None) != _digest(contents):
        raise LayerkitError(f"{str(path)!r} is damaged, its checksum is another: train the run again")
    if contents["weights"] != _digest_of_file(folder / WEIGHTS):
        raise LayerkitError(
            f"{str(folder / WEIGHTS)!r} is damaged, or of another run than the {ABOUT} beside it: train the run again"
        )
    return About(*(contents[name] for name in ("labels", "vocabulary", "model", "corpus", "held_out")))


def fingerprint(examples: Examples) -> str:
    """Tells whether examples are the same as they were.

    >>> fingerprint(Examples(["good day"], ["+"])) == fingerprint(Examples(["good day"], ["-"]))
    False
    """
    return _digest(examples)


def fill(model: lk.Layer, signature: Any, folder: Path) -> None:
    """Gives the model the weights in ``folder``.

    Raises:
      LayerkitError: they are another model's.
    """
    try:
        model.init_from_file(folder / WEIGHTS, signature)
    except lk.LayerError as error:
        raise LayerkitError(
            f"{str(folder / WEIGHTS)!r} does not hold the model that {ABOUT} describes ({error}): train the run again"
        ) from error


def _digest(contents: Any) -> str:
    return hashlib.sha256(json.dumps(contents, sort_keys=True).encode("ascii")).hexdigest()


def _digest_of_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise LayerkitError(f"{str(path)!r} cannot be read: {_reason(error)}") from error


def _reason(error: OSError) -> str:
    return str(error.strerror or error).lower()
