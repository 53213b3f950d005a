"""The random numbers of both backends are those of jax.random from the same key, bit for bit."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as onp
import pytest
import seed_values

import layerkit as lk
from layerkit import fastmath as fm
from layerkit.fastmath import numpy as np
from layerkit.fastmath import random

SEEDS = (0, 1, -1, 30, 2**31, 2**32 - 1)
SHAPES = ((), (5, 0, 2), (7,), (70001,))


@pytest.fixture(params=["numpy", "jax"])
def backend(request: pytest.FixtureRequest) -> Any:
    if request.param == "jax":
        pytest.importorskip("jax")
    with lk.use_backend(request.param) as active:
        yield active


@pytest.fixture
def jax() -> Any:
    """jax, drawing from its original stream."""
    jax = pytest.importorskip("jax", reason="compared with jax.random")
    with jax.threefry_partitionable(False):
        yield jax


def host(x: Any) -> Any:
    return fm.to_host(x)


def assert_same(got: Any, wanted: Any) -> None:
    got, wanted = host(got), onp.asarray(wanted)
    assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape)
    onp.testing.assert_array_equal(got, wanted)


def assert_close_in_bits(got: Any, wanted: Any) -> None:
    """At most 1 in 10,000 differs (rounded up: one in a small array), and by at most 3 units in the last place."""
    got, wanted = host(got), onp.asarray(wanted)
    assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape)
    bits = onp.int32 if got.dtype == onp.float32 else onp.int64
    apart = onp.abs(got.view(bits).astype(onp.int64) - wanted.view(bits))
    assert onp.count_nonzero(apart) <= -(-got.size // 10_000)
    assert apart.max(initial=0) <= 3


LOW, HIGH = onp.array([-1.0, 0.0, 2.0, 5.0], "float32"), onp.array([0.5, 3.0, 2.5, 105.0], "float32")

# name: what layerkit draws for (key, shape), and what jax.random draws; shapes end in 4 where the bounds are arrays.
DRAWS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "uniform": (random.uniform, lambda r, k, s: r.uniform(k, s)),
    "uniform in a range": (
        lambda k, s: random.uniform(k, s, minval=-0.3, maxval=0.7),
        lambda r, k, s: r.uniform(k, s, onp.float32, -0.3, 0.7),
    ),
    "uniform far from zero": (
        lambda k, s: random.uniform(k, s, minval=100.0, maxval=100.3),
        lambda r, k, s: r.uniform(k, s, onp.float32, 100.0, 100.3),
    ),
    "bernoulli": (lambda k, s: random.bernoulli(k, 0.3, s), lambda r, k, s: r.bernoulli(k, 0.3, s)),
    "randint": (lambda k, s: random.randint(k, s, -5, 17), lambda r, k, s: r.randint(k, s, -5, 17)),
    "randint of all": (
        lambda k, s: random.randint(k, s, -(2**31), 2**31 - 1),
        lambda r, k, s: r.randint(k, s, -(2**31), 2**31 - 1),
    ),
    "randint of bytes": (
        lambda k, s: random.randint(k, s, 0, 256, onp.uint8),
        lambda r, k, s: r.randint(k, s, 0, 256, onp.uint8),
    ),
    "randint without sign": (
        lambda k, s: random.randint(k, s, 7, 2**32 - 1, onp.uint32),
        lambda r, k, s: r.randint(k, s, onp.uint32(7), onp.uint32(2**32 - 1), onp.uint32),
    ),
}
NORMALS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "normal": (random.normal, lambda r, k, s: r.normal(k, s)),
    "truncated_normal": (
        lambda k, s: random.truncated_normal(k, -2.0, 1.5, s),
        lambda r, k, s: r.truncated_normal(k, -2.0, 1.5, s),
    ),
    "truncated_normal, one end": (
        lambda k, s: random.truncated_normal(k, 0.5, onp.inf, s),
        lambda r, k, s: r.truncated_normal(k, 0.5, onp.inf, s),
    ),
    "gumbel": (random.gumbel, lambda r, k, s: r.gumbel(k, s)),
}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", DRAWS)
def test_same_bits_as_jax(name: str, shape: tuple[int, ...], backend: Any, jax: Any) -> None:
    ours, theirs = DRAWS[name]
    for seed in SEEDS:
        assert_same(ours(random.get_prng(seed), shape), theirs(jax.random, jax.random.PRNGKey(seed), shape))


@pytest.mark.parametrize("shape", [*SHAPES, (200, 1000)], ids=str)
@pytest.mark.parametrize("name", NORMALS)
def test_normals_as_jax(name: str, shape: tuple[int, ...], backend: Any, jax: Any) -> None:
    ours, theirs = NORMALS[name]
    for seed in SEEDS:
        assert_close_in_bits(ours(random.get_prng(seed), shape), theirs(jax.random, jax.random.PRNGKey(seed), shape))


def test_bounds_of_their_own_for_each_place(backend: Any, jax: Any) -> None:
    key, theirs, r = random.get_prng(5), jax.random.PRNGKey(5), jax.random
    shape = (300, 4)
    assert_same(random.uniform(key, shape, minval=LOW, maxval=HIGH), r.uniform(theirs, shape, "float32", LOW, HIGH))
    assert_close_in_bits(random.truncated_normal(key, LOW, HIGH, shape), r.truncated_normal(theirs, LOW, HIGH, shape))
    ends = onp.array([0, 1, -9, 2], "int32"), onp.array([1, 9, -9, -100], "int32")
    assert_same(random.randint(key, shape, *ends), r.randint(theirs, shape, *ends))
    chances = onp.array([0.0, 0.2, 0.9, 1.0], "float32")
    assert_same(random.bernoulli(key, chances), r.bernoulli(theirs, chances))
    assert_same(random.bernoulli(key, chances, shape), r.bernoulli(theirs, chances, shape))


@pytest.mark.parametrize("seed", SEEDS)
def test_keys_as_jax(seed: int, backend: Any, jax: Any) -> None:
    key, theirs = random.get_prng(seed), jax.random.PRNGKey(seed)
    assert_same(key, theirs)
    for num in (0, 1, 2, 3, 8, 9, 10, 11, 101):
        assert_same(random.split(key, num), jax.random.split(theirs, num))
    for data in (0, 1, 12345, 2**31, 2**32 - 1):
        assert_same(random.fold_in(key, data), jax.random.fold_in(theirs, data))


def test_known_answers(backend: Any) -> None:
    """From the test vectors that the generator's authors publish (Random123, kat_vectors)."""
    assert [f"{int(word):08x}" for word in random.fold_in(random.get_prng(0), 0)] == ["6b200159", "99ba4efe"]


