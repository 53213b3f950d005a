"""RandomLayer: one of two layers, drawn anew at every call."""

from __future__ import annotations

from typing import Any

import layerkit as lk
from layerkit import arguments
from layerkit_plugins.layers.sources import RandomUniform

__all__ = ["RandomLayer"]


@lk.example(
    lk.f32(4, 5),
    layer_a=lk.Fn("Reverse", lambda x: x[..., ::-1]),
    layer_b=None,
    prob_a=0.5,
    expected_failures={"evaluation_needs_no_key": "it draws which layer to run, in every mode"},
)
def RandomLayer(layer_a: Any, layer_b: Any, prob_a: float) -> lk.Layer:
    """y = layer_a(x) with probability prob_a, else layer_b(x); drawn once a call, not once a row.    x, y: (...)

    Args:
        layer_a: a layer; a list is their Serial, ``None`` the identity.
        layer_b: another, with outputs of the same shapes.
        prob_a: how often layer_a is run, in [0, 1].

    Raises:
        LayerError: prob_a is out of range; the two differ in inputs or outputs.

    >>> double, half = lk.Fn("Double", lambda x: 2 * x), lk.Fn("Half", lambda x: x / 2)
    >>> from layerkit.fastmath import random
    >>> float(RandomLayer(double, half, prob_a=1.0)([3.0], rng=random.get_prng(0))[0])
    6.0
    """
    prob_a = arguments.number("RandomLayer", "prob_a", prob_a, at_least=0, at_most=1)
    a, b = lk.Serial(layer_a), lk.Serial(layer_b)
    is_a = lk.Serial(RandomUniform(shape=()), lk.Fn("IsA", lambda draw: draw < prob_a))
    return lk.Cond(is_a, a, b, name="RandomLayer")
