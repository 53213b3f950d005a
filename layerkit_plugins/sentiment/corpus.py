"""The corpora of the recipe by name, and what to do where one cannot be had."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from layerkit.errors import UsageError, suggest
from layerkit_plugins.sentiment.data_file import read_examples, read_file
from layerkit_plugins.sentiment.examples import Corpus, Examples
from layerkit_plugins.sentiment.nltk_corpora import CorpusMissingError, sentence_polarity, twitter_samples

__all__ = [
    "SOURCES",
    "Corpus",
    "CorpusMissingError",
    "Examples",
    "corpus_or_starter",
    "load_corpus",
    "read_examples",
    "read_file",
    "sentence_polarity",
    "starter",
    "twitter_samples",
]


def starter() -> Corpus:
    """Four hundred short messages written for layerkit: a first run with no corpus and no network.

    Half are positive, half negative; 20 % of each class are held back by a hash of the text.

    >>> starter().label_names, len(starter().texts)
    (('negative', 'positive'), 400)
    """
    file = read_file(Path(__file__).with_name("starter.tsv"))
    note = "the starter corpus: 400 messages written for layerkit, enough to see a run work, not to judge a model by"
    return Corpus("starter", file.texts, file.labels, file.label_names, file.validation_rows, file.split, (note,))


SOURCES: dict[str, Callable[[], Corpus]] = {
    "twitter_samples": twitter_samples,
    "sentence_polarity": sentence_polarity,
    "starter": starter,
}
"""The corpora that have a name."""


def load_corpus(name: str) -> Corpus:
    """A corpus by its name.

    Raises:
        UsageError: there is none of that name.
        CorpusMissingError: it is neither on this machine nor to be had from the network.

    >>> load_corpus("starter").name
    'starter'
    """
    if name not in SOURCES:
        raise UsageError(f"no corpus {name!r}; {suggest(str(name), SOURCES)}")
    return SOURCES[name]()


def corpus_or_starter(name: str, notice: Callable[[str], object] = print) -> Corpus:
    """A corpus by its name; where it cannot be had, the starter corpus, and a sentence that says so to ``notice``.

    Raises:
        UsageError: there is no corpus of that name.
        LayerkitError: the corpus is there, but damaged.
    """
    try:
        return load_corpus(name)
    except CorpusMissingError as error:
        notice(f"note: {error}; going on with the starter corpus")
        return starter()
