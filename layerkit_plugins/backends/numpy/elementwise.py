"""Gradients of the functions that work element by element.

They are written so that they stay in 32 bits, and stay finite where the derivative is: at 0, at ties, where an
exponential overflows. Functions that are rare in models, and need no such care, have autograd's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as onp

from layerkit_plugins.backends.numpy.boxes import defvjp, primitive
from layerkit_plugins.backends.numpy.namespace import differentiable, known, np
from layerkit_plugins.backends.numpy.special import erf
from layerkit_plugins.backends.numpy.stand_ins import as_array, one_step

__all__ = ["astype", "fit"]

_AUTOGRADS = """
    arccos arccosh arcsin arcsinh arctan arctan2 arctanh cosh expm1 hypot log10 log1p reciprocal sinh
"""


def fit(g: Any, shape: tuple[int, ...]) -> Any:
    """``g`` summed over the axes along which an array of ``shape`` was broadcast to the shape of ``g``."""
    if g.shape == shape:
        return g
    extra = g.ndim - len(shape)
    stretched = [i + extra for i, size in enumerate(shape) if size == 1 and g.shape[i + extra] != 1]
    return np.reshape(np.sum(g, axis=(*range(extra), *stretched)), shape)


def _define(name: str, *makers: Callable[..., Any]) -> None:
    """Gradients for the arguments of ``np.name``, each ``(answer, *args) -> (g -> cotangent)``."""
    differentiable[name] = function = primitive(getattr(np, name), name)
    defvjp(function, *makers)


def _define_binary(name: str, left: Callable[..., Any], right: Callable[..., Any]) -> None:
    """Gradients ``(g, answer, x, y) -> cotangent`` for both arguments, which may have been broadcast."""
    _define(
        name,
        lambda ans, x, y: lambda g: fit(left(g, ans, x, y), x.shape),
        lambda ans, x, y: lambda g: fit(right(g, ans, x, y), y.shape),
    )


for _name in _AUTOGRADS.split():
    differentiable[_name] = primitive(getattr(np, _name), _name)

_define_binary("add", lambda g, ans, x, y: g, lambda g, ans, x, y: g)
_define_binary("subtract", lambda g, ans, x, y: g, lambda g, ans, x, y: -g)
_define_binary("multiply", lambda g, ans, x, y: g * y, lambda g, ans, x, y: g * x)
_define_binary("true_divide", lambda g, ans, x, y: g / y, lambda g, ans, x, y: -g * ans / y)
_define_binary(
    "mod",
    lambda g, ans, x, y: g,
    lambda g, ans, x, y: -g * np.floor(np.true_divide(x, y)),
)


@one_step(0, 1, 2)
def _share(g: Any, x: Any, y: Any) -> Any:
    """``g`` where x beats y (``g`` is 0 elsewhere), half of it at ties."""
    ties = np.equal(x, y)
    won = g * np.greater(x, y)
    return won + g * (ties * onp.float32(0.5)) if ties.any() else won


_define_binary("maximum", lambda g, ans, x, y: _share(g, x, y), lambda g, ans, x, y: _share(g, y, x))
_define_binary("minimum", lambda g, ans, x, y: _share(g, y, x), lambda g, ans, x, y: _share(g, x, y))


def _share_unless_nan(g: Any, better: Any, worse: Any, mine: Any, other: Any) -> Any:
    return np.where(np.isnan(other), g * np.logical_not(np.isnan(mine)), _share(g, better, worse))


_define_binary(
    "fmax",
    lambda g, ans, x, y: _share_unless_nan(g, x, y, x, y),
    lambda g, ans, x, y: _share_unless_nan(g, y, x, y, x),
)
_define_binary(
    "fmin",
    lambda g, ans, x, y: _share_unless_nan(g, y, x, x, y),
    lambda g, ans, x, y: _share_unless_nan(g, x, y, y, x),
)


def _power_x(g: Any, ans: Any, x: Any, y: Any) -> Any:
    if isinstance(y, (int, float)):
        return g * y * x ** (y - 1) if y else g * 0
    # Where y is 0 so is the derivative, whatever x ** -1 would be.
    return g * y * np.power(x, np.where(np.equal(y, 0), 1, y - 1))


_define_binary("power", _power_x, lambda g, ans, x, y: g * ans * np.log(np.where(np.equal(x, 0), 1, x)))


def _logaddexp_share(g: Any, ans: Any, x: Any) -> Any:
    # Two times -inf gives -inf, and -inf - -inf would be NaN.
    return g * np.exp(x - np.where(np.equal(ans, -onp.inf), 0, ans))


_define_binary(
    "logaddexp",
    lambda g, ans, x, y: _logaddexp_share(g, ans, x),
    lambda g, ans, x, y: _logaddexp_share(g, ans, y),
)

_define("abs", lambda ans, x: lambda g: np.where(np.greater_equal(x, 0), g, -g))
_define("negative", lambda ans, x: lambda g: -g)
_define("square", lambda ans, x: lambda g: g * 2 * x)
_define("exp", lambda ans, x: lambda g: g * ans)
_define("log", lambda ans, x: lambda g: g / x)
_define("sin", lambda ans, x: lambda g: g * np.cos(x))
_define("cos", lambda ans, x: lambda g: -g * np.sin(x))
_define("positive", lambda ans, x: lambda g: g)
_define("conj", lambda ans, x: lambda g: np.conj(g))
_define("exp2", lambda ans, x: lambda g: g * ans * math.log(2))
_define("log2", lambda ans, x: lambda g: g / (x * math.log(2)))
_define("sqrt", lambda ans, x: lambda g: g * 0.5 / ans)
_define("cbrt", lambda ans, x: lambda g: g / (3 * ans * ans))
_define("tan", lambda ans, x: lambda g: g * (1 + ans * ans))
_define("tanh", lambda ans, x: lambda g: g * (1 - ans * ans))
_define("nan_to_num", lambda ans, x, *args, **kwargs: lambda g: np.where(np.isfinite(x), g, 0))


def _sinc_slope(x: Any) -> Any:
    """The derivative of sin(pi x) / (pi x); near 0, where its terms cancel, by its series."""
    near = np.less(np.abs(x), 0.02)
    far = np.where(near, 1, x)
    a = (math.pi * x) ** 2
    series = -(math.pi**2) * x * (1 / 3 - a * (1 / 30 - a * (1 / 840 - a / 45360)))
    return np.where(near, series, (np.cos(math.pi * far) - np.sinc(far)) / far)


_define("sinc", lambda ans, x: lambda g: g * _sinc_slope(x))


differentiable["erf"] = primitive(erf, "erf")
defvjp(differentiable["erf"], lambda ans, x: lambda g: g * (2 / math.sqrt(math.pi)) * np.exp(-x * x))


def _convert(x: Any, dtype: Any) -> Any:
    return as_array(x).astype(dtype)


_converted = primitive(_convert)
defvjp(_converted, lambda ans, x, dtype: lambda g: astype(g, x.dtype))


def astype(x: Any, dtype: Any, *args: Any, **kwargs: Any) -> Any:
    """``x`` in another dtype. Whole numbers and truths are constants to differentiation."""
    dtype = onp.dtype(dtype)
    if dtype.kind not in "fcV":
        return as_array(known(x)).astype(dtype)
    return x if x.dtype == dtype else _converted(x, dtype)


_where = primitive(np.where, "where")
defvjp(
    _where,
    lambda ans, c, x, y: lambda g: fit(np.where(c, g, 0), x.shape),
    lambda ans, c, x, y: lambda g: fit(np.where(c, 0, g), y.shape),
    argnums=(1, 2),
)


def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None and y is None:
        return np.nonzero(condition)
    return _where(known(condition), x, y)


def clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    low, high = a_min if min is None else min, a_max if max is None else max
    a = a if low is None else np.maximum(a, low)
    return a if high is None else np.minimum(a, high)


def select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    """The first choice whose condition holds."""
    result = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        result = np.where(condition, choice, result)
    return result


def divmod(x1: Any, x2: Any) -> tuple[Any, Any]:
    return np.floor_divide(x1, x2), np.mod(x1, x2)


differentiable.update(
    where=where,
    clip=clip,
    select=select,
    divmod=divmod,
    divide=differentiable["true_divide"],
    remainder=differentiable["mod"],
)
