"""``check_layer``: does a layer keep the rules of layers?"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from layerkit.testing import layer_checks
from layerkit.testing.layer_suite import LAYERS
from layerkit.testing.report import Report

__all__ = ["check_layer"]

_ = layer_checks  # importing them has put them on the list


def check_layer(
    constructor_or_layer: Any,
    *inputs: Any,
    only: Collection[str] | None = None,
    expected_failures: Mapping[str, str] | None = None,
    backends: Sequence[str] | None = None,
    arguments: Mapping[str, Any] | None = None,
    rows_independent: bool | None = None,
    tolerance: float = 2e-6,
) -> Report:
    """Tries every check of layers on a layer, and reports what each found; it never raises for a fault of the layer.

    Args:
        constructor_or_layer: a class or function that makes layers, or a layer.
        inputs: signatures (``lk.f32(4, 8)``) or arrays, one for each array the layer takes; those of its
            ``@lk.example`` unless given.
        only: names of checks; all of them unless given.
        expected_failures: names of checks that fail, each with the reason, besides those its example declares. One
            that passes all the same is reported as failed.
        backends: names of the backends to try, besides NumPy, the reference; layerkit's own unless given.
        arguments: what the constructor is called with; those of the example unless given.
        rows_independent: whether a row of the output depends on its own row of the inputs alone; what the example says
            unless given.
        tolerance: how far backends may be apart, relative to the largest number of an array; gradients ten times as
            far.

    Raises:
        UsageError: a check or a backend is named that there is not, or an input is a tuple.

    >>> from layerkit import Fn, f32
    >>> print(check_layer(Fn("Double", lambda x: 2 * x), f32(4, 8), only=["arity_is_declared"]))
    layer Double: ran 1 of 1; all passed
    """
    case = LAYERS.case(
        constructor_or_layer,
        *inputs,
        arguments=arguments,
        rows_independent=rows_independent,
        tolerance=tolerance,
        backends=backends,
    )
    return LAYERS.run(case, case.name, only, {**case.expected_failures, **(expected_failures or {})})
