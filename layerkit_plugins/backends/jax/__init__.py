"""The compiling backend: JAX on CPU, GPU and TPU. Importing this module is what imports jax."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as onp

from layerkit.fastmath import nested_map
from layerkit.shapes import ShapeDtype
from layerkit_plugins.backends.checks import check_segments, check_table, check_top_k, check_update
from layerkit_plugins.backends.ids import check_id_dtype, check_ids
from layerkit_plugins.backends.jax import control, gradients, measures, row_sums, setup
from layerkit_plugins.backends.jax.control import as_array
from layerkit_plugins.backends.jax.namespace import np
from layerkit_plugins.backends.numpy.precision import narrow

__all__ = ["JaxBackend"]

_Tracer = jax.core.Tracer


class JaxBackend:
    """``layerkit.fastmath`` on JAX.

    LAYERKIT_DEVICE (``cpu``, ``gpu``, ``tpu``, ``gpu:1``) chooses the device; jax's own choice otherwise. Compiled
    programs are kept in the user's cache folder unless jax was told where, or LAYERKIT_CACHE names another folder or
    says ``off``.
    """

    name = "jax"
    numpy = np

    def __init__(self) -> None:
        setup.set_up()

    @functools.cached_property
    def random(self) -> Any:
        from layerkit_plugins.backends.jax import random

        return random

    value_and_grad = staticmethod(gradients.value_and_grad)
    vjp = staticmethod(gradients.vjp)
    custom_vjp = staticmethod(gradients.custom_vjp)
    vmap = staticmethod(control.vmap)
    scan = staticmethod(control.scan)
    scan_over = staticmethod(control.scan_over)
    cond = staticmethod(control.cond)
    while_loop = staticmethod(control.while_loop)
    map = staticmethod(control.map_slices)

    # -- functions made from functions --------------------------------------------------------------------------------

    def jit(
        self, f: Callable[..., Any], static_argnums: Sequence[int] = (), donate_argnums: Sequence[int] = ()
    ) -> Callable[..., Any]:
        if donate_argnums:
            setup.quiet_donation()
        return jax.jit(f, static_argnums=tuple(static_argnums), donate_argnums=tuple(donate_argnums))

    def remat(self, f: Callable[..., Any]) -> Callable[..., Any]:
        return jax.checkpoint(f)

    def stop_gradient(self, x: Any) -> Any:
        return jax.lax.stop_gradient(x)

    def abstract_eval(self, f: Callable[..., Any], *signatures: Any) -> Any:
        structs = nested_map(lambda s: jax.ShapeDtypeStruct(s.shape, s.dtype), signatures)
        # jax remembers traces by the function's identity; what f closes over may have changed since.
        result = jax.eval_shape(lambda *args: f(*args), *structs)
        return jax.tree.map(lambda s: ShapeDtype(s.shape, s.dtype), result)

    # -- operations ---------------------------------------------------------------------------------------------------

    def take_rows(self, table: Any, ids: Any) -> Any:
        table = as_array(table)
        check_table(table)
        ids = _checked(ids, table.shape[0])
        if jnp.issubdtype(table.dtype, jnp.floating) and table.dtype.itemsize < 4:
            # Or the gradient of a row that is read a thousand times would add up in 16 bits, where 256 + 1 is 256.
            return _rows(table.astype(jnp.float32), ids).astype(table.dtype)
        return row_sums.noted(_rows(table, ids), row_sums.Read(table, ids))

    def put_rows(self, table: Any, ids: Any, rows: Any) -> Any:
        return _put_rows(table, ids, rows)

    def segment_sum(self, values: Any, segment_ids: Any, num_segments: int) -> Any:
        values, ids = as_array(values), as_array(segment_ids)
        check_segments(values, ids)
        return _segment_sum(values, _checked(ids, num_segments), num_segments)

    def logsumexp(self, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        # jax.nn's knows signs and weights as well, and takes twice as long to trace.
        x = jnp.asarray(x)
        x = x.astype(jnp.result_type(x, float))
        largest = jnp.max(jax.lax.stop_gradient(x), axis, keepdims=True, initial=-jnp.inf)
        largest = jnp.where(jnp.isfinite(largest), largest, 0)
        y = jnp.log(jnp.sum(jnp.exp(x - largest), axis, keepdims=True)) + largest
        return y if keepdims else jnp.squeeze(y, axis)

    def erf(self, x: Any) -> Any:
        x = jnp.asarray(x)
        return jax.lax.erf(x.astype(jnp.result_type(x, float)))

    def top_k(self, x: Any, k: int) -> tuple[Any, Any]:
        x = as_array(x)
        check_top_k(x, k)
        values, places = jax.lax.top_k(x, k)
        return values, places

    def update_slice(self, x: Any, part: Any, start: Any, axis: int) -> Any:
        x, part = as_array(x), as_array(part)
        check_update(x, part, None if isinstance(start, _Tracer) else int(start), axis)
        return jax.lax.dynamic_update_slice_in_dim(x, part.astype(x.dtype), start, axis)

    def conv(
        self, x: Any, kernel: Any, strides: Any, padding: Any, input_dilation: Any, kernel_dilation: Any, groups: int
    ) -> Any:
        last, along = kernel.ndim - 1, tuple(range(1, kernel.ndim - 1))
        axes = jax.lax.ConvDimensionNumbers((0, last, *along), (last, last - 1, *range(last - 1)), (0, last, *along))
        return jax.lax.conv_general_dilated(x, kernel, strides, padding, input_dilation, kernel_dilation, axes, groups)

    # -- where arrays live --------------------------------------------------------------------------------------------

    def to_host(self, tree: Any) -> Any:
        if isinstance(tree, jax.Array):  # one array needs no walk over a tree, which takes longer than the copy
            return narrow(onp.asarray(tree))
        if not setup.on_cpu():
            tree = jax.device_get(tree)  # begins with all copies before it waits for the first
        return jax.tree.map(lambda x: narrow(onp.asarray(x)), tree)

    def to_device(self, tree: Any, device: Any = None) -> Any:
        place = setup.find_device(device, "to_device") if isinstance(device, str) else device
        return jax.device_put(jax.tree.map(as_array, tree), place)

    def devices(self) -> list[str]:
        return setup.device_words()

    def block_until_ready(self, tree: Any) -> Any:
        return jax.block_until_ready(tree)

    def canonical(self, x: Any) -> Any:
        # jax's own arrays are 64 bits wide only where float64() made them so; NumPy's may stray in.
        return narrow(x) if isinstance(x, (onp.ndarray, onp.generic)) else x

    def is_traced(self, x: Any) -> bool:
        return isinstance(x, _Tracer)

    def float64(self) -> contextlib.AbstractContextManager[Any]:
        return jax.enable_x64(True)

    def compilations(self) -> int:
        return setup.compilations()

    # -- what it tells about itself -----------------------------------------------------------------------------------

    compile_seconds = staticmethod(measures.compile_seconds)
    program_cost = staticmethod(measures.program_cost)
    memory_stats = staticmethod(measures.memory_stats)
    environment = staticmethod(measures.environment)


def _checked(ids: Any, rows: int) -> Any:
    """The ids as an array; checked where they are known."""
    if isinstance(ids, _Tracer):
        check_id_dtype(ids.dtype)
        return ids
    check_ids(ids, rows)
    return ids if isinstance(ids, jax.Array) else onp.asarray(ids)


@functools.partial(jax.jit, inline=True)
def _rows(table: Any, ids: Any) -> Any:
    # Not table.at[ids], which would count a negative id from the end, and takes several times as long to trace.
    within = tuple(range(ids.ndim, ids.ndim + table.ndim - 1))
    numbers = jax.lax.GatherDimensionNumbers(within, collapsed_slice_dims=(0,), start_index_map=(0,))
    return jax.lax.gather(table, _as_indices(ids), numbers, (1, *table.shape[1:]), mode="fill")


@functools.partial(jax.jit, inline=True)
def _put_rows(table: Any, ids: Any, rows: Any) -> Any:
    numbers = jax.lax.ScatterDimensionNumbers(tuple(range(1, table.ndim)), (0,), (0,))
    options = {"indices_are_sorted": True, "unique_indices": True, "mode": "drop"}
    return jax.lax.scatter(table, _as_indices(ids), rows.astype(table.dtype), numbers, **options)


def _as_indices(ids: Any) -> Any:
    return jax.lax.expand_dims(ids, (ids.ndim,))


@functools.partial(jax.jit, static_argnums=2, inline=True)
def _segment_sum(values: Any, ids: Any, num_segments: int) -> Any:
    zeros = jnp.zeros((num_segments, *values.shape[1:]), values.dtype)
    return zeros.at[ids.astype(onp.uint32)].add(values, mode="drop")
