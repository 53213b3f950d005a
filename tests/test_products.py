"""Products of two matrices on JAX: their gradients are those of NumPy, and on a CPU take the kernels of products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as onp
import pytest

import layerkit as lk
from layerkit import fastmath
from layerkit.fastmath import numpy as np

X = onp.random.default_rng(0).normal(size=(6, 5)).astype(onp.float32)
W = onp.random.default_rng(1).normal(size=(5, 3)).astype(onp.float32)


def loss(x: Any, w: Any) -> Any:
    return np.sum(np.tanh(np.matmul(x, w)) ** 2)


def slope(x: Any, w: Any) -> Any:
    return np.sum(fastmath.grad(loss)(x, w) ** 2)


def each(x: Any, w: Any) -> Any:
    return np.sum(fastmath.vmap(lambda row: loss(np.stack([row, 2 * row]), w))(x))


def kept_short(x: Any, w: Any) -> Any:
    return fastmath.remat(loss)(x, w)


@pytest.mark.parametrize("f", [loss, slope, each, kept_short])
def test_gradients_are_those_of_numpy(f: Callable[..., Any]) -> None:
    found = {}
    for backend in ("numpy", "jax"):
        with lk.use_backend(backend):
            found[backend] = fastmath.to_host(fastmath.jit(fastmath.grad(f, (0, 1)))(X, W))
    for ours, reference in zip(found["jax"], found["numpy"], strict=True):
        onp.testing.assert_allclose(ours, reference, rtol=2e-5, atol=1e-6)


def test_products_are_differentiated_forward_too() -> None:
    jax = pytest.importorskip("jax")
    with lk.use_backend("jax"):
        forward, backward = jax.jit(jax.jacfwd(loss, (0, 1)))(X, W), jax.jit(jax.jacrev(loss, (0, 1)))(X, W)
        jax.jit(jax.hessian(loss))(X, W)
    for ours, reference in zip(forward, backward, strict=True):
        onp.testing.assert_allclose(ours, reference, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("x", "w"), [(X.astype(onp.float16), W), (X.astype(onp.int32), W), (X[0], W), (X[None], W)])
def test_other_products_are_those_of_jax(x: Any, w: Any) -> None:
    with lk.use_backend("jax"):
        y = fastmath.jit(np.matmul)(x, w)
    assert y.dtype == onp.float32
    onp.testing.assert_allclose(fastmath.to_host(y), onp.matmul(x.astype(onp.float32), w), rtol=1e-5)


def test_shapes_that_do_not_fit_are_an_error() -> None:
    with lk.use_backend("jax"), pytest.raises(fastmath.ArrayError, match=r"shapes \(6, 5\) and \(6, 5\) do not fit"):
        fastmath.jit(np.matmul)(X, X)


def test_no_product_has_a_transposed_matrix_on_its_left() -> None:
    jax = pytest.importorskip("jax")
    if jax.default_backend() != "cpu":
        pytest.skip("elsewhere jax's own gradient is as good")
    with lk.use_backend("jax"):
        compiled = jax.jit(fastmath.grad(loss, (0, 1))).lower(X, W).compile().as_text()
    assert "lhs_contracting_dims={1}" in compiled
    assert "lhs_contracting_dims={0}" not in compiled
