"""Corpora: splits that can be relied on, files of one's own, and one plain line for every way to be wrong."""

from __future__ import annotations

import json
import os
import sys
import types
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layerkit.errors import LayerkitError, UsageError
from layerkit_plugins.sentiment import nltk_corpora
from layerkit_plugins.sentiment.corpus import (
    SOURCES,
    CorpusMissingError,
    Examples,
    corpus_or_starter,
    load_corpus,
    sentence_polarity,
    starter,
    twitter_samples,
)
from layerkit_plugins.sentiment.examples import held_back_by_hash

# ---- splits

LABELLED = st.lists(st.tuples(st.sampled_from(["a", "A ", "b", "c", "d d", "d  d", "e", "f"]), st.sampled_from("xyz")))


@given(LABELLED, st.sampled_from([0.1, 0.2, 0.5, 0.9]), st.integers(0, 5), st.randoms(use_true_random=False))
def test_the_split_keeps_equal_texts_together_and_does_not_depend_on_order(rows, fraction, seed, rng) -> None:
    def side(rows: list[tuple[str, str]]) -> dict[str, set[bool]]:
        held_back = held_back_by_hash([text for text, _ in rows], [label for _, label in rows], fraction, seed)
        sides: dict[str, set[bool]] = {}
        for index, (text, _) in enumerate(rows):
            sides.setdefault(" ".join(text.lower().split()), set()).add(index in held_back)
        return sides

    try:
        sides = side(rows)
    except LayerkitError:
        texts_of = {}
        for text, label in rows:
            key = " ".join(text.lower().split())
            texts_of[key] = min(label, texts_of.get(key, label))
        assert all(count < 2 for count in Counter(texts_of.values()).values())
        return
    assert all(len(where) == 1 for where in sides.values())
    assert {True} in sides.values()
    assert {False} in sides.values()
    mixed = list(rows)
    rng.shuffle(mixed)
    assert side(mixed) == sides


def test_the_split_takes_its_part_of_every_class_and_changes_with_the_seed() -> None:
    texts = [f"text {i}" for i in range(1000)]
    labels = ["rare" if i % 10 == 0 else "often" for i in range(1000)]
    held_back = held_back_by_hash(texts, labels)
    assert Counter(labels[row] for row in held_back) == {"often": 180, "rare": 20}
    assert held_back != held_back_by_hash(texts, labels, seed=1)


def test_a_class_of_two_texts_is_on_both_sides_and_one_of_a_single_text_in_training() -> None:
    held_back = held_back_by_hash(["a", "b", "c", "d", "e", "f"], ["x", "x", "y", "z", "z", "z"])
    assert len(held_back & {0, 1}) == 1
    assert 2 not in held_back
    assert len(held_back & {3, 4, 5}) == 1


@pytest.mark.parametrize("fraction", [0, 1, -0.2, 20, float("nan")])
def test_the_part_to_hold_back_lies_between_0_and_1(fraction: float) -> None:
    with pytest.raises(UsageError, match="must lie between 0 and 1, got"):
        held_back_by_hash(["a", "b"], ["x", "x"], fraction)


def test_examples_of_a_class_keep_their_order() -> None:
    assert Examples(["b", "a", "c"], ["x", "y", "x"]).of("x") == ["b", "c"]


# ---- the starter corpus


def test_the_starter_corpus_is_balanced_varied_and_without_repeats() -> None:
    corpus = starter()
    assert Counter(corpus.labels) == {"negative": 200, "positive": 200}
    assert Counter(corpus.validation.labels) == {"negative": 40, "positive": 40}
    assert len({text.lower() for text in corpus.texts}) == 400
    assert max(Counter(tuple(text.split()[:3]) for text in corpus.texts).values()) <= 4
    assert all(10 <= len(text) <= 140 and text == text.strip() for text in corpus.texts)
    assert sum(any(word in text.lower() for word in ("not ", "n't", "never", "nothing")) for text in corpus.texts) >= 30
    assert "starter corpus" in corpus.notes[0]


