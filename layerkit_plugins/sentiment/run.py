"""A trained classifier: its model, vocabulary and labels, and what it says of texts."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np

import layerkit as lk
from layerkit import LayerkitError, fastmath
from layerkit.recipe import Prediction

from .data_file import read_examples
from .examples import Examples
from .model import MODELS
from .text import as_tokens
from .vocabulary import UNKNOWN, tokens_to_ids

__all__ = ["FORMAT", "SentimentRun", "padded_length"]

FORMAT = 1
_AT_ONCE = 256
_WEIGHTS, _ABOUT = "model.safetensors", "sentiment.json"


latest: deque[SentimentRun] = deque(maxlen=1)
"""The run that was trained or loaded last: what the notebook's ``predict(sentence)`` uses."""


def padded_length(longest: int) -> int:
    """The length that a batch is padded to: few different ones, so that few programs are compiled.

    >>> [padded_length(n) for n in (0, 5, 9, 33)]
    [8, 8, 16, 64]
    """
    length = 8
    while length < longest:
        length *= 2
    return length


class SentimentRun:
    """A trained sentiment classifier, as ``lk.train("sentiment")`` and ``lk.load`` return it.

    Args:
      model: from ids (batch, length) to log-probabilities (batch, labels).
      vocabulary: from word to id.
      labels: the labels, in the order of the model's outputs.
      metrics: how good it was on the held-out examples.
      settings: the recipe's settings it was trained with, as plain values.
      validation: gives the held-out examples when they are first asked for.
    """

    def __init__(
        self,
        model: lk.Layer,
        vocabulary: Mapping[str, int],
        labels: Sequence[str],
        metrics: Mapping[str, float],
        settings: Mapping[str, Any],
        validation: Callable[[], Examples],
    ) -> None:
        self.model = model
        self.vocabulary = dict(vocabulary)
        self.labels = tuple(labels)
        self.metrics = dict(metrics)
        self.settings = dict(settings)
        self._validation = validation
        self._programs: dict[str, Any] = {}
        latest.append(self)

    @property
    def signature(self) -> Any:
        """The signature of a batch of the size it was trained with."""
        return lk.i32(self.settings["batch_size"], 32, max=len(self.vocabulary))

    @overload
    def predict(self, texts: str) -> Prediction: ...
    @overload
    def predict(self, texts: Sequence[str]) -> list[Prediction]: ...
    def predict(self, texts: str | Sequence[str]) -> Prediction | list[Prediction]:
        """The label of a text, its probability, and the log-probability of every label; of several texts, a list.

        Raises:
          UsageError: something in it is not a text.
        """
        if isinstance(texts, str):
            return self._predictions([texts])[0]
        if not isinstance(texts, Sequence):
            as_tokens(texts)  # refuses it with a sentence
        return self._predictions(texts)

    def evaluate(self, data: Path | str | None = None) -> dict[str, float]:
        """Accuracy and mean loss on a file of labelled texts, or on the examples held out in training.

        The file's columns are those named in training.

        Raises:
          LayerkitError: the file cannot be read, or has a label that the model does not know.
        """
        if data is not None:
            columns = self.settings["text_column"], self.settings["label_column"]
            examples = read_examples(data, *columns, known_labels=self.labels)
        else:
            examples = self._validation()
        scores = self._log_probs([self._ids(as_tokens(text)) for text in examples.texts])
        targets = np.array([self.labels.index(label) for label in examples.labels])
        right = scores[np.arange(len(targets)), targets]
        accuracy = np.mean(scores.argmax(axis=1) == targets)
        return {"accuracy": float(accuracy), "loss": float(-np.mean(right, dtype=np.float64))}

    def save(self, folder: Path) -> None:
        """Writes the model, the vocabulary and the labels into ``folder``."""
        self.model.save_to_file(folder / _WEIGHTS)
        words = sorted(self.vocabulary, key=self.vocabulary.__getitem__)
        about = {"format": FORMAT, "corpus": self.settings["corpus"], "labels": self.labels, "vocabulary": words}
        try:
            (folder / _ABOUT).write_text(json.dumps(about, indent=0), encoding="utf-8")
        except OSError as error:
            raise LayerkitError(f"{str(folder / _ABOUT)!r} cannot be written: {error.strerror}") from error

    @classmethod
    def load(
        cls,
        folder: Path,
        settings: Mapping[str, Any],
        metrics: Mapping[str, float],
        held_out: Callable[[Mapping[str, Any]], Examples],
    ) -> SentimentRun:
        """The run that ``save`` wrote into ``folder``; ``held_out`` finds its held-out examples from its settings.

        Raises:
          LayerkitError: a file is missing or damaged, or of a format that this layerkit does not read.
        """
        about = _read_about(folder / _ABOUT)
        words, labels = about["vocabulary"], about["labels"]
        model = MODELS[settings["model"]](len(words), len(labels), settings)
        model.init_from_file(folder / _WEIGHTS, lk.i32(1, 8, max=len(words)))
        settings = {**settings, "corpus": about.get("corpus")}
        vocabulary = {word: id_ for id_, word in enumerate(words)}
        return cls(model, vocabulary, labels, metrics, settings, lambda: held_out(settings))

    def _ids(self, tokens: Sequence[str]) -> list[int]:
        return tokens_to_ids(tokens, self.vocabulary)

    def _predictions(self, texts: Sequence[str]) -> list[Prediction]:
        ids = [self._ids(as_tokens(text)) for text in texts]
        return [self._prediction(scores, own) for scores, own in zip(self._log_probs(ids), ids, strict=True)]

    def _prediction(self, log_probs: np.ndarray[Any, Any], ids: Sequence[int]) -> Prediction:
        best = int(log_probs.argmax())
        known = any(id_ != self.vocabulary[UNKNOWN] for id_ in ids)
        note = "" if known else "no word of it is known" if ids else "there is no word in it"
        return Prediction(self.labels[best], float(np.exp(log_probs[best])), tuple(map(float, log_probs)), note)

    def _log_probs(self, ids: Sequence[Sequence[int]]) -> np.ndarray[Any, Any]:
        """(texts, labels) log-probabilities, in the order of the texts; short texts share batches with short ones."""
        scores = np.zeros((len(ids), len(self.labels)), np.float32)
        for rows in _batches_by_length(ids):
            length = padded_length(max(len(ids[row]) for row in rows))
            # A text alone makes a small batch; any other is filled up, so that one program serves them all.
            batch = np.zeros((1 if len(ids) == 1 else _AT_ONCE, length), np.int32)
            for place, row in enumerate(rows):
                batch[place, : len(ids[row])] = ids[row]
            scores[rows] = fastmath.to_host(self._program()(batch, self.model.weights))[: len(rows)]
        return scores

    def _program(self) -> Any:
        name = fastmath.backend_name()
        if name not in self._programs:
            state = self.model.state
            self._programs[name] = fastmath.jit(lambda ids, weights: self.model.pure_fn(ids, weights, state)[0])
        return self._programs[name]


def _batches_by_length(ids: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
    for start in range(0, len(order), _AT_ONCE):
        yield order[start : start + _AT_ONCE]


def _read_about(path: Path) -> dict[str, Any]:
    try:
        about = json.loads(path.read_bytes())
    except OSError as error:
        raise LayerkitError(f"{str(path)!r} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise LayerkitError(f"{str(path)!r} is damaged, it is no JSON: train the run again") from error
    version = about.get("format") if isinstance(about, dict) else None
    if version != FORMAT:
        raise LayerkitError(f"{str(path)!r} has format {version!r}, this layerkit reads {FORMAT}: train the run again")
    for name in ("labels", "vocabulary"):
        if not isinstance(about.get(name), list) or not all(isinstance(item, str) for item in about[name]):
            raise LayerkitError(f"{str(path)!r} is damaged, its {name!r} is no list of strings: train the run again")
    if len(set(about["vocabulary"])) != len(about["vocabulary"]) or UNKNOWN not in about["vocabulary"]:
        raise LayerkitError(
            f"{str(path)!r} is damaged, its vocabulary repeats words or lacks {UNKNOWN}: train it again"
        )
    return about
