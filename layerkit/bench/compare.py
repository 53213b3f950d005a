"""A run beside an earlier one: what became slower, as far as that can be shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from layerkit.bench import environment
from layerkit.bench.result import SCHEMA, Result, Row
from layerkit.bench.schema import fault_in
from layerkit.bench.sizes import CaseName, Size
from layerkit.bench.statistics import Estimate, ratio_of_runs, verdict
from layerkit.bench.text import wrapped
from layerkit.bench.words import multiple
from layerkit.errors import UsageError, os_reason
from layerkit.files import sealed

__all__ = ["Change", "Comparison", "compare", "read", "require_common"]


@dataclass(frozen=True)
class Change:
    """A row, and its steady time as a multiple of the earlier one; ``fault`` says why there is none."""

    row: Row
    ratio: Estimate | None
    fault: str = ""

    def slower(self, share: float) -> bool:
        """Whether a slow-down by more than this share is shown: the whole interval lies beyond it."""
        return self.ratio is not None and self.ratio.low is not None and self.ratio.low > 1 + share

    def __str__(self) -> str:
        what = f"{self.row.label} {self.row.mode}, {self.row.backend}"
        if self.ratio is None:
            return f"{what}: {self.fault}"
        if not self.ratio.known:
            return f"{what}: {multiple(self.ratio.median)} times the earlier time, too few processes for an interval"
        low, middle, high = map(multiple, (self.ratio.low, self.ratio.median, self.ratio.high))
        return f"{what}: {verdict(self.ratio)}, {middle} [{low}, {high}] times the earlier time"


@dataclass(frozen=True)
class Comparison:
    """All rows of a run that an earlier run has too."""

    changes: tuple[Change, ...]
    versions: tuple[str, ...]
    """What is installed in other versions, or set otherwise, than then."""

    def slower(self, share: float) -> list[Change]:
        """The changes that are shown to be slow-downs by more than this share."""
        return [change for change in self.changes if change.slower(share)]

    def __str__(self) -> str:
        lines = ["Against the earlier run", *(wrapped(f"{change}", "  ") for change in self.changes)]
        return "\n".join([*lines, *(wrapped(f"{version}", "  ") for version in self.versions)])


def read(path: str | Path) -> dict[str, Any]:
    """An earlier run's JSON, of this machine.

    Raises:
        UsageError: the file cannot be read, has another form, or was written on another machine.
    """
    what = f"comparison file {str(path)!r}"
    try:
        earlier: dict[str, Any] = sealed.parse(Path(path).read_bytes())
    except OSError as error:
        raise UsageError(f"{what} cannot be read: {os_reason(error)}") from error
    except ValueError as error:
        raise UsageError(f"{what} cannot be used: {error}: write it anew with --json") from error
    found = earlier.get("schema") if isinstance(earlier, dict) else None
    if found != SCHEMA:
        raise UsageError(f"{what} has the schema {found!r}, and {SCHEMA!r} is due: write it anew with --json")
    if fault := fault_in(earlier):
        raise UsageError(f"{what} does not fit its schema: {fault}")
    if other := environment.same_machine(earlier["machine"], environment.machine()):
        raise UsageError(f"{what} is from another machine ({other}): times can be compared on one alone")
    return earlier


def compare(result: Result, earlier: Mapping[str, Any]) -> Comparison:
    """The rows of a result beside the same ones of what ``read`` gave.

    Raises:
        UsageError: the earlier run has none of them.
    """
    require_common([(row.case, row.backend) for row in result.rows], earlier)
    known = {_key(row): row for row in earlier["rows"]}
    changes = [_change(row, known.get((row.case, row.backend))) for row in result.rows if row.ok]
    return Comparison(tuple(changes), tuple(_versions(result, earlier)))


def require_common(cases: Iterable[tuple[CaseName, str]], earlier: Mapping[str, Any]) -> None:
    """Raises unless the earlier run has one of these cases, each on a backend.

    Raises:
        UsageError: it has none.
    """
    if {_key(row) for row in earlier["rows"]}.isdisjoint(cases):
        raise UsageError("the comparison file has none of these cases: measure the same names, sizes and backends")


def _change(row: Row, before: Mapping[str, Any] | None) -> Change:
    if before is None:
        return Change(row, None, "the earlier run does not have it")
    if not before["per_process"]:
        return Change(row, None, f"it failed in the earlier run: {before['fault']}")
    if before["device"] != row.device:
        return Change(row, None, f"it ran on {before['device']} then, and on {row.device} now: not compared")
    return Change(row, ratio_of_runs(row.per_process, before["per_process"]))


def _key(row: Mapping[str, Any]) -> tuple[CaseName, str]:
    return CaseName(row["kind"], row["name"], Size(**row["size"]), row["mode"]), row["backend"]


def _versions(result: Result, earlier: Mapping[str, Any]) -> list[str]:
    before = {"layerkit": earlier["software"]["layerkit"], "python": earlier["software"]["python"]}
    now = {"layerkit": result.software["layerkit"], "python": result.software["python"]}
    for backend in result.backends.keys() & earlier["backends"].keys():
        now |= result.backends[backend]["environment"]
        before |= earlier["backends"][backend]["environment"]
    return [
        f"{name}: {before.get(name, 'not there')} then, {now.get(name, 'not there')} now"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name)
    ]
