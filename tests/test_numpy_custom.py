"""Custom gradients and rematerialisation on the NumPy backend."""

from __future__ import annotations

import contextvars
import importlib.util
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as onp
import pytest

import layerkit as lk
from layerkit import fastmath
from layerkit.fastmath import ArrayError, float64, tree_leaves
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


# -- Custom gradients -------------------------------------------------------------------------------------------------


@on_both
def test_a_custom_gradient_replaces_the_true_one(backend: str) -> None:
    with lk.use_backend(backend):
        double = fastmath.custom_vjp(lambda x: x * 3, lambda x: (x * 3, x), lambda x, dy: (dy * 100 + x,))
        value, g = fastmath.value_and_grad(lambda x: np.sum(double(x) * 2))(f32(1, 2))
        assert float(value) == 18
        onp.testing.assert_array_equal(fastmath.to_host(g), [201, 202])
        onp.testing.assert_array_equal(fastmath.to_host(double(f32(1))), [3])


@on_both
def test_custom_gradients_of_trees(backend: str) -> None:
    def f(pair: Any, ids: Any, scale: Any) -> Any:
        return {"y": pair["a"] * scale[0], "ids": ids}, pair["b"] + 1

    def forward(pair: Any, ids: Any, scale: Any) -> Any:
        return f(pair, ids, scale), (pair["a"], scale)

    def backward(residuals: Any, dy: Any) -> Any:
        a, scale = residuals
        made, db = dy
        return {"a": made["y"] * scale[0], "b": db * 10}, np.zeros(2, np.int32), (np.sum(made["y"] * a),)

    ids = onp.array([1, 2], onp.int32)
    with lk.use_backend(backend):
        custom = fastmath.custom_vjp(f, forward, backward)

        def loss(pair: Any, scale: Any) -> Any:
            made, b = custom(pair, ids, scale)
            return np.sum(made["y"] * made["ids"]) + np.sum(b)

        pair, scale = {"b": f32(5), "a": f32(1, 2)}, (F32(3),)
        g = fastmath.to_host(fastmath.grad(loss, (0, 1))(pair, scale))
    onp.testing.assert_array_equal(g[0]["a"], [3, 6])
    onp.testing.assert_array_equal(g[0]["b"], [10])
    assert float(g[1][0]) == 5
    assert g[0]["a"].dtype == F32


def test_a_custom_gradient_may_leave_arguments_out() -> None:
    f = fastmath.custom_vjp(lambda x, y: x * y, lambda x, y: (x * y, y), lambda y, dy: (dy * y, None))
    assert [float(g) for g in fastmath.grad(f, (0, 1))(F32(2), F32(3))] == [3, 0]


def test_a_custom_gradient_is_differentiated_itself() -> None:
    cube = fastmath.custom_vjp(lambda x: x**3, lambda x: (x**3, x), lambda x, dy: (dy * 3 * x**2,))
    assert float(fastmath.grad(fastmath.grad(cube))(F32(2))) == 12


def test_only_one_of_several_results_is_used() -> None:
    f = fastmath.custom_vjp(lambda x: (x, x * 2), lambda x: ((x, x * 2), ()), lambda _, dy: (dy[0] * 10 + dy[1] * 100,))
    assert float(fastmath.grad(lambda x: f(x)[1])(F32(1))) == 100
    assert float(fastmath.grad(lambda x: f(x)[0] + f(x)[1])(F32(1))) == 110
    assert float(fastmath.grad(lambda x: (lambda y: y[0] + y[0] + y[1])(f(x)))(F32(1))) == 120


CUSTOM_MISUSES: dict[str, tuple[Any, str]] = {
    "too few": (lambda x, y: (x,), "returned 1 gradients for 2 arguments"),
    "a tree": (lambda x, y: ((x, x), y), "returned 2 arrays for an argument of 1"),
    "wrong shape": (lambda x, y: (x, f32(1, 2, 3)), r"gradient of shape \(3,\) for an argument of shape \(2,\)"),
}


@pytest.mark.parametrize("name", CUSTOM_MISUSES)
def test_a_wrong_custom_gradient_says_what_is_wrong(name: str) -> None:
    backward, message = CUSTOM_MISUSES[name]
    f = fastmath.custom_vjp(lambda x, y: x * y, lambda x, y: (x * y, x), lambda x, dy: backward(x, x))
    with pytest.raises(ArrayError, match=message):
        fastmath.grad(lambda x, y: f(x, y).sum(), (0, 1))(f32(1, 2), f32(3, 4))


