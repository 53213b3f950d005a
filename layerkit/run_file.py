"""``run.json``: what makes a folder a run, and says which recipe can read the rest of it."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from layerkit.errors import LayerkitError, UsageError

__all__ = ["FORMAT", "NAME", "RunFile", "as_metrics", "os_reason", "read_run_file", "write_run_file"]

FORMAT = 1
NAME = "run.json"


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
        LayerkitError: the file is damaged, or of a format this layerkit does not read.
    """
    folder = Path(path)
    if not folder.exists():
        raise UsageError(f"there is no run at {str(folder)!r}: no such folder")
    if not folder.is_dir():
        raise UsageError(f"{str(folder)!r} is a file: a run is the folder that training wrote")
    try:
        contents = json.loads((folder / NAME).read_bytes())
    except FileNotFoundError:
        raise UsageError(f"{str(folder)!r} is no run: it has no {NAME}") from None
    except OSError as error:
        raise LayerkitError(f"{str(folder / NAME)!r} cannot be read: {os_reason(error)}") from error
    except (ValueError, RecursionError) as error:
        raise LayerkitError(f"{str(folder / NAME)!r} is damaged, it is no JSON: train the run again") from error
    return _checked(folder, contents)


def _checked(folder: Path, contents: Any) -> RunFile:
    file = str(folder / NAME)
    version = contents.get("format") if isinstance(contents, dict) else None
    if version != FORMAT:
        if isinstance(version, int) and version > FORMAT:
            raise LayerkitError(f"{file!r} has format {version}, this layerkit reads up to {FORMAT}: upgrade layerkit")
        raise LayerkitError(f"{file!r} is no run file of layerkit (format {version!r}, not {FORMAT})")
    for name, kind in (("recipe", str), ("distribution", str), ("version", str), ("backend", str), ("settings", dict)):
        if not isinstance(contents.get(name), kind):
            raise LayerkitError(f"{file!r} is damaged, its {name!r} is {contents.get(name)!r:.80}: train the run again")
    known = {name: contents[name] for name in RunFile.__dataclass_fields__ if name in contents}
    return RunFile(**known)


def write_run_file(folder: Path, run: RunFile) -> None:
    """Writes ``run.json`` into ``folder`` at once: a reader finds the old file or the new one, whole."""
    metrics = {name: value if math.isfinite(value) else None for name, value in run.metrics.items()}
    text = json.dumps({"format": FORMAT, **asdict(run), "metrics": metrics}, indent=2) + "\n"
    draft = folder / f".{NAME}.{os.getpid()}"
    try:
        with draft.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(folder / NAME)
    except BaseException as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        if isinstance(error, OSError):
            raise LayerkitError(f"{str(folder / NAME)!r} cannot be written: {os_reason(error)}") from error
        raise


def os_reason(error: Exception) -> str:
    """What the operating system says went wrong, without number and path.

    >>> os_reason(PermissionError(13, "Permission denied"))
    'permission denied'
    """
    return str(getattr(error, "strerror", None) or error).lower()


def as_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """A recipe's metrics as plain numbers: they may be arrays of a backend."""
    return {str(name): float(value) for name, value in metrics.items()}
