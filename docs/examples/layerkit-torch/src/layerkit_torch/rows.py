"""Rows of tables by id, the largest numbers of an axis, and a slice in place of another."""

from __future__ import annotations

from typing import Any

import numpy as onp
import torch

from layerkit.fastmath import ArrayError
from layerkit_torch.array import Array, as_array, in_signed, operands, wrapped

__all__ = ["segment_sum", "take_rows", "top_k", "update_slice"]


def _checked(ids: Any, rows: int) -> torch.Tensor:
    """Ids as torch wants them; each names a row."""
    ids = as_array(ids)
    if not ids.size and ids.dtype.kind == "f":
        ids = as_array(ids, onp.int32)  # an empty list has no dtype of its own
    if ids.dtype.kind not in "iu":
        raise ArrayError(f"ids are whole numbers, got {ids.dtype}: convert them with ids.astype(np.int32)")
    places = ids.tensor.to(torch.int64)
    outside = (places < 0) | (places >= rows)
    if outside.any():
        wrong = int(places[outside][0])
        raise ArrayError(f"id {wrong} is outside the table of {rows} rows (ids run from 0 to {rows - 1})")
    return places


def take_rows(table: Any, ids: Any) -> Array:
    """``table[ids]``, each id that of a row."""
    table = as_array(table)
    if not table.shape:
        raise ArrayError("take_rows: the table is a single number, it has no rows")
    places = _checked(ids, table.shape[0])
    return in_signed(lambda t: t.index_select(0, places.reshape(-1)).reshape(*places.shape, *t.shape[1:]), table)


def segment_sum(values: Any, segment_ids: Any, num_segments: int) -> Array:
    """Sums the values that carry the same id."""
    values, ids = as_array(values), as_array(segment_ids)
    if ids.ndim != 1 or values.shape[:1] != ids.shape:
        raise ArrayError(f"segment_sum: values of shape {values.shape} take one id each, got ids of shape {ids.shape}")
    dtype, (tensor,) = operands(values)
    total = torch.zeros((num_segments, *tensor.shape[1:]), dtype=tensor.dtype)
    return wrapped(total.index_add(0, _checked(ids, num_segments), tensor), dtype)


def top_k(x: Any, k: int) -> tuple[Array, Array]:
    """The k largest numbers of the last axis and their places, the first of equal ones first."""
    dtype, (tensor,) = operands(x)
    if not tensor.ndim or not 0 <= k <= tensor.shape[-1]:
        raise ArrayError(f"top_k: the {k} largest of the last axis of shape {tuple(tensor.shape)}")
    values, places = torch.sort(tensor, dim=-1, descending=True, stable=True)
    return wrapped(values[..., :k], dtype), Array(places[..., :k].to(torch.int32))


def update_slice(x: Any, part: Any, start: Any, axis: int) -> Array:
    """``x`` with ``part`` from ``start`` on along ``axis``."""
    dtype, (whole, piece) = operands(as_array(x), as_array(part))
    first, shape = int(start), tuple(whole.shape)
    if not -whole.ndim <= axis < whole.ndim:
        raise ArrayError(f"update_slice: there is no axis {axis} in an array of shape {shape}")
    fits = piece.ndim == whole.ndim and all(
        a == b for i, (a, b) in enumerate(zip(piece.shape, shape, strict=True)) if i != axis % whole.ndim
    )
    if not fits or not 0 <= first <= shape[axis] - piece.shape[axis]:
        raise ArrayError(
            f"update_slice: a part of shape {tuple(piece.shape)} does not fit into {shape} from {first} on"
        )
    parts = (
        whole.narrow(axis, 0, first),
        piece,
        whole.narrow(axis, end := first + piece.shape[axis], shape[axis] - end),
    )
    return wrapped(torch.cat(parts, axis), dtype)
