"""The combinator algebra: what must be the same however a model is put together."""

from __future__ import annotations

from typing import Any

import numpy as onp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_layers import (
    BACKENDS,
    Count,
    Linear,
    Mix,
    Noise,
    arrays,
    assert_same,
    bare,
    deterministic_leaves,
    groupings,
    leaves,
    stack,
    trees,
)

import layerkit as lk
from layerkit.fastmath import numpy as np
from layerkit.fastmath import random

on_both = pytest.mark.parametrize("backend", BACKENDS)
few = settings(max_examples=40)


def run(layer: lk.Layer, xs: tuple[Any, ...], seed: int = 0) -> tuple[Any, Any, Any]:
    """(weights, outputs, new state) of a new initialization and one call."""
    weights, state = layer.init(bare(xs), random.get_prng(seed))
    outputs, new_state = layer.pure_fn(bare(xs), weights, state, random.get_prng(seed + 1))
    return weights, outputs, new_state


# -- Serial -----------------------------------------------------------------------------------------------------------


@on_both
@few
@given(data=st.data(), layers=st.lists(trees(), min_size=1, max_size=5), extra=st.integers(0, 2))
def test_regrouping_a_serial_changes_nothing(backend: str, data: Any, layers: list[lk.Layer], extra: int) -> None:
    flat, grouped = lk.Serial(*layers), lk.Serial(*data.draw(groupings(layers)))
    assert (flat.n_in, flat.n_out) == (grouped.n_in, grouped.n_out)
    with lk.use_backend(backend):
        xs = arrays(flat.n_in + extra)
        for ours, theirs in zip(run(flat, xs), run(grouped, xs), strict=True):
            assert_same(ours, theirs)


def reference_arity(layers: list[lk.Layer]) -> tuple[int, int]:
    """The least number of inputs that the layers can be run on, and what is left then, by trying."""
    for n_in in range(100):
        depth = n_in
        for layer in layers:
            if depth < layer.n_in:
                break
            depth += layer.n_out - layer.n_in
        else:
            return n_in, depth
    raise AssertionError("no number of inputs is enough")


@settings(max_examples=300)
@given(layers=st.lists(leaves, max_size=8))
def test_arity_of_a_sequence(layers: list[lk.Layer]) -> None:
    assert lk.sequence_arity(layers) == reference_arity(layers)
    if layers:
        serial = lk.Serial(*layers)
        assert (serial.n_in, serial.n_out) == reference_arity(layers)


@on_both
@few
@given(tree=trees())
def test_a_tree_gives_as_many_outputs_as_it_says(backend: str, tree: lk.Layer) -> None:
    with lk.use_backend(backend):
        xs = arrays(tree.n_in)
        _, outputs, _ = run(tree, xs)
        assert len(stack(outputs)) == tree.n_out
        assert lk.signature(outputs) == tree.output_signature(lk.signature(bare(xs)))


@on_both
@few
@given(layers=st.lists(trees(), min_size=1, max_size=3), extra=st.integers(1, 3))
def test_extra_arrays_pass_through_a_serial(backend: str, layers: list[lk.Layer], extra: int) -> None:
    serial = lk.Serial(*layers)
    with lk.use_backend(backend):
        xs = arrays(serial.n_in + extra)
        _, needed, _ = run(serial, xs[: serial.n_in])
        _, whole, _ = run(serial, xs)
        assert_same(whole, stack(needed) + xs[serial.n_in :])


@on_both
@few
@given(tree=trees().filter(lambda layer: not isinstance(layer, lk.Serial)))
def test_anything_else_refuses_extra_arrays(backend: str, tree: lk.Layer) -> None:
    with lk.use_backend(backend), pytest.raises(lk.LayerError, match=f"takes {tree.n_in} input.*, got {tree.n_in + 2}"):
        tree.init(lk.signature(arrays(tree.n_in + 2)))


@on_both
@pytest.mark.parametrize("empty", [lk.Serial(), lk.Serial(None), lk.Serial([]), lk.Serial([[], None])], ids=str)
def test_an_empty_serial_is_the_identity(backend: str, empty: lk.Layer) -> None:
    assert (empty.n_in, empty.n_out) == (1, 1)
    with lk.use_backend(backend):
        for n in (1, 2):
            weights, outputs, state = run(empty, arrays(n))
            assert (weights, state) == ((), ())
            assert_same(outputs, arrays(n))


