"""Plugins: the hooks they implement, how they are found and loaded, and what is registered.

To be read in this order:

- what a plugin is: ``hookspecs``, ``deferral`` (what it need not import yet)
- from installed to usable: ``discovery``, ``selection`` (LAYERKIT_PLUGINS), ``loader``, ``outside`` (other people's),
  ``problems``
- what they offer, by name: ``kind``, ``registry``, ``namespace``
- around an import: ``standard_output``, ``uninterrupted``, ``no_garbage``
- what is written: ``scaffold`` (a new plugin), ``stubs``, ``library_page``, ``written``
"""

from layerkit.faces import face

_HOMES = {
    "": "registry",
    "deferral": "deferred",
    "hookspecs": "API_VERSION hookimpl",
    "problems": "PluginWarning",
}

__getattr__, __dir__, __all__ = face(__name__, _HOMES)
