"""Every example in a docstring runs on NumPy and prints what it says; every public name has a docstring."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from types import ModuleType

import pytest

import layerkit
import layerkit_plugins
from layerkit import use_backend


def module_names() -> list[str]:
    names = []
    for package in (layerkit, layerkit_plugins):
        names += [m.name for m in pkgutil.walk_packages(package.__path__, package.__name__ + ".")]
    return [name for name in names if not name.endswith("__main__") and ".jax" not in name]


@pytest.mark.parametrize("name", module_names())
def test_examples(name: str) -> None:
    module = importlib.import_module(name)
    with use_backend("numpy"):
        result = doctest.testmod(module, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    assert result.failed == 0


@pytest.mark.parametrize("name", module_names())
def test_public_names_have_docstrings(name: str) -> None:
    module: ModuleType = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    for public in getattr(module, "__all__", ()):
        thing = getattr(module, public)
        if callable(thing) and getattr(thing, "__module__", name) == name:
            assert thing.__doc__, f"{name}.{public} has no docstring"
