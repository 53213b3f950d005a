"""Making a layer's first weights and state, and checking on the way that its parts fit together."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from layerkit.engine.bare import as_tuple
from layerkit.engine.calls import Uninitialized, check_arrays, fit_inputs, fit_outputs
from layerkit.engine.frames import Frame, current_frame, in_frame
from layerkit.engine.layer_error import LayerError, explain
from layerkit.engine.sharing import Cell, in_first_places, shares, walk
from layerkit.engine.sources import Trail
from layerkit.errors import shown
from layerkit.fastmath import abstract_eval, random, tree_leaves
from layerkit.shapes import signature

if TYPE_CHECKING:
    from layerkit.layer import Layer

__all__ = ["init", "init_by_hook", "init_described", "init_outermost", "signature_for"]


def init_outermost(layer: Layer, inputs: Any, rng: Any) -> tuple[Any, Any, Any]:
    """(weights, state, output signature) for inputs, or the signature of inputs, and a random key."""
    inputs = signature_for(layer, inputs)
    key = random.get_prng(0) if rng is None else rng
    weights, state, outputs = init(Frame(layer, (), (), key, parent=current_frame.get()), inputs)
    if shares(layer):
        weights, state = in_first_places(layer, weights, state)
    return weights, state, outputs


def init_described(layer: Layer, inputs: Any, rng: Any) -> tuple[Any, Any]:
    """The signatures of the weights and state that ``init_outermost`` makes; no random number is drawn for them."""
    before = _attributes(layer)
    with contextlib.suppress(Exception):  # some layer looks at its numbers; or is at fault, as is said below
        described: tuple[Any, Any] = abstract_eval(lambda: init_outermost(layer, inputs, rng)[:2])
        after = _attributes(layer)
        if before.keys() == after.keys() and all(before[place] is after[place] for place in after):
            return described
    # Or a layer keeps something of its own on the way, and must keep what it makes of real numbers.
    weights, state, _ = init_outermost(layer, inputs, rng)
    return signature(weights), signature(state)


def _attributes(layer: Layer) -> dict[tuple[Layer, str], Any]:
    """What every layer holds, but for what it remembers of itself."""
    held = {(part, name): value for part in walk(layer) for name, value in vars(part).items()}
    return {place: value for place, value in held.items() if place[1] not in ("_shares", "_trees")}


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


def init(frame: Frame, inputs: Any) -> tuple[Any, Any, Any]:
    """(weights, state, output signature) for an input signature: pure, with frames and errors as in ``run``."""
    layer, frame.trail = frame.layer, Trail()
    if frame.fold is None or frame.shared is None:
        frame.shared = {}
    try:
        inputs = fit_inputs(layer, tuple(inputs) if type(inputs) is list else inputs)
        known = frame.shared.get(layer)
        if known is not None:
            return (), (), _abstract_output(frame, inputs, known.weights, known.state)
        made = in_frame(frame, layer.init_in_frame, frame, inputs)
        frame.shared[layer] = Cell(made[0], made[1], frame.region, initializing=True)
        return made
    except Exception as error:
        wrapped = explain(frame, inputs, error)
        if wrapped is error:
            raise
        raise wrapped from error


def init_by_hook(frame: Frame, inputs: Any) -> tuple[Any, Any, Any]:
    """By the layer's own ``init_weights_and_state``; without one, sublayers are made as ``forward`` calls them."""
    layer = frame.layer
    if layer.sublayers and not layer._has_hook():
        return _init_by_trying(frame, inputs)
    before = dict(vars(layer))
    arguments = (inputs, frame.rng()) if _takes_rng(type(layer)) else (inputs,)
    hook: Callable[..., Any] = layer.init_weights_and_state
    returned = hook(*arguments)
    for name, tree in (("weights", frame.weights), ("state", frame.state)):
        if not all(hasattr(leaf, "dtype") for leaf in tree_leaves(tree)):
            raise LayerError(
                f"init_weights_and_state sets self.{name} to {shown(tree)}: make arrays, as in np.array(0.0)"
            )
    if not tree_leaves((frame.weights, frame.state)):
        _refuse_hidden(layer, before)
        if returned is not None:
            raise LayerError("what init_weights_and_state returns is not kept: set self.weights, or self.state, in it")
    return frame.weights, frame.state, _abstract_output(frame, inputs, frame.weights, frame.state)


def _refuse_hidden(layer: Layer, before: dict[str, Any]) -> None:
    """Raises where a layer's only arrays were kept under a name of its own, where no training finds them."""
    for name, value in vars(layer).items():
        if hasattr(value, "dtype") and value is not before.get(name):
            raise LayerError(
                f"init_weights_and_state sets self.{name}, which is neither trained nor saved: "
                "keep arrays in self.weights, or in self.state"
            )


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
            made[call.index] = init(frame.of_sublayer(call.index, (), ()), call.inputs)[:2]


def _nothing(layer: Layer) -> Any:
    """The weights, or the state, of a layer that has none."""
    return tuple(map(_nothing, layer.sublayers))


def _abstract_output(frame: Frame, inputs: Any, weights: Any, state: Any) -> Any:
    """The signature of ``forward``'s output: what it returns is checked before the first step."""
    layer, shared = frame.layer, frame.shared or {}

    def run(x: Any, weights: Any, state: Any) -> Any:
        inner = frame.again(weights, state)
        inner.shared = {key: cell for key, cell in shared.items() if key is not layer} or None
        return _checked(layer, in_frame(inner, layer.forward, x))

    return abstract_eval(run, inputs, signature(weights), signature(state))


def _checked(layer: Layer, y: Any) -> Any:
    """The outputs, if they are as many arrays as the layer declares."""
    y = fit_outputs(layer, y)
    for part in as_tuple(y):
        if not hasattr(part, "dtype") and not isinstance(part, tuple):
            raise LayerError(f"forward returned {shown(part)}, which is no array")
    return y


def _takes_rng(cls: type[Layer]) -> bool:
    return len(inspect.signature(cls.init_weights_and_state).parameters) > 2
