"""A layer's weights and state in a safetensors file, each array under its path, with its checksum."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from layerkit.engine.layer_error import LayerError
from layerkit.engine.storing import keep
from layerkit.errors import LayerkitError, warn
from layerkit.fastmath import nested_map, to_device, to_host, tree_leaves, tree_unflatten
from layerkit.fastmath.finite import first_not_finite
from layerkit.files import disk, tensors
from layerkit.tensor_names import named_arrays

if TYPE_CHECKING:
    from layerkit.layer import Layer

__all__ = ["load", "save"]


def save(layer: Layer, path: str | os.PathLike[str], about: Any = None) -> None:
    """Writes the layer's arrays to ``path``, whole or not at all; ``about`` is kept with them, as JSON can hold it."""
    arrays = to_host(named_arrays(layer, layer.weights, layer.state))
    file = Path(path)
    try:
        with disk.writing(file):
            disk.replace(file, tensors.to_bytes(file, arrays, about)[1])
    except LayerkitError as error:
        raise LayerError(f"{layer.name}: {error}") from error


def load(layer: Layer, path: str | os.PathLike[str], weights: Any, state: Any) -> None:
    """Puts the arrays of a file of ``save`` on the layer; ``weights`` and ``state`` say which there have to be.

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
    wanted = named_arrays(layer, weights, state)
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
        warn(f"{where}: {sick}: {remedy}")
    paths = iter(wanted)
    weights = tree_unflatten([found[next(paths)] for _ in tree_leaves(weights)], weights)
    state = tree_unflatten([found[next(paths)] for _ in tree_leaves(state)], state)
    keep(layer, _weights=nested_map(to_device, weights), _state=nested_map(to_device, state))
