"""What checks of a backend share: the backend, the one it is held to, and what both make of the table of operations."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as onp

from layerkit import fastmath
from layerkit.errors import LayerkitError
from layerkit.fastmath import nested_map, tree_leaves, use_backend
from layerkit.fastmath import numpy as np
from layerkit.plugins import registry
from layerkit.testing.blame import faults_of, installed_backends
from layerkit.testing.more_operations import METHODS, OPERATIONS
from layerkit.testing.operations import LANGUAGE, Row
from layerkit.testing.suite import Fault, Skip, Suite
from layerkit.testing.trial import REFERENCE

__all__ = ["BACKENDS", "TABLES", "BackendCase", "Pair", "as_arrays", "check", "compute", "demand_like"]

TABLES = {"np": LANGUAGE, "array": METHODS, "fastmath": OPERATIONS}

_RTOL, _ATOL = 2e-5, 2e-6


class Pair(NamedTuple):
    """A record, as layers keep their weights in."""

    left: Any
    right: Any


@dataclass
class BackendCase:
    """A backend: its name, or a constructor, which is registered if it is not yet.

    Raises:
        UsageError: no backend has that name.
    """

    subject: Any
    figures: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.name = self.subject if isinstance(self.subject, str) else _registered(self.subject)
        registry.backends.get(self.name)
        self.problem = ""
        try:
            registry.make_backend(self.name)
        except LayerkitError as error:
            self.problem = str(error)

    @functools.cached_property
    def reference(self) -> str:
        """The backend to compare with: NumPy's, or for that the first other one.

        Raises:
            Skip: there is no other.
        """
        if self.name.rpartition(":")[2] != REFERENCE:
            return REFERENCE
        others = [name for name in installed_backends() if name != REFERENCE]
        if not others:
            raise Skip("no other backend is installed to compare with")
        return others[0]

    def results(self, table: str) -> list[tuple[Row, list[Any] | str]]:
        """For each row of a table what the backend gives, or the exception it raises, in words."""
        return _results(self.name, table) if self.name in installed_backends() else _compute_all(self.name, table)

    def wanted(self, table: str) -> list[list[Any]]:
        """For each row of a table what it should give: NumPy's numbers, or the reference backend's."""
        if all(row.plain for row in TABLES[table]):
            return _plain_results(table)
        found = [result for _, result in _results(self.reference, table)]
        return [result if isinstance(result, list) else [] for result in found]


BACKENDS = Suite("backend", "Backends", BackendCase, minimum=25)


def _registered(constructor: Any) -> str:
    """The name under which a constructor can be asked for."""
    for offer in registry.backends.offers():
        if offer.constructor is constructor:
            return offer.qualified if offer.distribution != "layerkit" else offer.name
    return str(registry.backends.register(constructor).__name__)


def check(group: str) -> Callable[[Callable[[BackendCase], None]], Any]:
    """Adds a check, which runs with the case's backend active."""

    def add(function: Callable[[BackendCase], None]) -> Any:
        @functools.wraps(function)
        def run(case: BackendCase) -> None:
            if case.problem:
                raise Fault(case.problem)
            with use_backend(case.name), faults_of(f"backend {case.name}"):
                function(case)

        return BACKENDS.check(group)(run)

    return add


@functools.cache
def _results(name: str, table: str) -> list[tuple[Row, list[Any] | str]]:
    return _compute_all(name, table)


def _compute_all(name: str, table: str) -> list[tuple[Row, list[Any] | str]]:
    found: list[tuple[Row, list[Any] | str]] = []
    with use_backend(name):
        for row in TABLES[table]:
            try:
                found.append((row, compute(row)))
            except Exception as error:
                found.append((row, f"it raises {type(error).__name__}: {' '.join(str(error).split()):.120}"))
    return found


@functools.cache
def _plain_results(table: str) -> list[list[Any]]:
    found = []
    for row in TABLES[table]:
        with onp.errstate(all="ignore"):
            result = row.plain(*row.args, **row.kwargs) if row.plain else ()
        found.append([leaf if type(leaf) in (int, bool) else _narrow(leaf) for leaf in tree_leaves(result)])
    return found


def _narrow(x: Any) -> Any:
    """NumPy's numbers in the 32 bits that backends compute in."""
    x = onp.asarray(x)
    return x.astype({"f": "float32", "i": "int32", "u": "uint32", "c": "complex64"}[x.dtype.kind]) if _wide(x) else x


def _wide(x: Any) -> bool:
    return bool(x.dtype.itemsize == (16 if x.dtype.kind == "c" else 8))


def as_arrays(tree: Any) -> Any:
    """The tree with the active backend's arrays for NumPy's."""
    return nested_map(lambda x: np.asarray(x) if isinstance(x, (onp.ndarray, onp.generic)) else x, tree)


def compute(row: Row) -> list[Any]:
    """What the row gives on the active backend: NumPy arrays, and Python's own numbers as they are."""
    result = row.function(*as_arrays(row.args), **as_arrays(row.kwargs))
    return [leaf if type(leaf) in (int, bool) else fastmath.to_host(leaf) for leaf in tree_leaves(result)]


def difference(got: list[Any], wanted: list[Any], forms: bool = True, rtol: float = _RTOL, atol: float = _ATOL) -> str:
    """What is different between two lists of arrays or numbers, in words; empty if nothing is.

    Args:
        got, wanted: NumPy arrays, and Python's own whole numbers and truths.
        forms: whether dtypes count too.
        rtol, atol: how far numbers may be apart: ``atol + rtol * |wanted|``.

    >>> difference([onp.float32([1, 2])], [onp.float32([1, 3])])
    '2.0 at [1] should be 3.0'
    """
    if len(got) != len(wanted):
        return f"{len(got)} arrays should be {len(wanted)}"
    for ours, theirs in zip(got, wanted, strict=True):
        if found := _difference(ours, theirs, forms, rtol, atol):
            return found
    return ""


def _difference(ours: Any, theirs: Any, forms: bool, rtol: float, atol: float) -> str:
    if type(ours) in (int, bool) or type(theirs) in (int, bool):
        return "" if onp.shape(ours) == () and ours == theirs else f"{ours!r} should be {theirs!r}"
    ours, theirs = onp.asarray(ours), onp.asarray(theirs)
    if ours.shape != theirs.shape:
        return f"shape {ours.shape} should be {theirs.shape}"
    if forms and ours.dtype != theirs.dtype:
        return f"dtype {ours.dtype.name} should be {theirs.dtype.name}"
    if theirs.dtype == onp.float16:
        rtol = max(rtol, 2e-3)
    near = onp.isclose(ours, theirs, rtol if theirs.dtype.kind in "fc" else 0.0, atol, equal_nan=True)
    if near.all():
        return ""
    at = tuple(int(i) for i in onp.argwhere(~near)[0]) if ours.shape else ()
    return f"{ours[at]}{f' at {list(at)}' if at else ''} should be {theirs[at]}"


def demand_like(what: str, got: Any, wanted: Any, rtol: float = _RTOL, atol: float = _ATOL) -> None:
    """A ``Fault`` unless a result of the active backend holds these numbers, with shapes and dtypes."""
    ours = [leaf if type(leaf) in (int, bool) else onp.asarray(fastmath.to_host(leaf)) for leaf in tree_leaves(got)]
    theirs = [leaf if type(leaf) in (int, bool) else _narrow(leaf) for leaf in tree_leaves(wanted)]
    if found := difference(ours, theirs, True, rtol, atol):
        raise Fault(f"{what}: {found}")
