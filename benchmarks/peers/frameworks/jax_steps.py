"""What a training loop around a compiled step looks like in every framework on JAX."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import jax
from jobs import Job

from frameworks import Run

__all__ = ["repeat"]


def repeat(step: Callable[..., Any], carry: tuple[Any, ...], job: Job) -> Run:
    """``run(n)`` for ``step(*carry, ids, targets) -> (*carry, loss)``."""
    batches = itertools.cycle(job.batches())

    def run(n: int) -> float:
        nonlocal carry
        for _ in range(n):
            *carry, loss = step(*carry, *next(batches))
        jax.block_until_ready((carry, loss))
        return float(loss)

    return run
