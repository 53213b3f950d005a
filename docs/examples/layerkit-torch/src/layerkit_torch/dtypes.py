"""NumPy's dtypes for torch's, and which of them a result has: NumPy's rules, with 32 bits in place of 64."""

from __future__ import annotations

import functools
from typing import Any

import numpy as onp
import torch

from layerkit.fastmath import float64_enabled

__all__ = ["NUMPY", "SCALARS", "TORCH", "WIDE_UNSIGNED", "common_dtype", "default_float", "narrow_dtype"]

_NAMES = "bool uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 float32 float64 complex64 complex128".split()

TORCH = {onp.dtype(name): getattr(torch, name) for name in _NAMES}
try:
    import ml_dtypes
except ImportError:  # without it NumPy has no bfloat16, and no array can ask for it
    pass
else:
    TORCH[onp.dtype(ml_dtypes.bfloat16)] = torch.bfloat16
NUMPY = {ours: theirs for theirs, ours in TORCH.items()}

WIDE_UNSIGNED = {torch.uint16: torch.int16, torch.uint32: torch.int32, torch.uint64: torch.int64}
"""Dtypes that torch can hold but hardly compute with, each with the signed one of its width."""

SCALARS = {bool: True, int: 1, float: 1.0, complex: 1j}
"""Python's numbers, which take the dtype of the array beside them."""

_NARROW = {"float64": "float32", "int64": "int32", "uint64": "uint32", "complex128": "complex64"}
_NARROW = {onp.dtype(wide): onp.dtype(narrow) for wide, narrow in _NARROW.items()}


def narrow_dtype(dtype: Any) -> Any:
    """The dtype of 32 bits for one of 64, except that floats stay wide inside ``float64()``."""
    dtype = onp.dtype(dtype)
    if dtype not in _NARROW or (dtype.kind in "fc" and float64_enabled()):
        return dtype
    return _NARROW[dtype]


def default_float() -> Any:
    """The dtype of floats that nobody gave one."""
    return onp.dtype(onp.float64 if float64_enabled() else onp.float32)


def common_dtype(values: Any) -> Any:
    """The dtype of a result of these arrays and Python numbers."""
    kinds = tuple(type(value) if type(value) in SCALARS else value.dtype for value in values)
    return _common(kinds, float64_enabled())


@functools.lru_cache(maxsize=4096)
def _common(kinds: tuple[Any, ...], wide: bool) -> Any:
    # `wide` is here for the cache: narrow_dtype asks for it again.
    return narrow_dtype(onp.result_type(*(SCALARS.get(kind, kind) for kind in kinds)))
