"""What the batch iterators have in common: counting batches, saving and seeking a position, padding the last batch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from layerkit.data.order import BalancedOrder, PlainOrder, Rows
from layerkit.errors import LayerkitError, UsageError, shown
from layerkit.numbers import whole

__all__ = ["Batches", "as_array"]

Array = np.ndarray[Any, Any]

_NARROW = {"float64": "float32", "int64": "int32", "uint64": "int32", "uint32": "int32"}


class Batches(Iterator[tuple[Array, ...]]):
    """Batches of examples, endless or for a number of epochs; a subclass says how rows become arrays.

    Args:
        n_examples: number of examples.
        targets: the targets, (n, ...); classes where ``balanced``.
        weights: the weight of each example, (n,); 1 unless given.
        batch_size: rows of a batch.
        shuffle: whether each epoch has an order of its own, made from ``seed``.
        seed: a whole number from 0 to 2**64 - 1.
        epochs: how often to go through the examples; without end unless given.
        balanced: whether every batch has as many examples of each class.
        pad_last: whether the last short batch of an epoch is filled up with rows of weight 0, so that jit has one
            shape less to compile. It is never dropped.

    Raises:
        UsageError: there are no examples, or an argument is out of range.
    """

    _padding = 0

    def __init__(
        self,
        n_examples: int,
        targets: Any,
        weights: Any,
        batch_size: int,
        shuffle: bool,
        seed: int,
        epochs: int | None,
        balanced: bool,
        pad_last: bool,
    ) -> None:
        if n_examples == 0:
            raise UsageError("there are no examples to make batches of")
        self.batch_size = whole("batch_size", batch_size, 1)
        self._seed = whole("seed", seed, 0)
        self._targets = _rows_of("targets", targets, n_examples)
        ones = np.ones(n_examples, np.float32)
        self._weights = ones if weights is None else _rows_of("weights", weights, n_examples).astype(np.float32)
        order_seed = self._seed if shuffle else None
        self._order: PlainOrder | BalancedOrder
        if balanced:
            if self._targets.ndim != 1 or self._targets.dtype.kind not in "iu":
                raise UsageError(
                    f"balanced batches need one whole number for each example as its class, got targets of "
                    f"{self._targets.dtype.name}{list(self._targets.shape)}"
                )
            self._order = BalancedOrder(self._targets, self.batch_size, order_seed)
        else:
            self._order = PlainOrder(n_examples, self.batch_size, order_seed)
        self._n_batches = None if epochs is None else whole("epochs", epochs, 1) * self._order.batches_per_epoch
        self._pad_last = pad_last
        self._next = 0
        self._kind = {
            "n_examples": n_examples,
            "batch_size": self.batch_size,
            "seed": self._seed,
            "shuffle": int(shuffle),
            "balanced": int(balanced),
        }

    @property
    def batches_per_epoch(self) -> int:
        """Batches it takes to see every example."""
        return self._order.batches_per_epoch

    @property
    def position(self) -> dict[str, int]:
        """Where the iterator is: the number of the next batch, and what that number depends on."""
        return {"batch": self._next, **self._kind}

    def seek(self, position: Mapping[str, Any]) -> None:
        """Goes to a position that an iterator over the same examples had.

        Raises:
            LayerkitError: the position is another kind of iterator's.
        """
        if not isinstance(position, Mapping):
            raise LayerkitError(f"a position is a dict of whole numbers, got {shown(position)}")
        for name, mine in self._kind.items():
            theirs = position.get(name)
            if theirs != mine:
                raise LayerkitError(f"the position was saved with {name} {theirs}, and these batches have {mine}")
        self._next = whole("a position's batch", position.get("batch"), 0, LayerkitError)

    def examples_at(self, position: Mapping[str, Any]) -> Rows:
        """Which examples make the batch at a position: their numbers, counted from 0, in the order of its rows."""
        return self._order.rows(position["batch"])

    def __next__(self) -> tuple[Array, ...]:
        if self._n_batches is not None and self._next >= self._n_batches:
            raise StopIteration
        rows = self._order.rows(self._next)
        batch = (*self._inputs(rows), self._targets[rows], self._weights[rows])
        short = self.batch_size - len(rows)
        if short and self._pad_last:
            batch = self._filled(batch, short)
        self._next += 1
        return batch

    def _inputs(self, rows: Rows) -> tuple[Array, ...]:
        """The input arrays for these examples."""
        raise NotImplementedError

    def _filled(self, batch: tuple[Array, ...], short: int) -> tuple[Array, ...]:
        """The batch with so many rows more: inputs of padding, targets and weights of 0."""
        values = [self._padding] * (len(batch) - 2) + [0, 0]
        rows = [np.full((short, *array.shape[1:]), v, array.dtype) for array, v in zip(batch, values, strict=True)]
        return tuple(map(np.concatenate, zip(batch, rows, strict=True)))


def as_array(name: str, values: Any) -> Array:
    """An array of numbers in 32 bits at most.

    Raises:
        UsageError: the values are no numbers, do not make an array, or do not fit 32 bits.

    >>> as_array("targets", [0, 1, 1]).dtype.name
    'int32'
    """
    try:
        array = np.asarray(values)
    except ValueError:
        raise UsageError(f"{name} have rows of different lengths: RaggedBatches takes those") from None
    if array.dtype.kind not in "biuf":
        raise UsageError(f"{name} are numbers, got dtype {array.dtype}")
    narrow = array.astype(_NARROW.get(array.dtype.name, array.dtype.name))
    if array.dtype.kind in "iu" and not np.array_equal(narrow, array):
        raise UsageError(f"{name} do not fit 32 bits: they go from {array.min()} to {array.max()}")
    return narrow


def _rows_of(name: str, values: Any, n_examples: int) -> Array:
    array = as_array(name, values)
    if array.ndim == 0 or len(array) != n_examples:
        got = len(array) if array.ndim else "a single number"
        raise UsageError(f"{name}: one for each of the {n_examples} examples, got {got}")
    return array
