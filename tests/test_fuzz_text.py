"""Texts that nobody thought of: words come out of all of them, soon, and a finite score."""

from __future__ import annotations

import math
import time
import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import layerkit as lk

pytest.importorskip("nltk", reason="texts are split by NLTK")

from layerkit_plugins.sentiment.text import process_tweet
from layerkit_plugins.sentiment.vocabulary import build_vocabulary, tweet_to_tensor

pytestmark = pytest.mark.fuzz

ODD = [
    "\U0001f469\u200d\U0001f4bb",
    "\U0001f1eb\U0001f1f7",
    "\u0301",
    "\u200d",
    "\u202e",
    "\ufeff",
    "\ud800",
    "\0",
    "\x1b[0m",
    " ",
]
PIECES = st.sampled_from(
    "@ # $ RT http:// https://x :) :-( <3 &amp; &#128512; &#xD800; &#x110000; & ; ... -- '' \" not Running 555-1234 "
    "a.b.co me@x.org".split()
    + ODD
)
ANY = st.text(st.characters(), max_size=60)
TEXTS = st.one_of(
    ANY,
    st.lists(st.one_of(PIECES, ANY), max_size=30).map("".join),
    st.tuples(st.one_of(PIECES, ANY), st.integers(1, 3000)).map(lambda pair: pair[0] * pair[1]),
)


def words_of(text: str) -> list[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lk.errors.LayerkitWarning)
        return process_tweet(text)


@given(TEXTS)
def test_any_text_has_words_soon_and_the_same_each_time(text: str) -> None:
    start = time.process_time()
    words = words_of(text)
    assert time.process_time() - start < 5
    assert all(isinstance(word, str) for word in words)
    assert words_of(text) == words


@given(st.lists(TEXTS, max_size=4), TEXTS)
def test_any_text_becomes_ids_of_any_vocabulary(texts: list[str], text: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lk.errors.LayerkitWarning)
        vocabulary = build_vocabulary(texts)
        ids = tweet_to_tensor(text, vocabulary)
    assert sorted(vocabulary.values()) == list(range(len(vocabulary)))
    assert len(ids) == len(words_of(text))
    assert all(0 <= number < len(vocabulary) for number in ids)


@pytest.fixture(scope="module")
def run() -> Any:
    return lk.train("sentiment", corpus="starter", steps=1, backend="numpy", embedding_dim=2)


@given(texts=st.lists(TEXTS, min_size=1, max_size=4))
def test_any_text_has_a_score(run: Any, texts: list[str]) -> None:
    with lk.use_backend("numpy"), warnings.catch_warnings():
        warnings.simplefilter("ignore", lk.errors.LayerkitWarning)
        together = run.predict(texts)
        assert together == [run.predict(text) for text in texts]
    for prediction in together:
        assert 0 < prediction.score <= 1
        assert all(map(math.isfinite, prediction.log_probs))
