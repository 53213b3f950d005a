"""Inside combinators, in several places at once, and in threads, it computes what it computes alone."""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as onp

from layerkit import fastmath
from layerkit.combinators import Branch, Parallel, Residual, Serial
from layerkit.combinators.looping import Map, Scan
from layerkit.combinators.routing import Select
from layerkit.engine.bare import as_tuple, bare
from layerkit.layer import Layer
from layerkit.testing.blame import in_threads
from layerkit.testing.layer_case import LayerCase
from layerkit.testing.layer_suite import LAYERS
from layerkit.testing.suite import Fault, Skip
from layerkit.testing.trees import leaves, require_close
from layerkit.testing.trial import Trial

__all__: list[str] = []

check = LAYERS.check("composition")


@check
def works_in_serial(case: LayerCase) -> None:
    """In a Serial, before and after other layers, it gives what it gives alone, and lets other arrays pass below."""
    trial = _exact(case)
    extra = onp.arange(3, dtype="float32")
    model, weights, state = _around(trial, lambda layer: Serial(layer, Serial()), (*trial.inputs, extra))
    y = _run(trial, model, weights, state, (*trial.inputs, extra))
    require_close("its outputs in a Serial and alone", y, (*_alone(trial), extra), case.tolerance)


@check
def works_in_branch(case: LayerCase) -> None:
    """In a Branch it gets the arrays on top of the stack, and gives what it gives alone."""
    trial = _exact(case)
    if not trial.inputs:
        raise Skip("it takes no inputs")
    model, weights, state = _around(trial, lambda layer: Branch(layer, Select([0])), trial.inputs)
    y = _run(trial, model, weights, state, trial.inputs)
    require_close("its outputs in a Branch and alone", y, (*_alone(trial), trial.inputs[0]), case.tolerance)


@check
def works_in_parallel(case: LayerCase) -> None:
    """In a Parallel it gets its own slice of the stack, and gives what it gives alone."""
    trial = _exact(case)
    if not trial.inputs:
        raise Skip("it takes no inputs")
    extra = onp.arange(3, dtype="float32")
    model, weights, state = _around(trial, lambda layer: Parallel(layer, Select([0])), (*trial.inputs, extra))
    y = _run(trial, model, weights, state, (*trial.inputs, extra))
    require_close("its outputs in a Parallel and alone", y, (*_alone(trial), extra), case.tolerance)


@check
def works_in_residual(case: LayerCase) -> None:
    """In a Residual its output is added to its input."""
    trial = _exact(case)
    alone = _alone(trial)
    if len(trial.inputs) != 1 or len(alone) != 1 or alone[0].shape != trial.inputs[0].shape:
        raise Skip("its output is not of the shape of its input")
    if alone[0].dtype != trial.inputs[0].dtype:
        raise Skip("its output is not of the dtype of its input")
    model, weights, state = _around(trial, Residual, trial.inputs)
    y = _run(trial, model, weights, state, trial.inputs)
    require_close("its outputs in a Residual and x + f(x)", y, (trial.inputs[0] + alone[0],), case.tolerance)


@check
def works_in_scan(case: LayerCase) -> None:
    """A Scan runs it step by step on one slice after the other, with a carry beside it."""
    trial = _exact(case)
    if not trial.inputs:
        raise Skip("it takes no inputs")
    if leaves(trial.state):
        raise Skip("each step would start from the state of the one before")
    slices = tuple(onp.stack([array, array]) for array in trial.inputs)
    carry = onp.zeros(2, "float32")
    model, weights, state = _around(trial, lambda layer: Scan(Parallel(layer, Select([0]))), (*slices, carry))
    y = _run(trial, model, weights, state, (*slices, carry))
    twice = tuple(onp.stack([one, one]) for one in _alone(trial))
    require_close("its outputs in a Scan and alone", y, (*twice, carry), case.tolerance)


