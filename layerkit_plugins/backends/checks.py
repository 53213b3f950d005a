"""What a backend demands of its arguments, said in the same words on every backend, in one line.

Arrays are known here by ``shape`` and ``dtype`` alone, so that values being traced or differentiated pass as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as onp

from layerkit.errors import an
from layerkit.fastmath import ArrayError, nested_map, tree_leaves
from layerkit.shapes import ShapeDtype, signature

__all__ = [
    "NO_NUMBER",
    "check_branches",
    "check_carry",
    "check_condition",
    "check_cotangents",
    "check_differentiable",
    "check_fits",
    "check_position",
    "check_segments",
    "check_table",
    "check_top_k",
    "check_update",
    "leaf_axes",
    "loop_length",
    "mapped_axes",
    "matched",
    "number_and_aux",
]


NO_NUMBER = (
    "an array that is being differentiated is no plain number or NumPy array: "
    "compute with layerkit.fastmath.numpy, or take it out of the gradient with fastmath.stop_gradient"
)

# -- gradients ---------------------------------------------------------------------------------------------------------


def check_position(place: int, count: int) -> None:
    """An argument whose gradient is asked for is there."""
    if not -count <= place < count:
        raise ArrayError(f"the gradient for argument {place} was asked for, but the function got {count} arguments")


def check_differentiable(dtype: Any) -> None:
    """A leaf is a number; V is the kind of bfloat16."""
    if onp.dtype(dtype).kind not in "biufcV":
        raise ArrayError(f"{an(onp.dtype(dtype).name)} value cannot be differentiated: arrays of numbers can")


def number_and_aux(result: Any, has_aux: bool) -> tuple[Any, Any]:
    """What a differentiated function returned, taken apart: one real number, and what it hands through."""
    if has_aux and not (isinstance(result, (tuple, list)) and len(result) == 2):
        raise ArrayError("with has_aux a function returns (number, aux), but this one did not return two things")
    value, aux = result if has_aux else (result, None)
    if isinstance(value, (tuple, list, dict)) or value is None:
        raise ArrayError(
            f"a gradient is that of one number, but the function returned {an(type(value).__name__)} "
            "(with has_aux it returns (number, aux))"
        )
    shape, dtype = tuple(getattr(value, "shape", ())), onp.dtype(getattr(value, "dtype", type(value)))
    if shape != ():
        raise ArrayError(
            f"a gradient is that of one number, but the function returned shape {shape}: take its mean or sum"
        )
    if dtype.kind not in "fcV":
        raise ArrayError(
            f"a gradient is that of a real number, but the function returned one of dtype {dtype.name}: "
            "give it floats, 5.0 in place of 5"
        )
    return value, aux


def check_cotangents(results: Sequence[Any], gradients: Sequence[Any]) -> None:
    """Each array that a function returned gets a gradient of its shape."""
    if len(gradients) != len(results):
        raise ArrayError(
            f"vjp: the function returned {len(results)} arrays, but got {len(gradients)} gradients of them"
        )
    for result, gradient in zip(results, gradients, strict=True):
        of, got = (tuple(getattr(x, "shape", ())) for x in (result, gradient))
        if of != got:
            raise ArrayError(f"vjp: a result of shape {of} got a gradient of shape {got}")


def matched(gradients: Any, counts: Sequence[int]) -> list[Any]:
    """What a custom ``backward`` returned, leaf by leaf of the arguments; ``None`` stands for no gradient.

    Args:
        gradients: one for each argument, in a tuple.
        counts: how many arrays each argument holds.
    """
    gradients = gradients if isinstance(gradients, tuple) else (gradients,)
    if len(gradients) != len(counts):
        raise ArrayError(f"custom_vjp: backward returned {len(gradients)} gradients for {len(counts)} arguments")
    leaves: list[Any] = []
    for gradient, count in zip(gradients, counts, strict=True):
        given = [None] * count if gradient is None else tree_leaves(gradient)
        if len(given) != count:
            raise ArrayError(f"custom_vjp: backward returned {len(given)} arrays for an argument of {count}")
        leaves.extend(given)
    return leaves


def check_fits(gradient: Any, argument: Any) -> None:
    """A custom gradient has its argument's shape."""
    if tuple(gradient.shape) != tuple(argument.shape):
        raise ArrayError(
            f"custom_vjp: backward returned a gradient of shape {tuple(gradient.shape)} "
            f"for an argument of shape {tuple(argument.shape)}"
        )


# -- loops and branches ------------------------------------------------------------------------------------------------


