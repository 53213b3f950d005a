"""What the bundled layers compute, against values worked out by hand, on both backends."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as onp
import pytest
import seed_values
import values

import layerkit as lk
from layerkit import fastmath
from layerkit import layers as tl
from layerkit.fastmath import numpy as np
from layerkit.fastmath import random

near = partial(values.near, tolerance=1e-6)

pytestmark = pytest.mark.usefixtures("backend")


def same(array: Any, expected: Any) -> None:
    assert fastmath.to_host(array).tolist() == expected


# -- activations ------------------------------------------------------------------------------------------------------

E = math.e
PHI_1 = 0.5 * (1 + math.erf(1 / math.sqrt(2)))  # P(Z <= 1) = 0.8413...


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@pytest.mark.parametrize(
    ("name", "arguments", "at"),
    [
        ("Relu", {}, {-2: 0, 0: 0, 3: 3}),
        ("ParametricRelu", {}, {-2: 0, 3: 3}),
        ("ParametricRelu", {"a": 0.5}, {-2: 0, 3: 1.5}),
        ("ParametricRelu", {"a": -2.0}, {-2: 4, 3: 0}),
        ("LeakyRelu", {}, {-2: -0.02, 0: 0, 3: 3}),
        ("LeakyRelu", {"a": 0.5}, {-2: -1, 3: 3}),
        ("Elu", {}, {-1: 1 / E - 1, 0: 0, 3: 3, 200: 200}),
        ("Elu", {"a": 2.0}, {-1: 2 / E - 2, 3: 3}),
        ("Selu", {}, {-1: 1.0507009873554805 * 1.6732632423543772 * (1 / E - 1), 1: 1.0507009873554805}),
        ("Selu", {"alpha": 1.0, "lmbda": 2.0}, {-1: 2 / E - 2, 3: 6}),
        ("Gelu", {}, {-1: PHI_1 - 1, 0: 0, 1: PHI_1, 20: 20, -20: 0}),
        ("FastGelu", {}, {0: 0, 1: 0.841192, -1: -0.158808, 20: 20}),
        ("Sigmoid", {}, {-1: logistic(-1), 0: 0.5, 2: logistic(2), 200: 1, -200: 0}),
        ("Tanh", {}, {-1: math.tanh(-1), 0: 0, 0.5: math.tanh(0.5)}),
        ("HardSigmoid", {}, {-2: 0, -0.25: 0.75, 0: 1, 5: 1}),
        ("HardTanh", {}, {-2: -1, 0.25: 0.25, 5: 1}),
        ("Softplus", {}, {0: math.log(2), 1: math.log(1 + E), 500: 500, -500: 0}),
        ("Exp", {}, {0: 1, 1: E, -1: 1 / E}),
        ("Log", {}, {1: 0, 2: math.log(2), 0: -math.inf}),
        ("Swish", {}, {-1: -logistic(-1), 0: 0, 2: 2 * logistic(2)}),
        ("Negate", {}, {-1: 1, 0: 0, 2: -2}),
        ("StopGradient", {}, {-1: -1, 2: 2}),
        ("ThresholdToBinary", {}, {0.4: 0, 0.5: 0, 0.6: 1}),
        ("ThresholdToBinary", {"threshold": -1.0}, {-2: 0, 0: 1}),
    ],
)
def test_function_of_each_number(name: str, arguments: dict[str, Any], at: dict[float, float]) -> None:
    near(getattr(tl, name)(**arguments)(list(map(float, at))), list(at.values()))


@pytest.mark.parametrize(
    ("name", "at"),
    [
        ("Relu", {-1: 0, 0: 0, 1: 1}),
        ("ParametricRelu", {-1: 0, 0: 0, 1: 1}),
        ("LeakyRelu", {-1: 0.01, 0: 1, 1: 1}),
        ("Elu", {-1: 1 / E, 0: 1, 1: 1, 200: 1}),
        ("Selu", {0: 1.0507009873554805 * 1.6732632423543772, 200: 1.0507009873554805}),
        ("Softplus", {-500: 0, 0: 0.5, 500: 1}),
        ("Sigmoid", {-200: 0, 0: 0.25, 200: 0}),
        ("StopGradient", {3: 0}),
    ],
)
def test_gradient_where_it_could_go_wrong(name: str, at: dict[float, float]) -> None:
    layer = getattr(tl, name)()
    gradient = fastmath.grad(lambda x: layer(x).sum())(np.array(list(map(float, at))))
    near(gradient, list(at.values()))


def test_fast_gelu_is_near_gelu() -> None:
    x = np.linspace(-5.0, 5.0, 101)
    near(tl.FastGelu()(x), tl.Gelu()(x), tolerance=5e-4)


def test_glu_gates_the_first_half_by_the_second() -> None:
    near(tl.Glu()([[1.0, 2.0, 0.0, 1.0]]), [[0.5, 2 * logistic(1)]])


def test_thresholded_linear_unit() -> None:
    unit = tl.ThresholdedLinearUnit()
    weights, _ = unit.init(lk.f32(2, 3))
    same(weights, [0.0, 0.0, 0.0])
    same(unit([[1.0, -1.0, 2.0]], weights=np.array([2.0, -3.0, 2.5])), [[2.0, -1.0, 2.5]])


# -- dense, embedding, sources ----------------------------------------------------------------------------------------


def test_dense_multiplies_and_adds() -> None:
    kernel, bias = np.array([[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]), np.array([10.0, 20.0])
    for weights in ((kernel, bias), tl.Dense(2).init(lk.f32(1, 3))[0]._replace(kernel=kernel, bias=bias)):
        same(tl.Dense(2)([[1.0, 2.0, 3.0]], weights=weights), [[14.0, 27.0]])
        same(tl.Dense(2)([1.0, 2.0, 3.0], weights=weights), [14.0, 27.0])
        same(tl.Dense(2)([[[1, 2, 3]]], weights=weights), [[[14.0, 27.0]]])
        same(tl.Dense(2)([[True, False, True]], weights=weights), [[12.0, 21.0]])
    same(tl.Dense(2, use_bias=False)([[1.0, 2.0, 3.0]], weights=kernel), [[4.0, 7.0]])


def test_dense_starts_with_a_glorot_kernel_and_a_tiny_bias() -> None:
    dense = tl.Dense(40)
    kernel, bias = dense.init(lk.f32(1, 20), random.get_prng(1))[0]
    one, two = random.split(random.get_prng(1))
    near(kernel, tl.GlorotUniformInitializer()((20, 40), one), tolerance=0)
    near(bias, tl.RandomNormalInitializer(1e-6)((40,), two), tolerance=0)
    assert dense.weights._fields == ("kernel", "bias")
    assert 0 < float(np.max(np.abs(bias))) < 1e-5


def test_dense_of_the_seed() -> None:
    """The bundled Dense, with the weights the seed's notebook drew, gives the numbers it printed."""
    expected = seed_values.expected()["dense"]
    weights = 0.1 * random.normal(random.get_prng(0), (3, 10))
    near(weights, expected["weights"], tolerance=expected["tolerance"])
    dense = tl.Dense(n_units=10, use_bias=False)
    near(dense([[2.0, 7.0, 25.0]], weights=weights), expected["output"], tolerance=expected["tolerance"])
    assert repr(dense) == "Dense_10"


