"""Numbers in a recorded call: made once into the arrays that NumPy would make of them at each call."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as onp

__all__ = ["with_arrays"]

# Not powers: NumPy computes those of some numbers in another way.
_NAMES = "add subtract multiply true_divide maximum minimum equal not_equal less less_equal greater greater_equal"
_OPERATORS = "add sub mul truediv eq ne lt le gt ge"
_ELEMENTWISE = {getattr(onp, name) for name in _NAMES.split()} | {getattr(operator, n) for n in _OPERATORS.split()}


def with_arrays(function: Callable[..., Any], args: tuple[Any, ...], values: tuple[Any, ...]) -> tuple[Any, ...]:
    """``args``, of which ``values`` are the values, with an array in place of a number beside an array.

    It has the dtype that both have together, so that the result has the same bits.

    >>> with_arrays(operator.mul, (None, 3), (onp.ones(2, onp.float32), 3))
    (None, array(3., dtype=float32))
    """
    if function is onp.where and len(args) == 3:
        return args[0], *_in_arrays(args[1:], values[1:])
    return _in_arrays(args, values) if len(args) == 2 and function in _ELEMENTWISE else args


def _in_arrays(args: tuple[Any, ...], values: tuple[Any, ...]) -> tuple[Any, ...]:
    made = list(args)
    for place, number in enumerate(args):
        beside = values[1 - place]
        if type(number) in (int, float, onp.float32, onp.float64) and _is_plain(beside):
            try:
                made[place] = onp.array(number, onp.result_type(beside, number))
            except OverflowError:
                return args  # NumPy compares with it all the same
    return tuple(made)


def _is_plain(value: Any) -> bool:
    return type(value) is onp.ndarray and value.dtype.kind in "biuf"
