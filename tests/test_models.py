"""The bundled models."""

from __future__ import annotations

import numpy as onp
import pytest

import layerkit as lk
from layerkit import layers as tl
from layerkit import models


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_mlp_is_what_it_says(backend: str) -> None:
    with lk.use_backend(backend):
        model = models.MLP((5, 3), out_activation=True)
        weights, _ = model.init(lk.f32(2, 4, 3), rng=lk.fastmath.random.get_prng(0))
        x = onp.random.default_rng(0).normal(size=(2, 4, 3)).astype("float32")
        y = onp.asarray(model(x))
    (w1, b1), (w2, b2) = [tuple(map(onp.asarray, w)) for w in weights if len(w) == 2]
    hidden = onp.maximum(x.reshape(2, 12) @ w1 + b1, 0)
    onp.testing.assert_allclose(y, onp.maximum(hidden @ w2 + b2, 0), atol=1e-5)


def test_mlp_without_flattening_keeps_the_axes() -> None:
    model = models.MLP((5, 3), activation_fn=tl.Tanh, flatten=False)
    model.init(lk.f32(2, 4, 3))
    assert model.output_signature(lk.f32(2, 4, 3)).shape == (2, 4, 3)
    assert repr(model) == "Serial[\n  Dense_5\n  Tanh\n  Dense_3\n]"


@pytest.mark.parametrize(
    ("widths", "said"),
    [((), r"one at least, got \(\)"), ((3, 0), "whole number of at least 1, got 0"), (("a",), "got 'a'")],
)
def test_mlp_refuses_widths_that_are_none(widths: tuple[object, ...], said: str) -> None:
    with pytest.raises(lk.LayerError, match=said):
        models.MLP(widths)
