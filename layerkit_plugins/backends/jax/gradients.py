"""Gradients on JAX: whole numbers get zeros of their own dtype, where jax has a dtype without bits for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as onp

from layerkit.fastmath import ArrayError, tree_leaves
from layerkit.shapes import ShapeDtype
from layerkit_plugins.backends.checks import (
    NO_NUMBER,
    check_cotangents,
    check_differentiable,
    check_fits,
    check_position,
    matched,
    number_and_aux,
)

__all__ = ["custom_vjp", "value_and_grad", "vjp"]

_Function = Callable[..., Any]


def value_and_grad(f: _Function, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> _Function:
    """A function that returns ``f``'s value (with its aux) and its gradient for the arguments ``argnums``."""
    places = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    differentiated = jax.value_and_grad(
        lambda *args: number_and_aux(f(*args), has_aux), places, has_aux=True, allow_int=True
    )

    def call(*args: Any) -> Any:
        for place in places:
            check_position(place, len(args))
            for leaf in tree_leaves(args[place]):
                check_differentiable(getattr(leaf, "dtype", None) or onp.asarray(leaf).dtype)
        try:
            (value, aux), gradients = differentiated(*args)
        except (jax.errors.TracerArrayConversionError, jax.errors.ConcretizationTypeError) as error:
            raise ArrayError(NO_NUMBER) from error
        gradients = _with_zeros(tuple(args[place] for place in places), gradients)
        return ((value, aux) if has_aux else value), (gradients[0] if isinstance(argnums, int) else gradients)

    return call


def vjp(f: _Function, *primals: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """``f(*primals)``, and the function from its gradient to the gradients of the primals."""
    y, pull = jax.vjp(f, *primals)
    results, structure = jax.tree.flatten(y)

    def back(dy: Any) -> tuple[Any, ...]:
        given = [jnp.asarray(g) for g in tree_leaves(dy)]
        check_cotangents(results, given)
        fitting = [g.astype(result.dtype) for g, result in zip(given, results, strict=True)]
        return tuple(_with_zeros(primals, pull(jax.tree.unflatten(structure, fitting))))

    return y, back


def _with_zeros(primals: Any, gradients: Any) -> Any:
    def zeros(primal: Any, gradient: Any) -> Any:
        return jnp.zeros_like(primal) if gradient.dtype == jax.dtypes.float0 else gradient

    return jax.tree.map(zeros, primals, gradients)


def custom_vjp(f: _Function, forward: _Function, backward: _Function) -> _Function:
    """``f`` with its own gradient: ``forward(*args) -> (y, residuals)``, ``backward(residuals, dy) -> d args``."""

    def run(*args: Any) -> Any:
        y, residuals = forward(*args)
        leaves, structure = jax.tree.flatten(args)
        described = tuple(ShapeDtype(jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves)
        return y, (residuals, _Arguments(structure, described))

    def pull(saved: Any, dy: Any) -> Any:
        residuals, arguments = saved
        return arguments.fitting(backward(residuals, dy))

    function = jax.custom_vjp(f)
    function.defvjp(run, pull)
    return function


@jax.tree_util.register_static
@dataclass(frozen=True)
class _Arguments:
    """What the arguments of a function with its own gradient looked like, carried from forward to backward."""

    structure: Any
    leaves: tuple[ShapeDtype, ...]

    def fitting(self, gradients: Any) -> Any:
        """The gradients that ``backward`` returned, in the structure and dtypes that jax wants them in."""
        given = matched(gradients, [child.num_leaves for child in self.structure.children()])
        return jax.tree.unflatten(self.structure, list(map(_fitted, given, self.leaves)))


def _fitted(gradient: Any, argument: ShapeDtype) -> Any:
    if not jnp.issubdtype(argument.dtype, jnp.inexact):
        return onp.zeros(argument.shape, jax.dtypes.float0)
    if gradient is None:
        return jnp.zeros(argument.shape, argument.dtype)
    gradient = jnp.asarray(gradient)
    check_fits(gradient, argument)
    return gradient.astype(argument.dtype)