@pytest.mark.parametrize("size", [0, 1, 2, 10, 1625, 1626, 5000])
def test_permutation_of_a_range_as_jax(size: int, backend: Any, jax: Any) -> None:
    assert_same(random.permutation(random.get_prng(3), size), jax.random.permutation(jax.random.PRNGKey(3), size))


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_permutation_of_an_array_as_jax(axis: int, backend: Any, jax: Any) -> None:
    x = onp.arange(24, dtype="float32").reshape(2, 4, 3)
    key, theirs = random.get_prng(8), jax.random.PRNGKey(8)
    assert_same(random.permutation(key, np.array(x), axis), jax.random.permutation(theirs, x, axis))
    assert_same(random.permutation(key, np.array(x.ravel())), jax.random.permutation(theirs, x.ravel()))


LOGITS = onp.random.default_rng(0).normal(size=(4, 5, 6)).astype("float32")


@pytest.mark.parametrize(
    ("logits", "axis", "shape"),
    [
        (LOGITS, 0, None),
        (LOGITS, 1, None),
        (LOGITS, -1, None),
        (LOGITS, 1, (9, 4, 6)),
        (LOGITS[0, 0], -1, (9, 4)),
        (LOGITS[:1, 0], -1, (9, 4)),
        (LOGITS * onp.inf, -1, None),
        (LOGITS[:0], -1, None),
    ],
    ids=["axis 0", "axis 1", "axis -1", "drawn often", "one row", "a row repeated", "certain", "no rows"],
)
def test_categorical_as_jax(logits: Any, axis: int, shape: Any, backend: Any, jax: Any) -> None:
    for seed in SEEDS:
        ours = random.categorical(random.get_prng(seed), np.array(logits), axis, shape)
        assert_same(ours, jax.random.categorical(jax.random.PRNGKey(seed), logits, axis, shape))


def test_float64(backend: Any, jax: Any) -> None:
    key = random.get_prng(4)
    with fm.float64():
        theirs, r = jax.random.PRNGKey(4), jax.random
        with jax.enable_x64(True):
            assert_same(random.uniform(key, (1001,), onp.float64), r.uniform(theirs, (1001,), onp.float64))
            pairs = [
                (random.normal(key, (1001,), "float64"), r.normal(theirs, (1001,), "float64")),
                (random.gumbel(key, (7,), "float64"), r.gumbel(theirs, (7,), "float64")),
                (
                    random.uniform(key, (1001,), onp.float64, -0.3, 0.7),
                    r.uniform(theirs, (1001,), onp.float64, -0.3, 0.7),
                ),
                (
                    random.truncated_normal(key, -2.0, 2.0, (1001,), onp.float64),
                    r.truncated_normal(theirs, -2.0, 2.0, (1001,), onp.float64),
                ),
            ]
            for ours, wanted in pairs:
                assert host(ours).dtype == onp.float64
                onp.testing.assert_allclose(host(ours), wanted, rtol=1e-12, atol=1e-14)


