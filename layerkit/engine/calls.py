"""Running a layer: every call of every layer opens a frame here, and its errors get their path here."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as onp

from layerkit.engine.frames import Frame, current_frame, in_frame
from layerkit.engine.layer_error import LayerError, explain
from layerkit.engine.sharing import gathered_state, refuse_shared, share_state, shared_cells
from layerkit.engine.storing import stored
from layerkit.errors import shown
from layerkit.fastmath import custom_vjp
from layerkit.fastmath import numpy as np
from layerkit.fastmath.backend import active, current_region
from layerkit.shapes import ShapeDtype, signature

if TYPE_CHECKING:
    from layerkit.layer import Layer

__all__ = [
    "Uninitialized",
    "check_arrays",
    "check_reach",
    "find",
    "fit_inputs",
    "fit_outputs",
    "run",
    "run_inside",
    "run_sublayer",
    "running",
]


def run(frame: Frame, x: Any, training: bool | None = None) -> tuple[Any, Any]:
    """(output, new state) of the call that the frame is for; ``training`` is that of the call around it unless given.

    One without a ``fold`` enters a whole model, with weights and state of its own.
    """
    layer, fold, state, cell = frame.layer, frame.fold, frame.state, None
    if training is not None:
        frame.training = training
    before = current_frame.get()
    try:
        current_frame.set(frame)  # not before the try: Ctrl-C may come right after it
        if fold is None:
            x = check_arrays(x) if frame.parent is None else x
            frame.shared = shared_cells(layer, frame.weights, state)
        if frame.shared is not None:
            cell = frame.shared.get(layer)
            if cell is not None:
                frame.weights, frame.state = cell.weights, cell.state
        x = fit_inputs(layer, x)
        observer = frame.observer
        if observer is not None:
            x = observer.enter(frame, x)
        y = layer.forward(x) if not layer.has_backward else _run_with_backward(layer, x, frame)
        y = fit_outputs(layer, y)
        if observer is not None:
            y = observer.leave(frame, x, y)
        if cell is not None:
            return y, share_state(frame, cell, state)
        if fold is None and frame.shared is not None:
            return y, gathered_state(layer, frame.state, frame.shared, set())
        return y, frame.state
    except Exception as error:
        wrapped = explain(frame, x, error)
        if wrapped is error:
            raise
        raise wrapped from error
    finally:
        current_frame.set(before)


def running(layer: Layer, fault: str = "forward is part of a call: call the layer itself, as in model(x)") -> Frame:
    """The frame of the running call, if it is one of this layer."""
    frame = current_frame.get()
    if frame is None or frame.layer is not layer:
        raise LayerError(f"{layer.name}.{fault}")
    return frame


def fit_inputs(layer: Layer, x: Any) -> Any:
    """The inputs of a layer, if they are as many as it takes."""
    n = layer.n_in
    if n == 1:
        if type(x) is not tuple:
            return x
    elif type(x) is tuple and len(x) == n:
        return x
    return layer.accept_inputs(x)


def fit_outputs(layer: Layer, y: Any) -> Any:
    """The outputs of a layer, if they are as many as it declares, narrowed to 32 bits."""
    n = layer.n_out
    if y is None:
        raise LayerError("forward returned None, which is no array: a return is missing")
    if type(y) is list:
        y = tuple(y)
    if type(y) is tuple:
        if len(y) != n or n == 1:
            y = layer.accept_outputs(y)
    elif n != 1:
        y = layer.accept_outputs(y)
    canonical = active().canonical
    return tuple([canonical(item) for item in y]) if type(y) is tuple else canonical(y)


def check_arrays(x: Any) -> Any:
    """The outermost call's inputs: arrays of numbers; lists, Python numbers and others' arrays become such."""
    if isinstance(x, ShapeDtype):
        return x
    if type(x) is tuple:
        return tuple([check_arrays(item) for item in x])
    is_array = isinstance(getattr(x, "dtype", None), onp.dtype)
    is_other = issubclass(type(x), onp.ndarray) if is_array else hasattr(x, "__array__")
    if is_other:  # a matrix has a * of its own, PyTorch's tensor has dtypes of its own
        x = onp.asarray(x)
    elif not is_array:
        if x is None or isinstance(x, (str, bytes)):
            raise LayerError(f"an input is an array of numbers, got {'None' if x is None else 'text'}")
        with contextlib.suppress(TypeError, ValueError):  # a list of traced numbers is no array yet
            _check_range(onp.array(x))
        found = None
        with contextlib.suppress(TypeError, ValueError):
            found = np.array(x)
        if found is None or found.dtype.kind == "O":
            ragged = ", whose rows differ in length: pad the shorter ones" if isinstance(x, list) else ""
            raise LayerError(f"an input is an array of numbers, got {shown(x)}{ragged}")
        x = found
    if x.dtype.kind in "OSUMmcT":
        raise LayerError(f"an input is an array of real numbers, got dtype {x.dtype}")
    _check_range(x)
    return active().canonical(x)


def _check_range(x: Any) -> None:
    """Refuses whole numbers that would become others in 32 bits: an id must not read another id's row."""
    if x.dtype.kind not in "iu" or x.dtype.itemsize < 8 or not x.size or active().is_traced(x):
        return
    low, high = (-(2**31), 2**31 - 1) if x.dtype.kind == "i" else (0, 2**32 - 1)
    for extreme in (int(x.min()), int(x.max())):
        if not low <= extreme <= high:
            raise LayerError(f"an input is an array of 32-bit numbers, got {extreme}")


# -- calls of a sublayer inside forward -----------------------------------------------------------------------------


