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
from layerkit_plugins.backends import jax_setup
from layerkit_plugins.backends.ids import check_id_dtype, check_ids
from layerkit_plugins.backends.jax_namespace import np
from layerkit_plugins.backends.numpy_precision import narrow

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
        jax_setup.set_up()

    @functools.cached_property
    def random(self) -> Any:
        from layerkit_plugins.backends import jax_random

        return jax_random

    # Functions made from functions -----------------------------------------------------------------------------------

    def jit(
        self, f: Callable[..., Any], static_argnums: Sequence[int] = (), donate_argnums: Sequence[int] = ()
    ) -> Callable[..., Any]:
        if donate_argnums:
            jax_setup.quiet_donation()
        return jax.jit(f, static_argnums=tuple(static_argnums), donate_argnums=tuple(donate_argnums))

    def value_and_grad(
        self, f: Callable[..., Any], argnums: int | Sequence[int] = 0, has_aux: bool = False
    ) -> Callable[..., Any]:
        places = argnums if isinstance(argnums, int) else tuple(argnums)
        differentiated = jax.value_and_grad(f, places, has_aux=has_aux, allow_int=True)

        def call(*args: Any) -> Any:
            value, gradient = differentiated(*args)
            primals = args[places] if isinstance(places, int) else tuple(args[place] for place in places)
            return value, _with_zeros(primals, gradient)

        return call

    def vjp(self, f: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
        y, pull = jax.vjp(f, *primals)

        def back(dy: Any) -> tuple[Any, ...]:
            gradients = pull(jax.tree.map(_like, y, dy))
            return tuple(_with_zeros(primals, gradients))

        return y, back

    def vmap(self, f: Callable[..., Any], in_axes: Any = 0, out_axes: Any = 0) -> Callable[..., Any]:
        return jax.vmap(f, in_axes, out_axes)

    def custom_vjp(
        self, f: Callable[..., Any], forward: Callable[..., Any], backward: Callable[..., Any]
    ) -> Callable[..., Any]:
        def pull(residuals: Any, dy: Any) -> Any:
            return jax.tree.map(_none_for_whole_numbers, tuple(backward(residuals, dy)))

        function = jax.custom_vjp(f)
        function.defvjp(forward, pull)
        return function

    def remat(self, f: Callable[..., Any]) -> Callable[..., Any]:
        return jax.checkpoint(f)

    def stop_gradient(self, x: Any) -> Any:
        return jax.lax.stop_gradient(x)

    def abstract_eval(self, f: Callable[..., Any], *signatures: Any) -> Any:
        structs = nested_map(lambda s: jax.ShapeDtypeStruct(s.shape, s.dtype), signatures)
        # jax remembers traces by the function's identity; what f closes over may have changed since.
        result = jax.eval_shape(lambda *args: f(*args), *structs)
        return jax.tree.map(lambda s: ShapeDtype(s.shape, s.dtype), result)

    # Loops and branches ----------------------------------------------------------------------------------------------

    def scan(
        self, f: Callable[..., Any], init: Any, xs: Any, length: int | None = None, reverse: bool = False
    ) -> tuple[Any, Any]:
        return jax.lax.scan(f, init, xs, length, reverse)

    def cond(self, pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], *operands: Any) -> Any:
        return jax.lax.cond(pred, true_fn, false_fn, *operands)

    def while_loop(self, cond_fn: Callable[[Any], Any], body_fn: Callable[[Any], Any], init: Any) -> Any:
        return jax.lax.while_loop(cond_fn, body_fn, init)

    def map(self, f: Callable[[Any], Any], xs: Any) -> Any:
        return jax.lax.map(f, xs)

    # Operations ------------------------------------------------------------------------------------------------------

    def take_rows(self, table: Any, ids: Any) -> Any:
        return _rows(table, _checked(ids, table.shape[0]))

    def segment_sum(self, values: Any, segment_ids: Any, num_segments: int) -> Any:
        return _segment_sum(values, _checked(segment_ids, num_segments), num_segments)

    def logsumexp(self, x: Any, axis: Any = None, keepdims: bool = False) -> Any:
        return jax.nn.logsumexp(x, axis=axis, keepdims=keepdims)

    def erf(self, x: Any) -> Any:
        return jax.lax.erf(jnp.asarray(x))

    def top_k(self, x: Any, k: int) -> tuple[Any, Any]:
        values, places = jax.lax.top_k(x, k)
        return values, places

    # Where arrays live -----------------------------------------------------------------------------------------------

    def to_host(self, tree: Any) -> Any:
        return jax.tree.map(lambda x: narrow(onp.asarray(x)), jax.device_get(tree))

    def to_device(self, tree: Any, device: Any = None) -> Any:
        place = jax_setup.find_device(device, "to_device") if isinstance(device, str) else device
        return jax.device_put(jax.tree.map(_array, tree), place)

    def devices(self) -> list[str]:
        return jax_setup.device_words()

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
        return jax_setup.compilations()


def _array(x: Any) -> Any:
    """Plain numbers as arrays: jax gives a bare Python number a weak type, for which programs are compiled again."""
    return x if isinstance(x, jax.Array) else narrow(onp.asarray(x))


def _like(y: Any, dy: Any) -> Any:
    return jnp.asarray(dy, y.dtype)


def _with_zeros(primals: Any, gradients: Any) -> Any:
    """The gradients with zeros of the argument's dtype where jax has its float0, the gradient of whole numbers."""

    def zeros(primal: Any, gradient: Any) -> Any:
        return jnp.zeros_like(primal) if gradient.dtype == jax.dtypes.float0 else gradient

    return jax.tree.map(zeros, primals, gradients)


def _none_for_whole_numbers(gradient: Any) -> Any:
    kind = jnp.result_type(gradient)
    return gradient if jnp.issubdtype(kind, jnp.inexact) else onp.zeros(jnp.shape(gradient), jax.dtypes.float0)


def _checked(ids: Any, rows: int) -> Any:
    """The ids as an array; checked where they are known."""
    if isinstance(ids, _Tracer):
        check_id_dtype(ids.dtype)
        return ids
    check_ids(ids, rows)
    return ids if isinstance(ids, jax.Array) else onp.asarray(ids)


@functools.partial(jax.jit, inline=True)
def _rows(table: Any, ids: Any) -> Any:
    # Read as unsigned, a negative id is one beyond the table, not one that counts from the end.
    return table.at[ids.astype(onp.uint32)].get(mode="fill")


@functools.partial(jax.jit, static_argnums=2, inline=True)
def _segment_sum(values: Any, ids: Any, num_segments: int) -> Any:
    zeros = jnp.zeros((num_segments, *values.shape[1:]), values.dtype)
    return zeros.at[ids.astype(onp.uint32)].add(values, mode="drop")
