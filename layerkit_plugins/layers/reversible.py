"""Reversible layers: their inputs can be computed from their outputs, so that training need not keep them.

Gomez et al., "The reversible residual network: backpropagation without storing activations", NeurIPS 2017,
arXiv:1707.04585.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import Any

import layerkit as lk
from layerkit import arguments, fastmath
from layerkit.fastmath import numpy as np
from layerkit.fastmath import random

__all__ = [
    "ReversibleConcatenatePair",
    "ReversibleHalfResidual",
    "ReversibleReshape",
    "ReversibleSelect",
    "ReversibleSerial",
    "ReversibleSwap",
]


@lk.example(lk.f32(4, 8), lk.f32(4, 8), indices=[1, 0])
class ReversibleSelect(lk.ReversibleLayer):
    """The inputs at ``indices``, as ``Select``; each of the n_in inputs is taken once at least.    x, y, ...: (...)

    Args:
        indices: which inputs to put out, counted from the top.
        n_in: how many inputs it takes; as many as ``indices`` name unless given.
        name: its name.

    Raises:
        LayerError: an input is not taken: it could not be computed from the outputs.

    >>> [x.tolist() for x in ReversibleSelect([1, 0, 1])(([1.0], [2.0]))]
    [[2.0], [1.0], [2.0]]
    """

    def __init__(self, indices: Sequence[int], n_in: int | None = None, name: str | None = None) -> None:
        self.indices = tuple(arguments.whole_number("ReversibleSelect", "an index", i, at_least=0) for i in indices)
        n_in = max(self.indices, default=-1) + 1 if n_in is None else n_in
        if set(self.indices) != set(range(n_in)):
            raise lk.LayerError(
                f"ReversibleSelect takes each of its {n_in} inputs once at least, and indices are {list(self.indices)}"
            )
        super().__init__(n_in, len(self.indices), name or "ReversibleSelect_" + "_".join(map(str, self.indices)))

    def forward(self, x: Any) -> Any:
        inputs = x if self.n_in > 1 else (x,)
        return lk.inputs_from_stack([inputs[i] for i in self.indices], self.n_out)

    def reverse(self, output: Any, weights: Any = (), state: Any = (), new_state: Any = (), rng: Any = None) -> Any:
        outputs = output if self.n_out > 1 else (output,)
        return lk.inputs_from_stack([outputs[self.indices.index(i)] for i in range(self.n_in)], self.n_in)


@lk.example(lk.f32(4, 8), lk.f32(4, 8))
def ReversibleSwap() -> ReversibleSelect:
    """(x, y) to (y, x).    x, y: (...)

    >>> [x.tolist() for x in ReversibleSwap()(([1.0], [2.0]))]
    [[2.0], [1.0]]
    """
    return ReversibleSelect([1, 0], name="ReversibleSwap")


@lk.example(lk.f32(4, 8), lk.f32(4, 8))
class ReversibleConcatenatePair(lk.ReversibleLayer):
    """(x, y) to ([x, y], x), with [x, y] joined along the last axis.    x, y: (..., d)    [x, y]: (..., 2 d)

    Raises:
        LayerError: x and y differ in shape.

    >>> [x.tolist() for x in ReversibleConcatenatePair()(([1.0], [2.0]))]
    [[1.0, 2.0], [1.0]]
    """

    def __init__(self) -> None:
        super().__init__(2, 2)

    def forward(self, x: Any) -> Any:
        first, second = x
        if first.shape != second.shape:
            raise lk.LayerError(f"joins two arrays of one shape, got {tuple(first.shape)} and {tuple(second.shape)}")
        return np.concatenate((first, second), axis=-1), first

    def reverse(self, output: Any, weights: Any = (), state: Any = (), new_state: Any = (), rng: Any = None) -> Any:
        pair, first = output
        return first, pair[..., first.shape[-1] :]


@lk.example(lk.f32(4, 8), shape1=(8,), shape2=(2, 4))
class ReversibleReshape(lk.ReversibleLayer):
    """The last axes of each input, of sizes ``shape1``, in the sizes ``shape2``; the axes before stay.

    Args:
        shape1: sizes of the last axes of the inputs.
        shape2: sizes of the last axes of the outputs, of the same product.
        n_in: how many inputs it reshapes.

    Raises:
        LayerError: the products differ, or an input has other last axes.

    >>> ReversibleReshape((6,), (2, 3))(np.ones((5, 6))).shape
    (5, 2, 3)
    """

    def __init__(self, shape1: Sequence[int], shape2: Sequence[int], n_in: int = 1) -> None:
        self.shape1 = arguments.sizes("ReversibleReshape", "shape1", shape1)
        self.shape2 = arguments.sizes("ReversibleReshape", "shape2", shape2)
        if prod(self.shape1) != prod(self.shape2):
            raise lk.LayerError(
                f"ReversibleReshape: shape1 {self.shape1} holds {prod(self.shape1)} numbers, "
                f"shape2 {self.shape2} holds {prod(self.shape2)}"
            )
        n_in = arguments.whole_number("ReversibleReshape", "n_in", n_in)
        super().__init__(n_in, n_in)

    def forward(self, x: Any) -> Any:
        return self._each(x, self.shape1, self.shape2)

    def reverse(self, output: Any, weights: Any = (), state: Any = (), new_state: Any = (), rng: Any = None) -> Any:
        return self._each(output, self.shape2, self.shape1)

    def _each(self, arrays: Any, old: tuple[int, ...], new: tuple[int, ...]) -> Any:
        reshaped = []
        for x in arrays if self.n_in > 1 else (arrays,):
            front = len(x.shape) - len(old)
            if front < 0 or tuple(x.shape[front:]) != old:
                raise lk.LayerError(f"expected last axes {old}, got {tuple(x.shape)}")
            reshaped.append(np.reshape(x, (*x.shape[:front], *new)))
        return lk.inputs_from_stack(reshaped, self.n_in)


@lk.example(lk.f32(4, 8), lk.f32(4, 8))
class ReversibleHalfResidual(lk.ReversibleLayer):
    """(x, y, ...) to (x + f(y, ...), y, ...): one half of a reversible residual block.    x, f(y, ...): (...)

    Args:
        residual_layers: f, layers that run one after the other and give one array.
        attention_layer: a last layer of f, where it is handed over by itself.
        name: its name.

    Raises:
        LayerError: f does not give one array.

    >>> half = ReversibleHalfResidual(lk.Fn("Double", lambda y: 2 * y))
    >>> [x.tolist() for x in half(([1.0], [3.0]))]
    [[7.0], [3.0]]
    >>> [x.tolist() for x in half.reverse((np.array([7.0]), np.array([3.0])), half.weights, half.state)]
    [[1.0], [3.0]]
    """

    def __init__(self, *residual_layers: Any, attention_layer: Any = None, name: str | None = None) -> None:
        residual = lk.Serial(*residual_layers, attention_layer)
        if residual.n_out != 1:
            raise lk.LayerError(f"ReversibleHalfResidual: its layers give {residual.n_out} arrays, and one is added")
        super().__init__(residual.n_in + 1, residual.n_in + 1, name, [residual])

    def forward(self, x: Any) -> Any:
        accumulator, *context = x
        return accumulator + self.run_sublayer(0, lk.inputs_from_stack(context, len(context))), *context

    def reverse(self, output: Any, weights: Any = (), state: Any = (), new_state: Any = (), rng: Any = None) -> Any:
        accumulator, *context = output
        return accumulator - self._residual(weights, state, rng, None)(context, weights[0]), *context

    def reverse_and_grad(
        self,
        output: Any,
        grad: Any,
        weights: Any = (),
        state: Any = (),
        new_state: Any = (),
        rng: Any = None,
        training: bool = True,
    ) -> tuple[Any, tuple[Any, Any]]:
        accumulator, *context = output
        of_accumulator, *of_context = grad
        added, back = fastmath.vjp(self._residual(weights, state, rng, training), context, weights[0])
        of_residual, of_weights = back(of_accumulator)
        of_inputs = [
            g + h if x.dtype.kind not in "biu" else h for x, g, h in zip(context, of_context, of_residual, strict=True)
        ]
        return (accumulator - added, *context), ((of_accumulator, *of_inputs), (of_weights,))

    def _residual(self, weights: Any, state: Any, rng: Any, training: bool | None) -> Any:
        (residual,) = self.sublayers
        key = None if rng is None else random.fold_in(rng, 0)

        def compute(context: Any, weights: Any) -> Any:
            inputs = lk.inputs_from_stack(context, len(context))
            return residual.pure_fn(inputs, weights, state[0], key, training)[0]

        return compute


@lk.example(lk.f32(4, 8))
class ReversibleSerial(lk.ReversibleLayer):
    """Runs reversible layers one after the other, and keeps nothing in between for the gradient.    x, ...: (...)

    The backward pass goes from the outputs back to the inputs, layer by layer: the memory that training takes does not
    grow with the number of layers, and every layer is computed twice.

    Args:
        layers: reversible layers, or lists of them; each takes all arrays there are. None at all are the identity.

    Raises:
        LayerError: a layer is not reversible, or leaves arrays out.

    >>> double = lk.Fn("Double", lambda y: 2 * y)
    >>> block = ReversibleSerial(ReversibleHalfResidual(double), ReversibleSwap())
    >>> [x.tolist() for x in block(([1.0], [3.0]))]
    [[3.0], [7.0]]
    """

    has_backward = True

    def __init__(self, *layers: Any) -> None:
        flat = lk.Serial(*layers).sublayers
        for layer in flat:
            if not isinstance(layer, lk.ReversibleLayer):
                raise lk.LayerError(
                    f"ReversibleSerial: {layer.name} is not reversible; put it into a ReversibleHalfResidual"
                )
        for before, layer in pairwise(flat):
            if layer.n_in != before.n_out:
                raise lk.LayerError(
                    f"ReversibleSerial: {layer.name} takes {layer.n_in} arrays, "
                    f"and {before.name} before it gives {before.n_out}"
                )
        super().__init__(flat[0].n_in if flat else 1, flat[-1].n_out if flat else 1, None, flat)

    def forward(self, x: Any) -> Any:
        for index in range(len(self.sublayers)):
            x = self.run_sublayer(index, x)
        return x

    def reverse(self, output: Any, weights: Any = (), state: Any = (), new_state: Any = (), rng: Any = None) -> Any:
        for index, *own in self._from_the_last(weights, state, new_state, rng):
            output = self.sublayers[index].reverse(output, *own)
        return output

    def reverse_and_grad(
        self,
        output: Any,
        grad: Any,
        weights: Any = (),
        state: Any = (),
        new_state: Any = (),
        rng: Any = None,
        training: bool = True,
    ) -> tuple[Any, tuple[Any, Any]]:
        of_weights: list[Any] = []
        for index, *own, key in self._from_the_last(weights, state, new_state, rng):
            layer: Any = self.sublayers[index]
            key = None if key is None else _not_before(output, key)
            output, (grad, of_layer) = layer.reverse_and_grad(output, grad, *own, key, training)
            of_weights.insert(0, of_layer)
        return output, (grad, tuple(of_weights))

    def backward(
        self, inputs: Any, output: Any, grad: Any, weights: Any, state: Any, new_state: Any, rng: Any
    ) -> tuple[Any, Any]:
        return self.reverse_and_grad(output, grad, weights, state, new_state, rng, self.training)[1]

    def _from_the_last(self, weights: Any, state: Any, new_state: Any, rng: Any) -> Any:
        """(index, weights, state, new state, key) of each layer, the last one first."""
        new_state = new_state or state
        for index in reversed(range(len(self.sublayers))):
            key = None if rng is None else random.fold_in(rng, index)
            yield index, weights[index], state[index], new_state[index], key


def _not_before(output: Any, key: Any) -> Any:
    """The key, computed from ``output`` as well, as far as a compiler can see.

    It would otherwise find the random numbers of the forward pass in the backward pass again, and keep those of every
    layer until then.
    """
    first = np.reshape(output[0] if type(output) is tuple else output, (-1,))[:1]
    return key + np.sum(first != first).astype(key.dtype)
