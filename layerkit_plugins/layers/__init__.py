"""The bundled layers, one family a file; each file lists its own in ``LAYERS``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from layerkit.plugins import hookimpl
from layerkit_plugins.layers import (
    activations,
    dense,
    dropout,
    elementwise,
    embedding,
    losses,
    masking,
    metrics,
    normalization,
    reductions,
    softmax,
    sources,
)

__all__ = ["layerkit_layers"]


@hookimpl
def layerkit_layers() -> Sequence[Callable[..., Any]]:
    """The constructors of every family."""
    return [
        *activations.LAYERS,
        *dense.LAYERS,
        *dropout.LAYERS,
        *elementwise.LAYERS,
        *embedding.LAYERS,
        *losses.LAYERS,
        *masking.LAYERS,
        *metrics.LAYERS,
        *normalization.LAYERS,
        *reductions.LAYERS,
        *softmax.LAYERS,
        *sources.LAYERS,
    ]
