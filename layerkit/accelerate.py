"""Accelerate: kept for models that were written with it."""

from __future__ import annotations

from typing import Any

from layerkit import arguments
from layerkit.errors import shown, warn
from layerkit.layer import Layer, LayerError

__all__ = ["Accelerate"]


def Accelerate(layer: Layer, n_devices: int | None = None) -> Layer:
    """``layer`` itself: there is nothing to wrap, as ``Loop`` and ``fastmath.jit`` compile whatever layer they get.

    Elsewhere the layer of this name compiles another one and spreads batches over the devices of a machine. Here
    compiling is no property of a layer, and a layer computes on one device.

    Args:
        layer: a layer.
        n_devices: accepted; more than 1 is answered with a warning that says so.

    Raises:
        LayerError: it is no layer, or no number of devices.

    >>> import layerkit as lk
    >>> double = lk.Fn("Double", lambda x: 2 * x)
    >>> Accelerate(double) is double
    True
    """
    if not isinstance(layer, Layer):
        raise LayerError(f"Accelerate: layer is a layer, got {shown(layer)}")
    count: Any = 1 if n_devices is None else arguments.whole_number("Accelerate", "n_devices", n_devices)
    if count > 1:
        warn(f"Accelerate: {layer.name} computes on one device, not on {count}: layerkit does not spread batches")
    return layer
