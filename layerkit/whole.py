"""Whole numbers that somebody gave: checked, and named where they are none."""

from __future__ import annotations

from typing import Any

from layerkit.errors import UsageError

__all__ = ["whole"]


def whole(name: str, value: Any, least: int) -> int:
    """``value`` as a whole number from ``least`` up.

    Raises:
        UsageError: it is none.

    >>> whole("batch_size", 16, 1)
    16
    """
    if isinstance(value, bool) or not hasattr(value, "__index__") or not least <= value.__index__() < 2**64:
        raise UsageError(f"{name} is a whole number from {least} up, got {value!r}")
    return int(value.__index__())
