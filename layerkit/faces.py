"""Packages whose names are imported from their modules when they are first used."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["face"]


def face(package: str, homes: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """``__getattr__``, ``__dir__`` and ``__all__`` of a package: a program imports the modules whose names it uses.

    ``python -m layerkit.plugins.stubs`` writes the .pyi file that tells editors the same.

    Args:
        package: its ``__name__``.
        homes: for each of its modules the names that come from there, with blanks between them; for ``""`` modules
            themselves.
    """
    home_of = {name: module for module, names in homes.items() for name in names.split()}
    every = sorted(home_of)

    def get(name: str) -> Any:
        if name not in home_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        home = home_of[name]
        module = importlib.import_module(f"{package}.{home or name}")
        value = getattr(module, name) if home else module
        setattr(sys.modules[package], name, value)
        return value

    return get, lambda: every, every
