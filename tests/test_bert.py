"""BERT: its formula, by the tensors of a published one; what padding changes; its heads; and that it learns."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as onp
import pytest
from safetensors.numpy import save_file

import layerkit as lk
from layerkit import fastmath, models, optimizers
from layerkit import layers as tl
from layerkit.fastmath import random
from layerkit.testing import check_layer

D, V, LENGTH, TYPES, HEADS, FF, BLOCKS = 8, 11, 9, 2, 2, 12, 2
BERT: Callable[..., lk.Layer] = partial(
    models.BERT, D, V, LENGTH, type_vocab_size=TYPES, n_heads=HEADS, d_ff=FF, n_layers=BLOCKS
)
MLM = partial(models.BERTMLMHead, V, D)


@pytest.fixture(params=["numpy", "jax"])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    with lk.use_backend(request.param):
        yield str(request.param)


def text(*shape: int, seed: int = 0) -> tuple[Any, Any]:
    generator = onp.random.default_rng(seed)
    return generator.integers(1, V, shape).astype("int32"), generator.integers(0, TYPES, shape).astype("int32")


def near(found: Any, expected: Any, tolerance: float = 2e-5) -> None:
    onp.testing.assert_allclose(fastmath.to_host(found), fastmath.to_host(expected), rtol=tolerance, atol=tolerance)


# -- the formula, and the tensors of a published model ----------------------------------------------------------------


def published(seed: int = 0) -> dict[str, Any]:
    """The tensors of a small BERT, named as in Hugging Face's BertModel; kernels are (out, in)."""
    generator = onp.random.default_rng(seed)
    make = lambda *shape: (generator.normal(size=shape) / 2).astype("float32")
    sizes = {"embeddings.word": V, "embeddings.token_type": TYPES, "embeddings.position": LENGTH}
    found = {f"{table}_embeddings.weight": make(rows, D) for table, rows in sizes.items()}
    dense = {"pooler.dense": (D, D)}
    norms = ["embeddings.LayerNorm"]
    for own in (f"encoder.layer.{block}." for block in range(BLOCKS)):
        dense |= {f"{own}attention.self.{part}": (D, D) for part in ("query", "key", "value")}
        dense |= {f"{own}attention.output.dense": (D, D)}
        dense |= {f"{own}intermediate.dense": (FF, D), f"{own}output.dense": (D, FF)}
        norms += [f"{own}attention.output.LayerNorm", f"{own}output.LayerNorm"]
    for name, shape in {**dense, **dict.fromkeys(norms, (D,))}.items():
        found |= {f"{name}.weight": make(*shape), f"{name}.bias": make(shape[0])}
    return found


def by_hand(of: dict[str, Any], ids: Any, types: Any) -> tuple[Any, Any]:
    """(y, x) of the paper's formulas."""
    dense = lambda x, name: x @ of[f"{name}.weight"].T + of[f"{name}.bias"]

    def norm(x: Any, name: str) -> Any:
        x = x - x.mean(-1, keepdims=True)
        return x / onp.sqrt((x * x).mean(-1, keepdims=True) + 1e-12) * of[f"{name}.weight"] + of[f"{name}.bias"]

    def heads(x: Any, own: str) -> Any:
        q, k, v = (dense(x, f"{own}.self.{part}") for part in ("query", "key", "value"))
        found = []
        for h in onp.split(onp.arange(D), HEADS):
            scores = onp.exp(onp.einsum("bid,bjd->bij", q[..., h], k[..., h]) / math.sqrt(D / HEADS))
            scores = scores * (ids != 0)[:, None]
            found.append(scores / scores.sum(-1, keepdims=True) @ v[..., h])
        return dense(onp.concatenate(found, -1), f"{own}.output.dense")

    gelu = onp.vectorize(lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2)
    tables = [of[f"embeddings.{name}_embeddings.weight"] for name in ("word", "token_type", "position")]
    x = norm(tables[0][ids] + tables[1][types] + tables[2][: ids.shape[1]], "embeddings.LayerNorm")
    for own in (f"encoder.layer.{block}" for block in range(BLOCKS)):
        x = norm(x + heads(x, f"{own}.attention"), f"{own}.attention.output.LayerNorm")
        x = norm(
            x + dense(gelu(dense(x, f"{own}.intermediate.dense")), f"{own}.output.dense"), f"{own}.output.LayerNorm"
        )
    return onp.tanh(dense(x[:, 0], "pooler.dense")), x


