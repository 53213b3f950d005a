"""What is said about a plugin that does not work: one line, once, and nothing stops because of it."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

from layerkit.errors import LayerkitWarning
from layerkit.plugins.selection import VARIABLE

if TYPE_CHECKING:
    from layerkit.plugins.discovery import Entry

__all__ = ["PluginError", "PluginWarning", "ShadowWarning", "explain", "one_line", "report"]

_LONGEST = 300

_said: set[str] = set()


class PluginWarning(LayerkitWarning):
    """A plugin does not work, or not as its author meant it to; the rest of layerkit does."""


class ShadowWarning(PluginWarning):
    """A plugin offers something under a name of layerkit's own: it works, and is found by its longer name."""


class PluginError(Exception):
    """A fault of a plugin in one sentence, remedy included: no traceback would tell more."""


def report(text: str, error: BaseException | None = None, category: type[PluginWarning] = PluginWarning) -> None:
    """Warns of ``text``, once per process; with LAYERKIT_DEBUG=1 the traceback goes before it."""
    if text in _said:
        return
    _said.add(text)
    if error is not None and os.environ.get("LAYERKIT_DEBUG") == "1":
        import traceback  # a plugin that works never needs it

        traceback.print_exception(error)
    # The warning belongs to no line of the caller's code: naming one would send people to the wrong file.
    warnings.warn_explicit(text, category, filename="<layerkit>", lineno=0)


def explain(entry: Entry, error: BaseException) -> str:
    """The line about an entry point that could not be loaded: which plugin, what went wrong, what to do."""
    if isinstance(error, PluginError):
        return f"plugin {entry} is not loaded: {error}"
    return f"plugin {entry} is not loaded: {one_line(error)}: {_remedy(entry, error)}"


def one_line(error: BaseException) -> str:
    """An exception in one line of at most 300 characters.

    >>> one_line(ImportError("no\\nluck"))
    'ImportError: no luck'
    """
    if isinstance(error, SystemExit):
        return f"it calls sys.exit({error.code!r})"
    try:
        text = " ".join(str(error).split())
    except Exception:  # a plugin's own exception class may fail at this too
        text = ""
    text = text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _remedy(entry: Entry, error: BaseException) -> str:
    if entry.bundled:
        return "install layerkit again"
    off = f"turn it off with {VARIABLE}=-{entry.distribution}"
    if isinstance(error, ModuleNotFoundError) and error.name:
        package, own = error.name.partition(".")[0], entry.value.partition(":")[0].strip().partition(".")[0]
        if package == own:
            return f"install {entry.distribution} again, or {off}"
        return f"install what provides {package!r}, or {off}"
    return f"upgrade {entry.distribution}, or {off}"
