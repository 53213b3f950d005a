"""Making a layer's first weights and state, and checking on the way that its parts fit together."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from layerkit import frames
from layerkit.calls import Uninitialized, check_arrays, fit_inputs, fit_outputs
from layerkit.fastmath import abstract_eval, random
from layerkit.frames import Frame
from layerkit.layer_error import LayerError, explain
from layerkit.shapes import signature

if TYPE_CHECKING:
    from layerkit.layer import Layer

__all__ = ["init", "init_by_hook", "init_outermost"]

_current = frames._current


def init_outermost(layer: Layer, inputs: Any, rng: Any) -> tuple[Any, Any, Any]:
    """(weights, state, output signature) for inputs, or the signature of inputs, and a random key."""
    try:
        inputs = signature(check_arrays(inputs))
    except LayerError as error:
        raise LayerError(f"{layer.name}: {error}", layer.name, layer) from error
    return init(layer, inputs, random.get_prng(0) if rng is None else rng, None, frames.current(), None)


def init(
    layer: Layer, inputs: Any, key: Any, fold: int | None, parent: Frame | None, position: int | None
) -> tuple[Any, Any, Any]:
    """(weights, state, output signature) for an input signature: pure, with frames and errors as in ``run``."""
    frame = Frame(layer, (), (), key, fold, parent, position)
    frame.initializing = True
    if frame.shared is None:
        frame.shared = {}
    token = _current.set(frame)
    try:
        inputs = fit_inputs(layer, tuple(inputs) if type(inputs) is list else inputs)
        known = frame.shared.get(layer)
        if known is not None:
            return (), (), _abstract_output(frame, inputs, *known)
        weights, state, outputs = layer.init_in_frame(frame, inputs)
        frame.shared[layer] = (weights, state)
        return weights, state, outputs
    except Exception as error:
        wrapped = explain(frame, inputs, error)
        if wrapped is error:
            raise
        raise wrapped from error
    finally:
        _current.reset(token)


def init_by_hook(frame: Frame, inputs: Any) -> tuple[Any, Any, Any]:
    """By the layer's own ``init_weights_and_state``; without one, sublayers are made as ``forward`` calls them."""
    layer = frame.layer
    if layer.sublayers and not _has_hook(type(layer)):
        return _init_by_trying(frame, inputs)
    if _takes_rng(type(layer)):
        layer.init_weights_and_state(inputs, frame.rng())  # type: ignore[call-arg]
    else:
        layer.init_weights_and_state(inputs)
    return frame.weights, frame.state, _abstract_output(frame, inputs, frame.weights, frame.state)


def _init_by_trying(frame: Frame, inputs: Any) -> tuple[Any, Any, Any]:
    """Runs ``forward`` abstractly until it calls a sublayer that has no weights yet, makes them, and tries again."""
    layer = frame.layer
    made: dict[int, tuple[Any, Any]] = {}
    while True:
        frame.weights = {index: weights for index, (weights, _) in made.items()}
        frame.state = {index: state for index, (_, state) in made.items()}
        try:
            outputs = abstract_eval(lambda x: fit_outputs(layer, layer.forward(x)), inputs)
            break
        except Uninitialized as call:
            made[call.index] = init(layer.sublayers[call.index], call.inputs, frame, call.index, frame, call.index)[:2]
    missing = [sublayer.name for index, sublayer in enumerate(layer.sublayers) if index not in made]
    if missing:
        raise LayerError(f"forward never calls its sublayer {missing[0]}, which therefore has no weights")
    order = range(len(layer.sublayers))
    return tuple(made[i][0] for i in order), tuple(made[i][1] for i in order), outputs


def _abstract_output(frame: Frame, inputs: Any, weights: Any, state: Any) -> Any:
    """The signature of ``forward``'s output: what it returns is checked before the first step."""
    layer, shared = frame.layer, frame.shared or {}

    def run(x: Any, weights: Any, state: Any) -> Any:
        inner = Frame(layer, weights, state, frame.key, frame.fold, frame.parent, frame.position)
        inner.shared = {key: cell for key, cell in shared.items() if key is not layer} or None
        token = _current.set(inner)
        try:
            return fit_outputs(layer, layer.forward(x))
        finally:
            _current.reset(token)

    return abstract_eval(run, inputs, signature(weights), signature(state))


def _has_hook(cls: type[Layer]) -> bool:
    from layerkit.layer import Layer

    return cls.init_weights_and_state is not Layer.init_weights_and_state


def _takes_rng(cls: type[Layer]) -> bool:
    return len(inspect.signature(cls.init_weights_and_state).parameters) > 2
