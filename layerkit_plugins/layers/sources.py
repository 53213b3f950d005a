"""Layers that take no input and put an array on the stack: trainable weights, random numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as onp

import layerkit as lk
from layerkit import arguments
from layerkit.errors import shown
from layerkit.fastmath import random
from layerkit.initializers import RandomNormalInitializer
from layerkit_plugins.layers.inputs import bfloat16, first_weights

__all__ = ["RandomUniform", "Weights"]


@lk.example(rows_independent=False, initializer=RandomNormalInitializer(1.0), shape=(4, 3))
class Weights(lk.Layer):
    """y = w, a trainable array; no input.    w, y: shape

    Args:
        initializer: function of (shape, rng) that makes w.
        shape: the shape of w, ``()`` for a single number.
        use_bfloat16: keeps w in bfloat16.

    >>> from layerkit import layers as tl
    >>> temperature = Weights(lambda shape, rng: tl.RandomNormalInitializer(0.0)(shape, rng) + 1)
    >>> weights, state = temperature.init(())
    >>> float(temperature(()))
    1.0
    """

    def __init__(
        self, initializer: Callable[..., Any], shape: int | tuple[int, ...] = (), use_bfloat16: bool = False
    ) -> None:
        super().__init__(n_in=0)
        self.initializer = arguments.function("Weights", "initializer", initializer, "(shape, rng)")
        self.shape = arguments.sizes("Weights", "shape", shape)
        self.dtype = bfloat16("Weights") if use_bfloat16 else None

    def init_weights_and_state(self, signature: Any) -> None:
        self.weights = first_weights("initializer", self.initializer, self.shape, self.rng, self.dtype)

    def forward(self, x: Any) -> Any:
        return self.weights


@lk.example(
    rows_independent=False,
    expected_failures={
        "evaluation_needs_no_key": "it is a source of random numbers, in every mode",
        "computes_in_float64_on_request": "it draws in the dtype it is made with",
    },
    shape=(4, 3),
)
class RandomUniform(lk.Layer):
    """y ~ U[min_val, max_val), new numbers for every key, in training and evaluation; no input.    y: shape

    Args:
        min_val: the lower bound, included.
        max_val: the upper bound, left out; above ``min_val``.
        shape: the shape of y, ``()`` for a single number.
        dtype: a floating-point dtype.
        sync: whether all devices draw the same numbers. They do in either case: one key enters a call.

    Raises:
        LayerError: an argument is out of range, or a call brought no random key.

    >>> layer = RandomUniform(2.0, 3.0, shape=(5,))
    >>> all(2.0 <= number < 3.0 for number in layer((), rng=random.get_prng(0)).tolist())
    True
    """

    def __init__(
        self,
        min_val: float = 0.0,
        max_val: float = 1.0,
        shape: int | tuple[int, ...] = (),
        dtype: Any = onp.float32,
        sync: bool = False,
    ) -> None:
        super().__init__(n_in=0)
        self.min_val = arguments.number("RandomUniform", "min_val", min_val)
        self.max_val = arguments.number("RandomUniform", "max_val", max_val, above=self.min_val)
        self.shape = arguments.sizes("RandomUniform", "shape", shape)
        self.dtype = _float("RandomUniform", dtype)
        self.sync = sync

    def forward(self, x: Any) -> Any:
        drawn = random.uniform(self.rng, self.shape, minval=self.min_val, maxval=self.max_val)
        return drawn.astype(self.dtype)


def _float(layer: str, dtype: Any) -> Any:
    try:
        found = onp.dtype(dtype)
    except TypeError:
        found = None
    if found is None or found.kind in "biucOSUMm":
        raise lk.LayerError(f"{layer}: dtype must be a floating-point one, got {shown(dtype)}")
    return found
