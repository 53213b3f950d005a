"""Random numbers: which seeds and arguments are keys to them, where they may be drawn, and whether they are random."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as onp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import layerkit as lk
from layerkit import fastmath as fm
from layerkit.errors import LayerkitError
from layerkit.fastmath import memory, random
from layerkit.fastmath import numpy as np


@pytest.fixture(params=["numpy", "jax"])
def backend(request: pytest.FixtureRequest) -> Any:
    if request.param == "jax":
        pytest.importorskip("jax")
    with lk.use_backend(request.param) as active:
        yield active


def host(x: Any) -> Any:
    return fm.to_host(x)


@pytest.mark.parametrize(
    ("seed", "words"),
    [
        (0, [0, 0]),
        (-1, [0, 2**32 - 1]),
        (-(2**31), [0, 2**31]),
        (2**32 - 1, [0, 2**32 - 1]),
        (2**32, [1, 0]),
        (2**40 + 3, [256, 3]),
        (-(2**31) - 1, [2**32 - 1, 2**31 - 1]),
        (2**63 - 1, [2**31 - 1, 2**32 - 1]),
        (-(2**63), [2**31, 0]),
        (onp.int64(2**40), [256, 0]),
        (onp.array(5), [0, 5]),
    ],
    ids=str,
)
def test_seeds(seed: Any, words: list[int], backend: Any) -> None:
    assert host(random.get_prng(seed)).tolist() == words


KEY = onp.array([0, 1], onp.uint32)
LOW = onp.array([-1.0, 0.0, 2.0, 5.0], "float32")
LOGITS = onp.zeros((4, 5, 6), "float32")

# What is asked, and what the one line about it says, on every backend.
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "wide seed": (
        lambda: random.get_prng(2**63),
        "the seed is a whole number of at most 64 bits, got 9223372036854775808",
    ),
    "broken seed": (lambda: random.get_prng(1.5), "random.get_prng: the seed must be a whole number, got 1.5"),
    "no seed": (lambda: random.get_prng(None), "random.get_prng: the seed must be a whole number, got None"),
    "a truth for a seed": (lambda: random.get_prng(True), "the seed must be a whole number, got True"),
    "no key": (lambda: random.normal(None, (2,)), "a key is a uint32 array of shape (2,), got None; make one with"),
    "seed for a key": (lambda: random.split(7), "random.split: a key is a uint32 array of shape (2,), got 7"),
    "keys for a key": (lambda: random.normal(random.split(KEY), ()), "of shape (2,), got uint32(2, 2)"),
    "floats for a key": (lambda: random.uniform(np.zeros(2)), "of shape (2,), got float32(2,)"),
    "negative data": (
        lambda: random.fold_in(KEY, -1),
        "random.fold_in: the data is a whole number from 0 to 4294967295, got -1",
    ),
    "wide data": (lambda: random.fold_in(KEY, 2**32), "from 0 to 4294967295, got 4294967296"),
    "broken data": (lambda: random.fold_in(KEY, 0.5), "random.fold_in: the data must be a whole number, got 0.5"),
    "negative size": (
        lambda: random.uniform(KEY, (2, -1)),
        "random.uniform: a size must be a whole number of at least 0, got -1",
    ),
    "broken size": (
        lambda: random.normal(KEY, (2.5,)),
        "random.normal: a size must be a whole number of at least 0, got 2.5",
    ),
    "negative count": (lambda: random.split(KEY, -2), "random.split: a size must be a whole number of at least 0"),
    "negative range": (
        lambda: random.permutation(KEY, -3),
        "random.permutation: a size must be a whole number of at least 0",
    ),
    "no such axis": (lambda: random.permutation(KEY, np.zeros((2, 3)), 2), "an array of shape (2, 3) has no axis 2"),
    "no axis at all": (lambda: random.categorical(KEY, 0.5), "random.categorical: logits of shape () have no axis -1"),
    "half precision": (lambda: random.normal(KEY, (), onp.float16), "convert them with .astype('float16')"),
    "whole numbers": (lambda: random.uniform(KEY, (), onp.int32), "convert them with .astype('int32')"),
    "floats from randint": (
        lambda: random.randint(KEY, (), 0, 2, "float32"),
        "up to 32 bits are drawn, got dtype float32",
    ),
    "wide whole numbers": (lambda: random.randint(KEY, (), 0, 2, "int64"), "up to 32 bits are drawn, got dtype int64"),
    "bounds too wide": (lambda: random.randint(KEY, (), 0, 2**32), "the bounds 0 and 4294967296 do not fit int32"),
    "negative, unsigned": (lambda: random.randint(KEY, (), -1, 5, "uint8"), "the bounds -1 and 5 do not fit uint8"),
    "bounds of another shape": (
        lambda: random.uniform(KEY, (2,), minval=LOW),
        "random.uniform: parameters of shape (4,), () do not fit shape (2,)",
    ),
    "chances of another shape": (lambda: random.bernoulli(KEY, LOW, (3,)), "of shape (4,) do not fit shape (3,)"),
    "logits of another shape": (
        lambda: random.categorical(KEY, LOGITS, -1, (7,)),
        "of shape (4, 5) do not fit shape (7,)",
    ),
    "bounds beyond the shape": (lambda: random.randint(KEY, (), onp.array([1, 2]), 9), "(2,), () do not fit shape ()"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_one_plain_line(case: str, backend: Any) -> None:
    ask, says = REFUSED[case]
    with pytest.raises(LayerkitError) as caught:
        ask()
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_more_words_than_a_key_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda: None)  # on a small machine they would not fit either
    with lk.use_backend("numpy"), pytest.raises(LayerkitError, match=r"at most 4,294,967,294 words, .*; split the key"):
        random.uniform(KEY, (2**16, 2**16))


def test_a_shape_may_be_one_number(backend: Any) -> None:
    assert random.normal(KEY, 3).shape == (3,)
    assert random.normal(KEY, [2, onp.int64(3)]).shape == (2, 3)


def test_bounds_are_constants_to_differentiation(backend: Any) -> None:
    def total(bound: Any) -> Any:
        draws = random.uniform(KEY, (5,), minval=bound, maxval=9.0), random.truncated_normal(KEY, bound, 9.0, (5,))
        return np.sum(draws[0] + draws[1])

    assert float(fm.grad(total)(np.array(1.0))) == 0.0


def test_draws_inside_a_differentiated_function(backend: Any) -> None:
    def chosen(logits: Any) -> Any:
        keep = random.bernoulli(KEY, np.exp(logits - 3), (6,))
        return np.sum(logits * keep) + logits[random.categorical(KEY, logits)]

    logits = np.array([0.0, 1.0, 2.0, 1.0, 0.5, 3.0])
    keep = host(random.bernoulli(KEY, np.exp(logits - 3), (6,)))
    one_hot = onp.eye(6)[int(random.categorical(KEY, logits))]
    onp.testing.assert_array_equal(host(fm.grad(chosen)(logits)), keep + one_hot)


def test_each_of_several_keys(backend: Any) -> None:
    keys = random.split(KEY, 4)
    together = fm.vmap(lambda key: random.normal(random.fold_in(key, 3), (5,)))(keys)
    alone = [host(random.normal(random.fold_in(key, 3), (5,))) for key in keys]
    onp.testing.assert_array_equal(host(together), onp.stack(alone))


def test_keys_inside_loops_and_jit(backend: Any) -> None:
    def loop(key: Any) -> Any:
        return fm.scan(lambda k, i: (random.fold_in(k, i), random.uniform(k, (2,))), key, np.arange(3))[1]

    key, wanted = KEY, []
    for i in range(3):
        wanted.append(host(random.uniform(key, (2,))))
        key = host(random.fold_in(key, i))
    onp.testing.assert_array_equal(host(loop(np.array(KEY))), onp.stack(wanted))
    onp.testing.assert_array_equal(host(fm.jit(loop)(np.array(KEY))), onp.stack(wanted))


seeds = st.integers(-(2**63), 2**63 - 1)


@given(seed=seeds)
@settings(max_examples=50)
def test_moments(seed: int) -> None:
    """Means and variances of 4,000 draws, within 6 of their own standard deviations."""
    with lk.use_backend("numpy"):
        key, n = random.get_prng(seed), 4000
        normals, floats = random.normal(key, (n,)), random.uniform(key, (n,))
        kept, dice = random.bernoulli(key, 0.2, (n,)), random.randint(key, (n,), 1, 7)
        noise = random.gumbel(key, (n,))
    for draws, mean, deviation in [
        (normals, 0, 1),
        (normals**2, 1, 2**0.5),
        (floats, 1 / 2, 12**-0.5),
        (floats**2, 1 / 3, (4 / 45) ** 0.5),
        (kept, 0.2, 0.4),
        (dice, 3.5, (35 / 12) ** 0.5),
        (noise, 0.5772, 1.2825),
    ]:
        assert abs(onp.mean(draws, dtype="float64") - mean) < 6 * deviation / n**0.5
    assert (floats >= 0).all()
    assert (floats < 1).all()
    assert set(onp.unique(dice)) == set(range(1, 7))


@given(seed=seeds, low=st.floats(-6, 5), width=st.floats(0.01, 6))
@settings(max_examples=50)
def test_truncated_normals_stay_inside(seed: int, low: float, width: float) -> None:
    with lk.use_backend("numpy"):
        draws = random.truncated_normal(random.get_prng(seed), low, low + width, (500,))
    assert (onp.float32(low) < draws).all()
    assert (draws < onp.float32(low + width)).all()


@given(seed=seeds, num=st.integers(2, 200), data=st.lists(st.integers(0, 2**32 - 1), unique=True, max_size=20))
@settings(max_examples=50)
def test_keys_differ(seed: int, num: int, data: list[int]) -> None:
    with lk.use_backend("numpy"):
        key = random.get_prng(seed)
        keys = [*random.split(key, num), *(random.fold_in(key, number) for number in data), key]
    # A fold's number may happen to be a counter of the split: those two keys are the same by construction.
    assert len({tuple(k.tolist()) for k in keys}) >= len(keys) - sum(number < 2 * num for number in data)


@given(seed=seeds, size=st.integers(0, 3000))
@settings(max_examples=50)
def test_a_permutation_has_each_number_once(seed: int, size: int) -> None:
    with lk.use_backend("numpy"):
        order = random.permutation(random.get_prng(seed), size)
    assert sorted(order.tolist()) == list(range(size))


def test_every_order_is_as_likely() -> None:
    with lk.use_backend("numpy"):
        keys = random.split(random.get_prng(0), 6000)
        orders = [tuple(random.permutation(key, 3).tolist()) for key in keys]
    counts = [orders.count(order) for order in set(orders)]
    assert len(counts) == 6
    assert max(abs(count - 1000) for count in counts) < 6 * (6000 * 5 / 36) ** 0.5


def test_draws_in_threads(backend: Any) -> None:
    wanted, got = host(random.normal(KEY, (1000,))), [None] * 8

    def draw(place: int) -> None:
        with lk.use_backend(backend.name):
            got[place] = host(random.normal(KEY, (1000,)))

    threads = [threading.Thread(target=draw, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for draws in got:
        onp.testing.assert_array_equal(draws, wanted)
