"""Checks of an optimizer: how it is made, what it says of itself, and what it keeps."""

from __future__ import annotations

import math
from typing import Any

import numpy as onp

from layerkit import fastmath
from layerkit.errors import an
from layerkit.fastmath import numpy as np
from layerkit.shapes import bf16, signature
from layerkit.testing.blame import demand
from layerkit.testing.optimizer_case import SHAPES, OptimizerCase, check, numbers, run, weights_of_a_model
from layerkit.testing.suite import Fault, Skip
from layerkit.testing.trees import leaves, require_same, structure

__all__: list[str] = []

# A count of steps and a random key are whole numbers.
_SLOTS = ("float32", "int32", "uint32")
_FORMULA_SIGNS = ("<-", "=", "←", ":=")


@check("form", everywhere=False)
def makes_a_step(case: OptimizerCase) -> None:
    """It is made, and its ``update`` gives a weight and its slots: every other check builds on that."""
    if case.problem:
        raise Fault(case.problem)


@check("form", everywhere=False)
def learning_rate_comes_first(case: OptimizerCase) -> None:
    """It is made with the learning rate first, and is an ``lk.Optimizer``, so that a loop can use it."""
    rate = float(case.make(0.25).opt_params.learning_rate)
    demand(rate == 0.25, f"{case.name}(0.25) has a learning rate of {rate}")


@check("form", everywhere=False)
def docstring_has_a_formula(case: OptimizerCase) -> None:
    """Its docstring says in a formula what a step does, ``w <- w - learning_rate * g``."""
    text = getattr(case.subject, "__doc__", None) or ""
    demand(text.strip(), f"{case.name} has no docstring: give it one with its formula, w <- w - learning_rate * g")
    if not any(sign in text for sign in _FORMULA_SIGNS):
        raise Fault(f"the docstring of {case.name} has no formula ({text.strip():.60}...): w <- w - learning_rate * g")


@check("form", everywhere=False)
def repr_names_it_and_its_learning_rate(case: OptimizerCase) -> None:
    """Its repr has its class and its learning rate in one line, for logs and errors."""
    optimizer = case.make(0.25)
    text = repr(optimizer)
    if type(optimizer).__name__ not in text or "0.25" not in text or "\n" in text:
        raise Fault(f"the repr of {case.name}(0.25) is {text!r}: {type(optimizer).__name__}(learning_rate=0.25)")


@check("form", everywhere=False)
def numbers_are_a_record(case: OptimizerCase) -> None:
    """``opt_params`` is read by name and unpacked in declared order, the learning rate first, each a float32 scalar."""
    record = case.make(0.25).opt_params
    names = getattr(record, "_fields", None)
    if names is None or not isinstance(record, tuple):
        raise Fault(f"opt_params is {an(type(record).__name__)}, not a named tuple: neither read by name nor unpacked")
    demand(names[:1] == ("learning_rate",), f"opt_params begins with {names[:1]}, not with learning_rate")
    for name, value in zip(names, record, strict=True):
        demand(getattr(record, name) is value, f"opt_params.{name} is not what unpacking gives: {value!r}")
        form = (getattr(value, "shape", None), str(getattr(value, "dtype", type(value).__name__)))
        demand(form == ((), "float32"), f"opt_params.{name} is {value!r}, of {form[1]}: a float32 scalar is due")
    again = case.make(0.5).opt_params
    demand(
        type(again) is type(record), "each object has a record class of its own: a compiled step is never found again"
    )


@check("slots")
def slots_are_arrays_of_32_bits(case: OptimizerCase) -> None:
    """The slots of a weight are a tree of float32, int32 or uint32 arrays, none with NaN or infinity, for any shape."""
    optimizer = case.make()
    for shape in SHAPES:
        slots = optimizer.init(np.asarray(numbers(shape, 0)))
        for slot in fastmath.tree_leaves(slots):
            dtype = str(getattr(slot, "dtype", type(slot).__name__))
            demand(dtype in _SLOTS, f"a slot of a float32 weight {shape} is {dtype}: {', '.join(_SLOTS)} are allowed")
            demand(onp.isfinite(leaves(slot)[0]).all(), f"a slot of a weight {shape} is not finite at first")


