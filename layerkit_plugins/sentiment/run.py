"""A trained classifier: its model, vocabulary and labels, and what it says of texts."""

from __future__ import annotations

import functools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

import layerkit as lk
from layerkit import LayerkitError, fastmath
from layerkit.errors import UsageError, suggest
from layerkit.recipe import Prediction
from layerkit_plugins.sentiment import run_folder
from layerkit_plugins.sentiment.model import MODELS
from layerkit_plugins.sentiment.settings import SentimentSettings
from layerkit_plugins.sentiment.text import as_tokens
from layerkit_plugins.sentiment.vocabulary import UNKNOWN, tokens_to_ids

if TYPE_CHECKING:
    from layerkit_plugins.sentiment.examples import Examples

__all__ = ["SentimentRun", "latest", "padded_length", "rows_at_once"]

_FEW_ROWS, _ROWS = 4, 128
_IDS_AT_ONCE = 1 << 15  # 32 MB of word vectors of 256 numbers


latest: deque[SentimentRun] = deque(maxlen=1)
"""The run that was trained or loaded last: what the notebook's ``predict(sentence)`` uses."""


def padded_length(n_words: int) -> int:
    """The length that a text is padded to: few different ones, so that few programs are compiled.

    >>> [padded_length(n) for n in (0, 5, 33, 1000)]
    [16, 16, 64, 1024]
    """
    length = 16
    while length < n_words:
        length *= 4
    return length


