"""Gradients of the whole array language on the NumPy backend, against finite differences and against JAX."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as onp
import pytest
from gradient_table import CASES, CONSTANT, Case

import layerkit as lk
from layerkit import fastmath
from layerkit.fastmath import float64, tree_leaves
from layerkit.fastmath import numpy as np

table = pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
needs_jax = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")


pytestmark = pytest.mark.usefixtures("on_numpy")


def weighted(case: Case, space: Any = np) -> Callable[..., Any]:
    """The case's results added up with fixed weights, so that every one of them counts; and the results."""

    def scalar(*xs: Any) -> tuple[Any, Any]:
        results = tree_leaves(case.f(space, *xs))
        rng = onp.random.default_rng(1)
        total = 0.0
        for y in results:
            weights = rng.uniform(0.5, 1.5, onp.shape(y)).astype(getattr(y, "dtype", onp.float32))
            total = total + (y * weights).sum()
        return total, results

    return scalar


def gradients(case: Case, dtype: Any) -> tuple[list[Any], tuple[Any, ...]]:
    xs = case.arrays(dtype)
    (_, results), found = fastmath.value_and_grad(weighted(case), tuple(range(len(xs))), has_aux=True)(*xs)
    return results, found


def directions(xs: list[Any]) -> list[Any]:
    rng = onp.random.default_rng(2)
    return [onp.asarray(rng.standard_normal(x.shape)) for x in xs]


def test_every_name_is_in_the_table_or_constant() -> None:
    listed = {case.name for case in CASES}
    assert listed | CONSTANT == set(np.NAMES)
    assert not listed & CONSTANT


@table
def test_gradients_match_finite_differences_in_float64(case: Case) -> None:
    with float64():
        xs = case.arrays(onp.float64)
        _, found = gradients(case, onp.float64)
        along = directions(xs)
        step = 1e-6
        above, below = (
            float(weighted(case)(*(x + sign * step * d for x, d in zip(xs, along, strict=True)))[0]) for sign in (1, -1)
        )
        slope = sum(float((g * d).sum()) for g, d in zip(found, along, strict=True))
    assert all(g.dtype == onp.float64 and g.shape == x.shape for g, x in zip(found, xs, strict=True))
    assert slope == pytest.approx((above - below) / (2 * step), rel=1e-6, abs=1e-7)


@table
def test_second_derivatives_match_finite_differences_of_the_first(case: Case) -> None:
    def along_gradient(xs: list[Any], along: list[Any]) -> Any:
        found = fastmath.grad(lambda *ys: weighted(case)(*ys)[0], tuple(range(len(xs))))(*xs)
        return sum(((g * d).sum() for g, d in zip(found, along, strict=True)), start=onp.float64(0.0))

    with float64():
        xs = case.arrays(onp.float64)
        along = directions(xs)
        found = fastmath.grad(lambda *ys: along_gradient(list(ys), along), tuple(range(len(xs))))(*xs)
        step = 1e-6
        other = [d[::-1] if d.ndim else d for d in along]
        above, below = (
            float(along_gradient([x + sign * step * d for x, d in zip(xs, other, strict=True)], along))
            for sign in (1, -1)
        )
        curvature = sum(float((g * d).sum()) for g, d in zip(found, other, strict=True))
    assert curvature == pytest.approx((above - below) / (2 * step), rel=1e-5, abs=1e-6)


@table
def test_everything_stays_in_float32(case: Case) -> None:
    xs = case.arrays(onp.float32)
    results, found = gradients(case, onp.float32)
    plain = tree_leaves(case.f(np, *xs))
    with float64():
        _, exact = gradients(case, onp.float64)
    for differentiated, y in zip(results, plain, strict=True):
        assert onp.asarray(y).dtype == onp.asarray(differentiated).dtype == onp.float32
        onp.testing.assert_allclose(differentiated, y, rtol=2e-6, atol=2e-6)
    for g, x, sure in zip(found, xs, exact, strict=True):
        assert isinstance(g, onp.ndarray)
        assert g.dtype == onp.float32
        assert g.shape == x.shape
        onp.testing.assert_allclose(g, sure, rtol=2e-3, atol=1e-4)


@table
def test_values_are_those_of_numpy(case: Case) -> None:
    ours = tree_leaves(case.f(np, *case.arrays(onp.float32)))
    theirs = tree_leaves(case.f(onp, *case.arrays(onp.float32).copy()))
    assert len(ours) == len(theirs)
    for y, expected in zip(ours, theirs, strict=True):
        assert onp.shape(y) == onp.shape(expected)
        onp.testing.assert_allclose(y, expected, rtol=2e-6, atol=2e-6)


@needs_jax
@pytest.mark.parametrize("start", range(0, len(CASES), 40))
def test_gradients_are_those_of_jax(start: int) -> None:
    cases = CASES[start : start + 40]

    def differentiate(arrays: list[list[Any]]) -> list[Any]:
        return [
            fastmath.value_and_grad(weighted(case), tuple(range(len(xs))), has_aux=True)(*xs)
            for case, xs in zip(cases, arrays, strict=True)
        ]

    with lk.use_backend("jax"):  # one program for many cases: compiling takes most of the time
        theirs = fastmath.jit(differentiate)([case.arrays(onp.float32) for case in cases])
    for case, ((_, values), expected) in zip(cases, theirs, strict=True):
        results, found = gradients(case, onp.float32)
        for y, other in zip(results, values, strict=True):
            onp.testing.assert_allclose(y, other, rtol=2e-5, atol=2e-5, err_msg=case.id)
        for g, other in zip(found, expected, strict=True):
            onp.testing.assert_allclose(g, other, rtol=1e-3, atol=1e-4, err_msg=case.id)


@pytest.mark.parametrize("axis", [0, 1, (0, 1)])
@pytest.mark.parametrize("highest", [2, 40])
@pytest.mark.parametrize("shape", [(5, 30), (40, 35)])
def test_rows_that_share_one_gradient_add_up_as_if_each_had_its_own(axis: Any, highest: int, shape: Any) -> None:
    rng = onp.random.default_rng(highest)
    ids = rng.integers(0, highest, shape, dtype=onp.int32)
    table, factor = rng.normal(size=(50, 3)), rng.normal(size=onp.zeros((*shape, 3)).mean(axis).shape)
    with lk.use_backend("numpy"), float64():
        found = fastmath.grad(lambda t: np.sum(np.mean(fastmath.take_rows(t, ids), axis) * factor))(table)
    each = onp.broadcast_to(onp.expand_dims(factor, axis) / (ids.size * 3 / factor.size), (*shape, 3))
    expected = onp.zeros_like(table)
    onp.add.at(expected, ids, each)
    onp.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-14)
