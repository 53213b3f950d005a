"""The checks of a recipe, one idea a file; importing this package fills the list."""

from __future__ import annotations

# In the order of the report: what everything else builds on comes first.
from layerkit.testing.recipe_checks import declared  # isort: skip
from layerkit.testing.recipe_checks import trained  # isort: skip
from layerkit.testing.recipe_checks import predicted  # isort: skip

__all__ = ["declared", "predicted", "trained"]
