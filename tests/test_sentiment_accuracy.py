"""The recipe on the real corpora, with the accuracy that a model of this kind reaches. benchmarks/accuracy.py does more."""

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
    """A third of the steps that the benchmark takes."""
    run = trained("jax", corpus="sentence_polarity")
    assert run.metrics["accuracy"] >= 0.735
