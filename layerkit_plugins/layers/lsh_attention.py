"""LSHSelfAttention: each position sees those whose vectors fall into the same bucket as its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import layerkit as lk
from layerkit import arguments, fastmath
from layerkit.errors import shown
from layerkit.fastmath import numpy as np
from layerkit.fastmath import random
from layerkit_plugins.layers.attending import Part, both, nothing_seen, see
from layerkit_plugins.layers.chunks import Window, mean_seen, see_window
from layerkit_plugins.layers.efficient_attention import OWN, checked_window, merge
from layerkit_plugins.layers.heads_in_turn import HeadsInTurn, HeadWeights, project
from layerkit_plugins.layers.incremental import Remembered, append, empty, forget, nan_beyond, room_to_drop

__all__ = ["Hashed", "LSHSelfAttention"]


class Hashed(NamedTuple):
    """The state in predict mode: what is remembered, and its buckets, (b, h, l, rounds)."""

    memory: Remembered
    buckets: Any


@lk.example(lk.f32(2, 7, 8), n_heads=2, d_qk=4, d_v=3, chunk_len=2, n_hashes=2)
class LSHSelfAttention(HeadsInTurn):
    """y_i = sum over heads of softmax over j in S_i of (q_i k_j / sqrt(d_qk)) v_j W_o, with k = q / rms(q).

    x: (b, l, d)    mask: (b, l) or (b, 1, 1, l)    y: (b, l, d)    W_q: (h, d, d_qk)    W_v: (h, d, d_v)
    W_o: (h, d_v, d)

    S_i holds the positions that share a bucket with i in one of ``n_hashes`` rounds, each counted once. A bucket is
    argmax of [q R, -q R], for a random R. Positions are sorted by bucket, then by place, and cut into chunks; i sees
    those of its bucket in its own chunk and the chunks around it. With ``causal``, it sees those of its bucket at its
    own place and the n_chunks_before * chunk_len before it: where chunks begin depends on what comes later, and this
    does not. A position sees itself only where it sees nothing else; a position of padding gets zeros.

    A training call draws R from its key, and so do both computations that a ``ReversibleSerial`` makes of it: they hash
    alike. Any other call has one and the same R. In predict mode, which is for causal attention without a mask, the
    layer gives what an evaluation of ``predict_mem_len`` positions gives; more are an error, unless
    ``predict_drop_len`` says to forget some.

    Kitaev, Kaiser and Levskaya, "Reformer: the efficient Transformer", ICLR 2020, arXiv 2001.04451; Andoni et al.,
    "Practical and optimal LSH for angular distance", NeurIPS 2015.

    Args:
        n_heads: how many heads there are.
        d_qk, d_v: features of a query, which is its key as well, and of a value, in each head.
        share_qk: of no effect: they are always shared.
        causal: no position sees a later one.
        masked: takes a mask as second input, true for real positions, false for padding.
        chunk_len: positions in a chunk.
        n_chunks_before, n_chunks_after: how many chunks around its own a query sees.
        n_hashes: rounds of hashing.
        n_buckets: an even number, or several whose product counts; 1 for no hashing. Unless given, twice as many as
            there are chunks, and 1 for a sequence of one chunk.
        mode: ``"train"``, ``"eval"`` or ``"predict"`` fixes what a call says otherwise.
        predict_mem_len: how many positions are kept in predict mode.
        predict_drop_len: how many of the oldest are forgotten where there is no room for more; none unless given.
        attention_dropout, output_dropout: the share of weights, and of y, that become 0 while training.
        max_length_for_buckets: the length that the number of buckets is made for, in place of that of x.
        bias: adds a bias to queries and values.
        n_parallel_heads: heads computed at a time; a multiple of n_heads for several examples; ``None`` for all.
        use_python_loop, use_reference_code: of no effect: there is one way to compute it.

    Raises:
        LayerError: an argument is out of range, or two do not go together; the input or mask has another shape; a
            sequence too long to number its buckets and places in 32 bits; in predict mode, more positions
            than there is room for (NaN inside jit).

    >>> attention = LSHSelfAttention(n_heads=2, d_qk=4, d_v=4, causal=True, chunk_len=4, n_hashes=2)
    >>> weights, state = attention.init(lk.f32(3, 10, 8))
    >>> tuple(weights.query.shape), weights.key
    ((2, 8, 4), ())
    """

    def __init__(
        self,
        n_heads: int = 2,
        d_qk: int = 64,
        d_v: int = 64,
        share_qk: Any = "unused",
        causal: bool = False,
        masked: bool = False,
        chunk_len: int = 128,
        n_chunks_before: int = 1,
        n_chunks_after: int = 0,
        n_hashes: int = 1,
        n_buckets: int | Sequence[int] | None = None,
        mode: str | None = None,
        predict_mem_len: int = 2048,
        predict_drop_len: int | None = None,
        attention_dropout: float = 0.0,
        output_dropout: float = 0.0,
        max_length_for_buckets: int | None = None,
        bias: bool = False,
        n_parallel_heads: int | None = 1,
        use_python_loop: bool = False,
        use_reference_code: bool = False,
    ) -> None:
        own, dropouts = "LSHSelfAttention", (attention_dropout, output_dropout)
        super().__init__(own, 1, n_heads, d_qk, d_v, masked, mode, dropouts, n_parallel_heads, True, bias)
        self.causal = bool(causal)
        self.window = checked_window(own, chunk_len, n_chunks_before, n_chunks_after)
        if causal and (not n_chunks_before or n_chunks_after):
            raise lk.LayerError(
                "LSHSelfAttention: causal attention needs n_chunks_before of at least 1 and no n_chunks_after, got "
                f"{n_chunks_before} and {n_chunks_after}"
            )
        self.n_hashes = arguments.whole_number(own, "n_hashes", n_hashes)
        self.n_buckets = None if n_buckets is None else _checked_buckets(n_buckets)
        if mode == "predict" and (masked or not causal):
            raise lk.LayerError("LSHSelfAttention: mode 'predict' is for causal attention without a mask")
        self.room = arguments.whole_number(own, "predict_mem_len", predict_mem_len)
        self.drop = room_to_drop(own, predict_drop_len, self.room)
        self.length_for_buckets = max_length_for_buckets
        if max_length_for_buckets is not None:
            arguments.whole_number(own, "max_length_for_buckets", max_length_for_buckets)

    def init_weights_and_state(self, signature: Any) -> None:
        super().init_weights_and_state(signature)
        if self.mode == "predict":
            b, length, _ = signature.shape
            dtype = self.weights.query.dtype
            keys, values = (np.zeros((b, self.n_heads, length, d), dtype) for d in (self.d_qk, self.d_v))
            buckets = np.zeros((b, self.n_heads, self.room, self.n_hashes), np.int32)
            self.state = Hashed(empty(keys, values, self.room), buckets)

    def forward(self, x: Any) -> Any:
        xs = self.inputs(x)
        if self.mode == "predict":
            return self._follow(xs[0])
        length, dropped = xs[0].shape[1], self.dropped_weights()
        factors = self._factors(length)

        def kernel(xs: Any, weights: tuple[HeadWeights, Any], number: Any) -> Any:
            (x, mask), (w, rotations) = xs, weights
            q, k, v = project(x, x, w)
            real = np.expand_dims(np.ones(x.shape[:2], bool) if type(mask) is tuple else mask, (1, 2))
            buckets = np.where(real, _buckets(q, rotations, factors), math.prod(factors))
            drop = lambda weights, i: dropped(weights, number * self.n_hashes + i)
            return merge(_rounds(q, k, v, _spans(buckets, real, self.window, self.causal), self.window, drop), w.out)

        return self.sum_over_heads(kernel, xs, (self.weights, self._rotations(factors)))

    def _factors(self, length: int) -> tuple[int, ...]:
        length_for_buckets = self.length_for_buckets or length
        n_chunks = -(-length_for_buckets // self.window.size)
        factors = self.n_buckets or ((2 * n_chunks,) if n_chunks > 1 else (1,))
        if (math.prod(factors) + 1) * (length + self.window.size) >= 2**31:
            raise lk.LayerError(
                f"{math.prod(factors)} buckets and a length of {length} are too many for 32-bit numbers"
            )
        return factors

    def _rotations(self, factors: tuple[int, ...]) -> Any:
        """R of every head: (h, d_qk, rounds, columns)."""
        columns = sum(n // 2 for n in factors)
        key = random.fold_in(self.rng, 2) if self.training and columns else random.get_prng(0)
        return random.normal(key, (self.n_heads, self.d_qk, self.n_hashes, columns))

    def _follow(self, x: Any) -> Any:
        memory, hashed = self.state
        factors = self._factors(self.room)
        q, k, v = project(x, x, self.weights)
        own = _buckets(q, self._rotations(factors), factors)
        before, keys, values, hashed = forget(memory.position, x.shape[1], self.room, self.drop, *memory[:2], hashed)
        after = append(Remembered(keys, values, before), k, v, "predict_mem_len")
        hashed = fastmath.update_slice(hashed, np.moveaxis(own, 2, 3), before, axis=-2)
        self.state = Hashed(after, hashed)
        queries = np.expand_dims(before + np.arange(x.shape[1]), -1)
        at = np.arange(self.room)
        alike = np.expand_dims(own, -1) == np.expand_dims(np.moveaxis(hashed, 3, 2), -2)
        alike = np.logical_and(alike, at <= queries)
        # How many of the bucket come behind a key, up to the query.
        behind = np.sum(alike, axis=-1, keepdims=True) - np.cumsum(alike, axis=-1)
        near = np.logical_and(alike, behind <= self.window.before * self.window.size)
        seen, bias = np.any(near, axis=2), np.where(queries == at, OWN, 0.0)
        part = see(q, after.keys, after.values, seen, lambda weights: weights, bias)
        return nan_beyond(self.room, after.position, merge(mean_seen(part), self.weights.out))


def _checked_buckets(n_buckets: Any) -> tuple[int, ...]:
    factors = tuple(n_buckets) if isinstance(n_buckets, (tuple, list)) else (n_buckets,)
    whole = tuple(arguments.whole_number("LSHSelfAttention", "n_buckets", n) for n in factors)
    if whole != (1,) and (not whole or any(n % 2 for n in whole)):
        raise lk.LayerError(f"LSHSelfAttention: n_buckets must be 1, an even number or several, got {shown(n_buckets)}")
    return whole


def _buckets(q: Any, rotations: Any, factors: tuple[int, ...]) -> Any:
    """The bucket of each query (b, h, l, d) in each round, (b, h, rounds, l)."""
    q = fastmath.stop_gradient(q)
    rotated = np.einsum("bhld,hdrk->bhrlk", q, fastmath.stop_gradient(rotations).astype(q.dtype))
    found, start = np.zeros(rotated.shape[:-1], np.int32), 0
    for n in factors if factors != (1,) else ():
        part = rotated[..., start : start + n // 2]
        found = found * n + np.argmax(np.concatenate([part, -part], axis=-1), axis=-1).astype(np.int32)
        start += n // 2
    return found


class _Spans(NamedTuple):
    """In each round: the order of positions by bucket, the rank of each in it, and what each may see.

    A position's number grows with its rank, and those of different buckets do not meet: a query sees the keys whose
    numbers lie between ``first`` and ``last``. The number of what is no key is 0. All are (b, h, rounds, l).
    """

    order: Any
    rank: Any
    number: Any
    first: Any
    last: Any


def _spans(buckets: Any, real: Any, window: Window, causal: bool) -> _Spans:
    length, size = buckets.shape[-1], window.size
    order = np.argsort(buckets * length + np.arange(length), axis=-1)
    rank = np.argsort(order, axis=-1)
    end = size * -(-length // size)
    base = buckets * end + 1
    if causal:
        first, last = np.maximum(rank - window.before * size, 0), rank
    else:
        chunk = rank // size
        first = np.maximum((chunk - window.before) * size, 0)
        last = np.minimum((chunk + window.after + 1) * size, end) - 1
    number = np.where(real, base + rank, 0)
    return _Spans(order, rank, number, base + first, base + last)


def _rounds(q: Any, k: Any, v: Any, spans: _Spans, window: Window, dropped: Callable[[Any, Any], Any]) -> Any:
    """The mean of what is seen in any round: a key seen in n rounds has an n-th part of its weight in each."""
    n_hashes = spans.order.shape[2]
    # Beside its own number and bounds, a position carries those of all rounds.
    bounds = np.moveaxis(np.stack([spans.number, spans.first, spans.last]), 3, 1)

    def see_round(part: Part, x: Any) -> tuple[Part, Any]:
        i, order, rank = x
        at = np.take_along_axis(bounds, np.expand_dims(order, (0, 1)), axis=-1)

        def look(queries: Any, keys: Any) -> tuple[Any, Any]:
            own, first, last = queries
            near = np.logical_and(first <= keys, keys <= last)
            times = np.sum(near, axis=0)
            seen, itself = (np.take(of, i, axis=0) for of in (near, own == keys))
            return seen, np.where(itself, OWN, 0.0) - np.log(np.maximum(times, 1).astype(q.dtype))

        order, rank = np.expand_dims(order, -1), np.expand_dims(rank, -1)
        sorted_q, sorted_k, sorted_v = (np.take_along_axis(x, order, axis=-2) for x in (q, k, v))
        found = see_window(sorted_q, sorted_k, sorted_v, window, (at, at[0]), look, lambda weights: dropped(weights, i))
        more = Part(*(np.take_along_axis(x, rank, axis=-2) for x in found))
        return both(part, more), ()

    of_rounds = (np.arange(n_hashes), np.moveaxis(spans.order, 2, 0), np.moveaxis(spans.rank, 2, 0))
    return mean_seen(fastmath.scan(see_round, nothing_seen(q, v), of_rounds)[0])
