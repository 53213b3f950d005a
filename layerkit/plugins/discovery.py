"""Which plugins are installed, read from metadata alone: no plugin is imported here."""

from __future__ import annotations

import functools
import importlib.metadata
import re
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
    # Only the distributions with the group are parsed: all of them would take longer than importing click.
    found: dict[str, list[Entry]] = {}
    problems: list[str] = []
    for distribution in importlib.metadata.distributions():
        try:
            entries = _entries_of(distribution)
        except Exception as error:
            problems.append(
                f"the metadata of {_name(distribution)} is broken ({type(error).__name__}): install it again"
            )
            continue
        if entries:
            # The first on the path wins, as it does for imports: an editable install lies beside its build.
            found.setdefault(canonical(entries[0].distribution), entries)
    return sorted(entry for entries in found.values() for entry in entries), problems


def _entries_of(distribution: importlib.metadata.Distribution) -> list[Entry]:
    text = distribution.read_text("entry_points.txt")
    if not text or not re.search(rf"^\s*\[{GROUP}\]", text, re.MULTILINE):
        return []
    name, version = distribution.metadata["Name"], distribution.metadata["Version"]
    if not name:
        raise ValueError("no name")
    points = distribution.entry_points.select(group=GROUP)
    return sorted({Entry(name, version or "(no version)", point.name, point.value) for point in points})


def _name(distribution: importlib.metadata.Distribution) -> str:
    try:
        return str(distribution.metadata["Name"] or "a distribution without a name")
    except Exception:
        return "a distribution"
