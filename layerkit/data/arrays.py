"""Batches of arrays that are in memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from layerkit.data.batches import Array, Batches, as_array
from layerkit.data.order import Rows
from layerkit.errors import UsageError

__all__ = ["ArrayBatches"]


class ArrayBatches(Batches):
    """Batches (inputs..., targets, weights) of rows of arrays, with a position that can be saved.

    Args:
        inputs: one array (n, ...), or a tuple of several; 64-bit numbers become 32-bit ones.
        targets: (n, ...).
        batch_size: rows of a batch.
        weights: (n,), the weight of each example; 1 unless given.
        shuffle: whether each epoch has an order of its own.
        seed: what the orders are made from.
        epochs: how often to go through the examples; without end unless given.
        balanced: whether every batch has as many rows of each class (then ``targets`` are classes).
        pad_last: whether the last short batch of an epoch is filled up with rows of zeros that weigh 0.

    Raises:
        UsageError: there are no rows, or arrays differ in their number of rows.

    >>> batches = ArrayBatches([[1.0], [2.0], [3.0]], [0, 1, 0], batch_size=2, shuffle=False, epochs=1)
    >>> [inputs.tolist() for inputs, targets, weights in batches]
    [[[1.0], [2.0]], [[3.0]]]
    """

    def __init__(
        self,
        inputs: Any,
        targets: Any,
        batch_size: int,
        *,
        weights: Any = None,
        shuffle: bool = True,
        seed: int = 0,
        epochs: int | None = None,
        balanced: bool = False,
        pad_last: bool = False,
    ) -> None:
        arrays = inputs if isinstance(inputs, tuple) else (inputs,)
        self._arrays = [as_array("inputs", array) for array in arrays]
        lengths = {len(array) if array.ndim else 0 for array in self._arrays}
        if len(lengths) > 1:
            raise UsageError(f"inputs differ in their number of rows: {', '.join(map(str, sorted(lengths)))}")
        n_examples = lengths.pop()
        super().__init__(n_examples, targets, weights, batch_size, shuffle, seed, epochs, balanced, pad_last)

    def _inputs(self, rows: Rows) -> tuple[Array, ...]:
        return tuple(np.take(array, rows, axis=0) for array in self._arrays)
