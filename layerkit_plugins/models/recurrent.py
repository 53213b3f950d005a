"""Recurrent models: language models, a translator that looks back at what it read, and classifiers of texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import layerkit as lk
from layerkit import arguments
from layerkit import layers as tl

__all__ = ["GRULM", "RNNLM", "GRUClassifier", "LSTMClassifier", "LSTMSeq2SeqAttn"]


@lk.example(lk.i32(2, 5, max=7), vocab_size=7, d_model=6)
@arguments.in_own_name
def RNNLM(
    vocab_size: int,
    d_model: int = 512,
    n_layers: int = 2,
    rnn_cell: Callable[..., lk.Layer] | None = None,
    rnn_cell_d_state_multiplier: int = 2,
    dropout: float = 0.1,
    mode: str | None = None,
) -> lk.Layer:
    """Scores of the id at each position, from those before it.    ids: (b, l)    scores: (b, l, vocab_size)

    Args:
        vocab_size: how many ids there are.
        d_model: the features of embeddings and of each recurrent layer.
        n_layers: how many recurrent layers there are.
        rnn_cell: makes a cell (x, state) -> (y, state) of a number of units; ``tl.LSTMCell`` unless given.
        rnn_cell_d_state_multiplier: how wide its state is, in units.
        dropout: the share of the embeddings' numbers that become 0 while training.
        mode: ``"train"``, ``"eval"`` or ``"predict"`` fixes what a call says otherwise; in predict mode a call brings
            ids that were chosen, the first of all being 0.

    Raises:
        LayerError: an argument is out of range.

    >>> RNNLM(100, d_model=8, n_layers=1).output_signature(lk.i32(4, 7))
    float32[4,7,100]
    """
    n = arguments.whole_number("RNNLM", "n_layers", n_layers)
    make = arguments.function("RNNLM", "rnn_cell", rnn_cell or tl.LSTMCell, "a number of units that makes a cell")

    def recurrent() -> Any:
        if make is tl.LSTMCell:
            return tl.LSTM(d_model, mode)  # the same numbers in less time
        first = tl.MakeZeroState(rnn_cell_d_state_multiplier)
        return [lk.Branch([], first), lk.Scan(make(d_model), axis=1, mode=mode), lk.Select([0], n_in=2)]

    return lk.Serial(
        tl.ShiftRight(mode=mode),
        tl.Embedding(vocab_size, d_model),
        tl.Dropout(dropout, mode=mode),
        [recurrent() for _ in range(n)],
        tl.Dense(vocab_size),
        name="RNNLM",
    )


@lk.example(lk.i32(2, 5, max=7), vocab_size=7, d_model=6)
@arguments.in_own_name
def GRULM(vocab_size: int = 256, d_model: int = 512, n_layers: int = 1, mode: str | None = None) -> lk.Layer:
    """``RNNLM`` of GRU layers, without dropout.    ids: (b, l)    scores: (b, l, vocab_size)

    Args:
        vocab_size, d_model, n_layers, mode: as in ``RNNLM``.

    Raises:
        LayerError: an argument is out of range.

    >>> GRULM(100, d_model=8).output_signature(lk.i32(4, 7))
    float32[4,7,100]
    """
    n = arguments.whole_number("GRULM", "n_layers", n_layers)
    return lk.Serial(
        tl.ShiftRight(mode=mode),
        tl.Embedding(vocab_size, d_model),
        [tl.GRU(d_model, mode) for _ in range(n)],
        tl.Dense(vocab_size),
        name="GRULM",
    )


@lk.example(
    lk.i32(2, 5, max=7),
    lk.i32(2, 4, max=7),
    input_vocab_size=7,
    target_vocab_size=7,
    d_model=6,
    n_encoder_layers=1,
    n_decoder_layers=1,
)
@arguments.in_own_name
def LSTMSeq2SeqAttn(
    input_vocab_size: int = 256,
    target_vocab_size: int = 256,
    d_model: int = 512,
    n_encoder_layers: int = 2,
    n_decoder_layers: int = 2,
    n_attention_heads: int = 1,
    attention_dropout: float = 0.0,
    mode: str | None = None,
) -> lk.Layer:
    """Scores of each id of a text, from those before it and a whole other text.    (ids, targets) -> (scores, targets)

    ids: (b, l), 0 is padding    targets: (b, m)    scores: (b, m, target_vocab_size)

    One LSTM reads the targets before each position and looks at what another made of the ids; others go on from that.

    Bahdanau, Cho and Bengio, "Neural machine translation by jointly learning to align and translate", ICLR 2015.

    Args:
        input_vocab_size: how many ids the text that is read has.
        target_vocab_size: how many the text that is written has.
        d_model: the features of embeddings, LSTM layers and attention.
        n_encoder_layers: how many LSTM layers read.
        n_decoder_layers: how many LSTM layers write, behind the attention.
        n_attention_heads: how many heads the attention has.
        attention_dropout: the share of its weights that become 0 while training.
        mode: ``"train"``, ``"eval"`` or ``"predict"``; in predict mode ids are the same in every call, and targets
            those that were chosen, the first of all being 0.

    Raises:
        LayerError: an argument is out of range; the heads cannot share d_model evenly.

    >>> model = LSTMSeq2SeqAttn(100, 50, d_model=8)
    >>> model.output_signature((lk.i32(4, 7), lk.i32(4, 3)))
    (float32[4,3,50], int32[4,3])
    """
    own = "LSTMSeq2SeqAttn"
    counts = [
        arguments.whole_number(own, name, value)
        for name, value in (("n_encoder_layers", n_encoder_layers), ("n_decoder_layers", n_decoder_layers))
    ]
    encoder = lk.Serial(tl.Embedding(input_vocab_size, d_model), [tl.LSTM(d_model) for _ in range(counts[0])])
    before = lk.Serial(tl.ShiftRight(mode=mode), tl.Embedding(target_vocab_size, d_model), tl.LSTM(d_model, mode))
    return lk.Serial(
        lk.Select([0, 1, 0, 1]),
        lk.Parallel(lk.Cache(encoder, "predict" if mode == "predict" else "train"), before),
        lk.Select([1, 0, 0, 2, 3]),
        lk.Parallel([], [], [], tl.PaddingMask()),
        lk.Residual(
            tl.AttentionQKV(d_model, n_attention_heads, attention_dropout, mode, cache_KV_in_predict=True),
        ),
        lk.Select([0, 2]),
        [tl.LSTM(d_model, mode) for _ in range(counts[1])],
        tl.Dense(target_vocab_size),
        name=own,
    )


def _classifier(
    own: str,
    unit: Callable[..., lk.Layer],
    vocab_size: int,
    n_classes: int,
    d_model: int,
    n_layers: int,
    bidirectional: bool,
    dropout: float,
    mode: str | None,
) -> lk.Layer:
    n = arguments.whole_number(own, "n_layers", n_layers)
    layers = [unit(d_model, masked=True) for _ in range(n)]
    if bidirectional:
        layers = [lk.Bidirectional(layer) for layer in layers]
    is_real = lk.Fn("IsReal", lambda ids: ids != 0)
    return lk.Serial(
        lk.Branch([tl.Embedding(vocab_size, d_model), tl.Dropout(dropout, mode=mode)], is_real),
        [lk.Branch(layer, lk.Select([1])) for layer in layers],
        tl.MaskedMean(),
        tl.Dropout(dropout, mode=mode),
        tl.Dense(n_classes),
        name=own,
    )


@lk.example(lk.i32(2, 5, max=7), vocab_size=7, d_model=6, bidirectional=True)
@arguments.in_own_name
def LSTMClassifier(
    vocab_size: int,
    n_classes: int = 2,
    d_model: int = 256,
    n_layers: int = 1,
    bidirectional: bool = False,
    dropout: float = 0.0,
    mode: str | None = None,
) -> lk.Layer:
    """Scores of a text's classes, from the mean of what LSTM layers give.    ids: (b, l), 0 is padding

    scores: (b, n_classes), for a loss with a softmax inside or through ``LogSoftmax``. Padding has no part in them.

    Args:
        vocab_size: how many ids there are.
        n_classes: how many classes there are.
        d_model: the features of the embedding and of each LSTM layer.
        n_layers: how many LSTM layers there are.
        bidirectional: whether each also goes from the end to the beginning, with weights of its own.
        dropout: the share of numbers that become 0 while training, behind the embedding and before the scores.
        mode: ``"train"`` or ``"eval"`` fixes what a call says otherwise.

    Raises:
        LayerError: an argument is out of range.

    >>> LSTMClassifier(100, d_model=8).output_signature(lk.i32(4, 7))
    float32[4,2]
    """
    return _classifier(
        "LSTMClassifier", tl.LSTM, vocab_size, n_classes, d_model, n_layers, bidirectional, dropout, mode
    )


@lk.example(lk.i32(2, 5, max=7), vocab_size=7, d_model=6)
@arguments.in_own_name
def GRUClassifier(
    vocab_size: int,
    n_classes: int = 2,
    d_model: int = 256,
    n_layers: int = 1,
    bidirectional: bool = False,
    dropout: float = 0.0,
    mode: str | None = None,
) -> lk.Layer:
    """``LSTMClassifier`` of GRU layers.    ids: (b, l), 0 is padding    scores: (b, n_classes)

    Args:
        vocab_size, n_classes, d_model, n_layers, bidirectional, dropout, mode: as in ``LSTMClassifier``.

    Raises:
        LayerError: an argument is out of range.

    >>> GRUClassifier(100, d_model=8).output_signature(lk.i32(4, 7))
    float32[4,2]
    """
    return _classifier("GRUClassifier", tl.GRU, vocab_size, n_classes, d_model, n_layers, bidirectional, dropout, mode)
