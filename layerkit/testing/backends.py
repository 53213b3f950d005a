"""``check_backend``: is a backend the array language that layers are written in?"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from layerkit.testing import backend_checks
from layerkit.testing.backend_case import BACKENDS, BackendCase
from layerkit.testing.report import Report

__all__ = ["check_backend"]

_ = backend_checks  # importing them has put them on the list


def check_backend(
    backend: Any,
    *,
    only: Collection[str] | None = None,
    expected_failures: Mapping[str, str] | None = None,
) -> Report:
    """Tries a backend on every rule for backends: against NumPy, and against the reference backend.

    Args:
        backend: a registered backend's name, ``"numpy"`` or ``"distribution:name"``, or what a plugin's hook returns: a
            function that makes it, which is registered if it is not yet.
        only: names of checks, to try those alone.
        expected_failures: for each check that is known to fail, the reason.

    Raises:
        UsageError: no backend has that name, or a check is named that there is not.

    >>> print(check_backend("numpy", only=["has_every_member", "numpy_has_every_name"]))
    backend numpy: ran 2 of 2; all passed
    """
    case = BackendCase(backend)
    return BACKENDS.run(case, case.name, only, expected_failures)
