# Written by `python -m layerkit.plugins.stubs`: change the names there are, then run it again.
from typing import Any

from layerkit_plugins.optimizers.adafactor import Adafactor as Adafactor
from layerkit_plugins.optimizers.adagrad import Adagrad as Adagrad
from layerkit_plugins.optimizers.adam import Adam as Adam
from layerkit_plugins.optimizers.adam import AdamW as AdamW
from layerkit_plugins.optimizers.momentum import Momentum as Momentum
from layerkit_plugins.optimizers.rms_prop import RMSProp as RMSProp
from layerkit_plugins.optimizers.sgd import SGD as SGD
from layerkit_plugins.optimizers.sm3 import SM3 as SM3

def __getattr__(name: str) -> Any: ...  # whatever other plugins offer
