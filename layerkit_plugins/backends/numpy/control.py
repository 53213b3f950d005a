"""Loops and branches as Python's own, and what a function returns found out by running it on zeros."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import numpy as onp

from layerkit.fastmath import nested_map, tree_leaves, tree_unflatten
from layerkit.fastmath.contexts import inside
from layerkit.shapes import ShapeDtype, signature
from layerkit_plugins.backends.checks import (
    check_branches,
    check_carry,
    check_condition,
    leaf_axes,
    loop_length,
    mapped_axes,
)
from layerkit_plugins.backends.numpy.namespace import known, np
from layerkit_plugins.backends.numpy.precision import narrow, narrow_dtype
from layerkit_plugins.backends.numpy.silence import silently

__all__ = ["abstract_eval", "blank", "cond", "is_abstract", "map_slices", "scan", "vmap", "while_loop"]

_Function = Callable[..., Any]

_abstract: ContextVar[bool] = ContextVar("layerkit_numpy_abstract", default=False)

is_abstract = _abstract.get
"""Whether a function is being run on zeros to see what it returns: a loop then takes one turn."""

# Zeros up to this size are asked of the system, which hands out pages only as they are written. Larger ones are one
# number with strides of 0, so that a table of any size can be described; BLAS would be slow on those.
_REAL_ZEROS = 1 << 28


def abstract_eval(f: _Function, *signatures: Any) -> Any:
    """The signature of ``f``'s result for arguments of these signatures."""
    result = inside(_abstract, True, _on_zeros, f, _described(signatures))
    return _described(nested_map(narrow, result))


@silently
def _on_zeros(f: _Function, described: Any) -> Any:
    try:
        return f(*nested_map(blank, described))
    except Exception as error:
        if not _wrote_a_view(error):
            raise
        return f(*nested_map(_zeros, described))


def _described(tree: Any) -> Any:
    return nested_map(signature, tree)


def _zeros(described: ShapeDtype) -> Any:
    return onp.zeros(described.shape, described.dtype)


def blank(described: ShapeDtype) -> Any:
    """Zeros that are there to be looked at for their shape and dtype."""
    if described.nbytes <= _REAL_ZEROS:
        return _zeros(described)
    return onp.broadcast_to(onp.zeros((), described.dtype), described.shape)


def _wrote_a_view(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ValueError) and "read-only" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


@silently
def cond(pred: Any, true_fn: _Function, false_fn: _Function, *operands: Any) -> Any:
    """``true_fn(*operands)`` where ``pred`` holds, else ``false_fn(*operands)``."""
    truth = onp.asarray(known(pred))
    check_condition(truth)
    if _abstract.get():
        return _either(true_fn(*operands), false_fn(*operands))
    return (true_fn if truth else false_fn)(*operands)


def _either(one: Any, other: Any) -> Any:
    """Where nothing is known, both branches are looked at, as a compiler does."""
    check_branches(one, other)
    return one


@silently
def while_loop(cond_fn: _Function, body_fn: _Function, init: Any) -> Any:
    """``body_fn`` applied to ``init`` as long as ``cond_fn`` holds."""
    value = nested_map(_array, init)
    if _abstract.get():
        return body_fn(value)
    first = value
    while onp.asarray(known(cond_fn(value))):
        after = nested_map(narrow, body_fn(value))
        if value is first:
            check_carry("while_loop", value, after)
        value = after
    return value


def scan(f: _Function, init: Any, xs: Any, length: int | None = None, reverse: bool = False) -> tuple[Any, Any]:
    """Loops ``carry, y = f(carry, x)`` over the first axis of ``xs``."""
    return _loop("scan", f, init, xs, length, reverse)


@silently
def _loop(kind: str, f: _Function, init: Any, xs: Any, length: int | None = None, reverse: bool = False) -> Any:
    xs = nested_map(_array, xs)
    count = loop_length(kind, tree_leaves(xs), length)
    carry = nested_map(_array, init)
    turns = _turns(count, reverse)
    if not count:
        example = nested_map(lambda x: ShapeDtype(x.shape[1:], x.dtype), xs)
        return carry, _none_of(abstract_eval(f, _described(carry), example)[1])
    ys: list[Any] = []
    for turn, i in enumerate(turns):
        result = f(carry, nested_map(lambda x, i=i: x[i], xs))
        after = nested_map(narrow, result[0])
        if not turn:
            check_carry(kind, carry, after)
        carry = after
        ys.append(result[1])
    if reverse:
        ys.reverse()
    return carry, _stacked(ys, count)


def _turns(count: int, reverse: bool) -> Iterator[int]:
    if _abstract.get():
        count = min(count, 1)
    return iter(range(count - 1, -1, -1) if reverse else range(count))


def map_slices(f: _Function, xs: Any) -> Any:
    """``f`` of each slice along the first axis of ``xs``, stacked."""
    return _slices("map", f, xs)


def _slices(kind: str, f: _Function, xs: Any) -> Any:
    return _loop(kind, lambda carry, x: (carry, f(x)), (), xs)[1]


def _array(x: Any) -> Any:
    return x if hasattr(x, "dtype") else np.asarray(x)


def _stacked(results: list[Any], count: int) -> Any:
    """The trees as one, each leaf stacked; where only one of ``count`` turns was taken, its result for all of them."""
    columns = zip(*(tree_leaves(result) for result in results), strict=True)
    if len(results) < count:
        leaves = [np.broadcast_to(_array(leaf), (count, *onp.shape(known(leaf)))) for (leaf,) in columns]
    else:
        leaves = [narrow(np.stack(column)) for column in columns]
    return tree_unflatten(leaves, results[0])


def _none_of(described: Any) -> Any:
    return nested_map(lambda y: onp.zeros((0, *y.shape), narrow_dtype(y.dtype)), described)


def vmap(f: _Function, in_axes: Any = 0, out_axes: Any = 0) -> _Function:
    """``f`` mapped over an axis of its arguments, one after the other; results are stacked."""

    def call(*args: Any) -> Any:
        args = nested_map(_array, args)
        axes = mapped_axes(in_axes, args)
        leaves = tree_leaves(args)
        mapped = [np.moveaxis(leaf, axis, 0) for leaf, axis in zip(leaves, axes, strict=True) if axis is not None]

        def one(slices: Any) -> Any:
            given = iter(slices)
            whole = [leaf if axis is None else next(given) for leaf, axis in zip(leaves, axes, strict=True)]
            return f(*tree_unflatten(whole, args))

        results = _slices("vmap", one, mapped)
        moved = [
            np.moveaxis(leaf, 0, axis)
            for leaf, axis in zip(tree_leaves(results), leaf_axes(out_axes, results), strict=True)
        ]
        return tree_unflatten(moved, results)

    return call
