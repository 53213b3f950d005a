"""NaN and infinity: they are seen, and stay where they are."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import numpy as onp

from layerkit.engine.bare import as_tuple
from layerkit.errors import LayerkitError
from layerkit.testing.layer_case import LayerCase
from layerkit.testing.layer_suite import LAYERS
from layerkit.testing.suite import Fault, Skip
from layerkit.testing.trees import host, is_float, leaves, require_close
from layerkit.testing.trial import Trial

__all__: list[str] = []

check = LAYERS.check("numbers")

_OUTSIDE = 10**9
"""An id that no table has a row for."""


@check
def nan_is_not_swallowed(case: LayerCase) -> None:
    """An input with a gradient that is NaN throughout makes outputs NaN, or is refused: what is broken must show."""
    trial = case.reference
    if not any(is_float(leaf) for leaf in leaves(trial.eager()[0])):
        raise Skip("its outputs are no floating-point numbers")
    # What an output has no gradient for is compared, counted or left out, where a NaN need not show.
    gradients = [host(part) if hasattr(part, "dtype") else onp.zeros(0) for part in trial.step(False).of_inputs]
    smooth = [number for number, gradient in enumerate(gradients) if gradient.any()]
    if not smooth:
        raise Skip("its outputs have no gradient for its inputs")
    for number in smooth:
        changed = list(trial.inputs)
        changed[number] = onp.full_like(trial.inputs[number], onp.nan)
        try:
            y = trial.eager(inputs=tuple(changed))[0]
        except LayerkitError:
            continue
        if not any(onp.isnan(leaf).any() for leaf in leaves(y) if is_float(leaf)):
            raise Fault(f"input {number} is NaN throughout, and no output is")


@check
def nan_stays_in_its_row(case: LayerCase) -> None:
    """Where rows are independent, NaN and infinity in one row leave the others as they are: one bad text is one."""
    _require_local(case, {"NaN": onp.nan, "infinity": onp.inf})


@check
def ids_outside_show_when_compiled(case: LayerCase) -> None:
    """An id that is refused where it is known makes NaN in a compiled function, or is refused: no other row is read."""
    trial = case.reference
    wrong = [inputs for inputs in _with_an_id_outside(trial.inputs) if _refused(trial, inputs)]
    if not wrong:
        raise Skip("it refuses no whole numbers")
    for other in case.others:
        if not all(map(functools.partial(_shows, other), wrong)):
            raise Fault(
                f"the id {_OUTSIDE} is refused on {trial.backend}, and reads something in a compiled function on "
                f"{other.backend}: read rows with fastmath.take_rows"
            )


def _shows(trial: Trial, inputs: tuple[Any, ...]) -> bool:
    """Whether a compiled call refuses these inputs, or makes NaN of them."""
    try:
        outputs = trial.run(inputs=inputs)[0].y
    except LayerkitError:
        return True
    return any(bool(onp.isnan(leaf).any()) for leaf in leaves(outputs) if is_float(leaf))


def _with_an_id_outside(inputs: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """The inputs with one whole number, the first of an array, that no table has a row for."""
    for place, array in enumerate(inputs):
        if array.dtype.kind in "iu" and array.size:
            changed = array.copy()
            changed.flat[0] = _OUTSIDE
            yield (*inputs[:place], changed, *inputs[place + 1 :])


def _refused(trial: Trial, inputs: tuple[Any, ...]) -> bool:
    try:
        trial.eager(inputs=inputs)
    except LayerkitError:
        return True
    return False


def _require_local(case: LayerCase, numbers: dict[str, float]) -> None:
    trial = case.reference
    if not case.rows_independent:
        raise Skip("its rows are declared to depend on each other")
    if not any(is_float(array) for array in trial.inputs):
        raise Skip("it takes no floating-point numbers")
    if not all(array.ndim and len(array) > 1 for array in trial.inputs):
        raise Skip("its inputs have no rows")
    plain = _other_rows(trial.eager()[0])
    for name, value in numbers.items():
        inputs = tuple(_spoilt(array, value) for array in trial.inputs)
        try:
            y = trial.eager(inputs=inputs)[0]
        except LayerkitError:
            continue
        require_close(f"the outputs of other rows, with and without {name} in row 0,", _other_rows(y), plain, 1e-6)


def _other_rows(y: Any) -> tuple[Any, ...]:
    return tuple(output[1:] for output in as_tuple(y) if output.ndim)


def _spoilt(array: Any, value: float) -> Any:
    if not is_float(array):
        return array
    changed = onp.array(array)
    changed[0] = value
    return changed
