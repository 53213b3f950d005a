"""data_generator: the seed's batches to the number, and every tweet seen."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import seed_values
from hypothesis import given
from hypothesis import strategies as st

from layerkit.errors import UsageError
from layerkit_plugins.sentiment.batches import data_generator, pad
from layerkit_plugins.sentiment.vocabulary import build_vocabulary

Tokens = list[list[str]]


def words(prefix: str, count: int) -> Tokens:
    return [[f"{prefix}{i}"] for i in range(count)]


def as_printed(pos: Sequence[Any], neg: Sequence[Any], half: int, shuffle: bool) -> Any:
    """The notebook's order of draws, one class after the other, with every tweet seen once a pass."""
    order = {"pos": list(range(len(pos))), "neg": list(range(len(neg)))}
    if shuffle:
        random.shuffle(order["pos"])
        random.shuffle(order["neg"])
    at = {"pos": 0, "neg": 0}
    while True:
        batch = []
        for name, data in (("pos", pos), ("neg", neg)):
            for _ in range(half):
                if at[name] >= len(data):
                    at[name] = 0
                    if shuffle:
                        random.shuffle(order[name])
                batch.append(data[order[name][at[name]]])
                at[name] += 1
        yield batch


@pytest.mark.parametrize("name", ["shuffled", "in_order"])
def test_the_seeds_batches(name: str) -> None:
    tweets = seed_values.tweets()
    vocab = build_vocabulary(tweets.train_pos + tweets.train_neg)
    wanted = seed_values.expected()["data_generator"][name]
    random.seed(30)
    shuffle = name == "shuffled"
    batch = next(data_generator(tweets.train_pos, tweets.train_neg, 4, True, vocab, shuffle=shuffle))
    for array, key in zip(batch, ("inputs", "targets", "example_weights"), strict=True):
        assert array.tolist() == wanted[key]
        assert array.dtype == np.int32


@given(st.integers(1, 7), st.integers(1, 7), st.integers(1, 5), st.booleans(), st.integers(0, 5))
def test_the_order_of_draws_is_the_notebooks(n_pos: int, n_neg: int, half: int, shuffle: bool, seed: int) -> None:
    pos, neg = words("p", n_pos), words("n", n_neg)
    vocab = build_vocabulary(pos + neg)
    random.seed(seed)
    ours = data_generator(pos, neg, 2 * half, True, vocab, shuffle)
    ours_batches = [next(ours)[0][:, 0].tolist() for _ in range(8)]
    random.seed(seed)
    theirs = as_printed(pos, neg, half, shuffle)
    assert ours_batches == [[vocab[word] for (word,) in next(theirs)] for _ in range(8)]


def test_every_tweet_is_seen_once_a_pass() -> None:
    pos, neg = words("p", 12), words("n", 12)
    vocab = build_vocabulary(pos + neg)
    batches = list(data_generator(pos, neg, 4, False, vocab, shuffle=True))
    assert len(batches) == 6
    assert sorted(np.concatenate([inputs.ravel() for inputs, _, _ in batches])) == list(range(3, 27))


def test_without_loop_the_last_part_of_a_batch_is_left_out() -> None:
    pos, neg = words("p", 5), words("n", 9)
    vocab = build_vocabulary(pos + neg)
    batches = list(data_generator(pos, neg, 4, False, vocab))
    assert [inputs[:, 0].tolist() for inputs, _, _ in batches] == [[3, 4, 8, 9], [5, 6, 10, 11]]


def test_with_loop_the_smaller_class_comes_round() -> None:
    generator = data_generator(["good"], ["bad", "sad", "mad"], 4, True, build_vocabulary(["good bad sad mad"]))
    assert [next(generator)[0][:, 0].tolist() for _ in range(3)] == [[3, 3, 4, 5], [3, 3, 6, 4], [3, 3, 5, 6]]


