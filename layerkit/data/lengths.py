"""Stages that make parts of items shorter or longer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from layerkit.data.batches import Array
from layerkit.data.padding import numbers
from layerkit.data.parts import changed, checked_map, per_key
from layerkit.data.stage import Stage, mapped
from layerkit.errors import LayerkitError
from layerkit.numbers import whole

__all__ = ["PadToLength", "TruncateToLength"]

Lengths = Mapping[int, int | tuple[int, ...]]


def TruncateToLength(len_map: Lengths) -> Stage:
    """A stage that cuts parts at the end.    part: (l, ...)    gives: (min(l, length), ...)

    Args:
        len_map: {part: length}, or {part: (length, ...)} for several axes.

    Raises:
        LayerkitError: an item has no such part, or that too few axes.

    >>> [item.tolist() for item in TruncateToLength({0: 2})([[1, 2, 3], [4]])]
    [[1, 2], [4]]
    """
    lengths = _lengths("TruncateToLength", len_map, 0)

    def cut(value: Any, key: int) -> Array:
        array = _with_axes("TruncateToLength", value, key, len(lengths[key]))
        return array[tuple(map(slice, lengths[key]))]

    return mapped("TruncateToLength", lambda item: changed("TruncateToLength", item, lengths, cut))


def PadToLength(len_map: Lengths, pad_value: float | Mapping[int, float] = 0, multiple: bool = False) -> Stage:
    """A stage that pads parts at the end.    part: (l, ...)    gives: (max(l, length), ...)

    Args:
        len_map: {part: length}, or {part: (length, ...)} for several axes.
        pad_value: what fills up, for all parts or as {part: value}.
        multiple: whether a part is padded to the next multiple of the length.

    Raises:
        LayerkitError: an item has no such part, or that too few axes.

    >>> [item.tolist() for item in PadToLength({0: 2}, multiple=True)([[1, 2, 3], [4, 5]])]
    [[1, 2, 3, 0], [4, 5]]
    """
    lengths = _lengths("PadToLength", len_map, 1 if multiple else 0)

    def pad(value: Any, key: int) -> Array:
        array = _with_axes("PadToLength", value, key, len(lengths[key]))
        missing = [
            -size % length if multiple else max(length - size, 0)
            for size, length in zip(array.shape, lengths[key], strict=False)
        ]
        widths = [(0, width) for width in missing] + [(0, 0)] * (array.ndim - len(missing))
        return np.pad(array, widths, constant_values=per_key(pad_value, key))

    return mapped("PadToLength", lambda item: changed("PadToLength", item, lengths, pad))


def _lengths(name: str, len_map: Any, least: int) -> dict[int, tuple[int, ...]]:
    return {
        key: tuple(
            whole(f"data.{name}: a length", length, least)
            for length in (value if isinstance(value, tuple) else (value,))
        )
        for key, value in checked_map(name, "len_map", len_map).items()
    }


def _with_axes(name: str, value: Any, key: int, n_axes: int) -> Array:
    array = numbers(name, value, key)
    if array.ndim < n_axes:
        raise LayerkitError(f"data.{name}: part {key} of an item has {array.ndim} axes, and {n_axes} are due")
    return array
