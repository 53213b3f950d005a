"""The notebook's batches: as many positive as negative tweets in each, padded to the longest."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from layerkit.errors import UsageError, shown
from layerkit_plugins.sentiment.text import as_tokens
from layerkit_plugins.sentiment.vocabulary import tokens_to_ids

__all__ = ["Batch", "Text", "data_generator", "pad"]

Text = str | Sequence[str]
Ints = npt.NDArray[np.int32]
Batch = tuple[Ints, Ints, Ints]


def data_generator(
    data_pos: Sequence[Text],
    data_neg: Sequence[Text],
    batch_size: int,
    loop: bool,
    vocab_dict: Mapping[str, int],
    shuffle: bool = False,
) -> Iterator[Batch]:
    """Batches of tweets as ids: first ``batch_size / 2`` positive ones, then as many negative ones.

    With ``loop`` each class starts again when it is through (reshuffled, with ``shuffle``), so the smaller class comes
    round more often. Without, the batches end when a class has too few tweets left for a full one. Shuffling
    uses Python's own ``random``, positive tweets first, so ``random.seed(30)`` gives the notebook's batches.

    Two things differ from the notebook. As printed there, the position advances by one for every tweet and once
    more by half a batch, so every other half batch is never seen, in training and in testing (its accuracy of 0.9931
    is 1,001 of 1,008 tweets, not of 2,000): here every tweet is seen once a pass. And where no tweet of a
    batch has a word, the width is 1 and not 0, so that a mean over it exists.

    Args:
        data_pos: the positive tweets, texts or lists of words. A text is processed when it first comes up, once.
        data_neg: the negative tweets.
        batch_size: tweets in a batch; an even number.
        loop: go on for ever.
        vocab_dict: from word to id, as ``build_vocabulary`` makes it; unknown words become ``__UNK__``.
        shuffle: in random order.

    Yields:
        inputs: (batch_size, longest) ids, int32, 0 where a tweet is over; targets: (batch_size,) int32, 1 for positive;
        example_weights: (batch_size,) int32, all 1.

    Raises:
        UsageError: the batch size is odd or less than 2, a class is empty or, without ``loop``,
            too small for one batch.

    Source: the notebook's exercise 2.

    >>> vocabulary = {"__UNK__": 2, "good": 3, "bad": 4, "day": 5}
    >>> inputs, targets, example_weights = next(data_generator(["good day"], ["bad"], 2, True, vocabulary))
    >>> inputs.tolist(), targets.tolist(), example_weights.tolist()
    ([[3, 5], [4, 0]], [1, 0], [1, 1])
    """
    half = _half(batch_size)
    for name, data in (("positive", data_pos), ("negative", data_neg)):
        _check_class(name, data, half, loop)
    tokens_to_ids((), vocab_dict)  # complains now, not at the first batch, about a vocabulary without __UNK__
    return _batches(data_pos, data_neg, half, loop, vocab_dict, shuffle)


def pad(tensors: Sequence[Sequence[int]]) -> Ints:
    """Lists of ids as one array, each filled up with 0 to the length of the longest (at least 1).

    >>> pad([[3, 5], [4]]).tolist()
    [[3, 5], [4, 0]]
    """
    width = max((len(tensor) for tensor in tensors), default=1) or 1
    padded = np.zeros((len(tensors), width), np.int32)
    for row, tensor in zip(padded, tensors, strict=True):
        row[: len(tensor)] = tensor
    return padded


def _batches(
    data_pos: Sequence[Text],
    data_neg: Sequence[Text],
    half: int,
    loop: bool,
    vocab_dict: Mapping[str, int],
    shuffle: bool,
) -> Iterator[Batch]:
    # Both orders are drawn before the first tweet is taken: the sequence of random numbers is the notebook's.
    classes = [_Walk(data_pos, shuffle), _Walk(data_neg, shuffle)]
    targets = np.repeat(np.array([1, 0], np.int32), half)
    while True:
        taken = [walk.take(half, loop) for walk in classes]
        if any(len(texts) < half for texts in taken):
            return
        tensors = [tokens_to_ids(tokens, vocab_dict) for texts in taken for tokens in texts]
        yield pad(tensors), targets.copy(), np.ones_like(targets)


class _Walk:
    """One class's tweets in order, from the front again when asked to."""

    def __init__(self, data: Sequence[Text], shuffle: bool) -> None:
        self._data = data
        self._shuffle = shuffle
        self._position = 0
        self._order = list(range(len(data)))
        self._processed: dict[int, list[str]] = {}
        if shuffle:
            random.shuffle(self._order)

    def take(self, count: int, loop: bool) -> list[list[str]]:
        taken: list[list[str]] = []
        while len(taken) < count:
            if self._position >= len(self._order):
                if not loop:
                    break
                self._position = 0
                if self._shuffle:
                    random.shuffle(self._order)
            taken.append(self._tokens(self._order[self._position]))
            self._position += 1
        return taken

    def _tokens(self, index: int) -> list[str]:
        if index not in self._processed:
            self._processed[index] = as_tokens(self._data[index])
        return self._processed[index]


def _half(batch_size: int) -> int:
    whole = isinstance(batch_size, (int, np.integer)) and not isinstance(batch_size, bool)
    if not whole or batch_size < 2 or batch_size % 2:
        raise UsageError(
            f"batch_size must be an even number, half for each class, got {shown(batch_size)}: give 2, 4, 16, ..."
        )
    return int(batch_size) // 2


def _check_class(name: str, data: Sequence[Text], half: int, loop: bool) -> None:
    if isinstance(data, (str, bytes)) or not hasattr(data, "__getitem__") or not hasattr(data, "__len__"):
        raise UsageError(f"the {name} tweets must be a list of texts, got {type(data).__name__}: make a list of them")
    if len(data) == 0:
        raise UsageError(f"there are no {name} tweets: every batch is half {name}, so give at least one")
    if not loop and len(data) < half:
        raise UsageError(
            f"half a batch is {half} tweets, but there are only {len(data)} {name} ones and loop is off: "
            "give a smaller batch_size, or loop=True"
        )
