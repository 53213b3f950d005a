"""Convolution: the same kernel at every place."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import layerkit as lk
from layerkit import arguments, fastmath
from layerkit.fastmath import numpy as np
from layerkit.initializers import RandomNormalInitializer
from layerkit_plugins.layers.axis_letters import AxisLetters
from layerkit_plugins.layers.incremental import require_batch
from layerkit_plugins.layers.inputs import as_float, float_dtype, in_dtype_of, kernel_and_bias, require_some
from layerkit_plugins.layers.windows import checked_padding, positive_sizes

__all__ = ["CausalConv", "Conv", "Conv1d", "ConvTranspose", "ConvWeights"]

Initializer = Callable[..., Any]
Sizes = int | Sequence[int]
Padding = str | Sequence[tuple[int, int]]

_BIAS = RandomNormalInitializer(1e-6)


class ConvWeights(NamedTuple):
    """The weights of a convolution with bias; a plain tuple works in its place."""

    kernel: Any
    bias: Any


@lk.example(lk.f32(2, 5, 6, 3), filters=4, kernel_size=(2, 3))
class Conv(lk.Layer):
    """y[i, f] = b[f] + sum over t, c of x[i s + t d, c] W[t, c, f].    x: (..., l_1, l_2, c)    y: (..., m_1, m_2, f)

    W: (k_1, k_2, c, f)    b: (f,)    It is correlation, as everywhere in the field: the kernel is not turned round.
    Whole numbers and booleans are taken as float32.

    Args:
        filters: f, the number of output features.
        kernel_size: (k_1, k_2); as many numbers as x has axes to go along.
        strides: s, one for all axes or one each; 1 unless given.
        padding: ``"VALID"`` takes places where all of the kernel lies within x; ``"SAME"`` puts zeros around x, so that
            m = ceil(l / s); ``"CAUSAL"``, along one axis, puts all zeros before it, so that no output looks ahead; or
            a pair (before, after) for each axis.
        dimension_numbers: the axes of x, W and y, in letters: N the examples, C, I and O the features, others the axes
            to go along. The default is ``("NHWC", "HWIO", "NHWC")``, and its like for other numbers of axes.
        kernel_initializer: function of (shape, rng) that makes W; Glorot's unless given.
        bias_initializer: the same for b.
        use_bias: without it there is no b, and the weights are W itself.
        dilation: d, how far apart the places are that the kernel takes.
        groups: into how many groups the features are cut, each with its share of the filters; W has c / groups.

    Raises:
        LayerError: an argument is out of range, or x is narrower than the kernel, or has other axes or features.

    >>> from layerkit.fastmath import numpy as np
    >>> conv = Conv(1, (2,), use_bias=False)
    >>> conv([[[1.0], [2.0], [4.0]]], weights=np.array([[[-1.0]], [[1.0]]])).tolist()
    [[[1.0], [2.0]]]
    """

    weight_name = "kernel"

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes | None = None,
        padding: Padding = "VALID",
        dimension_numbers: Sequence[str] | None = None,
        kernel_initializer: Initializer | None = None,
        bias_initializer: Initializer = _BIAS,
        use_bias: bool = True,
        dilation: Sizes = 1,
        groups: int = 1,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        kind = type(self).__name__
        self.filters = arguments.whole_number(kind, "filters", filters)
        self.kernel_size = positive_sizes(kind, "kernel_size", kernel_size)
        self.letters = AxisLetters(kind, dimension_numbers, len(self.kernel_size))
        self.strides = positive_sizes(kind, "strides", 1 if strides is None else strides, len(self.kernel_size))
        self.dilation = positive_sizes(kind, "dilation", dilation, len(self.kernel_size))
        self.padding = checked_padding(kind, padding, len(self.kernel_size))
        self.groups = arguments.whole_number(kind, "groups", groups)
        if self.filters % self.groups:
            raise lk.LayerError(f"{kind}: {self.filters} filters do not divide into {self.groups} groups")
        made = self.letters.glorot() if kernel_initializer is None else kernel_initializer
        self.kernel_initializer = arguments.function(kind, "kernel_initializer", made, "(shape, rng)")
        self.bias_initializer = arguments.function(kind, "bias_initializer", bias_initializer, "(shape, rng)")
        self.use_bias = use_bias

    def init_weights_and_state(self, signature: Any) -> None:
        features = self.letters.features(signature)
        if features % self.groups:
            raise lk.LayerError(f"{features} features do not divide into {self.groups} groups: {signature.shape}")
        shape = self.letters.kernel_shape(self.kernel_size, features // self.groups, self.filters)
        self.weights = kernel_and_bias(self, ConvWeights, shape, (self.filters,))

    def forward(self, x: Any) -> Any:
        kernel, bias = self.weights if self.use_bias else (self.weights, None)
        expected, found = self.letters.kernel_features(kernel) * self.groups, self.letters.features(x)
        if found != expected:
            raise lk.LayerError(f"expected {expected} features, got {tuple(x.shape)}")
        rows, leading = self.letters.rows(as_float(x))
        y = self._convolve(rows, self.letters.plain_kernel(kernel))
        y = in_dtype_of(rows, y if bias is None else y + bias)
        return self.letters.outputs(y, leading)

    def _convolve(self, x: Any, kernel: Any) -> Any:
        """x: (n, lengths..., c)    kernel: (widths..., c / groups, f)    y: (n, lengths..., f)"""
        padding: Any = self.padding
        if padding == "CAUSAL":
            padding = (((self.kernel_size[0] - 1) * self.dilation[0], 0),)
        return fastmath.conv(x, kernel, self.strides, padding, 1, self.dilation, self.groups)


@lk.example(lk.f32(2, 6, 3), filters=4, kernel_size=3)
def Conv1d(
    filters: int,
    kernel_size: int,
    stride: int = 1,
    padding: Padding = "VALID",
    kernel_initializer: Initializer | None = None,
    bias_initializer: Initializer = _BIAS,
    use_bias: bool = True,
    dilation: int = 1,
    groups: int = 1,
) -> lk.Layer:
    """y[i, f] = b[f] + sum over t, c of x[i s + t d, c] W[t, c, f].    x: (..., l, c)    y: (..., m, f)    W: (k, c, f)

    ``Conv`` along one axis; see there for the arguments.

    >>> Conv1d(8, 3, padding="SAME").output_signature(lk.f32(2, 10, 4)).shape
    (2, 10, 8)
    """
    size = (arguments.whole_number("Conv1d", "kernel_size", kernel_size),)
    step = arguments.whole_number("Conv1d", "stride", stride)
    given = (None, kernel_initializer, bias_initializer, use_bias, dilation, groups)
    return Conv(filters, size, step, padding, *given, name="Conv1d")


@lk.example(lk.f32(2, 6, 3), filters=4)
class CausalConv(Conv):
    """y[i, f] = b[f] + sum over t, c of x[i - k + 1 + t, c] W[t, c, f], x = 0 before its start: no look ahead.

    x: (..., l, c)    y: (..., l, f)    W: (k, c, f)    b: (f,)    In predict mode a call brings the positions that
    follow those of the call before; the last that the kernel still sees are kept, for the batch at init.

    Args:
        filters: f, the number of output features.
        kernel_width: k.
        kernel_initializer: function of (shape, rng) that makes W; Glorot's unless given.
        bias_initializer: the same for b.
        use_bias: without it there is no b, and the weights are W itself.
        dilation: how far apart the places are that the kernel takes.
        mode: ``"predict"``, see there.

    Raises:
        LayerError: an argument is out of range; x has other features, or in predict mode another batch, than at init.

    >>> from layerkit.fastmath import numpy as np
    >>> conv = CausalConv(1, 2, use_bias=False)
    >>> conv([[[1.0], [2.0], [4.0]]], weights=np.array([[[-1.0]], [[1.0]]])).tolist()
    [[[1.0], [1.0], [2.0]]]
    """

    def __init__(
        self,
        filters: int,
        kernel_width: int = 3,
        kernel_initializer: Initializer | None = None,
        bias_initializer: Initializer = _BIAS,
        use_bias: bool = True,
        dilation: int = 1,
        mode: str | None = None,
    ) -> None:
        width = (arguments.whole_number("CausalConv", "kernel_width", kernel_width),)
        super().__init__(filters, width, 1, "CAUSAL", None, kernel_initializer, bias_initializer, use_bias, dilation)
        if mode is not None:
            self.mode = arguments.one_of("CausalConv", "mode", mode, ("train", "eval", "predict"))

    def init_weights_and_state(self, signature: Any) -> None:
        super().init_weights_and_state(signature)
        if self.mode == "predict":
            kept = math.prod(signature.shape[:-2]), (self.kernel_size[0] - 1) * self.dilation[0], signature.shape[-1]
            self.state = np.zeros(kept, float_dtype(signature.dtype))

    def _convolve(self, x: Any, kernel: Any) -> Any:
        if self.mode != "predict":
            return super()._convolve(x, kernel)
        require_batch(self.state, x)
        seen = np.concatenate([self.state, x], axis=1)
        self.state = seen[:, x.shape[1] :]
        return fastmath.conv(seen, kernel, self.strides, ((0, 0),), 1, self.dilation, self.groups)


@lk.example(lk.f32(2, 5, 4, 3), filters=4, kernel_size=(3, 2), strides=(2, 2))
class ConvTranspose(Conv):
    """The numbers of x moved s apart, with zeros between, and a convolution over that: a longer output than input.

    x: (..., l_1, l_2, c)    W: (k_1, k_2, c, f)    b: (f,)    y: (..., m_1, m_2, f), with m = s l for ``"SAME"``, and
    m = s l + max(k - s, 0) for ``"VALID"``.

    Args:
        filters: f, the number of output features.
        kernel_size: (k_1, k_2); as many numbers as x has axes to go along.
        strides: s, one for all axes or one each; 1 unless given.
        padding: ``"VALID"`` or ``"SAME"``.
        rhs_dilation: how far apart the places are that the kernel takes.
        dimension_numbers: the axes of x, W and y, in letters, as in ``Conv``.
        kernel_initializer: function of (shape, rng) that makes W; Glorot's unless given.
        bias_initializer: the same for b.
        use_bias: without it there is no b, and the weights are W itself.

    >>> from layerkit.fastmath import numpy as np
    >>> layer = ConvTranspose(1, (2,), strides=2, use_bias=False)
    >>> layer([[[1.0], [5.0]]], weights=np.array([[[1.0]], [[2.0]]])).tolist()
    [[[2.0], [1.0], [10.0], [5.0]]]
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes | None = None,
        padding: str = "VALID",
        rhs_dilation: Sizes | None = None,
        dimension_numbers: Sequence[str] | None = None,
        kernel_initializer: Initializer | None = None,
        bias_initializer: Initializer = _BIAS,
        use_bias: bool = True,
    ) -> None:
        arguments.one_of("ConvTranspose", "padding", padding, ("VALID", "SAME"))
        given = (dimension_numbers, kernel_initializer, bias_initializer, use_bias)
        super().__init__(filters, kernel_size, strides, padding, *given, 1 if rhs_dilation is None else rhs_dilation)

    def _convolve(self, x: Any, kernel: Any) -> Any:
        for axis in range(1, len(x.shape) - 1):
            require_some(x, axis, "the transposed convolution")
        spans = [(size - 1) * step + 1 for size, step in zip(self.kernel_size, self.dilation, strict=True)]
        pairs = [_around(span, step, self.padding == "SAME") for span, step in zip(spans, self.strides, strict=True)]
        return fastmath.conv(x, kernel, 1, pairs, self.strides, self.dilation)


def _around(span: int, stride: int, same: bool) -> tuple[int, int]:
    """The zeros before and after (l - 1) s + 1 numbers, for an output of s l, or of s l + max(k - s, 0)."""
    total = span + stride - 2 + (0 if same else max(span - stride, 0))
    before = -(-total // 2) if same and stride < span else span - 1
    return before, total - before
