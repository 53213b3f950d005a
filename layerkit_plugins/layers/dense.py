"""Dense: the affine map of the last axis."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import layerkit as lk
from layerkit import arguments
from layerkit.fastmath import numpy as np
from layerkit.initializers import GlorotUniformInitializer, RandomNormalInitializer
from layerkit_plugins.layers.inputs import as_float, bfloat16, kernel_and_bias, require_last, require_rank

__all__ = ["Dense", "DenseWeights"]

_KERNEL = GlorotUniformInitializer()
_BIAS = RandomNormalInitializer(1e-6)


class DenseWeights(NamedTuple):
    """The weights of a Dense with bias; a plain tuple works in its place."""

    kernel: Any
    bias: Any


@lk.example(lk.f32(4, 5), n_units=3)
class Dense(lk.Layer):
    """y = x W + b, along the last axis.    x: (..., d)    W: (d, n)    b: (n,)    y: (..., n)

    Whole numbers and booleans are taken as float32.

    Args:
        n_units: n, the size of the last axis of the output.
        kernel_initializer: function of (shape, rng) that makes W.
        bias_initializer: the same for b.
        use_bias: without it, y = x W, and the weights are W itself.
        use_bfloat16: keeps the weights in bfloat16, half the memory.

    Raises:
        LayerError: an argument is out of range; the last axis of x is not the one it was initialized for.

    >>> dense = Dense(2, use_bias=False)
    >>> dense
    Dense_2
    >>> float(dense([[1.0, 3.0]], weights=np.array([[1.0, 0.0], [0.0, 1.0]]))[0, 1])
    3.0
    """

    weight_name = "kernel"

    def __init__(
        self,
        n_units: int,
        kernel_initializer: Callable[..., Any] = _KERNEL,
        bias_initializer: Callable[..., Any] = _BIAS,
        use_bias: bool = True,
        use_bfloat16: bool = False,
    ) -> None:
        self.n_units = arguments.whole_number("Dense", "n_units", n_units)
        super().__init__(name=f"Dense_{self.n_units}")
        self.kernel_initializer = arguments.function("Dense", "kernel_initializer", kernel_initializer, "(shape, rng)")
        self.bias_initializer = arguments.function("Dense", "bias_initializer", bias_initializer, "(shape, rng)")
        self.use_bias = use_bias
        self.dtype = bfloat16("Dense") if use_bfloat16 else None

    def init_weights_and_state(self, signature: Any) -> None:
        require_rank(signature, 1)
        shape = (signature.shape[-1], self.n_units)
        self.weights = kernel_and_bias(self, DenseWeights, shape, shape[1:], self.dtype)

    def forward(self, x: Any) -> Any:
        kernel, bias = self.weights if self.use_bias else (self.weights, None)
        require_last(x, kernel.shape[0])
        # One product of two matrices, however many axes: several times as fast as a product for each row of a batch.
        rows = np.reshape(as_float(x), (math.prod(x.shape[:-1]), x.shape[-1]))
        y = np.matmul(rows, kernel)
        return np.reshape(y if bias is None else y + bias, (*x.shape[:-1], kernel.shape[1]))
