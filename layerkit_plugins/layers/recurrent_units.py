"""The mathematics of recurrent units: the gates of LSTM and GRU."""

from __future__ import annotations

from typing import Any, NamedTuple

from layerkit import arguments, fastmath
from layerkit.fastmath import numpy as np
from layerkit.fastmath import random
from layerkit_plugins.layers.inputs import first_weights

__all__ = ["GRUUnit", "GRUWeights", "LSTMUnit", "LSTMWeights", "Unit"]


class LSTMWeights(NamedTuple):
    """The weights of an LSTM; a plain tuple works in its place."""

    kernel: Any
    bias: Any


class GRUWeights(NamedTuple):
    """The weights of a GRU; a plain tuple works in its place."""

    gates_kernel: Any
    gates_bias: Any
    candidate_kernel: Any
    candidate_bias: Any


class Unit:
    """The mathematics of a recurrent unit: what its input contributes, and what a step makes of that and the state."""

    n_states = 1

    def __init__(self, layer: str, n_units: Any, forget_bias: Any, kernel: Any, bias: Any) -> None:
        self.n = arguments.whole_number(layer, "n_units", n_units)
        self.forget_bias = arguments.number(layer, "forget_bias", forget_bias)
        self.kernel = arguments.function(layer, "kernel_initializer", kernel, "(shape, rng)")
        self.bias = arguments.function(layer, "bias_initializer", bias, "(shape, rng)")

    def affine(self, d: int, n: int, keys: tuple[Any, Any], forget: slice) -> tuple[Any, Any]:
        """A kernel for input and state, and a bias that keeps what was, from the start."""
        kernel = first_weights("kernel_initializer", self.kernel, (d + self.n, n), keys[0])
        bias = first_weights("bias_initializer", self.bias, (n,), keys[1])
        keeps = [float(forget.start <= i < forget.stop) * self.forget_bias for i in range(n)]
        return kernel, bias + np.array(keeps, bias.dtype)

    def first_weights(self, d: int, rng: Any) -> Any:
        """New weights for inputs of d features."""
        raise NotImplementedError

    def width(self, weights: Any) -> int:
        """The features that an input has."""
        return int(weights[0].shape[0]) - self.n

    def of_input(self, weights: Any, x: Any) -> Any:
        """What inputs (rows, d) add to the products of the state."""
        raise NotImplementedError

    def kernels(self, weights: Any) -> tuple[Any, ...]:
        """What the state is multiplied with."""
        raise NotImplementedError

    def step(self, x: Any, carry: Any, products: Any) -> Any:
        """The next carry; see ``recur``."""
        raise NotImplementedError


class LSTMUnit(Unit):
    """Gates i, f and o, new numbers j, a carry (c, h); the formula is that of ``LSTMCell``."""

    n_states = 2

    def first_weights(self, d: int, rng: Any) -> Any:
        return LSTMWeights(*self.affine(d, 4 * self.n, tuple(random.split(rng)), slice(2 * self.n, 3 * self.n)))

    def of_input(self, weights: Any, x: Any) -> Any:
        kernel, bias = weights
        return np.matmul(x, kernel[: -self.n]) + bias

    def kernels(self, weights: Any) -> tuple[Any, ...]:
        return (weights[0][-self.n :],)

    def step(self, x: Any, carry: Any, products: Any) -> Any:
        c, h = carry
        i, j, f, o = np.split(x + products[0](h), 4, axis=-1)
        c = fastmath.sigmoid(f) * c + fastmath.sigmoid(i) * np.tanh(j)
        return c, fastmath.sigmoid(o) * np.tanh(c)


class GRUUnit(Unit):
    """Gates r and u, a carry (h,); the formula is that of ``GRUCell``."""

    def first_weights(self, d: int, rng: Any) -> Any:
        keys = tuple(random.split(rng, 4))
        gates = self.affine(d, 2 * self.n, keys[:2], slice(self.n, 2 * self.n))
        return GRUWeights(*gates, *self.affine(d, self.n, keys[2:], slice(0, 0)))

    def of_input(self, weights: Any, x: Any) -> Any:
        gates, gates_bias, candidate, candidate_bias = weights
        kernel = np.concatenate([gates[: -self.n], candidate[: -self.n]], axis=-1)
        return np.matmul(x, kernel) + np.concatenate([gates_bias, candidate_bias])

    def kernels(self, weights: Any) -> tuple[Any, ...]:
        return weights[0][-self.n :], weights[2][-self.n :]

    def step(self, x: Any, carry: Any, products: Any) -> Any:
        (h,) = carry
        r, u = np.split(fastmath.sigmoid(x[:, : 2 * self.n] + products[0](h)), 2, axis=-1)
        candidate = np.tanh(x[:, 2 * self.n :] + products[1](r * h))
        return (u * h + (1 - u) * candidate,)
