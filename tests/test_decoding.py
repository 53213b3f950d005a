"""Decoding: the same texts with a memory as without, the ids that may be drawn, the best of all texts, bad requests."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as onp
import pytest

import layerkit as lk
from layerkit import fastmath, models
from layerkit import layers as tl
from layerkit.decoding import autoregressive_sample, autoregressive_sample_stream, beam_search
from layerkit.decoding.choosing import Choice, choose
from layerkit.fastmath import random

V = 11


pytestmark = pytest.mark.usefixtures("backend")


def attention_lm(mode: str | None, max_len: int = 16) -> lk.Layer:
    return tl.Serial(
        tl.ShiftRight(mode=mode),
        tl.Embedding(V, 8),
        tl.PositionalEncoding(max_len=max_len, mode=mode),
        tl.Residual(tl.LayerNorm(), tl.CausalAttention(8, n_heads=2, max_inference_length=max_len, mode=mode)),
        tl.Residual(tl.LayerNorm(), tl.Dense(12), tl.Relu(), tl.Dense(8)),
        tl.LayerNorm(),
        tl.Dense(V),
    )


def translator(mode: str | None) -> lk.Layer:
    return models.Transformer(
        V, d_model=8, d_ff=8, n_encoder_layers=1, n_decoder_layers=1, n_heads=2, max_len=16, mode=mode
    )


MODELS: dict[str, Callable[[str | None], lk.Layer]] = {
    "attention": attention_lm,
    "GRULM": lambda mode: models.GRULM(V, d_model=8, mode=mode),
    "RNNLM": lambda mode: models.RNNLM(V, d_model=8, rnn_cell=tl.GRUCell, rnn_cell_d_state_multiplier=1, mode=mode),
    "ReformerLM": lambda mode: models.ReformerLM(V, 8, 8, 4, 4, n_layers=1, n_heads=2, max_len=16, mode=mode),
    "Transformer": translator,
    "LSTMSeq2SeqAttn": lambda mode: models.LSTMSeq2SeqAttn(V, V, 8, 1, 1, mode=mode),
}


def both_modes(name: str, seed: int = 0, scale: float = 3.0) -> tuple[lk.Layer, lk.Layer]:
    """A model of random weights, large enough to prefer some ids, without a memory and with one."""
    whole, pieces = MODELS[name](None), MODELS[name]("predict")
    ids = lk.i32(1, 3, max=V)
    whole.init(ids if whole.n_in == 1 else (ids, ids), random.get_prng(seed))
    whole.weights = pieces.weights = fastmath.nested_map(lambda w: w * scale, whole.weights)
    return whole, pieces


def prompts(n: int, length: int, seed: int = 0) -> Any:
    return onp.random.default_rng(seed).integers(1, V, (n, length)).astype("int32")


@pytest.mark.parametrize("name", MODELS)
def test_with_a_memory_as_without(name: str, backend: str) -> None:
    if (name, backend) == ("ReformerLM", "jax"):
        pytest.skip("its programs take long to compile; they are among the slow tests")
    whole, pieces = both_modes(name)
    start = prompts(40, 3)
    greedy = [autoregressive_sample(m, start, temperature=0, max_length=9) for m in (whole, pieces)]
    onp.testing.assert_array_equal(*greedy)
    drawn = [autoregressive_sample(m, start, max_length=9, top_k=6, top_p=0.9) for m in (whole, pieces)]
    onp.testing.assert_array_equal(*drawn)
    assert len(onp.unique(drawn[0], axis=0)) > 20
    beams = [beam_search(m, start, n_beams=3, max_length=6) for m in (whole, pieces)]
    onp.testing.assert_array_equal(beams[0].ids, beams[1].ids)
    onp.testing.assert_allclose(beams[0].scores, beams[1].scores, rtol=1e-4)
    one = beam_search(pieces, start, n_beams=1, max_length=9).ids[:, 0]
    onp.testing.assert_array_equal(one, greedy[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_thousand_prompts_with_a_memory_as_without(name: str) -> None:
    whole, pieces = both_modes(name, seed=2)
    start = prompts(1000, 4)
    greedy = [autoregressive_sample(m, start, temperature=0, max_length=12, eos_id=None) for m in (whole, pieces)]
    onp.testing.assert_array_equal(*greedy)
    assert len(onp.unique(greedy[0], axis=0)) > 20
    onp.testing.assert_array_equal(*[beam_search(m, start, n_beams=4, max_length=12).ids for m in (whole, pieces)])


def test_a_prefix_beside_inputs_goes_before_what_is_written() -> None:
    whole, pieces = both_modes("Transformer")
    read, start = prompts(5, 4), prompts(5, 2, seed=1)
    both = [
        autoregressive_sample(m, read, prefix=start, temperature=0, max_length=6, eos_id=None) for m in (whole, pieces)
    ]
    onp.testing.assert_array_equal(*both)
    longer = onp.concatenate([start, both[0][:, :2]], axis=1)
    rest = autoregressive_sample(pieces, read, prefix=longer, temperature=0, max_length=4, eos_id=None)
    onp.testing.assert_array_equal(rest, both[0][:, 2:])


def test_the_stream_writes_what_the_sample_does_and_leaves_the_model_alone() -> None:
    _, pieces = both_modes("attention")
    start = prompts(4, 3)
    pieces.init(lk.i32(2, 1))
    pieces.weights = both_modes("attention")[0].weights
    pieces(prompts(2, 5))  # whatever it was used for before
    before = fastmath.to_host(pieces.state)
    ids = autoregressive_sample(pieces, start, max_length=8, eos_id=None, rng=random.get_prng(3))
    stream = autoregressive_sample_stream(pieces, start, rng=random.get_prng(3))
    onp.testing.assert_array_equal(onp.stack(list(itertools.islice(stream, 8)), axis=1), ids)
    for old, new in zip(*map(fastmath.tree_leaves, (before, fastmath.to_host(pieces.state))), strict=True):
        onp.testing.assert_array_equal(old, new)


def test_a_text_ends_and_zeros_follow() -> None:
    _, pieces = both_modes("attention", scale=1.0)
    ids = autoregressive_sample(pieces, batch_size=60, max_length=12, eos_id=4, rng=random.get_prng(1))
    ended = [row for row in ids.tolist() if 4 in row]
    assert len(ended) > 10
    assert all(not any(row[row.index(4) + 1 :]) for row in ended)
    for beam in beam_search(pieces, n_beams=40, max_length=5, eos_id=4).ids[0].tolist():
        assert 4 not in beam or not any(beam[beam.index(4) + 1 :])


def table_model(table: Any) -> lk.Layer:
    """The scores of an id are the row of a table that the id before it has."""
    model = tl.Serial(tl.ShiftRight(mode="predict"), tl.Embedding(*onp.shape(table)))
    model.weights = ((), onp.asarray(table, "float32"))
    return model


@pytest.mark.parametrize("alpha", [0.0, 0.6, 2.0])
def test_with_enough_beams_the_best_texts_of_all_are_found(alpha: float) -> None:
    table = onp.random.default_rng(7).normal(size=(3, 3)) * 2
    log_p = table - onp.log(onp.exp(table).sum(axis=1, keepdims=True))
    found: dict[tuple[int, ...], float] = {}
    for text in itertools.product(range(3), repeat=4):
        n = text.index(1) + 1 if 1 in text else 4
        total = sum(log_p[a, b] for a, b in zip((0, *text), text[:n], strict=False))
        found[(*text[:n], *[0] * (4 - n))] = total / ((5 + n) / 6) ** alpha
    best = sorted(found.items(), key=lambda item: -item[1])[:6]
    beams = beam_search(table_model(table), n_beams=81, max_length=4, length_penalty=alpha)
    assert [tuple(ids) for ids in beams.ids[0, :6].tolist()] == [text for text, _ in best]
    onp.testing.assert_allclose(beams.scores[0, :6], [score for _, score in best], rtol=1e-5)
    assert (onp.diff(beams.scores[0][onp.isfinite(beams.scores[0])]) <= 0).all()


def shares(choice: Choice, n: int = 4000) -> list[float]:
    logits = onp.log(onp.array([0.1, 0.5, 0.3, 0.1], "float32"))
    ids = fastmath.to_host(choose(fastmath.numpy.array(onp.tile(logits, (n, 1))), choice, random.get_prng(5)))
    return (onp.bincount(ids, minlength=4) / n).tolist()


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (Choice(0.0, None, None), [0, 1, 0, 0]),
        (Choice(1.0, None, None), [0.1, 0.5, 0.3, 0.1]),
        (Choice(0.5, None, None), [1 / 36, 25 / 36, 9 / 36, 1 / 36]),
        (Choice(1.0, 2, None), [0, 0.625, 0.375, 0]),
        (Choice(1.0, None, 0.45), [0, 1, 0, 0]),
        (Choice(1.0, None, 0.6), [0, 0.625, 0.375, 0]),
        (Choice(1.0, 1, 1.0), [0, 1, 0, 0]),
        (Choice(1.0, None, 1.0), [0.1, 0.5, 0.3, 0.1]),
    ],
    ids=str,
)
def test_ids_are_drawn_as_often_as_they_should(choice: Choice, expected: list[float]) -> None:
    found = shares(choice)
    assert [share > 0 for share in found] == [share > 0 for share in expected]
    onp.testing.assert_allclose(found, expected, atol=0.03)


def test_one_program_writes_all_of_it_and_writes_again(backend: str) -> None:
    if backend == "numpy":
        pytest.skip("nothing is compiled")
    _, pieces = both_modes("attention")
    autoregressive_sample(pieces, prompts(2, 3), max_length=9)
    before = fastmath.compilations()
    autoregressive_sample(pieces, prompts(2, 3, seed=1), max_length=9, rng=random.get_prng(8))
    assert fastmath.compilations() - before <= 1  # the key of a seed


BAD: dict[str, tuple[Callable[[], Any], str]] = {
    "temperature": (lambda: sample(temperature=-1), "temperature must be a number of at least 0, got -1"),
    "top_k": (lambda: sample(top_k=0), "top_k must be a whole number of at least 1, got 0"),
    "top_k too large": (lambda: sample(top_k=99), "top_k=99 is more than the 11 ids there are"),
    "top_p": (lambda: sample(top_p=0), "top_p must be a number above 0 and of at most 1, got 0"),
    "max_length": (lambda: sample(max_length=0), "max_length must be a whole number of at least 1, got 0"),
    "eos_id": (lambda: sample(eos_id=11), "eos_id=11 is no id: Serial has scores for 11 ids"),
    "start_id": (lambda: sample(start_id=-1), "start_id must be a whole number of at least 0, got -1"),
    "start_id, whole": (lambda: sample(mode=None, start_id=2), "not with start_id=2: make it with mode='predict'"),
    "batch": (lambda: sample(prompts(2, 3), batch_size=3), "different batches: prefix 2, batch_size 3"),
    "both": (lambda: sample(prompts(2, 3), prefix=prompts(2, 3)), "inputs are its prefix, so give one of the two"),
    "shape": (lambda: sample(onp.zeros(3, "int32")), r"prefix must be whole numbers \(batch, length\), got int32"),
    "dtype": (lambda: sample(onp.zeros((1, 3))), r"must be whole numbers \(batch, length\), got float64"),
    "ragged": (lambda: sample([[2], [2, 3]]), "prefix has rows of different lengths: write those of each length by th"),
    "ragged inputs": (
        lambda: beam_search(both_modes("Transformer")[1], [[2], [2, 3]]),
        "beam_search: inputs has rows of different lengths: pad the shorter ones",
    ),
    "negative": (lambda: sample(-prompts(1, 3)), "prefix must be ids of at least 0, below .*, got -"),
    "prefix": (lambda: sample(prompts(1, 17)), "a sequence of 18 is longer than max_len=16"),
    "no layer": (lambda: autoregressive_sample(3), "the model must be a layer, got 3"),
    "no weights": (lambda: autoregressive_sample(attention_lm("predict")), "init it|initialized"),
    "three inputs": (lambda: beam_search(three()), "takes 3 inputs; expected ids, or"),
    "no inputs": (lambda: beam_search(both_modes("Transformer")[1]), r"takes \(inputs, ids\): give inputs"),
    "n_beams": (lambda: beam_search(both_modes("attention")[1], n_beams=0), "n_beams must be a whole number of at"),
    "penalty": (lambda: beam_search(both_modes("attention")[1], length_penalty=-1), "length_penalty must be a number"),
    "no scores": (lambda: autoregressive_sample(no_scores()), r"scores \(batch, length, vocabulary\), got an output"),
    "stream": (lambda: autoregressive_sample_stream(both_modes("attention")[0]), "make it with mode='predict'"),
    "state": (lambda: autoregressive_sample(with_statistics()), "has state of training, .*, which predict mode would"),
}


def sample(inputs: Any = None, mode: str | None = "predict", **options: Any) -> Any:
    model = both_modes("attention")[mode == "predict"]
    return autoregressive_sample(model, inputs, **options)


def three() -> lk.Layer:
    model = tl.Serial(tl.Add(), tl.Add(), tl.Dense(2))
    model.init((lk.f32(1, 2),) * 3)
    return model


def no_scores() -> lk.Layer:
    model = tl.Serial(tl.Embedding(4, 4), tl.Mean(axis=1))
    model.init(lk.i32(1, 2))
    return model


def with_statistics() -> lk.Layer:
    model = tl.Serial(tl.ShiftRight(mode="predict"), tl.Embedding(4, 4), tl.BatchNorm(axis=(0, 1)))
    model.init(lk.i32(1, 2))
    return model


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_is_refused_in_one_line(name: str) -> None:
    ask, said = BAD[name]
    with pytest.raises(lk.LayerError, match=said):
        ask()


@pytest.mark.parametrize("search", [autoregressive_sample, beam_search])
def test_more_than_the_model_has_room_for_is_said(search: Callable[..., Any], backend: str) -> None:
    _, pieces = both_modes("attention")
    said = "beyond max_len=16" if backend == "numpy" else "the scores of id 14 are not finite: 17 positions may be more"
    with pytest.raises(lk.LayerError, match=said):
        search(pieces, prompts(1, 2), max_length=20, eos_id=None)


@pytest.mark.parametrize("mode", [None, "predict"])
@pytest.mark.parametrize(
    "search", [autoregressive_sample, beam_search, lambda *args: next(autoregressive_sample_stream(*args))]
)
def test_an_id_of_the_prefix_beyond_the_vocabulary_is_named_though_nothing_looks_back_at_it(
    search: Callable[..., Any], mode: str | None
) -> None:
    if mode is None and search not in (autoregressive_sample, beam_search):
        pytest.skip("a stream needs predict mode")
    model = tl.Serial(tl.ShiftRight(mode=mode), tl.Embedding(4, 4))
    model.init(lk.i32(1, 2, max=4))
    with pytest.raises(lk.LayerError, match="Serial > 1:Embedding_4_4: id 9 is outside the table of 4 rows"):
        search(model, onp.array([[1, 9, 2]]))
    with pytest.raises(lk.LayerError, match=r"prefix must be ids of at least 0, below 2\*\*31, got 1099511627776"):
        search(model, onp.array([[1, 2**40, 2]]))