def as_first_published(of: dict[str, Any]) -> dict[str, Any]:
    """The names of the first files: of the whole model, its heads included."""
    old = lambda name: name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
    return {f"bert.{old(name)}": value for name, value in of.items()} | {
        "cls.predictions.bias": onp.zeros(V, "float32")
    }


@pytest.mark.parametrize("renamed", [dict, as_first_published])
def test_it_is_its_formula_with_the_tensors_of_a_file(tmp_path: Path, backend: str, renamed: Any) -> None:
    of = published()
    save_file(renamed(of), tmp_path / "model.safetensors")
    model = BERT(init_checkpoint=tmp_path / "model.safetensors")
    ids, types = text(3, 6)
    ids[1, 4:] = 0
    model.init((ids, types))
    y, x = map(fastmath.to_host, model((ids, types)))
    expected_y, expected_x = by_hand(of, ids, types)
    near(y, expected_y)
    near(x, expected_x)
    plain = BERT()
    plain.init((ids, types))
    model.save_to_file(tmp_path / "own.safetensors")
    plain.init_from_file(tmp_path / "own.safetensors")
    near(plain((ids, types))[1], x)


def test_a_head_is_not_taken_from_the_file(tmp_path: Path) -> None:
    save_file(published(), tmp_path / "model.safetensors")
    model = BERT(head=MLM, init_checkpoint=str(tmp_path / "model.safetensors"), tie_embeddings=True)
    with lk.use_backend("numpy"):
        one, other = (model.init(text(2, 5), random.get_prng(seed))[0] for seed in (0, 1))
    assert fastmath.nested_map(lambda a, b: bool((a == b).all()), one[0], other[0]) == fastmath.nested_map(
        lambda a: True, one[0]
    )
    assert not (one[1][1].kernel == other[1][1].kernel).any()


# -- who sees what ----------------------------------------------------------------------------------------------------


def test_padding_has_no_part_in_anything(backend: str) -> None:
    model = BERT()
    ids, types = text(2, 5)
    model.init((ids, types))
    y, x = model((ids, types))
    for filler in (0, 1):  # the type of padding
        padded = onp.pad(ids, [(0, 0), (0, 3)]), onp.pad(types, [(0, 0), (0, 3)], constant_values=filler)
        padded_y, padded_x = model(padded)
        near(padded_y, y)
        near(fastmath.to_host(padded_x)[:, :5], x)


def test_each_word_sees_those_on_either_side() -> None:
    model = BERT()
    with lk.use_backend("numpy"):
        ids, types = text(1, 6)
        model.init((ids, types))
        before = model((ids, types))[1]
        ids[0, 3] = ids[0, 3] % (V - 1) + 1
        assert (model((ids, types))[1] != before).any(-1).all()


def test_types_and_positions_count() -> None:
    model = BERT()
    with lk.use_backend("numpy"):
        ids, types = text(1, 6)
        model.init((ids, types))
        y, x = model((ids, types))
        assert (model((ids, 1 - types))[0] != y).any()
        turned = model((ids[:, ::-1], types[:, ::-1]))[1][:, ::-1]
        assert not onp.allclose(turned, x)


# -- heads ------------------------------------------------------------------------------------------------------------


def test_scores_by_the_vectors_of_words(backend: str) -> None:
    words = text(2, 5)
    tied, own = (BERT(n_layers=1, head=MLM, tie_embeddings=tied) for tied in (True, False))
    weights, _ = tied.init(words)
    assert sum(set(leaf.shape) == {V, D} for leaf in fastmath.tree_leaves(weights)) == 1
    table = fastmath.numpy.transpose(fastmath.tree_leaves(weights)[0])
    body, (*between, (_, bias)) = weights
    same = body, (*between, (table, bias))

    def tried(model: lk.Layer, weights: Any) -> tuple[Any, list[Any]]:
        scores = lambda w: model.pure_fn(words, w, model.signatures(words)[1])[0]
        slopes = fastmath.jit(fastmath.grad(lambda w: fastmath.numpy.sum(scores(w) ** 2)))(weights)
        return fastmath.jit(scores)(weights), fastmath.tree_leaves(slopes)

    (found, slopes), (expected, of_own) = tried(tied, weights), tried(own, same)
    near(found, expected)
    near(slopes[0], of_own[0] + fastmath.numpy.transpose(of_own[-2]), 1e-4)


