"""The sentiment recipe from Python: training, predictions, evaluation, data of one's own, and what cannot be done."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nltk", reason="texts are split by NLTK")

import layerkit as lk
from layerkit import fastmath
from layerkit.errors import LayerkitError, LayerkitWarning, UsageError
from layerkit.recipe import Prediction
from layerkit_plugins.sentiment import nltk_corpora, text
from layerkit_plugins.sentiment.corpus import CorpusMissingError, starter
from layerkit_plugins.sentiment.model import classifier
from layerkit_plugins.sentiment.run import SentimentRun
from layerkit_plugins.sentiment.settings import SentimentSettings

BACKENDS = ["numpy", "jax"]
SMALL: dict[str, Any] = {"corpus": "starter", "steps": 60, "embedding_dim": 8, "learning_rate": 0.1}
TEXTS = [
    "what a lovely morning",
    "",
    "I hated it, the worst day of my life",
    "zxcvb qwert",
    ":)",
    "thank you " * 30,
    "a",
    *starter().texts[:40],
]


def train(**settings: Any) -> SentimentRun:
    made: Any = lk.train("sentiment", **{**SMALL, **settings})
    return made


@pytest.fixture(scope="module", params=BACKENDS)
def trained(request: pytest.FixtureRequest) -> tuple[str, SentimentRun]:
    return request.param, train(backend=request.param)


@pytest.fixture
def run(trained: tuple[str, SentimentRun]) -> Iterator[SentimentRun]:
    """A small run, on the backend it was trained on."""
    with lk.use_backend(trained[0]):
        yield trained[1]


def close(predictions: list[Prediction], others: list[Prediction], rtol: float = 0) -> None:
    assert [p.label for p in predictions] == [o.label for o in others]
    np.testing.assert_allclose([p.log_probs for p in predictions], [o.log_probs for o in others], rtol, 1e-6)


# ---- predictions


def test_a_prediction(run: SentimentRun) -> None:
    prediction = run.predict("what a lovely morning")
    assert run.labels == ("negative", "positive")
    assert prediction.label == run.labels[int(np.argmax(prediction.log_probs))]
    assert prediction.score == pytest.approx(math.exp(max(prediction.log_probs)))
    assert sum(map(math.exp, prediction.log_probs)) == pytest.approx(1, abs=1e-6)
    assert [type(part) for part in prediction] == [str, float, tuple, str]
    assert [type(value) for value in prediction.log_probs] == [float, float]
    assert prediction.note == ""


def test_several_texts_give_a_list_in_their_order(run: SentimentRun) -> None:
    predictions = run.predict(TEXTS)
    assert len(predictions) == len(TEXTS)
    close(run.predict(TEXTS[::-1])[::-1], predictions)
    for several in (tuple(TEXTS), iter(TEXTS), np.array(TEXTS)):
        close(run.predict(several), predictions)
    assert run.predict([]) == []
    assert run.predict(["a"])[0]._replace(log_probs=()) == run.predict("a")._replace(log_probs=())


@pytest.mark.parametrize("mask_padding", [True, False])
def test_many_at_once_score_as_one_by_one(run: SentimentRun, mask_padding: bool) -> None:
    one = run if mask_padding else train(mask_padding=False, backend=fastmath.backend_name())
    close(one.predict(TEXTS), [one.predict(text) for text in TEXTS], rtol=1e-6)


def test_a_text_scores_the_same_on_both_backends(run: SentimentRun) -> None:
    here = run.predict(TEXTS)
    for backend in BACKENDS:
        with lk.use_backend(backend):
            close(run.predict(TEXTS), here, rtol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_alone_and_in_any_batch(backend: str) -> None:
    """With padding masked a row scores the same whatever it is batched with; with the plain mean it does not."""
    generator = np.random.default_rng(0)
    rows = [generator.integers(1, 50, size) for size in (1, 2, 5, 9)]
    with lk.use_backend(backend):
        for mask_padding in (True, False):
            model = classifier(50, 16, 3, mask_padding)
            model.init(lk.i32(1, 4, max=50))
            alone = [fastmath.to_host(model(row[None].astype(np.int32)))[0] for row in rows]
            differences = []
            for length in (9, 10, 40):
                batch = np.zeros((len(rows) + 1, length), np.int32)
                for place, row in enumerate(rows):
                    batch[place, : len(row)] = row
                differences.append(np.abs(fastmath.to_host(model(batch))[:-1] - alone).max())
            assert (max(differences) < 1e-6) == mask_padding
            assert mask_padding or differences[-1] > 1e-3


def test_unknown_words_and_no_words_are_noted(run: SentimentRun) -> None:
    unknown, empty, known = run.predict(["zxcvb qwert", "@you http://t.co/x", "zxcvb morning"])
    assert unknown.note == "no word of it is known"
    assert empty.note == "there is no word in it"
    assert known.note == ""
    assert empty.log_probs == pytest.approx(run.predict("").log_probs, abs=1e-6)
    for prediction in (unknown, empty):
        assert 0.5 <= prediction.score < 1


ODD = {
    "empty": "",
    "spaces": " \n\t ",
    "only handles": "@one @two",
    "only links": "https://t.co/a",
    "emoji": "😀👩‍👩‍👧🇫🇷👍🏽",
    "NUL": "good\0day",
    "half a character": "good \ud83d day",
    "marks": "e" + "\u0301" * 900,
    "right to left": "\u202eשלום",
    "long": "x" * 900,
}


@pytest.mark.parametrize("name", ODD)
def test_odd_texts_have_a_label_and_a_finite_score(run: SentimentRun, name: str) -> None:
    prediction = run.predict(ODD[name])
    assert prediction.label in run.labels
    assert np.isfinite(prediction.log_probs).all()
    assert 0.5 <= prediction.score <= 1


def test_a_megabyte_of_text_is_cut_and_that_is_said(run: SentimentRun) -> None:
    text._say_that_texts_are_cut.cache_clear()
    with pytest.warns(LayerkitWarning, match="only the first 10,000 characters"):
        prediction = run.predict("lovely morning " * 70_000)
    close([prediction], [run.predict("lovely morning " * 666 + "lovely")])


@pytest.mark.parametrize(
    ("given", "fragment"),
    [
        (None, "got None"),
        (7, "got int 7"),
        (b"good day", "got bytes b'good day': decode it first"),
        ({"text": "good"}, "got dict"),
        (["good", None], "got None: leave out rows without text"),
        ([b"good"], "got bytes b'good'"),
        (["good", float("nan")], "got float nan"),
    ],
)
def test_what_is_no_text_is_refused_in_one_line(run: SentimentRun, given: Any, fragment: str) -> None:
    with pytest.raises(UsageError) as caught:
        run.predict(given)
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)


# ---- training and evaluation


def test_metrics_are_of_the_held_out_texts(run: SentimentRun) -> None:
    held_out = starter().validation
    predictions = run.predict(held_out.texts)
    places = [run.labels.index(label) for label in held_out.labels]
    right = [p.label == label for p, label in zip(predictions, held_out.labels, strict=True)]
    loss = -np.mean([p.log_probs[place] for p, place in zip(predictions, places, strict=True)])
    assert run.metrics == pytest.approx({"accuracy": np.mean(right), "loss": loss}, abs=1e-6)
    assert run.evaluate() == pytest.approx(run.metrics, abs=1e-6)


def test_it_learns(run: SentimentRun) -> None:
    seen = starter().train
    right = [p.label == label for p, label in zip(run.predict(seen.texts), seen.labels, strict=True)]
    assert np.mean(right) > 0.95
    assert run.metrics["accuracy"] > 0.65


def test_the_log_agrees_with_the_metrics(capsys: pytest.CaptureFixture[str]) -> None:
    run = train(steps=12, checkpoint_every=5, backend="numpy")
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "the starter corpus: 400 messages written for layerkit, enough to see a run work, not to judge a model by",
        f"starter: 320 texts to train on, 80 held out, {len(run.vocabulary)} words",
        "labels: negative, positive",
    ]
    assert [line.partition(":")[0] for line in lines[3:]] == [
        f"Step {step: 6d}" for step in (1, 5, 10, 12) for _ in "123"
    ]
    assert float(lines[-1].rpartition("|")[2]) == pytest.approx(run.metrics["accuracy"], abs=1e-6)
    assert float(lines[-2].rpartition("|")[2]) == pytest.approx(run.metrics["loss"], abs=1e-5)


def test_one_seed_one_model_on_both_backends() -> None:
    weights = [
        fastmath.to_host(fastmath.tree_leaves(train(seed=seed, backend=backend).model.weights))
        for seed, backend in ((3, "numpy"), (3, "numpy"), (3, "jax"), (4, "numpy"))
    ]
    for first, again, other_backend, other_seed in zip(*weights, strict=True):
        np.testing.assert_array_equal(first, again)
        np.testing.assert_allclose(first, other_backend, rtol=0, atol=1e-4)
        assert np.abs(first - other_seed).max() > 1e-3


def test_a_run_says_what_it_was_made_from(run: SentimentRun) -> None:
    assert run.settings["corpus"] == "starter"
    assert run.settings["steps"] == 60
    assert list(run.vocabulary)[:3] == ["__PAD__", "__</e>__", "__UNK__"]
    assert run.signature.shape == (1, 8)
    words, accuracy, loss = f"{len(run.vocabulary):,} words", run.metrics["accuracy"], run.metrics["loss"]
    assert repr(run) == f"<sentiment run: negative, positive; {words}; accuracy {accuracy:.4f}; loss {loss:.4f}>"
    lk.summary(run.model, run.signature)


def test_the_seeds_model_is_a_setting() -> None:
    run = train(mask_padding=False, steps=1, backend="numpy")
    assert repr(run.model) == f"Serial[\n  Embedding_{len(run.vocabulary)}_8\n  Mean\n  Dense_2\n  LogSoftmax\n]"


def test_stop_words_can_be_kept(tmp_path: Path) -> None:
    run = train(keep_stop_words=True, backend="numpy", output=tmp_path / "run")
    without = train(backend="numpy")
    assert "not" in run.vocabulary
    assert "not" not in without.vocabulary
    for one in (run, lk.load(tmp_path / "run")):
        assert one.predict("not").note == ""
        assert one.predict("not good").log_probs != one.predict("good").log_probs
    assert without.predict("not").note == "there is no word in it"
    assert without.predict("not good").log_probs == without.predict("good").log_probs


# ---- data of one's own


def rows(labels: str = "abc") -> list[tuple[str, str]]:
    words = {"a": "apple avocado", "b": "bear badger", "c": "cloud comet"}
    return [(f"{words[label]} number{i}", label) for i in range(30) for label in labels]


def as_csv(folder: Path, between: str = ",", ending: str = "csv") -> Path:
    path = folder / f"mine.{ending}"
    lines = [between.join(row) for row in [("text", "label"), *rows()]]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def as_jsonl(folder: Path) -> Path:
    path = folder / "mine.jsonl"
    path.write_text("".join(json.dumps({"text": t, "label": label}) + "\n" for t, label in rows()), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "write",
    [as_csv, lambda folder: as_csv(folder, "\t", "tsv"), as_jsonl],
    ids=["CSV", "TSV", "JSONL"],
)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_file_with_three_classes(
    tmp_path: Path, backend: str, write: Callable[[Path], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path)
    with lk.use_backend(backend):
        run = train(corpus=None, data=path)
        assert "batches of 15 texts, not 16: as many of each of 3 labels\n" in capsys.readouterr().out
        assert run.labels == ("a", "b", "c")
        assert [p.label for p in run.predict(["apple", "a bear", "comet"])] == ["a", "b", "c"]
        assert len(run.predict("apple").log_probs) == 3
        assert run.evaluate() == pytest.approx(run.metrics, abs=1e-6)
        assert run.evaluate(str(path))["accuracy"] == 1


def test_more_classes_than_texts_in_a_batch(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    run = train(corpus=None, data=as_csv(tmp_path), batch_size=2, backend="numpy")
    assert "batches of 3 texts, not 2: as many of each of 3 labels\n" in capsys.readouterr().out
    assert len(run.labels) == 3


def test_a_batch_has_no_more_texts_than_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    run = train(corpus="starter", steps=1, batch_size=100_000_000, backend="numpy")
    assert "batches of 320 texts, not 100,000,000: there are 320 to train on\n" in capsys.readouterr().out
    assert run.metrics


def test_columns_of_other_names(tmp_path: Path) -> None:
    path = tmp_path / "tweets.csv"
    path.write_text("id,tweet,mood\n" + "".join(f"{i},{t},{label}\n" for i, (t, label) in enumerate(rows("ab"))))
    run = train(corpus=None, data=path, text_column="tweet", label_column="mood", steps=3, backend="numpy")
    assert run.labels == ("a", "b")
    assert run.evaluate(path)["accuracy"] >= 0.5


def test_texts_without_words_can_be_trained_on(tmp_path: Path) -> None:
    path = tmp_path / "empty.csv"
    path.write_text("text,label\n" + "".join(f"@user{i},{label}\n" for i in range(6) for label in "ab"))
    run = train(corpus=None, data=path, steps=3, backend="numpy")
    assert run.predict("@somebody").score == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(
    ("settings", "error", "fragment"),
    [
        (
            {"corpus": None, "data": "mine.csv", "text_column": "txt"},
            UsageError,
            "no column 'txt'; did you mean 'text'?",
        ),
        ({"corpus": None, "data": "mine.csv", "label_column": "sentiment"}, UsageError, "no column 'sentiment'; known"),
        ({"corpus": None, "data": "one.csv"}, LayerkitError, "all 3 texts have the label 'a'"),
        ({"corpus": None, "data": "bad.jsonl"}, LayerkitError, "bad.jsonl: line 2, column 10: not JSON"),
        ({"corpus": None, "data": "missing.csv"}, UsageError, "missing.csv: no such file"),
        ({"corpus": None, "data": "empty.csv"}, LayerkitError, "empty.csv: the file is empty"),
        ({"corpus": None, "data": "latin.csv"}, LayerkitError, "latin.csv: line 2 is not UTF-8"),
        ({"corpus": None, "data": "folder.csv"}, UsageError, "folder.csv: a folder, not a file"),
        ({"data": "mine.csv"}, UsageError, "give a corpus or a file, not both: corpus starter, data mine.csv"),
        ({"corpus": "twiter_samples"}, UsageError, "did you mean 'twitter_samples'?"),
        ({"stesp": 3}, UsageError, "no setting 'stesp': did you mean 'steps'?"),
        ({"steps": 0}, UsageError, "steps is at least 1, got 0"),
        ({"batch_size": 2.5}, UsageError, "batch_size is a whole number, got 2.5"),
        ({"learning_rate": "fast"}, UsageError, "learning_rate is a number, got 'fast'"),
        ({"learning_rate": math.inf}, UsageError, "learning_rate must be a number in [0, inf), got inf"),
        ({"seed": 2**64}, UsageError, "seed is at most 4294967295, got 18446744073709551616"),
        ({"model": "transformr"}, UsageError, "model cannot be 'transformr': did you mean 'transformer'?"),
        ({"backend": "nmpy"}, UsageError, "did you mean 'numpy'?"),
    ],
)
def test_what_cannot_be_trained_is_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], error: type[LayerkitError], fragment: str
) -> None:
    monkeypatch.chdir(tmp_path)
    as_csv(tmp_path)
    (tmp_path / "one.csv").write_text("text,label\ngood,a\nfine,a\nwell,a\n")
    (tmp_path / "bad.jsonl").write_text('{"text": "x", "label": "a"}\n{"text": "x\n')
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "latin.csv").write_bytes("text,label\ncafé,a\n".encode("latin-1"))
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(error) as caught:
        train(**{"backend": "numpy", **settings}, output="deep/run")
    assert fragment in str(caught.value)
    assert "\n" not in str(caught.value)
    assert type(caught.value).exit_code == (2 if error is UsageError else 1)
    assert not (tmp_path / "deep").exists()


def test_a_label_that_the_model_does_not_know(run: SentimentRun, tmp_path: Path) -> None:
    path = tmp_path / "new.csv"
    path.write_text("text,label\ngood,positive\nso so,neutral\n")
    with pytest.raises(
        LayerkitError, match=r"new\.csv: line 3: the model does not know the label 'neutral'; known: neg"
    ):
        run.evaluate(path)


# ---- corpora


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without corpora and without a network."""
    monkeypatch.setattr(nltk_corpora, "_data_folders", lambda: [tmp_path / "nothing"])
    monkeypatch.setattr("nltk.download", lambda name, **options: False)


