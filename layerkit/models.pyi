# Written by `python -m layerkit.plugins.stubs`: change the names there are, then run it again.
from typing import Any

def __getattr__(name: str) -> Any: ...  # whatever other plugins offer
