"""Gradients by torch.autograd, of trees, within one another, and given by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

import torch

from layerkit.fastmath import ArrayError, nested_map, tree_leaves, tree_unflatten
from layerkit_torch.array import Array, as_array, detached

__all__ = ["custom_vjp", "remat", "value_and_grad", "vjp"]

_Function = Callable[..., Any]

_depth: ContextVar[int] = ContextVar("layerkit_torch_depth", default=0)
"""How many functions that are being differentiated this code runs inside of."""


def _differentiable(array: Array) -> bool:
    return array.tensor.dtype.is_floating_point or array.tensor.is_complex()


def _variable(x: Any) -> Array:
    """An array to differentiate with respect to: new, and where an outer gradient is under way, linked to it."""
    array = as_array(x)
    if not _differentiable(array):
        return array
    tensor = array.tensor
    linked = tensor.requires_grad and torch.is_grad_enabled()
    return Array(tensor.view_as(tensor) if linked else tensor.detach().requires_grad_())


def _run(f: _Function, args: Any) -> Any:
    token = _depth.set(_depth.get() + 1)
    try:
        with torch.enable_grad():
            return f(*args)
    finally:
        _depth.reset(token)


def _plain(tree: Any) -> Any:
    """Results as they are handed out: still linked where somebody outside is differentiating, else constants."""
    return tree if _depth.get() else detached(tree)


def _pulled(ys: Sequence[Array], dys: Sequence[Any], variables: Sequence[Array], keep: bool) -> list[Array]:
    """The gradients for the variables; zeros where nothing depends on one."""
    nested = bool(_depth.get())
    pairs = [(y.tensor, dy) for y, dy in zip(ys, dys, strict=True) if y.tensor.requires_grad]
    wanted = [v.tensor for v in variables if _differentiable(v)]
    found: Any = [None] * len(wanted)
    if pairs and wanted:
        found = torch.autograd.grad(
            [y for y, _ in pairs],
            wanted,
            [dy for _, dy in pairs],
            retain_graph=keep or nested,
            create_graph=nested,
            allow_unused=True,
        )
    rest = iter(found)
    gradients = [next(rest) if _differentiable(v) else None for v in variables]
    filled = [
        torch.zeros_like(v.tensor.detach()) if g is None else g for g, v in zip(gradients, variables, strict=True)
    ]
    return [Array(g) for g in filled]


def value_and_grad(f: _Function, argnums: int | Sequence[int] = 0, has_aux: bool = False) -> _Function:
    """A function that returns ``f``'s value (with its aux) and its gradient for the arguments ``argnums``."""
    places = (argnums,) if isinstance(argnums, int) else tuple(argnums)

    def call(*args: Any) -> Any:
        given = list(args)
        for place in places:
            if not -len(args) <= place < len(args):
                raise ArrayError(f"the gradient for argument {place} was asked for, but there are {len(args)}")
            given[place] = nested_map(_variable, args[place])
        value, aux = _number_and_aux(_run(f, given), has_aux)
        chosen = [given[place] for place in places]
        gradients = _pulled([value], [torch.ones_like(value.tensor)], tree_leaves(chosen), keep=False)
        of_places = tuple(tree_unflatten(_plain(gradients), chosen))
        value = _plain(value)
        return ((value, _plain(aux)) if has_aux else value), (of_places[0] if isinstance(argnums, int) else of_places)

    return call


def _number_and_aux(result: Any, has_aux: bool) -> tuple[Array, Any]:
    if has_aux and not (isinstance(result, (tuple, list)) and len(result) == 2):
        raise ArrayError("with has_aux a function returns (number, aux), but this one did not return two things")
    value, aux = result if has_aux else (result, None)
    if value is None or isinstance(value, (tuple, list, dict)):
        raise ArrayError(f"a gradient is that of one number, but the function returned a {type(value).__name__}")
    value = as_array(value)
    if value.shape:
        raise ArrayError(f"a gradient is that of one number, but the function returned shape {value.shape}")
    if not _differentiable(value):
        raise ArrayError(f"a gradient is that of a real number, but the function returned one of dtype {value.dtype}")
    return value, aux


