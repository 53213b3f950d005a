"""Checkpoints on disk: a folder for each step, written whole or not at all.

``step-00000100/`` holds weights.safetensors, slots.safetensors, state.safetensors and manifest.json. It is written
under another name beside its place, flushed to the disk, and renamed: who finds it finds all of it. The manifest lists
every array with its SHA-256 and is sealed itself, so whatever has changed since is found.

One process at a time may write below a folder: ``layerkit.files.lock`` sees to that.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from layerkit.errors import LayerkitError, os_reason, shown
from layerkit.files import disk, sealed, tensors
from layerkit.files.disk import DamagedError
from layerkit.files.image import Image
from layerkit.files.tensors import Outline
from layerkit.training.variables import FILES

__all__ = ["FOLDER", "FORMAT", "MANIFEST", "folder_name", "newest", "prune", "read", "recover", "steps", "write"]

FORMAT = 2
FOLDER = "checkpoints"
MANIFEST = "manifest.json"
KIND = "layerkit checkpoint"

_STEP = re.compile(r"step-(\d{8}|[1-9]\d{8,17})")
# Half-written; about to be removed; moved aside for a new one of the same step, or of an earlier one.
_HIDDEN = re.compile(r"\.(step-\d{8,18})\.(?:draft|gone|(old)(?:-for-(step-\d{8,18}))?)")
_FIELDS = {
    **dict.fromkeys(("step", "evaluated", "rngs", "random_seed"), int),
    **dict.fromkeys(("tensors", "identity", "history", "data"), dict),
}

Arrays = Mapping[str, Mapping[str, Any] | Image]


def folder_name(step: int) -> str:
    """The name of a step's checkpoint.

    >>> folder_name(100)
    'step-00000100'
    """
    return f"step-{step:08d}"


# -- writing ---------------------------------------------------------------------------------------------------------


def write(folder: Path, arrays: Arrays, manifest: Mapping[str, Any], instead_of: Iterable[int] = ()) -> None:
    """Writes a checkpoint: arrays by kind and name, and what else there is to know.

    Args:
        folder: where it will stand; one that stands there is replaced.
        arrays: for each kind of ``FILES`` NumPy arrays by name, or copies of them.
        manifest: values that JSON can hold.
        instead_of: later steps whose checkpoints it replaces as well: of a run that went back, or damaged.

    Raises:
        LayerkitError: it cannot be written; what stood there before still does.
    """
    with disk.writing(f"the checkpoint {folder}"):
        _make(folder.parent)
        recover(folder.parent)
        draft = _hidden(folder, "draft")
        os.mkdir(draft)
        try:
            _fill(draft, arrays, manifest)
            _put(draft, folder, [folder.with_name(folder_name(step)) for step in instead_of])
        except BaseException:
            with contextlib.suppress(OSError):
                disk.remove(draft)
            raise


def _make(parent: Path) -> None:
    if not parent.is_dir():
        parent.mkdir(parents=True, exist_ok=True)
        disk.sync(parent.parent)


def _fill(draft: Path, arrays: Arrays, manifest: Mapping[str, Any]) -> None:
    listed = {}
    for kind in FILES:
        path = draft / f"{kind}.safetensors"
        named = arrays[kind]
        if isinstance(named, Image):
            outlines = named.write(path)
        else:
            outlines, pieces = tensors.to_bytes(path, named)
            disk.write(path, pieces)
        listed[kind] = {name: outline.to_json() for name, outline in outlines.items()}
    disk.write(draft / MANIFEST, [sealed.text_of(KIND, FORMAT, {**manifest, "tensors": listed})])
    disk.sync(draft)


def _put(draft: Path, folder: Path, later: Iterable[Path]) -> None:
    """Renames the draft into its place. What it replaces moves aside first, and is removed last.

    Until the draft is in its place, whatever moved aside goes back to its own, be it after a crash.
    """
    aside: dict[Path, Path] = {}
    try:
        for place in (folder, *later):
            if os.path.lexists(place):
                aside[place] = _hidden(place, "old" if place == folder else f"old-for-{folder.name}")
                os.rename(place, aside[place])
        os.rename(draft, folder)
    except BaseException:
        with contextlib.suppress(OSError):
            recover(folder.parent)
        raise
    disk.sync(folder.parent)
    for moved in aside.values():
        with contextlib.suppress(OSError):
            disk.remove(moved)


def _hidden(folder: Path, why: str) -> Path:
    return folder.with_name(f".{folder.name}.{why}")


def recover(parent: Path) -> None:
    """Clears away what a killed process left; what moved aside for a checkpoint that never came gets its place back.

    Raises:
        OSError: something cannot be removed.
    """
    found = filter(None, map(_HIDDEN.fullmatch, _names(parent)))
    # The step that the others made way for is the first: it comes back last, so that all do if this is broken off.
    for name in sorted(found, key=lambda name: _step_of(name[1]), reverse=True):
        hidden, place = parent / name[0], parent / name[1]
        if name[2] and not place.exists() and not (parent / (name[3] or name[1])).exists():
            os.rename(hidden, place)
        else:
            disk.remove(hidden)


def _step_of(name: str) -> int:
    return int(name.removeprefix("step-"))


# -- keeping ---------------------------------------------------------------------------------------------------------


def steps(parent: Path) -> list[int]:
    """The steps that the folder ``parent`` has checkpoints of, in order."""
    return sorted(_step_of(name) for name in _names(parent) if _STEP.fullmatch(name))


def newest(parent: Path) -> Path | None:
    """The checkpoint of the latest step in the folder ``parent``; ``None`` if there is none."""
    found = steps(parent)
    return parent / folder_name(found[-1]) if found else None


def prune(parent: Path, keep: int, best: int | None = None) -> None:
    """Removes all checkpoints in ``parent`` but the last ``keep`` and that of the step ``best``."""
    for step in steps(parent)[:-keep]:
        if step != best:
            _remove(parent / folder_name(step))


def _remove(folder: Path) -> None:
    """Removes a checkpoint; one that cannot be removed whole is not found any more all the same."""
    with contextlib.suppress(OSError):
        gone = _hidden(folder, "gone")
        os.rename(folder, gone)
        disk.remove(gone)


def _names(parent: Path) -> list[str]:
    if parent.is_symlink():
        raise LayerkitError(f"{parent} is a link, and links are not followed: name the folder it leads to")
    try:
        return os.listdir(parent)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise LayerkitError(f"{parent} cannot be read: {os_reason(error)}") from error


# -- reading ---------------------------------------------------------------------------------------------------------


def read(folder: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The manifest and the arrays (NumPy, by kind and name) of a checkpoint.

    Raises:
        DamagedError: it has changed since it was written; the message names the file and the array.
        LayerkitError: there is no checkpoint, or it is of another version.
    """
    try:
        manifest, names = _read_manifest(folder), sorted(os.listdir(folder))
    except OSError as error:
        raise disk.unreadable(folder, error) from error
    files = {kind: f"{kind}.safetensors" for kind in FILES}
    for name in names:
        if name not in {MANIFEST, *files.values()}:
            raise DamagedError(f"{folder} is damaged: {shown(name)} has no place in a checkpoint")
    arrays = {}
    for kind, name in files.items():
        arrays[kind], header = tensors.read(folder / name)
        _compare(folder / name, manifest["tensors"].get(kind), header.outlines)
    return manifest, arrays


