"""What every attention computes: means of values, whole or in chunks, under masks that say what may be seen."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import layerkit as lk
from layerkit import arguments, fastmath
from layerkit.fastmath import numpy as np
from layerkit.fastmath import random
from layerkit_plugins.layers.inputs import as_float, in_dtype_of, require_rank, require_some

__all__ = [
    "UNSEEN",
    "Part",
    "Sight",
    "attend",
    "both",
    "check_fit",
    "check_mask",
    "checked_heads",
    "cut",
    "dropout_of_weights",
    "joined",
    "merge_heads",
    "nothing_seen",
    "see",
    "split_heads",
]

# What a score becomes that may not be seen: exp of it is 0 beside any other.
UNSEEN = -1e9


class Sight(NamedTuple):
    """Which keys a query may see.

    ``mask`` is true where it may, and broadcasts against (..., queries, keys). With ``start``, query i stands at
    position ``start`` + i, and sees keys up to its own position alone.
    """

    mask: Any = None
    start: Any = None

    def of(self, queries: Any, keys: Any, n_keys: int) -> Any:
        """What queries at these positions may see of keys at those, of which there are ``n_keys``; ``None``: all."""
        seen = self.mask
        if self.start is not None:
            before = keys <= np.expand_dims(self.start + queries, -1)
            seen = before if seen is None else np.logical_and(seen, before)
        if keys.shape[0] and n_keys % keys.shape[0]:
            real = keys < n_keys
            seen = real if seen is None else np.logical_and(seen, real)
        return seen


def attend(
    q: Any,
    k: Any,
    v: Any,
    sight: Sight,
    dropout: float = 0.0,
    rng: Any = None,
    chunk_size: int | None = None,
    bias: Any = None,
) -> Any:
    """softmax(q k^T / sqrt(d) + bias) v; zeros for a query that sees no key.

    q: (..., m, d)    k: (..., n, d)    v: (..., n, e)

    Dropout sets weights to 0 where there is a key for it. With ``chunk_size``, weights are made for that many queries
    and keys at a time, and made again for the gradient: memory grows with the length, not with its square. A ``bias``,
    (..., m, n), goes with whole attention alone.
    """
    check_fit(q, k, v)
    require_some(k, -2, "attention")
    q, k, v = as_float(q), as_float(k), as_float(v)
    q = in_dtype_of(q, q * (1 / math.sqrt(max(q.shape[-1], 1))))
    dropped = dropout_of_weights(dropout, rng)
    if chunk_size is None or max(q.shape[-2], k.shape[-2]) <= chunk_size:
        n = k.shape[-2]
        seen = sight.of(np.arange(q.shape[-2]), np.arange(n), n)
        part = see(q, k, v, seen, lambda weights: dropped(weights, 0), bias)
        y = part.y / part.total
    else:
        y = _in_chunks(q, k, v, sight, dropped, chunk_size)
    if sight.mask is not None:
        y = np.where(np.any(sight.mask, axis=-1, keepdims=True), y, 0)
    return in_dtype_of(v, y)


# -- one block of queries and keys ------------------------------------------------------------------------------------


class Part(NamedTuple):
    """What some of the keys give: sum(w v) and sum(w), w = exp(score - peak)."""

    y: Any
    total: Any
    peak: Any


def see(q: Any, k: Any, v: Any, seen: Any, dropped: Callable[[Any], Any], bias: Any = None) -> Part:
    """What queries (..., m, d), scaled already, get from keys (..., n, d), where ``seen`` (..., m, n) is true."""
    scores = np.matmul(q, np.swapaxes(k, -1, -2))
    if bias is not None:
        scores = scores + bias
    if seen is not None:
        scores = np.where(seen, scores, UNSEEN)
    # What the peak is makes no difference to the quotient, and therefore none to the gradient.
    peak = fastmath.stop_gradient(np.max(scores, axis=-1, keepdims=True))
    weights = np.exp(scores - peak)
    return Part(np.matmul(dropped(weights), v), np.sum(weights, axis=-1, keepdims=True), peak)


def nothing_seen(q: Any, v: Any) -> Part:
    """What no keys give."""
    none = np.zeros((*q.shape[:-1], 1), q.dtype)
    return Part(np.zeros((*q.shape[:-1], v.shape[-1]), v.dtype), none, none + UNSEEN)


def both(one: Part, other: Part) -> Part:
    """What the keys of both parts give, in the dtypes of the first."""
    peak = np.maximum(one.peak, other.peak)
    a, b = np.exp(one.peak - peak), np.exp(other.peak - peak)
    whole = Part(one.y * a + other.y * b, one.total * a + other.total * b, peak)
    return Part(*map(in_dtype_of, one, whole))


def dropout_of_weights(rate: float, rng: Any) -> Callable[[Any, Any], Any]:
    """A function of weights and a number, the same number for the same block of them, that drops their share."""

    def dropped(weights: Any, number: Any) -> Any:
        if not rate or rng is None:
            return weights
        keep = random.bernoulli(random.fold_in(rng, number), 1 - rate, weights.shape)
        return np.where(keep, weights / (1 - rate), 0)

    return dropped


# -- chunks -----------------------------------------------------------------------------------------------------------


def _in_chunks(q: Any, k: Any, v: Any, sight: Sight, dropped: Callable[[Any, Any], Any], size: int) -> Any:
    """The same, for one chunk of queries after the other, each of which meets one chunk of keys after the other.

    Milakov and Gimelshein, "Online normalizer calculation for softmax", arXiv 1805.02867; Rabe and Staats,
    "Self-attention does not need O(n^2) memory", arXiv 2112.05682.
    """
    n_queries, n_keys = q.shape[-2], k.shape[-2]

    def chunks(x: Any, axis: int) -> Any:
        return np.moveaxis(cut(x, axis, size), axis - 1, 0)

    ks, vs = chunks(k, -2), chunks(v, -2)
    of_keys = None if sight.mask is None else chunks(sight.mask, -1)
    n_chunks = ks.shape[0]

    def see_all(i: Any, q: Any, masks: Any, ks: Any, vs: Any) -> Any:
        positions = i * size + np.arange(size)

        def see_more(part: Part, x: Any) -> tuple[Part, Any]:
            j, k, v, mask = x
            seen = sight._replace(mask=mask).of(positions, j * size + np.arange(size), n_keys)
            more = see(q, k, v, seen, lambda weights: dropped(weights, i * n_chunks + j))
            return both(part, more), ()

        part, _ = fastmath.scan(see_more, nothing_seen(q, v), (np.arange(n_chunks), ks, vs, masks))
        return part.y / part.total

    again = fastmath.remat(see_all)
    queries = chunks(q, -2)
    numbers = np.arange(queries.shape[0])
    if of_keys is None or of_keys.shape[-2] == 1:
        ys = fastmath.map(lambda x: again(*x, of_keys, ks, vs), (numbers, queries))
    else:
        ys = fastmath.map(lambda x: again(*x, ks, vs), (numbers, queries, chunks(of_keys, -2)))
    return joined(np.moveaxis(ys, 0, -3), n_queries)


def cut(x: Any, axis: int, size: int) -> Any:
    """An axis as two, chunks and places in them, the last chunk filled up with zeros."""
    axis %= len(x.shape)
    length = x.shape[axis]
    n = -(-length // size)
    if n * size > length:
        x = np.pad(x, [(0, n * size - length if i == axis else 0) for i in range(len(x.shape))])
    return np.reshape(x, (*x.shape[:axis], n, size, *x.shape[axis + 1 :]))


def joined(x: Any, length: int) -> Any:
    """(..., chunks, places, d) -> (..., length, d), without what filled up the last chunk."""
    whole = np.reshape(x, (*x.shape[:-3], x.shape[-3] * x.shape[-2], x.shape[-1]))
    return whole[..., :length, :]


# -- heads, and what fits together -----------------------------------------------------------------------------------


def split_heads(x: Any, n_heads: int) -> Any:
    """(b, l, h * d) -> (b, h, l, d)."""
    if len(x.shape) != 3:
        raise lk.LayerError(f"expected (batch, length, features), got {tuple(x.shape)}")
    batch, length, d = x.shape
    _require_heads("", "its input", d, n_heads)
    return np.transpose(np.reshape(x, (batch, length, n_heads, d // n_heads)), (0, 2, 1, 3))


def merge_heads(x: Any) -> Any:
    """(b, h, l, d) -> (b, l, h * d)."""
    if len(x.shape) != 4:
        raise lk.LayerError(f"expected (batch, heads, length, features of a head), got {tuple(x.shape)}")
    batch, heads, length, d = x.shape
    return np.reshape(np.transpose(x, (0, 2, 1, 3)), (batch, length, heads * d))


def checked_heads(layer: str, d_feature: Any, n_heads: Any) -> tuple[int, int]:
    """Both arguments, if so many heads can share so many features evenly."""
    d_feature = arguments.whole_number(layer, "d_feature", d_feature)
    n_heads = arguments.whole_number(layer, "n_heads", n_heads)
    _require_heads(f"{layer}: ", "d_feature", d_feature, n_heads)
    return d_feature, n_heads


def _require_heads(where: str, whose: str, d: int, n_heads: int) -> None:
    if d % n_heads:
        raise lk.LayerError(f"{where}{n_heads} heads cannot share the {d} features of {whose} evenly")


def check_fit(q: Any, k: Any, v: Any) -> None:
    """Raises where queries, keys and values do not fit together."""
    for x in (q, k, v):
        require_rank(x, 2)
    if q.shape[-1] != k.shape[-1] or q.shape[:-2] != k.shape[:-2] or k.shape[:-1] != v.shape[:-1]:
        shapes = ", ".join(str(tuple(x.shape)) for x in (q, k, v))
        raise lk.LayerError(f"expected queries (..., m, d), keys (..., n, d) and values (..., n, e), got {shapes}")


def check_mask(mask: Any, of_scores: tuple[int, ...]) -> Any:
    """The mask as truth values, if it fits scores of the shape (..., queries, keys).

    Raises:
        LayerError: it is made of fractions, has other axes, or a size that is neither 1 nor that of the scores.
    """
    if mask.dtype.kind not in "biu":
        raise lk.LayerError(
            f"expected a mask of truth values, true where a key may be seen, got {mask.dtype.name} {tuple(mask.shape)}"
        )
    fits = len(mask.shape) == len(of_scores) and mask.shape[-1] == of_scores[-1]
    if not fits or any(size not in (1, due) for size, due in zip(mask.shape, of_scores, strict=True)):
        due = ", ".join([*(f"1 or {size}" for size in of_scores[:-1]), str(of_scores[-1])])
        raise lk.LayerError(f"expected a mask of shape ({due}), got {tuple(mask.shape)}")
    return mask if mask.dtype.kind == "b" else mask != 0
