"""``run.json``: what makes a folder a run, and says which recipe can read the rest of it. It is sealed."""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from layerkit.errors import UsageError, os_reason, shown
from layerkit.files import disk, sealed
from layerkit.files.disk import DamagedError

__all__ = ["FORMAT", "NAME", "REMEDY", "RunFile", "as_metrics", "read_in", "read_run_file", "write_run_file"]

FORMAT = 2
NAME = "run.json"
KIND = "layerkit run"
REMEDY = "train the run again with the same settings, or restore a copy"

_WHICH = "give the folder that training wrote"
_KINDS = {"recipe": str, "distribution": str, "version": str, "backend": str, "settings": dict, "complete": bool}


@dataclass(frozen=True)
class RunFile:
    """The contents of ``run.json``."""

    recipe: str
    """The recipe's name, without its distribution."""
    distribution: str
    """The distribution the recipe came from: what to install where it is missing."""
    version: str
    backend: str
    """The backend the run was trained on; it can be used on any."""
    settings: dict[str, Any]
    complete: bool = False
    """Whether training came to its end."""
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def qualified(self) -> str:
        """The recipe's name, with its distribution."""
        return f"{self.distribution}:{self.recipe}"


def read_run_file(path: str | os.PathLike[str]) -> RunFile:
    """The ``run.json`` in the folder ``path``.

    Raises:
        UsageError: there is no such folder, or it is no run.
        DamagedError: the file has changed since it was written.
        LayerkitError: it is of a format that this layerkit does not read.
    """
    try:
        folder = Path(os.path.expanduser(path))
        is_folder = stat.S_ISDIR(folder.stat().st_mode)
    except FileNotFoundError as error:
        raise UsageError(f"there is no run at {str(path)!r}: no such folder: {_WHICH}") from error
    except (OSError, TypeError, ValueError) as error:
        raise UsageError(f"there is no run at {str(path)!r}: {os_reason(error)}") from error
    if not is_folder:
        raise UsageError(f"{str(folder)!r} is a file: {_WHICH}")
    if not os.path.lexists(folder / NAME):
        raise UsageError(f"{str(folder)!r} is no run: it has no {NAME}: {_WHICH}")
    try:
        return read_in(folder)
    except DamagedError as error:
        raise DamagedError(f"{error}: {REMEDY}") from error


def read_in(folder: Path) -> RunFile:
    """The ``run.json`` of a run's folder.

    Raises:
        DamagedError: as ``read_run_file``, but without a remedy, for whoever has one.
        LayerkitError: as ``read_run_file``.
    """
    file = folder / NAME
    contents = sealed.read(file, KIND, FORMAT)
    for name, kind in _KINDS.items():
        if not isinstance(contents.get(name), kind):
            raise DamagedError(f"{file} is damaged: its {name!r} is {shown(contents.get(name))}")
    metrics = contents.get("metrics")
    if not isinstance(metrics, dict) or not all(isinstance(v, float | int | None) for v in metrics.values()):
        raise DamagedError(f"{file} is damaged: its 'metrics' is {shown(metrics)}")
    return RunFile(**{name: contents[name] for name in RunFile.__dataclass_fields__})


def write_run_file(folder: Path, run: RunFile) -> None:
    """Writes ``run.json`` into ``folder`` at once: a reader finds the old file or the new one, whole."""
    metrics = {name: value if math.isfinite(value) else None for name, value in run.metrics.items()}
    with disk.writing(folder / NAME):
        sealed.write(folder / NAME, KIND, FORMAT, {**asdict(run), "metrics": metrics})


def as_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """A recipe's metrics as plain numbers: they may be arrays of a backend."""
    return {str(name): float(value) for name, value in metrics.items()}
