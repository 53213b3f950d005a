"""Writes the .pyi files that let editors complete, and jump to, names that are looked up while the program runs.

``python -m layerkit.plugins.stubs`` writes them, ``--check`` says which of them are stale (exit code 1).
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import layerkit
from layerkit.errors import LayerkitError
from layerkit.plugins import written
from layerkit.plugins.kind import Offer, Registry
from layerkit.plugins.registry import layers, models, optimizers

__all__ = ["main", "stale", "stubs"]

_FOLDER = Path(layerkit.__file__).parent
_NOTE = "# Written by `python -m layerkit.plugins.stubs`: change the names there are, then run it again.\n"


def stubs() -> dict[Path, str]:
    """What each stub file should hold, from what is registered by layerkit's own plugins."""
    texts = {_FOLDER / f"{registry.kind}s.pyi": _names_stub(registry) for registry in (layers, models, optimizers)}
    faces = {
        _FOLDER / package / "__init__.pyi": _package_stub(f"layerkit.{package}")
        for package in ("combinators", "data", "plugins", "training")
    }
    return {_FOLDER / "__init__.pyi": _face_stub(), **faces, **texts}


def stale() -> list[Path]:
    """The stub files that do not hold what they should."""
    return written.stale(stubs())


def main(arguments: Sequence[str]) -> int:
    """Writes the stub files, or with ``--check`` names the stale ones; returns the exit code."""
    return written.write_stale(stubs(), "--check" in arguments)


def _names_stub(registry: Registry) -> str:
    homes = [(m, name) for m in registry.core_modules for name in importlib.import_module(m).__all__]
    homes += [(_home(offer), offer.name) for offer in registry.own().values()]
    anything = "def __getattr__(name: str) -> Any: ...  # whatever other plugins offer\n"
    return _NOTE + "\n".join(filter(None, ["from typing import Any\n", _imports(homes), anything]))


def _face_stub() -> str:
    homes = [("layerkit", name) for name in vars(layerkit)["_MODULES"].split()]
    homes += [(module, name) for module, names in vars(layerkit)["_NAMES"].items() for name in names.split()]
    return f"{_NOTE}{_imports(homes)}\n__all__: list[str]\n__version__: str\n"


def _package_stub(package: str) -> str:
    homes = vars(importlib.import_module(package))["_HOMES"].items()
    named = [(f"{package}.{home}" if home else package, name) for home, names in homes for name in names.split()]
    return f"{_NOTE}{_imports(named)}\n__all__: list[str]\n"


def _imports(homes: Iterable[tuple[str, str]]) -> str:
    return "".join(_import(module, name) for module, name in sorted(homes, key=_place))


def _import(module: str, name: str) -> str:
    line = f"from {module} import {name} as {name}\n"
    # As a formatter breaks a line that is too long.
    return line if len(line) <= 121 else f"from {module} import (\n    {name} as {name},\n)\n"


def _place(home: tuple[str, str]) -> tuple[str, bool, bool, str]:
    """Where an import stands among others, as linters want it: CONSTANTS, then Classes, then functions."""
    module, name = home
    return module, not (len(name) > 1 and name.isupper()), not name[0].isupper(), name


def _home(offer: Offer) -> str:
    """The module that defines a constructor, under the name it is offered by."""
    module = offer.constructor.__module__
    if getattr(importlib.import_module(module), offer.name, None) is not offer.constructor:
        raise LayerkitError(f"{offer.name} is not to be found in {module}: name it there as it is offered")
    return module


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
