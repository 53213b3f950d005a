"""The parts of an item: one array or text by itself, or a tuple of several, numbered from 0."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from layerkit.errors import LayerkitError, UsageError, shown
from layerkit.numbers import whole

__all__ = ["changed", "checked_keys", "checked_map", "longest", "part", "parts_of", "per_key", "whole_item"]


def parts_of(item: Any) -> tuple[Any, ...]:
    """The parts of an item.

    >>> parts_of(("text", 1)), parts_of("text")
    (('text', 1), ('text',))
    """
    return item if isinstance(item, tuple) else (item,)


def whole_item(item: Any, parts: Iterable[Any]) -> Any:
    """``parts`` as an item of the form that ``item`` has."""
    return tuple(parts) if isinstance(item, tuple) else next(iter(parts))


def part(name: str, item: Any, key: int) -> Any:
    """Part ``key`` of an item.

    Raises:
        LayerkitError: it has none.
    """
    parts = parts_of(item)
    if key >= len(parts):
        raise LayerkitError(f"data.{name}: an item has no part {key}, it has {len(parts)}: {shown(item)}")
    return parts[key]


def changed(name: str, item: Any, keys: Iterable[int], change: Callable[[Any, int], Any]) -> Any:
    """The item with ``change(part, key)`` in place of the parts ``keys``."""
    parts = list(parts_of(item))
    for key in keys:
        parts[key] = change(part(name, item, key), key)
    return whole_item(item, parts)


def longest(name: str, item: Any, keys: Sequence[int] | None, axis: int) -> int:
    """The largest size on ``axis`` among the parts ``keys``, of the first two unless given; single numbers have none.

    Raises:
        LayerkitError: no part has the axis.
    """
    parts = parts_of(item)
    found = [_size(part(name, item, key), axis) for key in (range(min(2, len(parts))) if keys is None else keys)]
    known = [size for size in found if size is not None]
    if not known:
        raise LayerkitError(f"data.{name}: an item has no length on axis {axis}: {shown(item)}")
    return max(known)


def _size(value: Any, axis: int) -> int | None:
    shape = (len(value),) if isinstance(value, (str, bytes)) else np.shape(value)
    return shape[axis] if axis < len(shape) else None


def checked_keys(name: str, argument: str, keys: Any) -> tuple[int, ...]:
    """``keys`` as numbers of parts.

    Raises:
        UsageError: they are none.
    """
    if isinstance(keys, (str, bytes)) or not hasattr(keys, "__iter__"):
        raise UsageError(f"data.{name}: {argument} are numbers of parts, such as [0, 1], got {shown(keys)}")
    return tuple(whole(f"data.{name}: one of {argument}", key, 0) for key in keys)


def checked_map(name: str, argument: str, value: Any) -> dict[int, Any]:
    """``value`` as a dict from the number of a part to something.

    Raises:
        UsageError: it is none.
    """
    if not isinstance(value, Mapping) or not value:
        raise UsageError(
            f"data.{name}: {argument} is a dict from the number of a part, such as {{0: 128}}, got {shown(value)}"
        )
    return dict(zip(checked_keys(name, argument, value), value.values(), strict=True))


def per_key(value: Any, key: int) -> Any:
    """What ``value`` says about part ``key``: it is one for all parts, or a dict; 0 where that says nothing."""
    return value.get(key, 0) if isinstance(value, Mapping) else value
