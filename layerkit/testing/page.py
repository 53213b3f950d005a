"""The page ``docs/checks.md``: the list of checks, from the code.

``python -m layerkit.testing.page docs/checks.md`` writes it, ``--check`` says whether it is stale (exit code 1).
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Sequence

from layerkit.plugins.written import write_page
from layerkit.testing import SUITES
from layerkit.testing.suite import Check, Suite

__all__ = ["main", "page"]

_HEAD = """# What the kit checks

<!-- Written by `python -m layerkit.testing.page docs/checks.md`: change the checks, then run it again. -->

Each check is one rule: its name, what it demands, and why. `layerkit plugins check NAME` runs them on everything that
an installed distribution offers, `layerkit.testing.conformance` makes a pytest test of each, and `check_layer(Scale)`
and its like return a report. A check that has nothing to try is skipped with the reason. One that does not hold by
intention is declared with a reason, and reported as soon as it holds all the same:
`@lk.example(..., expected_failures={"name_of_the_check": "why"})`.
"""


def page(suites: Iterable[Suite]) -> str:
    """The text of the page for these lists of checks.

    >>> print(page([Suite("number", "Numbers", int, minimum=1)]).splitlines()[-1])
    0 checks of a number, of which 1 have to run for a report that is worth something.
    """
    return "\n".join([_HEAD, *(line for suite in suites for line in _section(suite))]).rstrip() + "\n"


def main(arguments: Sequence[str]) -> int:
    """Writes the page to the path given, or with ``--check`` says whether it is stale; returns the exit code."""
    return write_page(arguments, page(SUITES.values()), "python -m layerkit.testing.page [--check] docs/checks.md")


def _section(suite: Suite) -> list[str]:
    enough = f"of which {suite.minimum} have to run for a report that is worth something."
    article = "an" if suite.kind[0] in "aeiou" else "a"
    lines = [f"## {suite.heading}", "", f"{len(suite.checks)} checks of {article} {suite.kind}, {enough}", ""]
    for group, checks in itertools.groupby(suite.checks, lambda check: check.group):
        lines += [f"### {group[:1].upper()}{group[1:]}", "", "| check | what it demands, and why |", "|---|---|"]
        lines += [*map(_row, checks), ""]
    return lines


def _row(check: Check) -> str:
    doc = check.doc.replace("``", "`").replace("|", "\\|")
    return f"| `{check.name}` | {doc} |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
