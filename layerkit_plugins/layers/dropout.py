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
        self.shared_axes = () if shared_axes is None else dropout_axes("Dropout", "shared_axes", shared_axes)

    def forward(self, x: Any) -> Any:
        return dropped(x, self.rate, self.shared_axes, self)


def dropped(x: Any, rate: float, shared_axes: Sequence[int], layer: lk.Layer) -> Any:
    """``x`` with dropout in a call of training of the layer, drawn with its key."""
    x = as_float(x)
    shared = axes_of(x, tuple(shared_axes))
    if not layer.training or not rate:
        return x
    shape = tuple(1 if axis in shared else size for axis, size in enumerate(x.shape))
    keep = random.bernoulli(layer.rng, 1 - rate, shape)
    return np.where(keep, x / (1 - rate), 0)


def dropout_axes(layer: str, name: str, value: Any) -> tuple[int, ...]:
    """``value``, if it is a tuple of axes, which may be empty."""
    if isinstance(value, (tuple, list)) and not value:
        return ()
    checked = arguments.axes(layer, name, value)
    return checked if isinstance(checked, tuple) else (checked,)
