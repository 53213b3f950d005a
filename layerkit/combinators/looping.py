"""Layers that run another layer again and again, on one slice of their inputs after the other."""

from __future__ import annotations

from typing import Any

from layerkit import fastmath
from layerkit.arguments import whole_number
from layerkit.combinators.composing import as_layer
from layerkit.combinators.memory import Memory
from layerkit.engine.bare import as_tuple, bare
from layerkit.engine.calls import run, running
from layerkit.engine.frames import Frame
from layerkit.errors import shown
from layerkit.fastmath import numpy as np
from layerkit.layer import Layer, LayerError
from layerkit.shapes import ShapeDtype, signature

__all__ = ["Chunk", "Map", "Scan"]


class Scan(Layer):
    """Runs a layer along an axis, handing a carry from each step to the next.

    With a layer (x1..xN, carry1..M) -> (y1..K, carry1..M), where M is ``n_carry``, the Scan takes arrays
    (X1..XN, carry1..M) and gives (Y1..K, carry1..M): the layer gets the slices of each X without ``axis``, its outputs
    are stacked along ``axis``, and the last carries come after them. The layer's state goes through the steps as well;
    its random key at step i is the Scan's folded with i. No steps at all give empty outputs and the carries as they
    came.

    Args:
        layer: the layer that is run.
        axis: the axis of all of X1..XN that is walked along, and of all of Y1..K.
        n_carry: how many of the layer's last inputs and last outputs are carries.
        remat: whether the gradient computes every step again instead of keeping what the step computed in memory.
        mode: in ``"predict"`` the last carries are kept in the state, and the next call goes on from them instead of
            from those it is given.

    Raises:
        LayerError: the layer has fewer than ``n_carry`` outputs, or not more inputs; inputs of different length; a
            carry or a state that changes its shape or dtype on the way.

    >>> from layerkit import Fn
    >>> from layerkit.fastmath import numpy as np
    >>> running_sum = Scan(Fn("Sum", lambda x, total: (x + total, x + total), n_out=2))
    >>> sums, total = running_sum((np.array([1.0, 2.0, 3.0]), np.array(0.0)))
    >>> sums.tolist(), float(total)
    ([1.0, 3.0, 6.0], 6.0)
    """

    def __init__(
        self, layer: Layer, axis: int = 0, n_carry: int = 1, remat: bool = False, mode: str | None = None
    ) -> None:
        layer = as_layer(layer)
        n_carry = whole_number(self.name, "n_carry", n_carry, at_least=0)
        if layer.n_in <= n_carry or layer.n_out < n_carry:
            raise LayerError(
                f"{self.name}: {layer.name} has {layer.n_in} inputs and {layer.n_out} outputs; "
                f"with n_carry={n_carry} it needs {n_carry + 1} inputs and {n_carry} outputs or more"
            )
        # The memory is there in every mode, so that weights and state of all modes have one structure.
        super().__init__(layer.n_in, layer.n_out, None, [layer, Memory()] if n_carry else [layer], mode)
        self.axis = whole_number(self.name, "axis", axis, at_least=None)
        self.n_carry, self.remat = n_carry, remat

    def printed_sublayers(self) -> tuple[Layer, ...]:
        return self.sublayers[:1]

    @property
    def _keeps_carry(self) -> bool:
        return self.mode == "predict" and self.n_carry > 0

    def _split(self, x: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        inputs = as_tuple(x)
        return inputs[: self.n_in - self.n_carry], inputs[self.n_in - self.n_carry :]

    def forward(self, x: Any) -> Any:
        frame: Any = running(self)
        xs, carry = self._split(x)
        length = _common_length(xs, self.axis)
        if self._keeps_carry:
            carry = _recall(frame.state[1], carry)
        slices = tuple([np.moveaxis(each, self.axis, 0) for each in xs]) if self.axis else xs
        ys, carry, state = _loop(frame, slices, carry, length, self.remat)
        if self._keeps_carry:
            self.state = (state, (np.ones((), np.int32), *carry))
        elif state is not frame.state[0]:
            self.state = (state, *frame.state[1:])
        if self.axis:
            ys = tuple([np.moveaxis(each, 0, self.axis) for each in ys])
        return bare(ys + carry)

    def init_in_frame(self, frame: Frame, inputs: Any) -> tuple[Any, Any, Any]:
        xs, carry = self._split(inputs)
        length = _common_length(xs, self.axis)
        slices = tuple(x.replace(shape=_without(x.shape, self.axis)) for x in xs)
        weights, state, outputs = self.init_sublayer(0, bare(slices + carry))
        parts = as_tuple(outputs)
        cut = len(parts) - self.n_carry
        _check_kept("carry", carry, parts[cut:])
        ys = tuple(y.replace(shape=_with(y.shape, self.axis, length)) for y in parts[:cut])
        outputs = bare(ys + carry)
        if not self.n_carry:
            return (weights,), (state,), outputs
        kept: tuple[Any, ...] = ()
        if self._keeps_carry:
            kept = (np.zeros((), np.int32), *(np.zeros(c.shape, c.dtype) for c in carry))
        return (weights, ()), (state, kept), outputs

    def source_of(self, child: int, item: int) -> tuple[int | None, int] | None:
        return None, item


class Map(Scan):
    """Runs a layer on every slice along an axis, with the same weights, and stacks what comes out.

    It is a Scan without carries: a layer that keeps state hands it from each slice to the next, and the random key of
    slice i is the Map's folded with i.

    Args:
        layer: the layer that is run; it gets the slices without ``axis``.
        axis: the axis of all inputs that is walked along, and of all outputs.
        remat: whether the gradient computes every slice again instead of keeping what it computed in memory.

    >>> from layerkit import Fn
    >>> from layerkit.fastmath import numpy as np
    >>> Map(Fn("Reverse", lambda x: np.flip(x, 0)))(np.array([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [[2.0, 1.0], [4.0, 3.0]]
    """

    def __init__(self, layer: Layer, axis: int = 0, remat: bool = False) -> None:
        super().__init__(layer, axis, 0, remat)


class _Chunk(Layer):
    """A layer run on ``chunk_size`` rows after the other."""

    def __init__(self, layer: Layer, chunk_size: int, pass_unchunkable: bool) -> None:
        if layer.n_in < 1:
            raise LayerError(f"Chunk: {layer.name} takes no input that could be cut into chunks")
        super().__init__(layer.n_in, layer.n_out, "Chunk", [layer])
        self.chunk_size, self.pass_unchunkable = chunk_size, pass_unchunkable

    def _n_chunks(self, inputs: tuple[Any, ...]) -> int:
        """How many chunks there are; 1 where the layer is to be run on the whole."""
        rows = _common_length(inputs, 0)
        if rows <= self.chunk_size:
            return 1
        if rows % self.chunk_size:
            if self.pass_unchunkable:
                return 1
            raise LayerError(f"{rows} rows cannot be cut into chunks of {self.chunk_size}")
        return rows // self.chunk_size

    def forward(self, x: Any) -> Any:
        frame: Any = running(self)
        inputs = as_tuple(x)
        n = self._n_chunks(inputs)
        if n == 1:
            return self.run_sublayer(0, x)
        chunks = tuple([np.reshape(each, (n, self.chunk_size, *each.shape[1:])) for each in inputs])
        ys, _, state = _loop(frame, chunks, (), n, remat=True)
        if state is not frame.state[0]:
            self.state = (state,)
        return bare([np.reshape(y, self._rows(n, y.shape[1:])) for y in ys])

    def init_in_frame(self, frame: Frame, inputs: Any) -> tuple[Any, Any, Any]:
        parts = as_tuple(inputs)
        n = self._n_chunks(parts)
        if n > 1:
            parts = tuple(part.replace(shape=(self.chunk_size, *part.shape[1:])) for part in parts)
        weights, state, outputs = self.init_sublayer(0, bare(parts))
        if n > 1:
            ys = as_tuple(outputs)
            outputs = bare([y.replace(shape=self._rows(n, y.shape)) for y in ys])
        return (weights,), (state,), outputs

    def source_of(self, child: int, item: int) -> tuple[int | None, int] | None:
        return None, item

    def _rows(self, n: int, shape: tuple[int, ...]) -> tuple[int, ...]:
        if not shape:
            raise LayerError(
                f"{self.sublayers[0].name} gives one number for {self.chunk_size} rows, and no row for each"
            )
        return (n * shape[0], *shape[1:])


def Chunk(layer: Layer, chunk_size: int, pass_unchunkable: bool = True) -> Layer:
    """Runs a layer on ``chunk_size`` rows at a time, so that what it computes in between needs less memory.

    The gradient computes every chunk again. What comes out is what the layer gives for the whole batch, provided that
    it treats each row for itself. State goes from each chunk to the next, and the random key of chunk i is the Chunk's
    folded with i.

    Args:
        layer: a layer whose inputs, and outputs, have their rows along the first axis.
        chunk_size: rows in a chunk; below 1 the layer is returned as it is.
        pass_unchunkable: runs the layer on the whole batch if its rows make no whole number of chunks.

    Raises:
        LayerError: the batch makes no whole number of chunks, and ``pass_unchunkable`` is false.

    >>> from layerkit import Fn
    >>> from layerkit.fastmath import numpy as np
    >>> Chunk(Fn("Double", lambda x: 2 * x), chunk_size=2)(np.array([1.0, 2.0, 3.0, 4.0])).tolist()
    [2.0, 4.0, 6.0, 8.0]
    """
    if not isinstance(layer, Layer):
        raise LayerError(f"Chunk: {shown(layer)} is no layer")
    size = whole_number("Chunk", "chunk_size", chunk_size, at_least=None)
    return layer if size < 1 else _Chunk(layer, size, pass_unchunkable)


# -- the loop itself ------------------------------------------------------------------------------------------------


def _loop(
    frame: Frame, xs: tuple[Any, ...], carry: tuple[Any, ...], length: int, remat: bool
) -> tuple[tuple[Any, ...], tuple[Any, ...], Any]:
    """(stacked outputs, last carries, last state) of the first sublayer of the frame's layer, along axis 0 of xs."""
    layer: Layer = frame.layer.sublayers[0]
    shared = {} if frame.shared is None or not remat else frame.shared
    n_ys = layer.n_out - len(carry)

    def step(weights: Any, shared_weights: Any, state: Any, carry: Any, index: Any, slices: Any) -> Any:
        parent = _with_shared(frame, shared, shared_weights) if shared else frame
        turn = Frame(layer, weights, state, frame, index, parent, 0)
        y, new_state = run(turn, bare(slices + carry))
        outputs = as_tuple(y)
        _check_kept("carry", carry, outputs[n_ys:])
        if new_state is not state:
            _check_kept("state", state, new_state)
        return new_state, outputs[n_ys:], outputs[:n_ys]

    # What is differentiated enters a rematerialised step as an argument; the weights of shared layers are among it.
    take_step = fastmath.remat(step) if remat else step
    weights, shared_weights = frame.weights[0], tuple([cell.weights for cell in shared.values()])

    def body(carried: Any, x: Any) -> Any:
        state, carry, ys = take_step(weights, shared_weights, *carried, *x)
        return (state, carry), ys

    old_state = frame.state[0]
    (state, carry), ys = fastmath.scan(body, (old_state, carry), (np.arange(length), xs), length)
    return tuple(ys), tuple(carry), state if fastmath.tree_leaves(old_state) else old_state


def _with_shared(frame: Frame, shared: dict[Layer, Any], weights: tuple[Any, ...]) -> Frame:
    """The same call, in which layers that stand in several places have the given weights."""
    twin = frame.again(frame.weights, frame.state)
    twin.shared = {layer: cell.with_weights(w) for (layer, cell), w in zip(shared.items(), weights, strict=True)}
    return twin


def _check_kept(what: str, before: Any, after: Any) -> None:
    """A carry, or a state, must come out of a step as it went in."""
    old, new = signature(before), signature(after)
    if old != new:
        raise LayerError(f"its {what} goes in as {_shown(old)} and comes out as {_shown(new)}; a {what} keeps its form")


def _shown(of: Any) -> str:
    if isinstance(of, tuple) and len(of) == 1 and isinstance(of[0], ShapeDtype):
        return repr(of[0])
    return repr(of)


def _recall(kept: Any, given: tuple[Any, ...]) -> tuple[Any, ...]:
    """The carries kept by the last call, or those given if this is the first."""
    started, *carry = kept
    if signature(tuple(carry)) != signature(given):
        raise LayerError(
            f"it kept a carry {_shown(signature(tuple(carry)))} and is given {_shown(signature(given))}; "
            "init it again for inputs of another size"
        )
    return tuple([np.where(started > 0, old, new) for old, new in zip(carry, given, strict=True)])


# -- shapes ---------------------------------------------------------------------------------------------------------


def _common_length(xs: tuple[Any, ...], axis: int) -> int:
    for x in xs:
        if not -len(x.shape) <= axis < len(x.shape):
            raise LayerError(f"has no axis {axis} in an input of shape {tuple(x.shape)}")
    lengths = [x.shape[axis] for x in xs]
    if len(set(lengths)) > 1:
        shapes = " and ".join(str(tuple(x.shape)) for x in xs)
        raise LayerError(f"its inputs {shapes} differ in length along axis {axis}")
    return int(lengths[0])


def _without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    axis %= len(shape)
    return shape[:axis] + shape[axis + 1 :]


def _with(shape: tuple[int, ...], axis: int, length: int) -> tuple[int, ...]:
    rank = len(shape) + 1
    if not -rank <= axis < rank:
        raise LayerError(f"its output slices of shape {shape} cannot be stacked along axis {axis}")
    axis %= rank
    return (*shape[:axis], length, *shape[axis:])
