"""The order of examples: shuffled by a seed, the same on every machine, and found again from a batch's number alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from layerkit.errors import UsageError

__all__ = ["BalancedOrder", "PlainOrder", "Rows", "shuffled"]

Rows = np.ndarray[Any, np.dtype[np.int64]]
"""Indices of examples, int64 (n,)."""


def shuffled(n: int, seed: int, epoch: int, stream: int = 0) -> Rows:
    """The numbers 0 .. n - 1 in an order that depends on seed, epoch and stream alone: int64 (n,).

    They are sorted by the raw 64-bit words of the counter-based generator Philox 4x64 (Salmon et al., SC 2011), which
    NumPy promises never to change; what its ``permutation`` makes of such words it may change.

    >>> shuffled(5, seed=0, epoch=0).tolist() == shuffled(5, seed=0, epoch=0).tolist()
    True
    """
    # Given a list, NumPy takes it through float64, in which large seeds are rounded to one another.
    key, counter = np.array([seed, epoch], np.uint64), np.array([0, 0, 0, stream], np.uint64)
    words = np.random.Philox(key=key, counter=counter).random_raw(n)
    return np.argsort(words, kind="stable")


class PlainOrder:
    """Every example once an epoch; the last batch of an epoch is short where it does not come out even.

    Args:
        n_examples: number of examples.
        batch_size: rows of a batch.
        seed: for shuffling; ``None`` keeps the order of the examples.
    """

    def __init__(self, n_examples: int, batch_size: int, seed: int | None) -> None:
        self.batches_per_epoch = -(-n_examples // batch_size)
        self._n, self._size, self._seed = n_examples, batch_size, seed
        self._epoch, self._order = -1, np.arange(n_examples)

    def rows(self, batch: int) -> Rows:
        """The examples of batch number ``batch``, counted from 0 over all epochs."""
        epoch, index = divmod(batch, self.batches_per_epoch)
        if self._seed is not None and epoch != self._epoch:
            self._epoch, self._order = epoch, shuffled(self._n, self._seed, epoch)
        return self._order[index * self._size : (index + 1) * self._size]


class BalancedOrder:
    """As many examples of each class in every batch, one class after the other.

    Each class comes round on its own, so the examples of a smaller one are seen more often; an epoch ends when those
    of the largest have been seen.

    Args:
        labels: the class of each example, whole numbers (n,).
        batch_size: rows of a batch, a multiple of the number of classes.
        seed: for shuffling each class at each of its rounds; ``None`` keeps the order of the examples.

    Raises:
        UsageError: the batch cannot be divided evenly among the classes.
    """

    def __init__(self, labels: np.ndarray[Any, np.dtype[np.integer]], batch_size: int, seed: int | None) -> None:
        # Higher classes first, as the notebook's generator puts the positive tweets.
        classes: Sequence[int] = np.unique(labels)[::-1].tolist()
        self._share, rest = divmod(batch_size, len(classes))
        if rest or not self._share:
            raise UsageError(
                f"batch_size {batch_size} cannot be divided evenly among {len(classes)} classes: take a multiple"
            )
        self._members = [np.flatnonzero(labels == label) for label in classes]
        self._seed = seed
        self._rounds: list[tuple[int, Rows]] = [(-1, members) for members in self._members]
        self.batches_per_epoch = -(-max(map(len, self._members)) // self._share)

    def rows(self, batch: int) -> Rows:
        """The examples of batch number ``batch``, counted from 0 over all epochs."""
        start = batch * self._share
        return np.concatenate([self._draw(number, start) for number in range(len(self._members))])

    def _draw(self, number: int, start: int) -> Rows:
        size, parts, stop = len(self._members[number]), [], start + self._share
        while start < stop:
            turn, offset = divmod(start, size)
            part = self._order(number, turn)[offset : offset + stop - start]
            parts.append(part)
            start += len(part)
        return np.concatenate(parts)

    def _order(self, number: int, turn: int) -> Rows:
        """The members of a class in the order of its round ``turn``."""
        members = self._members[number]
        if self._seed is None:
            return members
        if self._rounds[number][0] != turn:
            self._rounds[number] = turn, members[shuffled(len(members), self._seed, turn, number)]
        return self._rounds[number][1]
