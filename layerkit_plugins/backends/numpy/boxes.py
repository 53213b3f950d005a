"""Boxes that stand for arrays being differentiated, and nodes that remember how each came about.

They work as autograd's do, and take its formulas where there is none here (``lent``). Two things are different. Every
differentiation gets a number from one counter, where autograd counts the open ones in a global that threads would
share. And cotangents are held to their node's dtype, where autograd's own formulas would widen float32 to float64.
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as onp

from layerkit_plugins.backends.checks import NO_NUMBER
from layerkit_plugins.backends.numpy.namespace import UFUNCS, box_types, differentiable, known, np
from layerkit_plugins.backends.numpy.stand_ins import Attributes, as_array, stand_in_types

__all__ = [
    "Box",
    "Node",
    "Sparse",
    "bundle",
    "defvjp",
    "defvjp_argnum",
    "is_box",
    "next_trace",
    "primitive",
    "pull_back",
    "top_trace",
    "unbox",
]

Rule = Callable[[Sequence[int], Any, Any, Any], Callable[[Any], Any]]
"""(numbers of the arguments with nodes, answer, arguments, keywords) -> (cotangent -> theirs)."""

_rules: dict[Any, Rule] = {}

next_trace = itertools.count(1).__next__
"""A number for a new differentiation; greater than that of any it is nested in. One call of C code, so atomic."""


class Node:
    """How a value came about: the nodes it was computed from, and ``vjp``, from its cotangent to theirs."""

    __slots__ = ("dtype", "parents", "vjp")

    def __init__(self, value: Any, fun: Any, args: Any, kwargs: Any, parent_argnums: Any, parents: Any) -> None:
        self.parents = parents
        self.dtype = value.dtype
        rule = _rules.get(fun) or _lent().rule(fun)
        if rule is None:
            raise NotImplementedError(f"np.{getattr(fun, '__name__', fun)} has no gradient on the numpy backend")
        self.vjp = rule(parent_argnums, value, args, kwargs)

    @classmethod
    def linking(cls, dtype: Any, parents: Sequence[Any], vjp: Callable[[Any], Any]) -> Node:
        """A node given its gradient outright."""
        node = cls.__new__(cls)
        node.dtype, node.parents, node.vjp = dtype, parents, vjp
        return node

    @classmethod
    def root(cls, dtype: Any) -> Node:
        """The node of a value that is differentiated with respect to."""
        return cls.linking(dtype, (), lambda g: ())


def _lent() -> Any:
    # autograd takes longer to import than a small model to train a step; few programs need its formulas.
    from layerkit_plugins.backends.numpy import lent

    return lent


def defvjp(function: Any, *makers: Callable[..., Any], argnums: Sequence[int] | None = None) -> None:
    """Defines the gradients of a primitive, one for each argument (or those of ``argnums``).

    Each is (answer, *arguments, **keywords) -> (cotangent of the answer -> cotangent of the argument).
    """
    maker_of = dict(zip(range(len(makers)) if argnums is None else argnums, makers, strict=True))

    def rule(numbers: Sequence[int], ans: Any, args: Any, kwargs: Any) -> Callable[[Any], Any]:
        vjps = [maker_of[number](ans, *args, **kwargs) for number in numbers]
        return lambda g: [vjp(g) for vjp in vjps]

    _rules[function] = rule


def defvjp_argnum(function: Any, maker: Callable[..., Any]) -> None:
    """The same for any number of arguments: (which, answer, arguments, keywords) -> (cotangent -> its cotangent)."""

    def rule(numbers: Sequence[int], ans: Any, args: Any, kwargs: Any) -> Callable[[Any], Any]:
        vjps = [maker(number, ans, args, kwargs) for number in numbers]
        return lambda g: [vjp(g) for vjp in vjps]

    _rules[function] = rule


class Box(Attributes):
    """An array being differentiated: with an array's attributes, methods and operators, but not to be written."""

    __slots__ = ("_node", "_trace", "_value")
    __array_priority__ = 100.0

    def __init__(self, value: Any, trace: int, node: Node) -> None:
        self._value, self._trace, self._node = value, trace, node

    T = property(lambda self: np.transpose(self))

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__":
            return NotImplemented
        out = kwargs.pop("out", None)
        if out is not None and out[0] is not inputs[0]:
            raise TypeError("an array that is being differentiated cannot be written into another (out=)")
        # `total += x` with a plain total comes here with out=(total,). What is returned becomes the new total.
        name = UFUNCS.get(ufunc)
        if name is None:
            known_to_autograd = getattr(_lent().anp, ufunc.__name__, None)
            return NotImplemented if known_to_autograd is None else known_to_autograd(*inputs, **kwargs)
        rule = differentiable.get(name)
        if rule is None:
            return ufunc(*map(known, inputs), **kwargs)
        return rule(*inputs, **kwargs)

    def _no_number(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(NO_NUMBER)

    __float__ = __int__ = __complex__ = __index__ = __array__ = item = tolist = _no_number

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError("an array that is being differentiated cannot be written: make a new one with np.where")

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of an array without axes")
        return int(self.shape[0])

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self._value)

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"Box({self._value!r})"


box_types.add(Box)


def is_box(x: Any) -> bool:
    """Whether ``x`` stands for an array that is being differentiated."""
    return type(x) in box_types


def unbox(x: Any, trace: int) -> Any:
    """What the box of this very differentiation stands for; anything else unchanged."""
    return x._value if type(x) in box_types and x._trace == trace else x


