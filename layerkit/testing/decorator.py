"""The kit in pytest: one test a check."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from layerkit.errors import UsageError, suggest
from layerkit.testing.report import Result
from layerkit.testing.suite import Suite

__all__ = ["conformance_of"]


def conformance_of(
    suite: Suite, thing: Any, *inputs: Any, expected_failures: Mapping[str, str] | None = None, **options: Any
) -> Callable[[Callable[..., None]], Any]:
    """The decorator of ``layerkit.testing.conformance`` for one kind of thing.

    The case is made when the first test runs, not while tests are collected, and all of them share it.
    """
    for name in expected_failures or {}:
        if name not in suite.names():
            raise UsageError(f"unknown check {name!r}: {suggest(name, suite.names())}")

    @functools.cache
    def case() -> Any:
        return suite.case(thing, *inputs, **options)

    def result_of(name: str) -> Result:
        made = case()
        expected = {**getattr(made, "expected_failures", {}), **(expected_failures or {})}
        return suite.run(made, name, [name], expected).results[0]

    def decorate(function: Callable[..., None]) -> Any:
        import pytest

        # No functools.wraps: pytest would look for fixtures in the signature of the function beneath.
        def test(check: str) -> None:
            result = result_of(check)
            if result.status == "skipped":
                pytest.skip(f"because {result.message}")
            if result.status == "expected":
                pytest.xfail(result.message)
            if not result.ok:
                pytest.fail(f"{check}: {result.message}", pytrace=False)
            function()

        test.__name__, test.__doc__, test.__module__ = function.__name__, function.__doc__, function.__module__
        test.__qualname__ = function.__qualname__
        return pytest.mark.parametrize("check", suite.names())(test)

    return decorate
