"""What a layer must not do while it is traced: a compiled program runs Python once, and arrays ever after."""

from __future__ import annotations

import functools
import gc
import weakref
from collections.abc import Iterator
from typing import Any

from layerkit import fastmath
from layerkit.engine.bare import bare
from layerkit.engine.frames import observing
from layerkit.engine.sharing import walk
from layerkit.engine.storing import OWN
from layerkit.layer import Layer
from layerkit.testing.layer_case import LayerCase
from layerkit.testing.layer_suite import LAYERS
from layerkit.testing.suite import Fault, Skip
from layerkit.testing.trees import host as as_numpy
from layerkit.testing.trees import is_float, map_host, require_close
from layerkit.testing.trial import MODES, Trial

__all__: list[str] = []

check = LAYERS.check("tracing")

# What layerkit itself keeps on a layer.
_OWN = {*OWN, "_shares"}


@check
def compiled_is_as_uncompiled(case: LayerCase) -> None:
    """The compiled step gives what a plain call gives: nothing depends on whether it is being traced."""
    for trial in case.others:
        for training, mode in MODES:
            step = trial.step(training)
            what = f"its outputs and new state on {trial.backend}, compiled and not, in {mode},"
            case.figures[f"apart in {mode}"] = require_close(
                what, (step.y, step.state), trial.eager(training), case.tolerance
            )


@check
def second_step_compiles_nothing(case: LayerCase) -> None:
    """A step on other numbers of the same shapes, from the state it left, runs the program there is."""
    for trial in case.others:
        _, trained = trial.steps
        inputs = case.arrays(seed=1)
        weights = map_host(lambda array: array + array.dtype.type(0.5), trial.weights)
        calls: list[Any] = []
        watch = functools.partial(_count, calls)
        with trial.active():
            before = fastmath.compilations()
            with observing(watch):
                trial.run(1, inputs, weights, trained.state)
            compiled = fastmath.compilations() - before
        case.figures["compilations"] = compiled
        if compiled or calls:
            raise Fault(
                f"the second step compiles {compiled} programs on {trial.backend} and runs forward "
                f"{calls.count(trial.layer)} times: shapes, dtypes or Python values change from call to call"
            )


@check
def forward_keeps_nothing_on_the_layer(case: LayerCase) -> None:
    """Calls leave the layer's attributes as they were: what forward sets is lost, or stale, once it is compiled."""
    trial = case.reference
    layer = trial.fresh()
    before = dict(_attributes(layer))
    for training, _ in MODES:
        trial.eager(training, layer=layer)
    after = dict(_attributes(layer))
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            raise Fault(f"calling it sets or changes {name}: use self.state, or compute it in the constructor")


@check
def init_keeps_nothing_but_weights(case: LayerCase) -> None:
    """init for other shapes makes the layer another one entirely: nothing of the first is left in its attributes."""
    trial = case.reference
    if not any(array.ndim for array in trial.inputs):
        raise Skip("its inputs have no axes")
    layer = trial.fresh()
    before = dict(_attributes(layer))
    taken = [_initialized(trial, layer, tuple(map(change, trial.inputs))) for change in (_one_row, _one_narrow_row)]
    if not any(taken):
        raise Skip("it takes no other shapes")
    after = dict(_attributes(layer))
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            raise Fault(f"init keeps something in {name}: keep it in self.weights or self.state")


@check
def no_tracer_outlives_its_trace(case: LayerCase) -> None:
    """Nothing that forward sees while it is traced is kept in a list, a global or a closure: it would be dead."""
    for trial in case.others:
        seen: list[weakref.ref[Any]] = []

        def watch(frame: Any, x: Any, y: Any, seen: list[weakref.ref[Any]] = seen) -> None:
            arrays = [array for array in fastmath.tree_leaves((x, y)) if fastmath.is_traced(array)]
            seen.extend(map(weakref.ref, arrays))

        with trial.active(), observing(watch):
            fastmath.abstract_eval(_forward(trial), bare(trial.inputs), trial.weights, trial.state)
        if any(tracer() is not None for tracer in seen):
            gc.collect()
        kept = sum(tracer() is not None for tracer in seen)
        if kept:
            raise Fault(f"{kept} of {len(seen)} arrays it saw while being traced are still kept somewhere")


@check
def pure_fn_leaves_the_layer_alone(case: LayerCase) -> None:
    """pure_fn changes neither the layer's weights nor its state: it is safe to differentiate, and in threads."""
    trial = case.reference
    layer = trial.fresh()
    with trial.active():
        before = [id(leaf) for leaf in fastmath.tree_leaves((layer.weights, layer.state))]
        copies = map_host(lambda array: array.copy(), (layer.weights, layer.state))
        for training, _ in MODES:
            trial.eager(training, layer=layer)
        now = layer.weights, layer.state
    if before != [id(leaf) for leaf in fastmath.tree_leaves(now)]:
        raise Fault("pure_fn puts other arrays into the layer's weights or state")
    require_close("the layer's weights and state before and after pure_fn", copies, map_host(as_numpy, now), 0.0)


def _count(calls: list[Any], frame: Any, x: Any, y: Any) -> None:
    calls.append(frame.layer)


def _forward(trial: Trial) -> Any:
    return lambda x, weights, state: trial.layer.pure_fn(x, weights, state, trial.key(0), True)[0]


def _one_row(array: Any) -> Any:
    return array[:1] if array.ndim else array


def _one_narrow_row(array: Any) -> Any:
    row = _one_row(array)
    return row[..., : max(1, row.shape[-1] // 2)] if row.ndim and is_float(row) else row


def _initialized(trial: Trial, layer: Layer, inputs: tuple[Any, ...]) -> bool:
    """Whether the layer could be initialized for these inputs."""
    with trial.active():
        try:
            layer.init(bare(inputs), trial.key(1))
        except Exception:
            return False
    return True


def _attributes(layer: Layer) -> Iterator[tuple[str, Any]]:
    """The attributes of a layer and of those inside it, each in a form that shows whether it changed."""
    for inner in walk(layer):
        prefix = "self" if inner is layer else inner.name
        for name, value in vars(inner).items():
            if name not in _OWN:
                yield f"{prefix}.{name}", _fingerprint(value)


def _fingerprint(value: Any) -> Any:
    """What changes when a value does: of lists, dicts and sets what they hold, of arrays which one it is."""
    if isinstance(value, dict):
        return [(key, _fingerprint(inner)) for key, inner in value.items()]
    if isinstance(value, (list, tuple, set, frozenset)):
        return [type(value), *map(_fingerprint, value)]
    return value if isinstance(value, (int, float, str, bytes, bool, type(None))) else _Itself(value)


class _Itself:
    """A value that equals itself alone; it is kept, or another could come to lie where it lay."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and self.value is other.value
