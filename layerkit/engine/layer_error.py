"""LayerError: which layer, by its whole path, what is wrong with its numbers, and where they came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from layerkit.engine.frames import Frame
from layerkit.engine.sources import OUTSIDE, shorten, sources
from layerkit.errors import LayerkitError

if TYPE_CHECKING:
    from layerkit.layer import Layer

__all__ = ["LayerError", "explain", "misfit", "path_in_words"]


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


# A traceback names the class as people import it.
LayerError.__module__ = "layerkit"


def explain(frame: Frame, inputs: Any, error: Exception) -> LayerError:
    """The LayerError for an exception met in the layer of ``frame`` on ``inputs``.

    One that comes from a layer further in already names the whole path, and is returned as it is.
    """
    if isinstance(error, LayerError) and error.path:
        return error
    from layerkit.engine.plain_words import in_plain_words  # what goes well needs no words

    path = path_in_words(frame)
    fault = in_plain_words(error).removeprefix(f"{frame.layer.name}: ")
    if frame.trail is None and not isinstance(error, LayerError):
        fault = misfit(frame.layer, "weights", frame.weights) or misfit(frame.layer, "state", frame.state) or fault
    if frame.layer.is_bare and "weights" in _names_read(frame.layer) and not isinstance(error, LayerError):
        fault += "; it has no init_weights_and_state, so self.weights is ()"
    text = fault + _about_inputs(fault, _arrays(inputs), sources(frame, inputs))
    return LayerError(f"{path}: {text} (layer made in {frame.layer.made_at})", path, frame.layer)


def misfit(layer: Layer, what: str, tree: Any) -> str:
    """What is wrong with the form of the weights (or state) of a layer that has sublayers; nothing if they fit."""
    due = len(layer.sublayers)
    if not due or (isinstance(tree, (tuple, list)) and len(tree) == due):
        return ""
    got = f"{len(tree)} entries" if isinstance(tree, (tuple, list)) else type(tree).__name__
    return f"its {what} must be a tuple of {due}, one entry for each sublayer, got {got}"


def _names_read(layer: Layer) -> tuple[str, ...]:
    """The names that its ``forward`` reads."""
    names: tuple[str, ...] = getattr(getattr(layer.forward, "__code__", None), "co_names", ())
    return names


def path_in_words(frame: Frame) -> str:
    """The layer of a frame by its names from the outermost one inwards: ``Serial > 1:Branch > 0:Dense_4``."""
    names = [f.layer.name if f.position is None else f"{f.position}:{f.layer.name}" for f in frame.ancestry()]
    return shorten(names[::-1])


def _about_inputs(fault: str, arrays: list[Any], source: str) -> str:
    """What the fault leaves unsaid: the inputs' shapes, their dtypes where they are unusual, where they come from."""
    if not arrays:
        return ""
    shapes = [str(tuple(array.shape)) for array in arrays]
    if source and len(shapes) == 1 and fault.endswith(shapes[0]):
        return f" from {source}"
    told = ""
    if any(shape not in fault for shape in shapes):
        kinds = ["" if array.dtype.name == "float32" else f"{array.dtype.name} " for array in arrays]
        told = " " + " and ".join(kind + shape for kind, shape in zip(kinds, shapes, strict=True))
    subject, verb = ("its inputs", "are") if len(shapes) > 1 else ("its input", "is")
    if source in ("", OUTSIDE):
        return told and f"; {subject} {verb}{told}"
    return f"; {subject}{told} {verb} from {source}"


def _arrays(inputs: Any) -> list[Any]:
    if hasattr(inputs, "shape") and hasattr(inputs, "dtype"):
        return [inputs]
    return [array for part in inputs for array in _arrays(part)] if isinstance(inputs, tuple) else []
