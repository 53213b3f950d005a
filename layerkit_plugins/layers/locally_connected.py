"""A convolution whose kernel is another one at every place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as onp

import layerkit as lk
from layerkit import arguments, fastmath
from layerkit.fastmath import numpy as np
from layerkit.initializers import GlorotUniformInitializer, RandomNormalInitializer
from layerkit_plugins.layers.convolution import ConvWeights
from layerkit_plugins.layers.inputs import as_float, in_dtype_of, kernel_and_bias, require_some
from layerkit_plugins.layers.windows import slices

__all__ = ["LocallyConnected1d"]

_KERNEL = GlorotUniformInitializer()
_BIAS = RandomNormalInitializer(1e-6)


@lk.example(lk.f32(2, 6, 3), filters=4, kernel_size=2)
class LocallyConnected1d(lk.Layer):
    """y[i, f] = b[i, f] + sum over t, c of x[i + t, c] W[i, (t, c), f].    x: (..., l, c)    y: (..., m, f)

    W: (m, k c, f)    b: (m, f)    m = l - k + 1 for ``"VALID"``, l for ``"SAME"`` and ``"WRAP"``.

    Args:
        filters: f, the number of output features.
        kernel_size: k.
        kernel_initializer: function of (shape, rng) that makes W.
        bias_initializer: the same for b.
        use_bias: without it there is no b, and the weights are W itself.
        padding: ``"VALID"``, ``"SAME"`` with zeros around x, or ``"WRAP"``, for which the ends of x meet.

    Raises:
        LayerError: an argument is out of range; x is shorter than the kernel, or not as long as it was initialized for.

    >>> layer = LocallyConnected1d(1, 1, use_bias=False)
    >>> layer([[[1.0], [2.0]]], weights=np.array([[[1.0]], [[10.0]]])).tolist()
    [[[1.0], [20.0]]]
    """

    weight_name = "kernel"

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        kernel_initializer: Callable[..., Any] = _KERNEL,
        bias_initializer: Callable[..., Any] = _BIAS,
        use_bias: bool = True,
        padding: str = "VALID",
    ) -> None:
        name = "LocallyConnected1d"
        super().__init__()
        self.filters = arguments.whole_number(name, "filters", filters)
        self.kernel_size = arguments.whole_number(name, "kernel_size", kernel_size)
        self.kernel_initializer = arguments.function(name, "kernel_initializer", kernel_initializer, "(shape, rng)")
        self.bias_initializer = arguments.function(name, "bias_initializer", bias_initializer, "(shape, rng)")
        self.use_bias = use_bias
        self.padding = arguments.one_of(name, "padding", padding, ("VALID", "SAME", "WRAP"))

    def init_weights_and_state(self, signature: Any) -> None:
        if len(signature.shape) < 2:
            raise lk.LayerError(f"expected at least 2 axes, (..., length, features), got {tuple(signature.shape)}")
        length, features = signature.shape[-2:]
        places = max(length - self.kernel_size + 1, 0) if self.padding == "VALID" else length
        shape = (places, self.kernel_size * features, self.filters)
        self.weights = kernel_and_bias(self, ConvWeights, shape, (places, self.filters))

    def forward(self, x: Any) -> Any:
        kernel, bias = self.weights if self.use_bias else (self.weights, None)
        x = as_float(x)
        padded, padding = (_ring(x, self.kernel_size), "VALID") if self.padding == "WRAP" else (x, self.padding)
        windows = np.concatenate(slices(padded, (self.kernel_size,), (1,), padding, 0.0), axis=-1)
        if tuple(windows.shape[-2:]) != tuple(kernel.shape[:2]):
            places, features = kernel.shape[0], kernel.shape[1] // self.kernel_size
            length = places + self.kernel_size - 1 if self.padding == "VALID" else places
            raise lk.LayerError(f"expected (..., {length}, {features}), got {tuple(x.shape)}")
        y = np.einsum("...mk,mkf->...mf", windows, kernel)
        return in_dtype_of(x, y if bias is None else y + bias)


def _ring(x: Any, size: int) -> Any:
    """x (..., l, c) with as much of its other end at each end as windows of ``size`` take to begin at l places."""
    require_some(x, -2, "a ring")
    length = x.shape[-2]
    ((before, after),) = fastmath.conv_padding("SAME", [length], [size], [1])
    return np.take(x, onp.arange(-before, length + after) % length, axis=-2)
