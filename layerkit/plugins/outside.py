"""Plugins of other people: looked over before any of their hooks is called, and registered with pluggy."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pluggy

from layerkit.errors import an, suggest
from layerkit.plugins import hookspecs
from layerkit.plugins.discovery import Entry
from layerkit.plugins.problems import PluginError

__all__ = ["register"]

_HOOKS: dict[str, Callable[..., Any]] = {
    name: pluggy.HookspecMarker("layerkit")(getattr(hookspecs, name))
    for name in hookspecs.__all__
    if name.startswith("layerkit_")
}


def register(entry: Entry, plugin: Any) -> tuple[dict[str, Callable[..., list[Any]]], list[str]]:
    """What calls the plugin's implementation of each hook, listing what it returns; and what to say about the plugin.

    Raises:
        PluginError: it is none, or does not fit this layerkit.
    """
    _check_api(entry, plugin)
    for name, spec in _HOOKS.items():
        if inspect.isroutine(function := getattr(plugin, name, None)):
            _check_hook(entry, name, spec, function)
    # A manager each: pluggy calls all implementations of a hook together, and stops at the first that fails.
    manager = pluggy.PluginManager("layerkit")
    manager.add_hookspecs(hookspecs)
    # pluggy goes through dir(), which in a module that imports its names lazily is a list of things to import.
    hooks = _functions(plugin) if isinstance(plugin, ModuleType) else plugin
    manager.register(hooks, entry.name)
    callers = manager.get_hookcallers(hooks)
    if not callers:
        if getattr(plugin, "__file__", None) is None and hasattr(plugin, "__path__"):
            folder = next(iter(plugin.__path__))
            raise PluginError(f"the folder {folder!r} is found in its place: run from elsewhere, or rename the folder")
        what = "module" if isinstance(plugin, ModuleType) else type(plugin).__name__
        raise PluginError(f"it is no plugin, but {an(what)} without a hook marked @lk.hookimpl: ask its author")
    return {caller.name: caller for caller in callers if caller.has_spec()}, _unknown(entry, callers)


def _unknown(entry: Entry, callers: list[pluggy.HookCaller]) -> list[str]:
    """A sentence about each hook that is none of layerkit's: a slip would otherwise be silence."""
    return [
        f"plugin {entry} implements {caller.name!r}, which is no hook of layerkit: {suggest(caller.name, _HOOKS)}"
        for caller in sorted(callers, key=lambda caller: caller.name)
        if not caller.has_spec() and not all(hook.optionalhook for hook in caller.get_hookimpls())
    ]


def _functions(module: ModuleType) -> SimpleNamespace:
    return SimpleNamespace(**{name: thing for name, thing in vars(module).items() if inspect.isroutine(thing)})


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
