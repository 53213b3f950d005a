"""Writes a new plugin: a small distribution that works as it is, to be changed into one's own."""

from __future__ import annotations

import builtins
import importlib.metadata
import importlib.util
import keyword
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from string import Template

from layerkit.errors import LayerkitError, UsageError, os_reason
from layerkit.plugins.selection import canonical

__all__ = ["KINDS", "scaffold"]

KINDS = ("layer", "optimizer", "backend", "recipe")
"""What a new plugin may start with."""

_LONGEST = 50  # so that the commands that come next fit a line
_OWN = ("layerkit", "layerkit-plugins")
# "none" turns plugins off in LAYERKIT_PLUGINS; the others are folders and files of the distribution itself, or names
# that Windows keeps for devices.
_RESERVED = {"none", "tests", "src", "conftest", "con", "prn", "aux", "nul"}
_TEMPLATES = "templates"


def scaffold(name: str, kind: str = "layer", folder: str | os.PathLike[str] | None = None) -> list[Path]:
    """Writes a distribution with one working example, its tests, README and CI file; returns the paths of its files.

    Args:
        name: of the distribution: letters, digits, ``-`` and ``_``. The import package and the example are named after
            it: ``layerkit-scale`` holds the package ``layerkit_scale`` and the layer ``Scale``.
        kind: what the example is, one of ``KINDS``.
        folder: where to write it, ``name`` unless given. It must not exist; the folder it lies in must.

    Raises:
        UsageError: the name cannot be one of a package, or is taken; the folder exists, or has nowhere to lie.
        LayerkitError: a file cannot be written. Nothing is left behind.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as where:
    ...     paths = scaffold("layerkit-scale", folder=where + "/scale")
    >>> [path.name for path in paths]
    ['tests.yml', '.gitignore', 'README.md', 'pyproject.toml', '__init__.py', 'test_layerkit_scale.py']
    """
    values = _values(name, kind)
    target = _new_folder(Path(name if folder is None else folder))
    texts = {_path(source, values): Template(text).substitute(values) for source, text in _templates(kind)}
    # Written beside its place and then renamed: whoever interrupts this finds all of it or nothing.
    draft = target.parent / f".{target.name[:_LONGEST]}.{secrets.token_hex(4)}"
    try:
        for path, text in texts.items():
            (draft / path).parent.mkdir(parents=True, exist_ok=True)
            (draft / path).write_text(text, "utf-8", newline="\n")
        draft.rename(target)
    except BaseException as error:
        shutil.rmtree(draft, ignore_errors=True)
        if isinstance(error, OSError):
            raise LayerkitError(f"cannot write {str(target)!r}: {os_reason(error)}") from error
        raise
    return [target / path for path in sorted(texts)]


def _new_folder(folder: Path) -> Path:
    if "\0" in str(folder):
        raise UsageError(f"{str(folder)!r} cannot be the path of a folder: it has a null character in it")
    if os.path.lexists(folder):
        raise UsageError(f"{str(folder)!r} exists already: give another folder with --output")
    if not folder.parent.is_dir():
        raise UsageError(f"there is no folder {str(folder.parent)!r} to write into: make it first")
    return folder


# -- names ------------------------------------------------------------------------------------------------------------


def _values(name: str, kind: str) -> dict[str, str]:
    """What the templates are filled with.

    Raises:
        UsageError: the name, or one that comes of it, cannot be used.
    """
    if kind not in KINDS:
        raise UsageError(f"a plugin starts with one of {', '.join(KINDS)}, not {kind!r}")
    _check_name(name)
    distribution = canonical(name)
    package = distribution.replace("-", "_")
    _check_package(name, package)
    stem = re.sub(r"(?i)^layerkit[-_](?=[a-z])", "", name)
    thing = "".join(part[0].upper() + part[1:] for part in re.split("[-_]", stem))
    called = _called(kind, stem, thing)
    _check_free(name, kind, thing, called)
    return {
        "distribution": distribution,
        "package": package,
        "thing": thing,
        "name": called,
        "description": f"The {kind} {called} for layerkit",
    }


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]*([-_][A-Za-z0-9]+)*", name):
        raise UsageError(
            f"{name[:_LONGEST]!r} cannot be the name of a package: it is a letter, then letters and digits, with "
            "single '-' or '_' between, such as my-layers"
        )
    if len(name) > _LONGEST:
        raise UsageError(f"{name[:20] + '...'!r} has {len(name)} characters: {_LONGEST} are the most")


def _check_package(name: str, package: str) -> None:
    distribution = canonical(name)
    what = ""
    if distribution in _OWN:
        what = "layerkit itself"
    elif package in sys.stdlib_module_names:
        what = "a module of Python's standard library"
    elif keyword.iskeyword(package):
        what = "a word of Python's own"
    elif distribution in _RESERVED or re.fullmatch(r"(com|lpt)[0-9]", distribution):
        what = "reserved"
    elif (spec := importlib.util.find_spec(package)) is not None and spec.origin is not None:
        what = f"a package that is here already ({spec.origin})"
    elif _is_installed(distribution):
        package, what = distribution, "the name of a distribution that is installed already"
    if what:
        raise UsageError(f"{name!r} cannot be the name of a plugin: {package!r} is {what}; take another name")


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.distribution(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _called(kind: str, stem: str, thing: str) -> str:
    """What the example is asked for by."""
    if kind == "backend":
        return stem.replace("-", "_").lower()
    if kind == "recipe":
        from layerkit.plugins.registry import recipe_name

        return recipe_name(thing)
    return thing


def _check_free(name: str, kind: str, thing: str, called: str) -> None:
    from layerkit.plugins.registry import registries

    registry = registries[f"{kind}s"]
    word = called if kind == "backend" else thing
    # The template of a backend says `lk` for layerkit, and its function has the backend's name.
    if keyword.iskeyword(word) or hasattr(builtins, word) or word == "lk":
        raise UsageError(
            f"{name!r} would name its {kind} {word!r}, a word of Python or of the plugin: take another name"
        )
    if called in registry.own() or called in registry.core():
        raise UsageError(f"{name!r} would name its {kind} {called!r}, which is layerkit's own: take another name")


# -- templates --------------------------------------------------------------------------------------------------------


def _templates(kind: str) -> Iterator[tuple[PurePosixPath, str]]:
    for part in ("shared", kind):
        yield from _walk(files(__package__) / _TEMPLATES / part, PurePosixPath())


def _walk(folder: Traversable, path: PurePosixPath) -> Iterator[tuple[PurePosixPath, str]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, path / entry.name)
        elif entry.name.endswith(".txt"):
            yield path / entry.name.removesuffix(".txt"), entry.read_text("utf-8")


def _path(source: PurePosixPath, values: dict[str, str]) -> Path:
    """Where a template's text goes. (Dots are spelt out: tools that pack files tend to leave out hidden ones.)"""
    parts = [part.replace("dot_", ".", 1) if part.startswith("dot_") else part for part in source.parts]
    replaced = {"package": values["package"], "test_package.py": f"test_{values['package']}.py"}
    return Path(*(replaced.get(part, part) for part in parts))