@pytest.mark.usefixtures("nowhere")
def test_without_corpus_and_network_the_starter_corpus_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    run = train(corpus=None, steps=1, backend="numpy")
    first, second, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith("note: the corpus 'twitter_samples' is not on this machine and could not be fetched")
    assert first.endswith("going on with the starter corpus")
    assert second.startswith("the starter corpus: 400 messages written for layerkit")
    assert run.settings["corpus"] == "starter"
    assert run.evaluate() == pytest.approx(run.metrics, abs=1e-6)


@pytest.mark.usefixtures("nowhere")
@pytest.mark.parametrize("corpus", ["twitter_samples", "sentence_polarity"])
def test_a_corpus_that_was_asked_for_and_cannot_be_had(corpus: str, tmp_path: Path) -> None:
    with pytest.raises(CorpusMissingError, match=f"the corpus '{corpus}' is not on this machine") as caught:
        train(corpus=corpus, output=tmp_path / "run", backend="numpy")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 1
    assert not (tmp_path / "run").exists()


def test_defaults_are_those_that_are_documented() -> None:
    settings = SentimentSettings()
    assert (settings.steps, settings.batch_size, settings.model) == (500, 16, "classifier")
    assert (settings.embedding_dim, settings.mask_padding, settings.corpus) == (256, True, None)


