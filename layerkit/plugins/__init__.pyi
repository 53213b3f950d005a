# Written by `python -m layerkit.plugins.stubs`: change the names there are, then run it again.
from layerkit.plugins import registry as registry
from layerkit.plugins.deferral import deferred as deferred
from layerkit.plugins.hookspecs import API_VERSION as API_VERSION
from layerkit.plugins.hookspecs import hookimpl as hookimpl
from layerkit.plugins.problems import PluginWarning as PluginWarning

__all__: list[str]
