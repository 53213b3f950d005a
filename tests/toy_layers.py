"""Small layers that tests build models of, and hypothesis strategies for random trees of them."""

from __future__ import annotations

from typing import Any

import numpy as onp
from hypothesis import strategies as st

import layerkit as lk
from layerkit.fastmath import numpy as np
from layerkit.fastmath import random

BACKENDS = ["numpy", "jax"]
SHAPE = (2, 3)


class Mix(lk.Layer):
    """y_j = tanh(sum_i k_ji x_i + b_j), with k and b drawn from the layer's key."""

    def __init__(self, n_in: int = 1, n_out: int = 1) -> None:
        super().__init__(n_in, n_out, f"Mix_{n_in}_{n_out}")

    def init_weights_and_state(self, signature: Any) -> None:
        one, two = random.split(self.rng)
        self.weights = (random.normal(one, (self.n_out, self.n_in)), random.normal(two, (self.n_out,)))

    def forward(self, x: Any) -> Any:
        kernel, bias = self.weights
        xs = x if isinstance(x, tuple) else (x,)
        ys = [np.tanh(sum(kernel[j, i] * xs[i] for i in range(self.n_in)) + bias[j]) for j in range(self.n_out)]
        if not self.n_in:
            ys = [y + np.zeros(SHAPE) for y in ys]
        return ys[0] if self.n_out == 1 else tuple(ys)


class Noise(lk.Layer):
    """x plus normal noise, in training as in evaluation."""

    def forward(self, x: Any) -> Any:
        return x + random.normal(self.rng, x.shape)


class Count(lk.Layer):
    """x plus the number of calls before this one, which is its state."""

    def init_weights_and_state(self, signature: Any) -> None:
        self.state = np.zeros((), np.float32)

    def forward(self, x: Any) -> Any:
        count = self.state
        self.state = count + 1
        return x + count


class Linear(lk.Layer):
    """x @ kernel: (..., d) -> (..., n_units)."""

    weight_name = "kernel"

    def __init__(self, n_units: int) -> None:
        super().__init__(name=f"Linear_{n_units}")
        self.n_units = n_units

    def init_weights_and_state(self, signature: Any) -> None:
        self.weights = random.normal(self.rng, (signature.shape[-1], self.n_units))

    def forward(self, x: Any) -> Any:
        return np.dot(x, self.weights)


def Relu() -> lk.Layer:
    return lk.Fn("Relu", lambda x: np.maximum(x, 0))


def arrays(n: int, shape: tuple[int, ...] = SHAPE, seed: int = 0) -> tuple[Any, ...]:
    """``n`` different float32 arrays."""
    generator = onp.random.default_rng(seed)
    return tuple(generator.normal(size=shape).astype(onp.float32) for _ in range(n))


def bare(parts: Any) -> Any:
    return parts[0] if len(parts) == 1 else tuple(parts)


def stack(y: Any) -> tuple[Any, ...]:
    return y if isinstance(y, tuple) else (y,)


def assert_same(left: Any, right: Any, tolerance: float = 0.0) -> None:
    """Two trees with the same leaves in the same order."""
    from layerkit.fastmath import to_host, tree_leaves

    ours, theirs = to_host(tree_leaves(left)), to_host(tree_leaves(right))
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        onp.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


# -- strategies -------------------------------------------------------------------------------------------------------


def _select(indices: list[int]) -> lk.Layer:
    return lk.Select(indices, n_in=max(indices, default=0) + 1)


selects = st.lists(st.integers(0, 3), max_size=4).map(_select)
plumbing = selects | st.sampled_from([lk.Add, lk.Dup, lk.Swap, lk.Drop, lk.SubtractTop, lk.Multiply, lk.Gate]).map(
    lambda make: make()
)
mixes = st.builds(Mix, st.integers(0, 3), st.integers(1, 3))
leaves = mixes | plumbing | st.builds(Noise) | st.builds(Count)
deterministic_leaves = mixes | plumbing


def _compose(children: st.SearchStrategy[lk.Layer]) -> st.SearchStrategy[lk.Layer]:
    taking = children.filter(lambda layer: layer.n_in > 0)
    giving = children.filter(lambda layer: layer.n_out > 0)
    one_out = children.filter(lambda layer: layer.n_out == 1)
    return st.one_of(
        st.lists(children, max_size=4).map(lambda layers: lk.Serial(*layers)),
        st.lists(taking, min_size=2, max_size=3).map(lambda layers: lk.Parallel(*layers)),
        st.lists(children, min_size=2, max_size=3).map(lambda layers: lk.Branch(*layers)),
        st.builds(lk.Residual, giving),
        st.builds(lambda layer, shortcut: lk.Residual(layer, shortcut=shortcut), giving, one_out),
    )


def trees(of: st.SearchStrategy[lk.Layer] = leaves) -> st.SearchStrategy[lk.Layer]:
    """Layers of any arity, most of them made of others."""
    return st.recursive(of, _compose, max_leaves=6)


@st.composite
def groupings(draw: Any, layers: list[lk.Layer]) -> list[Any]:
    """The layers, in order, some runs of them wrapped in Serials of their own, at random depth."""
    if len(layers) < 2 or not draw(st.booleans()):
        return list(layers)
    cut = draw(st.integers(0, len(layers)))
    left, right = draw(groupings(layers[:cut])), draw(groupings(layers[cut:]))
    if left and draw(st.booleans()):
        left = [lk.Serial(*left)]
    elif right:  # an empty Serial is no empty run: it is the identity on one array
        right = [lk.Serial(*right)]
    return left + right