def test_embedding_reads_rows() -> None:
    embedding = tl.Embedding(3, 2)
    table = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    same(embedding([[2, 0], [1, 1]], weights=table), [[[4.0, 5.0], [0.0, 1.0]], [[2.0, 3.0], [2.0, 3.0]]])
    same(embedding(2, weights=table), [4.0, 5.0])
    gradient = fastmath.grad(lambda w: embedding.pure_fn(np.array([1, 1, 2]), w, ())[0].sum())(table)
    same(gradient, [[0.0, 0.0], [2.0, 2.0], [1.0, 1.0]])


def test_embedding_starts_with_rows_of_length_one_or_so() -> None:
    table, _ = tl.Embedding(1000, 12).init(lk.i32(1, 1))
    assert float(np.max(np.abs(table))) <= 0.5  # sqrt(3 / 12)
    near(np.mean(np.sum(table * table, axis=1)), 1.0, tolerance=0.02)


def test_names_as_in_the_seed() -> None:
    expected = seed_values.expected()["repr"]
    assert repr(tl.Embedding(vocab_size=3, d_feature=2)) == expected["Embedding(vocab_size=3, d_feature=2)"]
    model = tl.Serial(tl.Embedding(9088, 256), tl.Mean(axis=1), tl.Dense(2), tl.LogSoftmax())
    assert repr(model) == expected["classifier"]


