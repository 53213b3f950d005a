"""What the base class of optimizers does: trees, the record, schedules, weight decay, clipping, dtypes."""

from __future__ import annotations

from typing import Any

import numpy as onp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optimizer_table import ROWS, Row
from weight_trees import BACKENDS, SeedAdam, host, leaves, numbers, run, same, tree

import layerkit as lk
from layerkit import fastmath, optimizers
from layerkit.fastmath import numpy as np
from layerkit.training import lr_schedules

rows = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)


def test_the_record_is_read_by_name_and_unpacked_in_declared_order() -> None:
    opt_params = optimizers.Adam(0.5, b2=0.25).opt_params
    learning_rate, b1, b2, eps = opt_params
    assert (learning_rate, b1, b2, eps) == (0.5, onp.float32(0.9), 0.25, onp.float32(1e-5))
    assert opt_params.b2 == b2
    assert all(type(value) is onp.float32 for value in opt_params)
    assert opt_params._replace(learning_rate=2.0).learning_rate == 2.0
    assert type(opt_params) is type(optimizers.Adam(0.1).opt_params)
    assert SeedAdam(0.1, zeta=1, alpha=2).opt_params._fields == ("learning_rate", "zeta", "alpha")


@pytest.mark.parametrize("compiled", [False, True])
def test_a_schedule_sets_the_learning_rate_of_each_step(compiled: bool, backend: str) -> None:
    schedule = lr_schedules.warmup_and_rsqrt_decay(2, 0.3)
    weight, gradient = numbers((3,), 0), numbers((3,), 1)
    scheduled, plain = optimizers.Momentum(schedule), optimizers.Momentum(0.1)
    update = fastmath.jit(scheduled.tree_update) if compiled else scheduled.tree_update
    (slots, opt_params), (plain_slots, plain_params) = scheduled.tree_init(weight), plain.tree_init(weight)
    assert opt_params.learning_rate == schedule(0)
    one = other = weight
    for step in range(6):
        one, slots, _ = update(step, gradient, one, slots, opt_params)
        fixed = plain_params._replace(learning_rate=onp.float32(schedule(step)))
        other, plain_slots, _ = plain.tree_update(step, gradient, other, plain_slots, fixed)
        onp.testing.assert_allclose(host(one), host(other), rtol=2e-6)
        assert scheduled.learning_rate_at(step) == onp.float32(schedule(step))


def test_a_schedule_may_be_any_function_of_the_step(backend: str) -> None:
    sgd = optimizers.SGD(lambda step: np.where(step < 1, 1.0, 0.5))
    update = fastmath.jit(sgd.tree_update)
    slots, opt_params = sgd.tree_init(np.array([3.0]))
    weights = [host(update(step, np.array([1.0]), np.array([3.0]), slots, opt_params)[0]) for step in (0, 1)]
    assert [w.tolist() for w in weights] == [[2.0], [2.5]]


@pytest.mark.parametrize("name", [row.name for row in ROWS])
def test_weight_decay_is_decoupled_follows_the_learning_rate_and_is_off(name: str, backend: str) -> None:
    make = getattr(optimizers, name)
    weights, nothing = tree(0), fastmath.nested_map(onp.zeros_like, tree(0))
    decaying = make(0.5, weight_decay_rate=0.1)
    slots, opt_params = decaying.tree_init(weights)
    for rate, kept in ((0.5, 0.95), (0.25, 0.975)):
        opt_params = opt_params._replace(learning_rate=onp.float32(rate))
        new = decaying.tree_update(0, nothing, weights, slots, opt_params)[0]
        for old, now in zip(leaves(weights), leaves(new), strict=True):
            onp.testing.assert_allclose(now, kept * old, rtol=1e-6)
    if name != "AdamW":
        assert make().weight_decay_rate == 0


def test_adamw_is_adam_with_decay(backend: str) -> None:
    adam = optimizers.Adam(0.01, weight_decay_rate=0.3, eps=1e-8)
    assert same(run(optimizers.AdamW(0.01, weight_decay_rate=0.3), tree(0), 5), run(adam, tree(0), 5))


