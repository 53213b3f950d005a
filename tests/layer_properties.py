"""What every layer must do, one function a property; each takes a ``Case``: a row of the table on one backend."""

from __future__ import annotations

import contextlib
import contextvars
import functools
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as onp
from layer_table import Row

import layerkit as lk
from layerkit import fastmath
from layerkit.fastmath import random

__all__ = ["ALL", "BACKENDS", "Case", "case"]

BACKENDS = ["numpy", "jax"]

Tree = Any


@functools.cache
def case(row: Row, backend: str) -> Case:
    """The case of a row on a backend; its programs are compiled once for all properties."""
    return Case(row, backend)


class Case:
    """A row of the table on one backend: the layer, arrays to try it on, and its step, compiled."""

    def __init__(self, row: Row, backend: str) -> None:
        self.row, self.backend = row, backend
        self._steps: dict[bool, Callable[..., Any]] = {}
        with self.active():
            self.layer = row.make()
            self.init_weights, self.state = self.layer.init(row.signature, self.key(0))
            self.inputs = row.arrays()
            # Fresh weights are often ones and zeros, which hide mistakes.
            self.weights = _perturbed(fastmath.to_host(self.init_weights))

    def active(self) -> contextlib.AbstractContextManager[Any]:
        return lk.use_backend(self.backend)

    def key(self, seed: int) -> Any:
        return random.get_prng(seed)

    @functools.cached_property
    def cotangents(self) -> tuple[onp.ndarray[Any, Any], ...]:
        """What the loss multiplies each output with, so that every output number counts by itself."""
        with self.active():
            outputs = _tuple(self.layer.output_signature(self.row.signature))
        generator = onp.random.default_rng(7)
        return tuple(generator.normal(size=of.shape).astype("float32") for of in outputs)

    def loss(self, training: bool) -> Callable[..., Any]:
        """sum(outputs * cotangents), with the outputs and the new state beside it."""

        def loss(weights: Any, floats: Any, whole: Any, state: Any, key: Any, cotangents: Any) -> Any:
            y, new_state = self.layer.pure_fn(bare(_merge(floats, whole)), weights, state, key, training)
            parts = [(one * c).sum() for one, c in zip(_tuple(y), cotangents, strict=True) if is_float(one)]
            return sum(parts, fastmath.numpy.zeros(())), (y, new_state)

        return loss

    def step(self, training: bool, seed: int = 0, **changed: Any) -> tuple[Any, Any, Any]:
        """(outputs, new state, gradients of weights and inputs) by the compiled step."""
        with self.active():
            if training not in self._steps:
                self._steps[training] = fastmath.jit(fastmath.value_and_grad(self.loss(training), (0, 1), True))
            inputs = changed.get("inputs", self.inputs)
            floats, whole = _split(inputs)
            weights, state = changed.get("weights", self.weights), changed.get("state", self.state)
            (_, (y, new_state)), gradients = self._steps[training](
                weights, floats, whole, state, self.key(seed), self.cotangents
            )
            return y, new_state, gradients

    def eager(self, training: bool, seed: int = 0, inputs: Any = None) -> tuple[Any, Any]:
        """(outputs, new state) by a plain call of ``pure_fn``."""
        with self.active():
            x = bare(self.inputs if inputs is None else inputs)
            return self.layer.pure_fn(x, self.weights, self.state, self.key(seed), training)


# -- the properties ---------------------------------------------------------------------------------------------------


def init_twice_gives_the_same(case: Case) -> None:
    with case.active():
        again = case.layer.init(case.row.signature, case.key(0))
        other = case.row.make().init(
            case.row.arrays()[0] if len(case.row.inputs) == 1 else case.row.signature, case.key(0)
        )
    assert_same((case.init_weights, case.state), again)
    assert_same((case.init_weights, case.state), other)