def test_weights_are_what_the_initializer_makes() -> None:
    layer = tl.Weights(lambda shape, rng: np.full(shape, 3.0), shape=(2,))
    same(layer.init(())[0], [3.0, 3.0])
    same(layer(()), [3.0, 3.0])
    same(tl.Serial(tl.Dup(), tl.Weights(lambda shape, rng: np.zeros(shape)), tl.Add()).init(lk.f32(2))[0][1], 0.0)


def test_random_uniform_fills_its_range() -> None:
    layer = tl.RandomUniform(2.0, 6.0, shape=(2000,))
    drawn = fastmath.to_host(layer((), rng=random.get_prng(0)))
    assert drawn.dtype == onp.float32
    assert drawn.min() >= 2.0
    assert drawn.max() < 6.0
    assert abs(drawn.mean() - 4.0) < 0.1
    assert layer.output_signature(()) == lk.f32(2000)
    assert tl.RandomUniform(dtype="float16")((), rng=random.get_prng(0)).dtype == onp.float16


def test_bfloat16_weights() -> None:
    bfloat16 = lk.bf16().dtype
    dense, embedding = tl.Dense(2, use_bfloat16=True), tl.Embedding(3, 2, use_bfloat16=True)
    kernel, bias = dense.init(lk.f32(4, 3))[0]
    assert (kernel.dtype, bias.dtype) == (bfloat16, bfloat16)
    assert dense(np.ones((4, 3))).dtype == onp.float32
    near(dense(np.ones((4, 3)))[0], kernel.astype("float32").sum(0) + bias.astype("float32"))
    table, _ = embedding.init(lk.i32(4))
    rows = embedding(np.array([2]))
    assert (table.dtype, rows.dtype) == (bfloat16, bfloat16)
    assert tl.Weights(tl.RandomNormalInitializer(), (2,), use_bfloat16=True).init(())[0].dtype == bfloat16


# -- dropout ----------------------------------------------------------------------------------------------------------


def test_dropout_keeps_the_mean() -> None:
    x = np.ones((100, 100))
    y = fastmath.to_host(tl.Dropout(0.2)(x, rng=random.get_prng(0), training=True))
    assert set(onp.unique(y).tolist()) == {0.0, 1.25}
    assert abs(float((y == 0).mean()) - 0.2) < 0.02


def test_dropout_shares_axes() -> None:
    dropout = tl.Dropout(0.5, shared_axes=[-2])
    y = fastmath.to_host(dropout(np.ones((4, 6, 32)), rng=random.get_prng(0), training=True))
    assert (y == y[:, :1]).all()
    assert not (y == y[:1]).all()
    assert {0.0, 2.0} == set(onp.unique(y).tolist())


def test_dropout_needs_a_key_only_while_training() -> None:
    x = np.ones((4, 8))
    same(tl.Dropout(0.5)(x), x.tolist())
    same(tl.Dropout(0.0)(x, training=True), x.tolist())
    same(tl.Dropout(0.5, mode="eval")(x, training=True), x.tolist())
    with pytest.raises(lk.LayerError, match="draws random numbers and got no key"):
        tl.Dropout(0.5)(x, training=True)
    assert 0.0 in fastmath.to_host(tl.Dropout(0.5, mode="train")(x, rng=random.get_prng(0)))


# -- normalization ----------------------------------------------------------------------------------------------------


def test_layer_norm_of_a_row() -> None:
    row = [[1.0, 2.0, 3.0]]
    norm = tl.LayerNorm()
    weights, _ = norm.init(lk.f32(1, 3))
    same(weights.scale, [1.0, 1.0, 1.0])
    same(weights.bias, [0.0, 0.0, 0.0])
    deviation = math.sqrt(2 / 3 + 1e-6)
    near(norm(row), [[-1 / deviation, 0, 1 / deviation]])
    near(norm(row, weights=(2 * np.ones(3), np.ones(3))), [[1 - 2 / deviation, 1, 1 + 2 / deviation]])
    near(norm([[5.0, 5.0, 5.0]]), [[0, 0, 0]])


def test_layer_norm_without_center_divides_by_the_root_mean_square() -> None:
    norm = tl.LayerNorm(center=False, epsilon=1e-12)
    weights, _ = norm.init(lk.f32(1, 2))
    same(weights, [1.0, 1.0])
    near(norm([[3.0, 4.0]]), [[3 / math.sqrt(12.5), 4 / math.sqrt(12.5)]])


