"""The seed's own small library: its Relu and Dense, as printed there, are layers here, and give its numbers."""

from __future__ import annotations

from typing import Any

import numpy
import pytest
import seed_values

import layerkit as lk
from layerkit import fastmath
from layerkit.fastmath import random
from layerkit.layer import Layer

np = fastmath.numpy


class Relu(Layer):
    """Relu activation function implementation"""

    def forward(self, x: Any) -> Any:
        x[x <= 0] = 0
        return x


class ReluOfMaximum(Layer):
    """The same, as the seed's hint says: it runs on arrays that cannot be written into as well."""

    def forward(self, x: Any) -> Any:
        return np.maximum(x, 0)


class Dense(Layer):
    """
    A dense (fully-connected) layer.
    """

    def __init__(self, n_units: int, init_stdev: float = 0.1) -> None:
        # Set the number of units in this layer
        self._n_units = n_units
        self._init_stdev = init_stdev

    def forward(self, x: Any) -> Any:
        dense = np.dot(x, self.weights)
        return dense  # noqa: RET504 (as it stands in the seed)

    def init_weights_and_state(self, input_signature: Any, random_key: Any) -> Any:
        input_shape = input_signature.shape
        shape = (input_shape[-1], self._n_units)
        w = fastmath.random.normal(random_key, shape)
        w = np.dot(w, self._init_stdev)
        self.weights = w
        return self.weights


X = [[-2.0, -1.0, 0.0], [0.0, 1.0, 2.0]]
RECTIFIED = [[0.0, 0.0, 0.0], [0.0, 1.0, 2.0]]


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_relu(backend: str) -> None:
    with lk.use_backend(backend):
        assert ReluOfMaximum()(np.array(X, dtype=float)).tolist() == RECTIFIED


@pytest.mark.parametrize("dtype", [float, numpy.float32])
def test_relu_that_writes_into_its_input(dtype: Any) -> None:
    with lk.use_backend("numpy"):
        assert Relu()(np.array(X, dtype=dtype)).tolist() == RECTIFIED


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_dense(backend: str) -> None:
    expected = seed_values.expected()["dense"]
    with lk.use_backend(backend):
        dense_layer = Dense(n_units=10)  # sets number of units in dense layer
        random_key = random.get_prng(seed=0)  # sets random seed
        z = np.array([[2.0, 7.0, 25.0]])  # input array
        dense_layer.init(z, random_key)
        for ours, theirs in ((dense_layer.weights, expected["weights"]), (dense_layer(z), expected["output"])):
            numpy.testing.assert_allclose(fastmath.to_host(ours), theirs, rtol=0, atol=expected["tolerance"])


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_they_compose(backend: str) -> None:
    model = lk.Serial(Dense(4), ReluOfMaximum(), Dense(2))
    with lk.use_backend(backend):
        weights, state = model.init(lk.f32(5, 3), random.get_prng(0))
        assert model(np.ones((5, 3))).shape == (5, 2)
        gradient = fastmath.grad(lambda w: model.pure_fn(np.ones((5, 3)), w, state)[0].sum())(weights)
        assert [tuple(leaf.shape) for leaf in fastmath.tree_leaves(gradient)] == [(3, 4), (4, 2)]
        assert repr(model) == "Serial[\n  Dense\n  ReluOfMaximum\n  Dense\n]"
