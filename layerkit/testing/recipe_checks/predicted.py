"""What a run says of texts: whatever they are, alone and together."""

from __future__ import annotations

import math
from typing import Any

import numpy as onp

from layerkit.testing.blame import demand
from layerkit.testing.recipe_case import TEXTS, RecipeCase, check

__all__: list[str] = []

_ODD = (
    "",
    " ",
    "\n\t",
    "?!.,;:",
    "@somebody http://x.y/z #tag RT",
    "\U0001f600\U0001f9d1\u200d\U0001f680",
    "\x00\ufeff",
    "bad " * 3000,
)


@check("predictions")
def predictions_are_whole(case: RecipeCase) -> None:
    """A prediction has a label (a text), its probability as the score, and log-probabilities, if any, that fit both."""
    run = case.run()
    for text, found in zip(TEXTS, case.predict(run, list(TEXTS)), strict=True):
        _demand_whole(text, found)
    labels = getattr(run, "labels", None)
    if labels is not None:
        for text, found in zip(TEXTS, case.predict(run, list(TEXTS)), strict=True):
            _demand_labelled(text, found, list(labels))


def _demand_labelled(text: str, found: Any, labels: list[str]) -> None:
    known = found.label in labels
    demand(known, f"the label {found.label!r} of {text!r:.40} is not among those of the run, {', '.join(labels)}")
    logs = onp.asarray(getattr(found, "log_probs", ()), "float64")
    if logs.size:
        demand(logs.size == len(labels), f"{text!r:.40} has {logs.size} log-probabilities for {len(labels)} labels")
        own, score = float(onp.exp(logs[labels.index(found.label)])), float(onp.asarray(found.score))
        right = abs(own - score) < 1e-4
        demand(right, f"{text!r:.40} scores {score:.6g}, and {found.label!r} has the probability {own:.6g}")


def _demand_whole(text: str, found: Any) -> None:
    label, score = getattr(found, "label", None), getattr(found, "score", None)
    demand(isinstance(label, str) and label, f"the label of {text!r:.40} is {label!r}: a text is due")
    demand(isinstance(score, (int, float)) or hasattr(score, "dtype"), f"the score of {text!r:.40} is {score!r}")
    number = float(onp.asarray(score))
    demand(0 <= number <= 1, f"the score of {text!r:.40} is {number}: a probability is due")
    logs = onp.asarray(getattr(found, "log_probs", ()), "float64")
    total = float(onp.exp(logs).sum()) if logs.size else 1.0
    demand(abs(total - 1) < 1e-4, f"the probabilities of {text!r:.40} add up to {total:.6g}")


@check("predictions")
def one_text_is_many_texts(case: RecipeCase) -> None:
    """What a text scores does not depend on those it is given with, and their order; one text gives one prediction."""
    run, given = case.run(), list(TEXTS)
    together = case.predict(run, given)
    demand(given == list(TEXTS), "predict changes the list that it is given")
    backwards = case.predict(run, list(TEXTS[::-1]))[::-1]
    for text, one, other in zip(TEXTS, together, backwards, strict=True):
        alone = case.predict(run, text)
        for what, found in (("alone", alone), ("in another order", other)):
            off = abs(float(found.score) - float(one.score))
            same = found.label == one.label and off <= 1e-5
            demand(same, f"{text!r} scores {one.label!r} {one.score:.6g} among others, {found.score:.6g} {what}")


@check("predictions")
def an_empty_text_has_a_prediction(case: RecipeCase) -> None:
    """An empty text gets a prediction like every other; no texts at all get an empty list."""
    run = case.run()
    _demand_whole("", case.predict(run, ""))
    case.predict(run, [])


@check("predictions")
def odd_texts_have_predictions(case: RecipeCase) -> None:
    """Spaces, punctuation, emoji, control characters and 3,000 words get finite scores, alone and beside others."""
    run = case.run()
    for text, found in zip(_ODD, case.predict(run, list(_ODD)), strict=True):
        _demand_whole(text, found)
        demand(math.isfinite(float(found.score)), f"the score of {text!r:.40} is {found.score}")
