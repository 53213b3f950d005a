"""``check_distribution``: everything an installed distribution offers, tried by the kit."""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import json
import sys
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from layerkit.errors import LayerkitError, UsageError, suggest
from layerkit.plugins import loader
from layerkit.plugins.discovery import GROUP, Entry, discover
from layerkit.plugins.kind import Offer
from layerkit.plugins.problems import PluginWarning, ShadowWarning, explain, report
from layerkit.plugins.registry import registries
from layerkit.plugins.selection import VARIABLE, canonical
from layerkit.testing.report import Report
from layerkit.testing.suite import Suite

__all__ = ["DistributionReport", "check_distribution"]

_FOR_DEVELOPERS = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)


@dataclass(frozen=True)
class DistributionReport:
    """What the kit found in a distribution.

    ``faults`` are sentences about plugins of it that cannot be used, or not as their author meant; ``noise`` is what
    they print and warn of while they are imported; ``reports`` has one report for each thing it offers.
    """

    distribution: str
    version: str
    faults: tuple[str, ...]
    noise: tuple[str, ...]
    reports: tuple[Report, ...]

    def ok(self, strict: bool = False) -> bool:
        """Whether everything can be used and nothing fails; with ``strict``, nothing is printed or warned of either."""
        return not self.faults and all(report.ok for report in self.reports) and not (strict and self.noise)

    @property
    def summary(self) -> str:
        """One line: what was tried, and how it went."""
        bad = [report.subject for report in self.reports if not report.ok]
        kinds: dict[str, int] = {}
        for about in self.reports:
            kinds[about.kind] = kinds.get(about.kind, 0) + 1
        tried = ", ".join(f"{n} {kind}{'s' * (n > 1)}" for kind, n in kinds.items()) or "nothing that was checked"
        text = f"{self.distribution} {self.version}: {tried}"
        if self.faults:
            return f"{text}; it cannot be used as it is"
        if bad:
            return f"{text}; {len(bad)} failed: {', '.join(bad)}"
        return f"{text}; all passed" if self.reports else text

    def to_json(self, strict: bool = False) -> str:
        """One JSON object in one line, without the reports: each of them is a line of its own."""
        about = {"kind": "distribution", "subject": self.distribution, "version": self.version}
        return json.dumps({**about, "ok": self.ok(strict), "faults": self.faults, "noise": self.noise})


def check_distribution(
    name: str,
    suites: Mapping[str, Suite],
    checkers: Mapping[str, Callable[..., Report]],
    only: Collection[str] | None = None,
) -> DistributionReport:
    """Loads the plugins of one distribution, and tries all that they offer.

    Args:
        name: the distribution's name, or that of a module one of its entry points names.
        suites: the list of checks of each kind.
        checkers: what checks a thing of each kind.
        only: names of checks; kinds that have none of them are left out.

    Raises:
        UsageError: it is not installed, has no entry point of layerkit's, or is turned off; or a check is unknown, or
            has nothing to try.
    """
    _check_names(only, suites)
    entries = _entries_of(name)
    distribution, version = entries[0].distribution, entries[0].version
    for problem in discover().problems:  # other distributions', which is no fault of this one
        report(problem)
    faults: list[str] = []
    noise: list[str] = []
    reports: list[Report] = []
    with _listening(faults, noise):
        faults += _load(distribution)
        offers = {registry.kind: _usable(registry.offers_by(distribution), faults) for registry in registries.values()}
    # A model is a layer; one without an example may need to be told a vocabulary first.
    offers["layer"] += [offer for offer in offers["model"] if hasattr(offer.constructor, "layerkit_example")]
    if not faults:
        _check_offered(only, suites, distribution, offers)
    for kind, found in ((kind, offers[kind]) for kind in checkers):
        chosen = None if only is None else [check for check in only if check in suites[kind].names()]
        for offer in sorted(found) if chosen != [] else ():
            reports.append(checkers[kind](offer.constructor, **({} if chosen is None else {"only": chosen})))
    if not any(offers.values()) and not faults and not _adds_commands(distribution):
        faults.append(f"plugin {entries[0]} offers nothing: none of its hooks returns a constructor")
        report(faults[-1])
    return DistributionReport(distribution, version, tuple(dict.fromkeys(faults)), tuple(noise), tuple(reports))