class Uninitialized(BaseException):
    """Ends an abstract run at a sublayer that has no weights yet.

    It is no Exception, so that no layer's ``except`` stops it.
    """

    def __init__(self, index: int, inputs: Any) -> None:
        self.index, self.inputs = index, inputs


def run_inside(layer: Layer, frame: Frame, x: Any, training: bool | None = None) -> Any:
    """``layer(x)`` in somebody's ``forward``: with that call's weights, if it is one of its sublayers."""
    if layer in frame.layer.sublayers:
        return run_sublayer(frame, frame.layer.sublayers.index(layer), x, training)
    for outer in frame.ancestry():
        if layer in outer.layer.sublayers:
            return _run_from_afar(layer, outer, frame, x, training)
    if layer.is_bare:
        return run(Frame(layer, (), (), parent=frame), x, training)[0]
    raise LayerError(
        f"{layer.name} is called inside {frame.layer.name}, which does not know it: "
        "hand it to super().__init__(sublayers=[...]), or call its pure_fn"
    )


def _run_from_afar(layer: Layer, outer: Frame, frame: Frame, x: Any, training: bool | None) -> Any:
    """The output of a layer that stands further out in the model than the layer that calls it."""
    weights, state = _held(layer, outer)
    position = outer.layer.sublayers.index(layer)
    y, new = run(Frame(layer, weights, state, frame, _AFAR + position, frame), x, training)
    if new is not state:
        raise LayerError(
            f"{layer.name} keeps state and is called inside {frame.layer.name}, which does not have it as a sublayer: "
            "hand it to super().__init__(sublayers=[...])"
        )
    return y


# Folded into the caller's key together with the position: far from the positions of the caller's own sublayers.
_AFAR = 1 << 30


def run_sublayer(frame: Frame, index: int, x: Any, training: bool | None = None) -> Any:
    """The output of a sublayer of the frame's layer; its new state goes into the frame."""
    sublayer = frame.layer.sublayers[index]
    region = current_region.get()
    if frame.region is not region:
        check_reach(frame, f"{sublayer.name}.weights")
    trail = frame.trail
    if trail is not None:
        trail.call(index, x)
        if index not in frame.weights:
            raise Uninitialized(index, signature(x))
    old = frame.state[index]
    y, new = run(frame.of_sublayer(index, frame.weights[index], old), x, training)
    if new is not old:
        if frame.region is not region:
            where = "loop" if region is None else region.name
            raise LayerError(
                f"{sublayer.name} keeps state and is called inside a {where}: use tl.Scan, tl.Map or tl.Cond, "
                "which hand it on"
            )
        if trail is None:
            frame.state = (*frame.state[:index], new, *frame.state[index + 1 :])
    if trail is not None:
        trail.note(index, y)
    return y


def find(layer: Layer, frame: Frame | None, what: str) -> Any:
    """``layer.weights`` or ``layer.state`` read outside of every call, or inside another layer's forward."""
    if frame is None:
        return stored(layer, f"_{what}")
    for outer in frame.ancestry():
        if outer.layer is layer:
            check_reach(outer, f"{layer.name}.{what}")
            return getattr(outer, what)
        if layer in outer.layer.sublayers:
            check_reach(outer, f"{layer.name}.{what}")
            return _held(layer, outer)[what == "state"]
    raise LayerError(
        f"{layer.name}.{what} is read inside the forward of {frame.layer.name}, where it would be a stale constant: "
        f"make {layer.name} a sublayer of it, or pass the arrays in"
    )


def _held(layer: Layer, outer: Frame) -> tuple[Any, Any]:
    """Weights and state that a running call has for one of its sublayers."""
    if outer.shared is not None and layer in outer.shared:
        cell = outer.shared[layer]
        return cell.weights, cell.state
    index = outer.layer.sublayers.index(layer)
    if outer.trail is not None and index not in outer.weights:
        raise LayerError(f"{layer.name} is used before its place in {outer.layer.name}, where it gets its weights")
    return outer.weights[index], outer.state[index]


def check_reach(frame: Frame, what: str) -> None:
    """Refuses to hand weights, state or key of a call to a function that is compiled in the midst of it."""
    region = current_region.get()
    while region is not None and region is not frame.region:
        if region.name == "jit":
            raise LayerError(
                f"{what} is read inside a jit that began in the forward of {frame.layer.name}, "
                "where it would be compiled in: pass it to the compiled function as an argument"
            )
        region = region.outer


# -- gradients of a layer's own -------------------------------------------------------------------------------------


def _run_with_backward(layer: Layer, x: Any, frame: Frame) -> Any:
    # Everything comes in as an argument: what a backward pass closes over may be out of reach when it is run.
    refuse_shared(layer, frame)

    def again(weights: Any, state: Any, rng: Any, f: Callable[..., Any], *args: Any) -> Any:
        twin = frame.again(weights, state)
        twin.key, twin.fold = rng, None
        return in_frame(twin, f, *args), twin.state

    def forward_only(x: Any, weights: Any, state: Any, rng: Any) -> Any:
        return again(weights, state, rng, layer.forward, x)

    def forward(*args: Any) -> Any:
        result = forward_only(*args)
        return result, (args, result)

    def backward(residuals: Any, gradients: Any) -> Any:
        (x, weights, state, rng), (y, new_state) = residuals
        arguments = x, y, gradients[0], weights, state, new_state, rng
        of_inputs, of_weights = again(weights, state, rng, layer.backward, *arguments)[0]
        return of_inputs, of_weights, None, None

    y, frame.state = custom_vjp(forward_only, forward, backward)(x, frame.weights, frame.state, frame.rng())
    return y
