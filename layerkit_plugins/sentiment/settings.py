"""What can be chosen about a training of the sentiment recipe."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from layerkit.recipe import setting

__all__ = ["SAME", "SentimentSettings"]

CorpusName = Literal["twitter_samples", "sentence_polarity", "starter"]


@dataclass(frozen=True)
class SentimentSettings:
    """What can be chosen about a training of the sentiment recipe."""

    steps: int = setting(500, help="Training steps.", least=1, may_change=True)
    batch_size: int = setting(16, help="Texts in a batch, as many of each label.", least=1)
    learning_rate: float = setting(
        0.003, help="Learning rate of Adam at the first step; it falls to 0 at the last.", least=0
    )
    compute_dtype: Literal["bfloat16"] | None = setting(
        None, help="Train in mixed precision, on JAX: compute in bfloat16, keep weights in float32."
    )
    checkpoint_every: int = setting(100, help="Steps between checkpoints and evaluations.", least=1, may_change=True)
    keep_checkpoints: int = setting(2, help="Checkpoints to keep, the last ones.", least=1, may_change=True)
    keep_best: Literal["accuracy", "loss"] | None = setting(
        None, help="Keep the checkpoint with the best accuracy, or loss, as well.", may_change=True
    )
    strict: bool = setting(
        False, help="Refuse a damaged checkpoint, instead of going on from the one before.", may_change=True
    )
    seed: int = setting(0, help="Seed of the weights and of the order of the texts.", least=0, most=2**32 - 1)
    model: Literal["classifier", "lstm", "textcnn", "transformer"] = setting(
        "classifier", help="The model: the mean of word vectors, or one that sees their order."
    )
    embedding_dim: int = setting(256, help="Width of a word's vector.", least=1)
    mask_padding: bool = setting(
        True, help="Leave padding out of the mean, so that a text scores the same in any batch."
    )
    keep_stop_words: bool = setting(False, help="Keep words such as 'the' and 'not', which are left out otherwise.")
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
    learning_curve: bool = setting(
        True, help="Draw learning_curve.png at the end, where matplotlib is installed.", may_change=True
    )


SAME = {field.name for field in fields(SentimentSettings) if not field.metadata["may_change"]}
"""The settings that a run keeps from its first step to its last."""
