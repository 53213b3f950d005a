"""The numbers that the seed's notebook printed, and its tweets as it processed them: what they are compared with.

They are looked for in the folder that LAYERKIT_SEED_VALUES names, else in ``../shared/seed_values`` beside the
checkout. A test that asks for them where they are absent is skipped, and says why.
"""

from __future__ import annotations

import functools
import gzip
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import pytest

__all__ = ["SeedTweets", "expected", "tweets"]


class SeedTweets(NamedTuple):
    """The tweets as lists of words, in the notebook's split: the first 4,000 of each class are for training."""

    train_pos: list[list[str]]
    val_pos: list[list[str]]
    train_neg: list[list[str]]
    val_neg: list[list[str]]


def expected() -> dict[str, Any]:
    """What the notebook printed, value by value."""
    return _expected(_folder())


def tweets() -> SeedTweets:
    """The 10,000 tweets as NLTK 3.5 split them, the release behind the notebook's numbers."""
    return _tweets(_folder())


def _folder() -> Path:
    named = os.environ.get("LAYERKIT_SEED_VALUES")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "seed_values"
    if not (folder / "expected.json").is_file():
        pytest.skip(f"the seed's numbers are not in {folder}; LAYERKIT_SEED_VALUES can name their folder")
    return folder


@functools.cache
def _expected(folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((folder / "expected.json").read_text("utf-8"))
    return values


@functools.cache
def _tweets(folder: Path) -> SeedTweets:
    with gzip.open(folder / "tokens.json.gz", "rt", encoding="utf-8") as file:
        tokens = json.load(file)
    positive, negative = tokens["positive"], tokens["negative"]
    return SeedTweets(positive[:4000], positive[4000:], negative[:4000], negative[4000:])
