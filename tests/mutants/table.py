"""The table of mutants: a decorator puts a layer on it, with the check that is meant for its fault."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import layerkit as lk

__all__ = ["MUTANTS", "Mutant", "breaks"]

Constructor = TypeVar("Constructor", bound=Callable[..., Any])


@dataclass(frozen=True)
class Mutant:
    """A constructor of broken layers, the check that catches it, and a word of what that says."""

    constructor: Callable[..., Any]
    check: str
    says: str
    inputs: tuple[Any, ...]
    options: dict[str, Any]


MUTANTS: list[Mutant] = []


def breaks(check: str, says: str, *inputs: Any, **options: Any) -> Callable[[Constructor], Constructor]:
    """Puts a constructor on the table; it is tried on a float32 (4, 3) unless other inputs are given."""

    def add(constructor: Constructor) -> Constructor:
        MUTANTS.append(Mutant(constructor, check, says, inputs or (lk.f32(4, 3),), options))
        return constructor

    return add
