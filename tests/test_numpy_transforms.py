"""Functions made from functions on the NumPy backend: gradients of trees, nested, in threads; custom ones; remat."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as onp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import layerkit as lk
from layerkit import fastmath
from layerkit.fastmath import ArrayError, float64, nested_map, tree_leaves
from layerkit.fastmath import numpy as np

F32 = onp.float32
BACKENDS = ["numpy", *(["jax"] if importlib.util.find_spec("jax") else [])]
on_both = pytest.mark.parametrize("backend", BACKENDS)


class Pair(NamedTuple):
    kernel: Any
    bias: Any


pytestmark = pytest.mark.usefixtures("on_numpy")


def f32(*values: float) -> Any:
    return onp.array(values, F32)


# -- value_and_grad ---------------------------------------------------------------------------------------------------

TREE = (
    Pair(f32(1, 2), F32(3.0)),
    {"b": [f32(4), None, ()], "a": onp.array([1, 2], onp.int32)},
    onp.array([True, False]),
    2.0,
    onp.array([1.0, 2.0], onp.float16),
)


def tree_loss(tree: Any) -> Any:
    pair, named, truths, number, half = tree
    total = np.sum(pair.kernel**2) * pair.bias + np.sum(named["b"][0] * 3) + np.sum(named["a"]) * 2
    return total + number * 5 + np.sum(np.where(truths, pair.kernel, 0)) + np.sum(half.astype(np.float32))


@on_both
def test_gradients_have_the_structure_and_dtypes_of_their_argument(backend: str) -> None:
    with lk.use_backend(backend):
        value, g = fastmath.value_and_grad(tree_loss)(TREE)
        value, g = fastmath.to_host((value, g))
    assert float(value) == 15 + 12 + 6 + 10 + 1 + 3
    assert isinstance(g, tuple)
    assert isinstance(g[0], Pair)
    assert list(g[1]) == ["a", "b"]
    assert g[1]["b"][1:] == [None, ()]
    onp.testing.assert_array_equal(g[0].kernel, [7, 12])
    onp.testing.assert_array_equal(g[1]["a"], [0, 0])
    onp.testing.assert_array_equal(g[2], [False, False])
    assert [float(g[0].bias), float(g[1]["b"][0][0]), float(g[3])] == [5, 3, 5]
    assert [leaf.dtype for leaf in tree_leaves(g)] == [F32, F32, onp.int32, F32, onp.bool_, F32, onp.float16]


@on_both
@pytest.mark.parametrize(
    ("argnums", "expected"),
    [(0, [2.0]), (1, [1.0]), (-1, [1.0]), ((0, 1), [2.0, 1.0]), ((1,), [1.0]), ([1, 0], [1.0, 2.0])],
)
def test_argnums(backend: str, argnums: Any, expected: list[float]) -> None:
    with lk.use_backend(backend):
        g = fastmath.grad(lambda x, y: x * y, argnums)(F32(1.0), F32(2.0))
    assert isinstance(g, tuple) == (not isinstance(argnums, int))
    assert [float(leaf) for leaf in tree_leaves(g)] == expected


def test_aux_comes_back_plain() -> None:
    def f(x: Any) -> Any:
        return np.sum(x * x), {"twice": x * 2, "count": 3, "nested": (x, None)}

    (value, aux), g = fastmath.value_and_grad(f, has_aux=True)(f32(1, 2))
    assert float(value) == 5
    assert aux["count"] == 3
    assert all(type(leaf) is onp.ndarray for leaf in (aux["twice"], aux["nested"][0], g))
    _, aux = fastmath.grad(f, has_aux=True)(f32(1, 2))
    onp.testing.assert_array_equal(aux["twice"], [2, 4])


@on_both
def test_a_constant_has_zero_gradients(backend: str) -> None:
    with lk.use_backend(backend):
        value, g = fastmath.value_and_grad(lambda x: np.sum(fastmath.stop_gradient(x) * 2))(f32(1, 2))
        assert float(value) == 6
        onp.testing.assert_array_equal(fastmath.to_host(g), [0, 0])
        assert float(fastmath.grad(lambda x, y: y * 1.0)(F32(1.0), F32(2.0))) == 0


def test_gradients_share_no_memory() -> None:
    x, y = f32(1, 2), f32(3, 4)
    g, h = fastmath.grad(lambda x, y: (x + y).sum(), (0, 1))(x, y)
    g += 1
    onp.testing.assert_array_equal(h, [1, 1])
    onp.testing.assert_array_equal(x, [1, 2])


def test_a_leaf_wider_or_narrower_than_float32_keeps_its_dtype() -> None:
    for dtype in (onp.float16, onp.float64):
        assert fastmath.grad(lambda x: (np.exp(x) * 2.0).sum())(onp.ones(3, dtype)).dtype == dtype


MISUSES: dict[str, tuple[Callable[[], Any], str]] = {
    "several numbers": (
        lambda: fastmath.grad(lambda x: x * 2)(f32(1, 2)),
        r"returned shape \(2,\): take its mean or sum",
    ),
    "one number in an axis": (lambda: fastmath.grad(lambda x: x)(f32(1)), r"returned shape \(1,\)"),
    "a tuple": (lambda: fastmath.grad(lambda x: (x, x))(F32(1)), "returned a tuple .with has_aux it returns"),
    "a whole number": (lambda: fastmath.grad(lambda x: np.argmax(x))(f32(1, 2)), "one of dtype int32"),
    "text": (lambda: fastmath.grad(lambda x: 1.0)("word"), "a str.* value cannot be differentiated"),
    "no such argument": (lambda: fastmath.grad(lambda x: x, 1)(F32(1)), "argument 1 was asked for, but .* got 1"),
    "vjp of the wrong shape": (lambda: fastmath.vjp(lambda x: x, f32(1, 2))[1](f32(1)), r"shape \(2,\) got .* \(1,\)"),
    "vjp of too many": (lambda: fastmath.vjp(lambda x: x, f32(1))[1]((f32(1), f32(1))), "returned 1 arrays, but got 2"),
}


@pytest.mark.parametrize("name", MISUSES)
def test_misuse_is_one_plain_sentence(name: str) -> None:
    call, message = MISUSES[name]
    with pytest.raises(ArrayError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


# -- Nesting and threads ----------------------------------------------------------------------------------------------


def test_derivatives_of_derivatives() -> None:
    f: Callable[[Any], Any] = lambda x: np.sin(x) * x**3
    with float64():
        for _ in range(4):
            f = fastmath.grad(f)
        x = 0.7
        expected = (x**3 - 36 * x) * onp.sin(x) + (24 - 12 * x**2) * onp.cos(x)
        assert float(f(onp.float64(x))) == pytest.approx(expected)


def test_an_inner_derivative_is_constant_where_it_should_be() -> None:
    # d/dx [x * d/dy (x + y)] is 1; confusing the two differentiations would give 2.
    assert float(fastmath.grad(lambda x: x * fastmath.grad(lambda y: x + y)(F32(1)))(F32(1))) == 1
    # d/dx [x * d/dy (x * y)] = d/dx x^2
    assert float(fastmath.grad(lambda x: x * fastmath.grad(lambda y: x * y)(F32(1)))(F32(3))) == 6


def test_aux_of_an_inner_differentiation_still_belongs_to_the_outer_one() -> None:
    def outer(x: Any) -> Any:
        (_, aux), g = fastmath.value_and_grad(lambda y: (y * x, y * x * x), has_aux=True)(F32(2))
        return aux * g

    assert float(fastmath.grad(outer)(F32(3))) == 6 * 9  # aux = 2 x^2, g = x


def test_a_pullback_can_be_called_again_and_differentiated() -> None:
    y, pull = fastmath.vjp(lambda x: x**3, f32(1, 2))
    onp.testing.assert_array_equal(y, [1, 8])
    for _ in range(2):
        onp.testing.assert_array_equal(pull(f32(1, 1))[0], [3, 12])
    onp.testing.assert_array_equal(fastmath.grad(lambda dy: pull(dy)[0].sum())(f32(1, 1)), [3, 12])


def test_vjp_of_trees() -> None:
    def f(pair: Pair, number: Any) -> Any:
        return {"sum": pair.kernel + number, "product": (pair.kernel * number, onp.int32(7))}

    y, pull = fastmath.vjp(f, Pair(f32(1, 2), f32(9)), F32(3))
    onp.testing.assert_array_equal(y["product"][0], [3, 6])
    gradients = pull({"sum": f32(1, 0), "product": (f32(0, 1), onp.int32(0))})
    onp.testing.assert_array_equal(gradients[0].kernel, [1, 3])
    onp.testing.assert_array_equal(gradients[0].bias, [0])
    assert float(gradients[1]) == 3


def test_threads_differentiate_at_once() -> None:
    powers, barrier = [2, 3, 4, 5], threading.Barrier(4)

    def work(power: int) -> bool:
        with lk.use_backend("numpy"):
            barrier.wait()
            for turn in range(150):
                x = F32(1 + turn / 150)
                inner = fastmath.grad(lambda y, x=x: np.sum(y * np.ones(20)) ** power)
                g = fastmath.grad(lambda x, f=inner: np.sum(np.cumsum(x * np.ones(5))[-1] ** power) + f(x))(x)
                first = power * (5 * float(x)) ** (power - 1) * 5
                second = 20.0**power * power * (power - 1) * float(x) ** (power - 2)
                if not onp.isclose(g, first + second, rtol=1e-4):
                    return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, powers))


@settings(max_examples=60)
@given(
    steps=st.lists(st.sampled_from(["double", "square", "sin", "add first", "sum and spread", "reverse"]), max_size=8),
    values=st.lists(st.floats(-1.5, 1.5), min_size=1, max_size=4),
)
def test_chains_of_operations(steps: list[str], values: list[float]) -> None:
    apply: dict[str, Callable[[Any, Any], Any]] = {
        "double": lambda y, x: y * 2,
        "square": lambda y, x: y * y,
        "sin": lambda y, x: np.sin(y),
        "add first": lambda y, x: y + x,
        "sum and spread": lambda y, x: np.sum(y) * 0.3 + y,
        "reverse": lambda y, x: y[::-1] * 0.5,
    }

    def f(x: Any) -> Any:
        y = x
        for step in steps:
            y = apply[step](y, x) * 0.7
        return np.sum(np.sin(y))

    with lk.use_backend("numpy"), float64():
        x = onp.array(values)
        along = onp.random.default_rng(0).standard_normal(x.shape)
        slope = float((fastmath.grad(f)(x) * along).sum())
        numeric = (float(f(x + 1e-6 * along)) - float(f(x - 1e-6 * along))) / 2e-6
    assert slope == pytest.approx(numeric, rel=1e-5, abs=1e-6)


def test_nested_map_over_boxes_is_differentiable() -> None:
    g = fastmath.grad(lambda tree: sum(tree_leaves(nested_map(lambda leaf: leaf**2, tree))))(
        {"a": F32(1), "b": [F32(2)]}
    )
    assert (float(g["a"]), float(g["b"][0])) == (2, 4)


def test_bfloat16_is_differentiated_in_its_own_dtype() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = onp.array([1, 2, 3], ml_dtypes.bfloat16)
    value, g = fastmath.value_and_grad(lambda x: np.mean(np.maximum(x, x[1]) * x) + np.sum(np.exp(x - x)))(x)
    assert value.dtype == g.dtype == x.dtype
    onp.testing.assert_allclose(g.astype(F32), [2 / 3, (4 + 1) / 3, 2], rtol=1e-2)
