"""What a run of the kit found: one result a check, and the report they make together."""

from __future__ import annotations

import collections
import json
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Report", "Result"]

_WIDTH = 80
_BAD = ("failed", "error")


@dataclass(frozen=True)
class Result:
    """What one check found.

    ``status`` is ``"passed"``; ``"failed"``, the thing breaks the rule (or passes, though it was declared to fail);
    ``"skipped"``, the check has nothing to try here; ``"expected"``, it fails as declared; or ``"error"``, the check
    itself broke, which is the kit's fault. ``figures`` are numbers it measured, ``seconds`` among them.

    >>> Result("inputs_are_not_mutated", "passed").ok
    True
    """

    name: str
    status: str
    message: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """Whether nothing has to be done about it."""
        return self.status not in _BAD


@dataclass(frozen=True)
class Report:
    """The results for one thing. ``str(report)`` is a table of what failed, as declared or not, and a summary line.

    Args:
        kind: ``"layer"``, ``"optimizer"``, ...
        subject: the name of the thing.
        results: one for each check that was asked for, in the order of the list of checks.
        minimum: how many checks have to have run, for the report to be worth something.

    >>> results = (Result("one", "failed", "2 is not 3"), Result("two", "skipped", "it keeps no state"))
    >>> print(Report("layer", "Scale", results, minimum=1))
    one: failed
        2 is not 3
    layer Scale: ran 1 of 2, skipped 1, because it keeps no state; 1 failed: one
    """

    kind: str
    subject: str
    results: tuple[Result, ...]
    minimum: int = 1

    @property
    def ok(self) -> bool:
        """Whether nothing failed, and enough was tried."""
        return all(result.ok for result in self.results) and self.ran >= self.minimum

    @property
    def ran(self) -> int:
        """How many checks were tried to the end, whatever they found."""
        return len(self.results) - len(self.skipped)

    @property
    def skipped(self) -> tuple[Result, ...]:
        """The checks that had nothing to try."""
        return self._of("skipped")

    @property
    def failed(self) -> tuple[Result, ...]:
        """The checks that failed, and those that broke."""
        return self._of(*_BAD)

    def _of(self, *statuses: str) -> tuple[Result, ...]:
        return tuple(result for result in self.results if result.status in statuses)

    @property
    def summary(self) -> str:
        """One line: how many ran, how many were skipped and why, and how it went.

        >>> Report("layer", "Scale", (Result("one", "failed", "2 is not 3"),)).summary
        'layer Scale: ran 1 of 1; 1 failed: one'
        """
        text = f"{self.kind} {self.subject}: ran {self.ran} of {len(self.results)}"
        if self.skipped:
            text += f", skipped {len(self.skipped)}, because {_reasons(self.skipped)}"
        return f"{text}; {self._outcome()}"

    def _outcome(self) -> str:
        parts = []
        for status, words in (("failed", "failed"), ("error", "broke, which is the kit's fault")):
            if found := self._of(status):
                parts.append(f"{len(found)} {words}: {', '.join(result.name for result in found)}")
        if self.ran < self.minimum:
            parts.append(f"too few ran to tell anything: {self.minimum} have to")
        if expected := self._of("expected"):
            parts.append(f"{len(expected)} failed as declared")
        if self.ok and not self.ran:
            parts.append("nothing was tried")
        elif self.ok:
            parts.append("all others passed" if expected else "all passed")
        return "; ".join(parts)

    def table(self, everything: bool = False) -> str:
        """What failed, as declared or not, or all results, in at most 80 columns; the summary counts those skipped.

        >>> print(Report("layer", "Scale", (Result("one", "passed"),)).table(everything=True))
        one: passed
        """
        shown = [result for result in self.results if everything or result.status not in ("passed", "skipped")]
        return "\n".join(line for result in shown for line in _lines(result))

    @property
    def paragraph(self) -> str:
        """The summary in at most 80 columns."""
        return textwrap.fill(self.summary, _WIDTH, subsequent_indent="  ", break_on_hyphens=False)

    def __str__(self) -> str:
        return "\n".join(filter(None, [self.table(), self.paragraph]))

    def to_json(self) -> str:
        """One JSON object in one line: kind, subject, ok, ran, minimum, summary, and the results.

        >>> Report("layer", "Scale", ()).to_json()[:60]
        '{"kind": "layer", "subject": "Scale", "ok": false, "ran": 0,'
        """
        about = {name: getattr(self, name) for name in ("kind", "subject", "ok", "ran", "minimum", "summary")}
        return json.dumps({**about, "results": [_plain(result) for result in self.results]})


def _reasons(skipped: Sequence[Result]) -> str:
    """The reasons for which checks were skipped, the most frequent first, each with its number if there are several."""
    counts = collections.Counter(result.message for result in skipped).most_common()
    return ", ".join(reason if len(counts) == 1 else f"{reason} ({number})" for reason, number in counts)


def _lines(result: Result) -> list[str]:
    indent = "    "
    message = textwrap.wrap(result.message, _WIDTH, initial_indent=indent, subsequent_indent=indent)
    return [f"{result.name}: {result.status}", *message]


def _plain(result: Result) -> dict[str, object]:
    # JSON has no NaN: a figure that is not finite is written as text.
    figures = {
        name: value if abs(value) < float("inf") else str(value) for name, value in sorted(result.figures.items())
    }
    return {"name": result.name, "status": result.status, "message": result.message, "figures": figures}
