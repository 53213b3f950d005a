# Written by `python -m layerkit.plugins.stubs`: change the names there are, then run it again.
from typing import Any

from layerkit_plugins.models.mlp import MLP as MLP

def __getattr__(name: str) -> Any: ...  # whatever other plugins offer
