"""The same numbers on every backend, NumPy being the reference."""

from __future__ import annotations

from typing import Any

import numpy as onp

from layerkit.engine.bare import bare
from layerkit.errors import LayerkitError
from layerkit.shapes import signature
from layerkit.testing.layer_case import LayerCase
from layerkit.testing.layer_suite import LAYERS
from layerkit.testing.suite import Fault, Skip
from layerkit.testing.trees import is_float, leaves, require_close
from layerkit.testing.trial import MODES, Trial

__all__: list[str] = []

check = LAYERS.check("backends")


@check
def runs_on_every_backend(case: LayerCase) -> None:
    """It is initialized, compiled and differentiated on every backend: no ``if`` on a value, nothing of NumPy alone."""
    reference = case.reference
    if len(case.backends) == 1:
        raise Skip("; ".join(case.missing.values()) or f"it is tried on {reference.backend} alone")
    for name in case.backends[1:]:
        trial = case.trial(name)
        if isinstance(trial, Fault):
            raise Fault(f"on {name} it does not run: {trial}")


@check
def outputs_are_the_same_on_every_backend(case: LayerCase) -> None:
    """Its outputs agree between backends, but for rounding."""
    _compare(case, "outputs", lambda step: step.y, case.tolerance)


@check
def new_state_is_the_same_on_every_backend(case: LayerCase) -> None:
    """The state that a call leaves agrees between backends, but for rounding."""
    if not leaves(case.reference.state):
        raise Skip("it keeps no state")
    _compare(case, "new state", lambda step: step.state, case.tolerance)


@check
def gradients_are_the_same_on_every_backend(case: LayerCase) -> None:
    """The gradients of weights and inputs agree between backends, but for rounding."""
    _compare(case, "gradients", lambda step: (step.of_weights, step.of_inputs), 10 * case.tolerance)


@check
def infinities_are_the_same_on_every_backend(case: LayerCase) -> None:
    """Infinite and NaN inputs make the outputs infinite and NaN in the same places on every backend."""
    if not any(is_float(array) and array.size > 2 for array in case.reference.inputs):
        raise Skip("it takes no floating-point numbers")
    inputs = tuple(_with_extremes(array) for array in case.reference.inputs)
    try:
        reference = case.reference.run(inputs=inputs)[0].y
    except LayerkitError as error:
        raise Skip("it refuses them") from error
    for trial in case.others:
        what = f"its outputs for infinite inputs on {trial.backend} and {case.reference.backend}"
        require_close(what, trial.run(inputs=inputs)[0].y, reference, 10 * case.tolerance)


@check
def refusals_read_the_same_on_every_backend(case: LayerCase) -> None:
    """Inputs that do not fit are refused by the same words on every backend: a message can be looked up."""
    reference = case.reference
    for array in reference.inputs:
        if array.ndim == 0:
            raise Skip("its inputs have no axes")
    if not reference.inputs:
        raise Skip("it takes no inputs")
    wider = tuple(onp.concatenate([array, array[..., :1]], axis=-1) for array in reference.inputs[:1])
    texts = [_refusal(trial, (*wider, *reference.inputs[1:])) for trial in (reference, *case.others)]
    for trial, text in zip(case.others, texts[1:], strict=True):
        if text != texts[0]:
            raise Fault(f"{reference.backend} says {texts[0]!r}, and {trial.backend} says {text!r}")


def _compare(case: LayerCase, what: str, part: Any, tolerance: float) -> None:
    for trial in case.others:
        for training, mode in MODES:
            ours, theirs = part(trial.step(training)), part(case.reference.step(training))
            text = f"its {what} on {trial.backend} and {case.reference.backend}, in {mode},"
            case.figures[f"apart in {mode} on {trial.backend}"] = require_close(text, ours, theirs, tolerance)


def _with_extremes(array: Any) -> Any:
    """The array with an infinity in its first number, minus infinity in the middle, and NaN in the last."""
    if not is_float(array) or array.size < 3:
        return array
    changed = onp.array(array)
    flat = changed.reshape(-1)
    flat[0], flat[array.size // 2], flat[-1] = onp.inf, -onp.inf, onp.nan
    return changed


def _refusal(trial: Trial, inputs: tuple[Any, ...]) -> str:
    """What the layer's trial says of inputs, or what it gives."""
    with trial.active():
        try:
            y = trial.layer.output_signature(bare(tuple(map(signature, inputs))))
        except LayerkitError as error:
            return str(error)
        return f"it gives {y}"
