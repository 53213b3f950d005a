"""Padding: arrays of different sizes made one, by values at their ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from layerkit.data.batches import Array
from layerkit.data.parts import parts_of, whole_item
from layerkit.errors import LayerkitError, shown

__all__ = ["numbers", "pad_to_max_dims", "padded_batch"]


def pad_to_max_dims(arrays: Sequence[Any], pad_value: float = 0, sizes: Sequence[int] | None = None) -> Array:
    """Arrays stacked, each padded at its ends to the largest size on every axis, or to ``sizes``.

    Raises:
        ValueError: they differ in their number of axes.

    >>> pad_to_max_dims([[1, 2], [3]]).tolist()
    [[1, 2], [3, 0]]
    """
    several = [np.asarray(array) for array in arrays]
    shapes = {array.shape for array in several}
    if len({len(shape) for shape in shapes}) > 1:
        raise ValueError(f"arrays of {' and '.join(map(str, sorted({len(s) for s in shapes})))} axes make no batch")
    full = tuple(map(max, zip(*shapes, strict=True))) if sizes is None else tuple(sizes)
    if shapes == {full}:
        return np.stack(several)
    stacked = np.full((len(several), *full), pad_value, np.result_type(*several))
    for row, array in zip(stacked, several, strict=True):
        row[tuple(map(slice, array.shape))] = array
    return stacked


def padded_batch(name: str, items: Sequence[Any], pad_value: float, sizes: Any = None) -> Any:
    """The batch of these items, part by part; ``sizes(key, arrays)`` gives the sizes to pad part ``key`` to.

    Raises:
        LayerkitError: they do not make one.
    """
    counts = {len(parts_of(item)) for item in items}
    if len(counts) > 1:
        raise LayerkitError(
            f"data.{name}: items have {' and '.join(map(str, sorted(counts)))} parts, and make no batch"
        )
    batch = []
    for key, values in enumerate(zip(*map(parts_of, items), strict=True)):
        arrays = [numbers(name, value, key) for value in values]
        try:
            batch.append(pad_to_max_dims(arrays, pad_value, None if sizes is None else sizes(key, arrays)))
        except ValueError as error:
            raise LayerkitError(f"data.{name}: part {key} of the items: {error}") from None
    return whole_item(items[0], batch)


def numbers(name: str, value: Any, key: int) -> Array:
    """Part ``key`` of an item as an array of numbers.

    Raises:
        LayerkitError: it is none.
    """
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "biuf":
        hint = ": data.Tokenize makes ids of texts" if array.dtype.kind in "SU" else ""
        raise LayerkitError(f"data.{name}: part {key} of an item is no array of numbers, got {shown(value)}{hint}")
    return array