def test_batch_norm_statistics_after_two_batches() -> None:
    norm = tl.BatchNorm(axis=0, momentum=0.9, epsilon=1e-5)
    weights, state = norm.init(lk.f32(2, 2))
    assert (weights._fields, state._fields) == (("beta", "gamma"), ("running_mean", "running_var", "n_batches"))
    first = norm([[1.0, 10.0], [3.0, 10.0]], training=True)
    near(first, [[-1 / math.sqrt(1 + 1e-5), 0], [1 / math.sqrt(1 + 1e-5), 0]])
    near(norm.state.running_mean, [0.2, 1.0])  # 0.9 * 0 + 0.1 * (2, 10)
    near(norm.state.running_var, [1.0, 0.9])  # 0.9 * 1 + 0.1 * (1, 0)
    norm([[0.0, 0.0], [4.0, 0.0]], training=True)
    near(norm.state.running_mean, [0.38, 0.9])  # 0.9 * (0.2, 1) + 0.1 * (2, 0)
    near(norm.state.running_var, [1.3, 0.81])  # 0.9 * (1, 0.9) + 0.1 * (4, 0)
    assert int(norm.state.n_batches) == 2
    assert norm.state.n_batches.dtype == onp.int32
    evaluated = norm([[0.38, 1.8]])
    near(evaluated, [[0, 0.9 / math.sqrt(0.81 + 1e-5)]], tolerance=1e-5)
    assert int(norm.state.n_batches) == 2


def test_batch_norm_scales_and_shifts_each_feature() -> None:
    norm = tl.BatchNorm()
    norm.init(lk.f32(2, 2, 2, 3))
    beta, gamma = np.array([1.0, 2.0, 3.0]), np.array([0.0, 0.0, 10.0])
    x = np.zeros((2, 2, 2, 3))
    same(norm(x, weights=(beta, gamma))[0, 0, 0], [1.0, 2.0, 3.0])
    near(norm(x + 1, weights=(beta, gamma))[1, 1, 1], [1, 2, 3 + 10 / math.sqrt(1 + 1e-5)])
    assert tl.BatchNorm(center=False, scale=False).init(lk.f32(2, 2, 2, 3))[0] == ((), ())


def test_batch_norm_leaves_its_statistics_alone_for_an_empty_batch() -> None:
    norm = tl.BatchNorm(axis=0)
    norm.init(lk.f32(2, 2))
    assert norm(np.zeros((0, 2)), training=True).shape == (0, 2)
    same(norm.state.running_mean, [0.0, 0.0])
    same(norm.state.n_batches, 0)


def test_batch_norm_statistics_carry_no_gradient() -> None:
    norm = tl.BatchNorm(axis=0)
    weights, state = norm.init(lk.f32(2, 1))

    def second_mean(x: Any) -> Any:
        _, new = norm.pure_fn(x, weights, state, training=True)
        return new.running_mean.sum() + new.running_var.sum()

    same(fastmath.grad(second_mean)(np.array([[1.0], [3.0]])), [[0.0], [0.0]])


# -- reductions, softmax ----------------------------------------------------------------------------------------------

X = [[[1.0, 5.0, 3.0], [4.0, 2.0, 6.0]]]


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (tl.Mean(), [[3.0, 4.0]]),
        (tl.Mean(axis=1), [[2.5, 3.5, 4.5]]),
        (tl.Mean(axis=(0, 2), keepdims=True), [[[3.0], [4.0]]]),
        (tl.Mean(axis=None), 3.5),
        (tl.Sum(), 21.0),
        (tl.Sum(axis=-1), [[9.0, 12.0]]),
        (tl.Sum(axis=-1, keepdims=True), [[[9.0], [12.0]]]),
        (tl.Min(), [[1.0, 2.0]]),
        (tl.Min(axis=1), [[1.0, 2.0, 3.0]]),
        (tl.Max(), [[5.0, 6.0]]),
        (tl.Max(axis=1, keepdims=True), [[[4.0, 5.0, 6.0]]]),
        (tl.ArgMax(), [[1, 2]]),
        (tl.ArgMax(axis=1), [[1, 0, 1]]),
        (tl.Flatten(), [[1.0, 5.0, 3.0, 4.0, 2.0, 6.0]]),
        (tl.Flatten(0), [1.0, 5.0, 3.0, 4.0, 2.0, 6.0]),
        (tl.Flatten(2), X),
    ],
    ids=repr,
)
def test_reduction(layer: lk.Layer, expected: Any) -> None:
    same(layer(X), expected)


