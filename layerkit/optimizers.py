"""Every registered optimizer by name: ``from layerkit import optimizers``, ``optimizers.Adam(0.001)``.

The names are those of layerkit's own plugins and of every other one that is installed; ``dir()`` lists them.
"""

from layerkit.plugins.namespace import namespace
from layerkit.plugins.registry import optimizers as _registry

__getattr__, __dir__ = namespace(__name__, _registry)
