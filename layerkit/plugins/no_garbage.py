"""Work that makes no garbage, and need not be looked through for it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["no_garbage"]


@contextmanager
def no_garbage() -> Iterator[None]:
    """Without garbage collections in the ``with`` block; what was made in it is then among the oldest objects.

    What a module makes as it is imported stays. 140,000 objects come with JAX, and Python would look through all of
    them several times on the way, and twice more when they are no longer new, before they count as old.
    """
    was_on = gc.isenabled()
    try:
        gc.disable()
        yield
    finally:
        if not gc.get_freeze_count():  # or what somebody else froze would thaw
            gc.freeze()
            gc.unfreeze()
        if was_on:
            gc.enable()
