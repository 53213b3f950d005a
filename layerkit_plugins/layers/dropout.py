"""Dropout: zeros at random places while training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import layerkit as lk
from layerkit import arguments
from layerkit.fastmath import numpy as np
from layerkit.fastmath import random
from layerkit_plugins.layers.inputs import as_float, axes_of

__all__ = ["Dropout"]


@lk.example(lk.f32(4, 8), rate=0.5)
class Dropout(lk.Layer):
    """y = x k / (1 - rate) while training, k = 0 with probability rate, else 1; y = x in evaluation.    x, y: (...)

    Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, "Dropout", JMLR 15, 2014.

    Args:
        rate: the share of numbers that become 0, in [0, 1).
        shared_axes: axes along which all numbers are dropped or kept together.
        mode: ``"train"`` or ``"eval"`` fixes what a call says otherwise.

    Raises:
        LayerError: ``rate`` is out of range, x has no such axis, or a training call brought no random key.

    >>> dropout = Dropout(0.5)
    >>> dropout(np.ones(4)).tolist()
    [1.0, 1.0, 1.0, 1.0]
    >>> sorted(set(dropout(np.ones(64), rng=random.get_prng(0), training=True).tolist()))
    [0.0, 2.0]
    """

    def __init__(self, rate: float = 0.0, shared_axes: Sequence[int] | None = None, mode: str | None = None) -> None:
        super().__init__(mode=mode)
        self.rate = arguments.fraction("Dropout", "rate", rate)
        self.shared_axes = () if shared_axes is None else _axes(shared_axes)

    def forward(self, x: Any) -> Any:
        x = as_float(x)
        shared = axes_of(x, self.shared_axes)
        if not self.training or not self.rate:
            return x
        shape = tuple(1 if axis in shared else size for axis, size in enumerate(x.shape))
        keep = random.bernoulli(self.rng, 1 - self.rate, shape)
        return np.where(keep, x / (1 - self.rate), 0)


def _axes(shared_axes: Any) -> tuple[int, ...]:
    if isinstance(shared_axes, (tuple, list)) and not shared_axes:
        return ()
    checked = arguments.axes("Dropout", "shared_axes", shared_axes)
    return checked if isinstance(checked, tuple) else (checked,)
