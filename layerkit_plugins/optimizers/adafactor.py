"""Adafactor: second moments of a matrix kept as one row and one column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import layerkit as lk
from layerkit.fastmath import numpy as np

__all__ = ["Adafactor"]


class Adafactor(lk.Optimizer):
    """w <- w - learning_rate * max(epsilon2, RMS(w)) * u / max(1, RMS(u) / clipping_threshold),  u = g / sqrt(v).

    v <- b v + (1 - b) (g^2 + epsilon1), with b = 1 - (step + 1)^-decay_rate. Of a weight with two axes or more, only
    the means of v over its last axis (r) and over the last but one (c) are kept, and v = r c / mean(r). Shazeer &
    Stern, "Adafactor: adaptive learning rates with sublinear memory cost", ICML 2018, arXiv:1804.04235.
    Slots: ((r, c), m), or (v, m); m, like the weight, only with momentum, else ().

    Args:
        learning_rate: a number, or a function of the step; the share of its own size by which a weight moves.
        factored: whether matrices keep r and c; without it v is kept whole.
        multiply_by_parameter_scale: whether steps are measured in sizes of the weight, max(epsilon2, RMS(w)).
        do_clipping: whether u is scaled down where its RMS is above ``clipping_threshold``.
        do_momentum: whether the steps are averaged: m <- beta1 m + (1 - beta1) step.
        beta1: how much of m stays from step to step, in [0, 1).
        decay_rate: how fast b goes to 1, above 0.
        clipping_threshold: see ``do_clipping``, above 0.
        epsilon1: added to squares of gradients, above 0. (The paper has 1e-30.)
        epsilon2: the size that a weight of zeros counts as, at least 0.
        clip_grad_norm: the norm of all gradients together is scaled down to it, where it is larger.
        weight_decay_rate: decoupled weight decay, see ``lk.Optimizer``. (Trax's Adafactor decays by default.)

    >>> from layerkit.fastmath import numpy as np
    >>> adafactor = Adafactor(0.5)
    >>> weights = np.array([[2.0, 2.0], [2.0, 2.0]])
    >>> slots, opt_params = adafactor.tree_init(weights)
    >>> weights, slots, _ = adafactor.tree_update(0, 0.1 * weights, weights, slots, opt_params)
    >>> weights.tolist(), slots[0][0].shape
    ([[1.0, 1.0], [1.0, 1.0]], (2,))
    """

    limits: ClassVar[Mapping[str, str]] = {
        "beta1": "[0, 1)",
        "decay_rate": "(0, inf)",
        "clipping_threshold": "(0, inf)",
        "epsilon1": "(0, inf)",
        "epsilon2": "[0, inf)",
    }

    def __init__(
        self,
        learning_rate: Any = 0.05,
        factored: bool = True,
        multiply_by_parameter_scale: bool = True,
        do_clipping: bool = True,
        do_momentum: bool = False,
        beta1: float = 0.0,
        decay_rate: float = 0.8,
        clipping_threshold: float = 1.0,
        epsilon1: float = 1e-16,
        epsilon2: float = 1e-3,
        clip_grad_norm: float | None = None,
        weight_decay_rate: float = 0.0,
    ) -> None:
        super().__init__(
            learning_rate,
            clip_grad_norm,
            weight_decay_rate,
            beta1=beta1,
            decay_rate=decay_rate,
            clipping_threshold=clipping_threshold,
            epsilon1=epsilon1,
            epsilon2=epsilon2,
        )
        self._factored = factored
        self._by_scale = multiply_by_parameter_scale
        self._clips = do_clipping
        self._has_momentum = do_momentum

    def _splits(self, param: Any) -> bool:
        return self._factored and len(param.shape) >= 2

    def init(self, param: Any) -> Any:
        v: Any = np.zeros_like(param)
        if self._splits(param):
            v = np.sum(v, axis=-1), np.sum(v, axis=-2)
        return v, np.zeros_like(param) if self._has_momentum else ()

    def update(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> tuple[Any, Any]:
        v, m = slots
        keep = 1 - (step + 1) ** -opt_params.decay_rate
        squares = np.square(grads) + opt_params.epsilon1
        if self._splits(param):
            row, column = v
            row = keep * row + (1 - keep) * np.mean(squares, axis=-1)
            column = keep * column + (1 - keep) * np.mean(squares, axis=-2)
            share = row / np.mean(row, axis=-1, keepdims=True)
            u = grads / (np.sqrt(share)[..., None] * np.sqrt(column)[..., None, :])
            v = row, column
        else:
            v = keep * v + (1 - keep) * squares
            u = grads / np.sqrt(v)
        rate = opt_params.learning_rate
        if self._by_scale:
            rate = rate * np.maximum(_root_mean_square(param), opt_params.epsilon2)
        if self._clips:
            rate = rate / np.maximum(_root_mean_square(u) / opt_params.clipping_threshold, 1)
        u = rate * u
        if self._has_momentum:
            u = m = opt_params.beta1 * m + (1 - opt_params.beta1) * u
        return param - u, (v, m)


def _root_mean_square(x: Any) -> Any:
    return np.sqrt(np.mean(np.square(x)))
