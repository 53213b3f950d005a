"""Stages that leave items out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from layerkit.data.parts import checked_keys, longest, part, parts_of
from layerkit.data.stage import Stage, Through
from layerkit.errors import UsageError, shown
from layerkit.numbers import whole

__all__ = ["Filter", "FilterByLength", "FilterEmptyExamples"]


def Filter(keep: Callable[[Any], Any]) -> Stage:
    """A stage that gives the items for which ``keep(item)`` holds.

    >>> list(Filter(str.isupper)(["a", "B"]))
    ['B']
    """
    if not callable(keep):
        raise UsageError(f"data.Filter takes a function of an item, got {shown(keep)}")
    return _filter("Filter", keep)


def _filter(name: str, keep: Callable[[Any], Any]) -> Stage:
    def draw(source: Any) -> Any:
        while not keep(item := next(source)):
            pass
        return item

    return Stage(name, lambda items: Through(name, items, draw))


def FilterEmptyExamples(axes: Sequence[int] | None = None) -> Stage:
    """A stage that leaves out items of which a part is empty.

    Args:
        axes: the numbers of the parts that are looked at; all of them unless given.

    Raises:
        LayerkitError: an item has no such part.

    >>> list(FilterEmptyExamples()([([1], 0), ([], 1)]))
    [([1], 0)]
    """
    keys = None if axes is None else checked_keys("FilterEmptyExamples", "axes", axes)

    def full(item: Any) -> bool:
        looked_at = range(len(parts_of(item))) if keys is None else keys
        return all(_size(part("FilterEmptyExamples", item, key)) for key in looked_at)

    return _filter("FilterEmptyExamples", full)


def _size(value: Any) -> int:
    return len(value) if isinstance(value, (str, bytes)) else np.size(value)


def FilterByLength(
    max_length: int | None,
    min_length: int | None = 0,
    length_keys: Sequence[int] | None = None,
    length_axis: int = 0,
) -> Stage:
    """A stage that gives the items with min_length <= length <= max_length.

    Args:
        max_length: ``None`` for no bound.
        min_length: ``None`` for no bound.
        length_keys: the parts whose largest size is the length; the first two unless given.
        length_axis: the axis that is measured; of a text, axis 0 are its characters.

    Raises:
        UsageError: the bounds leave nothing.
        LayerkitError: an item has no such part, or no length.

    >>> list(FilterByLength(2, 1)([[], [1], [1, 2, 3]]))
    [[1]]
    """
    least = 0 if min_length is None else whole("data.FilterByLength: min_length", min_length, 0)
    most = None if max_length is None else whole("data.FilterByLength: max_length", max_length, 0)
    if most is not None and least > most:
        raise UsageError(f"data.FilterByLength: no length is at least {least} and at most {most}")
    keys = None if length_keys is None else checked_keys("FilterByLength", "length_keys", length_keys)
    axis = whole("data.FilterByLength: length_axis", length_axis, 0)

    def fits(item: Any) -> bool:
        length = longest("FilterByLength", item, keys, axis)
        return least <= length and (most is None or length <= most)

    return _filter("FilterByLength", fits)
