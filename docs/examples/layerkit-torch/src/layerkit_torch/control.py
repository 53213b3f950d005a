"""Loops and branches as Python's own, and what a function returns found out by running it on zeros."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

import torch

from layerkit.fastmath import ArrayError, nested_map, tree_leaves, tree_unflatten
from layerkit.shapes import ShapeDtype, signature
from layerkit_torch.array import Array, as_array
from layerkit_torch.dtypes import TORCH
from layerkit_torch.namespace import np

__all__ = ["abstract_eval", "cond", "is_abstract", "map_slices", "scan", "vmap", "while_loop"]

_Function = Callable[..., Any]

_abstract: ContextVar[bool] = ContextVar("layerkit_torch_abstract", default=False)

is_abstract = _abstract.get
"""Whether a function is being run on zeros to see what it returns: a loop then takes one turn."""


def abstract_eval(f: _Function, *signatures: Any) -> Any:
    """The signature of ``f``'s result for arguments of these signatures."""
    zeros = nested_map(_zeros, nested_map(signature, signatures))
    token = _abstract.set(True)
    try:
        result = f(*zeros)
    finally:
        _abstract.reset(token)
    return nested_map(lambda leaf: signature(as_array(leaf)), result)


def _zeros(described: ShapeDtype) -> Array:
    # One number seen from every place: a table of any size takes no memory.
    return Array(torch.zeros((), dtype=torch.float32).to(TORCH[described.dtype]).expand(described.shape))


def cond(pred: Any, true_fn: _Function, false_fn: _Function, *operands: Any) -> Any:
    """``true_fn(*operands)`` where ``pred`` holds, else ``false_fn(*operands)``."""
    truth = as_array(pred)
    if truth.shape:
        raise ArrayError(f"cond: the condition is one truth value, got shape {truth.shape}")
    if not is_abstract():
        return (true_fn if truth else false_fn)(*operands)
    one, other = true_fn(*operands), false_fn(*operands)
    if _described(one) != _described(other):
        raise ArrayError(f"cond: one branch gives {_described(one)} and the other {_described(other)}")
    return one


def _described(tree: Any) -> Any:
    return nested_map(lambda x: signature(as_array(x)), tree)


def _check_carry(kind: str, before: Any, after: Any) -> None:
    had, has = _described(before), _described(after)
    if had != has:
        raise ArrayError(f"{kind}: the carry went in as {had} and came out as {has}; it must stay the same")


def while_loop(cond_fn: _Function, body_fn: _Function, init: Any) -> Any:
    """``body_fn`` applied to ``init`` as long as ``cond_fn`` holds."""
    value = nested_map(as_array, init)
    if is_abstract():
        return body_fn(value)
    first = True
    while as_array(cond_fn(value)):
        after = nested_map(as_array, body_fn(value))
        if first:
            _check_carry("while_loop", value, after)
        value, first = after, False
    return value


def scan(f: _Function, init: Any, xs: Any, length: int | None = None, reverse: bool = False) -> tuple[Any, Any]:
    """Loops ``carry, y = f(carry, x)`` over the first axis of ``xs``."""
    return _loop("scan", f, init, xs, length, reverse)


def map_slices(f: _Function, xs: Any) -> Any:
    """``f`` of each slice along the first axis of ``xs``, stacked."""
    return _slices("map", f, xs)


def _slices(kind: str, f: _Function, xs: Any) -> Any:
    return _loop(kind, lambda carry, x: (carry, f(x)), (), xs)[1]


def _loop(kind: str, f: _Function, init: Any, xs: Any, length: int | None = None, reverse: bool = False) -> Any:
    xs, carry = nested_map(as_array, xs), nested_map(as_array, init)
    count = _length(kind, tree_leaves(xs), length)
    if not count:
        slices = nested_map(lambda x: ShapeDtype(x.shape[1:], x.dtype), xs)
        ys = abstract_eval(f, _described(carry), slices)[1]
        return carry, nested_map(lambda y: np.zeros((0, *y.shape), y.dtype), ys)
    results = []
    turns = range(min(count, 1) if is_abstract() else count)
    for turn in reversed(turns) if reverse else turns:
        after, y = f(carry, nested_map(lambda x, turn=turn: x[turn], xs))
        after = nested_map(as_array, after)
        if not results:
            _check_carry(kind, carry, after)
        carry = after
        results.append(y)
    return carry, _stacked(results[::-1] if reverse else results, count)


def _length(kind: str, leaves: Sequence[Any], length: int | None) -> int:
    if not all(x.shape for x in leaves):
        raise ArrayError(f"{kind}: a single number among the arrays has no axis to go along")
    sizes = {x.shape[0] for x in leaves} | (set() if length is None else {length})
    if len(sizes) != 1:
        found = ", ".join(map(str, sorted(sizes))) or "none (give a length)"
        raise ArrayError(f"{kind}: the arrays must agree in the size of the axis to go along, got {found}")
    return sizes.pop()


def _stacked(results: list[Any], count: int) -> Any:
    """The trees as one, each leaf stacked; a single turn taken for all of them stands for each."""
    columns = zip(*(tree_leaves(result) for result in results), strict=True)
    if len(results) < count:
        leaves = [np.broadcast_to(leaf, (count, *as_array(leaf).shape)) for (leaf,) in columns]
    else:
        leaves = [np.stack(column) for column in columns]
    return tree_unflatten(leaves, results[0])


def vmap(f: _Function, in_axes: Any = 0, out_axes: Any = 0) -> _Function:
    """``f`` mapped over an axis of its arguments, one after the other; results are stacked."""

    def call(*args: Any) -> Any:
        args = nested_map(as_array, args)
        leaves, axes = tree_leaves(args), _leaf_axes(in_axes, args)
        mapped = [np.moveaxis(leaf, axis, 0) for leaf, axis in zip(leaves, axes, strict=True) if axis is not None]
        if not mapped:
            raise ArrayError("vmap: in_axes maps no argument")

        def one(slices: Any) -> Any:
            given = iter(slices)
            whole = [leaf if axis is None else next(given) for leaf, axis in zip(leaves, axes, strict=True)]
            return f(*tree_unflatten(whole, args))

        results = _slices("vmap", one, mapped)
        pairs = zip(tree_leaves(results), _leaf_axes(out_axes, results), strict=True)
        return tree_unflatten([np.moveaxis(leaf, 0, axis) for leaf, axis in pairs], results)

    return call


def _leaf_axes(axes: Any, tree: Any) -> list[Any]:
    """An axis for each leaf; ``axes`` has the tree's structure down to any depth."""
    if axes is None or isinstance(axes, int):
        return [axes] * len(tree_leaves(tree))
    if len(axes) != len(tree):
        raise ArrayError(f"vmap: in_axes has {len(axes)} entries for {len(tree)} arguments")
    keys = sorted(tree) if isinstance(tree, dict) else range(len(tree))
    return [axis for key in keys for axis in _leaf_axes(axes[key], tree[key])]
