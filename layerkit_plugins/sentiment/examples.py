"""Labelled texts, and which of them are held back to validate on."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from layerkit.errors import LayerkitError, UsageError, shown

__all__ = ["Corpus", "Examples", "first_of_each_class", "held_back_by_hash"]


class Examples(NamedTuple):
    """Texts and, beside them, their labels.

    >>> Examples(["good day", "rain again"], ["positive", "negative"]).of("positive")
    ['good day']
    """

    texts: list[str]
    labels: list[str]

    def of(self, label: str) -> list[str]:
        """The texts with one label, in their order."""
        return [text for text, own in zip(self.texts, self.labels, strict=True) if own == label]


@dataclass(frozen=True)
class Corpus:
    """Texts with labels, the order of the classes, and the split into training and validation.

    >>> corpus = Corpus("tiny", ("good day", "rain"), ("positive", "negative"), ("negative", "positive"),
    ...                 validation_rows=frozenset({1}), split="by hand")
    >>> corpus.train, corpus.validation
    (Examples(texts=['good day'], labels=['positive']), Examples(texts=['rain'], labels=['negative']))
    """

    name: str
    texts: tuple[str, ...] = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)
    label_names: tuple[str, ...]
    """The classes: the place of a label here is its number in targets."""
    validation_rows: frozenset[int] = field(repr=False)
    split: str
    """The rule of the split, in words."""
    notes: tuple[str, ...] = ()
    """What a person should know about these texts, a sentence each."""

    @property
    def train(self) -> Examples:
        """The examples to learn from, in their order."""
        return self._part(held_back=False)

    @property
    def validation(self) -> Examples:
        """The examples held back, in their order."""
        return self._part(held_back=True)

    def _part(self, held_back: bool) -> Examples:
        rows = [row for row in range(len(self.texts)) if (row in self.validation_rows) == held_back]
        return Examples([self.texts[row] for row in rows], [self.labels[row] for row in rows])


def first_of_each_class(labels: Sequence[str], n_train: Mapping[str, int]) -> frozenset[int]:
    """The rows to validate on where the first ``n_train[label]`` of each class are for training.

    >>> sorted(first_of_each_class(["a", "a", "b", "a", "b"], {"a": 2, "b": 1}))
    [3, 4]
    """
    seen: Counter[str] = Counter()
    held_back = []
    for row, label in enumerate(labels):
        seen[label] += 1
        if seen[label] > n_train[label]:
            held_back.append(row)
    return frozenset(held_back)


def held_back_by_hash(
    texts: Sequence[str], labels: Sequence[str], fraction: float = 0.2, seed: int = 0
) -> frozenset[int]:
    """The rows to validate on: about ``fraction`` of every class, picked by a hash of the text and the seed.

    The order of the rows plays no part, and texts that differ only in case and spaces stay on one side. A class
    with two different texts or more has at least one on each side; a class with a single one is for training.

    Raises:
        UsageError: ``fraction`` is not between 0 and 1.
        LayerkitError: no class has two different texts, so that nothing can be held back.

    >>> rows = held_back_by_hash(["a", "b", "c", "A ", "d", "e"], ["x", "x", "x", "x", "y", "y"], fraction=0.5)
    >>> (0 in rows) == (3 in rows), len(rows)
    (True, 3)
    """
    if not 0 < fraction < 1:
        raise UsageError(f"the part to hold back must lie between 0 and 1, got {shown(fraction)}: 0.2 is usual")
    groups: dict[str, list[int]] = {}
    for row, text in enumerate(texts):
        groups.setdefault(" ".join(text.casefold().split()), []).append(row)
    by_label: dict[str, list[str]] = {}
    for text in sorted(groups, key=lambda text: _digest(text, seed)):
        # A text with two labels counts for the first in alphabetical order, whichever row comes first.
        by_label.setdefault(min(labels[row] for row in groups[text]), []).append(text)
    held_back: set[int] = set()
    for keys in by_label.values():
        held_back.update(row for key in _hold_back(keys, groups, fraction) for row in groups[key])
    if not held_back:
        raise LayerkitError(
            f"no class has 2 different texts ({len(texts):,} rows; different texts in all: {len(groups):,}), "
            "so that none can be held back for validation: add some"
        )
    return frozenset(held_back)


def _hold_back(keys: Sequence[str], groups: Mapping[str, Sequence[int]], fraction: float) -> list[str]:
    size = sum(len(groups[key]) for key in keys)
    wanted = min(round(fraction * size), size - 1)  # one is always left for training
    chosen: list[str] = []
    held = 0
    for key in keys:
        if held + len(groups[key]) <= wanted:
            chosen.append(key)
            held += len(groups[key])
    return chosen or list(keys[: min(1, len(keys) - 1)])


def _digest(text: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed} {text}".encode("utf-8", "surrogatepass"), digest_size=16).digest()
