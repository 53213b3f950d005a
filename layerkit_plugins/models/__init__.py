"""The bundled models: compositions of layers, one family a file; each file lists its own in ``MODELS``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from layerkit.plugins import hookimpl
from layerkit_plugins.models import mlp

__all__ = ["layerkit_models"]


@hookimpl
def layerkit_models() -> Sequence[Callable[..., Any]]:
    """The bundled models."""
    return [*mlp.MODELS]
