"""Features shared out to the heads of an attention, and put side by side again."""

from __future__ import annotations

from typing import Any

import layerkit as lk
from layerkit import arguments
from layerkit.fastmath import numpy as np
from layerkit_plugins.layers.attending import merge_heads, split_heads

__all__ = ["MergeHeads", "SplitIntoHeads"]


@lk.example(lk.f32(2, 5, 8), n_heads=2, rows_independent=False)
def SplitIntoHeads(n_heads: int, merged_batch_and_head: bool = True) -> lk.Layer:
    """The features shared out to heads.    x: (b, l, d)    y: (b * n_heads, l, d / n_heads)

    Args:
        n_heads: how many heads there are.
        merged_batch_and_head: whether batch and heads are one axis; else y is (b, n_heads, l, d / n_heads).

    Raises:
        LayerError: the heads cannot share the features evenly.

    >>> SplitIntoHeads(2)([[[1.0, 2.0], [3.0, 4.0]]]).tolist()
    [[[1.0], [3.0]], [[2.0], [4.0]]]
    """
    n_heads = arguments.whole_number("SplitIntoHeads", "n_heads", n_heads)

    def split(x: Any) -> Any:
        y = split_heads(x, n_heads)
        return np.reshape(y, (y.shape[0] * n_heads, *y.shape[2:])) if merged_batch_and_head else y

    return lk.Fn("SplitIntoHeads", split)


@lk.example(lk.f32(4, 5, 8), n_heads=2, rows_independent=False)
def MergeHeads(n_heads: int, merged_batch_and_head: bool = True) -> lk.Layer:
    """The features of all heads side by side again.    x: (b * n_heads, l, d)    y: (b, l, n_heads * d)

    Args:
        n_heads: how many heads there are.
        merged_batch_and_head: whether batch and heads are one axis; else x is (b, n_heads, l, d).

    Raises:
        LayerError: x has other axes, or does not hold ``n_heads`` heads.

    >>> MergeHeads(2)([[[1.0], [3.0]], [[2.0], [4.0]]]).tolist()
    [[[1.0, 2.0], [3.0, 4.0]]]
    """
    n_heads = arguments.whole_number("MergeHeads", "n_heads", n_heads)

    def merge(x: Any) -> Any:
        if merged_batch_and_head:
            if len(x.shape) != 3 or x.shape[0] % n_heads:
                raise lk.LayerError(f"expected ({n_heads} x batch, length, features of a head), got {tuple(x.shape)}")
            x = np.reshape(x, (x.shape[0] // n_heads, n_heads, *x.shape[1:]))
        elif x.shape[1:2] != (n_heads,):
            raise lk.LayerError(f"expected (batch, {n_heads}, length, features of a head), got {tuple(x.shape)}")
        return merge_heads(x)

    return lk.Fn("MergeHeads", merge)
