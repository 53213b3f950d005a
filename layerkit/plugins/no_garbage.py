"""Work that makes no garbage, and need not be looked through for it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["no_garbage"]


@contextmanager
def no_garbage() -> Iterator[None]:
    """Without garbage collections in the ``with`` block, unless there were none before.

    What a module makes as it is imported stays. 140,000 objects come with JAX, and Python would look through all of
    them several times on the way.
    """
    was_on = gc.isenabled()
    try:
        gc.disable()
        yield
    finally:
        if was_on:
            gc.enable()
