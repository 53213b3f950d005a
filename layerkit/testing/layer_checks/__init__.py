"""The checks of a layer, one idea a file; importing this package fills the list."""

from __future__ import annotations

# In the order of the report: what everything else builds on comes first.
from layerkit.testing.layer_checks import construction  # isort: skip
from layerkit.testing.layer_checks import memory  # isort: skip
from layerkit.testing.layer_checks import initialization  # isort: skip
from layerkit.testing.layer_checks import randomness  # isort: skip
from layerkit.testing.layer_checks import modes  # isort: skip
from layerkit.testing.layer_checks import gradients  # isort: skip
from layerkit.testing.layer_checks import backends  # isort: skip
from layerkit.testing.layer_checks import tracing  # isort: skip
from layerkit.testing.layer_checks import dtypes  # isort: skip
from layerkit.testing.layer_checks import shapes  # isort: skip
from layerkit.testing.layer_checks import numbers  # isort: skip
from layerkit.testing.layer_checks import refusals  # isort: skip
from layerkit.testing.layer_checks import composition  # isort: skip
from layerkit.testing.layer_checks import files  # isort: skip

__all__ = [
    "backends",
    "composition",
    "construction",
    "dtypes",
    "files",
    "gradients",
    "initialization",
    "memory",
    "modes",
    "numbers",
    "randomness",
    "refusals",
    "shapes",
    "tracing",
]
