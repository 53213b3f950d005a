"""The file of a trained classifier: what was damaged, or belongs to another run, is refused, not loaded.

One file, so that a killed process leaves the old run or the new one, never half of each: the weights, and beside them
the words, the labels and the settings without which they mean nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import layerkit as lk
from layerkit import LayerkitError
from layerkit.errors import shown
from layerkit.files import DamagedError, read_about

__all__ = ["FORMAT", "WEIGHTS", "About", "fill", "fingerprint", "read", "write"]

FORMAT = 2
WEIGHTS = "model.safetensors"


class About(NamedTuple):
    """What there is to know of the weights."""

    labels: Sequence[str]
    """In the order of the model's outputs."""
    words: Sequence[str]
    """In the order of their ids."""
    settings: Mapping[str, Any]
    """The recipe's settings, as JSON can hold them."""
    corpus: str | None
    held_out: str
    """The fingerprint of the examples that were held out."""
    metrics: Mapping[str, float]


def write(folder: Path, model: lk.Layer, about: About) -> None:
    """Writes the model's weights and what belongs to them, whole or not at all.

    Raises:
        LayerkitError: the file cannot be written.
    """
    model.save_to_file(folder / WEIGHTS, {"kind": "sentiment", "format": FORMAT, **about._asdict()})


def read(folder: Path) -> About:
    """What the file says of its weights.

    Raises:
        DamagedError: it is missing, or has changed since it was written.
        LayerkitError: it is of another format.
    """
    path = folder / WEIGHTS
    contents = read_about(path)
    if not isinstance(contents, dict) or contents.pop("kind", None) != "sentiment":
        raise LayerkitError(f"{path} is not of a sentiment run: train the run again")
    version = contents.pop("format", None)
    if version != FORMAT:
        newer = isinstance(version, int) and version > FORMAT
        remedy = "upgrade layerkit" if newer else "train the run again"
        raise LayerkitError(f"{path} has format {shown(version)}, this layerkit reads {FORMAT}: {remedy}")
    for name, fits in _RULES.items():
        if name not in contents or not fits(contents[name]):
            raise DamagedError(f"{path} is damaged: its {name} is {shown(contents.get(name))}")
    return About(*(contents[name] for name in About._fields))


def _texts(value: Any) -> bool:
    """Whether it is a list of different texts."""
    return isinstance(value, list) and all(isinstance(v, str) for v in value) and len(set(value)) == len(value) > 0


def _numbers(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(v, float | int) for v in value.values())


_RULES = {
    "labels": _texts,
    "words": _texts,
    "settings": lambda value: isinstance(value, dict),
    "corpus": lambda value: isinstance(value, str | None),
    "held_out": lambda value: isinstance(value, str),
    "metrics": _numbers,
}


def fingerprint(contents: Any) -> str:
    """Tells whether examples, or words in their order, are the same as they were.

    >>> fingerprint((["good day"], ["+"])) == fingerprint((["good day"], ["-"]))
    False
    """
    return hashlib.sha256(json.dumps(contents, sort_keys=True).encode("ascii")).hexdigest()


def fill(model: lk.Layer, about: About, folder: Path) -> None:
    """Gives the model the weights in ``folder``.

    Raises:
        DamagedError: they have changed since they were written, or are another model's.
    """
    path = folder / WEIGHTS
    # A layer that looks at its first weights makes them before the file's come in their place.
    if 4 * (len(about.words) + len(about.labels)) * about.settings["embedding_dim"] > path.stat().st_size:
        raise DamagedError(f"{path} is damaged: its model would be larger than the file")
    try:
        model.init_from_file(path, lk.i32(1, 8, max=len(about.words)))
    except lk.LayerError as error:
        raise DamagedError(str(error)) from error