@check("slots")
def slots_keep_their_form(case: OptimizerCase) -> None:
    """An update gives slots of the structure, shapes and dtypes that ``init`` gave, so that a loop can be compiled."""
    optimizer = case.make()
    for shape in SHAPES:
        weight = np.asarray(numbers(shape, 0))
        slots = optimizer.init(weight)
        _, new = optimizer.update(0, np.asarray(numbers(shape, 1)), weight, slots, optimizer.opt_params)
        before, after = (f"{structure(tree)} of {_kinds(tree)}" for tree in (slots, new))
        demand(before == after, f"the slots of a weight {shape} are {before}, and {after} after a step")


def _kinds(tree: Any) -> list[Any]:
    return [signature(leaf) for leaf in fastmath.tree_leaves(tree)]


@check("slots")
def slots_start_from_the_weight_alone(case: OptimizerCase) -> None:
    """``init`` gives the same slots each time, and does not change the weight."""
    optimizer = case.make()
    for shape in SHAPES:
        weight = numbers(shape, 0)
        first, second = optimizer.init(np.asarray(weight)), optimizer.init(np.asarray(weight))
        require_same(f"two calls of init for a weight {shape}", first, second)
        require_same(f"a weight {shape} after init", weight, numbers(shape, 0))


@check("dtypes")
def weights_keep_their_form(case: OptimizerCase) -> None:
    """A float32 weight of any shape stays float32 and keeps its shape."""
    optimizer = case.make()
    for shape in SHAPES:
        weight = np.asarray(numbers(shape, 0))
        gradient = np.asarray(numbers(shape, 1))
        new, _ = optimizer.update(0, gradient, weight, optimizer.init(weight), optimizer.opt_params)
        before, after = signature(weight), signature(new)
        demand(before == after, f"a weight {before} is {after} after a step")


@check("dtypes")
def bfloat16_weights_train(case: OptimizerCase) -> None:
    """Weights in bfloat16 stay bfloat16 and move; their slots are of 32 bits, where small steps do not vanish."""
    try:
        dtype = bf16().dtype
    except ImportError:
        raise Skip("ml_dtypes, which has bfloat16, is not installed") from None
    weights = fastmath.nested_map(lambda weight: np.asarray(weight.astype(dtype)), weights_of_a_model())
    optimizer = case.make(0.5)  # small steps would be lost when the weights are rounded
    new, slots = run(optimizer, weights, 3)
    for slot in leaves((optimizer.tree_init(weights)[0], slots)):
        demand(slot.dtype.name in _SLOTS, f"a slot of a bfloat16 weight is {slot.dtype.name}, not float32")
    for before, after in zip(leaves(weights), leaves(new), strict=True):
        demand(after.dtype == dtype, f"a bfloat16 weight is {after.dtype.name} after a step")
        moved = float(onp.abs(after.astype("float32") - before.astype("float32")).max())
        demand(0 < moved < math.inf, f"a bfloat16 weight moved by {moved} in 3 steps")


@check("dtypes")
def whole_numbers_among_weights_stay(case: OptimizerCase) -> None:
    """Whole numbers and booleans in the tree of weights are not trained: they stay bit for bit, and have no slots."""
    optimizer = case.make()
    weights = (numbers((2,), 0), onp.array([3, 1], onp.int32), onp.array([True, False]))
    gradients = (numbers((2,), 1), onp.array([5, 5], onp.int32), onp.array([True, True]))
    slots, opt_params = optimizer.tree_init(weights)
    new, new_slots, _ = optimizer.tree_update(0, gradients, weights, slots, opt_params)
    require_same("whole numbers among the weights, after a step and before,", new[1:], weights[1:])
    demand(not leaves((slots[1:], new_slots[1:])), "whole numbers among the weights have slots")


@check("dtypes")
def empty_weights_stay(case: OptimizerCase) -> None:
    """A weight without numbers, and layers without weights, go through a step unchanged."""
    optimizer = case.make()
    weights: Any = (onp.zeros((0, 3), onp.float32), (), numbers((2,), 0), {})
    slots, opt_params = optimizer.tree_init(weights)
    new, _, _ = optimizer.tree_update(0, weights, weights, slots, opt_params)
    demand(structure(new) == structure(weights), f"weights {structure(weights)} are {structure(new)} after a step")
    demand(leaves(new)[0].shape == (0, 3), f"a weight of shape (0, 3) has shape {leaves(new)[0].shape} after a step")
    demand(onp.isfinite(leaves(new)[1]).all(), "a weight beside an empty one is not finite after a step")