def test_lists_are_flattened_and_none_left_out() -> None:
    serial = lk.Serial(lk.Dup(), [lk.Swap(), None, [lk.Add()]], None)
    assert [layer.name for layer in serial.sublayers] == ["Dup", "Swap", "Add"]


# -- Branch, Parallel, Residual ---------------------------------------------------------------------------------------

deterministic = trees(deterministic_leaves).filter(lambda layer: layer.n_in > 0)


@on_both
@few
@given(layers=st.lists(deterministic, min_size=2, max_size=3))
def test_branch_is_select_then_parallel(backend: str, layers: list[lk.Layer]) -> None:
    branch, parallel = lk.Branch(*layers), lk.Parallel(*layers)
    copies = lk.Select([i for layer in layers for i in range(layer.n_in)], n_in=branch.n_in)
    other = lk.Serial(copies, parallel)
    assert (branch.n_in, branch.n_out) == (other.n_in, other.n_out)
    with lk.use_backend(backend):
        xs = arrays(branch.n_in)
        weights, outputs, state = run(branch, xs)
        expected, new_state = other.pure_fn(bare(xs), ((), weights), ((), state))
        assert_same(outputs, expected)
        assert_same(state, new_state)


@on_both
@few
@given(left=trees().filter(lambda f: f.n_in > 0), right=trees().filter(lambda g: g.n_in > 0))
def test_parallel_is_left_beside_right(backend: str, left: lk.Layer, right: lk.Layer) -> None:
    both = lk.Parallel(left, right)
    with lk.use_backend(backend):
        xs = arrays(both.n_in)
        weights, state = both.init(bare(xs))
        key = random.get_prng(5)
        outputs, new_state = both.pure_fn(bare(xs), weights, state, key)
        y0, s0 = left.pure_fn(bare(xs[: left.n_in]), weights[0], state[0], random.fold_in(key, 0))
        y1, s1 = right.pure_fn(bare(xs[left.n_in :]), weights[1], state[1], random.fold_in(key, 1))
        assert_same(outputs, stack(y0) + stack(y1))
        assert_same(new_state, (s0, s1))


@on_both
@few
@given(
    layers=st.lists(trees(deterministic_leaves), min_size=1, max_size=3).filter(lambda fs: lk.Serial(*fs).n_out > 0),
    shortcut=st.none() | trees(deterministic_leaves).filter(lambda layer: layer.n_out == 1),
    extra=st.integers(0, 2),
)
def test_residual_is_branch_then_add(backend: str, layers: list[lk.Layer], shortcut: Any, extra: int) -> None:
    residual = lk.Residual(*layers, shortcut=shortcut)
    other = lk.Serial(lk.Branch(shortcut, layers), lk.Add())
    assert (residual.n_in, residual.n_out) == (other.n_in, other.n_out)
    with lk.use_backend(backend):
        xs = arrays(residual.n_in + extra)
        weights, state = residual.init(bare(xs))
        outputs, _ = residual.pure_fn(bare(xs), weights, state)
        side, main = (weights[-1], weights[:-1]) if shortcut is not None else ((), weights)
        expected, _ = other.pure_fn(bare(xs), ((side, main), ()), other.init(bare(xs))[1])
        assert_same(outputs, expected)


@on_both
@few
@given(tree=trees())
def test_no_two_places_get_the_same_key(backend: str, tree: lk.Layer) -> None:
    """Every layer that draws numbers notes its key; no key is drawn from twice, in init or in a call."""
    seen: list[tuple[int, ...]] = []

    class Note(lk.Layer):
        def init_weights_and_state(self, signature: Any) -> None:
            seen.append(tuple(map(int, onp.asarray(self.rng))))

        def forward(self, x: Any) -> Any:
            if not lk.fastmath.is_traced(self.rng):
                seen.append(tuple(map(int, onp.asarray(self.rng))))
            return x

    def noting(layer: lk.Layer) -> lk.Layer:
        inner = lk.Serial(Note(), lk.Serial(Note(), Note()), Note())
        return lk.Serial(
            inner,
            lk.Branch(Note(), [Note(), inner_copy()]),
            lk.Residual(lk.Serial(Note(), Note(), Note()), Note(), shortcut=[Note(), Note(), Note()]),
            lk.Parallel(Note(), lk.Residual(Note(), Note(), shortcut=Note())),
            layer,
        )

    def inner_copy() -> lk.Layer:
        return lk.Serial(Note(), lk.Serial(Note(), Note()))

    with lk.use_backend(backend):
        model = noting(tree)
        xs = arrays(model.n_in)
        weights, state = model.init(bare(xs), random.get_prng(3))
        drawn = len(seen)
        assert len(set(seen)) == drawn == 20
        seen.clear()
        model.pure_fn(bare(xs), weights, state, random.get_prng(3))
        assert len(set(seen)) == len(seen) == drawn


