"""Who made the inputs of a layer: what an error says of the other side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from layerkit.engine.bare import as_tuple

if TYPE_CHECKING:
    from layerkit.engine.frames import Frame
    from layerkit.layer import Layer

__all__ = ["OUTSIDE", "Trail", "last_layer", "shorten", "sources"]

OUTSIDE = "the input"

Source = tuple[int | None, int]
"""Output number .. of the sublayer .., or, with ``None``, input number .. of the layer itself."""


class Trail:
    """Who made which array while a ``forward`` is tried that calls its sublayers as it likes."""

    def __init__(self) -> None:
        self.made: list[tuple[Any, Source]] = []
        self.inputs_of: dict[int, list[Source | None]] = {}

    def note(self, maker: int | None, arrays: Any) -> None:
        """These are the inputs of the layer, or the outputs of its sublayer ``maker``."""
        self.made += [(array, (maker, item)) for item, array in enumerate(as_tuple(arrays))]

    def call(self, child: int, inputs: Any) -> None:
        """The sublayer ``child`` is called with these inputs."""
        self.inputs_of[child] = [
            next((source for array, source in reversed(self.made) if array is part), None) for part in as_tuple(inputs)
        ]

    def source_of(self, child: int, item: int) -> Source | None:
        found = self.inputs_of.get(child, [])
        return found[item] if item < len(found) else None


class _Place(NamedTuple):
    layer: Layer
    position: int | None
    trail: Trail | None


def sources(frame: Frame, inputs: Any) -> str:
    """The layers that the inputs come from, by their paths below the outermost one, or ``OUTSIDE``; "" if unknown."""
    path = [_Place(each.layer, each.position, each.trail) for each in frame.ancestry()][::-1]
    found = [_source(path, item) for item in range(len(as_tuple(inputs)))]
    return "" if "" in found else " and ".join(dict.fromkeys(found))


def _source(path: list[_Place], item: int) -> str:
    """Climbs from a layer to the one around it until some sublayer made the array, then down to the one that did."""
    while len(path) > 1:
        child, (layer, _, trail) = path[-1], path[-2]
        if child.position is None:
            return ""
        found = layer.source_of(child.position, item) or (trail and trail.source_of(child.position, item))
        if not found:
            return ""
        path = path[:-1]
        maker, item = found
        while maker is not None:
            path = [*path, _Place(path[-1].layer.sublayers[maker], maker, None)]
            made = path[-1].layer.maker_of(item)
            if made is None:
                return shorten([f"{place.position}:{place.layer.name}" for place in path[1:]])
            maker, item = made
    return OUTSIDE


def last_layer(layer: Layer) -> Layer:
    """The innermost layer that makes the first output of ``layer``, as far as that can be told."""
    item = 0
    while (made := layer.maker_of(item)) is not None and made[0] is not None:
        layer, item = layer.sublayers[made[0]], made[1]
    return layer


def shorten(names: list[str]) -> str:
    """A path in words, without its middle where it is very long."""
    if len(names) > 12:
        names = [*names[:6], f"... {len(names) - 12} more ...", *names[-6:]]
    return " > ".join(names)
