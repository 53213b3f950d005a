"""What the NumPy backend can tell about itself: the memory that a call takes, and the libraries it computes with."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as onp

from layerkit.fastmath import tree_leaves

__all__ = ["environment", "memory_stats", "program_cost"]

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def program_cost(program: Callable[..., Any], *args: Any) -> dict[str, float]:
    """``memory``, by one call of the program while Python keeps count; nobody counts NumPy's operations."""
    import tracemalloc  # no program needs it that is not measured

    given = sum(float(onp.asarray(leaf).nbytes) for leaf in tree_leaves(args))
    running = tracemalloc.is_tracing()
    if not running:
        tracemalloc.start(1)
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        program(*args)
        return {"memory": given + max(0, tracemalloc.get_traced_memory()[1] - before)}
    finally:
        if not running:
            tracemalloc.stop()


def memory_stats() -> dict[str, float]:
    """Nothing: it computes in the machine's own memory."""
    return {}


def environment() -> dict[str, str]:
    """NumPy, autograd, the library that multiplies matrices, and the settings for its threads."""
    from importlib import metadata  # slow to import, and nobody else needs it

    blas = onp.show_config(mode="dicts")["Build Dependencies"].get("blas", {})  # type: ignore[call-overload]
    found = {
        "numpy": onp.__version__,
        "autograd": metadata.version("autograd"),
        "blas": f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip(),
    }
    return found | {name: os.environ[name] for name in _THREADS if name in os.environ}