def vjp(f: _Function, *primals: Any) -> tuple[Any, Callable[[Any], tuple[Any, ...]]]:
    """``f(*primals)``, and the function from its gradient to the gradients of the primals."""
    given = nested_map(_variable, primals)
    y = nested_map(as_array, _run(f, given))
    results = tree_leaves(y)

    def back(dy: Any) -> tuple[Any, ...]:
        dys = [as_array(leaf) for leaf in tree_leaves(dy)]
        if [d.shape for d in dys] != [r.shape for r in results]:
            shapes = [r.shape for r in results], [d.shape for d in dys]
            raise ArrayError(f"vjp: results of shapes {shapes[0]} got gradients of shapes {shapes[1]}")
        dys = [as_array(d, r.dtype).tensor for d, r in zip(dys, results, strict=True)]
        return tuple(tree_unflatten(_plain(_pulled(results, dys, tree_leaves(given), keep=True)), given))

    return _plain(y), back


class _Own(torch.autograd.Function):
    """A node of torch's graph whose gradient a layer's author wrote."""

    @staticmethod
    def forward(ctx: Any, rule: _Rule, *tensors: torch.Tensor) -> Any:
        ctx.rule = rule
        y, residuals = rule.forward(*rule.arguments(tensors))
        rule.result = nested_map(as_array, y)
        rule.residuals = nested_map(as_array, residuals)
        kept = [leaf.tensor for leaf in tree_leaves(rule.residuals)]
        ctx.save_for_backward(*tensors, *kept)
        ctx.count = len(tensors)
        leaves = tree_leaves(rule.result)
        ctx.mark_non_differentiable(*(leaf.tensor for leaf in leaves if not _differentiable(leaf)))
        return tuple(leaf.tensor.view_as(leaf.tensor) for leaf in leaves)

    @staticmethod
    def backward(ctx: Any, *dys: Any) -> Any:
        rule, saved = ctx.rule, ctx.saved_tensors
        tensors, kept = saved[: ctx.count], saved[ctx.count :]
        residuals = tree_unflatten([Array(t) for t in kept], rule.residuals)
        if torch.is_grad_enabled():
            # A gradient of this gradient is wanted: the residuals must be linked to the arguments again.
            residuals = rule.forward(*rule.arguments(tensors))[1]
        dy = tree_unflatten([Array(d) for d in dys], rule.result)
        return None, *rule.gradients(tensors, rule.backward(residuals, dy))


class _Rule:
    """One call of a function with its own gradient."""

    def __init__(self, forward: _Function, backward: _Function, args: Any) -> None:
        self.forward, self.backward = forward, backward
        self.args = args
        self.result: Any = None
        self.residuals: Any = None

    def arguments(self, tensors: Any) -> Any:
        return tree_unflatten([Array(t) for t in tensors], self.args)

    def gradients(self, tensors: Any, given: Any) -> list[Any]:
        """What ``backward`` returned, as torch wants it: a tensor for each tensor, or None."""
        given = given if isinstance(given, tuple) else (given,)
        if len(given) != len(self.args):
            raise ArrayError(f"custom_vjp: backward returned {len(given)} gradients for {len(self.args)} arguments")
        leaves: list[Any] = []
        for gradient, arg in zip(given, self.args, strict=True):
            count = len(tree_leaves(arg))
            of_arg = [None] * count if gradient is None else tree_leaves(gradient)
            if len(of_arg) != count:
                raise ArrayError(f"custom_vjp: backward returned {len(of_arg)} arrays for an argument of {count}")
            leaves.extend(of_arg)
        return [_fitting(g, t) for g, t in zip(leaves, tensors, strict=True)]


def _fitting(gradient: Any, tensor: torch.Tensor) -> Any:
    if gradient is None or not tensor.dtype.is_floating_point:
        return None
    gradient = as_array(gradient)
    if gradient.shape != tuple(tensor.shape):
        shapes = f"{gradient.shape} for an argument of shape {tuple(tensor.shape)}"
        raise ArrayError(f"custom_vjp: backward returned a gradient of shape {shapes}")
    return gradient.tensor.to(tensor.dtype)


def custom_vjp(f: _Function, forward: _Function, backward: _Function) -> _Function:
    """``f`` with its own gradient: ``forward(*args) -> (y, residuals)``, ``backward(residuals, dy) -> d args``."""

    def call(*args: Any) -> Any:
        given = nested_map(as_array, args)
        tensors = [leaf.tensor for leaf in tree_leaves(given)]
        if not (torch.is_grad_enabled() and any(t.requires_grad for t in tensors)):
            return f(*args)
        rule = _Rule(forward, backward, detached(given))
        outputs = _Own.apply(rule, *tensors)
        return tree_unflatten([Array(t) for t in outputs], rule.result)

    return call


def remat(f: _Function) -> _Function:
    """``f``, which keeps its arguments alone, and is run again where its gradient is asked for."""
    return custom_vjp(f, lambda *args: (f(*args), args), lambda args, dy: vjp(f, *args)[1](dy))
