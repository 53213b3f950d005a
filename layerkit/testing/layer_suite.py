"""The list of a layer's checks; the files of ``layer_checks`` fill it."""

from __future__ import annotations

from layerkit.testing.layer_case import LayerCase
from layerkit.testing.suite import Suite

__all__ = ["LAYERS"]

LAYERS = Suite("layer", "Layers", LayerCase, minimum=25)
