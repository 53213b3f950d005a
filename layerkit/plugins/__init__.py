"""Plugins: the hooks they implement, how they are found and loaded, and what is registered."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from layerkit.plugins.deferral import deferred as deferred
    from layerkit.plugins.hookspecs import API_VERSION as API_VERSION
    from layerkit.plugins.hookspecs import hookimpl as hookimpl
    from layerkit.plugins.problems import PluginWarning as PluginWarning

__all__ = ["API_VERSION", "PluginWarning", "deferred", "hookimpl", "registry"]

# `layerkit plugins list` reads metadata alone, so pluggy waits until somebody needs a hook.
_HOMES = {"deferred": "deferral", "API_VERSION": "hookspecs", "hookimpl": "hookspecs", "PluginWarning": "problems"}


def __getattr__(name: str) -> Any:
    if name == "registry":
        return importlib.import_module("layerkit.plugins.registry")
    if name in _HOMES:
        globals()[name] = value = getattr(importlib.import_module(f"layerkit.plugins.{_HOMES[name]}"), name)
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
