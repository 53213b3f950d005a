"""Which plugins are installed, read from metadata alone: no plugin is imported here."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterator
from typing import NamedTuple

from layerkit.plugins.selection import Selection, canonical

__all__ = ["GROUP", "Discovery", "Entry", "discover"]

GROUP = "layerkit"
_BUNDLED_MODULES = "layerkit_plugins"


class Entry(NamedTuple):
    """One installed plugin: an entry point of the group ``layerkit``, and the distribution it comes from.

    >>> print(Entry("acme", "1.0", "layers", "acme.layers"))
    acme 1.0 (entry point 'layers' = acme.layers)
    """

    distribution: str
    version: str
    name: str
    value: str

    @property
    def bundled(self) -> bool:
        """Whether it came in the box. The name alone would not do: a fork may carry it."""
        module = self.value.partition(":")[0].strip()
        return canonical(self.distribution) == "layerkit" and module.partition(".")[0] == _BUNDLED_MODULES

    def __str__(self) -> str:
        return f"{self.distribution} {self.version} (entry point {self.name!r} = {self.value})"


class Discovery(NamedTuple):
    """What ``discover`` found: the plugins, those that LAYERKIT_PLUGINS turns off, and problems in words."""

    entries: tuple[Entry, ...]
    turned_off: tuple[Entry, ...]
    problems: tuple[str, ...]


@functools.cache
def discover() -> Discovery:
    """Every installed plugin, in the order of distribution and entry-point name; read once per process.

    Raises:
        UsageError: LAYERKIT_PLUGINS cannot be understood.
    """
    selection = Selection.from_environment()
    entries, problems = _installed()
    problems += selection.strangers({entry.distribution for entry in entries if not entry.bundled})
    allowed = tuple(entry for entry in entries if entry.bundled or selection.allows(entry.distribution))
    return Discovery(allowed, tuple(entry for entry in entries if entry not in allowed), tuple(problems))


def _installed() -> tuple[list[Entry], list[str]]:
    found: dict[str, list[Entry]] = {}
    problems: list[str] = []
    for folder in _metadata_folders():
        try:
            entries = _entries_in(folder)
        except Exception as error:
            name = os.path.splitext(os.path.basename(folder))[0]
            problems.append(f"the metadata of {name} is broken ({type(error).__name__}): install it again")
            continue
        if entries:
            # The first on the path wins, as it does for imports: an editable install lies beside its build.
            found.setdefault(canonical(entries[0].distribution), entries)
    return sorted(entry for entries in found.values() for entry in entries), problems


# The files are read here, and not by importlib.metadata: its import (of the email package and more) takes longer than
# everything else that `layerkit plugins list` does, and every program that asks for a layer would pay it.


def _metadata_folders() -> Iterator[str]:
    """The folders of installed distributions' metadata, in the order of the path."""
    for place in dict.fromkeys(sys.path):
        try:
            names = [name for name in os.listdir(place or ".") if name.endswith((".dist-info", ".egg-info"))]
        except OSError:
            continue  # a zip archive, or nothing
        yield from (os.path.join(place, name) for name in sorted(names))


def _entries_in(folder: str) -> list[Entry]:
    try:
        text = _read(folder, "entry_points.txt")
    except (FileNotFoundError, NotADirectoryError):
        return []
    if b"[" + GROUP.encode() + b"]" not in text:
        return []
    points = list(_points(text.decode("utf-8")))
    if not points:
        return []
    about = _headers(_read(folder, "METADATA" if folder.endswith(".dist-info") else "PKG-INFO").decode("utf-8"))
    return sorted({Entry(about["name"], about.get("version", "(no version)"), *point) for point in points})


def _points(text: str) -> Iterator[tuple[str, str]]:
    """(name, value) of the group's entry points: lines ``name = value`` under ``[layerkit]``."""
    section = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1].strip()
        elif section == GROUP and line and not line.startswith(("#", ";")):
            name, equals, value = line.partition("=")
            if not (equals and name.strip() and value.strip()):
                raise ValueError(f"{line!r} is no entry point")
            yield name.strip(), value.strip()


def _read(folder: str, name: str) -> bytes:
    with open(os.path.join(folder, name), "rb") as file:
        return file.read()


def _headers(text: str) -> dict[str, str]:
    """The headers of a distribution's metadata, by name in lower case, up to the first blank line."""
    headers: dict[str, str] = {}
    for line in text.splitlines():
        if not line.strip():
            break
        name, colon, value = line.partition(":")
        if colon and not line[0].isspace():
            headers.setdefault(name.lower(), value.strip())
    return headers
