"""Dense layers, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import layerkit as lk
from layerkit import arguments
from layerkit import layers as tl

__all__ = ["MLP"]


@lk.example(lk.f32(4, 8))
@arguments.in_own_name
def MLP(
    layer_widths: Sequence[int] = (128, 64),
    activation_fn: Callable[[], lk.Layer] | None = None,
    out_activation: bool = False,
    flatten: bool = True,
    mode: str | None = None,
) -> lk.Layer:
    """y = W_n(... f(W_1 x)): Dense layers of these widths, with an activation between them.

    x: (batch, ...) if flatten, else (..., d)    y: (batch, last width), else (..., last width)

    Args:
        layer_widths: widths of the Dense layers, at least one.
        activation_fn: a constructor of activations, ``tl.Tanh``; Relu unless given.
        out_activation: whether the last Dense layer is followed by an activation too.
        flatten: whether all axes of x but the first are made one.
        mode: accepted, and not needed: nothing here differs between training and evaluation.

    Raises:
        LayerError: a width is no whole number of at least 1, or there is none; the activation is no constructor.

    >>> MLP((16, 2), activation_fn=tl.Tanh, flatten=False)
    Serial[
      Dense_16
      Tanh
      Dense_2
    ]
    """
    widths = arguments.whole_numbers("MLP", "layer_widths", layer_widths)
    activation = arguments.maker("MLP", "activation_fn", tl.Relu if activation_fn is None else activation_fn)
    stack = [layer for width in widths for layer in (tl.Dense(width), activation())]
    if not out_activation:
        stack.pop()
    return lk.Serial(tl.Flatten() if flatten else [], stack)
