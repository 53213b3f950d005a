"""A step once more, layer by layer: which call's numbers, or whose gradients, stop being finite first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from layerkit.engine.bare import as_tuple, bare
from layerkit.engine.frames import Frame, Observer, observing
from layerkit.engine.layer_error import LayerError, path_in_words
from layerkit.errors import LayerkitError
from layerkit.fastmath import is_traced, jit, to_host, tree_leaves, value_and_grad
from layerkit.fastmath import numpy as np
from layerkit.fastmath.finite import Words, fault_of, floats
from layerkit.layer import Layer
from layerkit.tensor_names import tensor_paths

__all__ = ["Fault", "faulty_gradient", "faulty_output"]


class Fault(NamedTuple):
    """The layer at fault, and what is to be said of it."""

    path: str
    text: str
    """Which layer it is, what is not finite there, and where the layer was made."""
    values: Any = None
    """The array that is not finite, on the host."""
    layer: Layer | None = None
    weight: str = ""
    """The first weight whose gradient is not finite."""


# -- forward ---------------------------------------------------------------------------------------------------------


class _NotFinite(LayerkitError):
    """Raised inside a layer's call, it comes out as a LayerError with the layer's whole path."""

    def __init__(self, words: Words, values: Any) -> None:
        super().__init__(f"the first output that is not finite, with {words}")
        self.values = values


def _look(frame: Frame, inputs: Any, outputs: Any) -> None:
    for leaf in tree_leaves(outputs):
        # What a compiled loop computes inside is not known here; its output is.
        if not is_traced(leaf) and (words := fault_of(leaf)):
            raise _NotFinite(words, floats(leaf))


def faulty_output(compute: Callable[[], Any]) -> Fault | None:
    """The first layer in ``compute()`` whose output is not finite."""
    try:
        with observing(_look):
            compute()
    except LayerError as error:
        values = getattr(error.__cause__, "values", None)
        return Fault(error.path, str(error), values, error.layer)
    return None


# -- backward --------------------------------------------------------------------------------------------------------


class _Call(NamedTuple):
    """One layer's call: the layers it stands in, from the outermost inwards, and the signatures of its arrays."""

    place: tuple[tuple[int | None, int], ...]
    frame: Frame
    inputs: Any
    outputs: Any


class _Notes(Observer):
    """Notes every call once, in the order in which they end, however often a loop makes it."""

    def __init__(self) -> None:
        self.calls: dict[Any, _Call] = {}

    def leave(self, frame: Frame, inputs: Any, outputs: Any) -> Any:
        place = _place(frame)
        if not _is_closed(frame) and place not in self.calls:
            self.calls[place] = _Call(place, frame, _outlines(inputs), _outlines(outputs))
        return outputs


class _Taps(Observer):
    """Adds an array of zeros to whatever enters or leaves a call: its gradient is the gradient at that point."""

    def __init__(self, numbers: dict[Any, int], taps: list[Any]) -> None:
        self._numbers, self._taps = numbers, taps

    def enter(self, frame: Frame, inputs: Any) -> Any:
        return self._added(frame, inputs, 0)

    def leave(self, frame: Frame, inputs: Any, outputs: Any) -> Any:
        return self._added(frame, outputs, 1)

    def _added(self, frame: Frame, arrays: Any, side: int) -> Any:
        number = self._numbers.get(_place(frame))
        if number is None:
            return arrays
        tapped = [
            part if tap is None or part.shape != tap.shape else part + tap
            for part, tap in zip(as_tuple(arrays), self._taps[number][side], strict=True)
        ]
        return bare(tapped)


def _place(frame: Frame) -> tuple[tuple[int | None, int], ...]:
    return tuple((f.position, id(f.layer)) for f in frame.ancestry())[::-1]


def _is_closed(frame: Frame) -> bool:
    """Whether the call is inside a layer with a backward of its own, into which nothing else can be handed."""
    return any(outer is not frame and outer.layer.has_backward for outer in frame.ancestry())


def _outlines(arrays: Any) -> list[Any]:
    """(shape, dtype) of each array of floats, ``None`` for any other."""
    return [(part.shape, part.dtype) if part.dtype.kind in "fV" else None for part in as_tuple(arrays)]


def faulty_gradient(loss_of: Callable[[Any], Any], trained: Any, layers: tuple[Layer, Layer]) -> Fault | None:
    """The layer whose backward pass is the first to make a gradient that is not finite.

    The gradient is finite at its output, and is not at its input, or for its own weights.

    Args:
        loss_of: the loss as a function of what is trained.
        trained: (the model's weights, the loss layer's weights).
        layers: the model and the loss layer.
    """
    notes = _Notes()
    with observing(notes):
        loss_of(trained)
    calls = list(notes.calls.values())
    numbers = {call.place: number for number, call in enumerate(calls)}
    zeros = [([_zeros(o) for o in call.inputs], [_zeros(o) for o in call.outputs]) for call in calls]

    def tapped(trained: Any, taps: Any) -> Any:
        with observing(_Taps(numbers, taps)):
            return loss_of(trained)

    _, (of_trained, of_taps) = jit(value_and_grad(tapped, argnums=(0, 1)))(trained, zeros)
    weights = [
        (layer, name, words)
        for layer, tree in zip(layers, to_host(of_trained), strict=True)
        for name, leaf in zip(tensor_paths(layer, tree), tree_leaves(tree), strict=True)
        if (words := fault_of(leaf))
    ]
    return _blamed(calls, to_host(of_taps), weights)


def _zeros(outline: Any) -> Any:
    return None if outline is None else np.zeros(*outline)


def _blamed(calls: list[_Call], of_taps: Any, weights: list[tuple[Layer, str, Words]]) -> Fault | None:
    told = ""
    if weights:
        told = f"; the gradient of {weights[0][1]} has {weights[0][2]}"
    suspects: list[tuple[_Call, str, Any]] = []
    for call, (at_inputs, at_outputs) in zip(calls, of_taps, strict=True):
        if any(fault_of(leaf) for leaf in tree_leaves(at_outputs)):
            continue
        at = next((leaf for leaf in tree_leaves(at_inputs) if fault_of(leaf)), None)
        own = _own(call.frame, weights)
        if at is not None:
            suspects.append((call, f"has {fault_of(at)} at its input", floats(at)))
        elif own:
            suspects.append((call, f"has {own[1]} for its {own[0]}", None))
    # Of a layer and those inside it, the innermost; of several, the one that comes first on the way back.
    inner = [s for s in suspects if not any(_holds(s[0], other[0]) for other in suspects)]
    weight = weights[0][1] if weights else ""
    if not inner:
        return Fault("", told.removeprefix("; "), weight=weight) if told else None
    call, where, values = inner[-1]
    path, layer = path_in_words(call.frame), call.frame.layer
    text = f"{path}: the gradient is finite at its output, and {where} (layer made in {layer.made_at})"
    return Fault(path, text + told, values, layer, weight)


def _holds(outer: _Call, inner: _Call) -> bool:
    return len(outer.place) < len(inner.place) and inner.place[: len(outer.place)] == outer.place


def _own(frame: Frame, weights: list[tuple[Layer, str, Words]]) -> tuple[str, Words] | None:
    """The first weight of the frame's layer, and of no other inside it, whose gradient is not finite."""
    outermost, prefix = list(frame.ancestry())[-1].layer, frame.path()
    for layer, name, words in weights:
        folder, _, bare = name.rpartition("/")
        if layer is outermost and folder == prefix:
            return bare, words
    return None
