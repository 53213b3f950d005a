"""Layers that choose, by a value or by what happened before, whether another layer is run."""

from __future__ import annotations

from typing import Any

from layerkit import fastmath
from layerkit.combinators.composing import as_layer
from layerkit.combinators.memory import Memory
from layerkit.combinators.stack import inputs_from_stack
from layerkit.engine.bare import as_tuple, bare
from layerkit.engine.calls import run, running
from layerkit.engine.frames import Frame
from layerkit.fastmath import numpy as np
from layerkit.layer import Layer, LayerError
from layerkit.shapes import signature

__all__ = ["Cache", "Cond"]


class Cond(Layer):
    """Runs one of two layers, as a condition on the inputs says.

    The layer ``cond`` takes its inputs from the top of the stack and gives one number; where that is not 0 the layer
    ``true`` is run on the inputs below, else ``false``. Only the layer that is run changes its state. Under a compiler,
    too, one of the two is computed, not both.

    Args:
        cond: a layer with one output of one element.
        true: the layer for a condition that holds.
        false: the layer for one that does not, with as many inputs and outputs, of the same shapes and dtypes; the
            identity unless given.
        name: its name; ``Cond`` unless given.

    Raises:
        LayerError: ``cond`` has several outputs, or one of several elements; ``true`` and ``false`` differ in the
            number of inputs or outputs, or in what the outputs look like.

    >>> from layerkit import Fn
    >>> from layerkit.fastmath import numpy as np
    >>> absolute = Cond(Fn("IsNegative", lambda x: x < 0), Fn("Negate", lambda x: -x))
    >>> float(absolute((np.array(-3.0), np.array(-3.0)))), float(absolute((np.array(3.0), np.array(3.0))))
    (3.0, 3.0)
    """

    def __init__(self, cond: Any, true: Any, false: Any = None, name: str | None = None) -> None:
        layers = [as_layer(cond), as_layer(true)]
        if false is not None:
            layers.append(as_layer(false))
        condition, chosen = layers[0], layers[1]
        super().__init__(condition.n_in + chosen.n_in, chosen.n_out, name, layers)
        if condition.n_out != 1:
            raise LayerError(
                f"{self.name}: its condition {condition.name} has {condition.n_out} outputs; it must have 1"
            )
        n_in, n_out = (chosen.n_in, chosen.n_in) if false is None else (layers[2].n_in, layers[2].n_out)
        if (chosen.n_in, chosen.n_out) != (n_in, n_out):
            other = "the identity" if false is None else layers[2].name
            raise LayerError(
                f"{self.name}: {chosen.name} has {chosen.n_in} inputs and {chosen.n_out} outputs, "
                f"{other} has {n_in} and {n_out}; both must have the same"
            )

    def _split(self, x: Any) -> tuple[Any, Any]:
        """Inputs of the condition, and of the layer it chooses."""
        stack = as_tuple(x)
        cut = self.sublayers[0].n_in
        return inputs_from_stack(stack, cut), bare(stack[cut:])

    def forward(self, x: Any) -> Any:
        frame: Any = running(self)
        above, below = self._split(x)
        condition = np.reshape(self.run_sublayer(0, above), ()) != 0
        states = frame.state

        def chosen(index: int) -> Any:
            def run_it(inputs: Any) -> Any:
                if index == len(self.sublayers):
                    return inputs, states
                y, new = run(frame.of_sublayer(index, frame.weights[index], states[index]), inputs)
                return y, (*states[:index], new, *states[index + 1 :])

            return run_it

        y, new_states = fastmath.cond(condition, chosen(1), chosen(2), below)
        if fastmath.tree_leaves(states[1:]):
            self.state = new_states
        return y

    def init_in_frame(self, frame: Frame, inputs: Any) -> tuple[Any, Any, Any]:
        above, below = self._split(inputs)
        made = [self.init_sublayer(0, above), *(self.init_sublayer(i, below) for i in range(1, len(self.sublayers)))]
        condition, chosen = made[0][2], made[1][2]
        if condition.size != 1:
            raise LayerError(f"its condition {self.sublayers[0].name} gives {condition}; it must give one number")
        other = made[2][2] if len(made) > 2 else below
        if signature(chosen) != signature(other):
            name = f"2:{self.sublayers[2].name}" if len(made) > 2 else "the identity"
            raise LayerError(
                f"1:{self.sublayers[1].name} gives {chosen}, and {name} gives {other}; both must give the same"
            )
        return tuple(m[0] for m in made), tuple(m[1] for m in made), chosen

    def source_of(self, child: int, item: int) -> tuple[int | None, int] | None:
        return None, item if child == 0 else self.sublayers[0].n_in + item


class Cache(Layer):
    """Runs a layer in the first call, and gives back that call's outputs in every later one.

    Meant for what stays the same from call to call, such as an encoder's outputs while a decoder writes word after
    word. The outputs are part of the state, so that ``pure_fn`` finds them in the state it is given; with the state
    that ``init`` returned, the cache is empty. In training there is nothing to keep from one step to the next: the
    layer is run each time, and the cache is left alone.

    Args:
        layer: the layer that is run.
        mode: ``"train"`` runs it in evaluation too, each time: with the same weights, for the calls before there is
            anything to keep. Any other mode keeps what the first call gave.

    Raises:
        LayerError: inputs of another shape or dtype than those it was initialized for (in evaluation).

    >>> from layerkit import Fn
    >>> from layerkit.fastmath import numpy as np
    >>> cached = Cache(Fn("Double", lambda x: 2 * x))
    >>> _ = cached.init(np.array(1.0))
    >>> float(cached(np.array(3.0))), float(cached(np.array(4.0)))
    (6.0, 6.0)
    """

    def __init__(self, layer: Any, mode: str | None = None) -> None:
        layer = as_layer(layer)
        super().__init__(layer.n_in, layer.n_out, None, [layer, Memory()], mode)

    def printed_sublayers(self) -> tuple[Layer, ...]:
        return self.sublayers[:1]

    def forward(self, x: Any) -> Any:
        frame: Any = running(self)
        if self.training:
            return self.run_sublayer(0, x)
        state, (filled, outputs, marks) = frame.state
        if _marks(signature(x)) != signature(marks):
            raise LayerError(
                f"it was initialized for {_marked(marks)} and is given {signature(x)}; "
                "init it again for inputs of another size"
            )

        def compute(x: Any) -> Any:
            return run(frame.of_sublayer(0, frame.weights[0], state), x)

        y, new_state = fastmath.cond(filled > 0, lambda x: (outputs, state), compute, x)
        self.state = (new_state, (np.ones((), np.int32), y, marks))
        return y

    def init_in_frame(self, frame: Frame, inputs: Any) -> tuple[Any, Any, Any]:
        weights, state, outputs = self.init_sublayer(0, inputs)
        if self.mode == "train":
            return (weights, ()), (state, ()), outputs
        empty = fastmath.nested_map(_zeros, (outputs, _marks(inputs)))
        return (weights, ()), (state, (np.zeros((), np.int32), *empty)), outputs

    def source_of(self, child: int, item: int) -> tuple[int | None, int] | None:
        return None, item


def _zeros(of: Any) -> Any:
    return np.zeros(of.shape, of.dtype)


def _marks(inputs: Any) -> Any:
    """Signatures of arrays without elements that remember what the inputs looked like."""
    return fastmath.nested_map(lambda of: of.replace(shape=(0, *of.shape)), inputs)


def _marked(marks: Any) -> Any:
    return fastmath.nested_map(lambda mark: mark.replace(shape=mark.shape[1:]), signature(marks))