def test_heads_score_what_they_say() -> None:
    with lk.use_backend("numpy"):
        words = text(2, 5)
        for make, n_out in ((partial(models.BERTClassifierHead, 3), 3), (models.BERTRegressionHead, 1)):
            model = BERT(head=make)
            kernel, bias = model.init(words)[0][1][1]
            body = BERT()
            body.weights = model.weights[0]
            near(model(words), body(words)[0] @ kernel + bias)
            assert model(words).shape == (2, n_out)
        both = BERT(head=partial(models.BERTPretrainingHead, 2, V, D), tie_embeddings=True)
        both.init(words)
        assert [part.shape for part in both(words)] == [(2, 2), (2, 5, V)]


def test_the_loss_of_pretraining_is_that_of_both_halves() -> None:
    generator = onp.random.default_rng(0)
    of_classes, of_words = generator.normal(size=(4, 2)), generator.normal(size=(4, 5, V))
    classes, words = generator.integers(0, 2, 4), generator.integers(0, V, (4, 5))
    some, others = onp.array([1.0, 1.0, 0.0, 1.0]), (generator.random((4, 5)) < 0.3).astype(float)
    loss = tl.WeightedCategoryCrossEntropy()
    with lk.use_backend("numpy"):
        near(
            models.BERTPretrainingLoss()((of_classes, of_words, classes, some, words, others)),
            loss((of_classes, classes, some)) + loss((of_words, words, others)),
        )


# -- learning ---------------------------------------------------------------------------------------------------------


def counted(seed: int, mask: int = 1) -> Iterator[tuple[Any, ...]]:
    """Rows that count up by 1 or 2 around a circle of 8 ids, three of them hidden: they can be told by the rest."""
    generator = onp.random.default_rng(seed)
    while True:
        first, step = generator.integers(0, 8, (32, 1)), generator.integers(1, 3, (32, 1))
        words = ((first + step * onp.arange(LENGTH)) % 8 + 2).astype("int32")
        hidden = generator.permuted(onp.arange(LENGTH) < onp.full((32, 1), 3), axis=1)
        yield onp.where(hidden, mask, words), onp.zeros_like(words), words, hidden.astype("float32")


@pytest.mark.parametrize("tied", [True, False])
def test_it_learns_what_was_hidden(tied: bool) -> None:
    head = partial(models.BERTMLMHead, V, 64)
    model = models.BERT(64, V, LENGTH, 1, 4, 128, 1, head, dropout=0.0, tie_embeddings=tied)
    train = lk.TrainTask(counted(0), tl.WeightedCategoryCrossEntropy(), optimizers.Adam(2e-3))
    check = lk.EvalTask(counted(1), [tl.WeightedCategoryAccuracy()], n_eval_batches=4)
    with lk.use_backend("jax"):
        loop = lk.Loop(model, train, eval_tasks=check, log=None)
        loop.run(250)
        assert loop.history.get("eval", "WeightedCategoryAccuracy")[-1][1] > 0.95


# -- the kit, and what is refused -------------------------------------------------------------------------------------

NAMES = [
    "BERT",
    "BERTClassifierHead",
    "BERTMLMHead",
    "BERTPretrainingHead",
    "BERTPretrainingLoss",
    "BERTRegressionHead",
]


@pytest.mark.parametrize("name", NAMES)
def test_the_kit_finds_no_fault(name: str) -> None:
    report = check_layer(getattr(models, name))
    assert report.ok, str(report)


def _run(ids: Any, types: Any) -> Any:
    model = BERT()
    model.init((lk.i32(2, 5), lk.i32(2, 5)))
    return model((onp.array(ids, "int32"), onp.array(types, "int32")))


