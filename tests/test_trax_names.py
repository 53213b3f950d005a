"""Who comes from Trax finds the constructors by their names, and their arguments in their places."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trax_signatures

import layerkit as lk
from layerkit import layers as tl
from layerkit import models, optimizers
from layerkit.fastmath import numpy as np

NAMES = {**{name: getattr(tl, name) for name in dir(tl)}, "mean": np.mean, "float32": np.float32}

# Defaults that are others here, each with the reason.
DIFFERENT = {
    ("Conv", "dimension_numbers"): "None is the same, and works for any number of axes",
    ("ConvTranspose", "dimension_numbers"): "as for Conv",
    ("LSHSelfAttention", "predict_drop_len"): "nothing is forgotten unless asked for",
    ("Adam", "weight_decay_rate"): "nothing decays unless asked for",
    ("Momentum", "weight_decay_rate"): "nothing decays unless asked for",
}
SPELT = {"kernel_initialzer": "kernel_initializer"}


def listed(text: str) -> Iterator[ast.FunctionDef]:
    """Each line of a list as the head of a function; indented lines go on with the one before."""
    for line in text.strip().replace("\n    ", " ").splitlines():
        (head,) = ast.parse(f"def {line}: ...").body
        assert isinstance(head, ast.FunctionDef)
        yield head


SPACES = [
    (tl, trax_signatures.LAYERS),
    (models, trax_signatures.MODELS),
    (optimizers, trax_signatures.OPTIMIZERS),
]
CONSTRUCTORS = [pytest.param(space, head, id=head.name) for space, text in SPACES for head in listed(text)]


def expected(head: ast.FunctionDef) -> Iterator[tuple[str, bool, Any]]:
    """(argument, whether it is given by name alone, default), in order; ``...`` where there is no default."""
    of, given = head.args, head.args.args
    defaults = [None] * (len(given) - len(of.defaults)) + of.defaults + of.kw_defaults
    for place, (argument, default) in enumerate(zip(given + of.kwonlyargs, defaults, strict=True)):
        value = ... if default is None else eval(ast.unparse(default), NAMES)
        yield SPELT.get(argument.arg, argument.arg), place >= len(given), value


def own(constructor: Callable[..., Any]) -> list[inspect.Parameter]:
    """The arguments that it has."""
    made = constructor.__init__ if inspect.isclass(constructor) else constructor
    return [argument for argument in inspect.signature(made).parameters.values() if argument.name != "self"]


def same(name: str, theirs: Any, ours: Any) -> bool:
    """Whether a default means the same; ``None`` stands for a layer, and for the mode that a call says."""
    if theirs is ...:  # what has to be given there may have a default here
        return True
    if ours is None and (name == "mode" or callable(theirs) or isinstance(theirs, lk.Layer)):
        return True
    said = lambda value: getattr(value, "__name__", repr(value))
    return bool(theirs == ours or said(theirs) == said(ours))


@pytest.mark.parametrize(("space", "head"), CONSTRUCTORS)
def test_a_constructor_takes_what_it_took(space: Any, head: ast.FunctionDef) -> None:
    arguments = own(getattr(space, head.name))
    by_name = {argument.name: argument for argument in arguments}
    assert (head.args.vararg is None) == all(argument.kind != argument.VAR_POSITIONAL for argument in arguments)
    for place, (name, by_name_alone, theirs) in enumerate(expected(head)):
        assert name in by_name if by_name_alone else arguments[place].name == name
        if (head.name, name) not in DIFFERENT:
            assert same(name, theirs, by_name[name].default), f"{name}: {theirs} there, {by_name[name].default} here"


def test_a_difference_is_seen() -> None:
    for line in ("Dense(units)", "Dense(n_units, use_bias=True)", "Dropout(rate=0.1)", "Relu(*layers)"):
        (head,) = listed(line)
        with pytest.raises((AssertionError, IndexError)):
            test_a_constructor_takes_what_it_took(tl, head)