def output_signature_is_that_of_the_output(case: Case) -> None:
    with case.active():
        said = [case.row.make().output_signature(case.row.signature), case.layer.output_signature(case.row.signature)]
    for training in (False, True):
        y, _, _ = case.step(training)
        assert [lk.signature(y)] * 2 == said


def both_backends_give_the_same(case: Case) -> None:
    numpy = _case(case.row, "numpy")
    assert_close(numpy.init_weights, case.init_weights, 1e-6)
    for training in (False, True):
        ours, theirs = case.step(training), numpy.step(training)
        assert_close(ours[:2], theirs[:2], case.row.tolerance)
        assert_close(ours[2], theirs[2], 10 * case.row.tolerance)


def gradient_is_that_of_finite_differences(case: Case) -> None:
    if not case.row.differentiable:
        return
    for training in (False, True):
        with case.active(), fastmath.float64():
            point = [_to_float64(part) for part in (case.weights, _split(case.inputs)[0])]
            rest = (_split(case.inputs)[1], _to_float64(case.state), case.key(0), _to_float64(case.cotangents))
            value = fastmath.jit(case.loss(training))
            gradients = fastmath.jit(fastmath.value_and_grad(case.loss(training), (0, 1), True))(*point, *rest)[1]
            for part in (0, 1):
                direction = _directions(point[part])
                if not fastmath.tree_leaves(direction):
                    continue
                ahead, behind = ([*point], [*point])
                ahead[part] = fastmath.nested_map(lambda p, d: p + 1e-6 * d, point[part], direction)
                behind[part] = fastmath.nested_map(lambda p, d: p - 1e-6 * d, point[part], direction)
                slope = (float(value(*ahead, *rest)[0]) - float(value(*behind, *rest)[0])) / 2e-6
                leaves = fastmath.tree_leaves(
                    fastmath.nested_map(lambda g, d: (_host(g) * d).sum(), gradients[part], direction)
                )
                assert abs(slope - float(sum(leaves))) <= 1e-6 * max(1.0, abs(slope)), (
                    f"part {part}, training {training}"
                )


def compiled_and_eager_are_the_same(case: Case) -> None:
    for training in (False, True):
        assert_close(case.step(training)[:2], case.eager(training), case.row.tolerance)


def second_step_compiles_nothing(case: Case) -> None:
    for training in (False, True):
        _, state, _ = case.step(training)
        with case.active():
            before = fastmath.compilations()
            inputs, weights = case.row.arrays(seed=1), _perturbed(case.weights)
        case.step(training, seed=1, inputs=inputs, weights=weights, state=state)
        with case.active():
            assert fastmath.compilations() == before


def evaluation_is_deterministic(case: Case) -> None:
    first, second = case.step(False)[:2], case.step(False)[:2]
    assert_same(first, second)
    other_key = case.step(False, seed=1)[:2]
    if case.row.always_draws:
        assert not _all_equal(first[0], other_key[0])
        assert not _all_equal(case.step(True)[0], case.step(True, seed=1)[0])
    else:
        assert_same(first, other_key)
        with case.active():
            without_key = case.layer.pure_fn(bare(case.inputs), case.weights, case.state)
        assert_close(first, without_key, case.row.tolerance)


def training_differs_only_where_it_should(case: Case) -> None:
    evaluated, trained = case.step(False), case.step(True)
    if case.row.training_differs:
        assert not _all_equal(evaluated[0], trained[0])
    else:
        assert_same(evaluated[0], trained[0])
        assert_same(evaluated[2], trained[2])
    assert _all_equal(case.state, evaluated[1]) is not case.row.state_in_evaluation
    assert _all_equal(case.state, trained[1]) is not case.row.has_state
    if not case.row.always_draws:
        assert _all_equal(trained[0], case.step(True, seed=1)[0]) is not case.row.draws_in_training


