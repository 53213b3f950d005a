"""The recipe: from labelled texts to a trained classifier, with one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import layerkit as lk
from layerkit import layers as tl
from layerkit import optimizers
from layerkit.data import RaggedBatches
from layerkit.recipe import setting
from layerkit.settings import make_settings
from layerkit.training import NotFiniteError, lr_schedules

from .bulk import process
from .corpus import Corpus, Examples, corpus_or_starter, load_corpus, read_file
from .model import MODELS
from .run import SentimentRun, rows_at_once
from .vocabulary import build_vocabulary

__all__ = ["Sentiment", "SentimentSettings"]

CorpusName = Literal["twitter_samples", "sentence_polarity", "starter"]

_EVAL_ROWS, _MOST_EVAL_TEXTS = 256, 4096
_KEPT_CHECKPOINTS = 2


@dataclass(frozen=True)
class SentimentSettings:
    """What can be chosen about a training of the sentiment recipe."""

    steps: int = setting(500, help="Training steps.", least=1, may_change=True)
    batch_size: int = setting(16, help="Texts in a batch, as many of each label.", least=1)
    learning_rate: float = setting(
        0.003, help="Learning rate of Adam at the first step; it falls to 0 at the last.", least=0
    )
    checkpoint_every: int = setting(100, help="Steps between checkpoints and evaluations.", least=1, may_change=True)
    seed: int = setting(0, help="Seed of the weights and of the order of the texts.", least=0, most=2**32 - 1)
    model: Literal["classifier"] = setting("classifier", help="The model.")
    embedding_dim: int = setting(256, help="Width of a word's vector.", least=1)
    mask_padding: bool = setting(
        True, help="Leave padding out of the mean, so that a text scores the same in any batch."
    )
    keep_stop_words: bool = setting(
        False, help="Keep words such as 'the' and 'not', which the notebook's model does not see."
    )
    corpus: CorpusName | None = setting(
        None, help="A named corpus; without it twitter_samples, or starter where that cannot be had."
    )
    data: Path | None = setting(
        None, help="A CSV, TSV or JSONL file of labelled texts, in place of a corpus.", metavar="FILE"
    )
    text_column: str = setting("text", help="The file's column of texts.", metavar="NAME")
    label_column: str = setting("label", help="The file's column of labels.", metavar="NAME")
    text_workers: int = setting(
        0, help="Processes that split texts into words; 0 for none but this one.", least=0, most=256, may_change=True
    )


class _Numbers(NamedTuple):
    """Examples as numbers: the ids of each text's words, and its label's place."""

    ids: list[list[int]]
    targets: list[int]


class Sentiment:
    """Labels short texts, such as tweets, with the sentiment they express."""

    Settings = SentimentSettings
    quick: ClassVar[Mapping[str, Any]] = {"corpus": "starter", "steps": 60, "learning_rate": 0.02, "embedding_dim": 32}

    def train(self, settings: SentimentSettings, output: Path | None) -> SentimentRun:
        """Trains a classifier, saying how it goes; with an ``output`` folder, continues the run that is in it."""
        corpus = _corpus(settings)
        labels = corpus.label_names
        vocabulary, train, validation = _in_numbers(corpus, settings)
        print(*corpus.notes, *_in_words(corpus, vocabulary), sep="\n")
        loop = lk.Loop(
            MODELS[settings.model](len(vocabulary), len(labels), asdict(settings)),
            _train_task(train, len(labels), settings),
            eval_tasks=[_eval_task(validation)],
            output_dir=output,
            checkpoint_at=_at(settings) if output is not None else None,
            eval_at=_at(settings),
            random_seed=settings.seed,
            keep_checkpoints=_KEPT_CHECKPOINTS,
        )
        try:
            _run(loop, settings.steps, output)
        except NotFiniteError as error:
            raise error.quoting(corpus.train.texts) from error
        about = {**asdict(settings), "corpus": corpus.name if settings.data is None else None}
        run = SentimentRun(loop.eval_model, vocabulary, labels, {}, about, lambda: corpus.validation)
        run.metrics = run.measure(*validation)
        if output is not None:
            run.save(output)
        return run

    def load(self, path: Path) -> SentimentRun:
        """The run in a folder; its corpus is read again only when it is evaluated."""
        about = lk.runs.read_run_file(path)
        try:
            settings = make_settings("sentiment", SentimentSettings, about.settings)
        except lk.UsageError as error:
            raise lk.LayerkitError(f"{str(path / 'run.json')!r} is damaged ({error}): train the run again") from error
        return SentimentRun.load(path, asdict(settings), about.metrics, _held_out)


def _held_out(settings: Mapping[str, Any]) -> Examples:
    """The examples a run was validated on, from its settings."""
    if settings["data"] is not None:
        return read_file(settings["data"], settings["text_column"], settings["label_column"]).validation
    return load_corpus(settings["corpus"]).validation


def _corpus(settings: SentimentSettings) -> Corpus:
    if settings.data is not None:
        if settings.corpus is not None:
            raise lk.UsageError(f"give a corpus or a file, not both: corpus {settings.corpus}, data {settings.data}")
        return read_file(settings.data, settings.text_column, settings.label_column)
    return corpus_or_starter("twitter_samples") if settings.corpus is None else load_corpus(settings.corpus)


def _in_words(corpus: Corpus, vocabulary: Mapping[str, int]) -> tuple[str, str]:
    sizes = f"{len(corpus.train.texts):,} texts to train on, {len(corpus.validation.texts):,} held out"
    return f"{corpus.name}: {sizes}, {len(vocabulary):,} words", f"labels: {', '.join(corpus.label_names)}"


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
    batch_size = max(n_labels, settings.batch_size - settings.batch_size % n_labels)
    if batch_size != settings.batch_size:
        print(f"batches of {batch_size} texts, not {settings.batch_size}: as many of each of {n_labels} labels")
    return lk.TrainTask(
        RaggedBatches(*train, batch_size, seed=settings.seed, balanced=True),
        tl.CrossEntropyLoss(),
        optimizers.Adam(settings.learning_rate),
        lr_schedule=lr_schedules.cosine(settings.steps, settings.learning_rate),
        n_steps_per_checkpoint=settings.checkpoint_every,
    )


def _eval_task(validation: _Numbers) -> lk.EvalTask:
    """Measures on every held-out text; where there are many, on some thousands of them in turn."""
    rows = min(rows_at_once(max(1, *map(len, validation.ids)), _EVAL_ROWS), len(validation.ids))
    batches = RaggedBatches(*validation, rows, n_buckets=1, pad_last=True)
    n_batches = min(batches.batches_per_epoch, -(-_MOST_EVAL_TEXTS // rows))
    return lk.EvalTask(batches, [tl.CrossEntropyLoss(), tl.Accuracy()], n_eval_batches=n_batches)


def _at(settings: SentimentSettings) -> Callable[[int], bool]:
    """When to evaluate and to save: at the first step, the last, and every so often."""
    return lambda step: step in (1, settings.steps) or step % settings.checkpoint_every == 0


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