def _read_manifest(folder: Path) -> dict[str, Any]:
    if folder.is_symlink() or not folder.is_dir():
        fault = "it is a link, and links are not followed" if folder.is_symlink() else "there is no checkpoint"
        raise DamagedError(f"{folder}: {fault}")
    path = folder / MANIFEST
    if not path.exists() and not path.is_symlink():
        raise DamagedError(f"{folder} is no checkpoint: it has no {MANIFEST}")
    manifest = sealed.read(path, KIND, FORMAT)
    for name, kind in _FIELDS.items():
        if type(manifest.get(name)) is not kind:
            raise DamagedError(f"{path} is damaged: its {name!r} is {shown(manifest.get(name))}")
    if _STEP.fullmatch(folder.name) and folder.name != folder_name(manifest["step"]):
        raise DamagedError(f"{folder} is damaged: its {MANIFEST} is of step {manifest['step']}")
    return manifest


def _compare(path: Path, listed: Any, found: Mapping[str, Outline]) -> None:
    """Makes sure that a file has the arrays that the manifest lists, to the last bit."""
    if not isinstance(listed, dict):
        raise DamagedError(f"{path.parent / MANIFEST} is damaged: it does not list the arrays of {path.name}")
    for name in {**listed, **found}:
        if name not in found:
            raise DamagedError(f"{path} is damaged: the array {name} is missing")
        ours = found[name].to_json()
        if name not in listed:
            raise DamagedError(f"{path} is damaged: the array {name} is not one that {MANIFEST} lists")
        if listed[name] != ours:
            said = listed[name] if isinstance(listed[name], dict) else {}
            what = next((key for key in ours if said.get(key) != ours[key]), "sha256")
            raise DamagedError(
                f"{path} is damaged, or of another checkpoint: the array {name} has {what} {ours[what]}, "
                f"and {MANIFEST} says {shown(said.get(what))}"
            )
