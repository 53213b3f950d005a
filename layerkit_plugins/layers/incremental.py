"""Predict mode: what layers remember from one call to the next, so that a decoder computes each position once.

A layer made with ``mode="predict"`` takes a sequence piece by piece: each call brings the positions that follow those
of the call before, one or many, and gives what one call on the whole sequence gives at those positions. Its state
right after ``init`` is the beginning of a sequence; whoever keeps that state starts again from it. ``init`` fixes the
batch size, and the constructor how many positions there can be.

In the state, a count of positions is a number without axes, and every other array has the batch as its first axis: a
beam search reorders the rows of those, and leaves the counts alone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import layerkit as lk
from layerkit import arguments, fastmath
from layerkit.fastmath import numpy as np

__all__ = [
    "Remembered",
    "append",
    "empty",
    "follow",
    "forget",
    "nan_beyond",
    "no_position",
    "require_batch",
    "room_to_drop",
]


class Remembered(NamedTuple):
    """Keys and values of the positions that were, and how many those are; the state of attention in predict mode."""

    keys: Any
    values: Any
    position: Any


def no_position() -> Any:
    """The count before the first call."""
    return np.zeros((), np.int32)


def require_batch(kept: Any, x: Any) -> None:
    """Raises where what was kept from call to call is of another batch than ``x``."""
    if kept.shape[0] != x.shape[0]:
        raise lk.LayerError(
            f"in predict mode it was initialized for a batch of {kept.shape[0]}, got {x.shape[0]}; init it again"
        )


def follow(position: Any, length: int, room: int, argument: str) -> Any:
    """The count after ``length`` more positions.

    Raises:
        LayerError: there are ``room`` positions in all, and that is more; known outside of a compiled program alone,
            where ``nan_beyond`` marks them.
    """
    if length > room:
        raise lk.LayerError(f"a sequence of {length} is longer than {argument}={room}")
    after = position + length
    if not fastmath.is_traced(after) and fastmath.rarely(after > room):
        before = int(fastmath.to_host(position))
        raise lk.LayerError(
            f"called out of order: {length} more after {before} positions is beyond {argument}={room}; "
            "start again from the state that init gave"
        )
    return after


def nan_beyond(room: int, after: Any, y: Any) -> Any:
    """``y``, or NaN throughout if the count ``after`` the call is beyond ``room``: a compiled program cannot raise."""
    return np.where(after <= room, y, np.nan) if fastmath.is_traced(after) else y


def empty(keys: Any, values: Any, room: int) -> Remembered:
    """Room for that many positions, for keys and values (..., l, d) like these."""
    shapes = [(*of.shape[:-2], room, of.shape[-1]) for of in (keys, values)]
    return Remembered(np.zeros(shapes[0], keys.dtype), np.zeros(shapes[1], values.dtype), no_position())


def append(state: Remembered, keys: Any, values: Any, argument: str) -> Remembered:
    """The state with the keys and values of the positions that follow.

    Raises:
        LayerError: there is no room for them, or they are of another batch than the layer was initialized for.
    """
    for old, new in ((state.keys, keys), (state.values, values)):
        if old.shape[:-2] != new.shape[:-2] or old.shape[-1] != new.shape[-1]:
            raise lk.LayerError(
                f"in predict mode it was initialized for {_with_any_length(old.shape)}, "
                f"got {tuple(new.shape)}; init it again for another batch"
            )
    room = state.keys.shape[-2]
    after = follow(state.position, keys.shape[-2], room, argument)
    return Remembered(
        fastmath.update_slice(state.keys, keys, state.position, axis=-2),
        fastmath.update_slice(state.values, values, state.position, axis=-2),
        after,
    )


def room_to_drop(layer: str, predict_drop_len: Any, room: int, chunk_len: int = 1) -> int | None:
    """The argument ``predict_drop_len``, if so many positions can be forgotten; ``None`` where none are to be."""
    if predict_drop_len is None:
        return None
    drop = arguments.whole_number(layer, "predict_drop_len", predict_drop_len)
    if drop > room or drop % chunk_len:
        fault = f"is more than predict_mem_len={room}" if drop > room else f"is no multiple of chunk_len={chunk_len}"
        raise lk.LayerError(f"{layer}: predict_drop_len={drop} {fault}")
    return drop


def forget(position: Any, length: int, room: int, drop: int | None, *memories: Any) -> tuple[Any, ...]:
    """The count and the memories (..., room, d), the oldest ``drop`` positions gone if ``length`` more have no room.

    What is left moves to the front. Behind the count lies what the next positions are written over.
    """
    if drop is None:
        return position, *memories
    full = position + length > room
    moved = [np.concatenate([x[..., drop:, :], x[..., :drop, :]], axis=-2) for x in memories]
    kept = [np.where(full, new, old) for new, old in zip(moved, memories, strict=True)]
    return np.where(full, np.maximum(position - drop, 0), position), *kept


def _with_any_length(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape[:-2]))}, length, {shape[-1]})"
