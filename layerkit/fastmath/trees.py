"""Trees: nested tuples, named tuples, lists and dicts with arrays as leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from layerkit.shapes import ShapeDtype

__all__ = ["nested_map", "tree_flatten", "tree_leaves", "tree_parts", "tree_unflatten"]


def nested_map(f: Callable[..., Any], tree: Any, *rest: Any) -> Any:
    """Applies ``f`` to the leaves of ``tree`` (and the leaves in the same places of ``rest``), keeping the structure.

    Dicts are walked by sorted key. ``()`` and ``None`` hold no leaves.

    Raises:
        ValueError: the trees differ in structure.

    >>> nested_map(lambda a, b: a + b, (1, {"w": 2}), (10, {"w": 20}))
    (11, {'w': 22})
    """
    if tree is None:
        return None
    if _is_leaf(tree):
        return f(tree, *rest)
    if not rest:
        if isinstance(tree, dict):
            return {key: nested_map(f, tree[key]) for key in sorted(tree)}
        return rebuild(tree, [nested_map(f, child) for child in tree])
    for other in rest:
        if not isinstance(other, (tuple, list, dict)) or len(other) != len(tree):
            raise ValueError(f"trees differ in structure: {_outline(tree)} and {_outline(other)}")
    if isinstance(tree, dict):
        if any(sorted(other) != sorted(tree) for other in rest):
            raise ValueError(f"trees differ in structure: {_outline(tree)} and {_outline(rest[0])}")
        return {key: nested_map(f, tree[key], *(other[key] for other in rest)) for key in sorted(tree)}
    return rebuild(tree, [nested_map(f, *children) for children in zip(tree, *rest, strict=True)])


def _is_leaf(tree: Any) -> bool:
    # Most are arrays, so that is asked first.
    return not isinstance(tree, (tuple, list, dict)) or isinstance(tree, ShapeDtype)


def rebuild(like: Any, children: list[Any]) -> Any:
    """A tuple, named tuple or list like ``like`` with other children."""
    kind = type(like)
    if kind is tuple:
        return tuple(children)
    return kind(*children) if hasattr(like, "_fields") else kind(children)


def tree_leaves(tree: Any) -> list[Any]:
    """The leaves, from left to right; dicts by sorted key.

    >>> tree_leaves((1, [2, {"b": 4, "a": 3}], ()))
    [1, 2, 3, 4]
    """
    leaves: list[Any] = []
    _collect(tree, leaves)
    return leaves


def _collect(tree: Any, leaves: list[Any]) -> None:
    if tree is None:
        return
    if _is_leaf(tree):
        leaves.append(tree)
        return
    for child in (tree[key] for key in sorted(tree)) if isinstance(tree, dict) else tree:
        _collect(child, leaves)


def tree_parts(tree: Any, like: Any) -> list[Any]:
    """What stands in ``tree`` where ``like`` has its leaves, from left to right; it may be a tree itself.

    Raises:
        ValueError: the trees differ in structure.

    >>> tree_parts({"w": (1, 2), "b": 3}, {"w": "kernel", "b": "bias"})
    [3, (1, 2)]
    """
    parts: list[Any] = []
    nested_map(lambda _, part: parts.append(part), like, tree)
    return parts


def tree_flatten(tree: Any) -> tuple[list[Any], Callable[[list[Any]], Any]]:
    """The leaves, and a function that puts a list of as many leaves back into the same structure.

    >>> leaves, build = tree_flatten((1, {"w": 2}))
    >>> build([leaf * 10 for leaf in leaves])
    (10, {'w': 20})
    """
    return tree_leaves(tree), lambda leaves: tree_unflatten(leaves, tree)


def tree_unflatten(leaves: list[Any], tree: Any) -> Any:
    """``tree`` with its leaves replaced, from left to right.

    Raises:
        ValueError: there are more or fewer leaves than places.

    >>> tree_unflatten([10, 20], (1, {"w": 2}))
    (10, {'w': 20})
    """
    values = iter(leaves)
    missing = object()
    try:
        built = _filled(tree, values)
    except StopIteration:
        raise ValueError(f"the tree has more than {len(leaves)} leaves: {_outline(tree)}") from None
    if next(values, missing) is not missing:
        raise ValueError(f"the tree has fewer than {len(leaves)} leaves: {_outline(tree)}")
    return built


def _filled(tree: Any, values: Iterator[Any]) -> Any:
    if tree is None:
        return None
    if _is_leaf(tree):
        return next(values)
    if isinstance(tree, dict):
        return {key: _filled(tree[key], values) for key in sorted(tree)}
    return rebuild(tree, [_filled(child, values) for child in tree])


def _outline(tree: Any) -> str:
    if isinstance(tree, dict):
        return "{" + ", ".join(map(str, sorted(tree))) + "}"
    if isinstance(tree, (tuple, list)) and not isinstance(tree, ShapeDtype):
        return f"{type(tree).__name__} of {len(tree)}"
    return type(tree).__name__
