"""The checks of an optimizer, one idea a file; importing this package fills the list."""

from __future__ import annotations

# In the order of the report: what everything else builds on comes first.
from layerkit.testing.optimizer_checks import form  # isort: skip
from layerkit.testing.optimizer_checks import steps  # isort: skip
from layerkit.testing.optimizer_checks import rows  # isort: skip
from layerkit.testing.optimizer_checks import runs  # isort: skip

__all__ = ["form", "rows", "runs", "steps"]