def test_float64_numbers_only_where_they_are_on(backend: Any) -> None:
    assert random.normal(random.get_prng(0), (3,), onp.float64).dtype == onp.float32


def test_same_draws_whatever_the_precision(backend: Any) -> None:
    """So that a dropout mask, and a finite difference through it, is the same in float32 and float64."""
    key = random.get_prng(9)
    draw = [
        lambda: random.bernoulli(key, 0.4, (50,)),
        lambda: random.normal(key, (50,)),
        lambda: random.categorical(key, np.zeros((50, 3))),
        lambda: random.randint(key, (50,), 0, 9),
        lambda: random.permutation(key, 50),
    ]
    for f in draw:
        narrow = host(f())
        with fm.float64():
            wide = host(f())
        assert narrow.dtype == wide.dtype
        onp.testing.assert_array_equal(narrow, wide)


def test_numbers_the_seed_printed(backend: Any) -> None:
    printed = seed_values.expected()
    assert host(random.get_prng(1)).tolist() == printed["random"]["get_prng(1)"]
    draws = random.normal(random.get_prng(1), (2, 3))
    onp.testing.assert_allclose(host(draws), printed["random"]["normal(get_prng(1), (2, 3))"], rtol=0, atol=2e-6)
    dense = printed["dense"]
    weights = 0.1 * random.normal(random.get_prng(0), (3, 10))
    onp.testing.assert_allclose(host(weights), dense["weights"], rtol=0, atol=dense["tolerance"])
    output = np.dot(np.array([[2.0, 7.0, 25.0]]), weights)
    onp.testing.assert_allclose(host(output), dense["output"], rtol=0, atol=dense["tolerance"])


def test_the_stream_does_not_follow_settings_of_jax(jax: Any) -> None:
    def draw(key: Any) -> Any:
        first, second = random.split(key)
        return random.uniform(first, (9,)), random.fold_in(second, 1)

    key = onp.array([0, 1], onp.uint32)
    with lk.use_backend("numpy"):
        wanted = draw(key)
    with lk.use_backend("jax"), jax.threefry_partitionable(True), jax.default_prng_impl("rbg"):
        for got in (draw(np.array(key)), fm.jit(draw)(np.array(key))):
            for ours, reference in zip(got, wanted, strict=True):
                assert_same(ours, reference)


PARTITIONABLE = """
import numpy as onp
import layerkit as lk
from layerkit.fastmath import random
import jax
jax.config.update("jax_threefry_partitionable", True)
r, theirs = jax.random, jax.random.PRNGKey(6)
for name in ("numpy", "jax"):
    with lk.use_backend(name):
        key = random.get_prng(6)
        pairs = [
            (random.split(key, 5), r.split(theirs, 5)),
            (random.fold_in(key, 77), r.fold_in(theirs, 77)),
            (random.uniform(key, (3, 1001)), r.uniform(theirs, (3, 1001))),
            (random.uniform(key), r.uniform(theirs)),
            (random.uniform(key, (0, 2)), r.uniform(theirs, (0, 2))),
            (random.permutation(key, 2000), r.permutation(theirs, 2000)),
            (random.randint(key, (50,), 0, 9), r.randint(theirs, (50,), 0, 9)),
        ]
        for ours, wanted in pairs:
            assert onp.array_equal(onp.asarray(ours), onp.asarray(wanted)), (name, ours, wanted)
        a, b = random.uniform(key, (4,)), random.uniform(key, (9,))
        assert onp.array_equal(onp.asarray(a), onp.asarray(b)[:4])
        with lk.fastmath.float64(), jax.enable_x64(True):
            wide = random.uniform(key, (5,), "float64"), r.uniform(theirs, (5,), "float64")
            assert onp.array_equal(onp.asarray(wide[0]), onp.asarray(wide[1]))
print("all the same")
"""


def run(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


def test_the_partitionable_stream() -> None:
    pytest.importorskip("jax")
    done = run(PARTITIONABLE, LAYERKIT_THREEFRY="partitionable")
    assert (done.returncode, done.stdout, done.stderr) == (0, "all the same\n", "")


def test_a_stream_that_does_not_exist() -> None:
    program = "from layerkit.fastmath import random; import layerkit as lk\nwith lk.use_backend('numpy'): "
    done = run(program + "random.split(random.get_prng(0))", LAYERKIT_THREEFRY="original ")
    assert "UsageError: LAYERKIT_THREEFRY: there is no stream 'original '; did you mean 'original'?" in done.stderr
