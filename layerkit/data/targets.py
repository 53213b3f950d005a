"""Stages that give items the parts that a loss takes, in its dtypes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from layerkit.data.batches import Array
from layerkit.data.padding import numbers
from layerkit.data.parts import changed, checked_keys, checked_map, parts_of
from layerkit.data.stage import Stage, mapped
from layerkit.errors import LayerkitError, UsageError, shown
from layerkit.numbers import whole

__all__ = ["AddLossWeights", "AppendValue", "CastTo", "ConcatenateToLMInput"]


def AddLossWeights(id_to_mask: int | None = None) -> Stage:
    """A stage that makes (inputs, targets, weights) of (inputs, targets).    weights: as targets, float32

    Args:
        id_to_mask: targets of this value weigh 0, all others 1. Weights that are there already are multiplied.

    Raises:
        LayerkitError: an item has not two parts, or three.

    >>> [[weights.tolist() for *_, weights in AddLossWeights(id_to_mask=0)([([5, 6], [7, 0])])]]
    [[[1.0, 0.0]]]
    """

    def weigh(item: Any) -> tuple[Any, ...]:
        parts = parts_of(item)
        if len(parts) not in (2, 3):
            raise LayerkitError(f"data.AddLossWeights: items are (inputs, targets), got {len(parts)} parts")
        targets = numbers("AddLossWeights", parts[1], 1)
        given = np.ones(targets.shape, np.float32) if len(parts) == 2 else numbers("AddLossWeights", parts[2], 2)
        counts = np.ones(()) if id_to_mask is None else targets != id_to_mask
        return (*parts[:2], np.asarray(given * counts, np.float32))

    return mapped("AddLossWeights", weigh)


def AppendValue(val: Mapping[int, Any]) -> Stage:
    """A stage that puts a value at the end of parts.    part: (l,)    gives: (l + 1,)

    Args:
        val: {part: value}, such as the id that ends a sentence.

    Raises:
        LayerkitError: an item has no such part, or that no axis.

    >>> [item.tolist() for item in AppendValue({0: 1})([[5, 6], []])]
    [[5, 6, 1], [1]]
    """
    values = checked_map("AppendValue", "val", val)

    def append(value: Any, key: int) -> Array:
        array = numbers("AppendValue", value, key)
        if not array.ndim:
            raise LayerkitError(f"data.AppendValue: part {key} of an item is a single number, got {shown(value)}")
        # An empty list is an array of float64, and no number of it says so.
        dtype = array.dtype if array.size or isinstance(value, np.ndarray) else np.asarray(values[key]).dtype
        return np.append(array, np.full((1, *array.shape[1:]), values[key]), axis=0).astype(dtype)

    return mapped("AppendValue", lambda item: changed("AppendValue", item, values, append))


def CastTo(dtype: Any = np.int32, indices: Sequence[int] | None = None) -> Stage:
    """A stage that turns parts into another dtype.

    Args:
        dtype: a dtype of numbers.
        indices: the parts; the first two unless given.

    Raises:
        UsageError: it is no dtype of numbers.
        LayerkitError: an item has no such part, or a whole number does not fit.

    >>> [item.dtype.name for item in CastTo()([[1, 2]])]
    ['int32']
    """
    try:
        wanted = np.dtype(dtype)
    except TypeError:
        wanted = np.dtype(object)
    if wanted.kind not in "biuf":
        raise UsageError(f"data.CastTo: dtype is one of numbers, such as 'int32', got {shown(dtype)}")
    keys = None if indices is None else checked_keys("CastTo", "indices", indices)

    def cast(value: Any, key: int) -> Array:
        array = numbers("CastTo", value, key)
        made = array.astype(wanted)
        if array.dtype.kind in "iu" and wanted.kind in "iu" and not np.array_equal(made, array):
            raise LayerkitError(
                f"data.CastTo: part {key} of an item goes from {array.min()} to {array.max()}, beyond {wanted}"
            )
        return made

    def cast_all(item: Any) -> Any:
        return changed("CastTo", item, range(min(2, len(parts_of(item)))) if keys is None else keys, cast)

    return mapped("CastTo", cast_all)


def ConcatenateToLMInput(pad_to_length: int | None = None) -> Stage:
    """A stage that makes language-model items (ids, ids, weights) of (inputs, targets), or of ids alone.

    ids = inputs, then targets; the weights are 1 on the targets and 0 elsewhere.    inputs: (l,)    targets: (m,)
    ids: (l + m,)    weights: (l + m,), float32

    Args:
        pad_to_length: the length to fill up to with zeros that weigh 0.

    Raises:
        LayerkitError: an item has other parts, or is longer than ``pad_to_length``.

    >>> [[part.tolist() for part in item] for item in ConcatenateToLMInput(4)([([5, 6], [7])])]
    [[[5, 6, 7, 0], [5, 6, 7, 0], [0.0, 0.0, 1.0, 0.0]]]
    """
    full = None if pad_to_length is None else whole("data.ConcatenateToLMInput: pad_to_length", pad_to_length, 0)

    def concatenate(item: Any) -> tuple[Array, Array, Array]:
        parts = [numbers("ConcatenateToLMInput", value, key) for key, value in enumerate(parts_of(item))]
        if len(parts) not in (1, 2) or any(part.ndim != 1 for part in parts):
            raise LayerkitError(
                f"data.ConcatenateToLMInput: items are (inputs, targets), lists of ids both, got {shown(item)}"
            )
        ids = np.concatenate(parts)
        if full is not None and len(ids) > full:
            raise LayerkitError(f"data.ConcatenateToLMInput: an item has {len(ids)} ids, more than {full}")
        missing = 0 if full is None else full - len(ids)
        weights = np.ones(len(ids), np.float32)
        weights[: len(ids) - len(parts[-1])] = 0
        ids = np.pad(ids, (0, missing))
        return ids, ids, np.pad(weights, (0, missing))

    return mapped("ConcatenateToLMInput", concatenate)