def rows_at_once(length: int, most: int = _ROWS) -> int:
    """How many texts of a length make a batch: fewer long ones, so that the batch stays small.

    >>> [rows_at_once(length) for length in (32, 512, 2048, 1 << 20)]
    [128, 64, 16, 1]
    """
    return max(1, min(most, _IDS_AT_ONCE // length))


class SentimentRun:
    """A trained sentiment classifier, as ``lk.train("sentiment")`` and ``lk.load`` return it.

    Args:
        model: from ids (batch, length) to log-probabilities (batch, labels).
        vocabulary: from word to id.
        labels: the labels, in the order of the model's outputs.
        metrics: how good it was on the held-out examples.
        settings: the recipe's settings it was trained with.
        held_out: gives the held-out examples when they are asked for.
    """

    def __init__(
        self,
        model: lk.Layer,
        vocabulary: Mapping[str, int],
        labels: Sequence[str],
        metrics: Mapping[str, float],
        settings: Mapping[str, Any],
        held_out: Callable[[], Examples],
    ) -> None:
        self.model = model
        self.vocabulary = dict(vocabulary)
        self.labels = tuple(labels)
        self.metrics = dict(metrics)
        self.settings = dict(settings)
        self._held_out = held_out
        latest.append(self)

    def __repr__(self) -> str:
        figures = "".join(f"; {name} {value:.4f}" for name, value in self.metrics.items())
        return f"<sentiment run: {', '.join(self.labels)}; {len(self.vocabulary):,} words{figures}>"

    @property
    def signature(self) -> Any:
        """The signature of a batch: of one text of eight words."""
        return lk.i32(1, 8, max=len(self.vocabulary))

    @overload
    def predict(self, texts: str) -> Prediction: ...  # type: ignore[overload-overlap]  # a string is one text
    @overload
    def predict(self, texts: Iterable[str]) -> list[Prediction]: ...
    def predict(self, texts: str | Iterable[str]) -> Prediction | list[Prediction]:
        """The label of a text, its probability, and the log-probability of every label; of several texts, a list.

        What a text scores does not depend on those it is given with; on JAX, up to the last bit.

        Raises:
            UsageError: something in it is not a text.
        """
        if isinstance(texts, str):
            return self._predictions([texts])[0]
        if isinstance(texts, (bytes, bytearray, Mapping)) or not isinstance(texts, Iterable):
            as_tokens(texts)  # type: ignore[arg-type]  # refuses it with a sentence
        return self._predictions(texts)

    def evaluate(self, data: Path | str | None = None) -> dict[str, float]:
        """Accuracy and mean loss on a file of labelled texts, or on the examples held out in training.

        The file's columns are those named in training.

        Raises:
            LayerkitError: the file cannot be read, has a label that the model does not know, or is the one of training,
                and no longer what it was.
        """
        from layerkit_plugins.sentiment.bulk import process  # a prediction does without
        from layerkit_plugins.sentiment.data_file import read_examples

        if data is not None:
            columns = self.settings["text_column"], self.settings["label_column"]
            examples = read_examples(data, *columns, known_labels=self.labels)
        else:
            examples = self._held_out()
        targets = [self._number(label) for label in examples.labels]
        processed = process(examples.texts, self.settings["keep_stop_words"], self.settings["text_workers"])
        return self.measure(processed.ids(self.vocabulary), targets)

    def held_out(self) -> tuple[list[str], list[str]]:
        """The texts that it was not trained on, and their labels.

        Raises:
            LayerkitError: they cannot be read, or are no longer what they were.
        """
        examples = self._held_out()
        return list(examples.texts), list(examples.labels)

    def measure(self, ids: Sequence[Sequence[int]], targets: Sequence[int]) -> dict[str, float]:
        """Accuracy and mean loss on texts that are ids already; targets are numbers of labels."""
        scores = self.log_probs(ids)
        accuracy = np.mean(scores.argmax(axis=1) == np.asarray(targets))
        loss = -np.mean(scores[np.arange(len(targets)), targets], dtype=np.float64)
        return {"accuracy": float(accuracy), "loss": float(loss)}

    def save(self, output: str | os.PathLike[str]) -> None:
        """Keeps a run that was trained without an ``output`` folder, for ``lk.load`` and ``layerkit predict``.

        The folder is made if need be. It has no checkpoints: training does not go on from it.

        Raises:
            UsageError: the folder holds a run, or something else.
            LayerkitError: a file cannot be written.
        """
        lk.runs.save("sentiment", SentimentSettings(**self.settings), self.metrics, output, self.write_files)

    def write_files(self, folder: Path) -> None:
        """Writes the model, the vocabulary and the labels into ``folder``, to which ``lk.train`` adds ``run.json``.

        Raises:
            LayerkitError: a file cannot be written.
        """
        words = sorted(self.vocabulary, key=self.vocabulary.__getitem__)
        settings = {name: os.path.abspath(v) if isinstance(v, Path) else v for name, v in self.settings.items()}
        held_out = run_folder.fingerprint(self._held_out())
        about = run_folder.About(self.labels, words, settings, self.settings["corpus"], held_out, self.metrics)
        run_folder.write(folder, self.model, about)

    @classmethod
    def load(
        cls, folder: Path, about: run_folder.About, held_out: Callable[[Mapping[str, Any]], Examples]
    ) -> SentimentRun:
        """The run that ``write_files`` wrote into ``folder``, of which ``run_folder.read`` gave what it is ``about``.

        Args:
            held_out: finds its held-out examples from its settings.

        Raises:
            DamagedError: the weights have changed since, or are another model's.
        """
        settings = {**about.settings, "corpus": about.corpus}
        model = MODELS[settings["model"]](len(about.words), len(about.labels), settings)
        run_folder.fill(model, about, folder)

        def unchanged() -> Examples:
            try:
                examples = held_out(settings)
            except UsageError as error:  # nobody asked for that file now
                raise LayerkitError(
                    f"{error}; the run in {str(folder)!r} held some of its texts back: evaluate on a file"
                ) from error
            if run_folder.fingerprint(examples) != about.held_out:
                raise LayerkitError(
                    f"{settings['corpus'] or settings['data']} has changed since the run in {str(folder)!r} was "
                    "trained, so what was held out is not known any more: evaluate on a file, or train the run again"
                )
            return examples

        vocabulary = {word: id_ for id_, word in enumerate(about.words)}
        return cls(model, vocabulary, about.labels, about.metrics, settings, unchanged)

    def _number(self, label: str) -> int:
        if label not in self.labels:
            raise LayerkitError(f"the model does not know the label {label!r:.60}; {suggest(label, self.labels)}")
        return self.labels.index(label)

    def _ids(self, text: str | Sequence[str]) -> list[int]:
        return tokens_to_ids(as_tokens(text, self.settings["keep_stop_words"]), self.vocabulary)

    def _predictions(self, texts: Iterable[str]) -> list[Prediction]:
        ids = [self._ids(text) for text in texts]
        return [self._prediction(scores, own) for scores, own in zip(self.log_probs(ids), ids, strict=True)]

    def _prediction(self, log_probs: np.ndarray[Any, Any], ids: Sequence[int]) -> Prediction:
        best = int(log_probs.argmax())
        known = any(id_ != self.vocabulary[UNKNOWN] for id_ in ids)
        note = "" if known else "no word of it is known" if ids else "there is no word in it"
        return Prediction(self.labels[best], float(np.exp(log_probs[best])), tuple(map(float, log_probs)), note)

    @functools.cached_property
    def _program(self) -> Any:
        state = self.model.state
        return fastmath.jit(lambda ids, weights: self.model.pure_fn(ids, weights, state)[0])

    def log_probs(self, ids: np.ndarray[Any, Any] | Sequence[Sequence[int]]) -> np.ndarray[Any, Any]:
        """(texts, labels) log-probabilities of texts whose words are ids already, in the order of the texts.

        Args:
            ids: lists of ids; or an array (texts, length), filled up with 0, which goes through the model as it is.
        """
        if isinstance(ids, np.ndarray):
            scores = self._program(ids, self.model.weights)
            return scores if type(scores) is np.ndarray else np.asarray(fastmath.to_host(scores))
        scores = np.zeros((len(ids), len(self.labels)), np.float32)
        program, weights = self._program, self.model.weights
        for length, rows in _by_length(ids):
            # Filled up, so that few programs serve them all. JAX's two for a length may differ in the last bit.
            height = rows_at_once(length, _FEW_ROWS if len(rows) <= _FEW_ROWS else _ROWS)
            batch = np.zeros((height, length), np.int32)
            for place, row in enumerate(rows):
                batch[place, : len(ids[row])] = ids[row]
            scores[rows] = fastmath.to_host(program(batch, weights))[: len(rows)]
        return scores


def _by_length(ids: Sequence[Sequence[int]]) -> Iterator[tuple[int, list[int]]]:
    """(length, rows): which texts make a batch of that length."""
    of_length: dict[int, list[int]] = {}
    for row, own in enumerate(ids):
        of_length.setdefault(padded_length(len(own)), []).append(row)
    for length, rows in sorted(of_length.items()):
        at_once = rows_at_once(length)
        for start in range(0, len(rows), at_once):
            yield length, rows[start : start + at_once]
