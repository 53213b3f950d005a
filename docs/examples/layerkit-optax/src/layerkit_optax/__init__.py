"""Any optax gradient transformation as a layerkit optimizer."""

from __future__ import annotations

from typing import Any

import layerkit as lk
from layerkit_optax._named import OptaxLion, OptaxRMSProp
from layerkit_optax._optimizer import Optax

__all__ = ["Optax", "OptaxLion", "OptaxRMSProp"]

layerkit_api = 1


# Optax itself is imported from here: layerkit lists what can be made without arguments.
@lk.hookimpl
def layerkit_optimizers() -> list[Any]:
    return [OptaxLion, OptaxRMSProp]
