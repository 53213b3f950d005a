"""LayerError: which layer, by its whole path, what is wrong with its numbers, and where they came from."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from layerkit.errors import LayerkitError
from layerkit.frames import Frame
from layerkit.shapes import ShapeDtype

if TYPE_CHECKING:
    from layerkit.layer import Layer

__all__ = ["LayerError", "explain"]


class LayerError(LayerkitError):
    """A layer that cannot do what it was asked: its path from the outermost layer, the fault, the source of the input.

    The exception that was met inside the layer, if any, is the ``__cause__``.

    Attributes:
        path: names from the outermost layer inwards, such as ``"Serial > 1:Branch > 0:Dense_4"``.
        layer: the layer itself.
    """

    def __init__(self, message: str, path: str = "", layer: Layer | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.layer = layer


def explain(frame: Frame, inputs: Any, error: Exception) -> LayerError:
    """The LayerError for an exception met in the layer of ``frame`` on ``inputs``.

    One that comes from a layer further in already names the whole path, and is returned as it is.
    """
    if isinstance(error, LayerError) and error.path:
        return error
    path = _path(frame)
    text = _first_line(error).removeprefix(f"{frame.layer.name}: ")
    shapes = _shapes(inputs)
    source = _source(frame, inputs)
    if source and shapes:
        if shapes in text:
            text += f" from {source}"
        else:
            text += f"; its input is {shapes}" if source == _OUTSIDE else f"; its input {shapes} is from {source}"
    return LayerError(f"{path}: {text} (layer made in {frame.layer.made_at})", path, frame.layer)


_OUTSIDE = "the input"


def _path(frame: Frame) -> str:
    frames = list(frame.ancestry())[::-1]
    names = [f.layer.name if f.position is None else f"{f.position}:{f.layer.name}" for f in frames]
    if len(names) > 12:
        names[6:-6] = [f"... {len(names) - 12} more ..."]
    return " > ".join(names)


def _shapes(inputs: Any) -> str:
    if hasattr(inputs, "shape"):
        return str(tuple(inputs.shape))
    if isinstance(inputs, tuple):
        return " and ".join(filter(None, map(_shapes, inputs)))
    return ""


def _source(frame: Frame, inputs: Any) -> str:
    """Who made the inputs: the layers they come from, by path below the outermost one, or "the input"."""
    count = len(inputs) if isinstance(inputs, tuple) and not isinstance(inputs, ShapeDtype) else 1
    names = dict.fromkeys(_source_of(frame, item) for item in range(count))
    return " and ".join(names)


def _source_of(frame: Frame, item: int) -> str:
    while frame.parent is not None:
        parent = frame.parent
        if frame.position is None:
            return _OUTSIDE
        maker, item = parent.layer.source_of(frame.position, item)
        if maker is not None:
            return f"{maker}:{parent.layer.sublayers[maker].name}"
        frame = parent
    return _OUTSIDE


_SHAPE = re.compile(r"\((?:\d+,?\s*)*\)")


def _first_line(error: Exception) -> str:
    """The error in one line, in the same words on every backend where Python's operators are to blame."""
    text = (str(error).strip().splitlines() or [""])[0]
    if isinstance(error, LayerkitError):
        return text
    lowered = text.lower()
    shapes = [f"({', '.join(s.strip('()').replace(',', ' ').split())})" for s in _SHAPE.findall(text)]
    shapes = [s.replace(")", ",)") if s.count(",") == 0 and s != "()" else s for s in shapes]
    if "broadcast" in lowered and len(shapes) > 1:
        return f"shapes {' and '.join(shapes)} do not broadcast together"
    sizes = re.search(r"size (\d+) is different from (\d+)", text)
    if sizes:
        return f"matrix product of sizes that do not match: {sizes[2]} and {sizes[1]}"
    sizes = re.search(r"contracting dimensions to have the same shape, got \((\d+),\) and \((\d+),\)", text)
    if sizes:
        return f"matrix product of sizes that do not match: {sizes[1]} and {sizes[2]}"
    if type(error).__name__ in ("TracerBoolConversionError", "ConcretizationTypeError", "TracerArrayConversionError"):
        return "Python looks at the value of an array (an if, a while, float() or numpy); use np.where or fastmath.cond"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
