"""What stands for an array in its place: a box while it is differentiated, a stand-in while a call is recorded.

Whatever computes with arrays knows of both, and imports neither: a program that never differentiates never loads
``boxes``, and one that calls everything once never loads ``recording``.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as onp

__all__ = ["Attributes", "as_array", "box_types", "has_stand_in", "one_step", "rarely", "stand_in_types"]

_Function = Callable[..., Any]

box_types: set[type] = set()
"""The types that stand for an array while it is differentiated; they may hold a stand-in."""

stand_in_types: set[type] = set()
"""The type of stand-ins, once there may be one."""


class Attributes:
    """What an array tells of itself, for a class that holds one as ``_value``."""

    __slots__ = ()

    shape = property(lambda self: self._value.shape)
    ndim = property(lambda self: self._value.ndim)
    size = property(lambda self: self._value.size)
    dtype = property(lambda self: self._value.dtype)
    nbytes = property(lambda self: self._value.nbytes)
    itemsize = property(lambda self: self._value.itemsize)


def has_stand_in(tree: Any) -> bool:
    """Whether a stand-in is among the values in tuples, lists and dicts."""
    if type(tree) in stand_in_types:
        return True
    if isinstance(tree, dict):
        return any(map(has_stand_in, tree.values()))
    return isinstance(tree, (tuple, list)) and any(map(has_stand_in, tree))


def as_array(a: Any, dtype: Any = None) -> Any:
    """``numpy.asarray(a, dtype)``, which a stand-in may pass."""
    return a._tape.call(onp.asarray, (a, dtype), {}) if type(a) in stand_in_types else onp.asarray(a, dtype)


def one_step(*arrays: int, always: bool = False) -> Callable[[_Function], _Function]:
    """Decorates a function that is recorded as one step: one that looks at numbers, or writes into arrays of its own.

    It must be a function of its arguments alone and write into none of them. Stand-ins are taken for the positions
    ``arrays``; what stands in the others decides, with the shapes, on the shape of the result.
    """

    def decorate(function: _Function) -> _Function:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            for place in arrays:
                if place < len(args) and type(args[place]) in stand_in_types:
                    rest = [value for i, value in enumerate(args) if i not in arrays]
                    if has_stand_in((rest, kwargs)):
                        raise args[place]._tape.refuse(f"the shape of what {function.__name__} gives is computed")
                    return args[place]._tape.call(function, args, kwargs, always)
            return function(*args, **kwargs)

        return call

    return decorate


def rarely(truths: Any) -> bool:
    """Whether one of the truths holds; recorded, a step that raises where one does."""
    while type(truths) in box_types:
        truths = truths._value
    if type(truths) not in stand_in_types:
        return bool(onp.any(truths))
    if truths._value.any():
        raise truths._tape.refuse("something in it holds that rarely does")
    truths._tape.call(_none_of, (truths,), {}, always=True)
    return False


def _none_of(truths: Any) -> Any:
    if truths.any():
        raise ValueError("what was not so when this was recorded is so now")
    return truths
