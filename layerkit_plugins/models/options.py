"""What the blocks of a Reformer may be made of beside the usual: positions, feed-forward layers, and scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import layerkit as lk
from layerkit import arguments
from layerkit import layers as tl
from layerkit.errors import shown
from layerkit_plugins.models.blocks import Plan, feed_forward

__all__ = ["FeedForward", "Positions", "checked_feed_forward", "scores"]

_SRU_UNITS = 32  # the width of recurrent layers where ff_use_sru is their number alone, as in Trax
_SPARSITY = ("n_elements_in_block", "d_lowrank", "temperature", "quant_prob")


class Positions(NamedTuple):
    """The arguments that choose the positional encoding."""

    pos_type: str | None
    axial_shape: Sequence[int] | None
    d_axial_embs: Sequence[int] | None
    start_from_zero_prob: float = 1.0
    max_offset_to_add: int = 0

    def embedded(self, model: str, plan: Plan, embedding: lk.Layer) -> list[lk.Layer]:
        """What an embedding makes of ids, with dropout and positions."""
        kind = "axial" if self.pos_type is None and self.axial_shape else self.pos_type
        encoding: lk.Layer
        if kind is None:
            encoding = tl.PositionalEncoding(
                plan.max_len,
                start_from_zero_prob=self.start_from_zero_prob,
                max_offset_to_add=self.max_offset_to_add,
                mode=plan.mode,
            )
        elif arguments.one_of(model, "pos_type", kind, ("axial", "sin-cos")) == "sin-cos":
            encoding = tl.SinCosPositionalEncoding(mode=plan.mode)
        else:
            encoding = tl.AxialPositionalEncoding(self.axial_shape or (), self.d_axial_embs or (), mode=plan.mode)
        return [embedding, plan.drop(), encoding]


class FeedForward(NamedTuple):
    """The arguments that choose feed-forward layers."""

    dropout: float
    chunk_size: int
    sru: tuple[int, int]
    """How many recurrent layers stand beside each, and how wide they are."""
    sparsity: dict[str, Any]
    """Arguments of a ``SparseFF``; none for a dense one."""

    def layers(self, plan: Plan) -> lk.Layer:
        """x -> y, both (b, l, d_model)"""
        if self.sparsity:
            layer: lk.Layer = tl.SparseFF(plan.d_ff, mode=plan.mode, **self.sparsity)
        else:
            layer = lk.Serial(feed_forward(plan._replace(dropout=self.dropout)))
        if self.chunk_size:
            layer = lk.BatchLeadingAxes(lk.Chunk(layer, self.chunk_size))
        n, width = self.sru
        if not n:
            return layer
        return lk.Residual(
            tl.Dense(width), [tl.SRU(width, mode=plan.mode) for _ in range(n)], tl.Dense(plan.d_model), shortcut=layer
        )


def checked_feed_forward(
    model: str, plan: Plan, ff_dropout: Any, ff_chunk_size: Any, ff_use_sru: Any, ff_sparsity: Any
) -> FeedForward:
    """The feed-forward layers of a model, if its arguments make some."""
    sru = _numbers(model, "ff_use_sru", ff_use_sru, 2)
    sparsity = _numbers(model, "ff_sparsity", ff_sparsity, len(_SPARSITY))
    if len(sparsity) == 1:
        sparsity = (*sparsity, plan.d_ff // sparsity[0])
    return FeedForward(
        plan.dropout if ff_dropout is None else arguments.fraction(model, "ff_dropout", ff_dropout),
        arguments.whole_number(model, "ff_chunk_size", ff_chunk_size, at_least=0),
        (*sru, _SRU_UNITS)[:2] if sru else (0, 0),
        dict(zip(_SPARSITY, sparsity, strict=False)),
    )


def _numbers(model: str, name: str, value: Any, most: int) -> tuple[Any, ...]:
    """``value`` as a tuple of up to so many numbers; none where the first is 0."""
    numbers = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if not 0 < len(numbers) <= most:
        raise lk.LayerError(f"{model}: {name} must be a whole number, or up to {most} numbers, got {shown(value)}")
    return numbers if arguments.whole_number(model, name, numbers[0], at_least=0) else ()


def scores(
    vocab_size: int, d: int, kind: str, sparsity: int, rank: int, prob: float | None, mode: str | None
) -> lk.Layer:
    """The layer that scores ids, from d features: Dense where sparsity is 0."""
    if not sparsity:
        return tl.Dense(vocab_size)
    return tl.SparseDenseWithOptions(vocab_size, d, kind, sparsity, rank, prob, mode)
