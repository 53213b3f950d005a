"""NumPy's functions of numbers one by one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from layerkit_torch.array import Array, as_array, operands, wrapped
from layerkit_torch.dtypes import SCALARS, TORCH, common_dtype, default_float

__all__ = ["FUNCTIONS", "bits", "floats"]

_Torch = Callable[..., torch.Tensor]


def floats(*values: Any) -> tuple[Any, list[torch.Tensor]]:
    """The operands as floats: whole numbers become float32, as do truths."""
    dtype, tensors = operands(*values)
    if dtype.kind in "fcV":
        return dtype, tensors
    return default_float(), [tensor.to(TORCH[default_float()]) for tensor in tensors]


def _of_floats(f: _Torch) -> Callable[..., Array]:
    def call(*xs: Any) -> Array:
        dtype, tensors = floats(*xs)
        return wrapped(f(*tensors), dtype)

    return call


def _of_any(f: _Torch) -> Callable[..., Array]:
    def call(*xs: Any) -> Array:
        dtype, tensors = operands(*xs)
        return wrapped(f(*tensors), dtype)

    return call


def _numbers(*xs: Any) -> tuple[Any, list[torch.Tensor]]:
    """The operands as numbers: truths are whole ones of 8 bits."""
    dtype, tensors = operands(*xs)
    return (dtype, tensors) if dtype.kind != "b" else operands(*xs, dtype="int8")


def _of_numbers(f: _Torch) -> Callable[..., Array]:
    def call(*xs: Any) -> Array:
        dtype, tensors = _numbers(*xs)
        return wrapped(f(*tensors), dtype)

    return call


def _truth(f: _Torch) -> Callable[..., Array]:
    return lambda *xs: Array(f(*operands(*xs)[1]))


def _abs(x: torch.Tensor) -> torch.Tensor:
    if x.dtype.is_floating_point:
        # At 0 the slope is 1, as on every backend; torch's is 0. The sum makes 0 of -0.
        return torch.where(x >= 0, x + 0, -x)
    return x if x.dtype == torch.bool else torch.abs(x)


def _whole(f: _Torch) -> _Torch:
    """``f``, a rounding to whole numbers, of which whole numbers and truths have no need."""
    return lambda x: f(x) if x.dtype.is_floating_point else x


def _cbrt(x: torch.Tensor) -> torch.Tensor:
    return torch.sign(x) * torch.pow(torch.abs(x), 1 / 3)


def _shared(larger: bool) -> _Torch:
    """fmax or fmin, in which equal numbers share the gradient; torch's gives all of it to the first."""
    pick = torch.maximum if larger else torch.minimum

    def f(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.where(torch.isnan(x), y, torch.where(torch.isnan(y), x, pick(x, y)))

    return f


def _multiply(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return x & y if x.dtype == torch.bool else x * y


def _add(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return x | y if x.dtype == torch.bool else x + y


def _whole_divisor(f: _Torch) -> _Torch:
    """Whole numbers divided by 0 give 0, where torch raises."""

    def call(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        if x.dtype.is_floating_point:
            return f(x, y)
        none = y == 0
        return torch.where(none, 0, f(x, torch.where(none, 1, y)))

    return call


def _floor_divide(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return torch.div(x, y, rounding_mode="floor")


def _real(x: torch.Tensor) -> torch.Tensor:
    return torch.conj(x).resolve_conj() if x.is_complex() else x


def _reciprocal(x: torch.Tensor) -> torch.Tensor:
    return torch.reciprocal(x) if x.dtype.is_floating_point else _whole_divisor(_floor_divide)(torch.ones_like(x), x)


def _power(x: Any, y: Any) -> Array:
    dtype, (base, exponent) = _numbers(x, y)
    if type(y) in SCALARS:
        # By a plain number, of which torch knows that 2 is a square.
        return wrapped(torch.pow(base, y), dtype)
    return wrapped(torch.pow(base, exponent), dtype)


def _round(a: Any, decimals: int = 0) -> Array:
    tensor = as_array(a).tensor
    return Array(torch.round(tensor, decimals=decimals) if tensor.dtype.is_floating_point else tensor)


def _clip(a: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:
    low, high = a_min if min is None else min, a_max if max is None else max
    a = as_array(a) if low is None else FUNCTIONS["maximum"](a, low)
    return a if high is None else FUNCTIONS["minimum"](a, high)


def _where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None and y is None:
        from layerkit_torch.order import nonzero

        return nonzero(condition)
    dtype, (yes, no) = operands(x, y)
    return wrapped(torch.where(as_array(condition).tensor.to(torch.bool), yes, no), dtype)


def _select(condlist: Any, choicelist: Any, default: Any = 0) -> Any:
    result = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        result = _where(condition, choice, result)
    return result


def _nan_to_num(x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Array:
    return Array(torch.nan_to_num(as_array(x).tensor, nan, posinf, neginf))


def _isclose(a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Array:
    return Array(torch.isclose(*operands(a, b)[1], rtol=rtol, atol=atol, equal_nan=equal_nan))


def _array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> Array:
    if as_array(a1).shape != as_array(a2).shape:
        return Array(torch.tensor(False))
    x, y = operands(a1, a2)[1]
    same = (x == y) | (torch.isnan(x) & torch.isnan(y)) if equal_nan else x == y
    return Array(same.all())


def bits(f: _Torch) -> Callable[..., Array]:
    """A function of the bits of whole numbers and truths."""

    def call(*xs: Any) -> Array:
        dtype = common_dtype([x if type(x) in SCALARS else as_array(x) for x in xs])
        if dtype.kind not in "biu":
            raise TypeError(f"bits are those of whole numbers and truths, not of {dtype}")
        return _of_any(f)(*xs)

    return call


def _negative(x: torch.Tensor) -> torch.Tensor:
    if x.dtype == torch.bool:
        raise TypeError("truths have no negative: use np.logical_not")
    return -x


_FLOATS = {
    name: getattr(torch, name)
    for name in """
    arccos arccosh arcsin arcsinh arctan arctan2 arctanh cos cosh exp exp2 expm1 hypot log log10 log1p log2 logaddexp
    sin sinc sinh sqrt tan tanh divide true_divide
    """.split()
}
_ANY = {name: getattr(torch, name) for name in "maximum minimum sign subtract".split()}
_TRUTHS = """
    equal not_equal greater greater_equal less less_equal logical_and logical_or logical_xor logical_not
    isfinite isinf isnan
""".split()
_TORCH_TRUTHS = {"equal": "eq", "not_equal": "ne"}

_mod = _whole_divisor(torch.remainder)
FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: _of_floats(f) for name, f in (_FLOATS | {"cbrt": _cbrt}).items()},
    **{name: _of_any(f) for name, f in _ANY.items()},
    **{name: _truth(getattr(torch, _TORCH_TRUTHS.get(name, name))) for name in _TRUTHS},
    **{name: _of_any(_whole(getattr(torch, name))) for name in ("ceil", "floor", "trunc")},
    "abs": _of_any(_abs),
    "add": _of_any(_add),
    "array_equal": _array_equal,
    "clip": _clip,
    "conj": _of_any(_real),
    "divmod": lambda x, y: (FUNCTIONS["floor_divide"](x, y), FUNCTIONS["mod"](x, y)),
    "floor_divide": _of_numbers(_whole_divisor(_floor_divide)),
    "fmax": _of_any(_shared(True)),
    "fmin": _of_any(_shared(False)),
    "invert": bits(torch.bitwise_not),
    "isclose": _isclose,
    "mod": _of_numbers(_mod),
    "multiply": _of_any(_multiply),
    "nan_to_num": _nan_to_num,
    "negative": _of_any(_negative),
    "positive": _of_any(lambda x: x),
    "power": _power,
    "reciprocal": _of_numbers(_reciprocal),
    "remainder": _of_numbers(_mod),
    "round": _round,
    "select": _select,
    "square": _of_numbers(torch.square),
    "where": _where,
}
"""By NumPy's name."""
