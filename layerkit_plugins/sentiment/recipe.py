"""The recipe: from labelled texts to a trained classifier, with one call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from layerkit.errors import UsageError
from layerkit.files import DamagedError
from layerkit.runs import read_run_file
from layerkit.settings import make_settings
from layerkit_plugins.sentiment.settings import SAME, SentimentSettings

if TYPE_CHECKING:
    from layerkit_plugins.sentiment.examples import Examples
    from layerkit_plugins.sentiment.run import SentimentRun

__all__ = ["Sentiment"]


class Sentiment:
    """Labels short texts, such as tweets, with the sentiment they express."""

    Settings = SentimentSettings
    quick: ClassVar[Mapping[str, Any]] = {"corpus": "starter", "steps": 60, "learning_rate": 0.02, "embedding_dim": 32}

    def train(self, settings: SentimentSettings, output: Path | None) -> SentimentRun:
        """Trains a classifier, saying how it goes; with an ``output`` folder, continues the run that is in it."""
        from layerkit_plugins.sentiment.train import train  # and with it all that a prediction does without

        return train(settings, output)

    def load(self, path: Path) -> SentimentRun:
        """The run in a folder; its corpus is read again only when it is evaluated."""
        from layerkit_plugins.sentiment import run_folder
        from layerkit_plugins.sentiment.run import SentimentRun

        file, about = path / run_folder.WEIGHTS, run_folder.read(path)
        try:
            settings = make_settings("sentiment", SentimentSettings, about.settings)
        except UsageError as error:
            raise DamagedError(f"{file} is damaged: {error}") from error
        for name, value in read_run_file(path).settings.items():
            if name in SAME and value is not None and value != about.settings[name]:
                raise DamagedError(
                    f"{file} is of another run than the run.json beside it: it was trained with "
                    f"{name}={about.settings[name]!r}, not {value!r}"
                )
        return SentimentRun.load(path, about._replace(settings=asdict(settings)), _held_out)


def _held_out(settings: Mapping[str, Any]) -> Examples:
    """The examples a run was validated on, from its settings."""
    from layerkit_plugins.sentiment.corpus import load_corpus, read_file

    if settings["data"] is not None:
        return read_file(settings["data"], settings["text_column"], settings["label_column"]).validation
    return load_corpus(settings["corpus"]).validation