WORDS = lk.Serial(tl.Relu())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: BERT(n_heads=3), "3 heads cannot share the 8 features of d_feature"),
        (lambda: BERT(n_heads=0), "BERT: n_heads must be a whole number of at least 1, got 0"),
        (lambda: BERT(type_vocab_size=0), "BERT: type_vocab_size must be a whole number of at least 1, got 0"),
        (lambda: models.BERT(vocab_size=-1), "BERT: vocab_size must be a whole number of at least 1, got -1"),
        (lambda: models.BERT(max_len=0), "BERT: max_len must be a whole number of at least 1, got 0"),
        (lambda: BERT(n_layers=0), "BERT: n_layers must be a whole number of at least 1, got 0"),
        (lambda: BERT(dropout=1.0), "BERT: dropout must be a number of at least 0 and below 1, got 1.0"),
        (lambda: BERT(mode="test"), "mode is 'train', 'eval', 'predict' or None, got 'test'"),
        (lambda: BERT(head=3), "BERT: head must be a function of no arguments that makes a layer"),
        (lambda: BERT(init_checkpoint=3), "BERT: init_checkpoint must be the path of a safetensors file, got 3"),
        (
            lambda: BERT(head=models.BERTRegressionHead, tie_embeddings=True),
            "BERT: tie_embeddings needs a head that takes embedding=, such as models.BERTMLMHead",
        ),
        (
            lambda: BERT(head=partial(models.BERTMLMHead, V), tie_embeddings=True),
            f"BERTMLMHead: its embedding is for vocab_size={V}, d_model=8, got vocab_size={V}, d_model=768",
        ),
        (lambda: models.BERTMLMHead(7, 8, WORDS), "BERTMLMHead: embedding must be an Embedding layer, got Serial"),
        (lambda: models.BERTMLMHead(0), "BERTMLMHead: vocab_size must be a whole number of at least 1, got 0"),
        (lambda: models.BERTClassifierHead(0), "BERTClassifierHead: n_classes must be a whole number of at least 1"),
        (lambda: _run([[1] * 10], [[0] * 10]), "a sequence of 10 is longer than max_len=9"),
        (lambda: _run([[1, V]], [[0, 0]]), "0:Embedding_11_8: id 11 is outside the table of 11 rows"),
        (lambda: _run([[1, 2]], [[0, TYPES]]), "1:Embedding_2_8: id 2 is outside the table of 2 rows"),
        (lambda: _run([[1, 2]], [[0, 0, 0]]), "(1, 2, 8)"),
        (lambda: _run([[]], [[]]), "attention of nothing: axis -2 is empty"),
        (lambda: BERT().init((lk.f32(2, 5), lk.i32(2, 5))), "ids must be whole numbers (int32), got float32"),
        (lambda: BERT().init(lk.i32(2, 5)), "takes 2 inputs, got 1"),
    ],
)
def test_what_does_not_fit_is_refused(make: Any, said: str) -> None:
    with lk.use_backend("numpy"), pytest.raises(lk.LayerError) as error:
        make()
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def _without(name: str) -> dict[str, Any]:
    return {own: value for own, value in published().items() if own != name}


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        (None, "missing"),
        ({"x": onp.zeros(3)}, "is a BERT of 0 layers, and this one has n_layers=2"),
        (
            _without("pooler.dense.bias"),
            "has no tensor pooler.dense.bias: it is no BERT, or names its tensors otherwise",
        ),
        (
            published() | {"embeddings.word_embeddings.weight": onp.zeros((12, D), "float32")},
            "embeddings.word_embeddings.weight makes (12, 8), and this BERT needs (11, 8)",
        ),
    ],
    ids=["no file", "another model", "a tensor less", "another vocabulary"],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, tensors: Any, said: str) -> None:
    path = tmp_path / "model.safetensors"
    if tensors is not None:
        save_file(tensors, path)
    with lk.use_backend("numpy"), pytest.raises(lk.LayerError) as error:
        BERT(init_checkpoint=path).init(text(2, 5))
    assert said in str(error.value)
    assert str(error.value).startswith("BERT: ")
    assert "\n" not in str(error.value)
