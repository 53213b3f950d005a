"""Initializers: ranges, moments, orthogonality, files; the same numbers on both backends."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as onp
import pytest

import layerkit as lk
from layerkit import fastmath
from layerkit import layers as tl
from layerkit.fastmath import numpy as np
from layerkit.fastmath import random

RANDOM = [
    tl.RandomNormalInitializer(),
    tl.RandomUniformInitializer(),
    tl.GlorotNormalInitializer(),
    tl.GlorotUniformInitializer(),
    tl.LeCunNormalInitializer(),
    tl.LeCunUniformInitializer(),
    tl.KaimingNormalInitializer(),
    tl.KaimingUniformInitializer(),
    tl.OrthogonalInitializer(),
    tl.ScaledInitializer(-1, -2, 1.0, "fan_in", "truncated_normal"),
]


def draw(initializer: Any, shape: tuple[int, ...], seed: int = 0) -> Any:
    return fastmath.to_host(initializer(shape, random.get_prng(seed)))


@pytest.mark.parametrize("initializer", RANDOM, ids=repr)
def test_the_same_on_both_backends(initializer: Any) -> None:
    drawn = []
    for name in ("numpy", "jax"):
        with lk.use_backend(name):
            drawn.append(draw(initializer, (6, 4)))
            assert drawn[-1].dtype == onp.float32
            assert (draw(initializer, (6, 4)) == drawn[-1]).all()
            assert (draw(initializer, (6, 4), seed=1) != drawn[-1]).any()
    onp.testing.assert_allclose(*drawn, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("initializer", RANDOM, ids=repr)
def test_wider_numbers_are_the_same_numbers(initializer: Any) -> None:
    with lk.use_backend("numpy"):
        narrow = draw(initializer, (6, 4))
        with fastmath.float64():
            wide = draw(initializer, (6, 4))
    assert wide.dtype == onp.float64
    onp.testing.assert_allclose(wide, narrow, rtol=1e-6)


@pytest.mark.parametrize(
    ("initializer", "variance", "bound"),
    [
        (tl.RandomNormalInitializer(0.5), 0.25, None),
        (tl.RandomUniformInitializer(0.5), 0.25 / 3, 0.5),
        (tl.GlorotNormalInitializer(), 2 / 500, None),
        (tl.GlorotUniformInitializer(), 2 / 500, math.sqrt(6 / 500)),
        (tl.GlorotUniformInitializer(scale=3.0), 6 / 500, math.sqrt(18 / 500)),
        (tl.LeCunNormalInitializer(), 1 / 300, None),
        (tl.LeCunUniformInitializer(), 1 / 300, math.sqrt(3 / 300)),
        (tl.LeCunNormalInitializer(out_dim=0, in_dim=1), 1 / 200, None),
        (tl.KaimingNormalInitializer(), 2 / 300, None),
        (tl.KaimingUniformInitializer(param=1.0), 1 / 300, math.sqrt(3 / 300)),
        (tl.ScaledInitializer(-1, -2, 2.0, "fan_out", "normal"), 2 / 200, None),
        (tl.ScaledInitializer(-1, -2, 1.0, "fan_avg", "uniform"), 1 / 250, math.sqrt(3 / 250)),
        (tl.ScaledInitializer(-1, -2, 1.0, "fan_in", "truncated_normal"), 1 / 300, 2 / 0.8796 / math.sqrt(300)),
    ],
    ids=lambda part: repr(part) if callable(part) else "",
)
def test_variance_and_range(initializer: Any, variance: float, bound: float | None) -> None:
    with lk.use_backend("numpy"):
        drawn = draw(initializer, (300, 200))
    assert abs(drawn.mean()) < 4 * math.sqrt(variance / drawn.size)
    assert abs(drawn.var() / variance - 1) < 0.03
    if bound is None:
        assert onp.abs(drawn).max() > 3.5 * math.sqrt(variance)
    else:
        assert 0.99 * bound < onp.abs(drawn).max() <= 1.0001 * bound


def test_a_receptive_field_counts_in_the_fans() -> None:
    with lk.use_backend("numpy"):
        drawn = draw(tl.LeCunUniformInitializer(), (3, 3, 5, 40))
    assert onp.abs(drawn).max() <= math.sqrt(3 / 45)
    assert abs(drawn.var() * 45 - 1) < 0.1


def test_shapes_without_inputs_and_outputs() -> None:
    with lk.use_backend("numpy"):
        assert onp.abs(draw(tl.LeCunUniformInitializer(), (12,))).max() <= 0.5
        assert draw(tl.LeCunUniformInitializer(), ()).shape == ()
        assert draw(tl.LeCunUniformInitializer(), (0, 3)).shape == (0, 3)


@pytest.mark.parametrize("shape", [(5, 5), (8, 3), (3, 8), (2, 3, 4)])
def test_orthogonal_matrices(backend: str, shape: tuple[int, ...]) -> None:
    drawn = draw(tl.OrthogonalInitializer(2.0), shape)
    assert drawn.shape == shape
    matrix = drawn.reshape(-1, shape[-1]) / 2
    tall = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    onp.testing.assert_allclose(tall.T @ tall, onp.eye(tall.shape[1]), atol=1e-6)


def test_orthogonal_matrices_are_uniform() -> None:
    # Without the correction of signs LAPACK's Q has negative numbers alone on its diagonal.
    with lk.use_backend("numpy"):
        signs = [onp.sign(draw(tl.OrthogonalInitializer(), (2, 2), seed)[0, 0]) for seed in range(60)]
    assert 15 < signs.count(1.0) < 45


def test_orthogonal_needs_a_known_key(backend: str) -> None:
    initializer = tl.OrthogonalInitializer()
    with pytest.raises(lk.LayerError, match="a shape of at least 2 axes is due, got \\(3,\\)"):
        initializer((3,), random.get_prng(0))
    if backend == "jax":
        with pytest.raises(lk.LayerError, match="OrthogonalInitializer: the key is not known inside jit"):
            fastmath.jit(lambda key: initializer((3, 3), key))(random.get_prng(0))


def test_printed_as_written() -> None:
    assert [repr(initializer) for initializer in RANDOM[:3]] == [
        "RandomNormalInitializer(0.01)",
        "RandomUniformInitializer(1.0)",
        "GlorotNormalInitializer()",
    ]
    assert repr(tl.LeCunNormalInitializer(0, 1, 2.0)) == "LeCunNormalInitializer(0, 1, 2.0)"
    assert repr(tl.KaimingUniformInitializer(param=0.5)) == "KaimingUniformInitializer(-1, -2, 0.5)"
    assert repr(RANDOM[-1]) == "ScaledInitializer(-1, -2, 1.0, 'fan_in', 'truncated_normal')"
    assert repr(tl.InitializerFromFile("a.npy")) == "InitializerFromFile('a.npy')"


def test_any_function_serves() -> None:
    with lk.use_backend("numpy"):
        kernel, bias = tl.Dense(2, lambda shape, rng: np.ones(shape), lambda shape, rng: np.zeros(shape)).init(
            lk.f32(1, 3)
        )[0]
    assert (kernel.tolist(), bias.tolist()) == ([[1.0, 1.0]] * 3, [0.0, 0.0])


# -- from a file ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int64", "bool"])
def test_a_table_from_a_file(backend: str, dtype: str, tmp_path: Path) -> None:
    table = onp.arange(6).reshape(3, 2).astype(dtype)
    onp.save(tmp_path / "table.npy", onp.asfortranarray(table))
    embedding = tl.Embedding(3, 2, kernel_initializer=tl.InitializerFromFile(tmp_path / "table.npy"))
    weights, _ = embedding.init(lk.i32(4))
    assert weights.dtype == onp.float32
    assert fastmath.to_host(weights).tolist() == table.astype("float32").tolist()


def huge(path: Path) -> None:
    """A header that promises 2**60 numbers, and no numbers."""
    with path.open("wb") as file:
        onp.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": (2**60,)})


def truncated(path: Path) -> None:
    onp.save(path, onp.zeros((3, 2), "float32"))
    path.write_bytes(path.read_bytes()[:-3])


def zipped(path: Path) -> None:
    with path.open("wb") as file:
        onp.savez(file, a=onp.zeros((3, 2)))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, "cannot be read: no such file or directory"),
        (lambda path: path.mkdir(), "cannot be read: is a directory"),
        (lambda path: path.write_bytes(b""), "is no .npy file of numbers, or a damaged one"),
        (lambda path: path.write_text("1 2 3"), "is no .npy file of numbers, or a damaged one"),
        (truncated, "is no .npy file of numbers, or a damaged one"),
        (huge, "is no .npy file of numbers, or a damaged one"),
        (zipped, "is no .npy file of numbers, or a damaged one"),
        (
            lambda path: onp.save(path, onp.array([{}], object), allow_pickle=True),
            "is no .npy file of numbers, or a damaged one",
        ),
        (lambda path: onp.save(path, onp.array(["a"])), "holds <U1; an array of real numbers is due"),
        (lambda path: onp.save(path, onp.zeros((3, 2), complex)), "holds complex128; an array of real numbers is due"),
        (lambda path: onp.save(path, onp.zeros((2, 3))), "holds the shape (2, 3), and the weights have (3, 2)"),
    ],
    ids=["missing", "folder", "empty", "text", "truncated", "huge", "npz", "pickled", "words", "complex", "shape"],
)
def test_a_file_that_does_not_fit(write: Any, message: str, tmp_path: Path) -> None:
    path = tmp_path / "table.npy"
    write(path)
    embedding = tl.Embedding(3, 2, kernel_initializer=tl.InitializerFromFile(path))
    with lk.use_backend("numpy"), pytest.raises(lk.LayerError) as caught:
        embedding.init(lk.i32(4))
    assert f"Embedding_3_2: InitializerFromFile: {path}: {message}" in str(caught.value)


# -- arguments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: tl.RandomNormalInitializer(-1.0),
            "RandomNormalInitializer: stddev must be a number of at least 0, got -1.0",
        ),
        (
            lambda: tl.RandomUniformInitializer("a"),
            "RandomUniformInitializer: lim must be a number of at least 0, got 'a'",
        ),
        (
            lambda: tl.RandomUniformInitializer(math.inf),
            "RandomUniformInitializer: lim must be a number of at least 0, got inf",
        ),
        (
            lambda: tl.GlorotNormalInitializer(scale=0.0),
            "GlorotNormalInitializer: scale must be a number above 0, got 0.0",
        ),
        (
            lambda: tl.KaimingNormalInitializer(param=math.nan),
            "KaimingNormalInitializer: param must be a number, got nan",
        ),
        (
            lambda: tl.LeCunUniformInitializer(out_dim=1.5),
            "LeCunUniformInitializer: out_dim must be a whole number, got 1.5",
        ),
        (
            lambda: tl.ScaledInitializer(-1, -2, 1.0, "fan_on", "normal"),
            "ScaledInitializer: unknown mode 'fan_on': did you mean 'fan_in'?",
        ),
        (
            lambda: tl.ScaledInitializer(-1, -2, 1.0, "fan_in", "cauchy"),
            "ScaledInitializer: unknown distribution 'cauchy': known: normal, truncated_normal, uniform",
        ),
        (
            lambda: tl.OrthogonalInitializer(None),
            "OrthogonalInitializer: stddev must be a number, got None",
        ),
        (
            lambda: tl.InitializerFromFile(3),
            "InitializerFromFile: path must be the name of a file, got 3",
        ),
    ],
)  # fmt: skip
def test_arguments_out_of_range(make: Any, message: str) -> None:
    with pytest.raises(lk.LayerError) as caught:
        make()
    assert str(caught.value) == message


def test_an_axis_that_the_weights_do_not_have() -> None:
    initializer = tl.ScaledInitializer(-1, -3, 1.0, "fan_in", "normal")
    with lk.use_backend("numpy"), pytest.raises(lk.LayerError, match=r"weights of shape \(3, 2\) have no axis -3"):
        initializer((3, 2), random.get_prng(0))
