"""Transformers and recurrent models: their formula, what they see, and that piece by piece they are as at once."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as onp
import pytest
import values

import layerkit as lk
from layerkit import fastmath, models
from layerkit import layers as tl
from layerkit.fastmath import random
from layerkit.testing import check_layer

SMALL: dict[str, Any] = {"d_model": 8, "d_ff": 12, "n_heads": 2, "max_len": 9}


@pytest.fixture(params=["numpy", "jax"])
def backend(request: pytest.FixtureRequest) -> str:
    """For tests on both backends; the others run on NumPy."""
    return str(request.param)


@pytest.fixture(autouse=True)
def _active(request: pytest.FixtureRequest) -> Iterator[None]:
    name = request.getfixturevalue("backend") if "backend" in request.fixturenames else "numpy"
    with lk.use_backend(name):
        yield


def run(model: lk.Layer, x: Any, weights: Any) -> Any:
    """The outputs, by a compiled program."""
    _, state = model.init(fastmath.nested_map(lk.signature, x))
    return fastmath.jit(lambda x: model.pure_fn(x, weights, state)[0])(x)


near = partial(values.near, tolerance=1e-5)


def ids(*shape: int, seed: int = 0) -> Any:
    return onp.random.default_rng(seed).integers(1, 7, shape).astype("int32")


def spread(weights: Any) -> Any:
    return fastmath.nested_map(
        lambda w: fastmath.numpy.array(onp.random.default_rng(w.size).normal(size=w.shape).astype("float32") / 2),
        weights,
    )


# -- the formula ------------------------------------------------------------------------------------------------------


def normalized(x: Any, scale: Any, bias: Any) -> Any:
    x = x - x.mean(-1, keepdims=True)
    return x / onp.sqrt((x * x).mean(-1, keepdims=True) + 1e-6) * scale + bias


def attention(x: Any, real: Any, kernels: list[Any]) -> Any:
    (wq, bq), (wk, bk), (wv, bv), (wo, bo) = (kernels[i : i + 2] for i in (0, 2, 4, 6))
    q, k, v = x @ wq + bq, x @ wk + bk, x @ wv + bv
    heads = []
    for own in (slice(0, 4), slice(4, 8)):
        scores = onp.exp(onp.einsum("bid,bjd->bij", q[..., own], k[..., own]) / 2) * real[:, None]
        heads.append(scores / scores.sum(-1, keepdims=True) @ v[..., own])
    return onp.concatenate(heads, -1) @ wo + bo


@pytest.mark.parametrize("norm", ["pre", "post", "rezero"])
def test_an_encoder_is_its_formula(backend: str, norm: str) -> None:
    text = ids(2, 5)
    text[1, 3:] = 0
    model = models.TransformerEncoder(7, n_classes=3, n_layers=1, norm=norm, **SMALL)
    model.init(text)
    model.weights = spread(model.weights)
    table, places, *rest = map(fastmath.to_host, fastmath.tree_leaves(model.weights))
    take = lambda n: [rest.pop(0) for _ in range(n)]
    real = text != 0
    x = table[text] + places[:5]
    feed_forward = lambda x, own: onp.maximum(x @ own[0] + own[1], 0) @ own[2] + own[3]
    for layer, count in ((lambda x, own: attention(x, real, own), 8), (feed_forward, 4)):
        if norm == "pre":
            first = take(2)
            x = x + layer(normalized(x, *first), take(count))
        elif norm == "post":
            own = take(count)
            x = normalized(x + layer(x, own), *take(2))
        else:
            own = take(count)
            x = x + take(1)[0] * layer(x, own)
    if norm == "pre":
        x = normalized(x, *take(2))
    mean = (x * real[..., None]).sum(1) / real.sum(1)[:, None]
    near(run(model, text, model.weights), mean @ rest[0] + rest[1], tolerance=1e-4)
    assert len(rest) == 2


def test_rezero_begins_as_the_identity() -> None:
    text = ids(2, 5)
    model = models.ReZeroTransformerDecoder(7, n_layers=2, **SMALL)
    weights, _ = model.init(text)
    table, places = map(fastmath.to_host, fastmath.tree_leaves(weights)[:2])
    near(model(text), table[text] + places[:5])
    assert repr(model).count("LayerNorm") == 0


# -- who sees what ----------------------------------------------------------------------------------------------------

CLASSIFIERS: dict[str, Callable[[], lk.Layer]] = {
    "TransformerEncoder": lambda: models.TransformerEncoder(7, 3, n_layers=2, **SMALL),
    "LSTMClassifier": lambda: models.LSTMClassifier(7, d_model=6, n_layers=2, bidirectional=True),
    "GRUClassifier": lambda: models.GRUClassifier(7, d_model=6),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_padding_has_no_part_in_the_scores(name: str) -> None:
    model = CLASSIFIERS[name]()
    text = ids(2, 4)
    model.init(text)
    padded = onp.concatenate([text, onp.zeros((2, 3), "int32")], 1)
    near(model(padded), model(text))


LANGUAGE: dict[str, Callable[[str | None], lk.Layer]] = {
    "TransformerLM": lambda mode: models.TransformerLM(7, n_layers=2, mode=mode, **SMALL),
    "post": lambda mode: models.TransformerLM(7, n_layers=1, mode=mode, norm="post", **SMALL),
    "ReZeroTransformerLM": lambda mode: models.ReZeroTransformerLM(7, n_layers=1, mode=mode, **SMALL),
    "RNNLM": lambda mode: models.RNNLM(7, d_model=6, mode=mode),
    "RNNLM of GRU cells": lambda mode: models.RNNLM(
        7, d_model=6, rnn_cell=tl.GRUCell, rnn_cell_d_state_multiplier=1, mode=mode
    ),
    "GRULM": lambda mode: models.GRULM(7, d_model=6, n_layers=2, mode=mode),
    "ReformerLM": lambda mode: models.ReformerLM(7, n_layers=2, mode=mode, **SMALL),
    "ReformerLM of many kinds": lambda mode: models.ReformerLM(
        7,
        n_layers=2,
        pos_type="sin-cos",
        ff_use_sru=(2, 4),
        ff_sparsity=4,
        loss_sparsity_type="lowrank",
        loss_sparsity=1,
        loss_d_lowrank=3,
        attention_chunk_size=1,
        mode=mode,
        **SMALL,
    ),
    "ReformerLM of buckets": lambda mode: models.ReformerLM(
        7, n_layers=1, attention_type=partial(tl.LSHSelfAttention, chunk_len=2, n_buckets=4), mode=mode, **SMALL
    ),
}


@pytest.mark.parametrize("name", LANGUAGE)
def test_a_language_model_sees_what_was_before(name: str) -> None:
    model = LANGUAGE[name](None)
    text = ids(2, 6)
    weights, _ = model.init(text)
    model.weights = spread(weights)
    before = fastmath.to_host(model(text))
    other = text.copy()
    other[:, 3] = other[:, 3] % 6 + 1
    after = fastmath.to_host(model(other))
    onp.testing.assert_array_equal(after[:, :4], before[:, :4])
    assert (after[:, 4:] != before[:, 4:]).any(-1).all()


@pytest.mark.parametrize("name", LANGUAGE)
def test_a_language_model_writes_piece_by_piece(backend: str, name: str) -> None:
    text = ids(2, 6)
    whole, pieces = LANGUAGE[name](None), LANGUAGE[name]("predict")
    weights, _ = whole.init(text, random.get_prng(1))
    own, state = pieces.init(text[:, :1])
    assert lk.signature(own) == lk.signature(weights)
    weights = spread(weights)
    step = fastmath.jit(lambda given, state: pieces.pure_fn(given, weights, state))
    given = onp.concatenate([onp.zeros((2, 1), "int32"), text[:, :-1]], 1)
    found = []
    for start, stop in ((0, 3), (3, 4), (4, 5), (5, 6)):
        y, state = step(given[:, start:stop], state)
        found.append(fastmath.to_host(y))
    near(onp.concatenate(found, 1), run(whole, text, weights))


TRANSLATORS: dict[str, Callable[[str | None], lk.Layer]] = {
    "Transformer": lambda mode: models.Transformer(7, 9, n_encoder_layers=1, n_decoder_layers=2, mode=mode, **SMALL),
    "ReZeroTransformer": lambda mode: models.ReZeroTransformer(
        7, n_encoder_layers=1, n_decoder_layers=1, mode=mode, **SMALL
    ),
    "Reformer": lambda mode: models.Reformer(7, 9, n_encoder_layers=1, n_decoder_layers=2, mode=mode, **SMALL),
    "Reformer of many kinds": lambda mode: models.Reformer(
        7,
        n_encoder_layers=1,
        n_decoder_layers=1,
        pos_axial_shape=(3, 3),
        pos_d_axial_embs=(4, 4),
        ff_use_sru=1,
        ff_sparsity=(4, 2),
        mode=mode,
        **SMALL,
    ),
    "LSTMSeq2SeqAttn": lambda mode: models.LSTMSeq2SeqAttn(7, 9, d_model=6, n_attention_heads=2, mode=mode),
}


@pytest.mark.parametrize("name", TRANSLATORS)
def test_a_translator_writes_piece_by_piece(backend: str, name: str) -> None:
    text, targets = ids(2, 5), ids(2, 4, seed=1)
    text[1, 3:] = 0
    whole, pieces = TRANSLATORS[name](None), TRANSLATORS[name]("predict")
    weights, _ = whole.init((text, targets), random.get_prng(1))
    own, state = pieces.init((text, targets[:, :1]))
    assert lk.signature(own) == lk.signature(weights)
    weights = spread(weights)
    expected, same = run(whole, (text, targets), weights)
    near(same, targets)
    step = fastmath.jit(lambda given, state: pieces.pure_fn((text, given), weights, state))
    given = onp.concatenate([onp.zeros((2, 1), "int32"), targets[:, :-1]], 1)
    found = []
    for i in range(4):
        (y, _), state = step(given[:, i : i + 1], state)
        found.append(fastmath.to_host(y))
    near(onp.concatenate(found, 1), expected)


@pytest.mark.parametrize("name", TRANSLATORS)
def test_a_translator_sees_the_real_text_and_what_was_before(name: str) -> None:
    text, targets = ids(1, 3), ids(1, 4, seed=1)
    model = TRANSLATORS[name](None)
    model.init((text, targets))
    model.weights = spread(model.weights)
    expected = model((text, targets))[0]
    near(model((onp.concatenate([text, [[0, 0]]], 1), targets))[0], expected)
    other = targets.copy()
    other[:, 2] = other[:, 2] % 6 + 1
    near(model((text, other))[0][:, :3], expected[:, :3])
    other = text % 6 + 1
    assert not onp.allclose(model((other, targets))[0], expected)


def test_one_vocabulary_has_one_embedding() -> None:
    model = models.Transformer(7, n_encoder_layers=1, n_decoder_layers=1, **SMALL)
    weights, _ = model.init((ids(2, 5), ids(2, 4)))
    assert sum(leaf.shape == (7, 8) for leaf in fastmath.tree_leaves(weights)) == 1


# -- the kit, and what is refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["TransformerEncoder", "LSTMClassifier", "GRULM", "ReformerLM", "Reformer"])
def test_the_kit_finds_no_fault(name: str) -> None:
    report = check_layer(getattr(models, name))
    assert report.ok, str(report)


@pytest.mark.parametrize("name", ["TransformerEncoder", "TransformerDecoder", "TransformerLM", "Transformer"])
def test_models_print_as_what_they_are(name: str) -> None:
    def names(model: lk.Layer) -> list[str]:
        printed = re.findall(r"^ *(\w*Transformer\w*?)(?:_in\d)?(?:_out\d)?\[", repr(model), re.MULTILINE)
        return [str(each) for each in printed]

    normalized, rezero = getattr(models, name)(7, **SMALL), getattr(models, f"ReZero{name}")(7, **SMALL)
    assert names(normalized)[0] == name
    assert names(rezero) == [f"ReZero{each}" for each in names(normalized)]


def test_rezero_models_take_what_the_others_take() -> None:
    for name in ("TransformerEncoder", "TransformerDecoder", "TransformerLM", "Transformer"):
        options = {"d_model", "d_ff", "n_heads", "max_len", "dropout", "dropout_shared_axes", "mode", "ff_activation"}
        for found in (getattr(models, name), getattr(models, f"ReZero{name}")):
            assert options < set(inspect.signature(found).parameters)
        assert getattr(models, f"ReZero{name}")(7, mode="eval", dropout=0.5).n_in == getattr(models, name)(7).n_in


@pytest.mark.parametrize("name", ["TransformerEncoder", "TransformerDecoder", "TransformerLM", "Transformer"])
def test_rezero_models_hand_on_every_argument(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    of_other = inspect.signature(getattr(models, name))
    handed_on: dict[str, object] = {}

    def other(*args: object, **kwargs: object) -> lk.Layer:
        handed_on.update(of_other.bind(*args, **kwargs).arguments)
        return lk.Serial()

    monkeypatch.setattr(f"layerkit_plugins.models.transformer.{name}", other)
    made = getattr(models, f"ReZero{name}")
    given = {argument: object() for argument in inspect.signature(made).parameters}
    made(**given)
    assert handed_on == {**given, "norm": "rezero"}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: models.TransformerEncoder(7, norm="none"), "TransformerEncoder: unknown norm 'none'"),
        (lambda: models.TransformerLM(7, d_model=0), "d_model must be a whole number of at least 1, got 0"),
        (
            lambda: models.TransformerLM(7, n_layers=0),
            "TransformerLM: TransformerDecoder: n_layers must be a whole number of at least 1",
        ),
        (lambda: models.TransformerLM(7, d_model=10, n_heads=4), "4 heads cannot share the 10 features of d_feature"),
        (
            lambda: models.TransformerEncoder(7, ff_activation="relu"),
            "ff_activation must be a function of no arguments",
        ),
        (lambda: models.Transformer(7, n_decoder_layers=0), "Transformer: n_decoder_layers must be a whole number"),
        (lambda: models.TransformerLM(7, dropout=1), "dropout must be a number of at least 0 and below 1, got 1"),
        (
            lambda: models.TransformerLM(7, n_layers=1, **SMALL).init(lk.i32(2, 10)),
            "a sequence of 10 is longer than max_len=9",
        ),
        (lambda: models.TransformerLM(7, n_layers=1, **SMALL).init(lk.f32(2, 5)), "ids must be whole numbers (int32)"),
        (lambda: models.RNNLM(7, n_layers=0), "RNNLM: n_layers must be a whole number of at least 1, got 0"),
        (lambda: models.RNNLM(7, rnn_cell=3), "RNNLM: rnn_cell must be a function of a number of units"),
        (lambda: models.LSTMSeq2SeqAttn(d_model=6, n_attention_heads=4), "4 heads cannot share the 6 features"),
        (lambda: models.GRUClassifier(7, n_layers=0), "GRUClassifier: n_layers must be a whole number of at least 1"),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, said: str) -> None:
    with pytest.raises(lk.LayerError) as error:
        make()
    assert said in str(error.value)