def empty_batch_gives_empty_outputs(case: Case) -> None:
    if not case.row.batched:
        return
    empty = tuple(array[:0] for array in case.inputs)
    with case.active():
        layer = case.row.make()
        weights, state = layer.init(lk.signature(bare(empty)), case.key(0))
        said = layer.output_signature(lk.signature(bare(empty)))
        for training in (False, True):
            y, new_state = layer.pure_fn(bare(empty), weights, state, case.key(0), training)
            assert lk.signature(y) == said
            assert all(onp.isfinite(_host(leaf)).all() for leaf in fastmath.tree_leaves((y, new_state)))


def state_keeps_structure_and_dtype(case: Case) -> None:
    for training in (False, True):
        _, new_state, _ = case.step(training)
        assert lk.signature(new_state) == lk.signature(case.state)
        assert _structure(new_state) == _structure(case.state)


def everything_has_32_bits(case: Case) -> None:
    for training in (False, True):
        for leaf in fastmath.tree_leaves((case.init_weights, case.state, case.step(training), case.eager(training))):
            assert leaf.dtype.itemsize <= 4, f"{leaf.dtype} for training={training}"


def inputs_are_not_mutated(case: Case) -> None:
    before = [array.copy() for array in case.inputs]
    weights = fastmath.nested_map(lambda array: onp.array(array), case.weights)
    state = fastmath.nested_map(lambda array: onp.array(array), fastmath.to_host(case.state))
    for array in (*case.inputs, *fastmath.tree_leaves(case.weights)):
        array.setflags(write=False)
    for training in (False, True):
        case.eager(training)
        case.step(training)
    assert_same((tuple(before), weights, state), (case.inputs, case.weights, case.state))


def strided_inputs_give_the_same(case: Case) -> None:
    strided = tuple(_strided(array) if array.ndim else array for array in case.inputs)
    assert_same(case.inputs, strided)
    assert_close(case.eager(False, inputs=strided), case.eager(False), case.row.tolerance)


def a_row_depends_on_its_own_row_alone(case: Case) -> None:
    if not case.row.rows_independent or case.row.always_draws or not case.row.batched:
        return
    other = tuple(onp.concatenate([a[:1], b[1:]]) for a, b in zip(case.inputs, case.row.arrays(seed=1), strict=True))
    ours, theirs = case.step(False)[0], case.step(False, inputs=other)[0]
    for one, two in zip(_tuple(ours), _tuple(theirs), strict=True):
        assert one.shape[0] == case.inputs[0].shape[0]
        assert_same(one[0], two[0])


def weights_come_back_from_a_file(case: Case) -> None:
    with case.active(), tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "layer.safetensors")
        layer, other = case.row.make(), case.row.make()
        layer.init(case.row.signature, case.key(5))
        layer.weights = case.weights
        layer.save_to_file(path)
        loaded = other.init_from_file(path, case.row.signature)
        assert_same(loaded, (case.weights, layer.state))
        assert _structure(loaded) == _structure((case.weights, layer.state))
        ours, theirs = (one.pure_fn(bare(case.inputs), one.weights, one.state, case.key(0)) for one in (layer, other))
        assert_same(ours, theirs)


def pure_fn_is_safe_in_threads(case: Case) -> None:
    inputs = [case.row.arrays(seed) for seed in range(4)]
    alone = [case.eager(True, seed, inputs[seed]) for seed in range(4)]
    together: list[Any] = [None] * 4
    start = threading.Barrier(4)

    def work(seed: int) -> None:
        start.wait()
        together[seed] = [case.eager(True, seed, inputs[seed]) for _ in range(3)]

    threads = [threading.Thread(target=contextvars.copy_context().run, args=(work, seed)) for seed in range(4)]
    with _often_switching():
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for result, expected in zip(together, alone, strict=True):
        for once in result:
            assert_same(once, expected)


