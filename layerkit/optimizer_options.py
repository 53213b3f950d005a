"""What an optimizer is made with: arguments by name, and numbers that must lie in an interval."""

from __future__ import annotations

import collections
import functools
import inspect
from collections.abc import Mapping
from typing import Any

import numpy as onp

from layerkit.errors import UsageError, suggest
from layerkit.numbers import as_real

__all__ = ["as_code", "by_name", "number", "record"]


def by_name(cls: type[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a constructor by name, before it is called: Python's own message has no "did you mean".

    Raises:
        UsageError: the constructor does not take them.
    """
    parameters = _parameters(cls)
    rest = next((name for name, parameter in parameters.items() if parameter.kind is parameter.VAR_KEYWORD), None)
    for name in kwargs:
        if name not in parameters and rest is None:
            raise UsageError(f"{cls.__name__} has no option {name!r}: {suggest(name, parameters)}")
    try:
        bound = inspect.Signature(list(parameters.values())).bind(*args, **kwargs).arguments
    except TypeError as error:
        raise UsageError(f"{cls.__name__}: {error}; its options are {', '.join(parameters)}") from error
    more = bound.pop(rest, {}) if rest else {}
    return {**bound, **more}


def _parameters(cls: type[Any]) -> dict[str, inspect.Parameter]:
    """The parameters of a constructor, by name, without self."""
    return dict(list(inspect.signature(cls.__init__).parameters.items())[1:])


def as_code(cls: type[Any], learning_rate: Any, arguments: Mapping[str, Any]) -> str:
    """How to make such an optimizer: its learning rate, and those arguments that are not the default."""
    parameters = _parameters(cls)
    shown = {"learning_rate": learning_rate}
    for name, value in arguments.items():
        if name != "learning_rate" and (name not in parameters or value != parameters[name].default):
            shown[name] = value
    return f"{cls.__name__}({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


def number(cls: type[Any], name: str, value: Any, interval: str) -> onp.float32:
    """``value`` as a float32, in which it must lie in ``interval``.

    Raises:
        UsageError: it does not, or is no number.
    """
    found = _as_float32(value)
    if found is not None and _inside(interval, float(found)):
        return found
    rounded = ""
    if found is not None and _inside(interval, float(value)):
        rounded = f", which is {float(found)} in float32"
    default = getattr(_parameters(cls).get(name), "default", inspect.Parameter.empty)
    remedy = "" if default in (inspect.Parameter.empty, value) else f"; the default is {default!r}"
    raise UsageError(f"{cls.__name__}: {name} must be a number in {interval}, got {value!r}{rounded}{remedy}")


def _as_float32(value: Any) -> onp.float32 | None:
    number = as_real(value)
    with onp.errstate(over="ignore"):
        return None if number is None else onp.float32(number)


def _inside(interval: str, x: float) -> bool:
    """Whether ``x`` lies in an interval as mathematicians write it.

    >>> _inside("[0, 1)", 0.0), _inside("[0, 1)", 1.0)
    (True, False)
    """
    low, high = map(float, interval[1:-1].split(","))
    return (low <= x if interval[0] == "[" else low < x) and (x <= high if interval[-1] == "]" else x < high)


@functools.cache
def record(name: str, fields: tuple[str, ...]) -> Any:
    """The class of a record of numbers: one for each optimizer, not for each object: steps are compiled for it."""
    make: Any = collections.namedtuple
    return make(f"{name}Params", fields)