def sum_of_both(x: Any, y: Any) -> Any:
    return x + y


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: lk.Parallel(Mix()), "Parallel takes two sublayers or more, got 1"),
        (lambda: lk.Parallel(Mix(), Mix(0)), "Mix_0_1 takes no input, and cannot stand in a Parallel"),
        (lambda: lk.Residual(lk.Drop()), "Residual: its layers have no output to add to"),
        (
            lambda: lk.Residual(Mix(), shortcut=lk.Dup()),
            "Residual: its shortcut Dup has 2 outputs; a shortcut has one",
        ),
        (lambda: lk.Serial(3), "3 is no layer; combinators take layers, lists of layers, or None"),
        (
            lambda: lk.Serial(sum_of_both),
            "function sum_of_both is no layer; combinators take layers, lists of layers, or None; "
            'call it if it makes a layer, or wrap it: lk.Fn("Name", f)',
        ),
        (lambda: lk.Branch(Mix(), "x"), "'x' is no layer; combinators take layers, lists of layers, or None"),
        (lambda: lk.Select([2], n_in=2), "Select: the indices [2] must lie in 0 .. 1 (n_in is 2)"),
        (lambda: lk.Select([0, "a"]), "Select: an index must be a whole number, got 'a'"),
        (lambda: lk.Select([0], n_in="a"), "Select: n_in must be a whole number of at least 0, got 'a'"),
        (lambda: lk.Select([-1]), "Select: the indices [-1] must lie in 0 .. -1 (n_in is 0)"),
        (
            lambda: lk.SerialWithSideOutputs([Mix(), Mix()], [1]),
            "SerialWithSideOutputs: 2 layers and 1 numbers of side outputs",
        ),
        (
            lambda: lk.SerialWithSideOutputs([Mix()], 2),
            "SerialWithSideOutputs: Mix_1_1 has 1 outputs, 2 cannot be put aside",
        ),
    ],
)
def test_arity_is_checked_when_a_combinator_is_built(make: Any, message: str) -> None:
    with pytest.raises(lk.LayerError) as caught:
        make()
    assert str(caught.value) == message


def test_a_branch_of_one_is_that_layer() -> None:
    layer = Mix()
    assert lk.Branch(layer) is layer


# -- plumbing ---------------------------------------------------------------------------------------------------------


@on_both
@few
@given(data=st.data(), n=st.integers(1, 5))
def test_select_composes_as_indexing_does(backend: str, data: Any, n: int) -> None:
    first = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=5))
    second = data.draw(st.lists(st.integers(0, len(first) - 1), min_size=1, max_size=5))
    two = lk.Serial(lk.Select(first, n_in=n), lk.Select(second, n_in=len(first)))
    with lk.use_backend(backend):
        xs = arrays(n)
        assert_same(two(bare(xs)), [xs[first[k]] for k in second])
        assert_same(two(bare(xs)), lk.Select([first[k] for k in second], n_in=n)(bare(xs)))


@on_both
@pytest.mark.parametrize(
    ("layer", "select"),
    [(lk.Dup, lk.Select([0, 0])), (lk.Swap, lk.Select([1, 0])), (lk.Drop, lk.Select([], n_in=1))],
    ids=["Dup", "Swap", "Drop"],
)
def test_dup_swap_and_drop_are_selects(backend: str, layer: Any, select: lk.Layer) -> None:
    made = layer()
    assert (made.n_in, made.n_out) == (select.n_in, select.n_out)
    with lk.use_backend(backend):
        xs = arrays(made.n_in)
        assert_same(made(bare(xs)), select(bare(xs)))


@on_both
def test_arithmetic(backend: str) -> None:
    with lk.use_backend(backend):
        a, b, c = arrays(3)
        assert_same(lk.Add()((a, b)), a + b)
        assert_same(lk.SubtractTop()((a, b)), b - a)
        assert_same(lk.Multiply()((a, b)), a * b)
        assert_same(lk.Gate()((a, b, c)), b * a + (1 - b) * c, 1e-6)


