"""Which weights are trained, the dtype they are updated in, and clipping by the norm of all gradients."""

from __future__ import annotations

from typing import Any

import numpy as onp

from layerkit.fastmath import is_traced
from layerkit.fastmath import numpy as np

__all__ = ["clipped", "in_dtype", "is_trained", "norm_of", "wide"]


def is_trained(weight: Any) -> bool:
    """Whether an update moves it: whole numbers and booleans have no gradient, an empty array has no numbers."""
    return weight.dtype.kind not in "biu" and 0 not in weight.shape


def wide(dtype: Any) -> Any:
    """The dtype a weight is updated in: float32 for those of 16 bits, in which small steps would vanish."""
    return onp.dtype(onp.float32) if dtype.itemsize < 4 else dtype


def in_dtype(x: Any, dtype: Any) -> Any:
    """``x`` itself, if it has that dtype."""
    return x if x.dtype == dtype else x.astype(dtype)


def norm_of(arrays: list[Any]) -> Any:
    """The square root of the sum of all squares, over the arrays that are trained; ``None`` among them is not."""
    trained = [in_dtype(a, wide(a.dtype)) for a in arrays if a is not None and is_trained(a)]
    squares = [np.sum(np.square(a)) for a in trained]
    return np.sqrt(sum(squares[1:], squares[0])) if squares else onp.float32(0)


def clipped(gradients: list[Any], limit: float, norm: Any) -> list[Any]:
    """Gradients scaled down to a norm of ``limit``, if theirs is larger; ``norm`` is theirs, where it is known."""
    norm = norm_of(gradients) if norm is None else norm
    # limit / max(norm, limit) is exactly 1 for a norm within the limit, and never divides by 0.
    scale = limit / np.maximum(norm, limit)
    if not is_traced(scale) and scale == 1:
        return gradients
    return [g if g is None else g * scale for g in gradients]
