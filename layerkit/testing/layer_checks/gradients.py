"""Gradients, held to finite differences in float64 on the reference backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as onp

from layerkit import fastmath
from layerkit.shapes import signature
from layerkit.testing.layer_case import LayerCase
from layerkit.testing.layer_suite import LAYERS
from layerkit.testing.suite import Fault, Skip
from layerkit.testing.trees import is_float, leaves, map_host, structure
from layerkit.testing.trial import MODES, Trial, blaming, loss_of, split

__all__: list[str] = []

check = LAYERS.check("gradients")

_STEP = 1e-6
_TOLERANCE = 1e-6


@check
def gradient_of_weights_is_right(case: LayerCase) -> None:
    """Along a random direction of the weights, the gradient is the slope that finite differences in float64 give."""
    if not leaves(case.reference.weights):
        raise Skip("it has no weights")
    _compare_slopes(case, 0, "weights")


@check
def gradient_of_inputs_is_right(case: LayerCase) -> None:
    """Along a random direction of the inputs, the gradient is the slope that finite differences in float64 give."""
    if not any(map(is_float, case.reference.inputs)):
        raise Skip("it takes no floating-point numbers")
    _compare_slopes(case, 1, "inputs")


@check
def gradients_have_the_form_of_their_arrays(case: LayerCase) -> None:
    """The gradient of an array has its shape and dtype, in the same structure: an optimizer adds the two."""
    for trial in case.trials:
        for training, mode in MODES:
            step = trial.step(training)
            floats = split(trial.inputs)[0]
            pairs = (("weights", step.of_weights, trial.weights), ("inputs", step.of_inputs, floats))
            for what, gradient, of in pairs:
                if structure(gradient) != structure(of) or signature(gradient) != signature(of):
                    raise Fault(
                        f"the gradient of its {what}, in {mode} on {trial.backend}, is {signature(gradient)} "
                        f"for {signature(of)}"
                    )


@check
def gradients_are_finite(case: LayerCase) -> None:
    """Where the outputs are finite, so are the gradients: one NaN ends a training run."""
    for trial in case.trials:
        for training, mode in MODES:
            step = trial.step(training)
            if not all(onp.isfinite(leaf).all() for leaf in leaves(step.y) if is_float(leaf)):
                raise Skip("its outputs are not finite on these inputs")
            for what, gradient in (("weights", step.of_weights), ("inputs", step.of_inputs)):
                bad = sum(int((~onp.isfinite(leaf)).sum()) for leaf in leaves(gradient))
                if bad:
                    raise Fault(f"{bad} numbers of the gradient of its {what} are not finite, in {mode}")


@check
def every_weight_counts(case: LayerCase) -> None:
    """Every array of weights has a gradient that is not all zero, in one mode at least: else it is never trained."""
    trial = case.reference
    if not leaves(trial.weights):
        raise Skip("it has no weights")
    arrays = [leaves(trial.step(training).of_weights) for training, _ in MODES]
    for number, both in enumerate(zip(*arrays, strict=True)):
        if both[0].size and not any(gradient.any() for gradient in both):
            raise Fault(f"the gradient of array {number} of its weights is zero: forward does not use it")


def _compare_slopes(case: LayerCase, part: int, what: str) -> None:
    trial = case.reference
    for training, mode in MODES:
        with trial.active(), fastmath.float64(), blaming("its gradient in float64"):
            slope, measured = _slopes(trial, loss_of(trial.layer, training), part)
        if not onp.isfinite(measured):
            raise Skip("its outputs are not finite on these inputs")
        far = abs(slope - measured) / max(1.0, abs(measured))
        case.figures[f"apart in {mode}"] = far
        if not far <= _TOLERANCE:
            raise Fault(
                f"in {mode}, along a random direction of its {what}, its gradient is {slope:.7g}, "
                f"and finite differences give {measured:.7g}"
            )


def _slopes(trial: Trial, loss: Callable[..., Any], part: int) -> tuple[float, float]:
    """The slope of the loss along a random direction of one part: by the gradient, and measured."""
    floats, others = split(trial.inputs)
    point = [map_host(_wide, tree) for tree in (trial.weights, floats)]
    rest = (others, map_host(_wide, trial.state), trial.key(0), map_host(_wide, trial.cotangents))
    generator = onp.random.default_rng(11)
    direction = map_host(lambda leaf: generator.normal(size=leaf.shape), point[part])
    gradient = fastmath.value_and_grad(loss, part, True)(*point, *rest)[1]
    pairs = zip(leaves(gradient), leaves(direction), strict=True)
    ends = []
    for sign in (1, -1):
        moved = list(point)
        moved[part] = fastmath.nested_map(lambda p, d, by=sign * _STEP: p + by * d, point[part], direction)
        ends.append(float(loss(*moved, *rest)[0]))
    return float(sum((g * d).sum() for g, d in pairs)), (ends[0] - ends[1]) / (2 * _STEP)


def _wide(array: Any) -> Any:
    return array.astype("float64") if is_float(array) else array
