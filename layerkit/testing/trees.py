"""Trees of arrays compared: what does not agree becomes a sentence with the numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as onp

from layerkit import fastmath
from layerkit.shapes import signature
from layerkit.testing.suite import Fault

__all__ = [
    "all_equal",
    "apart",
    "host",
    "is_float",
    "leaves",
    "map_host",
    "require_close",
    "require_same",
    "structure",
]

Tree = Any


def is_float(array: Any) -> bool:
    """Whether an array holds floating-point numbers (bfloat16 among them)."""
    return bool(array.dtype.kind not in "biu")


def host(array: Any) -> Any:
    """An array as a NumPy array; another backend's has to be taken to the host while that backend is active."""
    return array if isinstance(array, onp.ndarray) else onp.asarray(array)


def leaves(tree: Tree) -> list[Any]:
    """The arrays of a tree, as NumPy arrays."""
    return [host(leaf) for leaf in fastmath.tree_leaves(tree)]


def map_host(f: Callable[[Any], Any], tree: Tree) -> Tree:
    """``f`` of every array of a tree, which it gets as a NumPy array."""
    return fastmath.nested_map(lambda leaf: f(host(leaf)), tree)


def structure(tree: Tree) -> str:
    """The form of a tree without its arrays, in words: ``(array, ())``.

    >>> structure((1, [2, {"b": ()}], None))
    '(array, [array, {b: ()}], None)'
    """
    if isinstance(tree, dict):
        return "{" + ", ".join(f"{key}: {structure(tree[key])}" for key in sorted(tree)) + "}"
    if isinstance(tree, (tuple, list)):
        name = type(tree).__name__ if hasattr(tree, "_fields") else ""
        inside = ", ".join(map(structure, tree))
        return f"[{inside}]" if isinstance(tree, list) else f"{name}({inside})"
    return "None" if tree is None else "array"


def apart(ours: Any, theirs: Any) -> float:
    """How far two arrays of one shape are apart, relative to the largest number (or to 1, if that is larger).

    Infinite where one has a NaN or an infinity that the other has not.

    >>> apart(onp.array([1.0, onp.nan]), onp.array([1.5, onp.nan]))
    0.3333333333333333
    """
    a, b = (onp.asarray(array, "float64") for array in (ours, theirs))
    finite = onp.isfinite(a)
    if not onp.array_equal(onp.where(finite, 0.0, a), onp.where(onp.isfinite(b), 0.0, b), equal_nan=True):
        return float("inf")
    a, b = a[finite], b[finite]
    return float(onp.abs(a - b).max()) / max(1.0, float(onp.abs(b).max())) if a.size else 0.0


def require_close(what: str, ours: Tree, theirs: Tree, tolerance: float) -> float:
    """Raises a ``Fault`` unless two trees agree: their form, shapes, dtypes, and numbers but for ``tolerance``.

    Args:
        what: the beginning of the sentence: ``"its output on jax and on numpy"``.
        ours, theirs: the trees.
        tolerance: relative to the largest number of each array, or to 1; whole numbers have to be equal.

    Returns:
        how far they are apart at most.
    """
    if structure(ours) != structure(theirs):
        raise Fault(f"{what} differ in form: {structure(ours)} and {structure(theirs)}")
    worst = 0.0
    for number, (a, b) in enumerate(zip(leaves(ours), leaves(theirs), strict=True)):
        where = what if len(leaves(ours)) == 1 else f"{what} (array {number})"
        if (a.shape, a.dtype) != (b.shape, b.dtype):
            raise Fault(f"{where} differ: {signature(a)} and {signature(b)}")
        far = apart(a, b)
        if far > (tolerance if is_float(a) else 0.0):
            limit = f", more than {tolerance:.2g}" if tolerance and is_float(a) else ""
            raise Fault(f"{where} are {far:.2g} apart{limit}: {_first_apart(a, b)}")
        worst = max(worst, far)
    return worst


def require_same(what: str, ours: Tree, theirs: Tree) -> None:
    """As ``require_close``, to the last bit."""
    require_close(what, ours, theirs, 0.0)


def all_equal(ours: Tree, theirs: Tree) -> bool:
    """Whether two trees of the same form hold the same numbers."""
    pairs = zip(leaves(ours), leaves(theirs), strict=True)
    return all(a.shape == b.shape and onp.array_equal(a, b, equal_nan=is_float(a)) for a, b in pairs)


def _first_apart(a: Any, b: Any) -> str:
    """The first place where two arrays differ most, with both numbers."""
    one, two = (onp.atleast_1d(onp.asarray(array, "float64")) for array in (a, b))
    with onp.errstate(invalid="ignore"):
        gap = onp.abs(one - two)
    gap = onp.where(onp.isnan(one) & onp.isnan(two) | (one == two), 0.0, onp.nan_to_num(gap, nan=onp.inf))
    place = tuple(int(index) for index in onp.unravel_index(int(onp.argmax(gap)), gap.shape))
    return f"{one[place]:.7g} and {two[place]:.7g} at {place if a.ndim else '()'}"
