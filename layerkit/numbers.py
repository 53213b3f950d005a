"""Numbers that somebody gave: checked, and named where they are none."""

from __future__ import annotations

import math
import operator
from typing import Any

from layerkit.errors import LayerkitError, UsageError, shown

__all__ = ["as_real", "as_whole", "real", "whole"]


def whole(name: str, value: Any, at_least: int | None = None, error: type[LayerkitError] = UsageError) -> int:
    """``value`` as a whole number of at least ``at_least``, of 64 bits at most.

    Raises:
        UsageError: it is none (or what else ``error`` says).

    >>> whole("batch_size", 16, 1)
    16
    """
    number = as_whole(value)
    is_huge = number is not None and number >= 2**64
    if number is None or is_huge or (at_least is not None and number < at_least):
        bound = " below 2**64" if is_huge else "" if at_least is None else f" of at least {at_least}"
        raise error(f"{name} must be a whole number{bound}, got {shown(value)}")
    return number


def real(
    name: str,
    value: Any,
    at_least: float = -math.inf,
    above: float = -math.inf,
    at_most: float = math.inf,
    below: float = math.inf,
    error: type[LayerkitError] = UsageError,
) -> float:
    """``value`` as a finite number within the bounds.

    Raises:
        UsageError: it is none (or what else ``error`` says).

    >>> real("temperature", 1, above=0)
    1.0
    """
    number = as_real(value)
    if number is None or not (at_least <= number <= at_most and above < number < below):
        bounds = {"of at least": at_least, "above": above, "of at most": at_most, "below": below}
        wanted = " and ".join(f"{word} {bound}" for word, bound in bounds.items() if math.isfinite(bound))
        raise error(f"{name} must be a number{' ' * bool(wanted)}{wanted}, got {shown(value)}")
    return number


def as_whole(value: Any) -> int | None:
    """``value`` as Python's int where it is one by its nature, which truths and 2.0 are not; else ``None``."""
    try:
        return None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return None


def as_real(value: Any) -> float | None:
    """``value`` as Python's float where it is a number, which truths and texts are not; else ``None``."""
    try:
        return None if isinstance(value, bool | str | bytes) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