def test_whole_numbers_are_averaged_as_floats_and_added_up_as_they_are() -> None:
    assert tl.Mean()([1, 2]).dtype == onp.float32
    same(tl.Mean()([1, 2]), 1.5)
    assert tl.Sum()([1, 2]).dtype == onp.int32
    same(tl.Sum()([True, True]), 2)
    assert tl.Max()([1, 2]).dtype == onp.int32


def test_sum_of_nothing_is_zero() -> None:
    same(tl.Sum(axis=-1)(np.zeros((2, 0))), [0.0, 0.0])


def test_softmax_family() -> None:
    x = [[math.log(1.0), math.log(3.0)]]
    near(tl.Softmax()(x), [[0.25, 0.75]])
    near(tl.LogSoftmax()(x), [[math.log(0.25), math.log(0.75)]])
    near(tl.LogSumExp()(x), [[math.log(4.0)]])
    near(tl.Softmax(axis=0)(x), [[1, 1]])
    near(tl.LogSoftmax()([[1000.0, 0.0]]), [[0, -1000]])
    near(tl.Softmax()([[-1e30, 1e30]]), [[0, 1]])


def test_to_float_and_flags() -> None:
    assert tl.ToFloat()([1, 2]).dtype == onp.float32
    assert tl.ThresholdToBinary()([0.7]).dtype == onp.int32
    same(tl.Negate()([1, -2]), [-1, 2])


def test_print_shape_shows_shapes(capsys: pytest.CaptureFixture[str]) -> None:
    y = tl.PrintShape(n_in=2, msg="here")((np.zeros((2, 3)), np.zeros(4)))
    assert [tuple(one.shape) for one in y] == [(2, 3), (4,)]
    assert capsys.readouterr() == ("", "PrintShape: here: (2, 3), (4,)\n")
    tl.PrintShape()(np.zeros((5,)))
    assert capsys.readouterr().err == "PrintShape: (5,)\n"


# -- masking ----------------------------------------------------------------------------------------------------------


def test_padding_mask() -> None:
    same(tl.PaddingMask()([[5, 0, 7], [0, 0, 0]]), [[[[True, False, True]]], [[[False, False, False]]]])
    same(tl.PaddingMask(pad=7)([[5, 0, 7]]), [[[[True, True, False]]]])


def test_masked_mean_averages_what_the_mask_holds() -> None:
    x = np.array([[[1.0, 2.0], [3.0, 4.0], [50.0, 60.0]], [[7.0, 8.0], [9.0, 9.0], [9.0, 9.0]]])
    mask = np.array([[1, 1, 0], [0, 0, 0]])
    same(tl.MaskedMean()((x, mask)), [[2.0, 3.0], [0.0, 0.0]])
    same(tl.MaskedMean()((x, np.reshape(mask, (2, 1, 1, 3)))), [[2.0, 3.0], [0.0, 0.0]])
    near(tl.MaskedMean()((x, mask == 0)), [[50, 60], [25 / 3, 26 / 3]])
    same(tl.MaskedMean()((x[:, :, 0], mask)), [2.0, 0.0])


def test_masked_mean_does_not_look_at_what_is_masked() -> None:
    x = np.array([[[1.0], [math.nan]], [[math.inf], [2.0]]])
    mask = np.array([[True, False], [False, True]])
    same(tl.MaskedMean()((x, mask)), [[1.0], [2.0]])
    gradient = fastmath.grad(lambda x: tl.MaskedMean()((x, mask)).sum())(x)
    same(gradient, [[[1.0], [0.0]], [[0.0], [1.0]]])


def test_a_text_scores_the_same_alone_and_in_any_batch() -> None:
    model = tl.Serial(tl.Branch(tl.Embedding(50, 16), tl.PaddingMask()), tl.MaskedMean(), tl.Dense(2), tl.LogSoftmax())
    model.init(lk.i32(1, 4), random.get_prng(2))
    generator = onp.random.default_rng(0)
    texts = [generator.integers(1, 50, size).astype("int32") for size in (1, 4, 9, 30)]
    batch = onp.zeros((5, 40), "int32")  # the last row is padding alone
    for ids, text in zip(batch, texts, strict=False):
        ids[: len(text)] = text
    together = fastmath.to_host(model(batch))
    assert onp.isfinite(together).all()
    for index, text in enumerate(texts):
        near(model(text[None]), together[index : index + 1], tolerance=1e-6)
    near(together[4], model(onp.zeros((1, 1), "int32"))[0], tolerance=1e-6)