def top_trace(values: Any) -> int:
    """The innermost differentiation that one of the values takes part in, or -1."""
    return max((value._trace for value in values if type(value) in box_types), default=-1)


def primitive(plain: Callable[..., Any], name: str = "") -> Callable[..., Any]:
    """``plain``, recorded whenever a positional argument is a box. Its gradient is defined by ``defvjp``."""

    def call(*args: Any, **kwargs: Any) -> Any:
        top = -1
        for value in args:
            if type(value) in box_types and value._trace > top:
                top = value._trace
        if top < 0:
            return plain(*args, **kwargs)
        values, argnums, parents = list(args), [], []
        nested = False
        for i, value in enumerate(args):
            if type(value) in box_types:
                if value._trace == top:
                    argnums.append(i)
                    parents.append(value._node)
                    values[i] = value = value._value
                nested = nested or type(value) in box_types
        answer = (call if nested else plain)(*values, **kwargs)
        return Box(answer, top, Node(answer, call, tuple(values), kwargs, argnums, parents))

    call.__name__ = name or plain.__name__
    return call


class Sparse:
    """The cotangent of an array of which few places were used: not yet an array of its size.

    A subclass has ``dtype``; ``pour(total)``, which adds it to an array in place; ``dense(dtype)``, it as an array; and
    ``added_to(total)``, another array, the sum of both.
    """

    __slots__ = ()


class _Part:
    """The cotangent of one result among several, on its way to the node that made them all."""

    __slots__ = ("cotangents",)

    def __init__(self, cotangents: dict[int, Any]) -> None:
        self.cotangents = cotangents


def bundle(values: Sequence[Any], trace: int, parents: Sequence[Any], vjp: Callable[[list[Any]], Any]) -> list[Any]:
    """Boxes for the results of one step with several results.

    ``vjp`` gets the list of their cotangents, ``None`` for those that nothing depends on, and returns the parents'.
    Results that are not floating-point numbers stay plain.
    """
    count = len(values)
    maker = Node.linking(None, parents, lambda part: vjp([part.cotangents.get(i) for i in range(count)]))

    def box(i: int, value: Any) -> Any:
        if not is_box(value):
            value = as_array(value)
        if value.dtype.kind not in "fcV":
            return value
        return Box(value, trace, Node.linking(value.dtype, (maker,), lambda g: (_Part({i: g}),)))

    return [box(i, value) for i, value in enumerate(values)]


def pull_back(ends: Sequence[Any], cotangents: Sequence[Any], roots: Sequence[Any]) -> list[Any]:
    """The cotangents of ``roots``, given those of the nodes ``ends``; ``None`` where they do not depend on the root."""
    join = Node.linking(None, tuple(ends), lambda gs: gs)
    # Node -> (its cotangent so far, whether that array was made here and may be added to in place).
    sums: dict[Any, tuple[Any, bool]] = {join: (cotangents, False)}
    found = {}
    for node in _from_the_end(join):
        cotangent = sums.pop(node)[0]
        if not node.parents:
            found[node] = cotangent
        for parent, part in zip(node.parents, node.vjp(cotangent), strict=True):
            sums[parent] = _add(sums.get(parent), part, parent.dtype)
    return [found.get(root) for root in roots]


def _from_the_end(end: Node) -> Iterator[Node]:
    """The nodes that ``end`` was computed from, each after all that were computed from it."""
    users = collections.Counter[Node]()
    reached = [end]
    while reached:
        for parent in reached.pop().parents:
            if parent not in users:
                reached.append(parent)
            users[parent] += 1
    done = [end]
    while done:
        node = done.pop()
        yield node
        for parent in node.parents:
            users[parent] -= 1
            if not users[parent]:
                done.append(parent)


def _add(so_far: tuple[Any, bool] | None, part: Any, dtype: Any) -> tuple[Any, bool]:
    if type(part) is _Part:
        return _add_part(so_far, part)
    if isinstance(part, Sparse):
        return _add_sparse(so_far, part, dtype)
    if type(part) is not Box and type(part) in box_types:  # from autograd's formulas, in a derivative of a derivative
        part = Box(part._value, part._trace, part._node)
    if part.dtype is not dtype:
        part = part.astype(dtype)
    if so_far is None:
        return part, False
    total, ours = so_far
    if ours and _is_plain(total) and _is_plain(part):
        return onp.add(total, part, out=total), True
    total = total + part
    return total, isinstance(total, onp.ndarray)


def _is_plain(array: Any) -> bool:
    return type(array) not in box_types and type(array) not in stand_in_types


def _add_part(so_far: tuple[Any, bool] | None, part: _Part) -> tuple[_Part, bool]:
    if so_far is None:
        return part, True
    cotangents = so_far[0].cotangents
    for i, g in part.cotangents.items():
        cotangents[i] = cotangents[i] + g if i in cotangents else g
    return so_far[0], True


def _add_sparse(so_far: tuple[Any, bool] | None, part: Any, dtype: Any) -> tuple[Any, bool]:
    """Adds it in place to an array that was made here, if need be for that."""
    if so_far is None:
        return part.dense(dtype), True
    if type(so_far[0]) in stand_in_types:
        return part.added_to(so_far[0]), False
    if so_far[1]:
        total = so_far[0]
    elif type(so_far[0]) in box_types:
        return so_far[0] + part.dense(dtype), False
    else:
        total = onp.array(so_far[0], order="C")
    part.pour(total)
    return total, True
