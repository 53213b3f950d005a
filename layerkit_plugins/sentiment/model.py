"""The classifier: the mean of a text's word vectors, and a softmax over the labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from layerkit import layers as tl

__all__ = ["MODELS", "classifier"]


def classifier(
    vocab_size: int,
    embedding_dim: int = 256,
    output_dim: int = 2,
    mask_padding: bool = True,
    mode: str | None = None,
) -> Any:
    """log_softmax(mean(E[ids]) W + b).    ids: (batch, length) int32 -> (batch, output_dim) log-probabilities

    With `mask_padding` the mean is over the words alone, so a text scores the same alone and in any batch; one without
    any word has the mean 0. Without it, the mean counts padding, as the notebook's model does.

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


MODELS: dict[str, Callable[[int, int, Mapping[str, Any]], Any]] = {
    "classifier": lambda vocab_size, n_labels, settings: classifier(
        vocab_size, settings["embedding_dim"], n_labels, settings["mask_padding"]
    ),
}
"""The models of the recipe by name: from vocabulary size, number of labels and settings to a layer."""
