"""Copies of arrays that a compiled step may overwrite."""

from __future__ import annotations

from typing import Any

from layerkit.fastmath import is_traced, jit, nested_map
from layerkit.fastmath import numpy as np

__all__ = ["copied", "copy"]


def copied(tree: Any) -> Any:
    """Inside a compiled program the tree with every array copied; elsewhere the tree itself.

    A backend that compiles hands the memory of donated arguments to the results. One that does not makes new arrays
    anyhow, and a copy would only cost.
    """
    return nested_map(lambda leaf: np.copy(leaf) if is_traced(leaf) else leaf, tree)


copy = jit(copied)
"""The tree with arrays of its own, where that is of use."""
