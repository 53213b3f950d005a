"""The data stack that layers take their inputs from and put their outputs on; its top is on the left."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from layerkit.engine.bare import as_tuple, bare

if TYPE_CHECKING:
    from layerkit.layer import Layer

__all__ = ["inputs_from_stack", "outputs_onto_stack", "sequence_arity"]


def inputs_from_stack(stack: Any, n: int) -> Any:
    """The top ``n`` arrays of a stack (a tuple, or one array): bare if it is one.

    >>> inputs_from_stack((1, 2, 3), 2)
    (1, 2)
    """
    stack = stack if type(stack) is list else as_tuple(stack)
    return stack[0] if n == 1 else tuple(stack[:n])


def outputs_onto_stack(outputs: Any, stack: Any, n: int) -> Any:
    """The stack with its top ``n`` arrays replaced by ``outputs``: bare if one array is left.

    >>> outputs_onto_stack(9, (1, 2, 3), 2), outputs_onto_stack(9, (1, 2), 2)
    ((9, 3), 9)
    """
    return bare((*as_tuple(outputs), *as_tuple(stack)[n:]))


def sequence_arity(layers: Iterable[Layer]) -> tuple[int, int]:
    """(n_in, n_out) of layers run one after the other on one stack.

    >>> from layerkit import Add, Dup
    >>> sequence_arity([Dup(), Add()])
    (1, 1)
    """
    needed = depth = 0
    for layer in layers:
        needed = max(needed, layer.n_in - depth)
        depth += layer.n_out - layer.n_in
    return needed, needed + depth
