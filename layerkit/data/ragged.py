"""Batches of lists of ids that differ in length, padded to a few lengths."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from layerkit.data.batches import Array, Batches
from layerkit.data.order import Rows
from layerkit.errors import UsageError, shown
from layerkit.numbers import whole

__all__ = ["RaggedBatches", "bucket_lengths"]


class RaggedBatches(Batches):
    """Batches (ids, targets, weights) of lists of ids, with a position that can be saved.

    A batch is padded to the shortest of a few lengths, the buckets, that its longest example fits: jit compiles one
    program for each bucket, not one for each length. An example without any ids is an example like the others: a row
    of padding, with its target and its weight (``n_empty`` says how many there are). A batch is never of length 0.

    Args:
        examples: lists of ids, whole numbers from 0 up; none of a batch's rows is dropped or cut unless asked for.
        targets: (n, ...), one for each example.
        batch_size: rows of a batch.
        buckets: lengths to pad to, such as ``[16, 32, 64]``; found from the examples unless given.
        n_buckets: how many lengths to find.
        pad_id: the id that fills rows up.
        truncate: whether examples longer than the last bucket are cut to it; without, they are refused.
        weights: (n,), the weight of each example; 1 unless given.
        shuffle: whether each epoch has an order of its own.
        seed: what the orders are made from.
        epochs: how often to go through the examples; without end unless given.
        balanced: whether every batch has as many examples of each class, the highest class first (then ``targets``
            are classes).
        pad_last: whether the last short batch of an epoch is filled up with rows of padding that weigh 0.

    Yields:
        ids int32 (batch_size, bucket), targets (batch_size, ...), weights float32 (batch_size,).

    Raises:
        UsageError: there are no examples; ids are no whole numbers, negative, or beyond int32; an example is longer
            than the last bucket; examples, targets and weights differ in number.

    >>> batches = RaggedBatches([[5, 6, 7], [8], []], [1, 0, 0], 3, buckets=[2, 4], shuffle=False)
    >>> ids, targets, weights = next(batches)
    >>> ids.tolist()
    [[5, 6, 7, 0], [8, 0, 0, 0], [0, 0, 0, 0]]
    """

    def __init__(
        self,
        examples: Iterable[Sequence[int]],
        targets: Any,
        batch_size: int,
        *,
        buckets: Sequence[int] | None = None,
        n_buckets: int = 3,
        pad_id: int = 0,
        truncate: bool = False,
        weights: Any = None,
        shuffle: bool = True,
        seed: int = 0,
        epochs: int | None = None,
        balanced: bool = False,
        pad_last: bool = False,
    ) -> None:
        self._ids, self._starts, lengths = _flat(examples)
        super().__init__(len(lengths), targets, weights, batch_size, shuffle, seed, epochs, balanced, pad_last)
        self._padding = self.pad_id = whole("pad_id", pad_id, 0)
        if buckets is None:
            buckets = bucket_lengths(lengths, self.batch_size, n_buckets)
        self.buckets = _checked_buckets(buckets)
        self.n_empty = int(np.count_nonzero(lengths == 0))
        longest = self.buckets[-1]
        if not truncate and lengths.max() > longest:
            raise UsageError(
                f"{np.count_nonzero(lengths > longest)} of {len(lengths)} examples are longer than the last bucket, "
                f"{longest} (the longest has {lengths.max()} ids): add a bucket, or say truncate=True"
            )
        self._lengths = np.minimum(lengths, longest)

    def _inputs(self, rows: Rows) -> tuple[Array, ...]:
        lengths = self._lengths[rows]
        width = self.buckets[np.searchsorted(self.buckets, lengths.max())]
        columns = np.arange(width)
        inside = columns < lengths[:, None]
        batch = np.full(inside.shape, self.pad_id, np.int32)
        batch[inside] = self._ids[(self._starts[rows][:, None] + columns)[inside]]
        return (batch,)


def bucket_lengths(lengths: Any, batch_size: int, n_buckets: int = 3) -> list[int]:
    """A few lengths to pad batches to, so that each is met about as often.

    A batch is as long as its longest example. Where a share F(x) of the examples is at most x long, a share
    F(x)**batch_size of the batches is; the lengths are those where this share is 1/n, 2/n, ... 1.

    Args:
        lengths: the number of ids of each example, (n,).
        batch_size: rows of a batch.
        n_buckets: how many lengths there may be; fewer come back where they coincide.

    >>> bucket_lengths([3, 4, 5, 6, 30], batch_size=2, n_buckets=2)
    [6, 30]
    """
    n_buckets, rows = whole("n_buckets", n_buckets, 1), whole("batch_size", batch_size, 1)
    ordered = np.sort(np.asarray(lengths))
    if not len(ordered):
        raise UsageError("there are no lengths to find buckets for")
    shares = (np.arange(1, n_buckets + 1) / n_buckets) ** (1 / rows)
    places = np.minimum(np.ceil(shares * len(ordered)).astype(np.int64) - 1, len(ordered) - 1)
    found: list[int] = np.unique(np.maximum(ordered[places], 1)).tolist()
    return found


def _flat(examples: Iterable[Sequence[int]]) -> tuple[npt.NDArray[np.int32], Rows, Rows]:
    """All ids in one int32 array, where each example starts in it, and how long it is."""
    rows = list(examples)
    lengths = np.fromiter((_length(number, row) for number, row in enumerate(rows)), np.int64, len(rows))
    try:
        ids = np.array(list(chain.from_iterable(rows)) if rows else [], None if lengths.any() else np.int64)
    except (TypeError, ValueError, OverflowError):
        ids = np.array(["no numbers"])
    if ids.dtype.kind not in "iu" or ids.ndim != 1:
        raise UsageError(f"ids are whole numbers, {_culprit(rows)}")
    if ids.size and not 0 <= ids.min() <= ids.max() <= np.iinfo(np.int32).max:
        raise UsageError(f"ids are whole numbers from 0 to {np.iinfo(np.int32).max}, {_culprit(rows)}")
    return ids.astype(np.int32), np.cumsum(lengths) - lengths, lengths


def _length(number: int, row: Any) -> int:
    if isinstance(row, (str, bytes)) or not hasattr(row, "__len__") or getattr(row, "ndim", 1) != 1:
        raise UsageError(f"example {number} is no list of ids, got {shown(row)}")
    return len(row)


def _culprit(rows: list[Any]) -> str:
    """The first example that is at fault, in words."""
    for number, row in enumerate(rows):
        for item in row:
            if isinstance(item, (bool, np.bool_)) or not hasattr(item, "__index__") or not 0 <= item < 2**31:
                return f"example {number} has {shown(item)}"
    return "got other things"


def _checked_buckets(buckets: Sequence[int]) -> list[int]:
    lengths = [whole("a bucket's length", length, 1) for length in buckets]
    if not lengths or lengths != sorted(set(lengths)):
        raise UsageError(f"buckets are lengths in rising order, such as [16, 32, 64], got {list(buckets)}")
    return lengths
