"""What a reversible layer is: one whose inputs can be computed from its outputs."""

from __future__ import annotations

from typing import Any

from layerkit import fastmath
from layerkit.layer import Layer, LayerError

__all__ = ["ReversibleLayer"]


class ReversibleLayer(Layer):
    """A layer whose inputs follow from its outputs: a subclass writes ``forward`` and ``reverse``.

    Inside a ``ReversibleSerial`` its inputs are not kept for the gradient, but computed again from its outputs: in
    float32 they are as they were up to rounding. Anywhere else it is a layer like any other.

    >>> from layerkit.fastmath import numpy as np
    >>> class Double(ReversibleLayer):
    ...     def forward(self, x):
    ...         return 2 * x
    ...     def reverse(self, output, weights=(), state=(), new_state=(), rng=None):
    ...         return output / 2
    >>> float(Double().reverse(np.array(6.0)))
    3.0
    """

    def reverse(self, output: Any, weights: Any = (), state: Any = (), new_state: Any = (), rng: Any = None) -> Any:
        """The inputs of a call, from its outputs.

        Args:
            output: what ``forward`` returned.
            weights: the weights of that call.
            state: the state before it.
            new_state: the state after it.
            rng: its random key.

        Raises:
            LayerError: the subclass does not say how.
        """
        raise LayerError(
            f"{self.name} has no reverse method: a ReversibleLayer defines "
            "reverse(self, output, weights, state, new_state, rng)"
        )

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
        """(inputs, (gradient of the inputs, gradient of the weights)), from the outputs and their gradient.

        A subclass overrides it where parts of both computations are the same.
        """
        inputs = self.reverse(output, weights, state, new_state, rng)
        forward = lambda x, w: self.pure_fn(x, w, state, rng, training)[0]
        return inputs, fastmath.vjp(forward, inputs, weights)[1](grad)