ALL: list[tuple[Callable[[Case], None], str]] = [
    *[
        (holds, backend)
        for holds in (
            init_twice_gives_the_same,
            output_signature_is_that_of_the_output,
            compiled_and_eager_are_the_same,
            evaluation_is_deterministic,
            training_differs_only_where_it_should,
            empty_batch_gives_empty_outputs,
            state_keeps_structure_and_dtype,
            everything_has_32_bits,
            inputs_are_not_mutated,
            strided_inputs_give_the_same,
            weights_come_back_from_a_file,
            pure_fn_is_safe_in_threads,
        )
        for backend in BACKENDS
    ],
    # NumPy is the reference: what is shown for it holds for JAX, whose numbers are the same.
    (gradient_is_that_of_finite_differences, "numpy"),
    (a_row_depends_on_its_own_row_alone, "numpy"),
    (both_backends_give_the_same, "jax"),
    (second_step_compiles_nothing, "jax"),
]
"""Every property, with the backends it is tried on."""

_case = case


# -- helpers ----------------------------------------------------------------------------------------------------------


def bare(arrays: tuple[Any, ...]) -> Any:
    return arrays[0] if len(arrays) == 1 else arrays


def _tuple(y: Any) -> tuple[Any, ...]:
    return tuple(y) if type(y) is tuple else (y,)


def is_float(array: Any) -> bool:
    return bool(array.dtype.kind not in "biu")


def _strided(array: Any) -> Any:
    """The same numbers, column by column in memory, backwards, with gaps between them."""
    return onp.asfortranarray(onp.repeat(array[::-1], 2, axis=0))[::-2]


def _host(array: Any) -> Any:
    return onp.asarray(fastmath.to_host(array))


def _split(arrays: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The arrays of floating-point numbers, and the others; ``()`` in their places."""
    return tuple(a if is_float(a) else () for a in arrays), tuple(() if is_float(a) else a for a in arrays)


def _merge(floats: tuple[Any, ...], whole: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(w if type(f) is tuple else f for f, w in zip(floats, whole, strict=True))


def _perturbed(weights: Tree) -> Tree:
    generator = onp.random.default_rng(3)
    return fastmath.nested_map(lambda w: (w + 0.1 * generator.normal(size=w.shape)).astype(w.dtype), weights)


def _directions(tree: Tree) -> Tree:
    generator = onp.random.default_rng(11)
    return fastmath.nested_map(lambda leaf: generator.normal(size=leaf.shape), tree)


def _to_float64(tree: Tree) -> Tree:
    return fastmath.nested_map(lambda a: _host(a).astype("float64") if is_float(a) else _host(a), tree)


def _structure(tree: Tree) -> Any:
    if isinstance(tree, (tuple, list)):
        return type(tree), [_structure(child) for child in tree]
    return "leaf"


def assert_close(ours: Tree, theirs: Tree, tolerance: float) -> None:
    """Equal but for ``tolerance``, relative to the largest number of each array (or to 1, if that is larger)."""
    left, right = fastmath.tree_leaves(ours), fastmath.tree_leaves(theirs)
    assert len(left) == len(right), f"{len(left)} arrays and {len(right)}"
    for a, b in zip(map(_host, left), map(_host, right), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype), f"{lk.signature(a)} and {lk.signature(b)}"
        if a.dtype.kind in "biu":
            assert (a == b).all(), f"{a} and {b}"
        elif a.size:
            apart = float(onp.abs(a - b).max()) / max(1.0, float(onp.abs(b).max()))
            assert apart <= tolerance, f"{apart:.2g} apart: {a} and {b}"


def assert_same(ours: Tree, theirs: Tree) -> None:
    """Equal in every bit."""
    assert_close(ours, theirs, 0.0)


def _all_equal(ours: Tree, theirs: Tree) -> bool:
    return all(
        onp.array_equal(_host(a), _host(b))
        for a, b in zip(fastmath.tree_leaves(ours), fastmath.tree_leaves(theirs), strict=True)
    )


@contextlib.contextmanager
def _often_switching() -> Iterator[None]:
    """Threads take turns thousands of times a second, so that what they share shows."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
