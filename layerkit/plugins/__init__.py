"""Plugins: the hooks they implement, how they are found and loaded, and what is registered."""

from layerkit.faces import face

_HOMES = {
    "": "registry",
    "deferral": "deferred",
    "hookspecs": "API_VERSION hookimpl",
    "problems": "PluginWarning",
}

__getattr__, __dir__, __all__ = face(__name__, _HOMES)
