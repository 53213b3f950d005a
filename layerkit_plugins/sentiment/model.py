"""The classifiers: from a text's word vectors to log-probabilities of the labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from layerkit import UsageError, models
from layerkit import layers as tl

__all__ = ["MODELS", "classifier"]

_MAX_LEN = 4096  # words of a text that a transformer can read


def classifier(
    vocab_size: int,
    embedding_dim: int = 256,
    output_dim: int = 2,
    mask_padding: bool = True,
    mode: str | None = None,
) -> Any:
    """log_softmax(mean(E[ids]) W + b).    ids: (batch, length) int32 -> (batch, output_dim) log-probabilities

    With ``mask_padding`` the mean is over the words alone, so a text scores the same alone and in any batch; one
    without any word has the mean 0. Without it, the mean counts padding, as the notebook's model does.

    Args:
        vocab_size: number of ids; id 0 is padding.
        embedding_dim: width of a word's vector.
        output_dim: number of labels.
        mask_padding: leave padding out of the mean.
        mode: accepted for the notebook's sake; no layer in it behaves differently in training.

    Source: the notebook's exercise 5.

    >>> classifier(9088, mask_padding=False)
    Serial[
      Embedding_9088_256
      Mean
      Dense_2
      LogSoftmax
    ]
    """
    embedding = tl.Embedding(vocab_size, embedding_dim)
    if mask_padding:
        mean = [tl.Branch(embedding, tl.PaddingMask()), tl.MaskedMean()]
    else:
        mean = [embedding, tl.Mean(axis=1)]
    return tl.Serial(mean, tl.Dense(output_dim), tl.LogSoftmax())


def _lstm(vocab_size: int, n_labels: int, d: int) -> Any:
    return models.LSTMClassifier(vocab_size, n_labels, d, bidirectional=True, dropout=0.3)


def _text_cnn(vocab_size: int, n_labels: int, d: int) -> Any:
    return models.TextCNN(vocab_size, n_labels, d)


def _transformer(vocab_size: int, n_labels: int, d: int) -> Any:
    n_heads = math.gcd(d, 4)
    return models.TransformerEncoder(
        vocab_size, n_labels, d, d_ff=2 * d, n_layers=2, n_heads=n_heads, max_len=_MAX_LEN, dropout=0.3
    )


def _bag(vocab_size: int, n_labels: int, settings: Mapping[str, Any]) -> Any:
    return classifier(vocab_size, settings["embedding_dim"], n_labels, settings["mask_padding"])


def _sequence_model(name: str, make: Callable[[int, int, int], Any]) -> Callable[[int, int, Mapping[str, Any]], Any]:
    """A model that sees the order of words; padding never has a part in its scores."""

    def model(vocab_size: int, n_labels: int, settings: Mapping[str, Any]) -> Any:
        if not settings["mask_padding"]:
            raise UsageError(f"mask_padding is off, and the model {name!r} knows no other way: leave it on")
        return tl.Serial(make(vocab_size, n_labels, settings["embedding_dim"]), tl.LogSoftmax())

    return model


MODELS: dict[str, Callable[[int, int, Mapping[str, Any]], Any]] = {
    "classifier": _bag,
    "lstm": _sequence_model("lstm", _lstm),
    "textcnn": _sequence_model("textcnn", _text_cnn),
    "transformer": _sequence_model("transformer", _transformer),
}
"""The models of the recipe by name: from vocabulary size, number of labels and settings to a layer."""
