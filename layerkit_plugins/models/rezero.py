"""Transformers without normalization, whose layers begin as nothing: Bachlechner et al., "ReZero", UAI 2021."""

from __future__ import annotations

from typing import Any

import layerkit as lk
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
def ReZeroTransformerEncoder(vocab_size: int, n_classes: int | None = 10, **options: Any) -> lk.Layer:
    """``TransformerEncoder`` with norm="rezero".    ids: (b, l)    scores: (b, n_classes)

    Args:
        vocab_size, n_classes, options: those of ``TransformerEncoder``.

    >>> ReZeroTransformerEncoder(9, 2, d_model=8, d_ff=8, n_layers=1).output_signature(lk.i32(4, 7))
    float32[4,2]
    """
    return transformer.TransformerEncoder(vocab_size, n_classes, norm="rezero", **options)


@lk.example(lk.i32(2, 5, max=7), vocab_size=7, n_layers=1, **_SMALL)
def ReZeroTransformerDecoder(vocab_size: int | None = None, **options: Any) -> lk.Layer:
    """``TransformerDecoder`` with norm="rezero".    ids: (b, l)    y: (b, l, d_model)

    Args:
        vocab_size, options: those of ``TransformerDecoder``.

    >>> ReZeroTransformerDecoder(9, d_model=8, d_ff=8, n_layers=1).output_signature(lk.i32(4, 7))
    float32[4,7,8]
    """
    return transformer.TransformerDecoder(vocab_size, norm="rezero", **options)


@lk.example(lk.i32(2, 5, max=7), vocab_size=7, n_layers=1, **_SMALL)
def ReZeroTransformerLM(vocab_size: int, **options: Any) -> lk.Layer:
    """``TransformerLM`` with norm="rezero".    ids: (b, l)    scores: (b, l, vocab_size)

    Args:
        vocab_size, options: those of ``TransformerLM``.

    >>> ReZeroTransformerLM(9, d_model=8, d_ff=8, n_layers=1).output_signature(lk.i32(4, 7))
    float32[4,7,9]
    """
    return transformer.TransformerLM(vocab_size, norm="rezero", **options)


@lk.example(
    lk.i32(2, 5, max=7), lk.i32(2, 4, max=7), input_vocab_size=7, n_encoder_layers=1, n_decoder_layers=1, **_SMALL
)
def ReZeroTransformer(input_vocab_size: int, output_vocab_size: int | None = None, **options: Any) -> lk.Layer:
    """``Transformer`` with norm="rezero".    (ids, targets) -> (scores, targets)    ids: (b, l)    targets: (b, m)

    Args:
        input_vocab_size, output_vocab_size, options: those of ``Transformer``.

    >>> model = ReZeroTransformer(9, d_model=8, d_ff=8, n_encoder_layers=1, n_decoder_layers=1)
    >>> model.output_signature((lk.i32(4, 7), lk.i32(4, 3)))[0]
    float32[4,3,9]
    """
    return transformer.Transformer(input_vocab_size, output_vocab_size, norm="rezero", **options)
