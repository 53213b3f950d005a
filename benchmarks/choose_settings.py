"""How the settings for sentence_polarity were chosen: by cross-validation inside the training part.

Run: ``NLTK_DATA=... python benchmarks/choose_settings.py``. The training part is cut into five stretches of texts that
follow one another; each is held out once. The examples that the recipe holds out are not looked at.
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import numpy as np

import layerkit as lk
from layerkit import fastmath, optimizers
from layerkit import layers as tl
from layerkit.data import RaggedBatches
from layerkit.training import lr_schedules
from layerkit_plugins.sentiment.batches import pad
from layerkit_plugins.sentiment.corpus import load_corpus
from layerkit_plugins.sentiment.model import classifier
from layerkit_plugins.sentiment.text import process_tweet
from layerkit_plugins.sentiment.vocabulary import build_vocabulary, tokens_to_ids

FOLDS = 5


class Settings(NamedTuple):
    """What is compared."""

    steps: int
    learning_rate: float
    keep_stop_words: bool = False


CANDIDATES = (
    Settings(500, 0.003),
    Settings(1000, 0.0015),
    Settings(1500, 0.001),
    Settings(3000, 0.0005),
    Settings(1500, 0.001, keep_stop_words=True),
)


def accuracy(words: list[list[str]], targets: np.ndarray, held_out: np.ndarray, settings: Settings, seed: int) -> float:
    """Trains as the recipe does on all rows but those held out, and returns the share of these that come out right."""
    rows = np.setdiff1d(np.arange(len(words)), held_out)
    vocabulary = build_vocabulary(words[row] for row in rows)
    ids = [tokens_to_ids(own, vocabulary) for own in words]
    task = lk.TrainTask(
        RaggedBatches([ids[row] for row in rows], targets[rows], 16, seed=seed, balanced=True),
        tl.CrossEntropyLoss(),
        optimizers.Adam(settings.learning_rate),
        lr_schedule=lr_schedules.cosine(settings.steps, settings.learning_rate),
    )
    loop = lk.Loop(classifier(len(vocabulary)), task, random_seed=seed, log=None, eval_at=lambda step: False)
    loop.run(settings.steps)
    scores = fastmath.to_host(loop.eval_model(pad([ids[row] for row in held_out])))
    return float(np.mean(scores.argmax(axis=1) == targets[held_out]))


def main() -> None:
    """Prints a line for each candidate."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    corpus = load_corpus("sentence_polarity")
    texts, labels = corpus.train
    targets = np.array([corpus.label_names.index(label) for label in labels])
    of_class = [np.flatnonzero(targets == number) for number in range(len(corpus.label_names))]
    folds = [np.concatenate([np.array_split(rows, FOLDS)[fold] for rows in of_class]) for fold in range(FOLDS)]
    for settings in CANDIDATES:
        words = [process_tweet(text, settings.keep_stop_words) for text in texts]
        found = [accuracy(words, targets, held_out, settings, fold) for fold, held_out in enumerate(folds)]
        print(f"{settings}: {' '.join(f'{value:.4f}' for value in found)}, mean {np.mean(found):.4f}", flush=True)


if __name__ == "__main__":
    main()
