"""The frame of the kit: what a check is, the list of those there are, and how they are run."""

from __future__ import annotations

import contextlib
import io
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from layerkit.errors import LayerkitError, UsageError, suggest
from layerkit.plugins.problems import one_line
from layerkit.testing.report import Report, Result

__all__ = ["Check", "Fault", "Skip", "Suite"]

Function = TypeVar("Function", bound=Callable[[Any], None])

_LONGEST = 600


class Fault(Exception):
    """Raised by a check: a sentence that says which rule is broken, with the numbers."""


class Skip(Exception):
    """Raised by a check that has nothing to try: the reason, in words that follow "because"."""


@dataclass(frozen=True)
class Check:
    """One rule that things of a kind keep: its name, what it demands and why, and the function that tries it.

    The function takes a case, and returns nothing, or raises ``Fault`` or ``Skip``. It may leave numbers in
    ``case.figures``.
    """

    name: str
    group: str
    doc: str
    function: Callable[[Any], None]


@dataclass
class Suite:
    """All checks of a kind, and how to make a case of a thing that they are tried on.

    A check is a function of a case, with one sentence of documentation; a file that defines some adds them to the list:

    >>> suite = Suite("number", "numbers", int, minimum=1)
    >>> @suite.check("sign")
    ... def is_positive(case):
    ...     '''It is more than 0, so that its logarithm can be taken.'''
    ...     if case <= 0:
    ...         raise Fault(f"{case} is not more than 0")
    >>> suite.run(suite.case(3), "three").ok
    True
    >>> print(suite.run(suite.case(-3), "minus three"))
    is_positive: failed
        -3 is not more than 0
    number minus three: ran 1 of 1; 1 failed: is_positive
    """

    kind: str
    """What the things are called: ``layer``."""

    heading: str
    """What their part of the list of checks is called."""

    new_case: Callable[..., Any]
    """Makes the case of a thing: what all checks share.

    It raises nothing for a fault of the thing. If nothing can be tried, ``case.problem`` says why, for the first check.
    """

    minimum: int
    """How many checks have to run for a report that is worth something."""

    checks: list[Check] = field(default_factory=list)

    def check(self, group: str) -> Callable[[Function], Function]:
        """Decorates a function of a case: it becomes the check of its name."""

        def add(function: Function) -> Function:
            doc = " ".join((function.__doc__ or "").split())
            if not doc or any(known.name == function.__name__ for known in self.checks):
                raise LayerkitError(f"check {function.__name__}: it needs a docstring, and a name of its own")
            self.checks.append(Check(function.__name__, group, doc, function))
            return function

        return add

    def case(self, *args: Any, **options: Any) -> Any:
        """What the checks are tried on, for a thing and what there is to say about it."""
        with _quietly():
            return self.new_case(*args, **options)

    def names(self) -> list[str]:
        """The names of all checks."""
        return [check.name for check in self.checks]

    def run(
        self,
        case: Any,
        subject: str,
        only: Collection[str] | None = None,
        expected_failures: Mapping[str, str] | None = None,
    ) -> Report:
        """Tries the checks on a case, one after the other, whatever becomes of each.

        Raises:
            UsageError: ``only`` or ``expected_failures`` name a check that there is not, or none, or give no reason.
        """
        chosen = [only] if isinstance(only, str) else only
        if chosen is not None and not chosen:
            raise UsageError("no check is asked for: name some, or leave out 'only'")
        expected = dict(expected_failures or {})
        for name in [*(chosen or ()), *expected]:
            if name not in self.names():
                hint = suggest(name, self.names(), f"layerkit.testing.checks lists the {len(self.checks)} there are")
                raise UsageError(f"unknown check {name!r}: {hint}")
        for name, reason in expected.items():
            if not isinstance(reason, str) or not reason.strip():
                raise UsageError(f"check {name!r} is declared to fail without a reason: say why in a sentence")
        # Where a thing cannot be tried at all, the first check says why, and nothing else can be told.
        hopeless = bool(getattr(case, "problem", ""))
        checks = [check for check in self.checks if chosen is None or check.name in chosen]
        if hopeless and self.checks[0] not in checks:
            checks.insert(0, self.checks[0])
        results = tuple(
            Result(check.name, "skipped", f"{self.checks[0].name} failed")
            if hopeless and check is not self.checks[0]
            else _run(check, case, expected.get(check.name))
            for check in checks
        )
        return Report(self.kind, subject, results, self.minimum if chosen is None else 0)


def _run(check: Check, case: Any, reason: str | None) -> Result:
    figures = getattr(case, "figures", {})
    figures.clear()
    began = time.perf_counter()
    with _quietly():
        status, message = _try(check, case)
    figures["seconds"] = round(time.perf_counter() - began, 6)
    if reason is not None and status == "failed":
        status, message = "expected", f"{reason} ({message})"
    elif reason is not None and status == "passed":
        status, message = "failed", f"it passes, though it is declared to fail: {reason}"
    return Result(check.name, status, message, dict(figures))


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without what things print (a layer may, at every call), and whatever is set about warnings."""
    nowhere = io.StringIO()
    with (
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
        warnings.catch_warnings(),
    ):
        # Whether a warning is an error must not depend on who runs the kit; one check is about warnings.
        warnings.simplefilter("ignore")
        yield


def _try(check: Check, case: Any) -> tuple[str, str]:
    try:
        check.function(case)
    except Skip as skip:
        return "skipped", _shortened(str(skip))
    except (Fault, LayerkitError) as fault:
        return "failed", _shortened(str(fault))
    except SystemExit as error:
        return "failed", f"it ends the program: {one_line(error).removeprefix('it ')}"
    except Exception as error:
        return "error", f"the check itself broke, please report it: {one_line(error)}"
    return "passed", ""


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
