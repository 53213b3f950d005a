"""Every registered layer and every combinator, on both backends, does what every layer must do."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from layer_properties import ALL, Case, case
from layer_table import COMBINATORS, ROWS, Row

import layerkit as lk
from layerkit.example import example_of
from layerkit.plugins import registry


@pytest.mark.parametrize("row", [*ROWS, *COMBINATORS], ids=lambda row: row.id)
@pytest.mark.parametrize(("holds", "backend"), ALL, ids=lambda part: getattr(part, "__name__", part))
def test_property(holds: Callable[[Case], None], backend: str, row: Row) -> None:
    holds(case(row, backend))


def test_every_layer_has_an_example() -> None:
    missing = [name for name, offer in registry.layers.own().items() if example_of(offer.constructor) is None]
    assert not missing, f"no @lk.example: {', '.join(sorted(missing))}"


def test_every_registered_layer_has_a_row() -> None:
    missing = set(registry.layers.own()) - {row.name for row in ROWS}
    assert not missing, f"no row in layer_table.py: {', '.join(sorted(missing))}"


def test_every_combinator_has_a_row() -> None:
    missing = {name for name, thing in combinators().items() if name not in {row.name for row in COMBINATORS}}
    assert not missing, f"no row in layer_table.py: {', '.join(sorted(missing))}"


def test_rows_have_different_names() -> None:
    names = [row.id for row in (*ROWS, *COMBINATORS)]
    assert len(names) == len(set(names))


def combinators() -> dict[str, Any]:
    """The constructors of layers that layerkit itself has."""
    found = {}
    for module in registry.layers.core_modules:
        for name in importlib.import_module(module).__all__:
            thing = getattr(importlib.import_module(module), name)
            returns = inspect.signature(thing).return_annotation if inspect.isfunction(thing) else None
            is_layer = inspect.isclass(thing) and issubclass(thing, lk.Layer) and thing is not lk.Layer
            if is_layer or returns in ("Layer", "PureLayer"):
                found[name] = thing
    return found
