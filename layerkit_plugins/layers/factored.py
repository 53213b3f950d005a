"""Affine maps of the last axis with fewer weights than Dense has: factored, in modules, of low rank."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import layerkit as lk
from layerkit import arguments
from layerkit.fastmath import numpy as np
from layerkit.fastmath import random
from layerkit.initializers import GlorotUniformInitializer, RandomNormalInitializer
from layerkit_plugins.layers.dense import Dense
from layerkit_plugins.layers.inputs import as_float, bfloat16, first_weights, require_last, require_rank

__all__ = [
    "EinsumDense",
    "FactoredDense",
    "FactoredDenseWeights",
    "LocallyConnectedDense",
    "LowRankDense",
    "MergeLastTwoAxes",
    "ModularWeights",
    "SplitLastAxis",
]

_KERNEL = GlorotUniformInitializer()
_BIAS = RandomNormalInitializer(1e-6)


@lk.example(lk.f32(4, 5), n_units=3, d_lowrank=2)
def LowRankDense(n_units: int, d_lowrank: int) -> lk.Layer:
    """y = (x U + a) V + b: Dense of rank d_lowrank at most.    x: (..., d)    U: (d, r)    V: (r, n)    y: (..., n)

    It has r (d + n) weights where Dense has d n.

    Args:
        n_units: n, the size of the last axis of the output.
        d_lowrank: r, the rank.

    Raises:
        LayerError: an argument is no whole number of at least 1.

    >>> LowRankDense(100, d_lowrank=4)
    LowRankDense[
      Dense_4
      Dense_100
    ]
    """
    arguments.whole_number("LowRankDense", "n_units", n_units)
    arguments.whole_number("LowRankDense", "d_lowrank", d_lowrank)
    return lk.Serial(Dense(d_lowrank), Dense(n_units), name="LowRankDense")


@lk.example(lk.f32(4, 5), d_input=5, d_output=3)
class EinsumDense(Dense):
    """y = x W + b, as Dense, for inputs whose size is known beforehand.    x: (..., d)    W: (d, n)    y: (..., n)

    Args:
        d_input: d, the size of the last axis of the input.
        d_output: n, the size of the last axis of the output.
        use_bias: without it, y = x W.

    Raises:
        LayerError: an argument is out of range; the last axis of x is not d.

    >>> EinsumDense(3, 2).output_signature(lk.f32(4, 3))
    float32[4,2]
    """

    def __init__(self, d_input: int, d_output: int, use_bias: bool = True) -> None:
        self.d_input = arguments.whole_number("EinsumDense", "d_input", d_input)
        super().__init__(arguments.whole_number("EinsumDense", "d_output", d_output), use_bias=use_bias)
        self._name = f"EinsumDense_{d_input}_{d_output}"

    def init_weights_and_state(self, signature: Any) -> None:
        require_last(signature, self.d_input)
        super().init_weights_and_state(signature)


class FactoredDenseWeights(NamedTuple):
    """The weights of a FactoredDense with bias: a factor for each module, one for the places in it, and the bias."""

    modules: Any
    places: Any
    bias: Any


@lk.example(lk.f32(4, 6), n_modules=2, d_in=6, d_out=8)
class FactoredDense(lk.Layer):
    """y_(m s) = sum_d x_d M_(m d) P_(d s) + b: a Dense whose kernel is a product of two small factors.

    x: (..., d_in)    M: (n_modules, d_in)    P: (d_in, d_out / n_modules)    y: (..., d_out)

    Every output can be any single input, or any sum of them: the multiplicative layer of Jaszczur et al., "Sparse is
    enough in scaling transformers", NeurIPS 2021, arXiv:2111.12763.

    Args:
        n_modules: parts of the output, each with a factor of its own.
        d_in: the size of the last axis of the input.
        d_out: that of the output, a multiple of n_modules.
        use_bias: without it, nothing is added.
        use_bfloat16: keeps the weights in bfloat16.

    Raises:
        LayerError: an argument is out of range; the last axis of x is not d_in.

    >>> layer = FactoredDense(2, d_in=3, d_out=4)
    >>> [tuple(w.shape) for w in layer.init(lk.f32(5, 3))[0]]
    [(2, 3), (3, 2), (4,)]
    """

    def __init__(
        self, n_modules: int, d_in: int, d_out: int, use_bias: bool = True, use_bfloat16: bool = False
    ) -> None:
        self.n_modules = arguments.whole_number("FactoredDense", "n_modules", n_modules)
        self.d_in = arguments.whole_number("FactoredDense", "d_in", d_in)
        self.d_out = arguments.whole_number("FactoredDense", "d_out", d_out)
        _require_modules("FactoredDense", "d_out", d_out, n_modules)
        super().__init__(name=f"FactoredDense_{d_out}")
        self.use_bias = use_bias
        self.dtype = bfloat16("FactoredDense") if use_bfloat16 else None

    def init_weights_and_state(self, signature: Any) -> None:
        require_last(signature, self.d_in)
        # Their products spread as the kernel of a Dense does: Glorot's deviation is the product of the two.
        factor = RandomNormalInitializer((2 / (self.d_in + self.d_out)) ** 0.25)
        of_modules, of_places = random.split(self.rng)
        modules = first_weights("modules", factor, (self.n_modules, self.d_in), of_modules, self.dtype)
        places = first_weights("places", factor, (self.d_in, self.d_out // self.n_modules), of_places, self.dtype)
        self.weights = FactoredDenseWeights(modules, places, np.zeros(self.d_out, modules.dtype))
        if not self.use_bias:
            self.weights = self.weights[:2]

    def forward(self, x: Any) -> Any:
        require_last(x, self.d_in)
        modules, places, *bias = self.weights
        kernel = np.reshape(np.expand_dims(modules.T, 2) * np.expand_dims(places, 1), (self.d_in, self.d_out))
        y = np.matmul(as_float(x), kernel)
        return y + bias[0] if self.use_bias else y


@lk.example(lk.f32(4, 6), num_splits=3)
def SplitLastAxis(num_splits: int) -> lk.Layer:
    """The last axis as two: x: (..., n d) to y: (..., n, d), with n = num_splits.

    Args:
        num_splits: n, which divides the last axis.

    Raises:
        LayerError: n is no whole number of at least 1, or does not divide the last axis.

    >>> SplitLastAxis(2)([[1, 2, 3, 4]]).tolist()
    [[[1, 2], [3, 4]]]
    """
    arguments.whole_number("SplitLastAxis", "num_splits", num_splits)

    def split(x: Any) -> Any:
        require_rank(x, 1)
        _require_modules("SplitLastAxis", "the last axis", x.shape[-1], num_splits)
        return np.reshape(x, (*x.shape[:-1], num_splits, x.shape[-1] // num_splits))

    return lk.Fn("SplitLastAxis", split)


@lk.example(lk.f32(4, 3, 2))
def MergeLastTwoAxes() -> lk.Layer:
    """The last two axes as one: x: (..., n, d) to y: (..., n d).

    Raises:
        LayerError: x has fewer than two axes.

    >>> MergeLastTwoAxes()([[[1, 2], [3, 4]]]).tolist()
    [[1, 2, 3, 4]]
    """

    def merge(x: Any) -> Any:
        require_rank(x, 2)
        return np.reshape(x, (*x.shape[:-2], x.shape[-2] * x.shape[-1]))

    return lk.Fn("MergeLastTwoAxes", merge)


class ModularWeights(NamedTuple):
    """The weights of a LocallyConnectedDense with bias."""

    kernel: Any
    bias: Any


@lk.example(lk.f32(4, 6), n_modules=3, n_units=4)
class LocallyConnectedDense(lk.Layer):
    """Each module of the features has a Dense of its own: y_m = x_m W_m + b_m, the modules side by side.

    x: (..., n_modules d)    W: (n_modules, kernel_size d, n_units)    b: (n_modules, n_units)
    y: (..., n_modules n_units)

    With a kernel_size above 1 a module also sees its neighbours, zeros beyond the ends. Jaszczur et al., "Sparse is
    enough in scaling transformers", NeurIPS 2021, arXiv:2111.12763.

    Args:
        n_modules: into how many parts the features are cut; it divides them.
        n_units: features of the output for each module.
        kernel_size: how many modules each one sees.
        kernel_initializer: function of (shape, rng) that makes W.
        bias_initializer: the same for b.
        use_bias: without it, nothing is added, and the weights are W itself.

    Raises:
        LayerError: an argument is out of range; the modules cannot share the features evenly.

    >>> LocallyConnectedDense(2, 3).output_signature(lk.f32(5, 8))
    float32[5,6]
    """

    weight_name = "kernel"

    def __init__(
        self,
        n_modules: int,
        n_units: int,
        kernel_size: int = 1,
        kernel_initializer: Callable[..., Any] = _KERNEL,
        bias_initializer: Callable[..., Any] = _BIAS,
        use_bias: bool = True,
    ) -> None:
        super().__init__()
        self.n_modules = arguments.whole_number(self.name, "n_modules", n_modules)
        self.n_units = arguments.whole_number(self.name, "n_units", n_units)
        self.kernel_size = arguments.whole_number(self.name, "kernel_size", kernel_size)
        self.kernel_initializer = arguments.function(
            self.name, "kernel_initializer", kernel_initializer, "(shape, rng)"
        )
        self.bias_initializer = arguments.function(self.name, "bias_initializer", bias_initializer, "(shape, rng)")
        self.use_bias = use_bias

    def init_weights_and_state(self, signature: Any) -> None:
        require_rank(signature, 1)
        _require_modules(self.name, "the last axis", signature.shape[-1], self.n_modules)
        seen = self.kernel_size * (signature.shape[-1] // self.n_modules)
        kernel_rng, bias_rng = random.split(self.rng)
        shape = (self.n_modules, seen, self.n_units)
        kernel = first_weights("kernel_initializer", self.kernel_initializer, shape, kernel_rng)
        self.weights = kernel
        if self.use_bias:
            bias = first_weights("bias_initializer", self.bias_initializer, (self.n_modules, self.n_units), bias_rng)
            self.weights = ModularWeights(kernel, bias)

    def forward(self, x: Any) -> Any:
        kernel, bias = self.weights if self.use_bias else (self.weights, None)
        own = kernel.shape[1] // self.kernel_size
        require_last(x, self.n_modules * own)
        parts = self._with_neighbours(np.reshape(as_float(x), (*x.shape[:-1], self.n_modules, own)))
        y = np.einsum("...mk,mkn->...mn", parts, kernel)
        return np.reshape(y if bias is None else y + bias, (*x.shape[:-1], self.n_modules * self.n_units))

    def _with_neighbours(self, parts: Any) -> Any:
        """Each module's features after those of the modules before it, and before those after it."""
        if self.kernel_size == 1:
            return parts
        before = (self.kernel_size - 1) // 2
        widths = [(0, 0)] * (parts.ndim - 2) + [(before, self.kernel_size - 1 - before), (0, 0)]
        padded = np.pad(parts, widths)
        shifted = [padded[..., i : i + self.n_modules, :] for i in range(self.kernel_size)]
        return np.concatenate(shifted, axis=-1)


def _require_modules(layer: str, what: str, size: int, n_modules: int) -> None:
    if size % n_modules:
        raise lk.LayerError(f"{layer}: {what} {size} cannot be cut into {n_modules} equal parts")
