"""Every registered optimizer, on both backends, does what every optimizer must do."""

from __future__ import annotations

from typing import Any

import numpy as onp
import pytest
from optimizer_table import ROWS, Row
from weight_trees import BACKENDS, Dense, SeedAdam, host, leaves, numbers, run, same, tree

import layerkit as lk
from layerkit import fastmath, optimizers
from layerkit.fastmath import numpy as np
from layerkit.plugins import registry

SHAPES = [(), (5,), (3, 4), (2, 3, 4), (1, 3)]

rows = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)


def test_every_registered_optimizer_has_a_row() -> None:
    assert set(registry.optimizers.own()) == {row.name for row in ROWS}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@rows
def test_equals_the_reference(row: Row, shape: tuple[int, ...], backend: str) -> None:
    optimizer = row.make()
    weight = numbers(shape, 0)
    reference = row.reference(weight, optimizer.opt_params)
    weight, start = np.array(weight), weight
    slots = optimizer.init(weight)
    for step in range(20):
        gradient = numbers(shape, step + 1, scale=10.0 ** (step % 5 - 3))
        reference.step(gradient)
        weight, slots = optimizer.update(step, np.array(gradient), weight, slots, optimizer.opt_params)
    moved = float(onp.abs(reference.w - start).max())
    assert moved > 1e-4
    onp.testing.assert_allclose(host(weight), reference.w, rtol=0, atol=2e-6 + 2e-5 * moved)


@rows
def test_a_tree_is_updated_leaf_by_leaf(row: Row, backend: str) -> None:
    optimizer, weights, grads = row.make(), tree(0), tree(50)
    slots, opt_params = optimizer.tree_init(weights)
    new, new_slots, figures = optimizer.tree_update(3, grads, weights, slots, opt_params)
    assert figures == {}
    assert isinstance(new[2], Dense)
    assert isinstance(new_slots[2], Dense)
    assert isinstance(new[3], list)
    apart = [
        optimizer.update(3, g, w, optimizer.init(w), opt_params)
        for g, w in zip(leaves(grads), leaves(weights), strict=True)
    ]
    assert same(new, [w for w, _ in apart])
    assert same(new_slots, [s for _, s in apart])


@rows
def test_update_is_pure(row: Row, backend: str) -> None:
    optimizer, weights, grads = row.make(clip_grad_norm=0.1, weight_decay_rate=0.1), tree(0), tree(50)
    slots, opt_params = optimizer.tree_init(weights)
    slots = fastmath.to_host(slots)
    before = [onp.array(leaf) for leaf in leaves((weights, grads, slots))]
    for leaf in fastmath.tree_leaves((weights, grads, slots)):
        if isinstance(leaf, onp.ndarray):
            leaf.setflags(write=False)
    once = optimizer.tree_update(1, grads, weights, slots, opt_params)
    again = optimizer.tree_update(1, grads, weights, slots, opt_params)
    assert same(once[:2], again[:2])
    assert same(before, (weights, grads, slots))


@rows
def test_slots_have_the_shapes_they_should_and_keep_them(row: Row, backend: str) -> None:
    optimizer = row.make()
    for shape in SHAPES:
        weight = numbers(shape, 0)
        slots = optimizer.init(np.array(weight))
        assert [leaf.shape for leaf in leaves(slots)] == row.slots(shape)
        new_weight, new_slots = run(optimizer, weight, 2)
        assert lk.signature(new_slots) == lk.signature(slots)
        assert lk.signature(new_weight) == lk.signature(weight)
        assert all(leaf.dtype == "float32" for leaf in leaves((slots, new_weight)))


@rows
def test_no_gradient_no_move(row: Row, backend: str) -> None:
    optimizer, weights = row.make(), tree(0)
    slots, opt_params = optimizer.tree_init(weights)
    nothing = fastmath.nested_map(onp.zeros_like, weights)
    new, slots, _ = optimizer.tree_update(0, nothing, weights, slots, opt_params)
    assert same(new, weights)
    assert all(onp.isfinite(leaf).all() for leaf in leaves(slots))


@pytest.mark.parametrize("step", [0, 10_000_000])
@rows
def test_huge_gradients_stay_finite_and_point_down(row: Row, step: int, backend: str) -> None:
    optimizer, weights = row.make(), tree(0)
    slots, opt_params = optimizer.tree_init(weights)
    huge = fastmath.nested_map(lambda w: onp.full_like(w, 1e18), weights)
    new, slots, _ = optimizer.tree_update(step, huge, weights, slots, opt_params)
    for old, now in zip(leaves(weights), leaves(new), strict=True):
        assert onp.isfinite(now).all()
        assert (now < old).all()
    nothing = fastmath.nested_map(onp.zeros_like, weights)
    new, slots, _ = optimizer.tree_update(step + 1, nothing, new, slots, opt_params)
    assert all(onp.isfinite(leaf).all() for leaf in leaves((new, slots)))


