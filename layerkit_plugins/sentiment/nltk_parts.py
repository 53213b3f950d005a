"""The two modules of NLTK that texts are split with, without the rest of NLTK."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

__all__ = ["casual_and_porter"]


def casual_and_porter() -> tuple[Any, Any]:
    """NLTK's modules ``tokenize.casual``, with TweetTokenizer, and ``stem.porter``.

    ``import nltk`` also loads parsers, chunkers, corpus readers and, where it is installed, SciPy: over a second for
    what is not needed here. So the two modules are imported with empty packages around them, which are gone
    afterwards: a program that imports NLTK gets all of it. Where other threads run (one might be importing NLTK at
    this moment), or a release of NLTK does not allow it, NLTK is imported as usual.

    Raises:
        ImportError: NLTK, or something that it needs, is not installed.
    """
    if "nltk" not in sys.modules and threading.active_count() == 1:
        with contextlib.suppress(Exception):
            return _alone()
    return _modules()


def _alone() -> tuple[Any, Any]:
    found = importlib.util.find_spec("nltk")
    if found is None or not found.submodule_search_locations:
        raise ImportError("no package nltk")
    folder = Path(found.submodule_search_locations[0])
    before = set(sys.modules)
    try:
        for name, place in (("nltk", folder), ("nltk.stem", folder / "stem"), ("nltk.tokenize", folder / "tokenize")):
            package = ModuleType(name)
            package.__path__ = [str(place)]
            sys.modules[name] = package
        # These two are for other tokenizers, and take four times as long to import as all that is needed here.
        for name in ("nltk.internals", "nltk.tokenize.util"):
            sys.modules[name] = _Later(name)
        return _modules()
    finally:
        for name in set(sys.modules) - before:
            if name.partition(".")[0] == "nltk":
                del sys.modules[name]


def _modules() -> tuple[Any, Any]:
    return importlib.import_module("nltk.tokenize.casual"), importlib.import_module("nltk.stem.porter")


class _Later(ModuleType):
    """Stands in for a module whose functions nobody is expected to call. If somebody does, it is imported then."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args: getattr(importlib.import_module(self.__name__), name)(*args)