@on_both
@few
@given(data=st.data(), n=st.integers(1, 4), axis=st.integers(-2, 1))
def test_split_undoes_concatenate(backend: str, data: Any, n: int, axis: int) -> None:
    with lk.use_backend(backend):
        xs = arrays(n)
        joined = lk.Concatenate(n, axis)(bare(xs))
        assert_same(joined, onp.concatenate(xs, axis))
        assert_same(lk.Split(n, axis)(joined), xs)


def test_names_of_concatenate() -> None:
    assert lk.Concatenate().name == "Concatenate"
    assert lk.Concatenate(axis=1).name == "Concatenate_axis1"


@on_both
def test_flatten_list(backend: str) -> None:
    with lk.use_backend(backend):
        a, b, c = arrays(3)
        flat = lk.FlattenList()
        assert (flat.n_in, flat.n_out) == (1, 1)
        assert_same(flat((a, (b, c))), (a, b, c))
        assert_same(flat(((a,),)), a)
        assert_same(flat(a), a)


@on_both
@few
@given(
    parts=st.lists(
        st.builds(Mix, st.integers(1, 2), st.integers(1, 3)).flatmap(
            lambda layer: st.tuples(st.just(layer), st.integers(0, layer.n_out))
        ),
        min_size=1,
        max_size=4,
    )
)
def test_side_outputs_are_put_behind_the_rest(backend: str, parts: list[tuple[lk.Layer, int]]) -> None:
    layers, sides = [layer for layer, _ in parts], [n for _, n in parts]
    model = lk.SerialWithSideOutputs(layers, sides)
    with lk.use_backend(backend):
        xs = arrays(model.n_in)
        weights, outputs, _ = run(model, xs)
        rest, aside = tuple(xs), ()
        for layer, n_side, w in zip(layers, sides, weights, strict=True):
            y = stack(layer.pure_fn(bare(rest[: layer.n_in]), w, ())[0])
            rest, aside = y[: len(y) - n_side] + rest[layer.n_in :], aside + y[len(y) - n_side :]
        assert len(stack(outputs)) == model.n_out
        assert_same(outputs, rest + aside)


@on_both
def test_state_of_every_part_goes_on(backend: str) -> None:
    model = lk.Serial(
        Count(), lk.Branch(Count(), [Count(), Count()]), lk.Parallel(Count(), lk.Residual(Count(), shortcut=Count()))
    )
    with lk.use_backend(backend):
        (x,) = arrays(1)
        model.init(x)
        first, second = model(x), model(x)
        assert_same(first, (x, x + x), 1e-6)
        assert_same(second, (x + 3, 2 * (x + 3) + 2), 1e-6)
        assert_same(model.state, [onp.float32(2)] * 7)


@on_both
def test_a_gradient_through_all_of_them(backend: str) -> None:
    model = lk.Serial(
        lk.Branch(Linear(4), [Linear(4), lk.Residual(Linear(4), shortcut=Linear(4))], Noise()),
        lk.Parallel(lk.Dup(), None, lk.Drop()),
        lk.Gate(),
    )
    with lk.use_backend(backend):
        (x,) = arrays(1, (2, 3))
        weights, state = model.init(x)
        key = random.get_prng(0)

        def loss(weights: Any) -> Any:
            return np.sum(model.pure_fn(x, weights, state, key)[0] ** 2)

        gradient = lk.fastmath.grad(loss)(weights)
        direction = lk.fastmath.nested_map(lambda w: random.normal(key, w.shape), weights)
        step = 1e-3

        def along(t: float) -> float:
            return float(loss(lk.fastmath.nested_map(lambda w, d: w + t * d, weights, direction)))

        slope = sum(
            float(np.sum(g * d))
            for g, d in zip(lk.fastmath.tree_leaves(gradient), lk.fastmath.tree_leaves(direction), strict=True)
        )
        assert slope == pytest.approx((along(step) - along(-step)) / (2 * step), rel=2e-2)


def test_a_stack_is_a_tuple_or_one_array() -> None:
    x, y = onp.ones((2, 3)), onp.zeros(4)
    assert lk.inputs_from_stack(x, 1) is x
    assert lk.inputs_from_stack((x, y), 1) is x
    assert lk.outputs_onto_stack(y, x, 1) is y, "one array is bare, as Serial gives it"
    assert lk.outputs_onto_stack((y, y), x, 1) == (y, y)
    assert lk.outputs_onto_stack((), (x, y), 1) is y
