"""Softmax and its logarithms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import layerkit as lk
from layerkit import arguments, fastmath
from layerkit_plugins.layers.inputs import as_float, full_float, in_dtype_of, require_some

__all__ = ["LogSoftmax", "LogSumExp", "Softmax"]


def _along(name: str, axis: int, f: Callable[[Any, int], Any]) -> lk.Layer:
    one = arguments.whole_number(name, "axis", axis, at_least=None)

    def run(x: Any) -> Any:
        require_some(x, one, f"the {name}")
        return f(as_float(x), one)

    return lk.Fn(name, run)


@lk.example(lk.f32(4, 8))
def Softmax(axis: int = -1) -> lk.Layer:
    """y = exp(x) / sum(exp(x)) along an axis: positive numbers that sum to 1.    x, y: (...)

    Args:
        axis: the axis.

    >>> Softmax()([0.0, 0.0]).tolist()
    [0.5, 0.5]
    """
    return _along("Softmax", axis, lambda x, one: in_dtype_of(x, fastmath.softmax(full_float(x), one)))


@lk.example(lk.f32(4, 8))
def LogSoftmax(axis: int = -1) -> lk.Layer:
    """y = x - log(sum(exp(x))) along an axis: logarithms of probabilities.    x, y: (...)

    Of 16-bit numbers they come in float32: a loss is made of them.

    Args:
        axis: the axis.

    >>> [round(y, 4) for y in LogSoftmax()([0.0, 0.0]).tolist()]
    [-0.6931, -0.6931]
    """
    return _along("LogSoftmax", axis, lambda x, one: fastmath.log_softmax(full_float(x), one))


@lk.example(lk.f32(4, 8))
def LogSumExp(axis: int = -1) -> lk.Layer:
    """y = log(sum(exp(x))) along an axis, which stays, with size 1.    x: (..., n, ...)    y: (..., 1, ...)

    Of 16-bit numbers it comes in float32.

    Args:
        axis: the axis.

    >>> [round(y, 4) for y in LogSumExp()([0.0, 0.0]).tolist()]
    [0.6931]
    """
    return _along("LogSumExp", axis, lambda x, one: fastmath.logsumexp(full_float(x), axis=one, keepdims=True))
