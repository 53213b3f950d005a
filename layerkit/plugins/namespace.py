"""Modules whose names are what is registered: ``layerkit.layers.Dense``."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import Any

from layerkit.errors import LayerkitError, UsageError
from layerkit.plugins.kind import Registry, UnknownName
from layerkit.plugins.registry import registries

__all__ = ["namespace", "place_of"]


class _NoSuchName(UsageError, AttributeError):
    """A name that nobody offers: Python wants an AttributeError, a person the sentence."""


def namespace(module: str, registry: Registry) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a module over ``registry`` (and layerkit's own names of that kind)."""

    def get(name: str) -> Any:
        if name == "__all__":
            return listed()
        # Python itself asks for __path__ and the like at every import: no reason to import plugins.
        if name.startswith("_"):
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        try:
            found = registry.get(name)
        except LayerkitError as error:
            if isinstance(error, UnknownName) and (place := place_of(name)):
                raise _NoSuchName(f"module {module!r} has no attribute {name!r}: did you mean {place}?") from error
            raise _NoSuchName(f"module {module!r}: {error}") from error
        if registry.owner(name) == "layerkit":
            setattr(sys.modules[module], name, found)  # nothing can change it, so the next look-up need not come here
        return found

    def listed() -> list[str]:
        return sorted({*registry.core(), *registry.names()})

    return get, listed


def place_of(name: str) -> str:
    """Where a name of layerkit's own stands; empty if it is none.

    >>> place_of("Dense")
    'layerkit.layers.Dense'
    """
    with contextlib.suppress(LayerkitError):  # a plugin of layerkit's own may be in the middle of its import
        for kind in ("layers", "models", "optimizers"):
            if name in registries[kind].own() or name in registries[kind].core():
                return f"layerkit.{kind}.{name}"
    return ""
