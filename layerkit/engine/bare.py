"""How arrays travel between layers: one bare, several (or none) as a tuple."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["as_tuple", "bare"]


def bare(arrays: Sequence[Any]) -> Any:
    """What a layer takes, or gives, for these arrays.

    >>> bare([1]), bare([1, 2])
    (1, (1, 2))
    """
    return arrays[0] if len(arrays) == 1 else tuple(arrays)


def as_tuple(x: Any) -> tuple[Any, ...]:
    """The arrays of what a layer takes or gives, however many they are.

    >>> as_tuple(1), as_tuple((1, 2))
    ((1,), (1, 2))
    """
    return x if type(x) is tuple else (x,)
