"""The bundled models: compositions of layers, one family a file, imported once one of its models is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from layerkit.plugins import deferred, hookimpl

__all__ = ["layerkit_models"]


@hookimpl
def layerkit_models() -> Sequence[Callable[..., Any]]:
    """The bundled models."""
    return [*deferred(f"{__name__}.mlp", "MLP")]
