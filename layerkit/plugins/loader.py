"""Loads plugins one by one, so that none can break another: layerkit's own loop over the entry points.

Every exception of a plugin is caught, ``SystemExit`` included; only the user's own Ctrl-C goes through. What a
plugin prints while it is imported goes to standard error, so that it cannot spoil ``--json``. What cannot be caught
is a plugin that ends the process (``os._exit``, a crash in C) or never returns: installing a plugin is running its
code.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from layerkit.errors import an
from layerkit.plugins.discovery import Entry, discover
from layerkit.plugins.problems import explain, one_line, report
from layerkit.plugins.selection import canonical
from layerkit.plugins.standard_output import printed_to_stderr

__all__ = ["Plugin", "bundled", "plugins_of", "third_party", "third_party_lock", "timed", "unusable"]

Implementation = Callable[..., list[Any]]
"""Calls a plugin's implementation of a hook; the list has what it returns, or nothing where that is ``None``."""

# One lock for all plugins of other people and what they offer: they may use each other while imported.
third_party_lock = threading.RLock()
_found: tuple[Plugin, ...] | None = None


class Plugin:
    """One installed plugin, loaded at most once, however often and in however many threads it is asked for."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.state = "new"
        # A bundled plugin is imported by whoever needs it first, perhaps while somebody else's loads.
        self._lock = threading.RLock() if entry.bundled else third_party_lock
        self._hooks: dict[str, Implementation] = {}
        self.error: BaseException | None = None

    def load(self) -> bool:
        """Imports it unless that was tried before; whether it can be used (not while it is being imported)."""
        if self.state in ("ready", "failed"):
            return self.state == "ready"
        with self._lock:
            if self.state == "new":
                self._load()
            return self.state == "ready"

    def _load(self) -> None:
        try:
            self.state = "loading"  # not before the try: Ctrl-C may come right after it
            with self._own_output():
                self._hooks, problems = self._register(_resolve(self.entry))
        except KeyboardInterrupt:
            self.state = "new"
            raise
        except BaseException as error:
            self.state, self.error = "failed", error
            report(explain(self.entry, error), error)
        else:
            self.state = "ready"
            for problem in problems:
                report(problem)

    def _own_output(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if self.entry.bundled else printed_to_stderr()

    def _register(self, plugin: Any) -> tuple[dict[str, Implementation], list[str]]:
        """Its implementations of hooks, and what to say about it."""
        if self.entry.bundled:
            marked = {name: thing for name, thing in vars(plugin).items() if hasattr(thing, "layerkit_impl")}
            return {name: _listed(hook) for name, hook in marked.items()}, []
        from layerkit.plugins import outside  # it needs pluggy, whose import takes as long as twenty of layerkit's

        return outside.register(self.entry, plugin)

    def implements(self, hook: str) -> bool:
        """Whether the plugin, once loaded, implements ``hook``."""
        return hook in self._hooks

    def call(self, hook: str, **arguments: Any) -> list[Any] | None:
        """What the plugin's implementation of ``hook`` returns, listed; None if it fails, which is reported.

        The list is empty where the hook returns nothing.
        """
        try:
            with self._own_output():
                return self._hooks[hook](**arguments)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._report_hook(hook, f"fails: {one_line(error)}", error)
            return None

    def constructors(self, hook: str) -> list[Any]:
        """The constructors that ``hook`` offers; an answer that is no list of things is reported."""
        answer = self.call(hook) if self.implements(hook) else None
        if answer is None:
            return []
        returned = answer[0] if answer else None
        if isinstance(returned, str | bytes) or not isinstance(returned, Iterable):
            what = "nothing" if returned is None else f"{an(type(returned).__name__)}"
            self._report_hook(hook, f"returns {what}, not a list of constructors")
            return []
        try:
            return list(returned)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            self._report_hook(hook, f"fails: {one_line(error)}", error)
            return []

    def _report_hook(self, hook: str, fault: str, error: BaseException | None = None) -> None:
        report(f"plugin {self.entry}: {hook} {fault}: upgrade {self.entry.distribution}", error)


def _listed(function: Callable[..., Any]) -> Implementation:
    def call(**arguments: Any) -> list[Any]:
        answer = function(**arguments)
        return [] if answer is None else [answer]

    return call


def _resolve(entry: Entry) -> Any:
    """The module or object an entry point's value names: ``module`` or ``module:attribute``."""
    module_name, _, attributes = entry.value.partition("[")[0].strip().partition(":")
    module = importlib.import_module(module_name.strip())
    return functools.reduce(getattr, attributes.strip().split("."), module) if attributes.strip() else module


def _plugins() -> tuple[Plugin, ...]:
    global _found
    if _found is None:
        with third_party_lock:
            # Looked at again: two sets of plugins would be two imports of each.
            if _found is None:
                _found = tuple(Plugin(entry) for entry in discover().entries)
    return _found


def bundled() -> list[Plugin]:
    """The plugins that came with layerkit; not loaded."""
    return [plugin for plugin in _plugins() if plugin.entry.bundled]


def plugins_of(distribution: str) -> list[Plugin]:
    """The plugins of one distribution, bundled or not; not loaded."""
    return [plugin for plugin in _plugins() if canonical(plugin.entry.distribution) == canonical(distribution)]


def third_party(distribution: str | None = None) -> list[Plugin]:
    """Other people's plugins, of one distribution or all, loaded; without those that fail or are being imported."""
    for problem in discover().problems:
        report(problem)
    plugins = [plugin for plugin in _plugins() if not plugin.entry.bundled]
    if distribution is not None:
        plugins = [p for p in plugins if canonical(p.entry.distribution) == canonical(distribution)]
    return [plugin for plugin in plugins if plugin.load()]


def timed() -> Iterator[tuple[Plugin, float]]:
    """Every plugin, loaded one after the other, and the milliseconds that took: layerkit's own first.

    What several of them import is paid for by the first, so another's time is what it adds to those before it.
    """
    for plugin in sorted(_plugins(), key=lambda plugin: not plugin.entry.bundled):
        start = time.perf_counter()
        plugin.load()
        yield plugin, 1000 * (time.perf_counter() - start)


def unusable() -> list[Entry]:
    """The plugins that were tried and failed."""
    return [plugin.entry for plugin in _plugins() if plugin.state == "failed"]
