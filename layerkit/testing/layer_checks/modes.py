"""Training and evaluation, and the state that calls hand on."""

from __future__ import annotations

import inspect

import numpy as onp

from layerkit.engine.bare import bare
from layerkit.shapes import signature
from layerkit.testing.layer_case import LayerCase
from layerkit.testing.layer_suite import LAYERS
from layerkit.testing.suite import Fault, Skip
from layerkit.testing.trees import all_equal, is_float, leaves, require_same, structure
from layerkit.testing.trial import MODES

__all__: list[str] = []

check = LAYERS.check("training and state")


@check
def evaluation_is_the_default(case: LayerCase) -> None:
    """A call that does not say training=True is one of evaluation: nobody predicts with dropout by oversight."""
    trial = case.reference
    with trial.active():
        said, unsaid = (
            trial.layer.pure_fn(bare(trial.inputs), trial.weights, trial.state, trial.key(0), training)
            for training in (False, None)
        )
    require_same("its call with training=False and without a word", said, unsaid)


@check
def mode_overrides_the_call(case: LayerCase) -> None:
    """A layer that takes mode='eval' behaves as in evaluation, whatever the call says; mode='train' the other way."""
    if case.ready_made or "mode" not in inspect.signature(case.constructor).parameters:
        raise Skip("its constructor takes no mode")
    if "mode" in case.arguments:
        raise Skip("its example fixes the mode")
    trial = case.reference
    for wanted, mode in ((False, "eval"), (True, "train")):
        layer = case.constructor(**{**case.arguments, "mode": mode})
        ours, theirs = trial.eager(not wanted, layer=layer), trial.eager(wanted)
        require_same(f"its call with mode={mode!r} against the call's word, and one in that mode,", ours, theirs)


@check
def evaluation_leaves_the_state(case: LayerCase) -> None:
    """Evaluating changes no state: looking at a model must not change it."""
    if not leaves(case.reference.state):
        raise Skip("it keeps no state")
    for trial in case.trials:
        new = trial.step(False).state
        if structure(new) != structure(trial.state) or not all_equal(new, trial.state):
            raise Fault(f"a call in evaluation changes its state on {trial.backend}")


@check
def state_keeps_its_form(case: LayerCase) -> None:
    """The state keeps its structure, shapes and dtypes from call to call: a step is compiled for them once."""
    for trial in case.trials:
        for training, mode in MODES:
            new, old = trial.step(training).state, trial.init_state
            if structure(new) != structure(old) or signature(new) != signature(old):
                raise Fault(
                    f"in {mode} on {trial.backend} its state goes from {structure(old)} {signature(old)} "
                    f"to {structure(new)} {signature(new)}"
                )


@check
def steps_follow_one_another(case: LayerCase) -> None:
    """Three training steps, each on the state of the one before, run and keep the state finite."""
    if not leaves(case.reference.state):
        raise Skip("it keeps no state")
    for trial in case.trials:
        state = trial.state
        for number in range(3):
            state = trial.run(number, case.arrays(number), state=state)[1].state
            for leaf in leaves(state):
                if is_float(leaf) and not onp.isfinite(leaf).all():
                    raise Fault(f"after {number + 1} training steps its state on {trial.backend} is not finite")


@check
def call_keeps_the_state_of_pure_fn(case: LayerCase) -> None:
    """layer(x) gives what pure_fn gives, and keeps the state that pure_fn returns."""
    trial = case.reference
    for training, mode in MODES:
        layer = trial.fresh()
        with trial.active():
            layer.weights, layer.state = trial.weights, trial.state
            y = layer(bare(trial.inputs), rng=trial.key(0), training=training)
            kept = layer.state
        require_same(f"what layer(x) and pure_fn give, in {mode},", (y, kept), trial.eager(training))
