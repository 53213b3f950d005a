"""A small recipe that keeps every rule, others that each break one, and the check that has to catch each."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import layerkit as lk
from layerkit import fastmath
from layerkit.recipe import Prediction, setting

__all__ = ["MUTANTS", "WordCounts"]

_FILE = "counts.json"


@dataclass(frozen=True)
class Settings:
    data: Path = setting(help="a file with a label at the start of each line")
    smoothing: float = setting(1.0, help="what every count is raised by", least=0)


class Counts:
    """Scores a text by how often its words were met with each label."""

    def __init__(self, counts: Mapping[str, Mapping[str, float]], data: Path, metrics: Mapping[str, float]) -> None:
        self.counts, self.data, self.metrics = counts, data, dict(metrics)
        self.labels = tuple(sorted(counts))

    def predict(self, texts: Any) -> Any:
        return self.one(texts) if isinstance(texts, str) else [self.one(text) for text in texts]

    def one(self, text: str) -> Prediction:
        totals = [1e-9 + sum(self.counts[label].get(w, 1.0) for w in text.split()) for label in self.labels]
        probabilities = [total / sum(totals) for total in totals]
        best = max(range(len(totals)), key=lambda i: totals[i])
        return Prediction(self.labels[best], probabilities[best], [math.log(p) for p in probabilities])

    def held_out(self) -> tuple[list[str], list[str]]:
        labels, texts = zip(*_lines(self.data)[1::2], strict=True)
        return list(texts), list(labels)

    def evaluate(self, data: Path | None = None) -> Mapping[str, float]:
        texts, labels = self.held_out()
        right = sum(self.one(text).label == label for text, label in zip(texts, labels, strict=True))
        return {"accuracy": right / len(labels)}


def _lines(data: Path) -> list[tuple[str, str]]:
    parts = [line.partition(" ") for line in data.read_text("utf-8").splitlines()]
    return [(label, text) for label, _, text in parts]


class WordCounts:
    """Counts how often each word is met with each label."""

    Settings: type = Settings
    make = Counts

    @staticmethod
    def quick(folder: Path) -> Mapping[str, Any]:
        lines = [f"up good day {n}\nup good night {n}\ndown bad day {n}\ndown bad night {n}" for n in range(5)]
        (folder / "lines.txt").write_text("\n".join(lines) + "\n")
        return {"data": folder / "lines.txt"}

    def train(self, settings: Any, output: Path | None) -> Any:
        counts: dict[str, dict[str, float]] = {}
        for label, text in _lines(settings.data)[::2]:
            own = counts.setdefault(label, {})
            for word in text.split():
                own[word] = own.get(word, settings.smoothing) + 1
        run = self.make(counts, settings.data, {})
        run.metrics = dict(run.evaluate())
        if output is not None:
            (output / _FILE).write_text(json.dumps(counts))
        return run

    def load(self, path: Path) -> Any:
        try:
            counts = json.loads((path / _FILE).read_text())
        except (OSError, ValueError) as error:
            raise lk.LayerkitError(f"{str(path / _FILE)!r} cannot be read: train the run again") from error
        about = lk.runs.read_run_file(path)
        return self.make(counts, Path(about.settings["data"]), about.metrics)


class NeedsArguments(WordCounts):
    """Counts words."""

    def __init__(self, language: str) -> None:
        self.language = language


class SaysNothing(WordCounts):
    pass


@dataclass(frozen=True)
class Unexplained:
    data: Path = setting(help="a file")
    smoothing: float = setting(1.0)


class WithoutHelp(WordCounts):
    """Counts words."""

    Settings = Unexplained


class WrongQuick(WordCounts):
    """Counts words."""

    quick = {"steps": 3}  # type: ignore[assignment]  # noqa: RUF012


@dataclass(frozen=True)
class Greedy:
    data: Path = setting(help="a file")
    no_such_setting: int = setting(1, help="takes what is there")


class AcceptsAnything(WordCounts):
    """Counts words."""

    Settings = Greedy


class NotANumber(WordCounts):
    """Counts words."""

    def train(self, settings: Any, output: Path | None) -> Any:
        run = super().train(settings, output)
        run.metrics = {"accuracy": math.nan}
        return run


class OneAnswer(WordCounts):
    """Counts words."""

    class make(Counts):
        def one(self, text: str) -> Prediction:
            return Prediction("up", 0.5)


class TrainsOtherwiseEachTime(WordCounts):
    """Counts words."""

    trainings = 0

    def train(self, settings: Any, output: Path | None) -> Any:
        run = super().train(settings, output)
        type(self).trainings += 1
        run.counts["up"]["good"] += type(self).trainings
        return run


class RewritesRunJson(WordCounts):
    """Counts words."""

    def train(self, settings: Any, output: Path | None) -> Any:
        run = super().train(settings, output)
        run.metrics = _Forgetful(run.metrics)
        return run


class _Forgetful(dict[str, float]):
    """Metrics that are others at each look."""

    looks = 0

    def items(self) -> Any:
        self.looks += 1
        return {name: value + self.looks for name, value in super().items()}.items()


class LoadsRounded(WordCounts):
    """Counts words."""

    def load(self, path: Path) -> Any:
        run = super().load(path)
        run.counts = {label: {w: c - 1 for w, c in own.items()} for label, own in run.counts.items()}
        return run


class KnowsItsBackend(WordCounts):
    """Counts words."""

    class make(Counts):
        def one(self, text: str) -> Prediction:
            found = super().one(text)
            return found._replace(score=found.score * (0.9 if fastmath.backend_name() == "numpy" else 1.0))


class StaysWhereItWas(WordCounts):
    """Counts words."""

    def train(self, settings: Any, output: Path | None) -> Any:
        run = super().train(settings, output)
        if output is not None:
            (output / "place.txt").write_text(str(output.absolute()))
        return run

    def load(self, path: Path) -> Any:
        try:
            return super().load(Path((path / "place.txt").read_text()))
        except OSError as error:
            raise lk.LayerkitError(f"'place.txt' in {str(path)!r} cannot be read") from error


class NoPatience(WordCounts):
    """Counts words."""

    def load(self, path: Path) -> Any:
        about = lk.runs.read_run_file(path)
        return self.make(json.loads((path / _FILE).read_text()), Path(about.settings["data"]), about.metrics)


class OnceAlone(WordCounts):
    """Counts words."""

    def train(self, settings: Any, output: Path | None) -> Any:
        if output is not None and (output / _FILE).exists():
            raise lk.LayerkitError(f"{str(output)!r} was trained before")
        return super().train(settings, output)


class Talks(WordCounts):
    """Counts words."""

    def load(self, path: Path) -> Any:
        print("loading ...")
        return super().load(path)


class EvaluatesOtherwise(WordCounts):
    """Counts words."""

    class make(Counts):
        def evaluate(self, data: Path | None = None) -> Mapping[str, float]:
            return {"accuracy": super().evaluate(data)["accuracy"] * (0.5 if self.metrics else 1)}


class OddsForProbabilities(WordCounts):
    """Counts words."""

    class make(Counts):
        def one(self, text: str) -> Prediction:
            found = super().one(text)
            return found._replace(score=found.score / (1 - found.score))


class ScoresAnotherLabel(WordCounts):
    """Counts words."""

    class make(Counts):
        def one(self, text: str) -> Prediction:
            found = super().one(text)
            return found._replace(score=math.exp(min(found.log_probs)))


class SortsByLength(WordCounts):
    """Counts words."""

    class make(Counts):
        def predict(self, texts: Any) -> Any:
            found = super().predict(texts)
            if isinstance(texts, list):
                texts.sort(key=len)
            return found


class LeavesALog(WordCounts):
    """Counts words."""

    def train(self, settings: Any, output: Path | None) -> Any:
        Path("counts.log").write_text("counting\n")
        return super().train(settings, output)


class AsksItsNeighbours(WordCounts):
    """Counts words."""

    class make(Counts):
        def predict(self, texts: Any) -> Any:
            if isinstance(texts, str):
                return self.one(texts)
            first = self.one(texts[0]).score if texts else 0
            return [found._replace(score=(found.score + first) / 2) for found in map(self.one, texts)]


class NeedsAWord(WordCounts):
    """Counts words."""

    class make(Counts):
        def one(self, text: str) -> Prediction:
            return super().one(text)._replace(score=len(text) / len(text))


class NeedsALetter(WordCounts):
    """Counts words."""

    class make(Counts):
        def one(self, text: str) -> Prediction:
            if text and not re.search(r"\w", text):
                raise ValueError("no letter in it")
            return super().one(text)


MUTANTS: list[tuple[type, str]] = [
    (NeedsArguments, "it_is_made_without_arguments"),
    (SaysNothing, "it_says_what_it_does"),
    (WithoutHelp, "settings_have_help"),
    (WrongQuick, "quick_settings_fit"),
    (AcceptsAnything, "unknown_settings_are_refused"),
    (NotANumber, "trains_on_every_backend"),
    (OneAnswer, "beats_the_majority_class"),
    (TrainsOtherwiseEachTime, "the_same_settings_give_the_same_run"),
    (LeavesALog, "the_same_settings_give_the_same_run"),
    (RewritesRunJson, "run_json_is_complete"),
    (LoadsRounded, "loaded_runs_predict_the_same"),
    (KnowsItsBackend, "every_backend_predicts_the_same"),
    (StaysWhereItWas, "a_run_can_be_moved"),
    (NoPatience, "missing_files_are_named"),
    (OnceAlone, "training_goes_on_in_its_folder"),
    (Talks, "loading_and_predicting_print_nothing"),
    (EvaluatesOtherwise, "evaluating_gives_the_metrics_of_training"),
    (OddsForProbabilities, "predictions_are_whole"),
    (ScoresAnotherLabel, "predictions_are_whole"),
    (SortsByLength, "one_text_is_many_texts"),
    (AsksItsNeighbours, "one_text_is_many_texts"),
    (NeedsAWord, "an_empty_text_has_a_prediction"),
    (NeedsALetter, "odd_texts_have_predictions"),
]
"""Each with the check that is meant for it; others may fail as well."""
