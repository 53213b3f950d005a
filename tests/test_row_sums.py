"""Sums of rows that were just read: on JAX they are made row by row, and come out as if the rows were laid out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as onp
import pytest

import layerkit as lk
from layerkit import fastmath
from layerkit import layers as tl
from layerkit.fastmath import numpy as np
from layerkit.fastmath import take_rows

ROWS, WIDTH = 30, 3
IDS = onp.random.default_rng(0).integers(ROWS, size=(16, 2, 9), dtype=onp.int32)
HOLDS = IDS % 3 > 0
TABLE = onp.random.default_rng(1).normal(size=(ROWS, WIDTH)).astype(onp.float32)

# What is made of the rows (16, 2, 9, WIDTH), and whether their copy can be spared.
USES: list[tuple[Callable[[Any], Any], bool]] = [
    (lambda x: np.sum(x, axis=2), True),
    (lambda x: np.mean(x, axis=-2), True),
    (lambda x: np.mean(x, axis=2, keepdims=True), True),
    (lambda x: np.sum(x, axis=1), True),
    (lambda x: np.sum(np.where(HOLDS[..., None], x, 0), axis=2), True),
    (lambda x: np.mean(np.where(HOLDS[..., None], x, 0), axis=0), True),
    (lambda x: np.sum(np.where(HOLDS[..., None], x, 1), axis=2), False),
    (lambda x: np.sum(np.where(HOLDS[..., None], np.where(x > 0, x, 0), 0), axis=2), False),
    (lambda x: np.sum(x, axis=3), False),
    (lambda x: np.sum(x, axis=(1, 2)), False),
    (lambda x: np.sum(x), False),
    (lambda x: np.sum(x, axis=2) + x[:, :, 0] + np.max(x, axis=2), False),
]


def loss_of(use: Callable[[Any], Any], ids: Any) -> Callable[[Any], Any]:
    return lambda table: np.sum(np.tanh(use(take_rows(table, ids))) ** 2)


@pytest.mark.parametrize("number", range(len(USES)))
def test_values_and_gradients_are_those_of_the_rows_laid_out(number: int) -> None:
    loss = loss_of(USES[number][0], IDS)
    with lk.use_backend("numpy"):
        expected = fastmath.value_and_grad(loss)(TABLE)
    with lk.use_backend("jax"):
        found = fastmath.to_host(fastmath.jit(fastmath.value_and_grad(loss))(TABLE))
    for a, b in zip(found, expected, strict=True):
        onp.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("number", range(len(USES)))
def test_where_it_can_be_spared_the_program_has_no_copy_of_the_rows(number: int) -> None:
    import jax

    use, spared = USES[number]
    with lk.use_backend("jax"):
        program = jax.jit(jax.value_and_grad(loss_of(use, IDS))).lower(TABLE).compile().as_text()
    copies = [f"f32[{shape}]" for shape in ("16,2,9,3", "288,3", "288,1,3", "16,2,9,1,3")]
    assert any(copy in program for copy in copies) is not spared


def test_an_id_beyond_the_table_gives_nan_unless_it_does_not_count() -> None:
    ids = IDS[:, 0].copy()
    ids[3, 4], ids[5, 6] = ROWS, -1
    model = tl.Serial(tl.Parallel(tl.Embedding(ROWS, WIDTH), None), tl.MaskedMean())
    with lk.use_backend("jax"):
        model.init((lk.i32(16, 9, max=ROWS), lk.i32(16, 9, max=2)))
        call = fastmath.jit(lambda ids, holds: model.pure_fn((ids, holds), model.weights, model.state, None)[0])
        everywhere = fastmath.to_host(call(ids, onp.ones_like(ids)))
        elsewhere = fastmath.to_host(call(ids, (ids >= 0) & (ids < ROWS)))
    assert sorted(set(onp.argwhere(onp.isnan(everywhere))[:, 0].tolist())) == [3, 5]
    assert onp.isfinite(elsewhere).all()


def test_it_can_be_mapped_and_differentiated_twice() -> None:
    ids = IDS[:, 0]

    def loss(table: Any) -> Any:
        return np.sum(np.sum(take_rows(table, ids), axis=1) ** 3)

    def both(table: Any) -> Any:
        return fastmath.grad(lambda t: np.sum(fastmath.grad(loss)(t) ** 2))(table)

    with lk.use_backend("jax"):
        tables = onp.stack([TABLE, 2 * TABLE])
        mapped = fastmath.to_host(fastmath.jit(fastmath.vmap(fastmath.grad(loss)))(tables))
        twice = fastmath.to_host(fastmath.jit(both)(TABLE))
    counts = onp.zeros((16, ROWS))
    onp.add.at(counts, (onp.arange(16)[:, None], ids), 1)
    sums = counts @ TABLE
    gradient = counts.T @ (3 * sums**2)
    onp.testing.assert_allclose(mapped[0], gradient, rtol=1e-4, atol=1e-3)
    onp.testing.assert_allclose(mapped[1], 4 * gradient, rtol=1e-4, atol=1e-3)
    onp.testing.assert_allclose(twice, counts.T @ (6 * sums * (counts @ (2 * gradient))), rtol=1e-3, atol=1e-1)


def test_nothing_is_remembered_once_a_program_is_made() -> None:
    from layerkit_plugins.backends.jax import row_sums

    before = set(row_sums._reads)
    with lk.use_backend("jax"):
        fastmath.jit(fastmath.grad(loss_of(USES[0][0], IDS)))(TABLE)
    assert set(row_sums._reads) <= before
