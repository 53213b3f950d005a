"""Misuse of the array language: one plain line, and the same line on every backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as onp
import pytest

import layerkit as lk
from layerkit import fastmath as fm
from layerkit.errors import LayerkitError
from layerkit.fastmath import numpy as np


def ones(*shape: int) -> Any:
    return np.ones(shape)


def backward_gives(gradients: Callable[[Any], Any]) -> Any:
    product = fm.custom_vjp(lambda x, y: x * y, lambda x, y: (x * y, x), lambda x, dy: gradients(dy))
    return fm.grad(lambda x, y: np.sum(product(x, y)), (0, 1))(ones(2), ones(2))


MISUSES: dict[str, tuple[Callable[[], Any], str]] = {
    "a gradient of several numbers": (
        lambda: fm.grad(lambda x: x)(ones(3)),
        "returned shape (3,): take its mean or sum",
    ),
    "a gradient of a whole number": (lambda: fm.grad(np.argmax)(ones(3)), "one of dtype int32"),
    "a gradient of a tuple": (lambda: fm.grad(lambda x: (x, x))(ones()), "returned a tuple (with has_aux it returns"),
    "a gradient of nothing": (lambda: fm.grad(lambda x: None)(ones()), "returned a NoneType"),
    "no aux": (lambda: fm.grad(lambda x: x, has_aux=True)(ones()), "returns (number, aux), but this one did not"),
    "too much aux": (
        lambda: fm.grad(lambda x: (x, 1, 2), has_aux=True)(ones()),
        "but this one did not return two things",
    ),
    "no such argument": (lambda: fm.grad(lambda x: x, 1)(ones()), "argument 1 was asked for, but the function got 1"),
    "a gradient for text": (lambda: fm.grad(lambda x: 1.0)("word"), "value cannot be differentiated"),
    "vjp of another shape": (
        lambda: fm.vjp(lambda x: x, ones(2))[1](ones(1)),
        "vjp: a result of shape (2,) got a gradient of shape (1,)",
    ),
    "vjp of too many": (lambda: fm.vjp(lambda x: x, ones(2))[1]((ones(2), ones(2))), "returned 1 arrays, but got 2"),
    "too few custom gradients": (lambda: backward_gives(lambda dy: (dy,)), "returned 1 gradients for 2 arguments"),
    "a custom gradient in two": (lambda: backward_gives(lambda dy: ((dy, dy), dy)), "2 arrays for an argument of 1"),
    "a custom gradient's shape": (
        lambda: backward_gives(lambda dy: (dy, ones(3))),
        "returned a gradient of shape (3,) for an argument of shape (2,)",
    ),
    "scan of two lengths": (lambda: fm.scan(lambda c, x: (c, x), ones(), (ones(3), ones(4))), "got 3, 4"),
    "scan of another length": (lambda: fm.scan(lambda c, x: (c, x), ones(), ones(3), length=5), "got 3, 5"),
    "scan of a number": (
        lambda: fm.scan(lambda c, x: (c, x), ones(), ones()),
        "scan: a single number among the arrays",
    ),
    "scan of one thing": (lambda: fm.scan(lambda c, x: c, ones(), ones(3)), "two things, the next carry and a y, but"),
    "scan of nothing": (lambda: fm.scan(lambda c, x: (c, x), ones(), None), "got none (give a length)"),
    "a growing carry": (
        lambda: fm.scan(lambda c, x: (np.concatenate([c, c]), x), ones(3), ones(2)),
        "scan: the carry went in as float32[3] and came out as float32[6]; it must stay the same",
    ),
    "a widening carry": (
        lambda: fm.scan(lambda c, x: (c + 0.5, x), 0, ones(2)),
        "as int32[] and came out as float32[]",
    ),
    "a growing place": (
        lambda: fm.scan_over(lambda c, z, x: (c, np.concatenate([z, z]), x), ones(), ones(2, 3), ones(2)),
        "scan_over: what replaces arrays of shapes [(3,)] has shapes [(6,)]",
    ),
    "a carry in pieces": (lambda: fm.scan(lambda c, x: ((c, c), x), ones(), ones(2)), "(float32[], float32[])"),
    "a growing loop": (
        lambda: fm.while_loop(lambda c: np.sum(c) < 9, lambda c: np.concatenate([c, c]), ones(2)),
        "while_loop: the carry went in as float32[2] and came out as float32[4]",
    ),
    "map of two lengths": (lambda: fm.map(lambda x: x[0], (ones(3), ones(4))), "map: the arrays must agree"),
    "map of a number": (lambda: fm.map(lambda x: x, ones()), "map: a single number among the arrays has no axis"),
    "cond of several": (
        lambda: fm.cond(ones(2) > 0, abs, abs, ones(2)),
        "cond: the condition is one truth value, got shape (2,)",
    ),
    "vmap of nothing": (lambda: fm.vmap(abs, None)(ones(2)), "vmap: in_axes maps no argument"),
    "vmap of too few": (lambda: fm.vmap(np.add, (0,))(ones(2), ones(2)), "in_axes has 1 entries for 2 arguments"),
    "vmap of two sizes": (lambda: fm.vmap(np.add, (0, 1))(ones(2, 3), ones(2, 4)), "vmap: the arrays must agree"),
    "vmap of a number": (lambda: fm.vmap(abs)(ones()), "vmap: a single number among the arrays"),
    "an id too large": (lambda: fm.take_rows(ones(2, 3), onp.array([0, 7])), "id 7 is outside the table of 2 rows"),
    "an id for no rows": (lambda: fm.take_rows(ones(0, 3), onp.array([0])), "the table, which has no rows"),
    "fractional ids": (lambda: fm.take_rows(ones(2, 3), np.array([0.5])), "ids are whole numbers, got float32"),
    "rows of a number": (lambda: fm.take_rows(1.0, [0]), "take_rows: the table is a single number"),
    "a segment too far": (lambda: fm.segment_sum(ones(2), [0, 2], 2), "id 2 is outside the table of 2 rows"),
    "too few segments": (lambda: fm.segment_sum(ones(2, 3), [0], 2), "of shape (2, 3) take one id each"),
    "segments in a table": (lambda: fm.segment_sum(ones(2, 3), [[0, 1, 0], [1, 0, 1]], 2), "got ids of shape (2, 3)"),
    "half a segment": (
        lambda: fm.segment_sum(ones(2), np.array([0, 1]), 2.5),  # type: ignore[arg-type]
        "segment_sum: num_segments must be a whole number of at least 0, got 2.5",
    ),
    "fewer categories than none": (
        lambda: fm.one_hot(np.array([0]), -1),
        "one_hot: n_categories must be a whole number of at least 0, got -1",
    ),
    "the half largest": (
        lambda: fm.top_k(ones(3), 0.5),  # type: ignore[arg-type]
        "top_k: k must be a whole number, got 0.5",
    ),
    "more than there are": (lambda: fm.top_k(ones(2, 3), 4), "the 4 largest of the last axis of shape (2, 3)"),
    "fewer than none": (lambda: fm.top_k(ones(3), -1), "top_k: the -1 largest"),
    "a slice too far": (
        lambda: fm.update_slice(ones(2, 3), ones(2, 2), 2, 1),
        "update_slice: a part of shape (2, 2) does not fit into (2, 3) from 2 on along axis 1",
    ),
    "a slice too wide": (
        lambda: fm.update_slice(ones(2, 3), ones(1, 2), 0),
        "of shape (1, 2) does not fit into (2, 3)",
    ),
    "a slice of other axes": (lambda: fm.update_slice(ones(2, 3), ones(2), 0), "of shape (2,) does not fit"),
    "a slice along no axis": (lambda: fm.update_slice(ones(2), ones(2), 0, 1), "update_slice: there is no axis 1"),
    "the largest of a number": (lambda: fm.top_k(ones(), 1), "of shape ()"),
    "a kernel too wide": (
        lambda: fm.conv(ones(2, 3, 1), ones(4, 1, 1)),
        "the kernel reaches over 4 on axis 1 of (2, 3, 1), where there are 3: pad with 'SAME', or",
    ),
    "a number of 33 bits": (lambda: np.array([2**32 + 1]), "whole numbers have 32 bits, 4294967297 has more"),
    "ids of 33 bits": (lambda: np.asarray(onp.array([1, 2**32 + 1])), "32 bits, 4294967297 has more: use smaller"),
    "ids of 33 bits to a device": (lambda: fm.to_device(onp.array([-(2**31) - 1])), "32 bits, -2147483649 has more"),
    "shapes that do not fit": (
        lambda: np.add(ones(2, 3), ones(2, 4)),
        "np.add: shapes (2, 3) and (2, 4) do not fit together",
    ),
    "a product that does not fit": (
        lambda: np.matmul(ones(2, 3), ones(2, 3)),
        "np.matmul: shapes (2, 3) and (2, 3) do not",
    ),
    "parts that do not fit": (
        lambda: np.concatenate([ones(2, 3), ones(3, 2)]),
        "np.concatenate: shapes (2, 3) and (3, 2)",
    ),
}


@pytest.mark.parametrize("case", MISUSES)
def test_misuse_reads_the_same_on_every_backend(case: str) -> None:
    pytest.importorskip("jax", reason="backends are compared where jax is installed")
    misuse, says = MISUSES[case]
    lines = {}
    for name in ("numpy", "jax"):
        with lk.use_backend(name), pytest.raises(LayerkitError) as caught:
            misuse()
        lines[name] = str(caught.value)
    assert lines["numpy"] == lines["jax"]
    assert says in lines["numpy"]
    assert "\n" not in lines["numpy"]


@pytest.mark.parametrize("case", [name for name in MISUSES if "id" not in name.split() and "segment too" not in name])
def test_misuse_inside_jit_reads_the_same(case: str) -> None:
    pytest.importorskip("jax")
    misuse, _ = MISUSES[case]
    lines = []
    for f in (misuse, fm.jit(misuse)):
        with lk.use_backend("jax"), pytest.raises(LayerkitError) as caught:
            f()
        lines.append(str(caught.value))
    assert lines[0] == lines[1]


def test_branches_that_differ() -> None:
    """NumPy takes one branch and never sees the other, except where only signatures are asked for."""

    def either(x: Any) -> Any:
        return fm.cond(np.sum(x) > 0, lambda x: x, lambda x: (x, x), x)

    for name in ("numpy", "jax"):
        if name == "jax":
            pytest.importorskip("jax")
        with lk.use_backend(name), pytest.raises(LayerkitError) as caught:
            fm.abstract_eval(either, lk.f32(2))
        assert str(caught.value) == (
            "cond: one branch gives float32[2] and the other (float32[2], float32[2]); both must give the same"
        )


@pytest.mark.parametrize(("index", "axis"), [(6, None), ([0, 2], 0), (-4, 1)], ids=str)
def test_an_index_that_is_known_to_be_outside(index: Any, axis: int | None) -> None:
    """jax.numpy alone would read NaN, and say nothing."""
    pytest.importorskip("jax")
    lines = []
    for name in ("numpy", "jax"):
        with lk.use_backend(name), pytest.raises((IndexError, LayerkitError)) as caught:
            np.take(ones(2, 3), np.array(index), axis)
        lines.append(str(caught.value))
    assert lines[0] == lines[1]