def loop_length(kind: str, leaves: Sequence[Any], length: int | None = None) -> int:
    """The size of the first axis, in which all arrays agree."""
    if not all(x.shape for x in leaves):
        raise ArrayError(f"{kind}: a single number among the arrays has no axis to go along")
    sizes = {int(x.shape[0]) for x in leaves} | (set() if length is None else {length})
    if len(sizes) != 1:
        found = ", ".join(map(str, sorted(sizes))) or "none (give a length)"
        raise ArrayError(f"{kind}: the arrays must agree in the size of the axis to go along, got {found}")
    return sizes.pop()


def check_carry(kind: str, before: Any, after: Any) -> None:
    """What a loop carries from turn to turn keeps its structure, shapes and dtypes."""
    had, has = nested_map(signature, before), nested_map(signature, after)
    if had != has:
        raise ArrayError(f"{kind}: the carry went in as {had} and came out as {has}; it must stay the same")


def check_condition(pred: Any) -> None:
    """A condition is one truth value."""
    shape = tuple(getattr(pred, "shape", ()))
    if shape != ():
        raise ArrayError(f"cond: the condition is one truth value, got shape {shape}")


def check_branches(one: Any, other: Any) -> None:
    """Both branches of a condition give the same structure, shapes and dtypes."""
    true, false = nested_map(signature, one), nested_map(signature, other)
    if true != false:
        raise ArrayError(f"cond: one branch gives {true} and the other {false}; both must give the same")


def mapped_axes(axes: Any, args: tuple[Any, ...]) -> list[int | None]:
    """The axis that vmap maps of each leaf of the arguments; the mapped ones agree in its size."""
    of_leaves = leaf_axes(axes, args)
    mapped = [(leaf, axis) for leaf, axis in zip(tree_leaves(args), of_leaves, strict=True) if axis is not None]
    if not mapped:
        raise ArrayError("vmap: in_axes maps no argument")
    loop_length("vmap", [leaf if not leaf.shape else ShapeDtype(leaf.shape[axis]) for leaf, axis in mapped])
    return of_leaves


def leaf_axes(axes: Any, tree: Any) -> list[int | None]:
    """An axis for each leaf; ``axes`` has the tree's structure down to any depth."""
    if axes is None or isinstance(axes, int):
        return [axes] * len(tree_leaves(tree))
    if len(axes) != len(tree):
        raise ArrayError(f"vmap: in_axes has {len(axes)} entries for {len(tree)} arguments")
    if isinstance(axes, dict):
        return [axis for key in sorted(tree) for axis in leaf_axes(axes[key], tree[key])]
    return [axis for part, child in zip(axes, tree, strict=True) for axis in leaf_axes(part, child)]


# -- operations --------------------------------------------------------------------------------------------------------


def check_table(table: Any) -> None:
    """A table has rows."""
    if not table.shape:
        raise ArrayError("take_rows: the table is a single number, it has no rows")


def check_segments(values: Any, ids: Any) -> None:
    """There is one id for each value along the first axis."""
    if len(ids.shape) != 1 or tuple(values.shape[:1]) != tuple(ids.shape):
        raise ArrayError(
            f"segment_sum: values of shape {tuple(values.shape)} take one id each along their first axis, "
            f"got ids of shape {tuple(ids.shape)}"
        )


def check_top_k(x: Any, k: int) -> None:
    """There are k numbers along the last axis."""
    if not x.shape or not 0 <= k <= x.shape[-1]:
        raise ArrayError(f"top_k: the {k} largest of the last axis of shape {tuple(x.shape)}")


def check_update(x: Any, part: Any, start: int | None, axis: int) -> None:
    """The part has the axes of the whole, and fits from ``start`` on; ``None`` where that is not known."""
    shape, of_part = tuple(x.shape), tuple(part.shape)
    if not -len(shape) <= axis < len(shape):
        raise ArrayError(f"update_slice: there is no axis {axis} in an array of shape {shape}")
    axis %= len(shape)
    room = shape[axis] - (of_part[axis] if len(of_part) == len(shape) else 0)
    if room < 0 or of_part != (*shape[:axis], shape[axis] - room, *shape[axis + 1 :]):
        raise ArrayError(f"update_slice: a part of shape {of_part} does not fit into {shape} along axis {axis}")
    if start is not None and not 0 <= start <= room:
        raise ArrayError(
            f"update_slice: a part of shape {of_part} does not fit into {shape} from {start} on along axis {axis}"
        )
