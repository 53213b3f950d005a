"""The bundled optimizers, one family a file, imported once one of its optimizers is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from layerkit.plugins import deferred, hookimpl

__all__ = ["layerkit_optimizers"]

_FAMILIES = {
    "adafactor": "Adafactor",
    "adagrad": "Adagrad",
    "adam": "Adam AdamW",
    "momentum": "Momentum",
    "rms_prop": "RMSProp",
    "sgd": "SGD",
    "sm3": "SM3",
}


@hookimpl
def layerkit_optimizers() -> Sequence[Callable[..., Any]]:
    """Every optimizer of this package."""
    families = _FAMILIES.items()
    return [optimizer for family, names in families for optimizer in deferred(f"{__name__}.{family}", *names.split())]