# -- Rematerialisation ------------------------------------------------------------------------------------------------


@on_both
def test_remat_changes_no_gradient(backend: str) -> None:
    def f(pair: Any, x: Any, ids: Any) -> Any:
        return np.tanh(pair.kernel * x)[ids] + pair.bias, x * 2

    def loss(wrap: Callable[..., Any]) -> Callable[..., Any]:
        def run(pair: Any, x: Any) -> Any:
            y, twice = wrap(f)(pair, x, onp.array([1, 0, 1], onp.int32))
            return np.sum(y**2) + np.sum(twice)

        return run

    arguments = (Pair(f32(1, 2), F32(3)), f32(0.3, 0.4))
    with lk.use_backend(backend):
        plain, again = (
            fastmath.to_host(fastmath.jit(fastmath.value_and_grad(loss(wrap), (0, 1)))(*arguments))
            for wrap in (lambda f: f, fastmath.remat)
        )
    for one, other in zip(tree_leaves(plain), tree_leaves(again), strict=True):
        onp.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize(
    "wrap",
    [
        fastmath.remat,
        lambda f: fastmath.custom_vjp(
            f, lambda x, y: (f(x, y), (x, y)), lambda r, dy: (dy * r[1] ** 2, dy * r[0] * 2 * r[1])
        ),
    ],
)
def test_arguments_of_different_differentiations(wrap: Any) -> None:
    def f(x: Any, y: Any) -> Any:
        return x * y**2

    once = wrap(f)
    assert float(fastmath.grad(lambda y: once(F32(2), y))(F32(3))) == 12  # the first one is a constant
    inner_first = fastmath.grad(lambda x: fastmath.grad(lambda y: once(x, y))(F32(3)))
    assert float(inner_first(F32(2))) == 6
    inner_second = fastmath.grad(lambda y: fastmath.grad(lambda x: once(x, y))(F32(2)))
    assert float(inner_second(F32(3))) == 6


def test_remat_runs_twice_and_in_the_context_of_its_call() -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("factor", default=1)
    seen = []

    @fastmath.remat
    def f(x: Any) -> Any:
        seen.append((variable.get(), fastmath.backend_name()))
        return x * x * variable.get()

    def loss(x: Any) -> Any:
        token = variable.set(5)
        y = f(x)
        variable.reset(token)
        return y

    assert float(fastmath.grad(loss)(F32(2))) == 20
    assert seen == [(5, "numpy"), (5, "numpy")]
    seen.clear()
    assert float(f(F32(2))) == 4
    assert len(seen) == 1


def test_remat_nested_and_twice_differentiated() -> None:
    inner = fastmath.remat(lambda x: np.sin(x) * x)
    outer = fastmath.remat(lambda x: inner(x) ** 2)
    with float64():
        x = onp.float64(0.6)
        s, c = onp.sin(0.6), onp.cos(0.6)
        first = 2 * s * 0.6 * (c * 0.6 + s)
        second = 2 * (c * 0.6 + s) ** 2 + 2 * s * 0.6 * (2 * c - s * 0.6)
        assert float(fastmath.grad(outer)(x)) == pytest.approx(first)
        assert float(fastmath.grad(fastmath.grad(outer))(x)) == pytest.approx(second)


@pytest.mark.parametrize(
    "wrap", [fastmath.remat, lambda f: fastmath.custom_vjp(f, lambda x: (f(x), ()), lambda _, dy: (dy,))]
)
@pytest.mark.parametrize("differentiated", [True, False])
def test_what_comes_in_by_a_closure_is_refused(wrap: Any, differentiated: bool) -> None:
    def loss(x: Any) -> Any:
        def scale(y: Any) -> Any:
            return x * y

        return wrap(scale)(x if differentiated else F32(2))

    with pytest.raises(ArrayError, match=r"the result of scale depends on a value .* not get as an argument: pass it"):
        fastmath.grad(loss)(F32(3))


def test_an_exception_leaves_nothing_behind() -> None:
    def fail(x: Any) -> Any:
        raise RuntimeError("no")

    for wrap in (fastmath.grad, lambda f: fastmath.grad(fastmath.remat(f)), fastmath.jit):
        with pytest.raises(RuntimeError):
            wrap(fail)(F32(1))
    assert float(fastmath.grad(lambda x: x * x)(F32(3))) == 6
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        onp.ones(1) / onp.zeros(1)
