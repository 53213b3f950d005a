"""Stages that change the order of items, and put them together: shuffle, batch, take batches apart."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np

from layerkit.data.order import shuffled
from layerkit.data.padding import padded_batch
from layerkit.data.parts import parts_of, whole_item
from layerkit.data.stage import Blocks, Stage, Through
from layerkit.errors import LayerkitError, shown
from layerkit.numbers import whole

__all__ = ["Batch", "Shuffle", "UnBatch"]


def Shuffle(queue_size: int = 1024, seed: int = 0) -> Stage:
    """A stage that shuffles each ``queue_size`` items among themselves; all of them, where there are no more.

    The order of a block depends on its number and the seed alone, so a position is that of the block's first item,
    and going there makes one block anew. Nothing moves further than ``queue_size - 1`` places.

    Args:
        queue_size: items of a block, which is as much as is held in memory.
        seed: a whole number from 0 to 2**64 - 1.

    >>> sorted(Shuffle(4)([1, 2, 3, 4, 5, 6])) == [1, 2, 3, 4, 5, 6]
    True
    """
    size, seed = whole("data.Shuffle: queue_size", queue_size, 1), whole("data.Shuffle: seed", seed, 0)

    def block(source: Any, number: int) -> list[Any]:
        items = list(islice(source, size))
        if not items:
            raise StopIteration
        return [items[i] for i in shuffled(len(items), seed, number)]

    return Stage("Shuffle", lambda items: Blocks("Shuffle", items, block, {"queue_size": size, "seed": seed}))


def Batch(batch_size: int, pad_value: float = 0, drop_last: bool = False) -> Stage:
    """A stage that stacks each ``batch_size`` items, part by part; shorter ones are padded at their ends.

    items: (l_1, ...) .. (l_n, ...)    batch: (n, max l, ...)

    Args:
        batch_size: n.
        pad_value: what fills up.
        drop_last: whether the last batch is left out where it is short.

    Raises:
        LayerkitError: items differ in their number of parts or of axes, or are texts.

    >>> [batch.tolist() for batch in Batch(2)([[1, 2], [3], [4]])]
    [[[1, 2], [3, 0]], [[4]]]
    """
    size = whole("data.Batch: batch_size", batch_size, 1)

    def draw(source: Any) -> Any:
        items = list(islice(source, size))
        if not items or (drop_last and len(items) < size):
            raise StopIteration
        return padded_batch("Batch", items, pad_value)

    return Stage("Batch", lambda items: Through("Batch", items, draw))


def UnBatch() -> Stage:
    """A stage that gives the rows of each batch, one after the other.

    Raises:
        LayerkitError: the parts of a batch differ in their number of rows.

    >>> list(UnBatch()([(np.array([[1, 2], [3, 4]]), np.array([0, 1]))]))
    [(array([1, 2]), np.int64(0)), (array([3, 4]), np.int64(1))]
    """

    def rows(source: Any, number: int) -> Sequence[Any]:
        batch = next(source)
        parts = [np.asarray(part) for part in parts_of(batch)]
        if len({part.shape[:1] for part in parts}) > 1 or not parts[0].ndim:
            raise LayerkitError(
                f"data.UnBatch: a batch has parts of as many rows each, got {', '.join(shown(p.shape) for p in parts)}"
            )
        return [whole_item(batch, row) for row in zip(*parts, strict=True)]

    return Stage("UnBatch", lambda items: Blocks("UnBatch", items, rows))
