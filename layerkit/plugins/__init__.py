"""Plugins: the hooks they implement, how they are found and loaded, and what is registered."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["API_VERSION", "PluginWarning", "hookimpl", "registry"]

# `layerkit plugins list` reads metadata alone, so pluggy waits until somebody needs a hook.
_HOMES = {"API_VERSION": "hookspecs", "hookimpl": "hookspecs", "PluginWarning": "problems"}


def __getattr__(name: str) -> Any:
    if name == "registry":
        return importlib.import_module("layerkit.plugins.registry")
    if name in _HOMES:
        return getattr(importlib.import_module(f"layerkit.plugins.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
