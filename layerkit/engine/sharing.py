"""One layer in several places of a model: its weights and state stand with the first, ``()`` with the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from layerkit.engine.frames import Frame
from layerkit.engine.layer_error import LayerError
from layerkit.fastmath import tree_leaves
from layerkit.fastmath.backend import current_region

if TYPE_CHECKING:
    from layerkit.layer import Layer

__all__ = [
    "Cell",
    "gathered_state",
    "in_first_places",
    "refuse_shared",
    "share_state",
    "shared_cells",
    "shares",
    "walk",
]


class Cell:
    """What a layer has in all of its places.

    Its state may be written in the ``region`` alone. While the model is initialized (``initializing``) each layer has
    a cell, though it stands in one place, and calls leave nothing there.
    """

    __slots__ = ("initializing", "region", "state", "weights")

    def __init__(self, weights: Any, state: Any, region: Any, initializing: bool = False) -> None:
        self.weights, self.state, self.region, self.initializing = weights, state, region, initializing

    def with_weights(self, weights: Any) -> Cell:
        """A cell with other weights."""
        return Cell(weights, self.state, self.region, self.initializing)


def walk(layer: Layer, seen: set[Layer] | None = None) -> Iterator[Layer]:
    """The layer and all inside it, each once."""
    seen = set() if seen is None else seen
    if layer not in seen:
        seen.add(layer)
        yield layer
        for sublayer in layer.sublayers:
            yield from walk(sublayer, seen)


def shares(layer: Layer) -> bool:
    """Whether some layer stands in more than one place inside it."""
    if layer._shares is None:
        layer._shares = bool(layer.sublayers) and _places(layer) > sum(1 for _ in walk(layer))
    return layer._shares


def _places(layer: Layer) -> int:
    return 1 + sum(map(_places, layer.sublayers))


def shared_cells(layer: Layer, weights: Any, state: Any) -> dict[Layer, Cell] | None:
    """The layers that stand in more than one place, with what the first of them has; ``None`` without any."""
    if not shares(layer):
        return None
    first: dict[Layer, Cell] = {}
    repeated: set[Layer] = set()
    region = current_region.get()

    def visit(layer: Layer, weights: Any, state: Any) -> None:
        if layer in first:
            repeated.add(layer)
            return
        first[layer] = Cell(weights, state, region)
        if not layer.sublayers:
            return
        for sublayer, w, s in zip(layer.sublayers, weights, state, strict=True):
            visit(sublayer, w, s)

    visit(layer, weights, state)
    return {layer: cell for layer, cell in first.items() if layer in repeated}


def share_state(frame: Frame, cell: Cell, state: Any) -> Any:
    """What the place of a shared layer hands back: its new state if it is the first place, else ``()``."""
    if cell.initializing:
        return state if frame.state is cell.state else frame.state
    if frame.state is not cell.state:
        if frame.region is not cell.region:
            raise LayerError(
                f"{frame.layer.name} keeps state and is shared into a loop: its state cannot leave the loop"
            )
        cell.state = frame.state
    return () if type(state) is tuple and not state else frame.state


def gathered_state(layer: Layer, state: Any, shared: dict[Layer, Cell], seen: set[Layer]) -> Any:
    """The new state tree, with what the last place of a shared layer left put in its first."""
    if layer in shared:
        if layer in seen:
            return ()
        seen.add(layer)
        return shared[layer].state
    if not layer.sublayers:
        return state
    return tuple([gathered_state(sub, part, shared, seen) for sub, part in zip(layer.sublayers, state, strict=True)])


def in_first_places(layer: Layer, weights: Any, state: Any) -> tuple[Any, Any]:
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


def refuse_shared(layer: Layer, frame: Frame) -> None:
    """Raises where a layer with a backward of its own holds one that stands in several places."""
    for inner in walk(layer) if frame.shared is not None and layer.sublayers else ():
        cell = (frame.shared or {}).get(inner)
        if inner is not layer and cell is not None and not cell.initializing:
            raise LayerError(
                f"{layer.name}: {inner.name} inside it stands in several places, "
                "and a layer with a backward of its own would lose its gradient; make it a layer of its own there"
            )