# ---- other models


@pytest.mark.parametrize(
    ("name", "steps", "rate"), [("lstm", 60, 0.02), ("textcnn", 40, 0.02), ("transformer", 120, 0.01)]
)
def test_another_model_learns_and_scores_a_text_alone_as_in_any_batch(
    name: str, steps: int, rate: float, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"embedding_dim": 16, "learning_rate": rate, "output": tmp_path / "run"}
    run = train(model=name, steps=steps, backend="numpy", **settings)
    seen = starter()
    with lk.use_backend("numpy"):
        labels = [prediction.label for prediction in run.predict(seen.texts)]
    assert np.mean([said == true for said, true in zip(labels, seen.labels, strict=True)]) > 0.75
    ids = [list(range(1, 1 + n)) for n in (1, 2, 5, 9)]
    with lk.use_backend("numpy"):
        alone = [run.log_probs(np.array([row], np.int32))[0] for row in ids]
        for length in (9, 30):
            batch = np.zeros((len(ids), length), np.int32)
            for place, row in enumerate(ids):
                batch[place, : len(row)] = row
            np.testing.assert_allclose(run.log_probs(batch), alone, atol=1e-5)
        loaded: Any = lk.load(tmp_path / "run")
        close(loaded.predict(TEXTS), run.predict(TEXTS))


@pytest.mark.parametrize("name", ["lstm", "textcnn", "transformer"])
def test_models_that_always_mask_padding_say_so(name: str) -> None:
    with pytest.raises(
        UsageError, match=f"mask_padding is off, and the model '{name}' knows no other way: leave it on"
    ):
        train(model=name, mask_padding=False, steps=1, backend="numpy")
