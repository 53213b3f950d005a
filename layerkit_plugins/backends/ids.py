"""Ids that name rows of a table: what may be one, said in the same words on every backend."""

from __future__ import annotations

from typing import Any

import numpy as onp

from layerkit.fastmath import ArrayError

__all__ = ["check_id_dtype", "check_ids"]


def check_id_dtype(dtype: Any) -> None:
    """Raises ``ArrayError`` unless ``dtype`` is one of whole numbers."""
    if onp.dtype(dtype).kind not in "iu":
        raise ArrayError(f"ids are whole numbers, got {onp.dtype(dtype).name}: convert them with ids.astype(np.int32)")


def check_ids(ids: Any, rows: int) -> None:
    """Raises ``ArrayError``, naming the first id in reading order that is not in 0 .. rows - 1.

    Args:
        ids: known whole numbers, of any shape.
        rows: how many rows the table has.
    """
    ids = onp.asarray(ids)
    if ids.size == 0 and ids.dtype.kind == "f":
        return  # an empty list has no dtype of its own
    check_id_dtype(ids.dtype)
    outside = (ids < 0) | (ids >= rows)
    if not outside.any():
        return
    first = ids[outside][0]
    if rows == 0:
        raise ArrayError(f"id {first} is outside the table, which has no rows")
    raise ArrayError(f"id {first} is outside the table of {rows} rows (ids run from 0 to {rows - 1})")