def test_a_corpus_shows_itself_without_its_texts() -> None:
    shown = repr(load_corpus("starter"))
    assert shown.startswith("Corpus(name='starter', label_names=('negative', 'positive'), split=")
    assert len(shown) < 500


def test_the_starter_corpus_can_be_learnt() -> None:
    """Naive Bayes with add-one counts: what a model of single words can do with it."""
    pytest.importorskip("nltk", reason="texts are split by NLTK")
    import math

    from layerkit_plugins.sentiment.text import process_tweet

    corpus = starter()
    counts = {label: Counter() for label in corpus.label_names}
    for tweet, label in zip(*corpus.train, strict=True):
        counts[label].update(set(process_tweet(tweet)))
    vocabulary = set().union(*counts.values())

    def score(words: list[str], label: str) -> float:
        total = counts[label].total() + len(vocabulary)
        return sum(math.log((counts[label][word] + 1) / total) for word in words if word in vocabulary)

    right = sum(
        max(corpus.label_names, key=lambda name: score(process_tweet(tweet), name)) == label
        for tweet, label in zip(*corpus.validation, strict=True)
    )
    assert right / len(corpus.validation.texts) >= 0.75


# ---- corpora from NLTK


def tweets_zip(folder: Path, count: int = 5, damage: bytes = b"") -> Path:
    (folder / "corpora").mkdir(parents=True)
    place = folder / "corpora" / "twitter_samples.zip"
    with zipfile.ZipFile(place, "w") as archive:
        for label in ("positive", "negative"):
            lines = "".join(json.dumps({"text": f"{label} {i}\u2028"}, ensure_ascii=False) + "\n" for i in range(count))
            archive.writestr(f"twitter_samples/{label}_tweets.json", lines.encode() + damage)
    return place


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without corpora: NLTK's folders are one empty folder."""
    folder = tmp_path / "nltk_data"
    monkeypatch.setattr(nltk_corpora, "_data_folders", lambda: [folder])
    return folder


def downloading(monkeypatch: pytest.MonkeyPatch, download: Callable[..., object]) -> None:
    module = types.ModuleType("nltk")
    module.download = download
    monkeypatch.setitem(sys.modules, "nltk", module)


def test_the_first_four_fifths_of_each_class_are_for_training(nowhere: Path) -> None:
    tweets_zip(nowhere)
    corpus = twitter_samples(download=False)
    assert corpus.label_names == ("negative", "positive")
    assert corpus.train.of("positive") == [f"positive {i}\u2028" for i in range(4)]
    assert corpus.validation == (["positive 4\u2028", "negative 4\u2028"], ["positive", "negative"])


def test_an_unpacked_corpus_is_read_too(nowhere: Path) -> None:
    with zipfile.ZipFile(tweets_zip(nowhere)) as archive:
        archive.extractall(nowhere / "corpora")
    (nowhere / "corpora" / "twitter_samples.zip").unlink()
    assert len(twitter_samples(download=False).texts) == 10


