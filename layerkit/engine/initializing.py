"""Making a layer's first weights and state, and checking on the way that its parts fit together."""

from __future__ import annotations

import contextlib
import inspect
import operator
from typing import TYPE_CHECKING, Any

from layerkit.engine import frames
from layerkit.engine.calls import Uninitialized, check_arrays, fit_inputs, fit_outputs, shares, walk
from layerkit.engine.frames import Frame
from layerkit.engine.layer_error import LayerError, explain
from layerkit.engine.sources import Trail
from layerkit.fastmath import abstract_eval, random, tree_leaves
from layerkit.shapes import signature

if TYPE_CHECKING:
    from layerkit.layer import Layer

__all__ = ["init", "init_by_hook", "init_described", "init_outermost", "signature_for"]

_current = frames._current


def init_outermost(layer: Layer, inputs: Any, rng: Any) -> tuple[Any, Any, Any]:
    """(weights, state, output signature) for inputs, or the signature of inputs, and a random key."""
    inputs = signature_for(layer, inputs)
    key = random.get_prng(0) if rng is None else rng
    weights, state, outputs = init(layer, inputs, key, None, frames.current(), None)
    if shares(layer):
        weights, state = _in_first_places(layer, weights, state)
    return weights, state, outputs


def init_described(layer: Layer, inputs: Any, rng: Any) -> tuple[Any, Any]:
    """The signatures of the weights and state that ``init_outermost`` makes; no random number is drawn for them."""
    before = _attributes(layer)
    described: tuple[Any, Any] | None = None
    with contextlib.suppress(Exception):  # some layer looks at its numbers; or is at fault, as is said below
        described = abstract_eval(lambda: init_outermost(layer, inputs, rng)[:2])
    after = _attributes(layer)
    # A layer that keeps something of its own on the way must keep what it makes of real numbers.
    if described and len(before) == len(after) and all(map(operator.is_, before, after)):
        return described
    weights, state, _ = init_outermost(layer, inputs, rng)
    return signature(weights), signature(state)


def _attributes(layer: Layer) -> list[Any]:
    """The names and values of what every layer holds, but for what it remembers of itself."""
    held = [item for part in walk(layer) for item in vars(part).items() if item[0] not in ("_shares", "_trees")]
    return [thing for item in held for thing in item]


def signature_for(layer: Layer, inputs: Any) -> Any:
    """The signature that a person gives of a layer's inputs, or of inputs given in its place.

    Raises:
        LayerError: they are neither.
    """
    try:
        _check_no_shape(inputs, layer.n_in)
        return signature(check_arrays(inputs))
    except LayerError as error:
        raise LayerError(f"{layer.name}: {error}", layer.name, layer) from error


def _check_no_shape(inputs: Any, n_in: int) -> None:
    """Raises for a bare shape, which would be read as so many inputs that are single numbers."""
    is_shape = type(inputs) is tuple and not (n_in > 1 and n_in == len(inputs))
    if is_shape and inputs and all(type(size) is int for size in inputs):
        sizes = ", ".join(map(str, inputs))
        raise LayerError(f"a signature is due, got the shape {inputs}: lk.f32({sizes}); for ids lk.i32({sizes})")


def init(
    layer: Layer, inputs: Any, key: Any, fold: int | None, parent: Frame | None, position: int | None
) -> tuple[Any, Any, Any]:
    """(weights, state, output signature) for an input signature: pure, with frames and errors as in ``run``."""
    frame = Frame(layer, (), (), key, fold, parent, position)
    frame.trail = Trail()
    if fold is None or frame.shared is None:
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
    outputs = _try_forward(frame, inputs, made)
    if len(made) < len(layer.sublayers) and not frame.training:
        frame.training = True  # some may be called in training alone
        _try_forward(frame, inputs, made)
        frame.training = False
    called = {layer.sublayers[index] for index in made}
    for index, sublayer in enumerate(layer.sublayers):
        if sublayer in called:
            made.setdefault(index, ((), ()))
        elif sublayer in (frame.shared or {}):
            made[index] = ((), ())  # it stands elsewhere in the model too; here its weights are read at most
        elif all(part.is_bare or part.sublayers for part in walk(sublayer)):
            made[index] = (_nothing(sublayer),) * 2
        else:
            raise LayerError(f"forward never calls its sublayer {sublayer.name}, which therefore has no weights")
    parts = [made[index] for index in range(len(layer.sublayers))]
    return tuple(weights for weights, _ in parts), tuple(state for _, state in parts), outputs


def _try_forward(frame: Frame, inputs: Any, made: dict[int, tuple[Any, Any]]) -> Any:
    """The output signature, when (weights, state) of every sublayer that ``forward`` calls are among the ``made``."""
    layer = frame.layer
    while True:
        frame.weights = {index: weights for index, (weights, _) in made.items()}
        frame.state = {index: state for index, (_, state) in made.items()}
        frame.trail = trail = Trail()

        def forward(x: Any, trail: Trail = trail) -> Any:
            trail.note(None, x)
            return _checked(layer, layer.forward(x))

        try:
            return abstract_eval(forward, inputs)
        except Uninitialized as call:
            made[call.index] = init(layer.sublayers[call.index], call.inputs, frame, call.index, frame, call.index)[:2]


def _nothing(layer: Layer) -> Any:
    """The weights, or the state, of a layer that has none."""
    return tuple(map(_nothing, layer.sublayers))


def _in_first_places(layer: Layer, weights: Any, state: Any) -> tuple[Any, Any]:
    """The trees with what shared layers hold in the first of their places, which need not be the first initialized."""
    made: dict[Layer, tuple[Any, Any]] = {}
    seen: set[Layer] = set()

    def collect(layer: Layer, weights: Any, state: Any) -> None:
        if layer not in made or tree_leaves((weights, state)):
            made[layer] = weights, state
        if layer.sublayers and type(weights) is tuple and weights:
            for part in zip(layer.sublayers, weights, state, strict=False):
                collect(*part)

    def place(layer: Layer) -> tuple[Any, Any]:
        if layer in seen:
            return (), ()
        seen.add(layer)
        if not layer.sublayers:
            return made[layer]
        parts = [place(sublayer) for sublayer in layer.sublayers]
        return tuple(weights for weights, _ in parts), tuple(state for _, state in parts)

    collect(layer, weights, state)
    return place(layer)


def _abstract_output(frame: Frame, inputs: Any, weights: Any, state: Any) -> Any:
    """The signature of ``forward``'s output: what it returns is checked before the first step."""
    layer, shared = frame.layer, frame.shared or {}

    def run(x: Any, weights: Any, state: Any) -> Any:
        inner = frame.again(weights, state)
        inner.shared = {key: cell for key, cell in shared.items() if key is not layer} or None
        token = _current.set(inner)
        try:
            return _checked(layer, layer.forward(x))
        finally:
            _current.reset(token)

    return abstract_eval(run, inputs, signature(weights), signature(state))


def _checked(layer: Layer, y: Any) -> Any:
    """The outputs, if they are as many arrays as the layer declares."""
    for part in y if type(y) in (tuple, list) else (y,):
        if not hasattr(part, "dtype") and not isinstance(part, tuple):
            raise LayerError(f"forward returned {part!r:.40}, which is no array")
    return fit_outputs(layer, y)


def _has_hook(cls: type[Layer]) -> bool:
    from layerkit.layer import Layer

    return cls.init_weights_and_state is not Layer.init_weights_and_state


def _takes_rng(cls: type[Layer]) -> bool:
    return len(inspect.signature(cls.init_weights_and_state).parameters) > 2