def test_texts_and_lists_of_words_give_the_same() -> None:
    pytest.importorskip("nltk", reason="texts are split by NLTK")
    vocab = build_vocabulary([["happi", "day"], ["sad"]])
    one, other = (
        next(data_generator(pos, ["so sad"], 2, False, vocab)) for pos in (["a happy day #x"], [["happi", "day", "x"]])
    )
    assert [a.tolist() for a in one] == [b.tolist() for b in other] == [[[3, 4, 2], [5, 0, 0]], [1, 0], [1, 1]]


def test_a_text_is_processed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from layerkit_plugins.sentiment import batches

    seen: list[object] = []
    monkeypatch.setattr(batches, "as_tokens", lambda text: seen.append(text) or ["a"])
    generator = data_generator(["one"], ["two", "three"], 2, True, {"__UNK__": 2})
    for _ in range(6):
        next(generator)
    assert sorted(seen) == ["one", "three", "two"]


def test_a_word_learnt_later_counts() -> None:
    vocab = {"__UNK__": 2}
    generator = data_generator([["new"]], [["old"]], 2, True, vocab)
    assert next(generator)[0].tolist() == [[2], [2]]
    vocab["new"] = 3
    assert next(generator)[0].tolist() == [[3], [2]]


def test_tweets_without_words_still_have_a_column() -> None:
    inputs, targets, example_weights = next(data_generator([[]], [[]], 4, True, {"__UNK__": 2}))
    assert inputs.tolist() == [[0]] * 4
    assert (targets.tolist(), example_weights.tolist()) == ([1, 1, 0, 0], [1, 1, 1, 1])
    assert pad([]).shape == (0, 1)


def test_each_batch_is_the_readers_own() -> None:
    generator = data_generator([["a"]], [["b"]], 2, True, {"__UNK__": 2})
    for array in next(generator):
        array[...] = 9
    assert [array.tolist() for array in next(generator)] == [[[2], [2]], [1, 0], [1, 1]]


def test_nothing_is_drawn_before_the_first_batch() -> None:
    pos, neg = words("p", 9), words("n", 9)
    vocab = build_vocabulary(pos + neg)
    generator = data_generator(pos, neg, 2, True, vocab, shuffle=True)
    random.seed(3)
    later = next(generator)[0].tolist()
    random.seed(3)
    assert next(data_generator(pos, neg, 2, True, vocab, shuffle=True))[0].tolist() == later


VOCAB = {"__UNK__": 2}
ONE = [["a"]]


@pytest.mark.parametrize(
    ("arguments", "fragment"),
    [
        ((ONE, ONE, 3, True, VOCAB), "batch_size must be an even number, half for each class, got 3"),
        ((ONE, ONE, 0, True, VOCAB), "got 0: give 2, 4, 16"),
        ((ONE, ONE, -2, True, VOCAB), "got -2"),
        ((ONE, ONE, 4.0, True, VOCAB), "got 4.0"),
        ((ONE, ONE, "16", True, VOCAB), "got '16'"),
        ((ONE, ONE, True, True, VOCAB), "got True"),
        (([], ONE, 2, True, VOCAB), "there are no positive tweets"),
        ((ONE, [], 2, True, VOCAB), "there are no negative tweets"),
        (("good", ONE, 2, True, VOCAB), "the positive tweets must be a list of texts, got str"),
        ((ONE, iter(ONE), 2, True, VOCAB), "the negative tweets must be a list of texts, got list_iterator"),
        ((None, ONE, 2, True, VOCAB), "got NoneType: make a list of them"),
        ((ONE, ONE, 4, False, VOCAB), "half a batch is 2 tweets, but there are only 1 positive ones and loop is off"),
        ((ONE, ONE, 2, True, {}), "has no '__UNK__'"),
    ],
)
def test_what_is_wrong_is_said_at_once_in_one_line(arguments: tuple[Any, ...], fragment: str) -> None:
    with pytest.raises(UsageError) as caught:
        data_generator(*arguments)
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_text_that_is_none_is_refused_when_it_comes_up() -> None:
    generator = data_generator([["a"], None], ONE, 2, True, VOCAB)  # type: ignore[list-item]
    next(generator)
    with pytest.raises(UsageError, match="got None: leave out rows without text"):
        next(generator)
