"""Weightless layers that change each number by itself, or nothing but how it is treated."""

from __future__ import annotations

import sys
from typing import Any

import layerkit as lk
from layerkit import arguments, fastmath
from layerkit.fastmath import numpy as np
from layerkit_plugins.layers.inputs import as_float, default_float

__all__ = ["Negate", "PrintShape", "StopGradient", "ThresholdToBinary", "ToFloat"]


@lk.example(lk.f32(4, 8))
def Negate() -> lk.Layer:
    """y = -x.    x, y: (...); booleans are taken as numbers

    >>> Negate()([1.0, -2.0]).tolist()
    [-1.0, 2.0]
    """
    return lk.Fn("Negate", lambda x: -(as_float(x) if x.dtype.kind == "b" else x))


@lk.example(lk.f32(4, 8), expected_failures={"gradient_of_inputs_is_right": "to stop the gradient is what it is for"})
def StopGradient() -> lk.Layer:
    """y = x, as a constant to differentiation: what lies before it gets no gradient through it.    x, y: (...)

    >>> float(fastmath.grad(lambda x: x * StopGradient()(x))(np.array(3.0)))
    3.0
    """
    return lk.Fn("StopGradient", fastmath.stop_gradient)


@lk.example(lk.f32(4, 8))
def ThresholdToBinary(threshold: float = 0.5) -> lk.Layer:
    """y = 1 where x > threshold, else 0.    x, y: (...); y is int32

    Args:
        threshold: a number.

    >>> ThresholdToBinary()([0.2, 0.5, 0.7]).tolist()
    [0, 0, 1]
    """
    limit = arguments.number("ThresholdToBinary", "threshold", threshold)
    return lk.Fn("ThresholdToBinary", lambda x: (x > limit).astype(np.int32))


@lk.example(lk.i32(4, 8, max=10))
def ToFloat() -> lk.Layer:
    """y = x as float32.    x, y: (...)

    >>> ToFloat()([1, 2]).tolist()
    [1.0, 2.0]
    """
    return lk.Fn("ToFloat", lambda x: x.astype(default_float()))


@lk.example(lk.f32(4, 8))
def PrintShape(n_in: int = 1, msg: str = "") -> lk.Layer:
    """y = x; prints the shapes of its inputs to standard error.    x, y: (...), n_in of them

    It prints when the model is initialized and at each call; where it is compiled, once for each program.

    Args:
        n_in: the number of arrays it shows and hands on.
        msg: printed before the shapes.

    >>> PrintShape(msg="before pooling")([1.0, 2.0]).tolist()
    [1.0, 2.0]
    """
    count = arguments.whole_number("PrintShape", "n_in", n_in)

    def show(*arrays: Any) -> Any:
        shapes = ", ".join(str(tuple(array.shape)) for array in arrays)
        fastmath.impure("PrintShape prints")
        print(f"PrintShape: {msg + ': ' if msg else ''}{shapes}", file=sys.stderr)
        return arrays[0] if count == 1 else arrays

    return lk.PureLayer(show, count, count, "PrintShape")
