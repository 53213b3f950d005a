"""Weights and state as ``init`` makes them."""

from __future__ import annotations

import random as python_random

import numpy as onp

from layerkit import fastmath
from layerkit.engine.bare import bare
from layerkit.errors import an
from layerkit.layer import LayerError
from layerkit.shapes import signature
from layerkit.testing.layer_case import LayerCase
from layerkit.testing.layer_suite import LAYERS
from layerkit.testing.suite import Fault, Skip
from layerkit.testing.trees import all_equal, is_float, leaves, require_close, require_same, structure
from layerkit.testing.trial import MODES, Trial

__all__: list[str] = []

check = LAYERS.check("initialization")


@check
def init_is_reproducible(case: LayerCase) -> None:
    """One key gives the same weights and state to the last bit, whatever was drawn before: runs can be repeated."""
    for trial in case.trials:
        with trial.active():
            kept = python_random.getstate(), onp.random.get_state()
            try:
                python_random.seed(12345)
                onp.random.seed(12345)
                again = trial.layer.init(bare(trial.inputs), trial.key(0))
                other = trial.make().init(bare(trial.inputs), trial.key(0))
            finally:
                python_random.setstate(kept[0])
                onp.random.set_state(kept[1])
        first = trial.init_weights, trial.init_state
        require_same(f"weights and state of two inits with one key, on {trial.backend},", first, again)
        require_same(f"weights and state of two layers with one key, on {trial.backend},", first, other)


@check
def init_follows_its_key(case: LayerCase) -> None:
    """Weights that are drawn at random differ for different keys: a key built into the layer makes twins of all."""
    trial = case.reference
    drawn = [number for number, leaf in enumerate(leaves(trial.init_weights)) if len(onp.unique(leaf)) > 2]
    if not drawn:
        raise Skip("its first weights are no random numbers")
    with trial.active():
        other = leaves(trial.make().init(bare(trial.inputs), trial.key(1))[0])
    same = [number for number in drawn if all_equal(other[number], leaves(trial.init_weights)[number])]
    if same:
        raise Fault(f"array {same[0]} of its first weights is the same for two keys: draw it with self.rng")


@check
def init_takes_arrays_as_well(case: LayerCase) -> None:
    """init accepts arrays where a signature is due, and uses their shapes and dtypes alone."""
    trial = case.reference
    with trial.active():
        of_arrays = trial.make().init(bare(case.arrays(seed=1)), trial.key(0))
        of_signatures = trial.make().init(bare(case.signatures), trial.key(0))
    require_same("its weights and state from arrays and from their signatures", of_arrays, of_signatures)


@check
def init_keeps_what_it_returns(case: LayerCase) -> None:
    """layer.weights and layer.state are what init returned, and signatures() foretells them."""
    trial = case.reference
    with trial.active():
        layer = trial.make()
        said = layer.signatures(bare(case.signatures))
        if fastmath.tree_leaves(layer.weights) and not case.ready_made:
            raise Fault("signatures() left weights on the layer")
        made = layer.init(bare(case.signatures), trial.key(0))
        kept = layer.weights, layer.state
    require_same("what init returned and what the layer keeps", made, kept)
    if said != signature(made):
        raise Fault(f"signatures() says {said}, and init makes {signature(made)}")


@check
def output_signature_is_honest(case: LayerCase) -> None:
    """output_signature says the shapes and dtypes that forward gives, before init and after, in both modes."""
    for trial in case.trials:
        with trial.active():
            said = [one.output_signature(bare(case.signatures)) for one in (trial.make(), trial.layer)]
        for training, mode in MODES:
            y = trial.eager(training)[0] if trial is case.reference else trial.step(training).y
            for one in said:
                if one != signature(y):
                    raise Fault(f"output_signature says {one}, and in {mode} on {trial.backend} it is {signature(y)}")


@check
def weights_are_floats(case: LayerCase) -> None:
    """Every weight is an array of floating-point numbers: others have no gradient, and belong into the state."""
    trial = case.reference
    if not leaves(trial.init_weights):
        raise Skip("it has no weights")
    for number, leaf in enumerate(fastmath.tree_leaves(trial.init_weights)):
        if not hasattr(leaf, "dtype") or not hasattr(leaf, "shape"):
            raise Fault(f"array {number} of its weights is {an(type(leaf).__name__)}: make it with np.array")
        if not is_float(leaf):
            raise Fault(f"array {number} of its weights is {signature(leaf)}: keep whole numbers in the state")


@check
def init_is_finite(case: LayerCase) -> None:
    """Its first weights and state hold no NaN and no infinity."""
    trial = case.reference
    for number, leaf in enumerate(leaves((trial.init_weights, trial.init_state))):
        if is_float(leaf) and not onp.isfinite(leaf).all():
            raise Fault(f"{int((~onp.isfinite(leaf)).sum())} of {leaf.size} numbers of array {number} are not finite")


@check
def init_is_the_same_on_every_backend(case: LayerCase) -> None:
    """One key gives the same first weights and state on every backend, so that a run can be repeated on another."""
    reference = case.reference
    for trial in case.others:
        ours, theirs = ((one.init_weights, one.init_state) for one in (trial, reference))
        what = f"its first weights and state on {trial.backend} and {reference.backend}"
        case.figures[trial.backend] = require_close(what, ours, theirs, 1e-6)


@check
def refuses_to_run_before_init(case: LayerCase) -> None:
    """A layer with weights that was not initialized says so, and how to do it, instead of failing somewhere inside."""
    trial = case.reference
    if not leaves((trial.init_weights, trial.init_state)):
        raise Skip("it has no weights and no state")
    if case.ready_made and case.thing._initialized:
        raise Skip("it was given with its weights")
    text = _refusal(trial)
    if "init(" not in text:
        raise Fault(f"called before init it does not say to call init, but: {text}")


def _refusal(trial: Trial) -> str:
    with trial.active():
        layer = trial.make()
        try:
            y = layer(bare(trial.inputs))
        except LayerError as error:
            return str(error)
        except Exception as error:
            raise Fault(f"called before init it raises {type(error).__name__}, not LayerError: {error}") from error
    raise Fault(f"called before init it gives {structure(y)}, though it has weights or state")
