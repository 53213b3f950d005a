"""Products of two matrices whose gradients are computed, on a CPU, by the kernels that the products themselves take.

The gradient of w in x @ w is x^T dy. XLA hands a product with a transposed matrix on its left to oneDNN, which first
writes code for it: 20 ms once in a process, and then twice the time of XLA's own kernels where w is narrow.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as onp

from layerkit_plugins.backends.jax.setup import on_cpu

__all__ = ["matmul"]

_MOST_TURNED = 1 << 20
"""How many bytes are turned around: more than a core's cache holds would be a copy that is felt, in memory too."""


def matmul(x: Any, w: Any, *args: Any, **options: Any) -> Any:
    """``jax.numpy.matmul``."""
    if args or options or not (_is_matrix(x) and _is_matrix(w) and x.shape[1] == w.shape[0]):
        return jnp.matmul(x, w, *args, **options)
    return _product(x, w) if 4 * x.size <= _MOST_TURNED and on_cpu() else jax.lax.dot(x, w)


def _is_matrix(x: Any) -> bool:
    return isinstance(x, jax.core.Tracer) and x.ndim == 2 and x.dtype == onp.float32


@jax.custom_jvp
def _product(x: Any, w: Any) -> Any:
    return jax.lax.dot(x, w)


@_product.defjvp
def _change(factors: Any, changes: Any) -> Any:
    """dx @ w + x @ dw, where x stands turned around, so that a gradient, x^T dy, need not turn it."""
    (x, w), (dx, dw) = factors, changes
    # Without the barrier XLA makes transposing a part of the product.
    turned = jax.lax.optimization_barrier(jax.lax.transpose(x, (1, 0)))
    return _product(x, w), jax.lax.dot(dx, w) + jax.lax.dot_general(turned, dw, (((0,), (0,)), ((), ())))