def test_a_corpus_that_is_absent_is_fetched(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def download(name: str, **options: object) -> bool:
        asked.append((name, options["quiet"]))
        tweets_zip(nowhere)
        return True

    downloading(monkeypatch, download)
    assert len(twitter_samples().texts) == 10
    assert asked == [("twitter_samples", True)]


def raises(name: str, **options: object) -> bool:
    raise OSError("Name or service not known")


def warns(name: str, **options: object) -> bool:
    warnings.warn("NLTK will not authorize this folder")
    return False


@pytest.mark.filterwarnings("always")
@pytest.mark.parametrize("download", [lambda name, **options: False, raises, warns])
def test_no_corpus_and_no_network(
    nowhere: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    recwarn: pytest.WarningsRecorder,
    download: Callable[..., object],
) -> None:
    downloading(monkeypatch, download)
    for name in ("twitter_samples", "sentence_polarity"):
        with pytest.raises(CorpusMissingError) as caught:
            load_corpus(name)
        message = str(caught.value)
        assert f"the corpus {name!r} is not on this machine and could not be fetched" in message
        assert f"`python -m nltk.downloader {name}`" in message
        assert message.isprintable()
        assert caught.value.exit_code == 1
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


def test_no_corpus_and_no_nltk(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nltk", None)
    with pytest.raises(CorpusMissingError, match=r'cannot be imported .*: pip install "layerkit\[nlp\]"'):
        twitter_samples()


def test_going_on_with_the_starter_corpus_is_said(nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    downloading(monkeypatch, lambda name, **options: False)
    said: list[str] = []
    assert corpus_or_starter("twitter_samples", said.append).name == "starter"
    assert len(said) == 1
    assert said[0].startswith("note: the corpus 'twitter_samples' is not on this machine")
    assert said[0].endswith("going on with the starter corpus")
    tweets_zip(nowhere)
    assert corpus_or_starter("twitter_samples", said.append).name == "twitter_samples"
    assert len(said) == 1


DAMAGE: dict[str, Callable[[Path], object]] = {
    "not a zip": lambda folder: tweets_zip(folder).write_bytes(b"rubbish"),
    "cut short": lambda folder: (place := tweets_zip(folder)).write_bytes(place.read_bytes()[:-40]),
    "bytes changed": lambda folder: (place := tweets_zip(folder)).write_bytes(
        place.read_bytes().replace(b"positive 2", b"positive 9")
    ),
    "not JSON": lambda folder: tweets_zip(folder, damage=b"oops\n"),
    "no text": lambda folder: tweets_zip(folder, damage=b"{}\n"),
    "not UTF-8": lambda folder: tweets_zip(folder, damage=b'{"text": "\xff"}\n'),
    "nothing in it": lambda folder: tweets_zip(folder, count=0),
    "an empty folder": lambda folder: (folder / "corpora" / "twitter_samples").mkdir(parents=True),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_corpus_is_one_plain_line(nowhere: Path, damage: str) -> None:
    DAMAGE[damage](nowhere)
    with pytest.raises(LayerkitError, match=r"twitter_samples.*fetch it (anew|again)") as caught:
        corpus_or_starter("twitter_samples")
    assert str(caught.value).isprintable()
    assert not isinstance(caught.value, CorpusMissingError)


def test_nltks_folders_are_looked_through_in_its_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    monkeypatch.setenv("NLTK_DATA", os.pathsep.join(["", str(first), str(second)]))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert nltk_corpora._data_folders()[:2] == [first, second]
    assert tmp_path / "home" / "nltk_data" in nltk_corpora._data_folders()
    assert Path(sys.prefix, "nltk_data") in nltk_corpora._data_folders()
    place = tweets_zip(second)
    assert nltk_corpora._find("twitter_samples") == place


def test_unknown_corpora_get_a_near_miss() -> None:
    with pytest.raises(UsageError, match="no corpus 'twitter_sample'; did you mean 'twitter_samples'"):
        load_corpus("twitter_sample")
    with pytest.raises(UsageError, match="no corpus 'imdb'; known: sentence_polarity, starter, twitter_samples"):
        corpus_or_starter("imdb")
    assert load_corpus("starter") == starter()
    assert set(SOURCES) == {"twitter_samples", "sentence_polarity", "starter"}


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("source", "n_texts", "n_train"), [(twitter_samples, 10_000, 8_000), (sentence_polarity, 10_662, 8_528)]
)
def test_the_real_corpora(source: Callable[..., object], n_texts: int, n_train: int) -> None:
    try:
        corpus = source(download=False)
    except CorpusMissingError as error:
        pytest.skip(str(error))
    assert (len(corpus.texts), len(corpus.train.texts)) == (n_texts, n_train)
    for part in (corpus.train, corpus.validation):
        assert len(set(Counter(part.labels).values())) == 1
    assert corpus.train.labels[0] == "positive"
    assert corpus.train.labels[-1] == "negative"