def _check_names(only: Collection[str] | None, suites: Mapping[str, Suite]) -> None:
    known = {check for suite in suites.values() for check in suite.names()}
    for check in only or ():
        if check not in known:
            hint = suggest(check, known, f"docs/checks.md lists the {len(known)} there are")
            raise UsageError(f"unknown check {check!r}: {hint}")


def _check_offered(
    only: Collection[str] | None, suites: Mapping[str, Suite], distribution: str, offers: Mapping[str, Sequence[object]]
) -> None:
    """A check that has nothing to try would pass without a word."""
    for check in only or ():
        kinds = [kind for kind, suite in suites.items() if check in suite.names()]
        if not any(offers[kind] for kind in kinds):
            tried = " and ".join(f"{kind}s" for kind in kinds)
            raise UsageError(f"check {check!r} tries {tried}: {distribution} offers none")


def _entries_of(name: str) -> list[Entry]:
    """The entry points of a distribution, which may also be named by one of its modules."""
    found = discover()
    for entries in (found.entries, found.turned_off):
        by_name = [entry for entry in entries if canonical(entry.distribution) == canonical(name)]
        by_module = [entry for entry in entries if entry.value.partition(":")[0].partition(".")[0] == name]
        chosen = by_name or [entry for entry in by_module if entry.distribution == by_module[0].distribution]
        if chosen and entries is found.turned_off:
            raise UsageError(f"distribution {chosen[0].distribution!r} is turned off by {VARIABLE}: change it there")
        if chosen:
            return chosen
    try:
        version = importlib.metadata.version(name)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        known = {entry.distribution for entry in found.entries}
        raise UsageError(f"no distribution {name!r} is installed: {suggest(name, known)}") from None
    raise UsageError(
        f"distribution {name!r} {version} is no plugin: it has no entry point in the group {GROUP!r}; "
        f"write [project.entry-points.{GROUP}] in its pyproject.toml, and install it again"
    )


def _load(distribution: str) -> list[str]:
    """Imports the plugins of a distribution; a sentence about each that cannot be used."""
    broken = [plugin for plugin in loader.plugins_of(distribution) if not plugin.load()]
    return [explain(plugin.entry, plugin.error) for plugin in broken if plugin.error is not None]


def _usable(offers: list[Offer], faults: list[str]) -> list[Offer]:
    """The offers without those that were deferred and cannot be imported, of which a sentence is noted each."""
    usable = []
    for offer in offers:
        try:
            offer.constructor  # noqa: B018  # looking at it imports it
        except LayerkitError as error:
            faults.append(f"{offer.distribution} {offer.version}: {error}")
        else:
            usable.append(offer)
    return usable


def _adds_commands(distribution: str) -> bool:
    return any(plugin.implements("layerkit_commands") for plugin in loader.plugins_of(distribution))


@contextlib.contextmanager
def _listening(faults: list[str], noise: list[str]) -> Iterator[None]:
    """Notes what is printed and warned of inside, and hands it on afterwards."""
    printed = io.StringIO()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for category in _FOR_DEVELOPERS:
            warnings.simplefilter("ignore", category)
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            yield
    if text := " ".join(printed.getvalue().split()):
        noise.append(f"it prints {text[:200]!r}")
        sys.stderr.write(printed.getvalue())
    for warning in caught:
        said = " ".join(str(warning.message).split())
        if issubclass(warning.category, PluginWarning) and not issubclass(warning.category, ShadowWarning):
            faults.append(said)
        else:
            noise.append(f"it warns: {warning.category.__name__}: {said[:200]}")
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
