"""A layer's weights and state in a safetensors file, each array under its path, with its checksum."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerkit.engine.layer_error import LayerError
from layerkit.errors import LayerkitError, LayerkitWarning
from layerkit.fastmath import nested_map, to_device, to_host, tree_leaves, tree_unflatten
from layerkit.fastmath.finite import first_not_finite
from layerkit.files import disk, tensors

if TYPE_CHECKING:
    from layerkit.layer import Layer

__all__ = ["leaf_layers", "load", "named_arrays", "names_within", "save", "tensor_paths"]


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


def save(layer: Layer, path: str | os.PathLike[str], about: Any = None) -> None:
    """Writes the layer's arrays to ``path``, whole or not at all; ``about`` is kept with them, as JSON can hold it."""
    arrays = to_host(named_arrays(layer, layer.weights, layer.state))
    file = Path(path)
    try:
        disk.replace(file, tensors.to_bytes(file, arrays, about)[1])
    except OSError as error:
        raise LayerError(f"{layer.name}: cannot write {os.fspath(path)}: {error.strerror}") from error
    except LayerkitError as error:
        raise LayerError(f"{layer.name}: {error}") from error


def load(layer: Layer, path: str | os.PathLike[str]) -> None:
    """Puts the arrays of a file of ``save`` on the layer, whose own weights say which there have to be.

    Values that are not finite are loaded, with a warning. A file of another program, which has no checksums, is read
    as well.

    Raises:
        LayerError: the file cannot be read, has changed since, or holds other arrays, shapes or dtypes than the layer.
    """
    try:
        found, _ = tensors.read(Path(path), need_seal=False, follow=True)
    except LayerkitError as error:
        raise LayerError(f"{layer.name}: {error}") from error
    where = f"{layer.name}: {os.fspath(path)}"
    wanted = named_arrays(layer, layer.weights, layer.state)
    for name in [*wanted, *found]:
        if name not in found or name not in wanted:
            fault = "is missing" if name not in found else "has no place in this layer"
            raise LayerError(f"{where}: the array {name} {fault}")
    for name, array in wanted.items():
        if found[name].shape != tuple(array.shape) or found[name].dtype != array.dtype:
            raise LayerError(
                f"{where}: {name} is {found[name].dtype}{list(found[name].shape)}, "
                f"and this layer has {array.dtype}{list(array.shape)}"
            )
    if sick := first_not_finite(found):
        remedy = "what it computes means nothing; load an earlier file, or train again"
        warnings.warn(f"{where}: {sick}: {remedy}", LayerkitWarning, stacklevel=3)
    paths = iter(wanted)
    weights, state = layer.weights, layer.state
    weights = tree_unflatten([found[next(paths)] for _ in tree_leaves(weights)], weights)
    state = tree_unflatten([found[next(paths)] for _ in tree_leaves(state)], state)
    layer.weights, layer.state = nested_map(to_device, weights), nested_map(to_device, state)
