"""Arrays belong to who made them: nothing is written into, and nothing depends on how it lies in memory."""

from __future__ import annotations

from typing import Any

import numpy as onp

from layerkit.engine.bare import bare
from layerkit.errors import LayerkitError
from layerkit.testing.arrays import strided
from layerkit.testing.layer_case import LayerCase
from layerkit.testing.layer_suite import LAYERS
from layerkit.testing.suite import Fault, Skip
from layerkit.testing.trees import host, leaves, map_host, require_close, require_same
from layerkit.testing.trial import MODES

__all__: list[str] = []

check = LAYERS.check("memory")


@check
def inputs_are_not_mutated(case: LayerCase) -> None:
    """A call and its gradient leave the input arrays as they were: they are the caller's."""
    trial = case.reference
    if not trial.inputs:
        raise Skip("it takes no inputs")
    inputs = trial.inputs
    for training, mode in MODES:
        trial.eager(training, inputs=inputs)
        _require_untouched(f"its inputs before and after a call in {mode}", trial.inputs, inputs)
    trial.run(inputs=inputs)
    _require_untouched("its inputs before and after a gradient", trial.inputs, inputs)


@check
def weights_and_state_are_not_mutated(case: LayerCase) -> None:
    """A call and its gradient leave the arrays of weights and state as they were: an optimizer steps from them."""
    trial = case.reference
    if not leaves((trial.weights, trial.state)):
        raise Skip("it has no weights and no state")
    weights, state = trial.weights, trial.state
    for training, mode in MODES:
        with trial.active():
            trial.layer.pure_fn(bare(trial.inputs), weights, state, trial.key(0), training)
        _require_untouched(f"its weights before and after a call in {mode}", trial.weights, weights)
        _require_untouched(f"its state before and after a call in {mode}", trial.state, state)
    trial.run(weights=weights, state=state)
    _require_untouched("its weights before and after a gradient", trial.weights, weights)


@check
def takes_read_only_arrays(case: LayerCase) -> None:
    """Inputs and weights that cannot be written into are taken: arrays of other backends, and of files, are such."""
    trial = case.reference
    inputs, weights, state = (map_host(_locked, tree) for tree in (trial.inputs, trial.weights, trial.state))
    try:
        with trial.active():
            for training, _ in MODES:
                trial.layer.pure_fn(bare(inputs), weights, state, trial.key(0), training)
        trial.run(inputs=inputs, weights=weights, state=state)
    except (LayerkitError, Fault) as error:
        raise Fault(f"read-only arrays are refused: {error}") from error


@check
def takes_strided_arrays(case: LayerCase) -> None:
    """Inputs give the same however they lie in memory: column by column, backwards, with gaps."""
    trial = case.reference
    if not any(array.ndim for array in trial.inputs):
        raise Skip("its inputs have no axes")
    inputs = tuple(map(strided, trial.inputs))
    for training, mode in MODES:
        ours, theirs = trial.eager(training, inputs=inputs), trial.eager(training)
        require_close(f"its outputs for strided and for plain arrays, in {mode},", ours, theirs, case.tolerance)


@check
def outputs_stay_as_they_were(case: LayerCase) -> None:
    """Another call leaves the outputs of the one before as they were: no buffer is used twice."""
    trial = case.reference
    for training, mode in MODES:
        first = trial.eager(training)
        before = map_host(lambda array: host(array).copy(), first)
        trial.eager(training, seed=1, inputs=case.arrays(seed=1))
        require_same(f"its outputs before and after another call, in {mode},", before, map_host(onp.asarray, first))


def _require_untouched(what: str, before: Any, after: Any) -> None:
    try:
        require_same(what, before, after)
    except Fault as fault:
        raise Fault(f"{fault}: it writes into them, as w *= 2 does; write w = w * 2") from fault


def _locked(array: Any) -> Any:
    copy = onp.array(array)
    copy.setflags(write=False)
    return copy
