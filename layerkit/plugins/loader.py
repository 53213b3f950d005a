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
import inspect
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pluggy

from layerkit.errors import suggest
from layerkit.plugins import hookspecs
from layerkit.plugins.discovery import Entry, discover
from layerkit.plugins.problems import PluginError, explain, one_line, report
from layerkit.plugins.selection import canonical
from layerkit.plugins.standard_output import printed_to_stderr

__all__ = ["Plugin", "bundled", "plugins_of", "third_party", "third_party_lock", "timed", "unusable"]

_HOOKS: dict[str, Callable[..., Any]] = {
    name: getattr(hookspecs, name) for name in hookspecs.__all__ if name.startswith("layerkit_")
}

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
        self._hooks: pluggy.HookRelay | None = None
        self.error: BaseException | None = None

    def load(self) -> bool:
        """Imports it unless that was tried before; whether it can be used (not while it is being imported)."""
        if self.state in ("ready", "failed"):
            return self.state == "ready"
        with self._lock:
            if self.state == "new":
                self.state = "loading"
                self._load()
            return self.state == "ready"

    def _load(self) -> None:
        try:
            with self._own_output():
                self._hooks = self._register(_resolve(self.entry))
        except KeyboardInterrupt:
            self.state = "new"
            raise
        except BaseException as error:
            self.state, self.error = "failed", error
            report(explain(self.entry, error), error)
        else:
            self.state = "ready"
            self._check_names()

    def _own_output(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if self.entry.bundled else printed_to_stderr()

    def _register(self, plugin: Any) -> pluggy.HookRelay:
        _check_api(self.entry, plugin)
        for name, spec in _HOOKS.items():
            if inspect.isroutine(function := getattr(plugin, name, None)):
                _check_hook(self.entry, name, spec, function)
        # A manager each: pluggy calls all implementations of a hook together, and stops at the first that fails.
        manager = pluggy.PluginManager("layerkit")
        manager.add_hookspecs(hookspecs)
        # pluggy goes through dir(), which in a module that imports its names lazily is a list of things to import.
        hooks = _functions(plugin) if isinstance(plugin, ModuleType) else plugin
        manager.register(hooks, self.entry.name)
        if not manager.get_hookcallers(hooks):
            what = "module" if isinstance(plugin, ModuleType) else type(plugin).__name__
            raise PluginError(f"it is no plugin, but a {what} without a hook marked @lk.hookimpl: ask its author")
        return manager.hook

    def _check_names(self) -> None:
        """Says which hooks of the plugin are none of layerkit's: a slip would otherwise be silence."""
        for name, caller in sorted(vars(self._hooks).items()):
            if isinstance(caller, pluggy.HookCaller) and not caller.has_spec():
                if all(hook.optionalhook for hook in caller.get_hookimpls()):
                    continue
                advice = suggest(name, _HOOKS)
                report(f"plugin {self.entry} implements {name!r}, which is no hook of layerkit: {advice}")

    def implements(self, hook: str) -> bool:
        """Whether the plugin, once loaded, implements ``hook``."""
        return self._hooks is not None and bool(getattr(self._hooks, hook).get_hookimpls())

    def call(self, hook: str, **arguments: Any) -> list[Any] | None:
        """What the plugin's implementation of ``hook`` returns, listed; None if it fails, which is reported.

        The list is empty where the hook returns nothing.
        """
        try:
            with self._own_output():
                return list(getattr(self._hooks, hook)(**arguments))
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
            what = "nothing" if returned is None else f"a {type(returned).__name__}"
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


def _functions(module: ModuleType) -> SimpleNamespace:
    return SimpleNamespace(**{name: thing for name, thing in vars(module).items() if inspect.isroutine(thing)})


def _resolve(entry: Entry) -> Any:
    """The module or object an entry point's value names: ``module`` or ``module:attribute``."""
    module_name, _, attributes = entry.value.partition("[")[0].strip().partition(":")
    module = importlib.import_module(module_name.strip())
    return functools.reduce(getattr, attributes.strip().split("."), module) if attributes.strip() else module


def _check_api(entry: Entry, plugin: Any) -> None:
    ours = hookspecs.API_VERSION
    theirs = getattr(plugin, "layerkit_api", None)
    if theirs is None:
        module = importlib.import_module(entry.value.partition("[")[0].partition(":")[0].strip())
        theirs = getattr(module, "layerkit_api", ours)
    if theirs == ours:
        return
    newer = isinstance(theirs, int) and theirs > ours
    remedy = "upgrade layerkit" if newer else f"upgrade {entry.distribution}"
    raise PluginError(f"it is written for plugin API {theirs!r}, this layerkit has {ours}: {remedy}")


def _check_hook(entry: Entry, name: str, spec: Callable[..., Any], function: Callable[..., Any]) -> None:
    """Refuses what pluggy would take for no hook at all, or refuse in several lines."""
    if not hasattr(function, "layerkit_impl"):
        raise PluginError(f"{name} is not marked: write @lk.hookimpl above it")
    taken = [
        p.name
        for p in inspect.signature(function).parameters.values()
        if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
    ]
    given = list(inspect.signature(spec).parameters)
    if wrong := [argument for argument in taken if argument not in given]:
        raise PluginError(f"{name}({', '.join(taken)}) takes {wrong[0]!r}: write {name}({', '.join(given)})")


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
