"""The checks of a backend, one idea a file; importing this package fills the list."""

from __future__ import annotations

# In the order of the report: what everything else builds on comes first.
from layerkit.testing.backend_checks import protocol  # isort: skip
from layerkit.testing.backend_checks import operations  # isort: skip
from layerkit.testing.backend_checks import random_numbers  # isort: skip
from layerkit.testing.backend_checks import gradients  # isort: skip
from layerkit.testing.backend_checks import control  # isort: skip
from layerkit.testing.backend_checks import rows  # isort: skip
from layerkit.testing.backend_checks import programs  # isort: skip
from layerkit.testing.backend_checks import figures  # isort: skip

__all__ = ["control", "figures", "gradients", "operations", "programs", "protocol", "random_numbers", "rows"]
