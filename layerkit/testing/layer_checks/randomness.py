"""Random numbers come from the key of the call, and from nowhere else."""

from __future__ import annotations

import functools
import random as python_random
from collections.abc import Callable
from typing import Any

import numpy as onp

from layerkit.engine.bare import bare
from layerkit.layer import LayerError
from layerkit.testing.layer_case import LayerCase
from layerkit.testing.layer_suite import LAYERS
from layerkit.testing.suite import Fault, Skip
from layerkit.testing.trees import all_equal, require_close, require_same
from layerkit.testing.trial import MODES, Trial

__all__: list[str] = []

check = LAYERS.check("randomness")


@check
def same_key_gives_the_same(case: LayerCase) -> None:
    """Two calls with one key and the same inputs give the same to the last bit: no counter, clock or generator."""
    for training, mode in MODES:
        first, second = (case.reference.eager(training) for _ in range(2))
        require_same(f"two calls with the same key, in {mode},", first, second)
    for trial in case.trials[1:]:
        for one, two, (_, mode) in zip(trial.steps, trial.run(), MODES, strict=True):
            require_same(f"two steps with the same key, in {mode} on {trial.backend},", one, two)


@check
def different_keys_differ_where_it_draws(case: LayerCase) -> None:
    """A layer that asks for its key draws with it: other keys give other outputs."""
    trial = case.reference
    drawing = [(training, mode) for training, mode in MODES if not _needs_no_key(trial, training)]
    if not drawing:
        raise Skip("it draws no random numbers")
    for training, mode in drawing:
        first = trial.eager(training)
        if all(all_equal(first, trial.eager(training, seed)) for seed in (1, 2, 3)):
            raise Fault(f"in {mode} it reads self.rng, and four different keys give the same outputs")


@check
def evaluation_needs_no_key(case: LayerCase) -> None:
    """In evaluation it draws nothing: it runs without a key, and every key gives the same."""
    trial = case.reference
    try:
        without = trial.eager(seed=None)
    except LayerError as error:
        raise Fault(f"in evaluation it needs a key: {error}") from error
    for seed in (0, 1):
        require_close("its outputs in evaluation, without a key and with one,", without, trial.eager(seed=seed), 0.0)


@check
def global_random_state_is_untouched(case: LayerCase) -> None:
    """init, forward and gradient leave Python's and NumPy's global random generators as they were."""
    trial = case.reference

    def init() -> Any:
        with trial.active():
            trial.make().init(bare(trial.inputs), trial.key(0))

    _require_untouched("init", init)
    for training, mode in MODES:
        _require_untouched(f"a call in {mode}", functools.partial(trial.eager, training))
    _require_untouched("its gradient", trial.run)


def _require_untouched(what: str, f: Callable[[], Any]) -> None:
    kept = python_random.getstate(), onp.random.get_state()
    try:
        # Seeds that nobody takes: a layer that calls seed(0) would leave no trace where that was the state already.
        python_random.seed(918273645)
        onp.random.seed(918273645)
        before = python_random.getstate(), _words(onp.random.get_state())
        f()
        after = python_random.getstate(), _words(onp.random.get_state())
    finally:
        python_random.setstate(kept[0])
        onp.random.set_state(kept[1])
    for whose, one, two in zip(("Python's", "NumPy's"), before, after, strict=True):
        if one != two:
            raise Fault(f"{what} changes {whose} global random state: draw with fastmath.random and self.rng")


def _words(state: Any) -> Any:
    name, words, *rest = state
    return name, words.tobytes(), rest


def _needs_no_key(trial: Trial, training: bool) -> bool:
    try:
        trial.eager(training, seed=None)
    except LayerError:
        return False
    return True
