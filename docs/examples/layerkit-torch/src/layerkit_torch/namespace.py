"""All of NumPy's names that layers may use, and what arrays do by themselves: operators, methods, indexing."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch

from layerkit_torch import creation, elementwise, order, products, reductions, shapes
from layerkit_torch.array import Array, as_array, refusing
from layerkit_torch.dtypes import SCALARS

__all__ = ["np"]

np = SimpleNamespace(
    **{
        name: refusing(function)
        for module in (creation, elementwise, reductions, shapes, products, order)
        for name, function in module.FUNCTIONS.items()
    }
)
"""Every name of ``layerkit.fastmath.numpy.NAMES``."""

_BOTH_SIDES = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "truediv": np.true_divide,
    "floordiv": np.floor_divide,
    "mod": np.mod,
    "divmod": np.divmod,
    "pow": np.power,
    "matmul": np.matmul,
    "and": refusing(elementwise.bits(torch.bitwise_and)),
    "or": refusing(elementwise.bits(torch.bitwise_or)),
    "xor": refusing(elementwise.bits(torch.bitwise_xor)),
    "lshift": refusing(elementwise.bits(torch.bitwise_left_shift)),
    "rshift": refusing(elementwise.bits(torch.bitwise_right_shift)),
}
_COMPARISONS = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}
_METHODS = """
    all any argmax argmin argsort clip conj copy cumprod cumsum diagonal dot max mean min nonzero prod ravel repeat
    round searchsorted squeeze std sum swapaxes take trace var
""".split()


def _is_number(other: Any) -> bool:
    return type(other) in SCALARS or isinstance(other, (Array, list, tuple)) or hasattr(other, "__array__")


def _operator(symbol: str, function: Callable[..., Any], reflected: bool) -> None:
    def forward(self: Array, other: Any) -> Any:
        return function(self, other) if _is_number(other) else NotImplemented

    def backward(self: Array, other: Any) -> Any:
        return function(other, self) if _is_number(other) else NotImplemented

    setattr(Array, f"__{symbol}__", forward)
    if reflected:
        setattr(Array, f"__r{symbol}__", backward)


def _method(name: str) -> None:
    function = getattr(np, name)
    setattr(Array, name, lambda self, *args, **kwargs: function(self, *args, **kwargs))


def _transpose(self: Array, *axes: Any) -> Array:
    return np.transpose(self, (axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes) or None)


for _symbol, _function in _BOTH_SIDES.items():
    _operator(_symbol, _function, True)
for _symbol, _function in _COMPARISONS.items():
    _operator(_symbol, _function, False)
for _name in _METHODS:
    _method(_name)

Array.__neg__ = lambda self: np.negative(self)
Array.__pos__ = lambda self: self
Array.__abs__ = lambda self: np.abs(self)
Array.__invert__ = lambda self: np.invert(self)
Array.__getitem__ = refusing(order.getitem)
Array.T = property(lambda self: np.transpose(self))
Array.astype = lambda self, dtype, *args, **kwargs: as_array(self, dtype)
Array.flatten = lambda self, order="C": np.ravel(self, order)
Array.reshape = lambda self, *shape, order="C": np.reshape(self, shape[0] if len(shape) == 1 else shape, order)
Array.transpose = _transpose
