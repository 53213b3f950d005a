"""What is written as NumPy, JAX and the notebook write it does the same on every backend."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as onp
import pytest

import layerkit as lk
from layerkit import fastmath as fm
from layerkit.fastmath import numpy as np


@pytest.fixture(params=["numpy", "jax"], autouse=True)
def backend(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.param == "jax":
        pytest.importorskip("jax")
    with lk.use_backend(request.param):
        yield


def test_a_gradient_as_the_notebook_asks_for_it() -> None:
    assert float(fm.grad(fun=lambda x: x**2)(np.array(5.0))) == 10.0
    assert [float(x) for x in fm.value_and_grad(fun=lambda x: x**2)(np.array(5.0))] == [25.0, 10.0]


def test_arguments_by_name_are_constants_of_a_gradient() -> None:
    def scaled(x: Any, *, by: Any) -> Any:
        return np.sum(x * by)

    assert fm.grad(scaled)(np.ones(2), by=np.array([3.0, 4.0])).tolist() == [3.0, 4.0]
    value, gradient = fm.jit(fm.value_and_grad(scaled))(np.ones(2), by=np.array([3.0, 4.0]))
    assert (float(value), gradient.tolist()) == (7.0, [3.0, 4.0])


def test_arguments_by_name_are_arguments_of_a_program() -> None:
    traced = []

    def shifted(x: Any, by: Any = 0.0) -> Any:
        traced.append(1)
        return x + by

    f = fm.jit(shifted)
    results = [float(f(np.array(1.0), by=np.array(float(n)))) for n in range(6)]
    assert results == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]
    assert len(traced) < 6, "a new value is no new program"
    assert float(f(np.array(1.0))) == 1.0
    assert float(f(x=np.array(1.0), by=np.array(2.0))) == 3.0


def test_one_position_is_given_without_a_tuple() -> None:
    f = fm.jit(lambda x, n: x * len(n), static_argnums=1)
    assert float(f(np.array(2.0), "abc")) == 6.0
    assert float(fm.jit(lambda x: x + 1, donate_argnums=0)(np.array(2.0))) == 3.0


def test_a_custom_gradient_of_a_plain_number() -> None:
    f = fm.custom_vjp(lambda x: x * 2, lambda x: (x * 2, ()), lambda _, dy: (dy * 10,))
    assert float(fm.grad(f)(1.0)) == 10.0


X = onp.array([[3.0, -1.0, 2.0], [0.0, 5.0, 0.0]], "float32")

SPELLINGS: dict[str, Callable[[Any], Any]] = {
    "both bounds by NumPy's names": lambda np: np.clip(X, a_min=-0.5, a_max=2.0),
    "one bound by NumPy's name": lambda np: np.clip(X, a_min=0.0, a_max=None),
    "bounds by the array standard's names": lambda np: np.clip(X, min=0.0, max=1.0),
    "bounds by position": lambda np: np.clip(X, None, 1.0),
    "a kind of sorting": lambda np: np.sort(X, axis=0, kind="stable"),
    "a kind of sorting places": lambda np: np.argsort(X, kind="stable"),
    "all of it sorted": lambda np: np.sort(X, None),
}


def test_the_error_function_of_whole_numbers() -> None:
    onp.testing.assert_allclose(fm.erf(np.array([0, 1, 2])), [0.0, 0.8427008, 0.9953223], atol=1e-6)
    assert fm.erf(np.array([0, 1])).dtype == "float32"


@pytest.mark.parametrize("case", SPELLINGS)
def test_spellings_of_numpy(case: str) -> None:
    onp.testing.assert_array_equal(fm.to_host(SPELLINGS[case](np)), SPELLINGS[case](onp))


def test_one_use_of_a_backend_stands_in_several_places_and_threads() -> None:
    outer = fm.backend_name()
    use = lk.use_backend("numpy")
    inside, go_on = threading.Barrier(2), threading.Barrier(2)
    seen = []

    def work() -> None:
        with use:
            inside.wait(10)
            seen.append(fm.backend_name())
        go_on.wait(10)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    with use:
        with use, lk.use_backend(outer):
            assert fm.backend_name() == outer
        assert fm.backend_name() == "numpy"
    for thread in threads:
        thread.join()
    assert seen == ["numpy", "numpy"]
    assert fm.backend_name() == outer
