"""What arrays look like, without the arrays: shapes and dtypes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as onp

from layerkit.errors import shown

__all__ = ["ShapeDtype", "bf16", "bool_", "f16", "f32", "f64", "i32", "signature", "u32"]


class _Fields(NamedTuple):
    shape: tuple[int, ...]
    dtype: Any
    max: int | None


class ShapeDtype(_Fields):
    """The shape and dtype of an array; for ids also ``max``, the number of values they may take.

    Args:
        shape: sizes of the axes, a tuple of whole numbers (a list or a single number is accepted).
        dtype: anything NumPy reads as a dtype; float32 unless said.
        max: for integer arrays, example values are drawn from ``0 .. max - 1``.

    Raises:
        TypeError: ``shape`` is not made of whole numbers, or one of them is negative.

    >>> ShapeDtype((2, 3))
    float32[2,3]
    >>> ShapeDtype([2, 3]).shape
    (2, 3)
    """

    __slots__ = ()

    def __new__(cls, shape: Any, dtype: Any = onp.float32, max: int | None = None) -> ShapeDtype:
        sizes = (shape,) if isinstance(shape, int) else shape
        try:
            sizes = tuple(int(size.__index__()) for size in sizes)
        except (TypeError, AttributeError):
            raise TypeError(f"a shape is a tuple of whole numbers, got {shown(shape)}") from None
        if any(size < 0 for size in sizes):
            raise TypeError(f"a shape has no negative sizes, got {shown(shape)}")
        return super().__new__(cls, sizes, onp.dtype(dtype), max)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        product = 1
        for size in self.shape:
            product *= size
        return product

    @property
    def nbytes(self) -> int:
        """Bytes an array of this shape and dtype takes."""
        return self.size * int(self.dtype.itemsize)

    def replace(self, shape: Any = None, dtype: Any = None) -> ShapeDtype:
        """The same signature with another shape or dtype.

        >>> ShapeDtype((2, 3)).replace(shape=(2, 4))
        float32[2,4]
        """
        return ShapeDtype(self.shape if shape is None else shape, self.dtype if dtype is None else dtype, self.max)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ShapeDtype) and self.shape == other.shape and self.dtype == other.dtype

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype))

    def __repr__(self) -> str:
        return f"{self.dtype.name}[{','.join(map(str, self.shape))}]"


def signature(arrays: Any) -> Any:
    """The signature of an array, or of a tuple, list or dict of arrays, in the same structure.

    Signatures and ``None`` pass through unchanged, so either may be given where a signature is due.

    >>> import numpy
    >>> signature((numpy.zeros((2, 3), "float32"), [numpy.arange(4, dtype="int32")]))
    (float32[2,3], [int32[4]])
    """
    if arrays is None or isinstance(arrays, ShapeDtype):
        return arrays
    if isinstance(arrays, dict):
        return {key: signature(value) for key, value in arrays.items()}
    if isinstance(arrays, tuple) and hasattr(arrays, "_fields"):
        return type(arrays)(*map(signature, arrays))
    if isinstance(arrays, (tuple, list)):
        return type(arrays)(map(signature, arrays))
    if hasattr(arrays, "shape") and hasattr(arrays, "dtype"):
        return ShapeDtype(arrays.shape, arrays.dtype)
    as_array = onp.asarray(arrays)
    return ShapeDtype(as_array.shape, _NARROW.get(as_array.dtype, as_array.dtype))


_NARROW = {onp.dtype("float64"): onp.dtype("float32"), onp.dtype("int64"): onp.dtype("int32")}


def _shorthand(name: str, dtype: str) -> Callable[..., ShapeDtype]:
    def make(*shape: int, max: int | None = None) -> ShapeDtype:
        return ShapeDtype(shape, _bfloat16() if dtype == "bfloat16" else dtype, max)

    make.__name__ = make.__qualname__ = name
    make.__doc__ = f"""The signature of an array of {dtype}; for ids, ``max`` is the number of values they take.

    >>> {name}(2, 3).shape
    (2, 3)
    """
    return make


def _bfloat16() -> Any:
    """NumPy's own dtypes have no bfloat16; ml_dtypes (which every jax brings) adds it."""
    import ml_dtypes

    return ml_dtypes.bfloat16


f32 = _shorthand("f32", "float32")
f64 = _shorthand("f64", "float64")
f16 = _shorthand("f16", "float16")
bf16 = _shorthand("bf16", "bfloat16")
i32 = _shorthand("i32", "int32")
u32 = _shorthand("u32", "uint32")
bool_ = _shorthand("bool_", "bool")
