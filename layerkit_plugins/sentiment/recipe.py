"""The recipe: from labelled texts to a trained classifier, with one call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import layerkit as lk
from layerkit import layers as tl
from layerkit import optimizers
from layerkit.data import RaggedBatches
from layerkit.recipe import setting
from layerkit.training import lr_schedules

from .corpus import Corpus, Examples, corpus_or_starter, load_corpus, read_file
from .model import MODELS
from .run import SentimentRun
from .text import process_tweet
from .vocabulary import build_vocabulary, tokens_to_ids

__all__ = ["Sentiment", "Settings"]

CorpusName = Literal["twitter_samples", "sentence_polarity", "starter"]

_EVAL_BATCH = 256
_MOST_EVAL_BATCHES = 8


@dataclass(frozen=True)
class Settings:
    """What can be chosen about a training of the sentiment recipe."""

    steps: int = setting(500, help="training steps", least=1, may_change=True)
    batch_size: int = setting(16, help="texts in a batch, as many of each label", least=1)
    learning_rate: float = setting(
        0.003, help="learning rate of Adam at the first step; it falls to 0 at the last", least=0
    )
    checkpoint_every: int = setting(100, help="steps between checkpoints and evaluations", least=1, may_change=True)
    seed: int = setting(0, help="seed of the weights and of the order of the texts", least=0)
    model: Literal["classifier"] = setting("classifier", help="the model")
    embedding_dim: int = setting(256, help="width of a word's vector", least=1)
    mask_padding: bool = setting(
        True, help="leave padding out of the mean, so that a text scores the same in any batch"
    )
    corpus: CorpusName | None = setting(
        None, help="a named corpus; without it twitter_samples, or starter where that cannot be had"
    )
    data: Path | None = setting(
        None, help="a CSV, TSV or JSONL file of labelled texts, in place of a corpus", metavar="FILE"
    )
    text_column: str = setting("text", help="the file's column of texts", metavar="NAME")
    label_column: str = setting("label", help="the file's column of labels", metavar="NAME")


class Sentiment:
    """Labels short texts, such as tweets, with the sentiment they express."""

    Settings = Settings

    def train(self, settings: Settings, output: Path | None) -> SentimentRun:
        """Trains a classifier, saying how it goes; with an ``output`` folder, continues the run that is in it."""
        corpus = _corpus(settings)
        train, validation = corpus.train, corpus.validation
        tokens = [process_tweet(text) for text in train.texts]
        vocabulary = build_vocabulary(tokens)
        for line in (*corpus.notes, _about(corpus, vocabulary)):
            print(line)
        model = MODELS[settings.model](len(vocabulary), len(corpus.label_names), asdict(settings))
        ids = [tokens_to_ids(words, vocabulary) for words in tokens]
        batches = RaggedBatches(ids, _targets(train, corpus), settings.batch_size, seed=settings.seed, balanced=True)
        task = lk.TrainTask(
            batches,
            tl.CrossEntropyLoss(),
            optimizers.Adam(settings.learning_rate),
            lr_schedule=lr_schedules.cosine(settings.steps, settings.learning_rate),
            n_steps_per_checkpoint=settings.checkpoint_every,
        )
        loop = lk.Loop(
            model,
            task,
            eval_tasks=[_eval_task(validation, corpus, vocabulary)],
            output_dir=output,
            random_seed=settings.seed,
        )
        loop.run(max(0, settings.steps - loop.step))
        about = {**asdict(settings), "corpus": corpus.name if settings.data is None else None}
        run = SentimentRun(loop.eval_model, vocabulary, corpus.label_names, {}, about, lambda: validation)
        run.metrics = run.evaluate()
        if output is not None:
            run.save(output)
        return run

    def load(self, path: Path) -> SentimentRun:
        """The run in a folder; its corpus is read again only when it is evaluated."""
        about = lk.runs.read_run_file(path)
        return SentimentRun.load(path, about.settings, about.metrics, _held_out)


def _held_out(settings: Mapping[str, Any]) -> Examples:
    """The examples a run was validated on, from its settings."""
    if settings["data"] is not None:
        return read_file(settings["data"], settings["text_column"], settings["label_column"]).validation
    return load_corpus(settings["corpus"]).validation


def _corpus(settings: Settings) -> Corpus:
    if settings.data is not None:
        if settings.corpus is not None:
            raise lk.UsageError(f"give a corpus or a file, not both: corpus {settings.corpus}, data {settings.data}")
        return read_file(settings.data, settings.text_column, settings.label_column)
    return corpus_or_starter("twitter_samples") if settings.corpus is None else load_corpus(settings.corpus)


def _about(corpus: Corpus, vocabulary: Mapping[str, int]) -> str:
    return (
        f"{corpus.name}: {len(corpus.train.texts):,} texts to train on, {len(corpus.validation.texts):,} held out; "
        f"labels {', '.join(corpus.label_names)}; {len(vocabulary):,} words"
    )


def _targets(examples: Examples, corpus: Corpus) -> list[int]:
    number = {label: place for place, label in enumerate(corpus.label_names)}
    return [number[label] for label in examples.labels]


def _eval_task(validation: Examples, corpus: Corpus, vocabulary: Mapping[str, int]) -> lk.EvalTask:
    ids = [tokens_to_ids(process_tweet(text), vocabulary) for text in validation.texts]
    batches = RaggedBatches(
        ids, _targets(validation, corpus), min(_EVAL_BATCH, len(ids)), n_buckets=1, balanced=True, pad_last=True
    )
    n_batches = min(batches.batches_per_epoch, _MOST_EVAL_BATCHES)
    return lk.EvalTask(batches, [tl.CrossEntropyLoss(), tl.Accuracy()], n_eval_batches=n_batches)
