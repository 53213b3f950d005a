"""Whether what a backend tells about itself can be used; it need not tell anything."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from layerkit.fastmath import measures
from layerkit.fastmath import numpy as np
from layerkit.fastmath.backend import active
from layerkit.testing.backend_case import BackendCase, check
from layerkit.testing.blame import demand

__all__: list[str] = []

_FIGURES = {
    "compile_seconds": ("trace", "compile"),
    "program_cost": ("flops", "bytes", "memory"),
    "memory_stats": ("limit", "in_use", "peak"),
}


@check("figures")
def figures_are_plain(case: BackendCase) -> None:
    """What it tells about itself for ``layerkit bench``, if anything, has the known names and finite numbers from 0 up.

    Time spent on compiling never falls, and a second call with the same shapes adds none.
    """
    backend = active()
    program, x = backend.jit(lambda x: np.sin(x) * 2.75 - 0.5), np.ones((8, 8))
    spent = []
    for _ in range(2):
        backend.block_until_ready(program(x))
        spent.append(measures.compile_seconds(backend))
    _demand_plain("compile_seconds", spent[0])
    demand(spent[0] == spent[1], f"compile_seconds() is {spent[0]} after a call, {spent[1]} after another like it")
    _demand_plain("program_cost", measures.program_cost(backend, program, x))
    _demand_plain("memory_stats", measures.memory_stats(backend))
    words: Any = measures.environment(backend)
    demand(all(isinstance(name, str) and name for name in words), f"environment() is {words!r}: names are due")


def _demand_plain(member: str, found: Mapping[str, Any]) -> None:
    strange = sorted(set(found) - set(_FIGURES[member]))
    demand(not strange, f"{member}() has {', '.join(strange)}; known are {', '.join(_FIGURES[member])}")
    for name, value in found.items():
        fine = isinstance(value, (int, float)) and math.isfinite(value) and value >= 0
        demand(fine, f"{member}() says that {name} is {value!r}: a finite number from 0 up is due")
