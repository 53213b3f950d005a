"""Layers one after the other, side by side, on copies of their inputs, and around a shortcut."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

from layerkit.combinators.stack import inputs_from_stack, sequence_arity
from layerkit.engine.bare import as_tuple, bare
from layerkit.engine.calls import run, running
from layerkit.engine.frames import Frame
from layerkit.engine.initializing import init
from layerkit.engine.naming import count, in_place_of_function
from layerkit.errors import shown
from layerkit.fastmath import abstract_eval
from layerkit.layer import Layer, LayerError

__all__ = ["Branch", "Parallel", "Residual", "Serial", "SerialWithSideOutputs"]


def as_layer(part: Any) -> Layer:
    """A layer as it is; ``None`` or an empty list is the identity; a list of layers is their Serial."""
    if isinstance(part, Layer):
        return part
    if part is None or isinstance(part, (list, tuple)):
        return Serial(part)
    instead = in_place_of_function(part)
    raise LayerError(f"{shown(part)} is no layer; combinators take layers, lists of layers, or None{instead}")


def _flat(parts: Iterable[Any]) -> list[Layer]:
    layers: list[Layer] = []
    for part in parts:
        if isinstance(part, (list, tuple)):
            layers += _flat(part)
        elif part is not None:
            layers.append(as_layer(part))
    return layers


class Serial(Layer):
    """Runs layers one after the other on the data stack.

    Arrays it does not need pass through below its outputs, so a model can be called on a whole batch. An empty Serial
    is the identity. Lists of layers are flattened; nested Serials compute what one flat Serial does, with the same
    random keys.

    Args:
        sublayers: layers, or lists of them; ``None`` is left out.
        name: its name; ``Serial`` unless given.
        sublayers_to_print: what ``repr`` shows in place of the sublayers.

    >>> from layerkit import Fn
    >>> from layerkit.fastmath import numpy as np
    >>> double = Fn("Double", lambda x: 2 * x)
    >>> Serial(double, double)(np.array(3.0)).tolist()
    12.0
    >>> Serial(double, Fn("Minus", lambda x, y: x - y))
    Serial_in2[
      Double
      Minus_in2
    ]
    """

    def __init__(self, *sublayers: Any, name: str | None = None, sublayers_to_print: Any = None) -> None:
        layers = _flat(sublayers)
        n_in, n_out = sequence_arity(layers) if layers else (1, 1)
        super().__init__(n_in, n_out, name, layers)
        self._to_print = None if sublayers_to_print is None else tuple(_flat([sublayers_to_print]))
        counts = [layer.n_positions for layer in layers]
        self._offsets = tuple(accumulate(counts, initial=0))
        self._length = len(layers)

    @property
    def n_positions(self) -> int:
        return self._offsets[-1]

    def printed_sublayers(self) -> tuple[Layer, ...]:
        return self.sublayers if self._to_print is None else self._to_print

    def accept_inputs(self, x: Any) -> Any:
        # n_in arrays or more: the rest passes through below.
        stack = as_tuple(x)
        if len(stack) >= self.n_in:
            return stack
        reader = next(i for i in range(len(self.sublayers)) if sequence_arity(self.sublayers[: i + 1])[0] == self.n_in)
        name = f"{reader}:{self.sublayers[reader].name}"
        raise LayerError(f"takes {count(self.n_in, 'input')}, got {len(stack)}: the last is read by {name}")

    def accept_outputs(self, y: Any) -> Any:
        return y

    def forward(self, x: Any) -> Any:
        if not self._length:
            return x
        frame: Any = running(self)
        weights, state = frame.weights, frame.state
        key, base = self._key_for_sublayers(frame)
        stack = as_tuple(x)
        new_state: list[Any] | None = None
        offsets = self._offsets
        for index, layer in enumerate(self.sublayers[: self._length]):
            n = layer.n_in
            inputs = stack[0] if n == 1 and stack else stack[:n]
            old = state[index]
            y, new = run(Frame(layer, weights[index], old, key, base + offsets[index], frame, index), inputs)
            stack = as_tuple(y) + stack[n:]
            if new is not old:
                if new_state is None:
                    new_state = list(state)
                new_state[index] = new
        if new_state is not None:
            self.state = tuple(new_state)
        return bare(stack)

    @staticmethod
    def _key_for_sublayers(frame: Frame) -> tuple[Any, int]:
        """A Serial inside a Serial counts on from its own position; anywhere else it starts at 0 with its own key."""
        if frame.parent is not None and isinstance(frame.parent.layer, Serial) and frame.fold is not None:
            return frame.key, frame.fold
        return frame, 0

    def init_in_frame(self, frame: Frame, inputs: Any) -> tuple[Any, Any, Any]:
        if not self._length:
            return (), (), inputs
        key, base = self._key_for_sublayers(frame)
        stack = as_tuple(inputs)
        made = []
        for index, layer in enumerate(self.sublayers[: self._length]):
            top = inputs_from_stack(stack, layer.n_in)
            weights, state, outputs = init(Frame(layer, (), (), key, base + self._offsets[index], frame, index), top)
            made.append((weights, state))
            stack = as_tuple(outputs) + stack[layer.n_in :]
        weights, state = zip(*made, strict=True)
        return weights, state, bare(stack)

    def source_of(self, child: int, item: int) -> tuple[int | None, int] | None:
        return self._on_stack(child, item)

    def maker_of(self, item: int) -> tuple[int | None, int] | None:
        return self._on_stack(self._length, item)

    def _on_stack(self, after: int, item: int) -> tuple[int | None, int]:
        """What lies at ``item`` after so many layers: the run is repeated with names in place of arrays."""
        depth = self.n_in + item + 1 + sum(layer.n_in for layer in self.sublayers[:after])
        stack: list[tuple[int | None, int]] = [(None, i) for i in range(depth)]
        for index, layer in enumerate(self.sublayers[:after]):
            stack[: layer.n_in] = [(index, i) for i in range(layer.n_out)]
        return stack[item]


class Parallel(Layer):
    """Runs layers side by side, each on its own consecutive slice of the inputs.

    Args:
        sublayers: two layers or more; ``None`` or ``[]`` is the identity, a list is a Serial.
        name: its name; ``Parallel`` unless given.

    Raises:
        LayerError: fewer than two sublayers, or one that takes no input.

    >>> from layerkit import Fn
    >>> from layerkit.fastmath import numpy as np
    >>> double, minus = Fn("Double", lambda x: 2 * x), Fn("Minus", lambda x, y: x - y)
    >>> [float(y) for y in Parallel(double, minus)((np.array(3.0), np.array(5.0), np.array(4.0)))]
    [6.0, 1.0]
    """

    def __init__(self, *sublayers: Any, name: str | None = None) -> None:
        layers = [as_layer(part) for part in sublayers]
        starts = self._starts_of(layers)
        n_in = max((start + layer.n_in for start, layer in zip(starts, layers, strict=True)), default=0)
        super().__init__(n_in, sum(layer.n_out for layer in layers), name, layers)
        self._starts = starts
        if len(layers) < 2:
            raise LayerError(f"{self.name} takes two sublayers or more, got {len(layers)}")

    def _starts_of(self, layers: Sequence[Layer]) -> list[int]:
        for layer in layers:
            if layer.n_in == 0:
                raise LayerError(f"{layer.name} takes no input, and cannot stand in a Parallel")
        return list(accumulate((layer.n_in for layer in layers), initial=0))[:-1]

    def _slices(self, x: Any) -> list[Any]:
        stack = x if isinstance(x, tuple) and self.n_in != 1 else (x,)
        return [
            inputs_from_stack(stack[start:], layer.n_in)
            for start, layer in zip(self._starts, self.sublayers, strict=True)
        ]

    def forward(self, x: Any) -> Any:
        frame: Any = running(self)
        weights, state = frame.weights, frame.state
        outputs: tuple[Any, ...] = ()
        new_state = []
        for index, inputs in enumerate(self._slices(x)):
            y, new = run(frame.of_sublayer(index, weights[index], state[index]), inputs)
            outputs += as_tuple(y)
            new_state.append(new)
        if any(new is not old for new, old in zip(new_state, state, strict=True)):
            self.state = tuple(new_state)
        return bare(outputs)

    def init_in_frame(self, frame: Frame, inputs: Any) -> tuple[Any, Any, Any]:
        made = [self.init_sublayer(index, part) for index, part in enumerate(self._slices(inputs))]
        weights, state, parts = zip(*made, strict=True)
        outputs = tuple(o for part in parts for o in as_tuple(part))
        return weights, state, bare(outputs)

    def source_of(self, child: int, item: int) -> tuple[int | None, int] | None:
        return None, self._starts[child] + item

    def maker_of(self, item: int) -> tuple[int | None, int] | None:
        for index, layer in enumerate(self.sublayers):
            if item < layer.n_out:
                return index, item
            item -= layer.n_out
        return None


class _Branch(Parallel):
    """Parallel whose sublayers all start at the top of the stack."""

    def _starts_of(self, layers: Sequence[Layer]) -> list[int]:
        return [0] * len(layers)


def Branch(*layers: Any, name: str = "Branch") -> Layer:
    """Runs layers side by side, each on a copy of the top of the stack; n_in is the largest n_in among them.

    Args:
        layers: layers; ``None`` or ``[]`` is the identity, a list is a Serial. One layer alone is returned as it is.
        name: its name.

    >>> from layerkit import Fn
    >>> from layerkit.fastmath import numpy as np
    >>> [float(y) for y in Branch(None, Fn("Double", lambda x: 2 * x))(np.array(3.0))]
    [3.0, 6.0]
    """
    return as_layer(layers[0]) if len(layers) == 1 else _Branch(*layers, name=name)


class _Residual(Serial):
    """A Serial whose result is added to that of a shortcut from the same inputs; the shortcut is its last sublayer."""

    def __init__(self, *layers: Any, shortcut: Any = None) -> None:
        main = _flat(layers)
        side = None if shortcut is None else as_layer(shortcut)
        super().__init__(*main, *([] if side is None else [side]), name="Residual")
        self._length = len(main)
        self._main_in, self.n_out = sequence_arity(main) if main else (1, 1)
        self.n_in = max(self._main_in, 1 if side is None else side.n_in)
        if side is not None and side.n_out != 1:
            raise LayerError(f"Residual: its shortcut {side.name} has {side.n_out} outputs; a shortcut has one")
        if self.n_out == 0:
            raise LayerError("Residual: its layers have no output to add to")

    def forward(self, x: Any) -> Any:
        frame: Any = running(self)
        stack = as_tuple(x)
        y = super().forward(inputs_from_stack(stack, self._main_in))
        if self._length == len(self.sublayers):
            side = stack[0]
        else:
            old = frame.state[-1]
            side, new = run(self._of_shortcut(frame, frame.weights[-1], old), self._inputs_of_shortcut(stack))
            if new is not old:
                self.state = (*frame.state[:-1], new)
        outputs = as_tuple(y)
        return bare((side + outputs[0], *outputs[1:], *stack[self.n_in :]))

    def init_in_frame(self, frame: Frame, inputs: Any) -> tuple[Any, Any, Any]:
        stack = as_tuple(inputs)
        weights, state, y = super().init_in_frame(frame, inputs_from_stack(stack, self._main_in))
        if self._length == len(self.sublayers):
            side = stack[0]
        else:
            w, s, side = init(self._of_shortcut(frame, (), ()), self._inputs_of_shortcut(stack))
            weights, state = (*weights, w), (*state, s)
        outputs = as_tuple(y)
        try:
            total = abstract_eval(lambda a, b: a + b, side, outputs[0])
        except (TypeError, ValueError) as error:
            raise LayerError(f"its shortcut gives {side} and its layers {outputs[0]}: they cannot be added") from error
        return weights, state, bare((total, *outputs[1:], *stack[self.n_in :]))

    def _of_shortcut(self, frame: Frame, weights: Any, state: Any) -> Frame:
        key, base = self._key_for_sublayers(frame)
        index = self._length
        return Frame(self.sublayers[index], weights, state, key, base + self._offsets[index], frame, index)

    def _inputs_of_shortcut(self, stack: tuple[Any, ...]) -> Any:
        return inputs_from_stack(stack, self.sublayers[-1].n_in)

    def source_of(self, child: int, item: int) -> tuple[int | None, int] | None:
        return (None, item) if child == self._length else self._on_stack(child, item)

    def maker_of(self, item: int) -> tuple[int | None, int] | None:
        if item >= self.n_out:
            return None, self.n_in + item - self.n_out
        return None if item == 0 else self._on_stack(self._length, item)


def Residual(*layers: Any, shortcut: Any = None) -> Layer:
    """shortcut(x) + layers(x); what ``Serial(Branch(shortcut, layers), Add())`` computes.

    Args:
        layers: layers run one after the other.
        shortcut: a layer with one output; the identity unless given.

    >>> from layerkit import Fn
    >>> from layerkit.fastmath import numpy as np
    >>> Residual(Fn("Double", lambda x: 2 * x))(np.array(3.0)).tolist()
    9.0
    """
    return _Residual(*layers, shortcut=shortcut)


class SerialWithSideOutputs(Layer):
    """Runs layers one after the other, and moves the last outputs of each to the back of what comes out.

    Args:
        layers: layers; the i-th puts all but its last ``n_side_outputs[i]`` outputs on the stack for the next. A list
            among them is a Serial, ``None`` the identity.
        n_side_outputs: a number for every layer, or one for each.

    >>> from layerkit import Fn
    >>> both = Fn("Both", lambda x: (x + 1, 10 * x), n_out=2)
    >>> [y.tolist() for y in SerialWithSideOutputs([both, both])([1.0])]
    [[3.0], [10.0], [20.0]]
    """

    def __init__(self, layers: Sequence[Layer], n_side_outputs: int | Sequence[int] = 1) -> None:
        flat = [as_layer(layer) for layer in layers]
        sides = [n_side_outputs] * len(flat) if isinstance(n_side_outputs, int) else list(n_side_outputs)
        if len(sides) != len(flat):
            raise LayerError(f"SerialWithSideOutputs: {len(flat)} layers and {len(sides)} numbers of side outputs")
        needed = depth = 0
        for layer, n_side in zip(flat, sides, strict=True):
            if not 0 <= n_side <= layer.n_out:
                raise LayerError(
                    f"SerialWithSideOutputs: {layer.name} has {layer.n_out} outputs, {n_side} cannot be put aside"
                )
            needed = max(needed, layer.n_in - depth)
            depth += layer.n_out - n_side - layer.n_in
        super().__init__(needed, needed + depth + sum(sides), sublayers=flat)
        self._sides = sides

    def forward(self, x: Any) -> Any:
        stack = as_tuple(x)
        aside: tuple[Any, ...] = ()
        for index, (layer, n_side) in enumerate(zip(self.sublayers, self._sides, strict=True)):
            y = self.run_sublayer(index, inputs_from_stack(stack, layer.n_in))
            outputs = as_tuple(y)
            kept = len(outputs) - n_side
            stack = outputs[:kept] + stack[layer.n_in :]
            aside += outputs[kept:]
        return inputs_from_stack(stack + aside, self.n_out)
