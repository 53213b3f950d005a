"""The name of every array of a layer: a path, as it stands in files, summaries and errors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from layerkit.fastmath import tree_leaves

if TYPE_CHECKING:
    from layerkit.layer import Layer

__all__ = ["leaf_layers", "named_arrays", "names_within", "tensor_paths"]


def tensor_paths(layer: Layer, tree: Any, default: str = "weights") -> list[str]:
    """The path of each leaf of a weights tree, in order: ``["0.Embedding/table", "2.Dense/kernel", "2.Dense/bias"]``.

    A path counts sublayers as they were written; a bare layer's arrays have no number before them.
    """
    return list(_paths(layer, tree, "", default))


def _paths(layer: Layer, tree: Any, prefix: str, default: str) -> Iterator[str]:
    if layer.sublayers and isinstance(tree, tuple) and len(tree) == len(layer.sublayers):
        for index, (sublayer, part) in enumerate(zip(layer.sublayers, tree, strict=True)):
            yield from _paths(sublayer, part, f"{prefix}{index}.{sublayer.kind}/", default)
        return
    bare = layer.weight_name if default == "weights" else layer.state_name
    for name in names_within(tree):
        yield prefix + (name or bare)


def leaf_layers(layer: Layer, tree: Any) -> Iterator[Layer]:
    """The layer that each leaf of a weights tree belongs to, in order."""
    if layer.sublayers and isinstance(tree, tuple) and len(tree) == len(layer.sublayers):
        for sublayer, part in zip(layer.sublayers, tree, strict=True):
            yield from leaf_layers(sublayer, part)
    else:
        yield from [layer] * len(tree_leaves(tree))


def names_within(tree: Any, prefix: str = "") -> Iterator[str]:
    """Names of the leaves inside one layer's tree: fields of named tuples, keys of dicts, positions in tuples."""
    if tree is None:
        return
    if isinstance(tree, dict):
        children = [(str(key), tree[key]) for key in sorted(tree)]
    elif isinstance(tree, tuple) and hasattr(tree, "_fields") and not hasattr(tree, "dtype"):
        children = list(zip(tree._fields, tree, strict=True))
    elif isinstance(tree, (tuple, list)) and not hasattr(tree, "dtype"):
        children = [(str(index), child) for index, child in enumerate(tree)]
    else:
        yield prefix
        return
    for name, child in children:
        yield from names_within(child, f"{prefix}.{name}" if prefix else name)


def named_arrays(layer: Layer, weights: Any, state: Any = ()) -> dict[str, Any]:
    """Every array of weights and state under its path, those of the state behind ``state:``."""
    arrays = dict(zip(tensor_paths(layer, weights), tree_leaves(weights), strict=True))
    paths = tensor_paths(layer, state, "state")
    arrays.update({f"state:{path}": leaf for path, leaf in zip(paths, tree_leaves(state), strict=True)})
    return arrays