@rows
def test_steps_of_all_kinds_give_the_same(row: Row, backend: str) -> None:
    optimizer, weights, grads = row.make(), tree(0), tree(50)
    slots, opt_params = optimizer.tree_init(weights)
    for number in (0, 7, 10_000_000):
        expected = optimizer.tree_update(number, grads, weights, slots, opt_params)[:2]
        for step in (onp.int64(number), onp.array(number, "int32"), np.array(number)):
            assert same(optimizer.tree_update(step, grads, weights, slots, opt_params)[:2], expected)


@rows
def test_compiled_and_eager_give_the_same(row: Row, backend: str) -> None:
    optimizer, weights, grads = row.make(clip_grad_norm=1.0, weight_decay_rate=0.1), tree(0), tree(50)
    compiled = fastmath.jit(optimizer.tree_update)
    slots, opt_params = optimizer.tree_init(weights)
    for step in range(3):
        eager = optimizer.tree_update(step, grads, weights, slots, opt_params)
        weights, slots, _ = compiled(step, grads, weights, slots, opt_params)
        for a, b in zip(leaves(eager[:2]), leaves((weights, slots)), strict=True):
            onp.testing.assert_allclose(a, b, rtol=2e-6, atol=2e-6)
        if step == 0:
            count = fastmath.compilations()
        opt_params = opt_params._replace(learning_rate=onp.float32(0.01 * step))
    assert fastmath.compilations() == count


@rows
def test_both_backends_give_the_same(row: Row) -> None:
    results = []
    for name in BACKENDS:
        with lk.use_backend(name):
            results.append(leaves(run(row.make(), tree(0), 30)))
    for a, b in zip(*results, strict=True):
        onp.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5)


@rows
def test_a_resumed_run_is_the_same(row: Row, backend: str) -> None:
    optimizer = row.make()
    whole = run(optimizer, tree(0), 10)
    weights, slots = run(optimizer, tree(0), 5)
    resumed = run(row.make(), fastmath.to_host(weights), 5, first=5, slots=fastmath.to_host(slots))
    assert same(whole, resumed)


@rows
def test_finds_the_bottom_of_a_parabola(row: Row, backend: str) -> None:
    assert abs(descend(row.make(row.fast), [3.0], lambda x: 2 * x, 300)[0]) < 0.05


@rows
def test_gets_along_in_rosenbrocks_valley(row: Row, backend: str) -> None:
    def gradient(p: Any) -> Any:
        x, y = p[0], p[1]
        return np.stack([-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)])

    x, y = descend(row.make(row.rosenbrock), [-1.2, 1.0], gradient, 3000)
    assert (1 - x) ** 2 + 100 * (y - x * x) ** 2 < 0.5  # 24.2 at the start


def descend(optimizer: lk.Optimizer, start: list[float], gradient: Any, n_steps: int) -> Any:
    weights: Any = np.array(start)
    slots, opt_params = optimizer.tree_init(weights)

    def step(carry: Any, n: Any) -> Any:
        weights, slots = carry
        return optimizer.tree_update(n, gradient(weights), weights, slots, opt_params)[:2], None

    if fastmath.backend_name() == "jax":
        loop = fastmath.jit(lambda carry: fastmath.scan(step, carry, np.arange(n_steps))[0])
        return host(loop((weights, slots))[0])
    carry = (weights, slots)
    for n in range(n_steps):
        carry = step(carry, n)[0]
    return host(carry[0])


def test_the_seeds_adam_runs_as_printed_and_is_ours(backend: str) -> None:
    seeds = SeedAdam(0.01, b1=0.9, b2=0.999, eps=1e-5)
    ours = optimizers.Adam(0.01)
    assert tuple(seeds.opt_params) == tuple(ours.opt_params)
    for theirs, mine in zip(leaves(run(seeds, tree(0), 100)), leaves(run(ours, tree(0), 100)), strict=True):
        assert theirs.dtype == mine.dtype == "float32"
        onp.testing.assert_allclose(theirs, mine, rtol=1e-5, atol=1e-5)


def test_adams_first_step_is_one_learning_rate_long(backend: str) -> None:
    weights, _ = run(optimizers.Adam(0.01, eps=1e-12), numbers((50,), 0), 1)
    onp.testing.assert_allclose(onp.abs(host(weights) - numbers((50,), 0)), 0.01, rtol=1e-4)


def test_an_update_of_ones_own_is_what_trains() -> None:
    class Still(optimizers.Adam):
        def update(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> Any:
            _, slots = super().update(step, grads, param, slots, opt_params)
            return param, slots

    class Twice(optimizers.SGD):
        def overwrite(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> Any:
            return super().overwrite(step, 2 * grads, param, slots, opt_params)

    ones = onp.ones(3, onp.float32)
    for made, expected in ((Still(0.5), 1.0), (Twice(0.5), 0.0)):
        for first in ("tree", "lists"):
            weight = ones.copy()
            slots, record = made.tree_init(weight)
            if first == "tree":
                new, _, _ = made.tree_update(0, ones, weight, slots, record)
                assert (weight == 1).all()
            else:
                with lk.use_backend("numpy"):
                    ((new, _),) = made.overwrite_all(0, [ones], [weight], [slots], record)
                assert new is weight
            assert onp.asarray(new).tolist() == [expected] * 3
            assert (ones == 1).all()
