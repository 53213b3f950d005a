"""Differentiation on the NumPy backend: gradients of functions of trees, custom gradients, rematerialisation.

Importing this module defines the gradient of everything in the array language.
"""

from __future__ import annotations

import contextvars
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as onp

from layerkit.fastmath import ArrayError, nested_map, tree_leaves, tree_unflatten
from layerkit_plugins.backends.checks import (
    check_cotangents,
    check_differentiable,
    check_fits,
    check_position,
    matched,
    number_and_aux,
)
from layerkit_plugins.backends.numpy import methods  # noqa: F401  (defines boxes' methods, and all gradients)
from layerkit_plugins.backends.numpy.boxes import Box, Node, bundle, is_box, next_trace, pull_back, top_trace, unbox
from layerkit_plugins.backends.numpy.precision import default_float
from layerkit_plugins.backends.numpy.silence import silently
from layerkit_plugins.backends.numpy.stand_ins import as_array, one_step

__all__ = ["custom_vjp", "remat", "value_and_grad", "vjp"]

_Function = Callable[..., Any]


class _Tape:
    """One differentiation: the leaves it is with respect to, boxed, and the way back to them."""

    def __init__(self) -> None:
        self.trace = next_trace()
        self.leaves: list[Any] = []
        self.roots: list[Node | None] = []

    def box(self, tree: Any) -> Any:
        """The tree with its floating-point leaves boxed, one by one."""
        return nested_map(self._box_leaf, tree)

    def _box_leaf(self, leaf: Any) -> Any:
        if not is_box(leaf):
            leaf = as_array(leaf, default_float() if isinstance(leaf, float) else None)
            check_differentiable(leaf.dtype)
        root = Node.root(leaf.dtype) if leaf.dtype.kind in "fcV" else None
        self.leaves.append(leaf)
        self.roots.append(root)
        return leaf if root is None else Box(leaf, self.trace, root)

    def unbox(self, tree: Any) -> Any:
        """The tree with this differentiation's boxes replaced by what they stand for."""
        return nested_map(lambda leaf: unbox(leaf, self.trace), tree)

    def pull(self, results: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
        """The leaves' gradients, given those of the results."""
        ends, gs = [], []
        for result, g in zip(results, cotangents, strict=True):
            if is_box(result) and result._trace == self.trace:
                ends.append(result._node)
                gs.append(g)
        found = pull_back(ends, gs, [root for root in self.roots if root is not None])
        with_roots = iter(found)
        return [
            onp.zeros(leaf.shape, leaf.dtype) if root is None or (g := next(with_roots)) is None else g
            for leaf, root in zip(self.leaves, self.roots, strict=True)
        ]


def _own(gradients: list[Any]) -> list[Any]:
    """Arrays that share no memory with one another or with anything else, so that they may be written."""
    seen: set[int] = set()
    owned = []
    for g in gradients:
        if not is_box(g):
            g = _owned(g, id(g) in seen)
        seen.add(id(g))
        owned.append(g)
    return owned


@one_step(0, always=True)
def _owned(g: Any, given_before: bool) -> Any:
    return onp.array(g) if given_before or not isinstance(g, onp.ndarray) or g.base is not None else g


def value_and_grad(f: _Function, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> _Function:
    """A function that returns ``f``'s value (with its aux) and its gradient for the arguments ``argnums``."""
    positions = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    @silently
    def run(*args: Any, **kwargs: Any) -> Any:
        tape = _Tape()
        boxed = list(args)
        for i in positions:
            check_position(i, len(args))
            boxed[i] = tape.box(args[i])
        result = f(*boxed, **kwargs)
        value, aux = number_and_aux(result, has_aux)
        gradients = _own(tape.pull([value], [onp.ones((), getattr(value, "dtype", None))]))
        value, aux = tape.unbox(value), tape.unbox(aux)
        trees = _deal(gradients, [args[i] for i in positions])
        return ((value, aux) if has_aux else value), (trees[0] if isinstance(argnums, int) else trees)

    return run


def _deal(gradients: list[Any], trees: Sequence[Any]) -> tuple[Any, ...]:
    """The gradients as trees like these, each of which takes its share."""
    given = iter(gradients)
    return tuple(tree_unflatten([next(given) for _ in tree_leaves(tree)], tree) for tree in trees)


def vjp(f: _Function, *primals: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """``f(*primals)``, and the function from its gradient to the gradients of the primals."""
    tape = _Tape()
    result = silently(f)(*map(tape.box, primals))
    results = tree_leaves(result)

    @silently
    def pull(dy: Any) -> tuple[Any, ...]:
        gradients = _own(tape.pull(results, _cotangents(dy, results)))
        return _deal(gradients, primals)

    return tape.unbox(result), pull


def _cotangents(dy: Any, results: list[Any]) -> list[Any]:
    given = [g if is_box(g) else as_array(g) for g in tree_leaves(dy)]
    check_cotangents(results, given)
    return [g.astype(result.dtype) if is_box(result) else g for g, result in zip(given, results, strict=True)]


def custom_vjp(f: _Function, forward: _Function, backward: _Function) -> _Function:
    """``f`` with its own gradient: ``forward(*args) -> (y, residuals)``, ``backward(residuals, dy) -> d args``."""
    return _with_gradient("custom_vjp", f, forward, backward)


def _with_gradient(kind: str, f: _Function, forward: _Function, backward: _Function) -> _Function:
    @functools.wraps(f)
    def call(*args: Any) -> Any:
        top = top_trace(tree_leaves(args))
        if top < 0:
            return _closed(kind, f, top, f(*args))
        plain = nested_map(lambda leaf: unbox(leaf, top), args)
        y, residuals = forward(*plain)
        context = contextvars.copy_context()

        def pull(dy: Any) -> list[Any]:
            counts = [len(tree_leaves(arg)) for arg in args]
            return matched(context.copy().run(backward, residuals, dy), counts)

        return _as_one_step(_closed(kind, f, top, y), args, top, pull)

    return call


def _closed(kind: str, f: _Function, top: int, y: Any) -> Any:
    """``y``, if it depends on the differentiation ``top`` and those inside it through the arguments alone."""
    if any(is_box(leaf) and leaf._trace >= max(top, 0) for leaf in tree_leaves(y)):
        name = getattr(f, "__name__", "the function")
        raise ArrayError(
            f"{kind}: the result of {name} depends on a value being differentiated that it did not get as an argument: "
            "pass it as one"
        )
    return y


def _as_one_step(y: Any, args: tuple[Any, ...], trace: int, pull: Callable[[Any], list[Any]]) -> Any:
    """``y`` as the result of one step, from the boxes of ``trace`` among ``args``, whose gradient is ``pull``."""
    leaves = tree_leaves(args)
    boxed = [i for i, leaf in enumerate(leaves) if is_box(leaf) and leaf._trace == trace]
    results = tree_leaves(y)

    def vjp(cotangents: list[Any]) -> list[Any]:
        filled = [
            onp.zeros(onp.shape(result), result.dtype) if g is None else g
            for g, result in zip(cotangents, plain_results, strict=True)
        ]
        gradients = pull(tree_unflatten(filled, y))
        return [_fitting(gradients[i], leaves[i]) for i in boxed]

    plain_results = [result if hasattr(result, "dtype") else onp.asarray(result) for result in results]
    return tree_unflatten(bundle(results, trace, [leaves[i]._node for i in boxed], vjp), y)


def _fitting(gradient: Any, leaf: Any) -> Any:
    if gradient is None:
        return onp.zeros(leaf.shape, leaf.dtype)
    gradient = gradient if is_box(gradient) else as_array(gradient)
    check_fits(gradient, leaf)
    return gradient


def remat(f: _Function) -> _Function:
    """``f``, run a second time when its gradient is wanted, in the context it was first called in."""
    again = _with_gradient("remat", f, lambda *args: (again(*args), args), lambda args, dy: vjp(f, *args)[1](dy))
    return again
