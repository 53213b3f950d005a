"""Every registered layer by name: ``from layerkit import layers as tl``, ``tl.Dense(2)``.

The names are those of layerkit's own plugins and of every other one that is installed; ``dir()`` lists them.
"""

from layerkit.plugins.namespace import namespace
from layerkit.plugins.registry import layers as _registry

__getattr__, __dir__ = namespace(__name__, _registry)
