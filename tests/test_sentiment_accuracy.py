"""The recipe on the real corpora reaches its targets; benchmarks/accuracy.py has all the figures."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("nltk", reason="texts are split by NLTK")

import layerkit as lk
from layerkit_plugins.sentiment.nltk_corpora import CorpusMissingError, sentence_polarity, twitter_samples

pytestmark = [pytest.mark.slow, pytest.mark.corpus]


def trained(backend: str, **settings: Any) -> Any:
    source = {"twitter_samples": twitter_samples, "sentence_polarity": sentence_polarity}[settings["corpus"]]
    try:
        source(download=False)
    except CorpusMissingError as error:
        pytest.skip(str(error))
    return lk.train("sentiment", backend=backend, **settings)


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_real_tweets(backend: str) -> None:
    run = trained(backend, corpus="twitter_samples")
    assert run.settings["steps"] == 500
    assert run.metrics["accuracy"] >= 0.993
    assert run.predict("I hated my day, it was the worst :(").label == "negative"
    assert run.predict("what a lovely morning :)").label == "positive"


def test_film_reviews() -> None:
    settings = {"steps": 1500, "learning_rate": 0.001, "keep_stop_words": True}
    run = trained("jax", corpus="sentence_polarity", **settings)
    assert run.metrics["accuracy"] >= 0.76
    good, not_good = run.predict(["it was good", "it was not good"])
    assert (good.label, not_good.label) == ("positive", "negative")
