"""Which losses and metrics there are, batches to try them on, and rows that make no sense."""

from __future__ import annotations

from typing import Any

import numpy as onp

import layerkit as lk
from layerkit import fastmath
from layerkit import layers as tl
from layerkit.fastmath import numpy as np

__all__ = [
    "ACCURACIES",
    "BACKENDS",
    "BINARY_LOSSES",
    "CATEGORY_LOSSES",
    "DIFFERENTIABLE",
    "F_SCORES",
    "LOG",
    "NUMBER_LOSSES",
    "SEQUENCES",
    "SUMS",
    "WEIGHTED",
    "batch",
    "garbage",
    "gradient",
    "host",
    "make",
    "of",
]

BACKENDS = ["numpy", "jax"]

CATEGORY_LOSSES = [
    "CrossEntropyLoss",
    "CrossEntropyLossWithLogSoftmax",
    "WeightedCategoryCrossEntropy",
    "CrossEntropySum",
]
BINARY_LOSSES = ["BinaryCrossEntropyLoss", "BinaryCrossEntropySum"]
NUMBER_LOSSES = ["L2Loss", "SmoothL1Loss"]
ACCURACIES = ["Accuracy", "WeightedCategoryAccuracy"]
SEQUENCES = ["SequenceAccuracy", "MaskedSequenceAccuracy"]
F_SCORES = ["MacroAveragedFScore", "WeightedFScore"]
SUMS = ["CrossEntropySum", "BinaryCrossEntropySum"]
WEIGHTED = [*CATEGORY_LOSSES, *BINARY_LOSSES, *NUMBER_LOSSES, *ACCURACIES, *SEQUENCES, *F_SCORES]
DIFFERENTIABLE = [*CATEGORY_LOSSES, *BINARY_LOSSES, *NUMBER_LOSSES]

LOG = onp.log(onp.array([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125], [0.1, 0.1, 0.8]], "float32"))
"""Log-probabilities of three classes."""


def make(name: str) -> lk.Layer:
    """A layer that takes weights."""
    layer: lk.Layer = getattr(tl, name)(weighted=True) if name in F_SCORES else getattr(tl, name)()
    return layer


def host(x: Any) -> Any:
    return onp.asarray(fastmath.to_host(x))


def of(layer: lk.Layer, *inputs: Any) -> float:
    y = host(layer(tuple(onp.asarray(x) for x in inputs)))
    assert y.shape == ()
    assert y.dtype == "float32"
    return float(y)


def gradient(layer: lk.Layer, predictions: Any, *rest: Any) -> Any:
    return host(fastmath.grad(lambda p: layer((p, *rest)))(np.array(predictions)))


def batch(name: str, n: int = 5, seed: int = 0) -> tuple[Any, Any, Any]:
    """(predictions, targets, weights) of n rows, fit for the layer."""
    generator = onp.random.default_rng(seed)
    rows = (n, 4) if name in SEQUENCES else (n,)
    weights = generator.integers(1, 4, rows).astype("float32")
    if name in BINARY_LOSSES:
        return generator.uniform(0.1, 0.9, rows).astype("float32"), generator.integers(0, 2, rows), weights
    if name in NUMBER_LOSSES:
        return *(2 * generator.normal(size=(2, *rows)).astype("float32")), weights
    scores = generator.normal(size=(*rows, 3)).astype("float32")
    targets = onp.where(generator.random(rows) < 0.8, scores.argmax(-1), generator.integers(0, 3, rows))
    return scores, targets, weights


def garbage(name: str, predictions: Any, targets: Any) -> tuple[Any, Any]:
    """Rows that make no sense: NaN for predictions, and targets that are none."""
    bad = onp.full_like(predictions, onp.nan)
    return bad, onp.full_like(targets, -1) if targets.dtype.kind == "i" else onp.full_like(targets, onp.inf)
