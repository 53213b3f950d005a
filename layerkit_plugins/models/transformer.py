"""Transformers: encoder, decoder, language model, and both halves together; normalized before, after, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import layerkit as lk
from layerkit import arguments
from layerkit import layers as tl
from layerkit_plugins.models.blocks import (
    SINES,
    Plan,
    checked_plan,
    embedded,
    encoder_block,
    feed_forward,
    normalized,
    residual,
)

__all__ = ["Transformer", "TransformerDecoder", "TransformerEncoder", "TransformerLM"]

Activation = Callable[[], lk.Layer]


def _blocks(model: str, n_layers: Any, make: Callable[[], list[lk.Layer]], name: str = "n_layers") -> list[Any]:
    return [make() for _ in range(arguments.whole_number(model, name, n_layers))]


def _named(model: str, norm: str) -> str:
    """What a model prints as."""
    return f"ReZero{model}" if norm == "rezero" else model


def _causal(plan: Plan) -> lk.Layer:
    return tl.CausalAttention(plan.d_model, plan.n_heads, plan.dropout, plan.max_len, mode=plan.mode)


def _decoder_block(plan: Plan) -> list[lk.Layer]:
    """x -> x"""
    return [*residual(plan, _causal(plan)), *residual(plan, *feed_forward(plan))]


def _encoder_decoder_block(plan: Plan) -> list[lk.Layer]:
    """(x, mask, encoded) -> (x, mask, encoded)"""
    attention = tl.AttentionQKV(plan.d_model, plan.n_heads, plan.dropout, plan.mode, cache_KV_in_predict=True)
    look = [lk.Select([0, 2, 2, 1, 2]), attention]
    return [*residual(plan, _causal(plan)), *residual(plan, *look), *residual(plan, *feed_forward(plan))]


@lk.example(
    lk.i32(2, 5, max=7),
    vocab_size=7,
    n_classes=3,
    d_model=8,
    d_ff=12,
    n_layers=1,
    n_heads=2,
    max_len=9,
    expected_failures=SINES,
)
@arguments.in_own_name
def TransformerEncoder(
    vocab_size: int,
    n_classes: int | None = 10,
    d_model: int = 512,
    d_ff: int = 2048,
    n_layers: int = 6,
    n_heads: int = 8,
    max_len: int = 2048,
    dropout: float = 0.1,
    dropout_shared_axes: Sequence[int] | None = None,
    mode: str | None = None,
    ff_activation: Activation | None = None,
    norm: str = "pre",
) -> lk.Layer:
    """Attention over a whole text, and scores of its classes.    ids: (b, l), 0 is padding    scores: (b, n_classes)

    What the blocks make of the real positions is averaged; padding has no part in anything. Scores go to a loss with
    a softmax inside, such as ``WeightedCategoryCrossEntropy``, or through ``LogSoftmax``.

    Vaswani et al., "Attention is all you need", NeurIPS 2017, arXiv 1706.03762; Xiong et al., "On layer normalization
    in the Transformer architecture", ICML 2020, for "pre"; Bachlechner et al., "ReZero", UAI 2021, for "rezero".

    Args:
        vocab_size: how many ids there are.
        n_classes: how many classes; ``None`` for the vectors of all positions, (b, l, d_model).
        d_model: the features between blocks.
        d_ff: the features inside a feed-forward layer.
        n_layers: how many blocks there are.
        n_heads: how many heads an attention layer has.
        max_len: the longest sequence there can be.
        dropout: the share of numbers that become 0 while training, behind embeddings and layers, and of attention's
            weights.
        dropout_shared_axes: axes along which numbers are dropped or kept together.
        mode: ``"train"``, ``"eval"`` or ``"predict"`` fixes what a call says otherwise.
        ff_activation: makes the activation of feed-forward layers; ``tl.Relu`` unless given.
        norm: ``"pre"`` normalizes before each layer, ``"post"`` after each sum, ``"rezero"`` has a factor that begins
            as 0 in place of normalization.

    Raises:
        LayerError: an argument is out of range; the heads cannot share d_model evenly; a text longer than max_len.

    >>> model = TransformerEncoder(100, n_classes=2, d_model=8, d_ff=16, n_layers=1, n_heads=2)
    >>> model.output_signature(lk.i32(4, 7))
    float32[4,2]
    """
    own = "TransformerEncoder"
    plan = checked_plan(
        own, d_model, d_ff, n_heads, max_len, dropout, dropout_shared_axes, mode, ff_activation, norm
    ).whole_sequences()
    return lk.Serial(
        lk.Branch(embedded(plan, tl.Embedding(vocab_size, d_model)), tl.PaddingMask()),
        _blocks(own, n_layers, lambda: encoder_block(plan)),
        normalized(plan),
        lk.Select([0], n_in=2) if n_classes is None else [tl.MaskedMean(), tl.Dense(n_classes)],
        name=_named(own, norm),
    )


@lk.example(
    lk.i32(2, 5, max=7), vocab_size=7, d_model=8, d_ff=12, n_layers=1, n_heads=2, max_len=9, expected_failures=SINES
)
@arguments.in_own_name
def TransformerDecoder(
    vocab_size: int | None = None,
    d_model: int = 512,
    d_ff: int = 2048,
    n_layers: int = 6,
    n_heads: int = 8,
    max_len: int = 2048,
    dropout: float = 0.1,
    dropout_shared_axes: Sequence[int] | None = None,
    mode: str | None = None,
    ff_activation: Activation | None = None,
    norm: str = "pre",
) -> lk.Layer:
    """Causal attention over what was, a vector for each position.    ids: (b, l), or x: (b, l, d)    y: (b, l, d_model)

    Position i sees ids 0 .. i.

    Args:
        vocab_size: how many ids there are; ``None``: inputs are vectors, which a Dense layer brings to d_model.
        d_model: the features between blocks.
        d_ff: the features inside a feed-forward layer.
        n_layers: how many blocks there are.
        n_heads: how many heads an attention layer has.
        max_len: the longest sequence there can be.
        dropout: the share of numbers that become 0 while training, behind embeddings and layers, and of attention's
            weights.
        dropout_shared_axes: axes along which numbers are dropped or kept together.
        mode: ``"train"``, ``"eval"`` or ``"predict"`` fixes what a call says otherwise.
        ff_activation: makes the activation of feed-forward layers; ``tl.Relu`` unless given.
        norm: as in ``TransformerEncoder``.

    Raises:
        LayerError: as in ``TransformerEncoder``.

    >>> model = TransformerDecoder(100, d_model=8, d_ff=16, n_layers=1, n_heads=2)
    >>> model.output_signature(lk.i32(4, 7))
    float32[4,7,8]
    """
    own = "TransformerDecoder"
    plan = checked_plan(own, d_model, d_ff, n_heads, max_len, dropout, dropout_shared_axes, mode, ff_activation, norm)
    first = tl.Dense(d_model) if vocab_size is None else tl.Embedding(vocab_size, d_model)
    blocks = _blocks(own, n_layers, lambda: _decoder_block(plan))
    return lk.Serial(embedded(plan, first), blocks, normalized(plan), name=_named(own, norm))


@lk.example(
    lk.i32(2, 5, max=7), vocab_size=7, d_model=8, d_ff=12, n_layers=1, n_heads=2, max_len=9, expected_failures=SINES
)
@arguments.in_own_name
def TransformerLM(
    vocab_size: int,
    d_model: int = 512,
    d_ff: int = 2048,
    n_layers: int = 6,
    n_heads: int = 8,
    max_len: int = 2048,
    dropout: float = 0.1,
    dropout_shared_axes: Sequence[int] | None = None,
    mode: str | None = None,
    ff_activation: Activation | None = None,
    norm: str = "pre",
) -> lk.Layer:
    """Scores of the id at each position, from those before it.    ids: (b, l)    scores: (b, l, vocab_size)

    In predict mode a call brings ids that were chosen, the first of all being 0, and gives the scores of those that
    follow: see ``ShiftRight``.

    Args:
        vocab_size: how many ids there are.
        d_model: the features between blocks.
        d_ff: the features inside a feed-forward layer.
        n_layers: how many blocks there are.
        n_heads: how many heads an attention layer has.
        max_len: the longest sequence there can be.
        dropout: the share of numbers that become 0 while training, behind embeddings and layers, and of attention's
            weights.
        dropout_shared_axes: axes along which numbers are dropped or kept together.
        mode: ``"train"``, ``"eval"`` or ``"predict"`` fixes what a call says otherwise.
        ff_activation: makes the activation of feed-forward layers; ``tl.Relu`` unless given.
        norm: as in ``TransformerEncoder``.

    Raises:
        LayerError: as in ``TransformerEncoder``.

    >>> model = TransformerLM(100, d_model=8, d_ff=16, n_layers=1, n_heads=2)
    >>> model.output_signature(lk.i32(4, 7))
    float32[4,7,100]
    """
    decoder = TransformerDecoder(
        vocab_size, d_model, d_ff, n_layers, n_heads, max_len, dropout, dropout_shared_axes, mode, ff_activation, norm
    )
    return lk.Serial(tl.ShiftRight(mode=mode), decoder, tl.Dense(vocab_size), name=_named("TransformerLM", norm))


@lk.example(
    lk.i32(2, 5, max=7),
    lk.i32(2, 4, max=7),
    input_vocab_size=7,
    d_model=8,
    d_ff=12,
    n_encoder_layers=1,
    n_decoder_layers=1,
    n_heads=2,
    max_len=9,
    expected_failures=SINES,
)
@arguments.in_own_name
def Transformer(
    input_vocab_size: int,
    output_vocab_size: int | None = None,
    d_model: int = 512,
    d_ff: int = 2048,
    n_encoder_layers: int = 6,
    n_decoder_layers: int = 6,
    n_heads: int = 8,
    max_len: int = 2048,
    dropout: float = 0.1,
    dropout_shared_axes: Sequence[int] | None = None,
    mode: str | None = None,
    ff_activation: Activation | None = None,
    norm: str = "pre",
) -> lk.Layer:
    """Scores of each id of a text, from those before it and a whole other text.    (ids, targets) -> (scores, targets)

    ids: (b, l), 0 is padding    targets: (b, m)    scores: (b, m, output_vocab_size)

    In predict mode ids are the same in every call, and encoded in the first alone; targets are as in ``TransformerLM``.

    Args:
        input_vocab_size: how many ids the text that is read has.
        output_vocab_size: how many the text that is written has; ``None``: the same, and one embedding for both.
        n_encoder_layers, n_decoder_layers: how many blocks read, and write.
        d_model: the features between blocks.
        d_ff: the features inside a feed-forward layer.
        n_heads: how many heads an attention layer has.
        max_len: the longest sequence there can be.
        dropout: the share of numbers that become 0 while training, behind embeddings and layers, and of attention's
            weights.
        dropout_shared_axes: axes along which numbers are dropped or kept together.
        mode: ``"train"``, ``"eval"`` or ``"predict"`` fixes what a call says otherwise.
        ff_activation: makes the activation of feed-forward layers; ``tl.Relu`` unless given.
        norm: as in ``TransformerEncoder``.

    Raises:
        LayerError: as in ``TransformerEncoder``.

    >>> model = Transformer(100, 50, d_model=8, d_ff=16, n_encoder_layers=1, n_decoder_layers=1, n_heads=2)
    >>> model.output_signature((lk.i32(4, 7), lk.i32(4, 3)))
    (float32[4,3,50], int32[4,3])
    """
    own = "Transformer"
    plan = checked_plan(own, d_model, d_ff, n_heads, max_len, dropout, dropout_shared_axes, mode, ff_activation, norm)
    reading = plan.whole_sequences()
    in_embedding = tl.Embedding(input_vocab_size, d_model)
    out_embedding = in_embedding if output_vocab_size is None else tl.Embedding(output_vocab_size, d_model)
    encoder = lk.Serial(
        lk.Branch(embedded(reading, in_embedding), tl.PaddingMask()),
        _blocks(own, n_encoder_layers, lambda: encoder_block(reading), "n_encoder_layers"),
        normalized(reading),
    )
    return lk.Serial(
        lk.Select([0, 1, 1]),  # the targets once more, for the loss
        lk.Cache(encoder, "predict" if mode == "predict" else "train"),
        lk.Select([2, 1, 0]),
        tl.ShiftRight(mode=mode),
        embedded(plan, out_embedding),
        _blocks(own, n_decoder_layers, lambda: _encoder_decoder_block(plan), "n_decoder_layers"),
        normalized(plan),
        lk.Select([0], n_in=3),
        tl.Dense(input_vocab_size if output_vocab_size is None else output_vocab_size),
        name=_named(own, norm),
    )
