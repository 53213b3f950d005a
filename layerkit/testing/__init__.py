"""The kit that tells the author of a plugin whether it is right: named checks, each with its reason.

Three ways to run it: ``layerkit plugins check NAME`` on an installed distribution, ``@conformance`` in pytest, and
plain calls such as ``check_layer(Scale)``, which return a report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from layerkit.errors import UsageError, suggest
from layerkit.testing.backend_case import BACKENDS
from layerkit.testing.backends import check_backend
from layerkit.testing.layer_suite import LAYERS
from layerkit.testing.layers import check_layer
from layerkit.testing.optimizer_case import OPTIMIZERS
from layerkit.testing.optimizers import check_optimizer
from layerkit.testing.recipe_case import RECIPES
from layerkit.testing.recipes import check_recipe
from layerkit.testing.report import Report, Result
from layerkit.testing.suite import Check, Fault, Skip, Suite

__all__ = [
    "CHECKERS",
    "SUITES",
    "Check",
    "Fault",
    "Report",
    "Result",
    "Skip",
    "check_backend",
    "check_layer",
    "check_optimizer",
    "check_recipe",
    "checks",
    "conformance",
]

CHECKERS: dict[str, Callable[..., Report]] = {
    "layer": check_layer,
    "optimizer": check_optimizer,
    "backend": check_backend,
    "recipe": check_recipe,
}
"""For each kind of thing that plugins offer, the function that checks one."""

SUITES: dict[str, Suite] = {"layer": LAYERS, "optimizer": OPTIMIZERS, "backend": BACKENDS, "recipe": RECIPES}
"""For each of those kinds, its list of checks."""


def checks(kind: str) -> list[Check]:
    """The checks of a kind of thing, in the order in which they are run.

    Raises:
        UsageError: the kit has none for that kind.

    >>> checks("layer")[0].name
    'runs_on_its_example'
    """
    return list(_suite(kind).checks)


def conformance(
    thing: Any,
    *inputs: Any,
    kind: str = "layer",
    expected_failures: Mapping[str, str] | None = None,
    **options: Any,
) -> Callable[[Callable[..., None]], Any]:
    """Turns the function below it into one pytest test a check; what it does itself comes after each that passes.

    Args:
        thing: what is checked: a constructor of layers, or a layer.
        inputs: what it is tried on, as ``check_layer`` takes them.
        kind: what kind of thing it is, one of ``CHECKERS``.
        expected_failures: names of checks that fail, each with the reason; one that passes all the same fails.
        options: what else ``check_layer`` takes.

    Raises:
        UsageError: a kind or a check is named that there is not.

    >>> from layerkit import Fn, f32
    >>> @conformance(Fn("Double", lambda x: 2 * x), f32(4, 8))
    ... def test_double():
    ...     '''It keeps the rules of layers.'''
    >>> test_double("inputs_are_not_mutated")
    """
    from layerkit.testing.decorator import conformance_of

    return conformance_of(_suite(kind), thing, *inputs, expected_failures=expected_failures, **options)


def _suite(kind: str) -> Suite:
    if kind not in SUITES:
        raise UsageError(f"the kit has no checks of the kind {kind!r}: {suggest(kind, SUITES)}")
    return SUITES[kind]
