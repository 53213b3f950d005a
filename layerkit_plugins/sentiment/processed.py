"""Many texts as numbers: their distinct words, and for each text the places of its words among them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from layerkit_plugins.sentiment.text import process_tweet
from layerkit_plugins.sentiment.vocabulary import UNKNOWN

__all__ = ["Processed", "from_bytes", "in_one", "process_here", "to_bytes"]


class Processed(NamedTuple):
    """Texts whose words are known.

    >>> processed = process_here(["good day", "a day off, bob"])
    >>> processed.words, processed.places.tolist(), processed.ends.tolist()
    (['good', 'day', 'bob'], [0, 1, 1, 2], [2, 4])
    """

    words: list[str]
    """Every word once, in the order of their first use."""
    places: npt.NDArray[np.int32]
    """The places in ``words`` of the first text's words, then of the second's, and so on."""
    ends: npt.NDArray[np.int64]
    """Where in ``places`` each text ends."""

    def words_of_first(self, n_texts: int) -> list[str]:
        """The words of the first so many texts, in the order of their first use.

        >>> process_here(["good day", "a day off, bob"]).words_of_first(1)
        ['good', 'day']
        """
        places = self.places[: self.ends[n_texts - 1] if n_texts else 0]
        return self.words[: int(places.max(initial=-1)) + 1]

    def ids(self, vocabulary: Mapping[str, int]) -> list[list[int]]:
        """For each text the list of its words' ids; of ``__UNK__`` for a word that the vocabulary does not have.

        >>> process_here(["good day", "", "bob"]).ids({"__UNK__": 2, "day": 3})
        [[2, 3], [], [2]]
        """
        unknown = vocabulary[UNKNOWN]
        of_words = np.array([vocabulary.get(word, unknown) for word in self.words], np.int32)
        flat, ends = of_words[self.places].tolist(), self.ends.tolist()
        return [flat[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def process_here(texts: Sequence[str], keep_stop_words: bool = False) -> Processed:
    """The texts' words, as ``process_tweet`` finds them, one text after the other.

    Raises:
        UsageError: one of them is not a text.
        LayerkitError: NLTK is not installed.
    """
    words: dict[str, int] = {}
    places: list[int] = []
    ends = []
    for text in texts:
        places += [words.setdefault(word, len(words)) for word in process_tweet(text, keep_stop_words)]
        ends.append(len(places))
    return Processed(list(words), np.array(places, np.int32), np.array(ends, np.int64))


def in_one(parts: Sequence[Processed]) -> Processed:
    """What comes of texts that were processed in several parts.

    >>> texts = ["good day", "a day off, bob"]
    >>> in_one([process_here([text]) for text in texts]).words == process_here(texts).words
    True
    """
    words: dict[str, int] = {}
    places, ends, end = [np.zeros(0, np.int32)], [np.zeros(0, np.int64)], 0
    for part in parts:
        of_words = np.array([words.setdefault(word, len(words)) for word in part.words], np.int32)
        places.append(of_words[part.places])
        ends.append(part.ends + end)
        end += len(part.places)
    return Processed(list(words), np.concatenate(places), np.concatenate(ends))


def to_bytes(processed: Processed) -> bytes:
    """A line of JSON, and then the two arrays."""
    words, places, ends = processed
    head = json.dumps({"words": words, "places": len(places), "texts": len(ends)})
    return b"".join([head.encode("ascii"), b"\n", places.astype("<i4").tobytes(), ends.astype("<i8").tobytes()])


def from_bytes(data: bytes) -> Processed:
    """What ``to_bytes`` was given.

    >>> from_bytes(to_bytes(process_here(["good day"]))).words
    ['good', 'day']
    """
    start = data.index(b"\n") + 1
    head = json.loads(data[:start])
    places = np.frombuffer(data, "<i4", head["places"], start)
    ends = np.frombuffer(data, "<i8", head["texts"], start + places.nbytes)
    return Processed(head["words"], places.astype(np.int32, copy=False), ends.astype(np.int64, copy=False))
