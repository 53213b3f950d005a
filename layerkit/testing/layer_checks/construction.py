"""How a layer is made, and what it says about itself."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any

from layerkit.engine.bare import as_tuple
from layerkit.errors import an
from layerkit.fastmath import tree_leaves
from layerkit.layer import Layer
from layerkit.testing.layer_case import LayerCase
from layerkit.testing.layer_suite import LAYERS
from layerkit.testing.suite import Fault, Skip
from layerkit.testing.trees import all_equal, require_same
from layerkit.testing.trial import blaming

__all__: list[str] = []

check = LAYERS.check("construction")


@check
def runs_on_its_example(case: LayerCase) -> None:
    """It is made with its example's arguments and runs on its example's inputs: every other check builds on that."""
    if case.problem:
        raise Fault(case.problem)


@check
def is_made_anew_each_time(case: LayerCase) -> None:
    """The constructor gives a new layer at every call: one handed out twice would share its weights unasked."""
    if case.ready_made:
        raise Skip("it was given ready-made")
    if case.reference.layer is case.make() or case.make() is case.make():
        raise Fault(f"{case.name} gives the same object twice: make a new layer at every call")


@check
def is_made_from_its_arguments_alone(case: LayerCase) -> None:
    """Two made with the same arguments are the same function: nothing comes from a counter, a clock or a global."""
    trial = case.reference
    first, second = trial.eager(layer=trial.fresh()), trial.eager(layer=trial.fresh())
    require_same("the outputs of two made with the same arguments, on the same weights,", first, second)
    one, two = trial.fresh(), trial.fresh()
    for of in ("name", "n_in", "n_out"):
        if getattr(one, of) != getattr(two, of):
            raise Fault(f"two made with the same arguments have {of} {getattr(one, of)!r} and {getattr(two, of)!r}")


@check
def arguments_are_left_alone(case: LayerCase) -> None:
    """Making it, and running it, changes none of the constructor's arguments: they may be used again."""
    plain = {name: value for name, value in case.arguments.items() if isinstance(value, (list, dict, set))}
    if case.ready_made or not plain:
        raise Skip("its constructor was given no lists or dicts")
    before = copy.deepcopy(plain)
    case.reference.fresh()
    for name, value in plain.items():
        if value != before[name]:
            raise Fault(f"the argument {name} was {before[name]!r} and is {value!r} after the layer was made")


@check
def repr_is_plain(case: LayerCase) -> None:
    """Its repr holds its name, is the same for two of its kind and after a call, and has no addresses: it is read."""
    trial = case.reference
    with blaming("its repr"), trial.active():
        texts = [repr(case.make()), repr(trial.fresh()), repr(trial.layer)]
    if len(set(texts)) > 1:
        raise Fault(f"its repr differs between two of its kind, or before and after a call: {sorted(set(texts))}")
    if trial.layer.name not in texts[0]:
        raise Fault(f"its repr {texts[0]!r} does not hold its name {trial.layer.name!r}")
    if re.search(r"\b0x[0-9a-f]{4}", texts[0]):
        raise Fault(f"its repr holds an address: {texts[0]!r}")


@check
def name_fits_into_paths(case: LayerCase) -> None:
    """Its name and kind are 1 to 100 printable characters without a slash: files and errors build paths of them."""
    layer = case.reference.layer
    for of, name in (("name", layer.name), ("kind", layer.kind)):
        if not isinstance(name, str) or not 0 < len(name) <= 100 or not name.isprintable() or "/" in name:
            raise Fault(f"its {of} is {name!r:.120}")


@check
def docstring_tells_shapes(case: LayerCase) -> None:
    """Its docstring says what shapes it takes and gives, such as ``x: (..., d)``: nobody should have to try."""
    thing = case.constructor
    # A combinator has no shapes of its own, nor has what is composed on the spot.
    if thing.__module__.partition(".")[0] == "layerkit" or getattr(thing, "__name__", "").startswith(("<", "_")):
        raise Skip("it is composed of other layers where it is used")
    text = vars(thing).get("__doc__") if isinstance(thing, type) else getattr(thing, "__doc__", None)
    if not text or not text.strip():
        raise Fault(f"{case.name} has no docstring: say what it computes, and its shapes, x: (..., d)")
    if not re.search(r": ?\(|\bany shape|\bshapes?\b|\baxis\b|\binputs? and outputs?\b", text, re.I):
        raise Fault(f"its docstring says nothing about shapes; write them as x: (..., d): {text.strip()[:80]!r}")


@check
def arity_is_declared(case: LayerCase) -> None:
    """n_in and n_out are whole numbers and true: combinators count the stack by them before anything runs."""
    trial = case.reference
    layer = trial.layer
    for of, n in (("n_in", layer.n_in), ("n_out", layer.n_out)):
        if not isinstance(n, int) or isinstance(n, bool) or n < 0:
            raise Fault(f"its {of} is {n!r}, not a whole number")
    got = len(as_tuple(trial.eager()[0]))
    if len(trial.inputs) < layer.n_in:
        raise Fault(f"it says n_in={layer.n_in}, and its example has {len(trial.inputs)} inputs")
    if got != layer.n_out + len(trial.inputs) - layer.n_in:
        raise Fault(f"it says n_out={layer.n_out}, and gives {got} outputs for {len(trial.inputs)} inputs")


@check
def inner_layers_are_sublayers(case: LayerCase) -> None:
    """Every layer it keeps is one of its sublayers: the weights of any other would never be trained or saved."""
    layer = case.reference.layer
    if not isinstance(layer.sublayers, tuple):
        raise Fault(f"its sublayers are {an(type(layer.sublayers).__name__)}, no tuple: hand them to super().__init__")
    for attribute, inner in _kept(vars(layer)):
        if inner not in layer.sublayers and inner is not layer and not inner.is_bare:
            raise Fault(
                f"it keeps {inner.name} as {attribute}, which is none of its sublayers: "
                "hand it to super().__init__(sublayers=[...])"
            )


@check
def can_be_copied(case: LayerCase) -> None:
    """copy.deepcopy gives a layer of its own that computes the same: configuration is plain values, no open handles."""
    trial = case.reference
    layer = trial.fresh()
    with blaming("copy.deepcopy of it"):
        twin = copy.deepcopy(layer)
    require_same("the outputs of it and of its copy", trial.eager(layer=twin), trial.eager(layer=layer))
    if not tree_leaves(trial.weights):
        return
    with trial.active():
        before = layer.weights
        twin.weights = trial.weights
        if layer.weights is not before and not all_equal(layer.weights, before):
            raise Fault("setting the weights of its copy changes its own")


def _kept(attributes: dict[str, Any]) -> Iterator[tuple[str, Layer]]:
    """The layers among the values of attributes, also in lists, tuples and dicts."""
    for name, value in attributes.items():
        if isinstance(value, dict):
            values = list(value.values())
        else:
            values = list(value) if isinstance(value, (tuple, list)) else [value]
        yield from ((name, inner) for inner in values if isinstance(inner, Layer))
