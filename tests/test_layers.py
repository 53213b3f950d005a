"""Every registered layer and every combinator passes the kit, and does what the table declares of it."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
from typing import Any

import pytest
from layer_table import COMBINATORS, ROWS, Row

import layerkit as lk
from layerkit.example import example_of
from layerkit.plugins import registry
from layerkit.testing import check_layer
from layerkit.testing.layer_case import LayerCase
from layerkit.testing.trees import all_equal


@pytest.mark.parametrize("row", [*ROWS, *COMBINATORS], ids=lambda row: row.id)
def test_the_kit_finds_no_fault(row: Row) -> None:
    report = check_layer(
        row.make,
        *row.tried_on,
        expected_failures=row.expected_failures,
        rows_independent=row.rows_independent,
        tolerance=row.tolerance,
    )
    assert report.ok, str(report)


@pytest.mark.parametrize("name", sorted(registry.layers.own()))
def test_the_kit_finds_no_fault_with_the_example(name: str) -> None:
    report = check_layer(registry.layers.own()[name].constructor)
    assert report.ok, str(report)


@pytest.mark.parametrize("row", [*ROWS, *COMBINATORS], ids=lambda row: row.id)
def test_training_differs_where_it_is_declared(row: Row) -> None:
    assert contradictions(row) == []


@pytest.mark.parametrize(
    ("name", "declared"),
    [
        ("Relu", {"trains_differently": True}),
        ("Relu", {"draws_in_training": True}),
        ("Relu", {"always_draws": True}),
        ("Relu", {"has_state": True}),
        ("Dropout", {"draws_in_training": False}),
        ("BatchNorm", {"trains_differently": False}),
        ("BatchNorm", {"has_state": False}),
        ("Cache", {"state_in_evaluation": False}),
        ("RandomUniform", {"always_draws": False}),
    ],
)
def test_a_false_declaration_is_seen(name: str, declared: dict[str, bool]) -> None:
    row = next(row for row in (*ROWS, *COMBINATORS) if row.name == name)
    assert contradictions(row) == []
    assert contradictions(dataclasses.replace(row, **declared))


def contradictions(row: Row) -> list[str]:
    """What the row declares about training, state and random numbers, and the layer does not do."""
    trial = LayerCase(row.make, *row.tried_on, backends=["numpy"]).reference
    evaluated, trained = trial.steps
    others = trial.run(seed=1)
    found = {
        "training_differs": not all_equal(evaluated[0], trained[0]) or not all_equal(evaluated[2:], trained[2:]),
        "has_state": not all_equal(trial.state, trained.state),
        "state_in_evaluation": not all_equal(trial.state, evaluated.state),
        "always_draws": not all_equal(evaluated.y, others[0].y),
        "draws_in_training": not all_equal(trained.y, others[1].y),
    }
    declared = {name: getattr(row, name) for name in found}
    declared["draws_in_training"] |= row.always_draws
    return [name for name, value in found.items() if value != declared[name]]


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
