"""A convolutional classifier of texts: Kim, "Convolutional neural networks for sentence classification", EMNLP 2014."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import layerkit as lk
from layerkit import arguments
from layerkit import layers as tl
from layerkit.fastmath import numpy as np

__all__ = ["TextCNN"]


@lk.example(lk.i32(2, 5, max=7), vocab_size=7, d_model=6, kernel_sizes=(2, 3), filters=4)
@arguments.in_own_name
def TextCNN(
    vocab_size: int,
    n_classes: int = 2,
    d_model: int = 256,
    kernel_sizes: Sequence[int] = (3, 4, 5),
    filters: int = 100,
    dropout: float = 0.5,
    mode: str | None = None,
) -> lk.Layer:
    """Scores of a text's classes, from the largest answer of each filter anywhere in it.    ids: (b, l), 0 is padding

    scores: (b, n_classes), for a loss with a softmax inside or through ``LogSoftmax``. Padding has no part in them.

    Kim, EMNLP 2014, arXiv 1408.5882, with one trained embedding.

    Args:
        vocab_size: how many ids there are.
        n_classes: how many classes there are.
        d_model: the features of the embedding.
        kernel_sizes: how many words filters see, a number for each kind of filter.
        filters: how many filters of each kind there are.
        dropout: the share of numbers that become 0 while training, before the scores.
        mode: ``"train"`` or ``"eval"`` fixes what a call says otherwise.

    Raises:
        LayerError: an argument is out of range, or there is no kernel size.

    >>> TextCNN(100, d_model=8, filters=4).output_signature(lk.i32(4, 7))
    float32[4,2]
    """
    sizes = arguments.whole_numbers("TextCNN", "kernel_sizes", kernel_sizes)
    answers = [_largest_answers(filters, size) for size in sizes]
    return lk.Serial(
        lk.Branch(tl.Embedding(vocab_size, d_model), lk.Fn("IsReal", _is_real)),
        lk.Select([0, 1, 1]),
        tl.Multiply(),
        lk.Branch(*answers) if len(answers) > 1 else answers,
        tl.Concatenate(len(answers)) if len(answers) > 1 else [],
        tl.Dropout(dropout, mode=mode),
        tl.Dense(n_classes),
        name="TextCNN",
    )


def _is_real(ids: Any) -> Any:
    return np.expand_dims(ids != 0, -1).astype("float32")


def _largest_answers(filters: int, size: int) -> lk.Layer:
    """(x, is_real) -> (b, filters); an answer is 0 at least, so that of padding, made 0, changes none."""
    return lk.Serial(tl.Conv1d(filters, size, padding="SAME"), tl.Relu(), tl.Multiply(), tl.Max(axis=1))
