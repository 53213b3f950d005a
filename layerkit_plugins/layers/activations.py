"""Activations: weightless functions of each number by itself (and Glu, which halves the last axis)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import layerkit as lk
from layerkit import arguments, fastmath
from layerkit.fastmath import numpy as np
from layerkit_plugins.layers.inputs import as_float, float_dtype, in_dtype_of, require_rank

__all__ = [
    "Elu",
    "Exp",
    "FastGelu",
    "Gelu",
    "Glu",
    "HardSigmoid",
    "HardTanh",
    "LeakyRelu",
    "Log",
    "ParametricRelu",
    "Relu",
    "Selu",
    "Sigmoid",
    "Softplus",
    "Swish",
    "Tanh",
    "ThresholdedLinearUnit",
    "relu",
]


def _activation(name: str, f: Callable[[Any], Any]) -> lk.Layer:
    def run(x: Any) -> Any:
        x = as_float(x)
        return in_dtype_of(x, f(x))

    return lk.Fn(name, run)


def relu(x: Any) -> Any:
    """max(x, 0), whose slope at 0 is 0, and in which NaN stays."""
    return np.where(x <= 0, 0, x)


@lk.example(lk.f32(4, 8))
def Relu() -> lk.Layer:
    """y = max(x, 0), with gradient 0 at 0.    x, y: (...)

    >>> Relu()([-2.0, 0.0, 3.0]).tolist()
    [0.0, 0.0, 3.0]
    """
    return _activation("Relu", relu)


@lk.example(lk.f32(4, 8))
def ParametricRelu(a: float = 1.0) -> lk.Layer:
    """y = max(a x, 0): a rectifier of fixed slope.    x, y: (...)

    Not what others call parametric (PReLU, a trained slope for negative x); the name is Trax's.
    ``LeakyRelu`` has a slope for negative x.

    Args:
        a: the slope, a number.

    >>> ParametricRelu(2.0)([-2.0, 3.0]).tolist()
    [0.0, 6.0]
    """
    slope = arguments.number("ParametricRelu", "a", a)
    return _activation("ParametricRelu", lambda x: np.where(slope * x <= 0, 0, slope * x))


@lk.example(lk.f32(4, 8))
def LeakyRelu(a: float = 0.01) -> lk.Layer:
    """y = x for x >= 0, else a x.    x, y: (...)

    Maas, Hannun and Ng, "Rectifier nonlinearities improve neural network acoustic models", ICML 2013.

    Args:
        a: the slope for negative x, a number.

    >>> LeakyRelu(0.5)([-2.0, 3.0]).tolist()
    [-1.0, 3.0]
    """
    slope = arguments.number("LeakyRelu", "a", a)
    return _activation("LeakyRelu", lambda x: np.where(x >= 0, x, slope * x))


@lk.example(lk.f32(4, 8))
def Elu(a: float = 1.0) -> lk.Layer:
    """y = x for x > 0, else a (exp(x) - 1).    x, y: (...)

    Clevert, Unterthiner and Hochreiter, "Fast and accurate deep network learning by exponential linear units", ICLR
    2016, arXiv 1511.07289.

    Args:
        a: minus the limit at minus infinity, a number.

    >>> [round(y, 4) for y in Elu()([-1.0, 3.0]).tolist()]
    [-0.6321, 3.0]
    """
    scale = arguments.number("Elu", "a", a)
    return _activation("Elu", lambda x: _elu(x, scale))


def _elu(x: Any, a: float) -> Any:
    # expm1 of what it is not used for would overflow, and make the gradient NaN.
    return np.where(x > 0, x, a * np.expm1(np.where(x > 0, 0, x)))


@lk.example(lk.f32(4, 8))
def Selu(alpha: float = 1.6732632423543772, lmbda: float = 1.0507009873554805) -> lk.Layer:
    """y = lmbda x for x > 0, else lmbda alpha (exp(x) - 1).    x, y: (...)

    With these constants activations keep mean 0 and variance 1 from layer to layer: Klambauer, Unterthiner, Mayr and
    Hochreiter, "Self-normalizing neural networks", NeurIPS 2017, arXiv 1706.02515.

    Args:
        alpha, lmbda: numbers.

    >>> [round(y, 4) for y in Selu()([-1.0, 1.0]).tolist()]
    [-1.1113, 1.0507]
    """
    a, scale = arguments.number("Selu", "alpha", alpha), arguments.number("Selu", "lmbda", lmbda)
    return _activation("Selu", lambda x: scale * _elu(x, a))


@lk.example(lk.f32(4, 8))
def Gelu() -> lk.Layer:
    """y = x P(Z <= x), Z standard normal: x (1 + erf(x / sqrt(2))) / 2.    x, y: (...)

    Hendrycks and Gimpel, "Gaussian error linear units", arXiv 1606.08415.

    >>> round(float(Gelu()(1.0)), 4)
    0.8413
    """
    return _activation("Gelu", lambda x: 0.5 * x * (1 + fastmath.erf(x / math.sqrt(2))))


@lk.example(lk.f32(4, 8))
def FastGelu() -> lk.Layer:
    """y = x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, within 0.0005 of ``Gelu``.    x, y: (...)

    Hendrycks and Gimpel, "Gaussian error linear units", arXiv 1606.08415, section 2.

    >>> round(float(FastGelu()(1.0)), 4)
    0.8412
    """
    slope = math.sqrt(2 / math.pi)
    return _activation("FastGelu", lambda x: 0.5 * x * (1 + np.tanh(slope * x * (1 + 0.044715 * x * x))))


@lk.example(lk.f32(4, 8))
def Sigmoid() -> lk.Layer:
    """y = 1 / (1 + exp(-x)).    x, y: (...)

    >>> float(Sigmoid()(0.0))
    0.5
    """
    return _activation("Sigmoid", fastmath.sigmoid)


@lk.example(lk.f32(4, 8))
def Tanh() -> lk.Layer:
    """y = tanh(x).    x, y: (...)

    >>> float(Tanh()(0.0))
    0.0
    """
    return _activation("Tanh", np.tanh)


@lk.example(lk.f32(4, 8))
def HardSigmoid() -> lk.Layer:
    """y = max(0, min(1, 1 + x)).    x, y: (...)

    >>> HardSigmoid()([-2.0, -0.5, 3.0]).tolist()
    [0.0, 0.5, 1.0]
    """
    return _activation("HardSigmoid", lambda x: np.clip(1 + x, 0, 1))


@lk.example(lk.f32(4, 8))
def HardTanh() -> lk.Layer:
    """y = max(-1, min(1, x)).    x, y: (...)

    >>> HardTanh()([-2.0, 0.5, 3.0]).tolist()
    [-1.0, 0.5, 1.0]
    """
    return _activation("HardTanh", lambda x: np.clip(x, -1, 1))


@lk.example(lk.f32(4, 8))
def Softplus() -> lk.Layer:
    """y = log(1 + exp(x)), without overflow.    x, y: (...)

    >>> round(float(Softplus()(0.0)), 4), float(Softplus()(1000.0))
    (0.6931, 1000.0)
    """
    return _activation("Softplus", lambda x: np.logaddexp(x, 0))


@lk.example(lk.f32(4, 8))
def Exp() -> lk.Layer:
    """y = exp(x).    x, y: (...)

    >>> float(Exp()(0.0))
    1.0
    """
    return _activation("Exp", np.exp)


@lk.example(lk.f32(4, 8))
def Log() -> lk.Layer:
    """y = log(x); minus infinity at 0, NaN below.    x, y: (...)

    >>> float(Log()(1.0))
    0.0
    """
    return _activation("Log", np.log)


@lk.example(lk.f32(4, 8))
def Swish() -> lk.Layer:
    """y = x / (1 + exp(-x)).    x, y: (...)

    Ramachandran, Zoph and Le, "Searching for activation functions", arXiv 1710.05941.

    >>> round(float(Swish()(1.0)), 4)
    0.7311
    """
    return _activation("Swish", lambda x: x * fastmath.sigmoid(x))


@lk.example(lk.f32(4, 8))
def Glu() -> lk.Layer:
    """y = a / (1 + exp(-b)), a and b the halves of x.    x: (..., 2d)    y: (..., d)

    Dauphin, Fan, Auli and Grangier, "Language modeling with gated convolutional networks", ICML 2017, arXiv 1612.08083.

    Raises:
        LayerError: the last axis of x has an odd size.

    >>> Glu()([[6.0, 0.0]]).tolist()
    [[3.0]]
    """

    def glu(x: Any) -> Any:
        require_rank(x, 1)
        if x.shape[-1] % 2:
            raise lk.LayerError(f"halves the last axis, which has an odd size: got {tuple(x.shape)}")
        half = x.shape[-1] // 2
        return x[..., :half] * fastmath.sigmoid(x[..., half:])

    return _activation("Glu", glu)


@lk.example(lk.f32(4, 8))
class ThresholdedLinearUnit(lk.Layer):
    """y = max(x, t), a trainable t per feature, 0 at first.    x, y: (..., d)    t: (d,)

    Singh and Krishnan, "Filter response normalization layer", arXiv 1911.09737.

    >>> unit = ThresholdedLinearUnit()
    >>> unit([[1.0, -3.0]], weights=np.array([2.0, -1.0])).tolist()
    [[2.0, -1.0]]
    """

    weight_name = "threshold"

    def init_weights_and_state(self, signature: Any) -> None:
        require_rank(signature, 1)
        self.weights = np.zeros(signature.shape[-1], float_dtype(signature.dtype))

    def forward(self, x: Any) -> Any:
        require_rank(x, 1)
        threshold = self.weights
        if tuple(threshold.shape) != (x.shape[-1],):
            raise lk.LayerError(f"expected last axis {threshold.shape[-1]}, got {tuple(x.shape)}")
        return np.maximum(as_float(x), threshold)
