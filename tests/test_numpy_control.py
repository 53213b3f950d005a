"""Loops, branches and abstract evaluation, the same on both backends; what is refused, in plain words."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as onp
import pytest

import layerkit as lk
from layerkit import fastmath
from layerkit.fastmath import ArrayError, float64, tree_leaves
from layerkit.fastmath import numpy as np
from layerkit_plugins.backends.ids import check_ids

F32, I32 = onp.dtype("float32"), onp.dtype("int32")
BACKENDS = ["numpy", *(["jax"] if importlib.util.find_spec("jax") else [])]
on_both = pytest.mark.parametrize("backend", BACKENDS)

X = onp.array([[0.5, -1.0, 2.0], [1.5, 0.0, -2.5]], F32)
N = onp.array([[3, -1, 2], [0, 5, -2]], I32)
T = onp.array([[True, False, True], [False, False, True]])


class Pair(NamedTuple):
    left: Any
    right: Any


pytestmark = pytest.mark.usefixtures("on_numpy")


# -- Loops and branches -----------------------------------------------------------------------------------------------


@on_both
@pytest.mark.parametrize("reverse", [False, True])
def test_scan_of_trees(backend: str, reverse: bool) -> None:
    def step(carry: Pair, x: Any) -> Any:
        total = carry.left + x["a"] * x["b"]
        return Pair(total, carry.right + 1), {"total": total, "turn": carry.right}

    xs = {"b": onp.arange(4, dtype=F32), "a": onp.ones((4, 2), F32)}
    with lk.use_backend(backend):
        carry, ys = fastmath.to_host(fastmath.scan(step, Pair(np.zeros(2), np.array(0)), xs, reverse=reverse))
    expected = [6, 6, 5, 3] if reverse else [0, 1, 3, 6]
    onp.testing.assert_array_equal(carry.left, [6, 6])
    onp.testing.assert_array_equal(ys["total"][:, 0], expected)
    onp.testing.assert_array_equal(ys["turn"], [3, 2, 1, 0] if reverse else [0, 1, 2, 3])
    assert ys["total"].dtype == F32
    assert ys["turn"].dtype == I32


@on_both
def test_scan_by_length_and_of_nothing(backend: str) -> None:
    with lk.use_backend(backend):
        carry, ys = fastmath.scan(lambda c, _: (c * 2, c), np.array(1.0), None, length=4)
        assert float(carry) == 16
        assert fastmath.to_host(ys).tolist() == [1, 2, 4, 8]
        carry, ys = fastmath.scan(lambda c, x: (c + x[0], (x * 2, None, x > 0)), np.array(1.0), np.zeros((0, 3)))
        assert float(carry) == 1
        assert [tuple(y.shape) for y in tree_leaves(ys)] == [(0, 3), (0, 3)]
        assert [y.dtype for y in tree_leaves(ys)] == [F32, bool]


def test_scan_is_differentiable() -> None:
    def run(w: Any, xs: Any) -> Any:
        carry, ys = fastmath.scan(lambda c, x: (np.tanh(c * w + x), c * x), np.zeros(3, xs.dtype), xs)
        return np.sum(carry) + np.sum(ys * ys)

    with float64():
        rng = onp.random.default_rng(0)
        w, xs = rng.standard_normal(3), rng.standard_normal((5, 3))
        gw, gx = fastmath.grad(run, (0, 1))(w, xs)
        dw, dx = rng.standard_normal(3), rng.standard_normal((5, 3))
        numeric = (float(run(w + 1e-6 * dw, xs + 1e-6 * dx)) - float(run(w - 1e-6 * dw, xs - 1e-6 * dx))) / 2e-6
    assert float((gw * dw).sum() + (gx * dx).sum()) == pytest.approx(numeric, rel=1e-6)


@on_both
def test_cond_while_and_map(backend: str) -> None:
    with lk.use_backend(backend):
        assert float(fastmath.cond(np.array(False), lambda x, y: x, lambda x, y: y, np.array(1.0), np.array(2.0))) == 2
        n, total = fastmath.while_loop(
            lambda c: c[0] < 5, lambda c: (c[0] + 1, c[1] * 2.0), (np.array(0), np.array(1.0))
        )
        assert (int(n), float(total)) == (5, 32)
        doubled, none = fastmath.map(lambda pair: (pair[0] * 2 + pair[1], None), (X, onp.arange(2, dtype=F32)))
        assert none is None
        onp.testing.assert_array_equal(fastmath.to_host(doubled), X * 2 + [[0], [1]])
        g = fastmath.grad(lambda x: fastmath.cond(np.array(True), lambda x: x * 3, lambda x: x, x))(F32.type(1))
        assert float(g) == 3


@on_both
def test_vmap(backend: str) -> None:
    with lk.use_backend(backend):
        onp.testing.assert_array_equal(
            fastmath.to_host(fastmath.vmap(lambda x, y: (x.sum() * y, x), (1, None), (0, 1))(X, np.array(2.0)))[0],
            X.sum(0) * 2,
        )
        y = fastmath.vmap(lambda x, y: {"s": x[0] + x[1][0] + y, "d": x[0] - y}, in_axes=((0, [None]), 0), out_axes=0)(
            (X, [X[0]]), X * 2
        )
        onp.testing.assert_array_equal(fastmath.to_host(y["s"]), X + X[0] + X * 2)
        onp.testing.assert_array_equal(fastmath.to_host(y["d"]), -X)
        nested = fastmath.vmap(fastmath.vmap(lambda a, b: a * b, (None, 0)), (0, None))(np.arange(3), np.arange(4))
        onp.testing.assert_array_equal(fastmath.to_host(nested), onp.outer(range(3), range(4)))
        gradient = fastmath.vmap(fastmath.grad(lambda x: (x**2).sum()))(X)
        onp.testing.assert_array_equal(fastmath.to_host(gradient), 2 * X)


MISUSES: dict[str, tuple[Callable[[], Any], str]] = {
    "scan of two lengths": (lambda: fastmath.scan(lambda c, x: (c, x), 0, (X, X[:1])), "got 1, 2"),
    "scan of a number": (lambda: fastmath.scan(lambda c, x: (c, x), 0, F32.type(1)), "scan: a single number"),
    "scan of nothing": (lambda: fastmath.scan(lambda c, x: (c, x), 0, None), "got none .give a length"),
    "scan with a growing carry": (
        lambda: fastmath.scan(lambda c, x: (np.concatenate([c, c]), x), X[0], X),
        r"carry went in as float32\[3\] and came out as float32\[6\]",
    ),
    "scan with a widening carry": (lambda: fastmath.scan(lambda c, x: (c + 0.5, x), np.array(0), X), "int32.*float32"),
    "cond of several": (lambda: fastmath.cond(T, abs, abs, X), r"one truth value, got shape \(2, 3\)"),
    "vmap of nothing": (lambda: fastmath.vmap(abs, None)(X), "maps no argument"),
    "vmap of too few": (lambda: fastmath.vmap(np.add, (0,))(X, X), "in_axes has 1 entries for 2 arguments"),
    "vmap of two sizes": (lambda: fastmath.vmap(np.add, (0, 1))(X, X), "got 2, 3"),
    "an id too large": (lambda: fastmath.take_rows(X, [[0, 1], [7, 9]]), "id 7 is outside .* of 2 rows .*0 to 1"),
    "a negative id": (lambda: fastmath.take_rows(X, onp.array([0, -1], onp.int32)), "id -1 is outside the table"),
    "a wide id": (lambda: fastmath.take_rows(X, onp.array([2**40])), "id 1099511627776 is outside the table of 2 rows"),
    "an unsigned id": (lambda: fastmath.take_rows(X, onp.array([2**63], onp.uint64)), "id 9223372036854775808 is"),
    "an id for no rows": (lambda: fastmath.take_rows(X[:0], [0]), "id 0 is outside the table, which has no rows"),
    "fractional ids": (lambda: fastmath.take_rows(X, [0.0]), "ids are whole numbers, got float64: convert them"),
    "truths as ids": (lambda: fastmath.take_rows(X, T), "ids are whole numbers, got bool"),
    "rows of a number": (lambda: fastmath.take_rows(1.0, [0]), "single number"),
    "a segment too far": (lambda: fastmath.segment_sum(X, [0, 2], 2), "id 2 is outside the table of 2 rows"),
    "segments of another length": (lambda: fastmath.segment_sum(X, [0], 2), r"\(2, 3\) take one id each .* \(1,\)"),
    "more than there are": (lambda: fastmath.top_k(X, 4), r"the 4 largest of the last axis of shape \(2, 3\)"),
    "einsum of numbers": (lambda: np.einsum(X, [0, 1], [1]), "write the subscripts as a string"),
    "einsum of too many": (lambda: np.einsum("ij", X, X), "is for 1 operands, got 2"),
    "einsum of another rank": (lambda: np.einsum("ijk->i", X), "'ijk' for an operand of 2 axes"),
    "einsum of two sizes": (lambda: np.einsum("ij,jk->ik", X, X), r"'j' is 3 and 2 in shapes \(2, 3\) and \(2, 3\)"),
    "einsum of a new letter": (lambda: np.einsum("ij->ik", X), "takes each letter of the operands once"),
    "pad that cannot be differentiated": (
        lambda: fastmath.grad(lambda x: np.pad(x, 1, "mean").sum())(X), "mode 'mean' has no gradient"),
    "cross of planes": (lambda: fastmath.grad(lambda x: np.cross(x, x).sum())(X[:, :2]), "vectors of 3 numbers, got 2"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISUSES)
def test_misuse_is_one_plain_sentence(name: str) -> None:
    call, message = MISUSES[name]
    with pytest.raises(ArrayError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_check_ids_takes_what_is_right() -> None:
    for ids in ([], [0, 2], onp.array([[2]], onp.uint8), onp.zeros((0, 4), onp.int64)):
        check_ids(ids, 3)


# -- Abstract evaluation ----------------------------------------------------------------------------------------------


@on_both
def test_abstract_eval_of_trees(backend: str) -> None:
    def f(pair: Pair, ids: Any) -> Any:
        return {"rows": fastmath.take_rows(pair.left, ids), "n": ids.sum()}, None, np.log(pair.right) / 0

    with lk.use_backend(backend):
        found = fastmath.abstract_eval(f, Pair(lk.f32(10, 4), lk.f32(3)), lk.i32(2, 5, max=10))
    assert found == ({"rows": lk.f32(2, 5, 4), "n": lk.i32()}, None, lk.f32(3))


@on_both
def test_abstract_eval_takes_no_time_over_loops(backend: str) -> None:
    def f(x: Any) -> Any:
        grown = fastmath.while_loop(lambda c: c < 10, lambda c: c * 2, x[0])  # on zeros it would never end
        carry, ys = fastmath.scan(lambda c, x: (c + x, (c, x > 0)), x[0], np.broadcast_to(x[0], (100_000_000,)))
        return grown, carry, ys, fastmath.map(lambda y: y * 2, x)

    with lk.use_backend(backend):
        found = fastmath.abstract_eval(f, lk.f32(3))
    assert found == (lk.f32(), lk.f32(), (lk.f32(100_000_000), lk.bool_(100_000_000)), lk.f32(3))


def test_abstract_eval_of_a_huge_table() -> None:
    assert fastmath.abstract_eval(fastmath.take_rows, lk.f32(10**9, 1024), lk.i32(2)) == lk.f32(2, 1024)


def test_abstract_eval_lets_a_function_write_into_its_inputs() -> None:
    def f(x: Any) -> Any:
        x[0] = 1
        return x.sum(0)

    for rows in (3, 2**17):  # the second is larger than what is made of real zeros
        assert fastmath.abstract_eval(f, lk.f32(rows, 1024)) == lk.f32(1024)


def test_abstract_eval_narrows_and_takes_arrays() -> None:
    assert fastmath.abstract_eval(lambda n: (n / 2, n.astype(onp.int64)), N) == (lk.f32(2, 3), lk.i32(2, 3))


def test_abstract_eval_hands_errors_on() -> None:
    with pytest.raises(ValueError, match="do not fit together"):
        fastmath.abstract_eval(np.add, lk.f32(2), lk.f32(3))
    assert not fastmath.is_traced(X)


def test_values_cannot_be_looked_at_in_abstract_evaluation_alone() -> None:
    seen = []
    fastmath.abstract_eval(lambda x: seen.append(fastmath.is_traced(x)), lk.f32(2))
    fastmath.grad(lambda x: (seen.append(fastmath.is_traced(x)), x)[1])(F32.type(1))
    assert seen == [True, False]
