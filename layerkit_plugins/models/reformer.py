"""Reformers: Transformers of reversible blocks, whose memory does not grow with the number of layers.

Kitaev, Kaiser and Levskaya, "Reformer: the efficient Transformer", ICLR 2020, arXiv 2001.04451.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import layerkit as lk
from layerkit import arguments
from layerkit import layers as tl
from layerkit_plugins.models.blocks import SINES, Plan, checked_plan
from layerkit_plugins.models.options import FeedForward, Positions, checked_feed_forward, scores

__all__ = ["Reformer", "ReformerLM"]

_WHOLE = 2**31


class _Attention(NamedTuple):
    """What makes the attention of positions to one another, its sizes, and how many texts it takes at a time."""

    make: Callable[..., lk.Layer]
    d_qk: int
    d_v: int
    chunk_size: int = 0

    def layer(self, plan: Plan, causal: bool, masked: bool = False) -> lk.Layer:
        room = {"predict_mem_len": plan.max_len} if plan.mode == "predict" else {}
        layer = self.make(
            n_heads=plan.n_heads,
            d_qk=self.d_qk,
            d_v=self.d_v,
            causal=causal,
            masked=masked,
            mode=plan.mode,
            attention_dropout=plan.dropout,
            output_dropout=plan.dropout,
            **room,
        )
        # What it remembers in predict mode is of the whole batch, which is then one chunk.
        return lk.Chunk(layer, _WHOLE if plan.mode == "predict" else self.chunk_size) if self.chunk_size else layer


def _half(n_context: int, *layers: Any) -> list[lk.Layer]:
    """(x, y, context...) -> (y, x + layers(norm(y)), context...)"""
    others = range(2, 2 + n_context)
    return [tl.ReversibleHalfResidual(tl.LayerNorm(), *layers), tl.ReversibleSelect([1, 0, *others])]


def _without(n_context: int) -> list[lk.Layer]:
    """Leaves out the context, for layers that take one array."""
    return [lk.Select([0], n_in=1 + n_context)] if n_context else []


def _feed_forward_half(plan: Plan, feed_forward: FeedForward, n_context: int) -> list[lk.Layer]:
    return _half(n_context, *_without(n_context), feed_forward.layers(plan), plan.drop())


def _reversible(model: str, name: str, n_layers: Any, make: Callable[[], list[lk.Layer]]) -> lk.Layer:
    n_layers = arguments.whole_number(model, name, n_layers)
    blocks: lk.Layer = tl.ReversibleSerial([make() for _ in range(n_layers)])
    return blocks


@lk.example(
    lk.i32(2, 5, max=7),
    vocab_size=7,
    d_model=8,
    d_ff=12,
    d_attention_key=3,
    d_attention_value=4,
    n_layers=1,
    n_heads=2,
    max_len=9,
    dropout=0.0,
    expected_failures=SINES,
)
@arguments.in_own_name
def ReformerLM(
    vocab_size: int,
    d_model: int = 512,
    d_ff: int = 2048,
    d_attention_key: int = 64,
    d_attention_value: int = 64,
    n_layers: int = 6,
    n_heads: int = 8,
    dropout: float = 0.1,
    max_len: int = 2048,
    attention_type: Callable[..., lk.Layer] | None = None,
    pos_type: str | None = None,
    pos_axial_shape: Sequence[int] = (),
    pos_d_axial_embs: Sequence[int] | None = None,
    pos_start_from_zero_prob: float = 1.0,
    pos_max_offset_to_add: int = 0,
    ff_activation: Callable[[], lk.Layer] | None = None,
    ff_use_sru: int | Sequence[int] = 0,
    ff_chunk_size: int = 0,
    ff_sparsity: int | Sequence[float] = 0,
    loss_sparsity_type: str = "mult",
    loss_sparsity: int = 0,
    loss_d_lowrank: int = 0,
    loss_sparsity_prob: float | None = None,
    attention_chunk_size: int = 0,
    mode: str | None = None,
    ff_dropout: float | None = None,
) -> lk.Layer:
    """Scores of the id at each position, from those before it.    ids: (b, l)    scores: (b, l, vocab_size)

    Two copies of the embedded ids go through n_layers reversible blocks, each with attention and a feed-forward layer;
    what comes out side by side is normalized, and scored. In predict mode a call brings ids that were chosen, the first
    of all being 0, and gives the scores of those that follow: see ``ShiftRight``.

    Kitaev et al., "Reformer", ICLR 2020, arXiv 2001.04451.

    Args:
        vocab_size: how many ids there are.
        d_model: the features between blocks.
        d_ff: the features inside a feed-forward layer.
        d_attention_key, d_attention_value: features of a key, and of a value, in each head.
        n_layers: how many blocks there are.
        n_heads: how many heads an attention layer has.
        dropout: the share of numbers that become 0 while training.
        max_len: the longest sequence there can be.
        attention_type: makes the attention layers: ``tl.SelfAttention`` unless given, ``tl.LSHSelfAttention``, or
            ``functools.partial(tl.LSHSelfAttention, chunk_len=64, n_hashes=4)``.
        pos_type: ``"axial"`` for an ``AxialPositionalEncoding``, which a ``pos_axial_shape`` asks for as well,
            ``"sin-cos"`` for a ``SinCosPositionalEncoding``; a ``PositionalEncoding`` unless given.
        pos_axial_shape, pos_d_axial_embs: arguments of an ``AxialPositionalEncoding``.
        pos_start_from_zero_prob, pos_max_offset_to_add: arguments of a ``PositionalEncoding``.
        ff_activation: makes the activation of feed-forward layers; ``tl.FastGelu`` unless given.
        ff_use_sru: how many ``SRU`` layers of 32 units stand beside each feed-forward layer; (n, units) for others.
        ff_chunk_size: positions that a feed-forward layer takes at a time; all for 0.
        ff_sparsity: makes feed-forward layers ``SparseFF``: n_elements_in_block, with d_ff / n_elements_in_block for
            its rank, or (n_elements_in_block, d_lowrank), or these with temperature and quant_prob; 0 for dense ones.
        loss_sparsity_type, loss_sparsity, loss_d_lowrank, loss_sparsity_prob: what the layer of scores is, as the
            sparsity_type, sparsity, d_lowrank and prob_sparse of a ``SparseDenseWithOptions``; a Dense where
            loss_sparsity is 0.
        attention_chunk_size: texts of a batch that an attention layer takes at a time; all for 0.
        mode: ``"train"``, ``"eval"`` or ``"predict"`` fixes what a call says otherwise.
        ff_dropout: dropout inside feed-forward layers; ``dropout`` unless given.

    Raises:
        LayerError: an argument is out of range; a sequence longer than max_len.

    >>> model = ReformerLM(100, d_model=8, d_ff=16, n_layers=2, n_heads=2, attention_type=tl.LSHSelfAttention)
    >>> model.output_signature(lk.i32(4, 7))
    float32[4,7,100]
    """
    own = "ReformerLM"
    activation = tl.FastGelu if ff_activation is None else ff_activation
    plan = checked_plan(own, d_model, d_ff, n_heads, max_len, dropout, None, mode, activation, "pre")
    feed_forward = checked_feed_forward(own, plan, ff_dropout, ff_chunk_size, ff_use_sru, ff_sparsity)
    make = tl.SelfAttention if attention_type is None else attention_type
    attention = _Attention(
        arguments.function(own, "attention_type", make, "the arguments of tl.SelfAttention"),
        arguments.whole_number(own, "d_attention_key", d_attention_key),
        arguments.whole_number(own, "d_attention_value", d_attention_value),
        arguments.whole_number(own, "attention_chunk_size", attention_chunk_size, at_least=0),
    )
    at = Positions(pos_type, pos_axial_shape, pos_d_axial_embs, pos_start_from_zero_prob, pos_max_offset_to_add)
    block = lambda: [*_half(0, attention.layer(plan, causal=True)), *_feed_forward_half(plan, feed_forward, 0)]
    loss = (loss_sparsity_type, loss_sparsity, loss_d_lowrank, loss_sparsity_prob)
    return lk.Serial(
        tl.ShiftRight(mode=mode),
        at.embedded(own, plan, tl.Embedding(vocab_size, d_model)),
        lk.Dup(),
        _reversible(own, "n_layers", n_layers, block),
        lk.Concatenate(),
        tl.LayerNorm(),
        scores(vocab_size, 2 * d_model, *loss, mode),
        name=own,
    )


@lk.example(
    lk.i32(2, 5, max=7),
    lk.i32(2, 4, max=7),
    input_vocab_size=7,
    d_model=8,
    d_ff=12,
    n_encoder_layers=1,
    n_decoder_layers=1,
    n_heads=2,
    dropout=0.0,
    max_len=9,
    expected_failures=SINES,
)
@arguments.in_own_name
def Reformer(
    input_vocab_size: int,
    output_vocab_size: int | None = None,
    d_model: int = 512,
    d_ff: int = 2048,
    n_encoder_layers: int = 6,
    n_decoder_layers: int = 6,
    n_heads: int = 8,
    dropout: float = 0.1,
    max_len: int = 2048,
    ff_activation: Callable[[], lk.Layer] | None = None,
    ff_dropout: float | None = None,
    mode: str | None = None,
    pos_type: str | None = None,
    pos_axial_shape: Sequence[int] | None = None,
    pos_d_axial_embs: Sequence[int] | None = None,
    ff_use_sru: int | Sequence[int] = 0,
    ff_chunk_size: int = 0,
    ff_sparsity: int | Sequence[float] = 0,
) -> lk.Layer:
    """Scores of each id of a text, from those before it and a whole other text.    (ids, targets) -> (scores, targets)

    ids: (b, l), 0 is padding    targets: (b, m)    scores: (b, m, output_vocab_size)

    As ``Transformer``, of reversible blocks with ``SelfAttention`` and ``EncDecAttention``, d_model / n_heads features
    in each head. In predict mode ids are the same in every call, and encoded in the first alone.

    Kitaev et al., "Reformer", ICLR 2020, arXiv 2001.04451.

    Args:
        input_vocab_size: how many ids the text that is read has.
        output_vocab_size: how many the text that is written has; ``None``: the same, and one embedding for both.
        d_model: the features between blocks.
        d_ff: the features inside a feed-forward layer.
        n_encoder_layers, n_decoder_layers: how many blocks read, and write.
        n_heads: how many heads an attention layer has.
        dropout: the share of numbers that become 0 while training.
        max_len: the longest sequence there can be.
        ff_activation: makes the activation of feed-forward layers; ``tl.Relu`` unless given.
        ff_dropout, ff_use_sru, ff_chunk_size, ff_sparsity: as in ``ReformerLM``.
        mode: ``"train"``, ``"eval"`` or ``"predict"`` fixes what a call says otherwise.
        pos_type, pos_axial_shape, pos_d_axial_embs: as in ``ReformerLM``, for both texts.

    Raises:
        LayerError: an argument is out of range; the heads cannot share d_model evenly; a text longer than max_len.

    >>> model = Reformer(100, 50, d_model=8, d_ff=16, n_encoder_layers=1, n_decoder_layers=1, n_heads=2)
    >>> model.output_signature((lk.i32(4, 7), lk.i32(4, 3)))
    (float32[4,3,50], int32[4,3])
    """
    own = "Reformer"
    plan = checked_plan(own, d_model, d_ff, n_heads, max_len, dropout, None, mode, ff_activation, "pre")
    if d_model % n_heads:
        raise lk.LayerError(f"Reformer: {n_heads} heads cannot share the {d_model} features of d_model evenly")
    reading, at = plan.whole_sequences(), Positions(pos_type, pos_axial_shape, pos_d_axial_embs)
    feed_forward = checked_feed_forward(own, plan, ff_dropout, ff_chunk_size, ff_use_sru, ff_sparsity)
    attention = _Attention(tl.SelfAttention, d_model // n_heads, d_model // n_heads)
    in_embedding = tl.Embedding(input_vocab_size, d_model)
    out_embedding = in_embedding if output_vocab_size is None else tl.Embedding(output_vocab_size, d_model)
    read = lambda: [
        *_half(1, attention.layer(reading, causal=False, masked=True)),
        *_feed_forward_half(reading, feed_forward, 1),
    ]
    write = lambda: [
        *_half(2, *_without(2), attention.layer(plan, causal=True)),
        *_half(2, _look(plan, attention)),
        *_feed_forward_half(plan, feed_forward, 2),
    ]
    encoder = lk.Serial(
        lk.Branch(at.embedded(own, reading, in_embedding), tl.PaddingMask()),
        lk.Select([0, 0, 1], n_in=2),
        _reversible(own, "n_encoder_layers", n_encoder_layers, read),
        lk.Concatenate(),
        tl.LayerNorm(),
    )
    return lk.Serial(
        lk.Select([0, 1, 1]),  # the targets once more, for the loss
        lk.Cache(encoder, "predict" if mode == "predict" else "train"),
        lk.Select([2, 0, 1], n_in=3),
        tl.ShiftRight(mode=mode),
        at.embedded(own, plan, out_embedding),
        lk.Select([0, 0, 1, 2], n_in=3),
        _reversible(own, "n_decoder_layers", n_decoder_layers, write),
        lk.Concatenate(),
        lk.Select([0], n_in=3),
        tl.LayerNorm(),
        tl.Dense(input_vocab_size if output_vocab_size is None else output_vocab_size),
        name=own,
    )


def _look(plan: Plan, attention: _Attention) -> lk.Layer:
    """(y, encoded, mask) -> y"""
    return tl.EncDecAttention(
        plan.n_heads,
        attention.d_qk,
        attention.d_v,
        mode=plan.mode,
        attention_dropout=plan.dropout,
        output_dropout=plan.dropout,
    )