# -- clipping, figures, dtypes -----------------------------------------------------------------------------------------


@settings(max_examples=50)
@given(
    parts=st.lists(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=4), min_size=1, max_size=3),
    limit=st.floats(1e-3, 1e3),
)
@pytest.mark.parametrize("name", BACKENDS)
def test_gradients_are_clipped_by_their_norm_together(name: str, parts: list[list[float]], limit: float) -> None:
    with lk.use_backend(name):
        grads = [onp.array(part, "float32") for part in parts]
        weights = [onp.zeros_like(g) for g in grads]
        clipping = optimizers.SGD(1.0, clip_grad_norm=limit)
        new, _, figures = clipping.tree_update(0, grads, weights, *clipping.tree_init(weights), stats=True)
        norm = onp.sqrt(sum((g.astype("float64") ** 2).sum() for g in grads))
        moved = onp.concatenate([-w for w in leaves(new)]).astype("float64")
        expected = onp.concatenate(grads) * min(1.0, limit / norm if norm else 1.0)
        onp.testing.assert_allclose(moved, expected, rtol=1e-5, atol=1e-30)
        assert onp.linalg.norm(moved) <= limit * (1 + 1e-5)
        onp.testing.assert_allclose(host(figures["gradients_l2"]), norm, rtol=1e-5, atol=1e-18)


def test_gradients_within_the_limit_are_not_touched(backend: str) -> None:
    weights, grads = tree(0), tree(50)
    for clipping in (optimizers.SGD(0.1, clip_grad_norm=1e4), optimizers.SGD(0.1)):
        for update in (clipping.tree_update, fastmath.jit(clipping.tree_update)):
            new = update(0, grads, weights, *clipping.tree_init(weights))[0]
            for old, g, now in zip(leaves(weights), leaves(grads), leaves(new), strict=True):
                onp.testing.assert_allclose(now, old - onp.float32(0.1) * g, rtol=1e-6, atol=1e-7)


def test_a_gradient_that_is_no_number_is_not_hidden_by_clipping(backend: str) -> None:
    sgd = optimizers.SGD(0.1, clip_grad_norm=1.0)
    weights = (numbers((3,), 0), numbers((2,), 1))
    grads = (onp.array([1, onp.nan, 1], "float32"), numbers((2,), 2))
    new = sgd.tree_update(0, grads, weights, *sgd.tree_init(weights))[0]
    assert all(onp.isnan(leaf).all() for leaf in leaves(new))


def test_figures_only_where_asked_for(backend: str) -> None:
    adam = optimizers.Adam(0.1, clip_grad_norm=0.01)
    weights, grads = (numbers((3,), 0), onp.arange(4)), (numbers((3,), 1), onp.arange(4))
    slots, opt_params = adam.tree_init(weights)
    assert adam.tree_update(0, grads, weights, slots, opt_params)[2] == {}
    update = fastmath.jit(adam.tree_update, static_argnums=(5,))
    figures = update(0, grads, weights, slots, opt_params, True)[2]
    assert set(figures) == {"gradients_l2", "weights_l2"}
    onp.testing.assert_allclose(host(figures["gradients_l2"]), onp.linalg.norm(grads[0]), rtol=1e-6)
    onp.testing.assert_allclose(host(figures["weights_l2"]), onp.linalg.norm(weights[0]), rtol=1e-6)
    assert [float(f) for f in optimizers.SGD().tree_update(0, (), (), (), opt_params, stats=True)[2].values()] == [0, 0]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("make", [optimizers.Adam, lambda rate: SeedAdam(rate, b1=0.9, b2=0.999, eps=1e-5)])
