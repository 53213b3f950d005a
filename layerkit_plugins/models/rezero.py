"""Transformers without normalization, whose layers begin as nothing: Bachlechner et al., "ReZero", UAI 2021."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import layerkit as lk
from layerkit import arguments
from layerkit_plugins.models import transformer
from layerkit_plugins.models.blocks import SINES

__all__ = [
    "ReZeroTransformer",
    "ReZeroTransformerDecoder",
    "ReZeroTransformerEncoder",
    "ReZeroTransformerLM",
]

_SMALL: dict[str, Any] = {"d_model": 8, "d_ff": 12, "n_heads": 2, "max_len": 9, "expected_failures": SINES}


@lk.example(lk.i32(2, 5, max=7), vocab_size=7, n_classes=3, n_layers=1, **_SMALL)
@arguments.in_own_name
def ReZeroTransformerEncoder(
    vocab_size: int,
    n_classes: int | None = 10,
    d_model: int = 512,
    d_ff: int = 2048,
    n_layers: int = 6,
    n_heads: int = 8,
    dropout: float = 0.1,
    dropout_shared_axes: Sequence[int] | None = None,
    max_len: int = 2048,
    mode: str | None = None,
    ff_activation: Callable[[], lk.Layer] | None = None,
) -> lk.Layer:
    """``TransformerEncoder`` with norm="rezero".    ids: (b, l)    scores: (b, n_classes)

    Args:
        vocab_size, n_classes, d_model, d_ff, n_layers, n_heads, dropout, dropout_shared_axes,
        max_len, mode, ff_activation: those of ``TransformerEncoder``.

    Raises:
        LayerError: as in ``TransformerEncoder``.

    >>> ReZeroTransformerEncoder(9, 2, d_model=8, d_ff=8, n_layers=1).output_signature(lk.i32(4, 7))
    float32[4,2]
    """
    sizes = d_model, d_ff, n_layers, n_heads, max_len
    return transformer.TransformerEncoder(
        vocab_size, n_classes, *sizes, dropout, dropout_shared_axes, mode, ff_activation, norm="rezero"
    )


@lk.example(lk.i32(2, 5, max=7), vocab_size=7, n_layers=1, **_SMALL)
@arguments.in_own_name
def ReZeroTransformerDecoder(
    vocab_size: int | None = None,
    d_model: int = 512,
    d_ff: int = 2048,
    n_layers: int = 6,
    n_heads: int = 8,
    dropout: float = 0.1,
    dropout_shared_axes: Sequence[int] | None = None,
    max_len: int = 2048,
    mode: str | None = None,
    ff_activation: Callable[[], lk.Layer] | None = None,
) -> lk.Layer:
    """``TransformerDecoder`` with norm="rezero".    ids: (b, l)    y: (b, l, d_model)

    Args:
        vocab_size, d_model, d_ff, n_layers, n_heads, dropout, dropout_shared_axes,
        max_len, mode, ff_activation: those of ``TransformerDecoder``.

    Raises:
        LayerError: as in ``TransformerEncoder``.

    >>> ReZeroTransformerDecoder(9, d_model=8, d_ff=8, n_layers=1).output_signature(lk.i32(4, 7))
    float32[4,7,8]
    """
    sizes = d_model, d_ff, n_layers, n_heads, max_len
    return transformer.TransformerDecoder(
        vocab_size, *sizes, dropout, dropout_shared_axes, mode, ff_activation, norm="rezero"
    )


@lk.example(lk.i32(2, 5, max=7), vocab_size=7, n_layers=1, **_SMALL)
@arguments.in_own_name
def ReZeroTransformerLM(
    vocab_size: int,
    d_model: int = 512,
    d_ff: int = 2048,
    n_layers: int = 6,
    n_heads: int = 8,
    dropout: float = 0.1,
    dropout_shared_axes: Sequence[int] | None = None,
    max_len: int = 2048,
    mode: str | None = None,
    ff_activation: Callable[[], lk.Layer] | None = None,
) -> lk.Layer:
    """``TransformerLM`` with norm="rezero".    ids: (b, l)    scores: (b, l, vocab_size)

    Args:
        vocab_size, d_model, d_ff, n_layers, n_heads, dropout, dropout_shared_axes,
        max_len, mode, ff_activation: those of ``TransformerLM``.

    Raises:
        LayerError: as in ``TransformerEncoder``.

    >>> ReZeroTransformerLM(9, d_model=8, d_ff=8, n_layers=1).output_signature(lk.i32(4, 7))
    float32[4,7,9]
    """
    sizes = d_model, d_ff, n_layers, n_heads, max_len
    return transformer.TransformerLM(
        vocab_size, *sizes, dropout, dropout_shared_axes, mode, ff_activation, norm="rezero"
    )


@lk.example(
    lk.i32(2, 5, max=7), lk.i32(2, 4, max=7), input_vocab_size=7, n_encoder_layers=1, n_decoder_layers=1, **_SMALL
)
@arguments.in_own_name
def ReZeroTransformer(
    input_vocab_size: int,
    output_vocab_size: int | None = None,
    d_model: int = 512,
    d_ff: int = 2048,
    n_encoder_layers: int = 6,
    n_decoder_layers: int = 6,
    n_heads: int = 8,
    dropout: float = 0.1,
    dropout_shared_axes: Sequence[int] | None = None,
    max_len: int = 2048,
    mode: str | None = None,
    ff_activation: Callable[[], lk.Layer] | None = None,
) -> lk.Layer:
    """``Transformer`` with norm="rezero".    (ids, targets) -> (scores, targets)    ids: (b, l)    targets: (b, m)

    Args:
        input_vocab_size, output_vocab_size, d_model, d_ff, n_encoder_layers, n_decoder_layers, n_heads, dropout,
        dropout_shared_axes, max_len, mode, ff_activation: those of ``Transformer``.

    Raises:
        LayerError: as in ``TransformerEncoder``.

    >>> model = ReZeroTransformer(9, d_model=8, d_ff=8, n_encoder_layers=1, n_decoder_layers=1)
    >>> model.output_signature((lk.i32(4, 7), lk.i32(4, 3)))[0]
    float32[4,3,9]
    """
    sizes = d_model, d_ff, n_encoder_layers, n_decoder_layers, n_heads, max_len
    return transformer.Transformer(
        input_vocab_size, output_vocab_size, *sizes, dropout, dropout_shared_axes, mode, ff_activation, norm="rezero"
    )
