"""Which values of an array are not finite, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as onp

from layerkit.fastmath.ops import to_host

__all__ = ["Words", "fault_of", "first_not_finite", "floats"]


class Words(NamedTuple):
    """How many values of an array are not finite, and which: ``nan in 3 of 8 values``."""

    kind: str
    bad: int
    size: int

    def __str__(self) -> str:
        return f"{self.kind} in {self.bad} of {self.size} values"


def fault_of(array: Any) -> Words | None:
    """What of an array is not finite; ``None`` if nothing is, or it is no array of floats.

    >>> str(fault_of(onp.array([1.0, onp.nan, onp.inf])))
    'nan in 2 of 3 values'
    """
    values = floats(array)
    if values is None:
        return None
    bad = int(values.size - onp.count_nonzero(onp.isfinite(values)))
    return Words("nan" if onp.isnan(values).any() else "inf", bad, values.size) if bad else None


def floats(array: Any) -> Any:
    """An array of floats on the host, in a dtype that NumPy counts in; ``None`` for any other."""
    values = onp.asarray(to_host(array))
    if values.dtype.kind not in "fV":
        return None
    return values.astype(onp.float32) if values.dtype.kind == "V" else values


def first_not_finite(named: Mapping[str, Any]) -> str | None:
    """The name of the first array that is not finite, with what is wrong with it.

    >>> first_not_finite({"a": onp.ones(2), "b": onp.array([onp.inf, -onp.inf])})
    'b has inf in 2 of 2 values'
    """
    for name, array in named.items():
        if fault := fault_of(array):
            return f"{name} has {fault}"
    return None
