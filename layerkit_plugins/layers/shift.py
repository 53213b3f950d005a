"""Layers that look back a few positions: a shift to the right, and a convolution of each feature by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import layerkit as lk
from layerkit import arguments
from layerkit.fastmath import numpy as np
from layerkit.initializers import GlorotUniformInitializer
from layerkit_plugins.layers.incremental import require_batch
from layerkit_plugins.layers.inputs import as_float, bfloat16, first_weights, float_dtype, in_dtype_of, require_rank

__all__ = ["CausalDepthwiseConv", "ShiftRight"]

_KERNEL = GlorotUniformInitializer()


@lk.example(lk.f32(4, 5, 3))
def ShiftRight(n_positions: int = 1, mode: str | None = None) -> lk.Layer:
    """y_i = x_(i - n_positions), zeros at the beginning.    x, y: (b, l, ...)

    A language model that is given the words it is to predict sees only those before each. In predict mode x comes out
    as it went in: the loop that writes hands each word in one call after it was chosen, which is the shift.

    Args:
        n_positions: how far it shifts.
        mode: ``"predict"``, see there; else it makes no difference.

    Raises:
        LayerError: ``n_positions`` is no whole number of at least 1; x has no axis of length.

    >>> ShiftRight()([[3, 4, 5]]).tolist()
    [[0, 3, 4]]
    """
    n = arguments.whole_number("ShiftRight", "n_positions", n_positions)

    def shift(x: Any) -> Any:
        require_rank(x, 2)
        widths = [(0, 0), (n, 0)] + [(0, 0)] * (len(x.shape) - 2)
        return np.pad(x, widths)[:, : x.shape[1]]

    if mode is not None:
        arguments.one_of("ShiftRight", "mode", mode, ("train", "eval", "predict"))
    layer = lk.Fn("ShiftRight", (lambda x: x) if mode == "predict" else shift)
    layer.mode = mode
    return layer


@lk.example(lk.f32(4, 5, 3))
class CausalDepthwiseConv(lk.Layer):
    """y_i = sum over j of w_j x_(i - n + 1 + j), each feature by itself, zeros before the first.    x, y: (b, l, d)

    w: (kernel_size, d). In predict mode a call brings the positions that follow those of the call before, and the last
    kernel_size - 1 are kept in the state, for the batch it was initialized for.

    Args:
        kernel_size: n, how many positions it sees: its own, and those right before it.
        kernel_initializer: function of (shape, rng) that makes w.
        use_bfloat16: keeps w in bfloat16.
        mode: ``"predict"``, see there.

    Raises:
        LayerError: an argument is out of range; x has another number of features, or in predict mode another batch,
            than it was initialized for.

    >>> conv = CausalDepthwiseConv(kernel_size=2)
    >>> conv([[[1.0], [2.0], [5.0]]], weights=np.array([[10.0], [1.0]])).tolist()
    [[[1.0], [12.0], [25.0]]]
    """

    weight_name = "kernel"

    def __init__(
        self,
        kernel_size: int = 3,
        kernel_initializer: Callable[..., Any] = _KERNEL,
        use_bfloat16: bool = False,
        mode: str | None = None,
    ) -> None:
        super().__init__(mode=mode)
        self.kernel_size = arguments.whole_number(self.name, "kernel_size", kernel_size)
        self.initializer = arguments.function(self.name, "kernel_initializer", kernel_initializer, "(shape, rng)")
        self.dtype = bfloat16(self.name) if use_bfloat16 else None

    def init_weights_and_state(self, signature: Any) -> None:
        require_rank(signature, 3)
        shape = (self.kernel_size, signature.shape[-1])
        self.weights = first_weights("kernel_initializer", self.initializer, shape, self.rng, self.dtype)
        if self.mode == "predict":
            self.state = np.zeros(self._before(signature), float_dtype(signature.dtype))

    def _before(self, x: Any) -> tuple[int, ...]:
        return (x.shape[0], self.kernel_size - 1, x.shape[-1])

    def forward(self, x: Any) -> Any:
        if len(x.shape) != 3 or x.shape[-1] != self.weights.shape[-1]:
            raise lk.LayerError(f"expected (batch, length, {self.weights.shape[-1]}), got {tuple(x.shape)}")
        x = as_float(x)
        before = self.state if self.mode == "predict" else np.zeros(self._before(x), x.dtype)
        require_batch(before, x)
        length = x.shape[1]
        seen = np.concatenate([before, x], axis=1)
        if self.mode == "predict":
            self.state = seen[:, length:]
        return in_dtype_of(x, sum(seen[:, j : j + length] * self.weights[j] for j in range(self.kernel_size)))
