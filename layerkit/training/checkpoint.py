"""Checkpoints on disk: a folder for each step, written whole or not at all.

``step-00000100/`` holds weights.safetensors, slots.safetensors, state.safetensors and manifest.json. It is written
under another name beside its place, flushed to the disk, and renamed: who finds it finds all of it.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from layerkit.errors import LayerkitError, shown
from layerkit.training.tensor_file import read_arrays, write_arrays
from layerkit.training.variables import FILES

__all__ = ["FOLDER", "FORMAT", "MANIFEST", "folder_name", "newest", "prune", "read", "write"]

FORMAT = 1
FOLDER = "checkpoints"
MANIFEST = "manifest.json"
KIND = "layerkit checkpoint"

_STEP = re.compile(r"step-(\d{8,})")
_DRAFT = re.compile(r"\.(step-\d{8,})\.(\d+)\.(new|old)")

Arrays = Mapping[str, Mapping[str, Any]]


def folder_name(step: int) -> str:
    """The name of a step's checkpoint.

    >>> folder_name(100)
    'step-00000100'
    """
    return f"step-{step:08d}"


def write(folder: Path, arrays: Arrays, manifest: Mapping[str, Any]) -> None:
    """Writes a checkpoint: arrays by kind and name, and what else there is to know.

    Args:
        folder: where it will stand; one that stands there is replaced.
        arrays: NumPy arrays, ``arrays[kind][name]`` for each kind of ``FILES``.
        manifest: values that JSON can hold.

    Raises:
        LayerkitError: it cannot be written; what stood there before still does.
    """
    draft = folder.parent / f".{folder.name}.{os.getpid()}.new"
    tensors = {kind: {name: _outline(array) for name, array in arrays[kind].items()} for kind in FILES}
    text = json.dumps({"kind": KIND, "format": FORMAT, **_plain(manifest), "tensors": tensors}, indent=1)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_drafts(folder.parent)
        draft.mkdir()
        for kind in FILES:
            write_arrays(draft / f"{kind}.safetensors", arrays[kind])
        with (draft / MANIFEST).open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        _flush(draft)
        _put(draft, folder)
        _flush(folder.parent)
    except BaseException as error:
        shutil.rmtree(draft, ignore_errors=True)
        if isinstance(error, OSError):
            raise LayerkitError(f"the checkpoint {folder} cannot be written: {error.strerror or error}") from error
        raise


def _outline(array: Any) -> dict[str, Any]:
    return {"shape": list(array.shape), "dtype": array.dtype.name}


def _plain(value: Any) -> Any:
    """The value with numbers that JSON has no word for written as text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def _flush(path: Path) -> None:
    """Makes sure that the names in a folder are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _put(draft: Path, folder: Path) -> None:
    """Renames the draft into its place; a folder there moves aside first, since no rename replaces one."""
    if not folder.exists():
        draft.rename(folder)
        return
    aside = draft.with_suffix(".old")
    folder.rename(aside)
    try:
        draft.rename(folder)
    except BaseException:
        aside.rename(folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _remove_drafts(parent: Path) -> None:
    """Removes what processes that are no more left behind; a step whose only copy was moved aside gets it back."""
    for path in parent.iterdir():
        found = _DRAFT.fullmatch(path.name)
        if found is None or (int(found[2]) != os.getpid() and _runs(int(found[2]))):
            continue
        place = parent / found[1]
        if found[3] == "old" and not place.exists():
            path.rename(place)
        else:
            shutil.rmtree(path, ignore_errors=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def newest(parent: Path) -> Path | None:
    """The checkpoint of the latest step in the folder ``parent``; ``None`` if there is none."""
    steps = _steps(parent)
    return parent / folder_name(steps[-1]) if steps else None


def prune(parent: Path, keep: int) -> None:
    """Removes all checkpoints in ``parent`` but the last ``keep``."""
    for step in _steps(parent)[:-keep]:
        shutil.rmtree(parent / folder_name(step), ignore_errors=True)


def _steps(parent: Path) -> list[int]:
    if not parent.is_dir():
        return []
    return sorted(int(found[1]) for path in parent.iterdir() if (found := _STEP.fullmatch(path.name)))


def read(folder: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The manifest and the arrays (NumPy, by kind and name) of a checkpoint.

    Raises:
        LayerkitError: there is no checkpoint, or it is damaged; the message names the file and the array.
    """
    manifest = _read_manifest(folder / MANIFEST)
    arrays = {}
    for kind in FILES:
        path = folder / f"{kind}.safetensors"
        arrays[kind] = read_arrays(path)
        _compare(path, manifest["tensors"].get(kind), arrays[kind])
    return manifest, arrays


def _read_manifest(path: Path) -> dict[str, Any]:
    if not path.parent.is_dir():
        raise LayerkitError(f"{path.parent}: there is no checkpoint")
    try:
        manifest = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise LayerkitError(f"{path.parent} is no checkpoint: it has no {MANIFEST}") from None
    except OSError as error:
        raise LayerkitError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise LayerkitError(f"{path} is damaged: it is no JSON") from error
    if not isinstance(manifest, dict) or manifest.get("kind") != KIND:
        raise LayerkitError(f"{path} is not of a {KIND}")
    version = manifest.get("format")
    if version != FORMAT:
        newer = isinstance(version, int) and version > FORMAT
        remedy = "upgrade layerkit" if newer else "train the run again"
        raise LayerkitError(f"{path} has format {version!r}, this layerkit reads {FORMAT}: {remedy}")
    for name, kind in (("step", int), ("tensors", dict), ("history", dict), ("data", dict), ("random_seed", int)):
        if not isinstance(manifest.get(name), kind):
            raise LayerkitError(f"{path} is damaged: its {name!r} is {shown(manifest.get(name))}")
    return manifest


def _compare(path: Path, outlines: Any, arrays: Mapping[str, Any]) -> None:
    """Makes sure that a file has the arrays that the manifest lists."""
    if not isinstance(outlines, dict):
        raise LayerkitError(f"{path.parent / MANIFEST} is damaged: it does not list the arrays of {path.name}")
    for name in {**outlines, **arrays}:
        if name not in arrays:
            raise LayerkitError(f"{path} is damaged: the array {name} is missing")
        if outlines.get(name) != _outline(arrays[name]):
            raise LayerkitError(
                f"{path} is damaged: the array {name} is {_outline(arrays[name])}, "
                f"and {MANIFEST} says {outlines.get(name)}"
            )
