"""Normalization: numbers brought to mean 0 and variance 1, over the features of one example or over a batch."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import layerkit as lk
from layerkit import arguments, fastmath
from layerkit.fastmath import numpy as np
from layerkit_plugins.layers.inputs import (
    as_float,
    axes_of,
    float_dtype,
    full_float,
    in_dtype_of,
    require_last,
    require_rank,
    require_some,
)

__all__ = [
    "BatchNorm",
    "BatchNormState",
    "BatchNormWeights",
    "FilterResponseNorm",
    "FilterResponseNormWeights",
    "LayerNorm",
    "LayerNormWeights",
    "RMSNorm",
]


class LayerNormWeights(NamedTuple):
    """The weights of a LayerNorm with center; a plain tuple works in its place."""

    scale: Any
    bias: Any


@lk.example(lk.f32(4, 8))
class LayerNorm(lk.Layer):
    """y = (x - mean) / sqrt(var + epsilon) * scale + bias, over the last axis.    x, y: (..., d)    scale, bias: (d,)

    Ba, Kiros and Hinton, "Layer normalization", arXiv 1607.06450.

    Args:
        center: without it, y = x / sqrt(mean(x^2) + epsilon) * scale, and the weights are the scale itself.
        epsilon: keeps a row of equal numbers finite, a number above 0.

    Raises:
        LayerError: ``epsilon`` is out of range; the last axis of x is not the one it was initialized for.

    >>> norm = LayerNorm()
    >>> [round(y, 4) for y in norm([1.0, 2.0, 3.0], weights=(np.ones(3), np.zeros(3))).tolist()]
    [-1.2247, 0.0, 1.2247]
    """

    weight_name = "scale"

    def __init__(self, center: bool = True, epsilon: float = 1e-6, name: str | None = None) -> None:
        super().__init__(name=name)
        self.center = center
        self.epsilon = arguments.number("LayerNorm", "epsilon", epsilon, above=0)

    def init_weights_and_state(self, signature: Any) -> None:
        require_rank(signature, 1)
        d, dtype = signature.shape[-1], float_dtype(signature.dtype)
        scale = np.ones(d, dtype)
        self.weights = LayerNormWeights(scale, np.zeros(d, dtype)) if self.center else scale

    def forward(self, x: Any) -> Any:
        scale, bias = self.weights if self.center else (self.weights, None)
        require_last(x, scale.shape[0])
        x = as_float(x)
        wide = full_float(x)
        if self.center:
            wide = wide - np.mean(wide, axis=-1, keepdims=True)
        y = wide / np.sqrt(np.mean(wide * wide, axis=-1, keepdims=True) + self.epsilon) * scale
        return in_dtype_of(x, y if bias is None else y + bias)


@lk.example(lk.f32(4, 8))
def RMSNorm(epsilon: float = 1e-6) -> lk.Layer:
    """y = x / sqrt(mean(x^2) + epsilon) * scale, over the last axis.    x, y: (..., d)    scale: (d,)

    ``LayerNorm(center=False)`` under the name it is known by.

    Zhang and Sennrich, "Root mean square layer normalization", NeurIPS 2019, arXiv 1910.07467.

    Args:
        epsilon: keeps a row of zeros finite, a number above 0.

    Raises:
        LayerError: ``epsilon`` is out of range; the last axis of x is not the one it was initialized for.

    >>> [round(y, 4) for y in RMSNorm()([1.0, 7.0], weights=np.ones(2)).tolist()]
    [0.2, 1.4]
    """
    return LayerNorm(center=False, epsilon=arguments.number("RMSNorm", "epsilon", epsilon, above=0), name="RMSNorm")


class BatchNormWeights(NamedTuple):
    """The weights of a BatchNorm, ``()`` where there are none; a plain tuple works in its place."""

    beta: Any
    gamma: Any


class BatchNormState(NamedTuple):
    """What a BatchNorm keeps between calls."""

    running_mean: Any
    running_var: Any
    n_batches: Any


@lk.example(lk.f32(2, 3, 4, 5), rows_independent=False)
class BatchNorm(lk.Layer):
    """y = (x - mean) / sqrt(var + epsilon) * gamma + beta, over the batch and other axes.    x, y: (batch, ..., d)

    A training call takes mean and variance from its batch, and moves the running ones towards them:
    running = momentum running + (1 - momentum) batch. Evaluation takes the running ones, which start at 0 and 1. An
    empty batch leaves them as they are. The variance divides by the number of values.

    Ioffe and Szegedy, "Batch normalization", ICML 2015, arXiv 1502.03167.

    Args:
        axis: the axes that are averaged over, 0 for inputs (batch, d); weights and statistics have the sizes of the
            others.
        epsilon: keeps equal numbers finite, a number above 0.
        center: whether there is a beta.
        scale: whether there is a gamma.
        momentum: the share of the old running statistics, in [0, 1].
        mode: ``"train"`` or ``"eval"`` fixes what a call says otherwise.

    Raises:
        LayerError: an argument is out of range; x has no such axis, or other sizes than it was initialized for.

    >>> norm = BatchNorm(axis=0)
    >>> weights, state = norm.init(lk.f32(2, 1))
    >>> [round(y, 4) for (y,) in norm([[1.0], [3.0]], training=True).tolist()]
    [-1.0, 1.0]
    >>> round(float(norm.state.running_mean[0]), 4)
    0.002
    """

    def __init__(
        self,
        axis: int | tuple[int, ...] = (0, 1, 2),
        epsilon: float = 1e-5,
        center: bool = True,
        scale: bool = True,
        momentum: float = 0.999,
        mode: str | None = None,
    ) -> None:
        super().__init__(mode=mode)
        self.axis = arguments.axes("BatchNorm", "axis", axis)
        self.epsilon = arguments.number("BatchNorm", "epsilon", epsilon, above=0)
        self.center = center
        self.scale = scale
        self.momentum = arguments.number("BatchNorm", "momentum", momentum, at_least=0, at_most=1)

    def init_weights_and_state(self, signature: Any) -> None:
        axes, dtype = self._axes(signature), float_dtype(signature.dtype)
        shape = tuple(size for axis, size in enumerate(signature.shape) if axis not in axes)
        beta = np.zeros(shape, dtype) if self.center else ()
        self.weights = BatchNormWeights(beta, np.ones(shape, dtype) if self.scale else ())
        self.state = BatchNormState(np.zeros(shape, dtype), np.ones(shape, dtype), np.zeros((), np.int32))

    def forward(self, x: Any) -> Any:
        axes = self._axes(x)
        x = as_float(x)
        wide = full_float(x)
        broad = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
        self._check_sizes(x, axes)
        mean, var, _ = self.state
        if self.training and math.prod(x.shape[axis] for axis in axes):
            mean = np.mean(wide, axis=axes)
            centered = wide - np.reshape(mean, broad)
            var = np.mean(centered * centered, axis=axes)
            self._move_statistics(fastmath.stop_gradient(mean), fastmath.stop_gradient(var))
        y = (wide - np.reshape(mean, broad)) / np.reshape(np.sqrt(var + self.epsilon), broad)
        beta, gamma = self.weights
        if self.scale:
            y = y * np.reshape(gamma, broad)
        return in_dtype_of(x, y + np.reshape(beta, broad) if self.center else y)

    def _axes(self, x: Any) -> tuple[int, ...]:
        try:
            return axes_of(x, self.axis)
        except lk.LayerError as error:
            raise lk.LayerError(f"axis is {self.axis}, inputs (batch, d) take axis=0: {error}") from None

    def _check_sizes(self, x: Any, axes: tuple[int, ...]) -> None:
        sizes = tuple(size for axis, size in enumerate(x.shape) if axis not in axes)
        expected = tuple(self.state[0].shape)
        if sizes != expected:
            raise lk.LayerError(
                f"expected the sizes {expected} on the other axes than {self.axis}, got {tuple(x.shape)}"
            )

    def _move_statistics(self, mean: Any, var: Any) -> None:
        old_mean, old_var, n_batches = self.state
        old, new = self.momentum, 1 - self.momentum
        self.state = BatchNormState(
            (old * old_mean + new * mean).astype(old_mean.dtype),
            (old * old_var + new * var).astype(old_var.dtype),
            n_batches + 1,
        )


class FilterResponseNormWeights(NamedTuple):
    """The weights of a FilterResponseNorm, epsilon ``()`` where it is not learned; a plain tuple works in its place."""

    gamma: Any
    beta: Any
    epsilon: Any


@lk.example(lk.f32(2, 3, 4, 5))
class FilterResponseNorm(lk.Layer):
    """y = x / sqrt(mean(x^2) + epsilon) * gamma + beta, over the places of each example.    x, y: (batch, ..., d)

    gamma, beta: (d,)    Each feature by itself, over all axes between the first and the last. To be followed by
    ``ThresholdedLinearUnit`` in place of an activation.

    Singh and Krishnan, "Filter response normalization layer", CVPR 2020, arXiv 1911.09737.

    Args:
        mode: accepted; training and evaluation are the same.
        learn_epsilon: whether the size of a trainable number is added to epsilon.
        init_epsilon: epsilon, a number above 0.
        init_learnt_epsilon: where the trainable number starts.

    Raises:
        LayerError: an argument is out of range; x has fewer than 3 axes, no places, or another last axis than it was
            initialized for.

    >>> weights = (np.ones(1), np.zeros(1), ())
    >>> [round(y, 4) for (y,) in FilterResponseNorm()([[[1.0], [7.0]]], weights=weights)[0].tolist()]
    [0.2, 1.4]
    """

    def __init__(
        self,
        mode: str | None = None,
        learn_epsilon: bool = False,
        init_epsilon: float = 1e-6,
        init_learnt_epsilon: float = 1e-4,
    ) -> None:
        super().__init__(mode=mode)
        self.learn_epsilon = learn_epsilon
        self.init_epsilon = arguments.number("FilterResponseNorm", "init_epsilon", init_epsilon, above=0)
        self.init_learnt_epsilon = arguments.number("FilterResponseNorm", "init_learnt_epsilon", init_learnt_epsilon)

    def init_weights_and_state(self, signature: Any) -> None:
        require_rank(signature, 3)
        d, dtype = signature.shape[-1], float_dtype(signature.dtype)
        epsilon = np.full((), self.init_learnt_epsilon, dtype) if self.learn_epsilon else ()
        self.weights = FilterResponseNormWeights(np.ones(d, dtype), np.zeros(d, dtype), epsilon)

    def forward(self, x: Any) -> Any:
        gamma, beta, learned = self.weights
        require_rank(x, 3)
        require_last(x, gamma.shape[0])
        places = tuple(range(1, len(x.shape) - 1))
        require_some(x, places, "the mean")
        x = as_float(x)
        epsilon = self.init_epsilon + (np.abs(learned) if self.learn_epsilon else 0.0)
        wide = full_float(x)
        y = wide / np.sqrt(np.mean(wide * wide, axis=places, keepdims=True) + epsilon)
        return in_dtype_of(x, y * gamma + beta)
