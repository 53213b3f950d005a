"""The array language on NumPy: NumPy's functions in 32 bits, which notice when they are being differentiated.

Nothing here imports what differentiates, so that programs which never do never load it: ``boxes`` fills
``box_types`` and ``differentiable`` when it is imported, before the first box exists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import numpy as onp

from layerkit.fastmath.numpy import NAMES
from layerkit_plugins.backends.numpy.arrays import PLAIN
from layerkit_plugins.backends.numpy.precision import FLOAT32, narrow
from layerkit_plugins.backends.numpy.silence import is_silent, silently
from layerkit_plugins.backends.numpy.stand_ins import as_array, box_types

__all__ = ["UFUNCS", "box_types", "differentiable", "known", "np", "overloaded"]

differentiable: dict[str, Callable[..., Any]] = {}
"""By name, what runs in place of a function of the namespace when one of its arguments is a box."""

UFUNCS = {getattr(onp, n): n for n in NAMES if isinstance(getattr(onp, n), onp.ufunc) and n not in PLAIN}
"""NumPy's universal functions hand a box to its ``__array_ufunc__`` themselves, so that calling them needs no check."""

_TRUTHS = set(
    """
    equal not_equal greater greater_equal less less_equal logical_and logical_not logical_or logical_xor
    isfinite isinf isnan
    """.split()
)
_FROM_SHAPES = set("zeros ones empty eye identity arange".split())
_SHAPES = {"ndim": onp.ndim, "shape": onp.shape, "size": onp.size}
_NEVER_WARN = set("abs ceil conj floor fmax fmin invert maximum minimum negative positive sign trunc".split())
_MOVE_ONLY = set(
    """
    array array_split asarray atleast_1d atleast_2d atleast_3d broadcast_arrays broadcast_to column_stack concatenate
    copy diag diagonal expand_dims flip full full_like hstack meshgrid moveaxis nonzero pad ravel repeat reshape roll
    rot90 select sort split squeeze stack swapaxes take take_along_axis tile transpose tril triu vstack where
    argmax argmin argsort searchsorted count_nonzero all any array_equal empty_like linspace
    ones_like zeros_like
    """.split()
)


def known(x: Any) -> Any:
    """The plain array behind a box, or behind every box in a tuple or list."""
    while type(x) in box_types:
        x = x._value
    if type(x) is tuple or type(x) is list:
        return type(x)(map(known, x))
    return x


def has_box(values: Iterable[Any]) -> bool:
    """Whether one of the values, or of the values in their tuples and lists, is a box."""
    for value in values:
        kind = type(value)
        if kind in box_types or ((kind is tuple or kind is list) and has_box(value)):
            return True
    return False


def _ufunc(ufunc: onp.ufunc, warns: bool) -> Callable[..., Any]:
    def quiet(*args: Any, **kwargs: Any) -> Any:
        out = ufunc(*args, **kwargs)
        return out if out.dtype is FLOAT32 else narrow(out)

    silent = silently(ufunc)

    def careful(*args: Any, **kwargs: Any) -> Any:
        out = ufunc(*args, **kwargs) if is_silent() else silent(*args, **kwargs)
        if out.dtype is FLOAT32:
            return out
        if out.dtype.char == "e" and not any(as_array(known(a)).dtype.char == "e" for a in args):
            # NumPy gives exp of a bool or int8 as float16.
            return careful(*(as_array(a, FLOAT32) for a in args), **kwargs)
        return narrow(out)

    return careful if warns else quiet


def overloaded(name: str, plain: Callable[..., Any], warns: bool = True) -> Callable[..., Any]:
    """``plain``, in 32 bits and without warnings, or ``differentiable[name]`` where an argument is a box."""
    silent = silently(plain)

    def call(*args: Any, **kwargs: Any) -> Any:
        for value in args:
            kind = type(value)
            if kind in box_types or ((kind is tuple or kind is list) and has_box(value)):
                return _differentiate(name, args, kwargs)
        if kwargs and has_box(kwargs.values()):
            return _differentiate(name, args, kwargs)
        out = silent(*args, **kwargs) if warns and not is_silent() else plain(*args, **kwargs)
        return out if getattr(out, "dtype", None) is FLOAT32 else narrow(out)

    return call


def _differentiate(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    rule = differentiable.get(name)
    if rule is not None:
        return rule(*args, **kwargs)
    # What has no rule has no gradient anywhere (argmax, round...): its result is a constant.
    return getattr(np, name)(*known(args), **{key: known(value) for key, value in kwargs.items()})


def _shape_function(f: Callable[..., Any]) -> Callable[..., Any]:
    def call(a: Any, *args: Any) -> Any:
        return f(known(a), *args)

    return call


def _make(name: str) -> Callable[..., Any]:
    function = PLAIN.get(name) or getattr(onp, name)
    if name in _FROM_SHAPES:
        return function
    if name in _SHAPES:
        return _shape_function(_SHAPES[name])
    if not isinstance(function, onp.ufunc):
        return overloaded(name, function, warns=name not in _MOVE_ONLY)
    if name in _TRUTHS:
        return function
    return _ufunc(function, warns=name not in _NEVER_WARN)


def _assemble() -> SimpleNamespace:
    space = SimpleNamespace()
    for name in NAMES:
        function = _make(name)
        if not isinstance(function, onp.ufunc) and name not in _FROM_SHAPES:
            function.__name__, function.__doc__ = name, f"``numpy.{name}``, in 32 bits."
        setattr(space, name, function)
    return space


np = _assemble()
"""Every name of ``layerkit.fastmath.numpy.NAMES``."""
