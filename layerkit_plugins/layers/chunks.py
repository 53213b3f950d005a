"""Attention in chunks: a long sequence is cut, and each chunk of queries meets the chunks of keys around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from layerkit.fastmath import numpy as np
from layerkit_plugins.layers.attending import UNSEEN, Part, cut, joined, see

__all__ = ["Window", "mean_seen", "rms_normalized", "see_window"]


class Window(NamedTuple):
    """How long a chunk is, and how many chunks before and after its own a query meets."""

    size: int
    before: int
    after: int

    def around(self, x: Any, axis: int) -> Any:
        """As ``cut``, each chunk between those before and after it; zeros beyond the ends."""
        axis %= len(x.shape)
        x = cut(x, axis, self.size)
        if not self.before and not self.after:
            return x
        n = x.shape[axis]
        padded = np.pad(x, [(self.before, self.after) if i == axis else (0, 0) for i in range(len(x.shape))])
        front = (slice(None),) * axis
        parts = [padded[(*front, slice(i, i + n))] for i in range(self.before + 1 + self.after)]
        return np.concatenate(parts, axis=axis + 1)


def see_window(
    q: Any,
    k: Any,
    v: Any,
    window: Window,
    at: tuple[Any, Any],
    look: Callable[[Any, Any], tuple[Any, Any]],
    dropped: Callable[[Any], Any],
) -> Part:
    """What queries (..., l, d), scaled already, get from the keys of their window.

    ``at`` are whole numbers, (..., l), which say what a query and a key are; they are 0 where there is none. ``look``
    makes of those of queries (..., c, 1) and of keys (..., 1, w) what is seen, and what is added to the scores.
    """
    length = q.shape[-2]
    of_queries, of_keys = cut(at[0], -1, window.size), window.around(at[1], -1)
    seen, bias = look(np.expand_dims(of_queries, -1), np.expand_dims(of_keys, -2))
    part = see(cut(q, -2, window.size), window.around(k, -2), window.around(v, -2), seen, dropped, bias)
    return Part(*(joined(x, length) for x in part))


def mean_seen(part: Part) -> Any:
    """The mean of the values that were seen; zeros for a query that saw none."""
    return np.where(part.peak <= UNSEEN / 2, 0, part.y / part.total)


def rms_normalized(x: Any) -> Any:
    """Keys made of shared queries: vectors of a mean square of 1, so that no position drowns out the others."""
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + 1e-6)