def test_16_bit_weights_keep_their_dtype_and_have_32_bit_slots(make: Any, dtype: str, backend: str) -> None:
    narrow = lk.bf16().dtype if dtype == "bfloat16" else onp.dtype("float16")
    adam = make(0.25)
    weight, gradient = numbers((4,), 0).astype(narrow), numbers((4,), 1).astype(narrow)
    update = fastmath.jit(adam.tree_update)
    slots, opt_params = adam.tree_init(weight)
    assert [leaf.dtype for leaf in leaves(slots)] == ["float32", "float32"]
    wide = weight.astype("float32")
    wide_slots = adam.tree_init(wide)[0]
    for step in range(3):
        weight, slots, _ = update(step, gradient, weight, slots, opt_params)
        wide, wide_slots, _ = update(step, gradient.astype("float32"), wide, wide_slots, opt_params)
        wide = wide.astype(narrow).astype("float32")
        assert host(weight).dtype == narrow
        assert [leaf.dtype for leaf in leaves(slots)] == ["float32", "float32"]
    onp.testing.assert_allclose(host(weight).astype("float32"), host(wide), rtol=1e-2)


def test_64_bit_weights_stay_so_where_they_are_asked_for() -> None:
    with lk.use_backend("numpy"), fastmath.float64():
        weights, slots = run(optimizers.Adam(), numbers((3,), 0).astype("float64"), 2)
        assert [leaf.dtype for leaf in leaves((weights, slots))] == ["float64"] * 3


@rows
def test_64_bit_gradients_do_not_widen_anything(row: Row) -> None:
    with lk.use_backend("numpy"):
        optimizer, weight = row.make(), numbers((2, 3), 0)
        slots, opt_params = optimizer.tree_init(weight)
        new = optimizer.tree_update(0, numbers((2, 3), 1).astype("float64"), weight, slots, opt_params)
        assert all(leaf.dtype == "float32" for leaf in leaves(new[:2]))


@rows
def test_whole_numbers_booleans_and_empty_arrays_are_left_alone(row: Row, backend: str) -> None:
    optimizer = row.make(clip_grad_norm=0.1, weight_decay_rate=0.1)
    weights = {
        "ids": onp.arange(3),
        "w": numbers((2,), 0),
        "on": onp.array([True]),
        "none": onp.zeros((0, 3), "float32"),
    }
    slots, opt_params = optimizer.tree_init(weights)
    assert [slots[name] for name in ("ids", "on", "none")] == [(), (), ()]
    grads = {**weights, "w": numbers((2,), 1)}
    new, new_slots, figures = optimizer.tree_update(0, grads, weights, slots, opt_params, stats=True)
    assert all(new[name] is weights[name] for name in ("ids", "on", "none"))
    assert lk.signature(new_slots) == lk.signature(slots)
    onp.testing.assert_allclose(host(figures["gradients_l2"]), onp.linalg.norm(grads["w"]), rtol=1e-6)
    assert not same(new["w"], weights["w"])


def test_no_weights_at_all(backend: str) -> None:
    adam = optimizers.Adam(clip_grad_norm=1.0)
    slots, opt_params = adam.tree_init(((), None))
    assert adam.tree_update(0, ((), None), ((), None), slots, opt_params) == (((), None), ((), None), {})


@pytest.mark.parametrize("shape", [(5000, 300), (1 << 20,), (2, 1 << 19)])
@pytest.mark.parametrize("row", [r for r in ROWS if hasattr(r.make(0.1), "skip_rows")], ids=lambda row: row.id)
def test_a_large_array_is_updated_by_pieces_to_the_same_bits(row: Row, shape: tuple[int, ...]) -> None:
    rng = onp.random.default_rng(0)
    param, grads = (rng.normal(size=shape).astype(onp.float32) for _ in range(2))
    kept = param.copy()
    optimizer = row.make(0.1)
    with lk.use_backend("numpy"):
        slots, opt_params = optimizer.tree_init(param)
        for step in range(2):
            whole = optimizer.update(step, grads, param, slots, opt_params)
            given_leaves = fastmath.tree_leaves(slots)
            before = [slot.copy() for slot in given_leaves]
            updated, slots, _ = optimizer.tree_update(step, grads, param, slots, opt_params)
            assert same((updated, slots), whole)
            assert same(given_leaves, before)
    assert same(param, kept)
