"""The bundled optimizers, one family a file."""

from __future__ import annotations

from collections.abc import Sequence

import layerkit as lk
from layerkit_plugins.optimizers.adafactor import Adafactor
from layerkit_plugins.optimizers.adagrad import Adagrad
from layerkit_plugins.optimizers.adam import Adam, AdamW
from layerkit_plugins.optimizers.momentum import Momentum
from layerkit_plugins.optimizers.rms_prop import RMSProp
from layerkit_plugins.optimizers.sgd import SGD
from layerkit_plugins.optimizers.sm3 import SM3

__all__ = ["layerkit_optimizers"]


@lk.hookimpl
def layerkit_optimizers() -> Sequence[type[lk.Optimizer]]:
    """Every optimizer of this package."""
    return [SGD, Momentum, RMSProp, Adagrad, Adam, AdamW, Adafactor, SM3]
