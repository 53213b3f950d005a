"""The mathematics of recurrent units: the gates of LSTM and GRU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as onp

from layerkit import arguments, fastmath
from layerkit.fastmath import numpy as np
from layerkit.fastmath import random
from layerkit_plugins.layers.inputs import first_weights

__all__ = ["GRUUnit", "GRUWeights", "LSTMUnit", "LSTMWeights", "Unit"]

Sums = Sequence[Callable[[Any], Any]]


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
    """The mathematics of a recurrent unit: what its input contributes, what a step makes of that, and its gradient."""

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

    def of_input(self, weights: Any, x: Any) -> tuple[Any, ...]:
        """What inputs (rows, d) add to each product of the state."""
        raise NotImplementedError

    def kernels(self, weights: Any) -> tuple[Any, ...]:
        """What the state is multiplied with."""
        raise NotImplementedError

    def step(self, carry: Any, sums: Sums) -> tuple[Any, Any]:
        """The next carry, and what ``factors`` needs of the step; ``sums[i](a)`` is x_i + a @ kernels[i]."""
        raise NotImplementedError

    def factors(self, before: Any, after: Any, noted: Any) -> tuple[Any, Any]:
        """What ``back`` multiplies with: an array like each sum's, and a tuple of others."""
        raise NotImplementedError

    def back(self, slope: Any, of_sums: Any, others: Any, products: Sums) -> tuple[Any, Any]:
        """From the slope of the next carry those of the carry before and of the sums, each in a tuple.

        ``of_sums`` and ``others`` are the factors of the step; ``products[i](s)`` is s @ kernels[i]^T.
        """
        raise NotImplementedError

    def given(self, h: Any, others: Any) -> tuple[Any, ...]:
        """What each sum was given, from the last of the carry before and the other factors; of all steps at once."""
        raise NotImplementedError


class LSTMUnit(Unit):
    """Gates i, f and o, new numbers j, a carry (c, h); the formula is that of ``LSTMCell``."""

    n_states = 2

    def _half(self, dtype: Any) -> Any:
        """1/2 where a gate stands in (i, j, f, o), 1 at j: with sig(z) = 1/2 + tanh(z/2) / 2 one tanh does for all."""
        return np.array(onp.repeat([0.5, 1.0, 0.5, 0.5], self.n), dtype)

    def first_weights(self, d: int, rng: Any) -> Any:
        return LSTMWeights(*self.affine(d, 4 * self.n, tuple(random.split(rng)), slice(2 * self.n, 3 * self.n)))

    def of_input(self, weights: Any, x: Any) -> tuple[Any, ...]:
        kernel, bias = weights
        return (np.matmul(x, kernel[: -self.n]) + bias,)

    def kernels(self, weights: Any) -> tuple[Any, ...]:
        return (weights[0][-self.n :],)

    def step(self, carry: Any, sums: Sums) -> tuple[Any, Any]:
        c, h = carry
        z = sums[0](h)
        half = self._half(z.dtype)
        gates = 1 - half + half * np.tanh(half * z)
        i, j, f, o = np.split(gates, 4, axis=-1)
        c = f * c + i * j
        return (c, o * np.tanh(c)), gates

    def factors(self, before: Any, after: Any, noted: Any) -> tuple[Any, Any]:
        i, j, f, o = np.split(noted, 4, axis=-1)
        half, out = self._half(noted.dtype), np.tanh(after[0])
        of_gates = half * half - (noted - (1 - half)) ** 2
        return (np.concatenate([j, i, before[0], out], axis=-1) * of_gates,), (f, o * (1 - out * out))

    def back(self, slope: Any, of_sums: Any, others: Any, products: Sums) -> tuple[Any, Any]:
        (f, of_c), (c, h) = others, slope
        c = c + h * of_c
        of_sum = np.concatenate([c, c, c, h], axis=-1) * of_sums[0]
        return (c * f, products[0](of_sum)), (of_sum,)

    def given(self, h: Any, others: Any) -> tuple[Any, ...]:
        return (h,)


class GRUUnit(Unit):
    """Gates r and u, a carry (h,); the formula is that of ``GRUCell``."""

    def first_weights(self, d: int, rng: Any) -> Any:
        keys = tuple(random.split(rng, 4))
        gates = self.affine(d, 2 * self.n, keys[:2], slice(self.n, 2 * self.n))
        return GRUWeights(*gates, *self.affine(d, self.n, keys[2:], slice(0, 0)))

    def of_input(self, weights: Any, x: Any) -> tuple[Any, ...]:
        gates, gates_bias, candidate, candidate_bias = weights
        return np.matmul(x, gates[: -self.n]) + gates_bias, np.matmul(x, candidate[: -self.n]) + candidate_bias

    def kernels(self, weights: Any) -> tuple[Any, ...]:
        return weights[0][-self.n :], weights[2][-self.n :]

    def step(self, carry: Any, sums: Sums) -> tuple[Any, Any]:
        (h,) = carry
        gates = fastmath.sigmoid(sums[0](h))
        r, u = np.split(gates, 2, axis=-1)
        new = np.tanh(sums[1](r * h))
        return (u * h + (1 - u) * new,), (gates, new)

    def factors(self, before: Any, after: Any, noted: Any) -> tuple[Any, Any]:
        (h,), (gates, new) = before, noted
        r, u = np.split(gates, 2, axis=-1)
        of_gates = np.concatenate([h, h - new], axis=-1) * gates * (1 - gates)
        return (of_gates, (1 - u) * (1 - new * new)), (r, u)

    def back(self, slope: Any, of_sums: Any, others: Any, products: Sums) -> tuple[Any, Any]:
        (of_gates, of_new), (r, u), (h,) = of_sums, others, slope
        of_new = h * of_new
        reset = products[1](of_new)
        of_gates = np.concatenate([reset, h], axis=-1) * of_gates
        return (h * u + reset * r + products[0](of_gates),), (of_gates, of_new)

    def given(self, h: Any, others: Any) -> tuple[Any, ...]:
        return h, others[0] * h
