"""Constructors that are imported when they are first asked for: what a plugin of many modules offers."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from layerkit.errors import LayerkitError

__all__ = ["Deferred", "deferred"]


class Deferred:
    """Stands for a constructor of a module that was not imported yet; calling it calls that."""

    def __init__(self, module: str, name: str) -> None:
        self.__module__, self.__name__ = module, name
        self.loaded: Callable[..., Any] | None = None

    def load(self) -> Callable[..., Any]:
        """The constructor; its module is imported.

        Raises:
            LayerkitError: the module has no function or class of that name.
        """
        if self.loaded is None:
            constructor = getattr(importlib.import_module(self.__module__), self.__name__, None)
            if not callable(constructor):
                raise LayerkitError(f"module {self.__module__} has no class or function {self.__name__!r} to offer")
            self.loaded = constructor
        return self.loaded

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.load()(*args, **kwargs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Deferred) and (self.__module__, self.__name__) == (other.__module__, other.__name__)

    def __hash__(self) -> int:
        return hash((self.__module__, self.__name__))

    def __repr__(self) -> str:
        return f"{self.__module__}:{self.__name__}"


def deferred(module: str, *names: str) -> list[Deferred]:
    """Constructors of a module, by name, for a hook to return; the module is imported once one of them is used.

    A program that uses one layer of a plugin then does not wait for the imports of all the others.

    Args:
        module: the full name of the module that defines them.
        names: what its classes and functions are called there, and offered as.

    >>> import layerkit as lk
    >>> @lk.hookimpl
    ... def layerkit_layers():
    ...     return [*lk.deferred("acme.attention", "Attention", "CausalAttention"), *lk.deferred("acme.dense", "Dense")]
    >>> layerkit_layers()
    [acme.attention:Attention, acme.attention:CausalAttention, acme.dense:Dense]
    """
    return [Deferred(module, name) for name in names]
