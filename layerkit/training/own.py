"""Copies of arrays that a step may overwrite."""

from __future__ import annotations

from typing import Any

import numpy as onp

from layerkit.fastmath import is_traced, jit, nested_map
from layerkit.fastmath import numpy as np

__all__ = ["copied", "copy"]


def copied(tree: Any) -> Any:
    """The tree with every array copied that can be overwritten: those of a compiled program, and NumPy's own."""
    return nested_map(_copied, tree)


def _copied(leaf: Any) -> Any:
    if is_traced(leaf):
        return np.copy(leaf)
    return leaf.copy() if isinstance(leaf, onp.ndarray) else leaf


copy = jit(copied)
"""The tree with arrays of its own, where that is of use."""
