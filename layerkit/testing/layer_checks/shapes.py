"""Batches of other sizes, and rows that do not see each other."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as onp

from layerkit.engine.bare import as_tuple, bare
from layerkit.errors import LayerkitError
from layerkit.shapes import signature
from layerkit.testing.layer_case import LayerCase
from layerkit.testing.layer_suite import LAYERS
from layerkit.testing.suite import Fault, Skip
from layerkit.testing.trees import is_float, leaves, require_close, require_same
from layerkit.testing.trial import MODES, Trial, blaming

__all__: list[str] = []

check = LAYERS.check("shapes")


@check
def takes_an_empty_batch(case: LayerCase) -> None:
    """No rows at all give outputs of the shape that output_signature says, finite, without a warning; or a refusal."""
    trial = _batched(case)
    if not _try_shape(case, trial, 0, 0):
        return
    empty = bare(tuple(array[:0] for array in trial.inputs))
    said = [_foretold(one, empty) for one in case.trials]
    if any(signatures != said[0] for signatures in said):
        raise Fault(f"for {signature(empty)}, output_signature differs between backends: {said}")


@check
def takes_no_length(case: LayerCase) -> None:
    """Sequences of length 0 give outputs of the shape that output_signature says, or a refusal."""
    trial = _batched(case)
    if not all(array.ndim > 1 for array in trial.inputs) or not any(array.ndim > 2 for array in trial.inputs):
        raise Skip("its inputs have no axis of length")
    _try_shape(case, trial, 1, 0)


@check
def takes_a_batch_of_one(case: LayerCase) -> None:
    """One row gives the outputs of that row, where rows are independent; else it is taken, or refused."""
    trial = _batched(case)
    if not _try_shape(case, trial, 0, 1) or not case.rows_independent:
        return
    if not all(leaf.ndim for leaf in leaves(trial.eager()[0])):
        raise Skip("its outputs have no rows")
    one = trial.eager(inputs=tuple(array[:1] for array in trial.inputs))[0]
    first = tuple(y[:1] for y in as_tuple(trial.eager()[0]))
    require_close("the outputs of a row alone and in its batch", as_tuple(one), first, case.tolerance)


@check
def takes_other_batch_sizes(case: LayerCase) -> None:
    """Weights from a batch of one size work on another, where rows are independent: the last batch is a short one."""
    trial = _batched(case)
    bigger = tuple(onp.concatenate([array, array[:3]]) for array in trial.inputs)
    try:
        y, state = trial.eager(inputs=bigger)
    except LayerkitError as error:
        if case.rows_independent:
            raise Fault(f"initialized for {len(trial.inputs[0])} rows, it refuses {len(bigger[0])}: {error}") from error
        return
    if signature(state) != signature(trial.state):
        raise Fault(f"another number of rows changes its state from {signature(trial.state)} to {signature(state)}")
    if case.rows_independent:
        rows = {array.shape[0] for array in leaves(y) if array.ndim}
        if rows != {len(bigger[0])}:
            raise Fault(f"{len(bigger[0])} rows go in, and outputs have {sorted(rows)} rows")


@check
def rows_are_independent(case: LayerCase) -> None:
    """Where it is declared, a row of the outputs depends on the same row of the inputs alone, to the last bit."""
    trial = _batched(case)
    if not case.rows_independent:
        raise Skip("its rows are declared to depend on each other")
    others = case.arrays(seed=1)
    mixed = tuple(onp.concatenate([a[:1], b[1:]]) for a, b in zip(trial.inputs, others, strict=True))
    ours, theirs = (as_tuple(trial.eager(inputs=inputs)[0]) for inputs in (trial.inputs, mixed))
    for number, (one, two) in enumerate(zip(ours, theirs, strict=True)):
        if one.ndim == 0 or one.shape[0] != trial.inputs[0].shape[0]:
            raise Fault(
                f"{trial.inputs[0].shape[0]} rows go in, and output {number} is {signature(one)}: "
                "declare @lk.example(..., rows_independent=False)"
            )
        require_same(f"row 0 of output {number}, with other rows around it,", one[0], two[0])


@check
def warns_of_nothing(case: LayerCase) -> None:
    """init, forward and gradient raise no Python warning: whoever turns warnings into errors must be able to use it."""
    for trial in case.trials:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                trial.fresh()
                for training, _ in MODES if trial is case.reference else ():
                    trial.eager(training)
                trial.run()
            except (LayerkitError, Fault) as error:
                raise Fault(f"with warnings as errors, on {trial.backend}: {error}") from error


def _batched(case: LayerCase) -> Trial:
    """The reference trial, if all inputs have rows, and as many."""
    trial = case.reference
    if not trial.inputs:
        raise Skip("it takes no inputs")
    if any(array.ndim == 0 for array in trial.inputs) or len({len(array) for array in trial.inputs}) > 1:
        raise Skip("its inputs have no batch axis in common")
    if not len(trial.inputs[0]):
        raise Skip("its example has no rows")
    return trial


def _foretold(trial: Trial, inputs: Any) -> Any:
    with trial.active():
        return trial.make().output_signature(inputs)


def _try_shape(case: LayerCase, trial: Trial, axis: int, size: int) -> bool:
    """Runs a new layer on inputs cut to ``size`` along ``axis``; whether it takes them."""
    index = (slice(None),) * axis + (slice(0, size),)
    cut: tuple[Any, ...] = tuple(array[index] for array in trial.inputs)
    with warnings.catch_warnings(), trial.active(), blaming(f"for {signature(bare(cut))}"):
        warnings.simplefilter("error")
        try:
            layer = trial.make()
            weights, state = layer.init(bare(cut), trial.key(0))
            said = layer.output_signature(bare(cut))
            results = [layer.pure_fn(bare(cut), weights, state, trial.key(0), training) for training, _ in MODES]
        except LayerkitError as error:
            if isinstance(error.__cause__, Warning):
                raise Fault(f"for {signature(bare(cut))} it warns: {error}") from error
            if case.rows_independent and axis == 0:
                raise Fault(f"its rows are independent, and it refuses {size} of them: {error}") from error
            return False
    for (y, new_state), (_, mode) in zip(results, MODES, strict=True):
        if signature(y) != said:
            raise Fault(f"for {signature(bare(cut))}, output_signature says {said}, and in {mode} it is {signature(y)}")
        if not all(onp.isfinite(leaf).all() for leaf in leaves((y, new_state)) if is_float(leaf)):
            raise Fault(f"for {signature(bare(cut))}, its outputs or its state in {mode} are not finite")
    return True
