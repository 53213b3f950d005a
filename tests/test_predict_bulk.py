"""Log-probabilities of many texts that are ids already: those of the model, up to the last bit, in any company."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import layerkit as lk
from layerkit import fastmath
from layerkit_plugins.sentiment.run import SentimentRun

pytest.importorskip("nltk", reason="texts are split by NLTK")


@pytest.fixture(scope="module", params=["numpy", "jax"])
def trained(request: pytest.FixtureRequest) -> tuple[str, SentimentRun]:
    """A backend, and a run that was hardly trained on it."""
    if request.param == "jax":
        pytest.importorskip("jax")
    run = lk.train("sentiment", corpus="starter", steps=2, embedding_dim=8, backend=request.param)
    return request.param, run


@pytest.fixture
def run(trained: tuple[str, SentimentRun]) -> Iterator[SentimentRun]:
    """The run, on its backend."""
    backend, run = trained
    weights = run.model.weights
    with lk.use_backend(backend):
        yield run
    run.model.weights = weights


def many(run: SentimentRun, count: int) -> list[list[int]]:
    generator = np.random.default_rng(count)
    lengths = generator.integers(0, 40, count)
    return [generator.integers(1, len(run.vocabulary), length).tolist() for length in lengths]


@pytest.mark.parametrize("count", [0, 1, 4, 5, 128, 129, 300])
def test_lists_score_as_one_by_one(run: SentimentRun, count: int) -> None:
    ids = many(run, count)
    scores = run.log_probs(ids)
    assert (scores.shape, scores.dtype, type(scores)) == ((count, 2), np.float32, np.ndarray)
    for place in range(0, count, 37):
        np.testing.assert_allclose(run.log_probs([ids[place]])[0], scores[place], rtol=1e-6)


def test_an_array_goes_through_the_model_as_it_is(run: SentimentRun) -> None:
    ids = np.zeros((6, 50), np.int32)
    rows = many(run, 6)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = row
    scores = run.log_probs(ids)
    assert isinstance(scores, np.ndarray)
    np.testing.assert_array_equal(scores, fastmath.to_host(fastmath.jit(lambda x: run.model(x))(ids)))
    np.testing.assert_allclose(scores, run.log_probs(rows), rtol=1e-6, atol=1e-6)


def test_new_weights_are_used(run: SentimentRun) -> None:
    ids = many(run, 3)
    before = run.log_probs(ids)
    run.model.weights = fastmath.nested_map(lambda w: w * 2, run.model.weights)
    assert not np.array_equal(run.log_probs(ids), before)


def test_an_id_the_model_does_not_know_is_no_other_word(run: SentimentRun) -> None:
    beyond = np.full((1, 3), len(run.vocabulary), np.int32)
    if fastmath.backend_name() == "numpy":
        with pytest.raises(lk.LayerError, match="is outside the table"):
            run.log_probs(beyond)
    else:
        assert np.isnan(run.log_probs(beyond)).all()


def test_a_run_without_its_picture(tmp_path: Path) -> None:
    for draws in (False, True):
        folder = tmp_path / str(draws)
        lk.train(
            "sentiment",
            corpus="starter",
            steps=1,
            backend="numpy",
            embedding_dim=8,
            output=folder,
            learning_curve=draws,
        )
    pytest.importorskip("matplotlib")
    assert [(tmp_path / name / "learning_curve.png").exists() for name in ("False", "True")] == [False, True]
