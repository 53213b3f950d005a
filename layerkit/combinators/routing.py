"""Weightless layers that pick, copy, join and add the arrays on the data stack."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from layerkit.arguments import whole_number
from layerkit.engine.bare import as_tuple, bare
from layerkit.errors import shown
from layerkit.fastmath import numpy as np
from layerkit.fastmath import tree_leaves
from layerkit.layer import Layer, LayerError
from layerkit.pure_layer import Fn, PureLayer

__all__ = [
    "Add",
    "Concatenate",
    "Drop",
    "Dup",
    "FlattenList",
    "Gate",
    "Multiply",
    "Select",
    "Split",
    "SubtractTop",
    "Swap",
]


class SelectLayer(Layer):
    """Puts copies of the arrays at ``indices`` in place of the top n_in."""

    def __init__(self, indices: Sequence[int], n_in: int | None, name: str | None) -> None:
        if not isinstance(indices, Iterable):
            raise LayerError(f"Select: indices are a list of whole numbers, such as [0, 2], got {shown(indices)}")
        picks = tuple(whole_number("Select", "an index", i, at_least=None) for i in indices)
        depth = max(picks, default=-1) + 1 if n_in is None else whole_number("Select", "n_in", n_in, at_least=0)
        if any(not 0 <= i < depth for i in picks):
            raise LayerError(f"Select: the indices {list(picks)} must lie in 0 .. {depth - 1} (n_in is {depth})")
        super().__init__(depth, len(picks), name or f"Select[{','.join(map(str, picks))}]")
        self.indices = picks

    @property
    def kind(self) -> str:
        return "Select"

    def forward(self, x: Any) -> Any:
        stack = as_tuple(x)
        picked = tuple([stack[i] for i in self.indices])
        return bare(picked)

    def maker_of(self, item: int) -> tuple[int | None, int] | None:
        return None, self.indices[item]


def Select(indices: Sequence[int], n_in: int | None = None, name: str | None = None) -> Layer:
    """Takes ``n_in`` arrays off the stack and pushes those at ``indices``; index 0 is the top.

    Args:
        indices: which arrays to push, in order; an index may come twice.
        n_in: how many to take off; the largest index + 1 unless given.
        name: its name; ``Select[0,2]`` and so on unless given.

    >>> Select([1, 0, 1])((10, 20))[0].tolist()
    20
    """
    return SelectLayer(indices, n_in, name)


def Drop() -> Layer:
    """Takes the top array off the stack.

    >>> Drop().n_in, Drop().n_out
    (1, 0)
    """
    return SelectLayer([], 1, "Drop")


def Dup() -> Layer:
    """Pushes a copy of the top array.

    >>> [x.tolist() for x in Dup()(1.0)]
    [1.0, 1.0]
    """
    return SelectLayer([0, 0], 1, "Dup")


def Swap() -> Layer:
    """Swaps the top two arrays.

    >>> [x.tolist() for x in Swap()((1.0, 2.0))]
    [2.0, 1.0]
    """
    return SelectLayer([1, 0], 2, "Swap")


def Add() -> Layer:
    """x0 + x1, broadcast.

    >>> Add()((1.0, [2.0, 3.0])).tolist()
    [3.0, 4.0]
    """
    return Fn("Add", lambda x0, x1: x0 + x1)


def SubtractTop() -> Layer:
    """x1 - x0: the top array taken from the one below it.

    >>> SubtractTop()((1.0, 3.0)).tolist()
    2.0
    """
    return Fn("SubtractTop", lambda x0, x1: x1 - x0)


def Multiply() -> Layer:
    """x0 * x1, broadcast.

    >>> Multiply()((2.0, [3.0, 4.0])).tolist()
    [6.0, 8.0]
    """
    return Fn("Multiply", lambda x0, x1: x0 * x1)


def Gate() -> Layer:
    """gate * memory + (1 - gate) * candidate, for the inputs (memory, gate, candidate), broadcast.

    >>> Gate()(([8.0, 8.0], [1.0, 0.5], [4.0, 4.0])).tolist()
    [8.0, 6.0]
    """
    return Fn("Gate", lambda memory, gate, candidate: gate * memory + (1.0 - gate) * candidate)


def Concatenate(n_items: int = 2, axis: int = -1) -> Layer:
    """Joins ``n_items`` arrays along ``axis``: (..., a), (..., b) -> (..., a + b).

    >>> Concatenate()(([1.0, 2.0], [3.0])).tolist()
    [1.0, 2.0, 3.0]
    """
    n_items = whole_number("Concatenate", "n_items", n_items)
    name = "Concatenate" if axis == -1 else f"Concatenate_axis{axis}"
    return PureLayer(lambda *xs: np.concatenate(xs, axis=axis), n_items, 1, name)


def Split(n_items: int = 2, axis: int = -1) -> Layer:
    """Cuts an array into ``n_items`` equal parts along ``axis``.

    Raises:
        LayerError: the axis cannot be cut into that many equal parts.

    >>> [part.tolist() for part in Split()([1.0, 2.0])]
    [[1.0], [2.0]]
    """

    n_items = whole_number("Split", "n_items", n_items)

    def split(x: Any) -> Any:
        if x.shape[axis] % n_items:
            raise LayerError(f"axis {axis} of size {x.shape[axis]} cannot be split into {n_items} equal parts")
        parts = tuple(np.split(x, n_items, axis=axis))
        return parts[0] if n_items == 1 else parts

    return PureLayer(split, 1, n_items, "Split")


class FlattenList(Layer):
    """Turns an input that is a tuple of tuples of arrays into one flat tuple.

    >>> [x.tolist() for x in FlattenList()(((1.0, 2.0), 3.0))]
    [1.0, 2.0, 3.0]
    """

    def accept_inputs(self, x: Any) -> Any:
        return x

    def accept_outputs(self, y: Any) -> Any:
        return y

    def forward(self, x: Any) -> Any:
        leaves = tuple(tree_leaves(x))
        return bare(leaves)
