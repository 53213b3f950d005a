"""LAYERKIT_PLUGINS: which of the installed plugins may be loaded.

==================  =============================================================
LAYERKIT_PLUGINS    what is loaded, besides what came with layerkit
==================  =============================================================
unset or empty      every installed plugin
``none``            nothing
``acme,beta``       these two distributions alone
``-acme``           every one but this
``acme,-beta``      acme alone (a name that is not listed is off already)
==================  =============================================================

Names are those of distributions, as pip takes them: case, ``-`` and ``_`` make no difference.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import NamedTuple

from layerkit.errors import UsageError, suggest

__all__ = ["VARIABLE", "Selection", "canonical"]

VARIABLE = "LAYERKIT_PLUGINS"


def canonical(distribution: str) -> str:
    """A distribution's name, spelt the one way that makes equal names equal.

    >>> canonical("My_Package")
    'my-package'
    """
    return re.sub(r"[-_.]+", "-", distribution.strip()).lower()


class Selection(NamedTuple):
    """LAYERKIT_PLUGINS, read: distributions that may be loaded (None: all), and those that may not.

    >>> Selection.parse("acme,-beta").allows("Acme")
    True
    >>> Selection.parse("none").allows("acme")
    False
    """

    allow: frozenset[str] | None
    deny: frozenset[str]

    @staticmethod
    def from_environment() -> Selection:
        """The selection that the environment asks for."""
        return Selection.parse(os.environ.get(VARIABLE, ""))

    @staticmethod
    def parse(text: str) -> Selection:
        """Reads a comma list of names, of names with a minus before them, or ``none``."""
        items = [item.strip() for item in text.split(",") if item.strip()]
        allow = frozenset(canonical(item) for item in items if not item.startswith("-"))
        deny = frozenset(canonical(item[1:]) for item in items if item.startswith("-"))
        if "none" in allow:
            if len(items) > 1:
                raise UsageError(f"{VARIABLE}={text!r}: 'none' stands alone, leave it out or the other names")
            return Selection(frozenset(), frozenset())
        if "layerkit" in deny:
            raise UsageError(f"{VARIABLE}={text!r}: layerkit's own plugins stay on, leave out '-layerkit'")
        if both := allow & deny:
            raise UsageError(f"{VARIABLE}={text!r} both allows and denies {min(both)!r}: leave out one")
        return Selection(allow - {"layerkit"} if allow else None, deny)

    def allows(self, distribution: str) -> bool:
        """Whether plugins of this distribution may be loaded."""
        name = canonical(distribution)
        return name not in self.deny and (self.allow is None or name in self.allow)

    def strangers(self, distributions: Iterable[str]) -> list[str]:
        """One sentence for each name in the list that no installed plugin has."""
        known = {canonical(name): name for name in distributions}
        named = (self.allow or frozenset()) | self.deny
        return [
            f"{VARIABLE} names {name!r}, and no such plugin is installed: {suggest(name, known.values())}"
            for name in sorted(named - known.keys())
        ]
