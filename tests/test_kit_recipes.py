"""The kit for recipes: the bundled one passes, and every planted fault is caught by the check meant for it."""

from __future__ import annotations

import gc
import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
from distributions import majority_recipe
from mutants.recipes import MUTANTS, WordCounts

import layerkit as lk
from layerkit.testing.recipe_case import RECIPES, RecipeCase
from layerkit.testing.recipes import check_recipe

pytest.importorskip("jax", reason="recipes are checked on every backend")


def test_the_sentiment_recipe_passes() -> None:
    report = check_recipe("sentiment")
    assert report.ok, str(report)
    assert not report.skipped
    (beats,) = [result for result in report.results if result.name == "beats_the_majority_class"]
    assert beats.figures["accuracy"] > 0.6 > beats.figures["majority"] == 0.5


def test_a_small_recipe_passes() -> None:
    report = check_recipe(WordCounts)
    assert report.ok, str(report)
    assert report.subject == "word-counts"
    assert len(report.results) == report.ran == len(RECIPES.checks) >= 10


@pytest.mark.parametrize(("mutant", "name"), MUTANTS, ids=lambda value: getattr(value, "__name__", value))
def test_a_planted_fault_is_caught(mutant: type, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # one of them writes there
    (result,) = check_recipe(mutant, only=[name]).results
    assert (result.name, result.status) == (name, "failed"), result.message


def test_every_check_catches_something() -> None:
    assert {name for _, name in MUTANTS} == set(RECIPES.names())


def test_a_recipe_that_does_not_train_fails_once_and_is_skipped_after_that() -> None:
    class Stumbles(WordCounts):
        """Counts words."""

        def train(self, settings: Any, output: Path | None) -> Any:
            raise ValueError("out of ink")

    report = check_recipe(Stumbles)
    assert [result.name for result in report.failed] == ["trains_on_every_backend"]
    assert report.failed[0].message.endswith("raises ValueError: out of ink")
    assert {result.message for result in report.skipped} == {"it does not train with its quick settings"}
    assert not report.ok


def test_the_documented_recipe_passes(tmp_path: Path) -> None:
    (tmp_path / "majority.py").write_text(majority_recipe())
    (tmp_path / "lines.txt").write_text("good day\nbad day\ngood one\n")
    specification = importlib.util.spec_from_file_location("majority_recipe", tmp_path / "majority.py")
    assert specification
    assert specification.loader
    module = sys.modules["majority_recipe"] = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    report = check_recipe(module.Majority, {"data": tmp_path / "lines.txt"})
    assert report.ok, str(report)
    assert [result.name for result in report.skipped] == ["beats_the_majority_class"]


def test_settings_can_be_given() -> None:
    report = check_recipe(WordCounts, {"smoothing": -1.0}, only=["quick_settings_fit"])
    assert "smoothing is at least 0, got -1.0" in report.results[0].message
    with pytest.raises(lk.UsageError, match="unknown recipe 'sentimental': did you mean 'sentiment'"):
        check_recipe("sentimental")


class WithoutSettings:
    """Says what it is told."""

    def train(self, settings: Any, output: Any) -> Any:
        return self

    def load(self, path: Any) -> Any:
        return self


class BareLabels(WordCounts):
    __doc__ = WordCounts.__doc__

    def train(self, settings: Any, output: Any) -> Any:
        run = super().train(settings, output)
        label = run.labels[0]
        run.predict = lambda texts: label if isinstance(texts, str) else [label for _ in texts]
        return run


@pytest.mark.parametrize(
    ("recipe", "only", "said"),
    [
        (WithoutSettings, None, "recipe 'without-settings' has no dataclass named Settings: ask its author"),
        (BareLabels, ["one_text_is_many_texts"], "a layerkit.recipe.Prediction, with label and score, is due"),
        (BareLabels, ["an_empty_text_has_a_prediction"], "a layerkit.recipe.Prediction, with label and score, is due"),
    ],
)
def test_what_is_no_recipe_is_told_so(recipe: Any, only: list[str] | None, said: str) -> None:
    report = check_recipe(recipe, only=only)
    first, *others = report.results
    assert first.status == "failed"
    assert said in first.message
    assert {(result.status, result.message) for result in others} <= {("skipped", f"{first.name} failed")}


def test_nothing_stays_behind() -> None:
    case = RecipeCase(WordCounts)
    case.run()
    folder = case.folder
    assert any(folder.iterdir())
    del case
    gc.collect()
    assert not folder.exists()
