"""Arrays some rows at a time, on NumPy: what is made on the way then stays in a core's own cache."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as onp

from layerkit.fastmath import is_traced, nested_map, tree_leaves
from layerkit.fastmath.rows import writes_in_place

__all__ = ["by_pieces", "has_pieces", "pieces", "put"]

_LARGE, _PIECE = 1 << 18, 1 << 17
"""From how many numbers on an array is updated by pieces, and how many numbers make a piece."""


def pieces(array: Any) -> list[slice]:
    """Which rows of an array make a piece each.

    >>> pieces(onp.zeros((1200, 256)))
    [slice(0, 600, None), slice(600, 1200, None)]
    """
    count = len(array)
    length = -(-count // max(1, round(array.size / _PIECE)))
    return [slice(start, min(start + length, count)) for start in range(0, count, max(1, length))]


def has_pieces(param: Any, *others: Any) -> bool:
    """Whether these trees hold large arrays, alike, whose numbers are known, on a backend whose arrays are NumPy's."""
    if type(param) is not onp.ndarray or param.size < _LARGE or is_traced(param):
        return False
    alike = all(type(other) is onp.ndarray and other.shape == param.shape for other in tree_leaves(others))
    return alike and writes_in_place()


def by_pieces(update: Callable[..., Any], grads: Any, param: Any, slots: Any, whole: Any) -> Any:
    """``whole``, with what ``update(grads, param, slots)`` gives written into it, piece by piece."""
    for rows in pieces(param):
        given = nested_map(lambda array, rows=rows: array[rows], (param, slots))
        out = given if whole[0] is param else nested_map(lambda array, rows=rows: array[rows], whole)
        nested_map(put, out, tuple(update(grads[rows], *given)))
    return whole


def put(out: Any, new: Any) -> None:
    """Writes ``new`` into ``out``, unless it is there."""
    if new is not out:
        out[...] = new
