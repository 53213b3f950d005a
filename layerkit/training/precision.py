"""Mixed precision: a model computes in 16 bits, and everything that is kept or summed up stays in 32."""

from __future__ import annotations

from typing import Any

from layerkit.errors import UsageError, shown
from layerkit.fastmath import backend_name, nested_map
from layerkit.layer import Layer
from layerkit.shapes import bf16

__all__ = ["apply", "check_compute_dtype", "require_compute_dtype"]


def check_compute_dtype(compute_dtype: Any) -> None:
    """Makes sure that it is ``None`` or ``"bfloat16"``.

    Raises:
        UsageError: it is not.
    """
    if compute_dtype is not None and str(compute_dtype) != "bfloat16":
        raise UsageError(f"compute_dtype is 'bfloat16', or None for that of the weights, got {shown(compute_dtype)}")


def require_compute_dtype(compute_dtype: Any) -> None:
    """Makes sure that the active backend can compute in it.

    Raises:
        UsageError: it cannot.
    """
    if compute_dtype is not None and backend_name() == "numpy":
        raise UsageError("compute_dtype: the numpy backend has no bfloat16; train on jax, or leave compute_dtype out")


def apply(model: Layer, inputs: Any, weights: Any, state: Any, rng: Any, compute_dtype: Any) -> tuple[Any, Any]:
    """(outputs, new state) of a training call that computes in ``compute_dtype``.

    Weights and inputs are cast on their way in, and the outputs on their way out; the state is not. Gradients so come
    out in the dtype of the weights, by the transpose of the cast. The numpy backend, which repeats a step to find a
    fault, computes in 32 bits.
    """
    if compute_dtype is None or backend_name() == "numpy":
        return model.pure_fn(inputs, weights, state, rng, training=True)
    narrow = bf16().dtype
    outputs, new_state = model.pure_fn(_cast(inputs, narrow), _cast(weights, narrow), state, rng, training=True)
    kept = nested_map(lambda new, old: new.astype(old.dtype), new_state, state)
    return nested_map(lambda y: y.astype("float32") if y.dtype == narrow else y, outputs), kept


def _cast(tree: Any, dtype: Any) -> Any:
    """The tree with its floating-point arrays in another dtype."""
    return nested_map(lambda leaf: leaf.astype(dtype) if leaf.dtype.kind == "f" else leaf, tree)
