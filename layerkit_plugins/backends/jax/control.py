"""Loops and branches on JAX, checked in the words of every backend before jax finds fault in its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as onp

from layerkit.fastmath import nested_map, tree_leaves
from layerkit.shapes import signature
from layerkit_plugins.backends.checks import check_branches, check_carry, check_condition, loop_length, mapped_axes
from layerkit_plugins.backends.numpy.precision import given

__all__ = ["as_array", "cond", "map_slices", "scan", "scan_over", "vmap", "while_loop"]

_Function = Callable[..., Any]


def as_array(x: Any) -> Any:
    """Plain numbers as arrays: jax gives a bare Python number a weak type, for which programs are compiled again."""
    return x if isinstance(x, jax.Array) else given(onp.asarray(x))


def scan(f: _Function, init: Any, xs: Any, length: int | None = None, reverse: bool = False) -> tuple[Any, Any]:
    """Loops ``carry, y = f(carry, x)`` over the first axis of ``xs``."""
    xs = nested_map(as_array, xs)
    loop_length("scan", tree_leaves(xs), length)

    def step(carry: Any, x: Any) -> tuple[Any, Any]:
        after, y = f(carry, x)
        check_carry("scan", carry, after)
        return after, y

    last, ys = jax.lax.scan(step, nested_map(as_array, init), xs, length, reverse)
    return last, ys


def scan_over(f: _Function, init: Any, over: Any, xs: Any, reverse: bool = False) -> tuple[Any, Any, Any]:
    """Loops ``carry, z, y = f(carry, z, x)``; as part of the carry, ``over`` is written in place."""
    over, xs = nested_map(as_array, over), nested_map(as_array, xs)
    count = loop_length("scan", tree_leaves((over, xs)), None)

    def step(carry: Any, x: Any) -> tuple[Any, Any]:
        (before, over), (i, x) = carry, x
        z = jax.tree.map(lambda whole: jax.lax.dynamic_index_in_dim(whole, i, keepdims=False), over)
        after, z, y = f(before, z, x)
        check_carry("scan", before, after)
        write = lambda whole, part: jax.lax.dynamic_update_index_in_dim(whole, part.astype(whole.dtype), i, 0)
        return (after, jax.tree.map(write, over, z)), y

    turns = onp.arange(count, dtype=onp.int32)
    (last, over), ys = jax.lax.scan(step, (nested_map(as_array, init), over), (turns, xs), reverse=reverse)
    return last, over, ys


def map_slices(f: _Function, xs: Any) -> Any:
    """``f`` of each slice along the first axis of ``xs``, stacked."""
    xs = nested_map(as_array, xs)
    loop_length("map", tree_leaves(xs))
    return jax.lax.map(f, xs)


def while_loop(cond_fn: _Function, body_fn: _Function, init: Any) -> Any:
    """``body_fn`` applied to ``init`` as long as ``cond_fn`` holds."""

    def body(value: Any) -> Any:
        after = body_fn(value)
        check_carry("while_loop", value, after)
        return after

    return jax.lax.while_loop(cond_fn, body, nested_map(as_array, init))


def cond(pred: Any, true_fn: _Function, false_fn: _Function, *operands: Any) -> Any:
    """``true_fn(*operands)`` where ``pred`` holds, else ``false_fn(*operands)``."""
    check_condition(pred)
    given: dict[bool, Any] = {}

    def branch(truth: bool, f: _Function) -> _Function:
        def run(*args: Any) -> Any:
            result = f(*args)
            given[truth] = nested_map(signature, result)
            if len(given) == 2:
                check_branches(given[True], given[False])
            return result

        return run

    return jax.lax.cond(pred, branch(True, true_fn), branch(False, false_fn), *operands)


def vmap(f: _Function, in_axes: Any = 0, out_axes: Any = 0) -> _Function:
    """``f`` mapped over an axis of its arguments; results are stacked."""
    mapped = jax.vmap(f, tuple(in_axes) if isinstance(in_axes, list) else in_axes, out_axes)

    def call(*args: Any) -> Any:
        args = nested_map(as_array, args)
        mapped_axes(in_axes, args)
        return mapped(*args)

    return call
