"""The array language on JAX, where it could differ from NumPy's: ids, whole numbers, precision, traces, threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as onp
import pytest

import layerkit as lk
from layerkit import fastmath as fm
from layerkit.errors import LayerkitError
from layerkit.fastmath import numpy as np

pytest.importorskip("jax", reason="the JAX backend is tested where jax is installed")


@pytest.fixture(autouse=True)
def backend() -> Iterator[Any]:
    with lk.use_backend("jax") as active:
        yield active


TABLE = onp.arange(12, dtype="float32").reshape(4, 3)


@pytest.mark.parametrize(
    "ids",
    [[0, 4], [[3], [-1]], 7, [2**31 - 1], [-(2**31)], [0.5], [True]],
    ids=["beyond", "negative", "one", "far", "far below", "broken", "truth"],
)
def test_ids_outside_the_table_are_refused_in_numpy_s_words(ids: Any) -> None:
    said = []
    for name in ("numpy", "jax"):
        with lk.use_backend(name), pytest.raises(LayerkitError) as caught:
            fm.take_rows(np.array(TABLE), np.array(ids))
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert "\n" not in said[0]


def test_ids_outside_the_table_inside_jit() -> None:
    rows = fm.jit(fm.take_rows)(np.array(TABLE), np.array([[0, 4], [-1, 3]]))
    assert onp.isnan(fm.to_host(rows)).all(-1).tolist() == [[False, True], [True, False]]
    for kind in (onp.int8, onp.uint8, onp.int16, onp.uint32):
        rows = fm.jit(fm.take_rows)(np.array(TABLE), np.array([3, 100]).astype(kind))
        assert onp.isnan(fm.to_host(rows)).all(-1).tolist() == [False, True]


def test_known_ids_are_checked_while_tracing() -> None:
    with pytest.raises(LayerkitError, match="id 4 is outside the table of 4 rows"):
        fm.jit(lambda table: fm.take_rows(table, onp.array([4])))(np.array(TABLE))


def test_ids_are_whole_numbers_inside_jit_too() -> None:
    with pytest.raises(LayerkitError, match="ids are whole numbers, got float32"):
        fm.jit(fm.take_rows)(np.array(TABLE), np.array([1.0]))


def test_an_id_outside_gives_its_gradient_to_no_row() -> None:
    gradient = fm.jit(fm.grad(lambda table, ids: np.sum(np.nan_to_num(fm.take_rows(table, ids)) * 2)))
    got = fm.to_host(gradient(np.array(TABLE), np.array([0, 0, 4, -1])))
    onp.testing.assert_array_equal(got, onp.array([[4.0] * 3, [0] * 3, [0] * 3, [0] * 3], "float32"))


@pytest.mark.parametrize("shape", [(0,), (2, 0), (2, 1, 3), ()], ids=str)
def test_rows_for_ids_of_any_shape(shape: tuple[int, ...]) -> None:
    ids = onp.ones(shape, onp.int32)
    for f in (fm.take_rows, fm.jit(fm.take_rows)):
        onp.testing.assert_array_equal(fm.to_host(f(np.array(TABLE), np.array(ids))), TABLE[ids])


def test_rows_of_whole_numbers_and_of_host_arrays() -> None:
    assert fm.take_rows(onp.arange(8).reshape(4, 2), [1, 3]).tolist() == [[2, 3], [6, 7]]


def test_segments_outside() -> None:
    values = np.array([1.0, 2.0, 4.0])
    assert fm.jit(lambda v, i: fm.segment_sum(v, i, 2))(values, np.array([0, 2, -1])).tolist() == [1.0, 0.0]
    with pytest.raises(LayerkitError, match="id 2 is outside"):
        fm.segment_sum(values, np.array([0, 2, 1]), 2)


class Pair(NamedTuple):
    weights: Any
    counts: Any


def test_whole_numbers_have_a_gradient_of_zeros() -> None:
    pair = Pair(np.array([1.0, 2.0]), {"n": np.array([3, 4]), "on": np.array([True, False])})

    def loss(pair: Pair, scale: Any) -> Any:
        return np.sum(pair.weights * pair.counts["n"] * pair.counts["on"]) * scale

    for f in (fm.grad(loss, argnums=(0, 1)), fm.jit(fm.grad(loss, argnums=[0, 1]))):
        gradient, of_scale = f(pair, np.array(2))
        assert isinstance(gradient, Pair)
        assert gradient.weights.tolist() == [6.0, 0.0]
        assert (gradient.counts["n"].dtype, gradient.counts["n"].tolist()) == (onp.int32, [0, 0])
        assert (gradient.counts["on"].dtype, gradient.counts["on"].tolist()) == (onp.bool_, [False, False])
        assert (of_scale.dtype, of_scale.shape) == (onp.int32, ())
    y, back = fm.vjp(loss, pair, np.array(2))
    gradient, of_scale = back(onp.float64(1.0))
    assert (float(y), gradient.weights.tolist(), of_scale.dtype) == (6.0, [6.0, 0.0], onp.int32)


def test_custom_gradients_beside_whole_numbers() -> None:
    picked = fm.custom_vjp(
        lambda x, i: x[i], lambda x, i: (x[i], (x, i)), lambda saved, dy: (dy * np.ones_like(saved[0]), saved[1] * 0)
    )
    gradients = fm.jit(fm.grad(lambda x, i: 3 * picked(x, i), argnums=(0, 1)))(np.array([1.0, 2.0]), np.array(1))
    assert [g.tolist() for g in gradients] == [[3.0, 3.0], 0]
    assert gradients[1].dtype == onp.int32


def test_auxiliary_results() -> None:
    (value, aux), gradient = fm.value_and_grad(lambda x: (x**2, {"x": x}), has_aux=True)(np.array(3.0))
    assert (float(value), float(aux["x"]), float(gradient)) == (9.0, 3.0, 6.0)


def test_signatures_of_results() -> None:
    def f(pair: Pair, x: Any) -> Any:
        return Pair(pair.weights @ x, None), [x.astype(onp.int32), {"sum": np.sum(x)}], ()

    got = fm.abstract_eval(f, Pair(lk.f32(2, 3), ()), lk.f32(3, 4))
    assert got == (Pair(lk.f32(2, 4), None), [lk.i32(3, 4), {"sum": lk.f32()}], ())
    assert all(type(leaf) is lk.ShapeDtype for leaf in fm.tree_leaves(got))
    assert fm.abstract_eval(lambda x: x, lk.bf16(2)).dtype.name == "bfloat16"


def test_signatures_are_not_remembered_for_a_function() -> None:
    width = 2

    def f(x: Any) -> Any:
        return np.zeros((x.shape[0], width))

    assert fm.abstract_eval(f, lk.f32(5)) == lk.f32(5, 2)
    width = 3
    assert fm.abstract_eval(f, lk.f32(5)) == lk.f32(5, 3)


def test_float64_is_on_inside_alone() -> None:
    before = fm.jit(lambda x: x / 3)
    with fm.float64():
        x = np.array([1.0, 2.0])
        assert (x.dtype, before(x).dtype, np.arange(3).dtype) == (onp.float64, onp.float64, onp.int32)
        assert fm.grad(lambda x: np.sum(x**3))(x).dtype == onp.float64
        assert abs(float(before(x)[0]) - 1 / 3) < 1e-15
    assert np.array([1.0]).dtype == onp.float32
    assert before(np.array([1.0])).dtype == onp.float32


def test_float64_in_one_thread_is_not_on_in_another() -> None:
    meet, seen = threading.Barrier(2, timeout=60), {}

    def work(name: str) -> None:
        with lk.use_backend("jax"):
            if name == "wide":
                with fm.float64():
                    meet.wait()
                    seen[name] = np.array([1.0]).dtype.name
                    meet.wait()
            else:
                meet.wait()
                seen[name] = np.array([1.0]).dtype.name
                meet.wait()

    threads = [threading.Thread(target=work, args=(name,)) for name in ("wide", "narrow")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {"wide": "float64", "narrow": "float32"}


def test_sixty_four_bits_where_nobody_asked(backend: Any) -> None:
    assert backend.canonical(onp.ones(2)).dtype == onp.float32
    assert backend.canonical(onp.arange(2)).dtype == onp.int32
    assert backend.canonical(onp.float64(1)).dtype == onp.float32
    x = np.ones(2)
    assert backend.canonical(x) is x
    assert backend.canonical("text") == "text"


@pytest.mark.parametrize("dtype", [onp.float64, onp.dtype("float64"), "float64", float], ids=str)
def test_a_wide_dtype_is_narrowed_without_a_warning(dtype: Any) -> None:
    assert np.zeros(2, dtype).dtype == np.ones(2, dtype=dtype).dtype == np.array([1, 2], dtype).dtype == onp.float32
    assert np.full((2,), 1, dtype).dtype == np.sum(np.ones(2), 0, dtype).dtype == onp.float32
    assert np.arange(3, dtype=onp.int64).dtype == onp.int32


def test_lists_are_arrays() -> None:
    assert float(np.max([1.0, 3.0])) == 3.0
    assert np.concatenate([[1.0], [2.0, 3.0]]).tolist() == [1.0, 2.0, 3.0]
    assert np.mean([[1, 2], [3, 4]], 0).tolist() == [2.0, 3.0]


def test_to_host_brings_numpy_arrays() -> None:
    tree = Pair(np.ones(2), [np.array(1), {"plain": 2.5, "many": 3}, None, ()])
    host = fm.to_host(tree)
    assert isinstance(host, Pair)
    assert all(type(leaf) is onp.ndarray for leaf in fm.tree_leaves(host))
    assert [leaf.dtype.name for leaf in fm.tree_leaves(host)] == ["float32", "int32", "int32", "float32"]
    assert host.counts[2:] == [None, ()]


def test_traced_values() -> None:
    seen = []
    fm.jit(lambda x: seen.append(fm.is_traced(x)) or x)(np.ones(2))
    assert seen == [True]
    assert not fm.is_traced(np.ones(2))
    assert not fm.is_traced(onp.ones(2))


def test_many_threads_at_once() -> None:
    step = fm.jit(fm.value_and_grad(lambda w, x: np.sum((x @ w) ** 2)))
    results: list[Any] = [None] * 8

    def work(place: int) -> None:
        with lk.use_backend("jax"):
            results[place] = fm.to_host(step(np.full((3, 2), float(place)), np.ones((4 + place % 2, 3))))

    threads = [threading.Thread(target=work, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for place, (value, gradient) in enumerate(results):
        rows = 4 + place % 2
        assert float(value) == rows * 2 * (3 * place) ** 2
        assert (gradient == rows * 2 * 3 * place).all()
