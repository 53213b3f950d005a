"""Rotary positions: features turned by an angle that grows with the position, so that products tell distances."""

from __future__ import annotations

from typing import Any

import layerkit as lk
from layerkit import arguments
from layerkit.fastmath import numpy as np
from layerkit_plugins.layers.inputs import as_float, in_dtype_of, require_rank
from layerkit_plugins.layers.positions import AtPositions, angles_of

__all__ = ["Rotate", "rotate"]


def rotate(x: Any, positions: Any) -> Any:
    """Each pair of features (i, i + d / 2) turned by its position's angle p / 10000^(2 i / d).    x: (..., l, d)

    >>> rotate(np.array([[1.0, 0.0]]), np.array([0])).tolist()
    [[1.0, 0.0]]
    """
    d = x.shape[-1]
    angles = angles_of(positions, d)
    cos, sin = np.cos(angles), np.sin(angles)
    first, second = x[..., : d // 2], x[..., d // 2 :]
    return in_dtype_of(x, np.concatenate([first * cos - second * sin, second * cos + first * sin], axis=-1))


@lk.example(lk.f32(2, 5, 8), n_heads=2)
class Rotate(AtPositions):
    """Each pair of features (i, i + d / 2) turned by the angle p / 10000^(2 i / d), in every head.    x, y: (..., l, d)

    Put behind the Dense layers of queries and of keys, it makes their products depend on distances alone::

        ConfigurableAttention([Dense(64), Rotate(4)], [Dense(64), Rotate(4)], Dense(64), Dense(64), n_heads=4)

    Su et al., "RoFormer", arXiv 2104.09864; pairs of halves, as most libraries have them.

    Args:
        n_heads: how many heads share the features; each is turned alike, with d the features of a head.
        mode: in ``"predict"`` a call brings the positions that follow those of the call before.

    Raises:
        LayerError: the features are not an even number for each head.

    >>> [[round(y, 3) for y in row] for row in Rotate()([[1.0, 0.0], [1.0, 0.0]]).tolist()]
    [[1.0, 0.0], [0.54, 0.841]]
    """

    def __init__(self, n_heads: int = 1, mode: str | None = None) -> None:
        super().__init__(mode=mode)
        self.n_heads = arguments.whole_number("Rotate", "n_heads", n_heads)

    @property
    def is_bare(self) -> bool:
        return self.mode != "predict"

    def forward(self, x: Any) -> Any:
        require_rank(x, 2)
        x = as_float(x)
        length, d = x.shape[-2:]
        if d % (2 * self.n_heads):
            raise lk.LayerError(f"expected an even number of features for each of {self.n_heads} heads, got {d}")
        start, marked = self.starting_at(length)
        positions = start + np.arange(length)
        heads = np.reshape(x, (*x.shape[:-1], self.n_heads, d // self.n_heads))
        turned = rotate(np.swapaxes(heads, -3, -2), positions)
        return marked(np.reshape(np.swapaxes(turned, -3, -2), x.shape))
