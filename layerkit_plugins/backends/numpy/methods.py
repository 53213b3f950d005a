"""The methods and operators of a box: those of an array, each the function of the same name."""

from __future__ import annotations

from typing import Any

from layerkit_plugins.backends.numpy import products, reductions, shapes  # noqa: F401  (define gradients)
from layerkit_plugins.backends.numpy.boxes import Box
from layerkit_plugins.backends.numpy.elementwise import astype
from layerkit_plugins.backends.numpy.indexing import getitem
from layerkit_plugins.backends.numpy.namespace import differentiable, known, np

__all__: list[str] = []

_OPERATORS = {
    "add": "add",
    "sub": "subtract",
    "mul": "multiply",
    "truediv": "true_divide",
    "pow": "power",
    "matmul": "matmul",
    "mod": "mod",
    "divmod": "divmod",
}
_METHODS = """
    clip cumprod cumsum diagonal dot max mean min prod ravel repeat squeeze std sum swapaxes take trace var conj copy
""".split()
_CONSTANT_METHODS = "all any argmax argmin argsort nonzero round searchsorted".split()
_COMPARISONS = {
    "eq": "equal",
    "ne": "not_equal",
    "lt": "less",
    "le": "less_equal",
    "gt": "greater",
    "ge": "greater_equal",
    "floordiv": "floor_divide",
}


def _operators(symbol: str, name: str) -> None:
    function = differentiable[name]
    setattr(Box, f"__{symbol}__", lambda self, other: function(self, other))
    setattr(Box, f"__r{symbol}__", lambda self, other: function(other, self))


def _constant_operators(symbol: str, name: str) -> None:
    function = getattr(np, name)
    setattr(Box, f"__{symbol}__", lambda self, other: function(known(self), known(other)))
    if symbol == "floordiv":
        setattr(Box, f"__r{symbol}__", lambda self, other: function(known(other), known(self)))


def _method(name: str) -> None:
    function = getattr(np, name)

    def method(self: Any, *args: Any, out: None = None, **kwargs: Any) -> Any:  # plain NumPy's functions hand on an out
        if out is not None:
            raise TypeError("an array that is being differentiated cannot be written into another (out=)")
        return function(self, *args, **kwargs)

    setattr(Box, name, method)


def _reshape(self: Any, *shape: Any, order: str = "C") -> Any:
    return np.reshape(self, shape[0] if len(shape) == 1 else shape, order)


def _transpose(self: Any, *axes: Any) -> Any:
    return np.transpose(self, axes[0] if len(axes) == 1 else (axes or None))


for _symbol, _name in _OPERATORS.items():
    _operators(_symbol, _name)
for _symbol, _name in _COMPARISONS.items():
    _constant_operators(_symbol, _name)
for _name in _METHODS + _CONSTANT_METHODS:
    _method(_name)

Box.__neg__ = lambda self: differentiable["negative"](self)
Box.__pos__ = lambda self: self
Box.__abs__ = lambda self: differentiable["abs"](self)
Box.__getitem__ = getitem
Box.astype = astype
Box.flatten = lambda self, order="C": np.ravel(self, order)
Box.reshape = _reshape
Box.transpose = _transpose
