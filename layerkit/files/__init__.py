"""Files that are written whole or not at all, and in which every change is seen.

A recipe needs two things of it: ``layer.save_to_file(path, about)`` and ``read_about(path)``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from layerkit.files.disk import DamagedError

__all__ = ["DamagedError", "read_about"]


def read_about(path: str | os.PathLike[str]) -> Any:
    """What ``layer.save_to_file(path, about)`` kept beside the arrays, without reading these.

    Raises:
        DamagedError: the file is missing or a link, has changed since, or was not written by layerkit.
    """
    from layerkit.files.tensors import about_of  # numpy is wanted no earlier

    return about_of(Path(path))