@check
def works_in_map(case: LayerCase) -> None:
    """A Map runs it on every slice with the same weights."""
    trial = _exact(case)
    if not trial.inputs:
        raise Skip("it takes no inputs")
    if leaves(trial.state):
        raise Skip("each step would start from the state of the one before")
    slices = tuple(onp.stack([array, array, array]) for array in trial.inputs)
    model, weights, state = _around(trial, Map, slices)
    y = _run(trial, model, weights, state, slices)
    thrice = tuple(onp.stack([one, one, one]) for one in _alone(trial))
    require_close("its outputs in a Map and alone", y, thrice, case.tolerance)


@check
def gives_the_same_when_shared(case: LayerCase) -> None:
    """The same object in two places has its weights once, and both places compute with them."""
    trial = _exact(case)
    if leaves(trial.state):
        raise Skip("the second place would start from the state of the first")
    inputs = (*trial.inputs, *trial.inputs)
    with trial.active():
        layer = trial.make()
        # A layer without inputs puts its outputs on the stack, and stands in no Parallel.
        model = Parallel(layer, layer) if inputs else Serial(layer, layer)
        weights, state = model.init(bare(inputs), trial.key(0))
    if len(leaves(weights)) != len(leaves(trial.weights)):
        raise Fault(f"it has {len(leaves(trial.weights))} arrays of weights, and in two places {len(leaves(weights))}")
    y = _run(trial, model, fastmath.tree_unflatten(leaves(trial.weights), weights), state, inputs)
    require_close("its outputs in two places and alone", y, _alone(trial) * 2, case.tolerance)


@check
def is_safe_in_threads(case: LayerCase) -> None:
    """One layer called from four threads at once gives each what it gives alone, to the last bit."""
    for trial in case.trials:
        _try_in_threads(trial, [case.arrays(seed) for seed in range(4)])


def _try_in_threads(trial: Trial, inputs: list[tuple[Any, ...]]) -> None:
    alone = [trial.eager(True, seed, inputs[seed]) for seed in range(4)]
    start = threading.Barrier(4)

    def work(seed: int) -> list[Any]:
        start.wait()
        return [trial.eager(True, seed, inputs[seed]) for _ in range(3)]

    try:
        with _often_switching():
            together = in_threads([functools.partial(work, seed) for seed in range(4)])
    except Exception as error:
        raise Fault(f"called from four threads it fails on {trial.backend}: {error}") from error
    for results, expected in zip(together, alone, strict=True):
        for once in results:
            require_close(f"its outputs on {trial.backend} in four threads and in one", once, expected, 0.0)


def _exact(case: LayerCase) -> Trial:
    """The reference trial, if outputs depend on no key, which is another one inside a combinator."""
    trial = case.reference
    if len(trial.inputs) != trial.layer.n_in:
        raise Skip("it is tried on more arrays than it takes")
    try:
        require_close("", trial.eager(seed=None), trial.eager(seed=1), 0.0)
    except Exception as error:
        raise Skip("it draws random numbers in evaluation") from error
    return trial


def _alone(trial: Trial) -> tuple[Any, ...]:
    return as_tuple(trial.eager()[0])


def _around(trial: Trial, combine: Any, inputs: tuple[Any, ...]) -> tuple[Layer, Any, Any]:
    """A combinator around the layer, with the weights and state of the trial in the layer's place."""
    with trial.active():
        model: Layer = combine(trial.make())
        weights, state = model.init(bare(inputs), trial.key(0))
    for what, made, own in (("weights", weights, trial.weights), ("state", state, trial.state)):
        if len(leaves(made)) != len(leaves(own)):
            raise Fault(f"its {what} are {len(leaves(own))} arrays, and {len(leaves(made))} inside a combinator")
    return model, fastmath.tree_unflatten(leaves(trial.weights), weights), state


def _run(trial: Trial, model: Layer, weights: Any, state: Any, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    with trial.active():
        return as_tuple(model.pure_fn(bare(inputs), weights, state, trial.key(0), False)[0])


@contextlib.contextmanager
def _often_switching() -> Iterator[None]:
    """Threads take turns thousands of times a second, so that what they share shows."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
