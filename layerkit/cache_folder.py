"""Where layerkit keeps what it would otherwise compute again: one folder for all of it, chosen by LAYERKIT_CACHE."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_folder"]


def cache_folder(name: str) -> Path | None:
    """The folder for one kind of cached things, which need not exist; ``None`` where nothing is to be kept.

    It lies in the folder that LAYERKIT_CACHE names, or in ``layerkit`` in the user's cache folder (XDG_CACHE_HOME,
    ``~/.cache``). Nothing is kept where LAYERKIT_CACHE says ``off``, or where there is no home.

    >>> folder = cache_folder("texts")
    >>> folder is None or folder.name == "texts"
    True
    """
    chosen = os.environ.get("LAYERKIT_CACHE", "")
    if chosen.lower() == "off":
        return None
    base = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "layerkit"
    try:
        return base.expanduser() / name
    except RuntimeError:  # "~" of nobody
        return None
