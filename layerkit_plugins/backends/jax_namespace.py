"""The array language on JAX: jax.numpy's functions, taking lists as NumPy's do and making no 64-bit whole numbers."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as onp

from layerkit.fastmath import float64_enabled
from layerkit.fastmath.numpy import NAMES
from layerkit_plugins.backends.numpy_precision import narrow, narrow_dtype

__all__ = ["np"]

# A list handed to these says what to make, or is several arrays; handed to any other function it is one array.
_TAKE_LISTS = set(
    """
    array asarray broadcast_to column_stack concatenate empty full hstack ones select shape ndim size stack vstack zeros
    """.split()
)

_WIDE = {"float64", "int64", "uint64", "float", "int"}


def _language(name: str) -> Callable[..., Any]:
    function = getattr(jnp, name)
    lists_are_arrays = name not in _TAKE_LISTS

    def call(*args: Any, **kwargs: Any) -> Any:
        # Asked for 64 bits, jax would warn that it has none, or in float64() give 64-bit whole numbers too.
        if "dtype" in kwargs and kwargs["dtype"] is not None:
            kwargs["dtype"] = narrow_dtype(kwargs["dtype"])
        for place, value in enumerate(args):
            if isinstance(value, (type, onp.dtype)) or (isinstance(value, str) and value in _WIDE):
                args = (*args[:place], narrow_dtype(value), *args[place + 1 :])
        if lists_are_arrays and args and isinstance(args[0], (list, tuple)):
            args = (jnp.asarray(args[0]), *args[1:])
        result = function(*args, **kwargs)
        return jax.tree.map(narrow, result) if float64_enabled() else result

    call.__name__ = call.__qualname__ = name
    return call


np = SimpleNamespace(**{name: _language(name) for name in NAMES})
"""Every name of ``layerkit.fastmath.numpy.NAMES``."""
