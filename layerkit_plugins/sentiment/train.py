"""A training of the recipe: labelled texts into numbers, the loop, and the run that comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import layerkit as lk
from layerkit import layers as tl
from layerkit import optimizers
from layerkit.data import RaggedBatches
from layerkit.errors import printable
from layerkit.settings import as_json
from layerkit.training import NotFiniteError, lr_schedules
from layerkit_plugins.sentiment.bulk import process
from layerkit_plugins.sentiment.corpus import Corpus, corpus_or_starter, load_corpus, read_file
from layerkit_plugins.sentiment.model import MODELS
from layerkit_plugins.sentiment.run import SentimentRun, rows_at_once
from layerkit_plugins.sentiment.run_folder import fingerprint
from layerkit_plugins.sentiment.settings import SAME, SentimentSettings
from layerkit_plugins.sentiment.vocabulary import build_vocabulary

__all__ = ["train"]

_EVAL_ROWS, _MOST_EVAL_TEXTS = 256, 4096
_BEST = {"accuracy": "Accuracy", "loss": "-CrossEntropyLoss"}

_PADDED_FOR_NOTHING = 64
"""Words that a short text may be padded to: it takes less time than to compile a program for one more length."""


class _Numbers(NamedTuple):
    """Examples as numbers: the ids of each text's words, and its label's place."""

    ids: list[list[int]]
    targets: list[int]


def train(settings: SentimentSettings, output: Path | None) -> SentimentRun:
    """Trains a classifier, saying how it goes; with an ``output`` folder, continues the run that is in it."""
    corpus = _corpus(settings)
    labels = corpus.label_names
    vocabulary, train, validation = _in_numbers(corpus, settings)
    print(*map(printable, (*corpus.notes, *_in_words(corpus, vocabulary))), sep="\n")
    loop = lk.Loop(
        MODELS[settings.model](len(vocabulary), len(labels), asdict(settings)),
        _train_task(train, len(labels), settings),
        eval_tasks=[_eval_task(validation)],
        output_dir=output,
        checkpoint_at=_at(settings) if output is not None else None,
        eval_at=lambda step: step == 1 or _at(settings)(step),
        random_seed=settings.seed,
        keep_checkpoints=settings.keep_checkpoints,
        keep_best=None if settings.keep_best is None else _BEST[settings.keep_best],
        strict=settings.strict,
        save_in_background=True,
        identity=_identity(corpus, vocabulary, settings),
        learning_curve=settings.learning_curve,
    )
    try:
        _run(loop, settings.steps, output)
    except NotFiniteError as error:
        raise error.quoting(corpus.train.texts) from error
    about = {**asdict(settings), "corpus": corpus.name if settings.data is None else None}
    run = SentimentRun(loop.eval_model, vocabulary, labels, {}, about, lambda: corpus.validation)
    run.metrics = run.measure(*validation)
    if output is not None:
        run.write_files(output)
    return run


def _corpus(settings: SentimentSettings) -> Corpus:
    if settings.data is not None:
        if settings.corpus is not None:
            raise lk.UsageError(f"give a corpus or a file, not both: corpus {settings.corpus}, data {settings.data}")
        return read_file(settings.data, settings.text_column, settings.label_column)
    return corpus_or_starter("twitter_samples") if settings.corpus is None else load_corpus(settings.corpus)


def _identity(corpus: Corpus, vocabulary: Mapping[str, int], settings: SentimentSettings) -> dict[str, Any]:
    """What must be the same where a run goes on; long texts as fingerprints."""
    return {
        "settings": {name: value for name, value in as_json(settings).items() if name in SAME},
        "labels": list(corpus.label_names),
        "vocabulary": fingerprint(list(vocabulary)),
        "training examples": fingerprint(corpus.train),
        "held-out examples": fingerprint(corpus.validation),
    }


def _in_words(corpus: Corpus, vocabulary: Mapping[str, int]) -> tuple[str, str]:
    sizes = f"{len(corpus.train.texts):,} texts to train on, {len(corpus.validation.texts):,} held out"
    labels = ", ".join(corpus.label_names)
    return f"{corpus.name}: {sizes}, {len(vocabulary):,} words", f"labels: {labels}"


def _in_numbers(corpus: Corpus, settings: SentimentSettings) -> tuple[dict[str, int], _Numbers, _Numbers]:
    """The vocabulary of the training texts, the training examples and those held out."""
    train, validation = corpus.train, corpus.validation
    n_train = len(train.texts)
    processed = process([*train.texts, *validation.texts], settings.keep_stop_words, settings.text_workers)
    vocabulary = build_vocabulary([processed.words_of_first(n_train)])
    ids = processed.ids(vocabulary)
    place = {label: number for number, label in enumerate(corpus.label_names)}
    targets = [[place[label] for label in part.labels] for part in (train, validation)]
    return vocabulary, _Numbers(ids[:n_train], targets[0]), _Numbers(ids[n_train:], targets[1])


def _train_task(train: _Numbers, n_labels: int, settings: SentimentSettings) -> lk.TrainTask:
    batch_size = _batch_size(settings.batch_size, len(train.ids), n_labels)
    n_buckets = 1 if max(map(len, train.ids)) <= _PADDED_FOR_NOTHING else 3
    return lk.TrainTask(
        RaggedBatches(*train, batch_size, seed=settings.seed, balanced=True, n_buckets=n_buckets),
        tl.CrossEntropyLoss(),
        optimizers.Adam(settings.learning_rate),
        lr_schedule=lr_schedules.cosine(settings.steps, settings.learning_rate),
        n_steps_per_checkpoint=settings.checkpoint_every,
        compute_dtype=settings.compute_dtype,
    )


def _batch_size(asked: int, n_texts: int, n_labels: int) -> int:
    """The size of batches that have as many texts of each label, and no more texts than there are."""
    most = min(asked, n_texts)
    size = max(n_labels, most - most % n_labels)
    if size != asked:
        why = f"there are {n_texts:,} to train on" if asked > n_texts else f"as many of each of {n_labels} labels"
        print(f"batches of {size:,} texts, not {asked:,}: {why}")
    return size


def _eval_task(validation: _Numbers) -> lk.EvalTask:
    """Measures on every held-out text; where there are many, on some thousands of them in turn."""
    rows = min(rows_at_once(max(1, *map(len, validation.ids)), _EVAL_ROWS), len(validation.ids))
    batches = RaggedBatches(*validation, rows, n_buckets=1, pad_last=True)
    n_batches = min(batches.batches_per_epoch, -(-_MOST_EVAL_TEXTS // rows))
    return lk.EvalTask(batches, [tl.CrossEntropyLoss(), tl.Accuracy()], n_eval_batches=n_batches)


def _at(settings: SentimentSettings) -> Callable[[int], bool]:
    """When to evaluate and to save: every so often, and at the last step."""
    return lambda step: step == settings.steps or step % settings.checkpoint_every == 0


def _run(loop: lk.Loop, steps: int, output: Path | None) -> None:
    """Trains up to step ``steps``, from wherever the loop is."""
    if loop.step > steps:
        raise lk.UsageError(
            f"the run in {str(output)!r} is at step {loop.step:,} already, beyond {steps:,}: ask for more steps, "
            "give another folder, or overwrite it"
        )
    if loop.step:
        print(f"continuing from step {loop.step:,}" if loop.step < steps else f"step {steps:,} was reached before")
    loop.run(steps - loop.step)
