"""Attention with weights for each head, in memory that stays bounded: over a whole sequence, or over chunks of it.

``n_parallel_heads`` says how many heads of one example are computed at a time; the rest wait, and are made again for
the gradient. Kitaev, Kaiser and Levskaya, "Reformer: the efficient Transformer", ICLR 2020, arXiv 2001.04451.
"""

from __future__ import annotations

from typing import Any

import layerkit as lk
from layerkit import arguments
from layerkit.fastmath import numpy as np
from layerkit_plugins.layers.attending import see
from layerkit_plugins.layers.chunks import Window, mean_seen, see_window
from layerkit_plugins.layers.heads_in_turn import HeadsInTurn, HeadWeights, project
from layerkit_plugins.layers.incremental import Remembered, append, empty, forget, nan_beyond, room_to_drop
from layerkit_plugins.layers.inputs import require_some

__all__ = ["OWN", "EncDecAttention", "SelfAttention", "checked_window", "merge"]

# Added to the score of a position for itself, where keys are made of queries: nothing else is so like it.
OWN = -1e5


def checked_window(layer: str, chunk_len: Any, n_chunks_before: Any, n_chunks_after: Any) -> Window:
    """The window that a layer's arguments say."""
    return Window(
        arguments.whole_number(layer, "chunk_len", chunk_len),
        arguments.whole_number(layer, "n_chunks_before", n_chunks_before, at_least=0),
        arguments.whole_number(layer, "n_chunks_after", n_chunks_after, at_least=0),
    )


def merge(y: Any, out: Any) -> Any:
    """What the heads (b, h, l, e) give together, (b, l, d)."""
    return np.einsum("bhle,hed->bld", y, out)


@lk.example(lk.f32(2, 5, 8), n_heads=2, d_qk=3, d_v=4)
class SelfAttention(HeadsInTurn):
    """y_i = sum over heads of softmax(q_i k^T / sqrt(d_qk)) v W_o, with q, k, v = x W_q, x W_k, x W_v.

    x: (b, l, d)    mask: (b, l) or (b, 1, 1, l)    y: (b, l, d)    W_q, W_k: (h, d, d_qk)    W_v: (h, d, d_v)
    W_o: (h, d_v, d)

    With ``chunk_len`` a query sees the keys of its own chunk, and of those around it, alone: time and memory grow with
    the length. With ``share_qk``, k is q / rms(q), and a position sees itself only where it sees nothing else. A query
    that may see no key gets zeros.

    In predict mode, which is for causal attention without a mask, a call brings the positions that follow those of the
    call before. Where there is no room for more, that is an error, unless ``predict_drop_len`` says to forget some.

    Kitaev et al., "Reformer", ICLR 2020, arXiv 2001.04451.

    Args:
        n_heads: how many heads there are.
        d_qk, d_v: features of a query and a key, and of a value, in each head.
        share_qk: makes keys of the queries, without W_k.
        causal: no position sees a later one.
        masked: takes a mask as second input, true for real positions, false for padding.
        chunk_len: positions in a chunk; one chunk for all unless given.
        n_chunks_before, n_chunks_after: how many chunks around its own a query sees.
        bias: adds a bias to queries, keys and values.
        mode: ``"train"``, ``"eval"`` or ``"predict"`` fixes what a call says otherwise.
        predict_mem_len: how many positions are kept in predict mode, 2,048 unless given.
        predict_drop_len: how many of the oldest are forgotten where there is no room for more; a multiple of
            ``chunk_len``. None unless given.
        attention_dropout, output_dropout: the share of weights, and of y, that become 0 while training.
        n_parallel_heads: heads computed at a time; a multiple of n_heads for several examples; all unless given.
        use_python_loop, use_reference_code: of no effect: there is one way to compute it.

    Raises:
        LayerError: an argument is out of range, or two do not go together; the input or mask has another shape; in
            predict mode, more positions than there is room for (NaN inside jit).

    >>> attention = SelfAttention(n_heads=2, d_qk=4, d_v=4, causal=True, chunk_len=4, n_chunks_before=1)
    >>> weights, state = attention.init(lk.f32(3, 10, 8))
    >>> [tuple(w.shape) for w in weights[:4]]
    [(2, 8, 4), (2, 8, 4), (2, 8, 4), (2, 4, 8)]
    """

    def __init__(
        self,
        n_heads: int = 2,
        d_qk: int = 64,
        d_v: int = 64,
        share_qk: bool = False,
        causal: bool = False,
        masked: bool = False,
        chunk_len: int | None = None,
        n_chunks_before: int = 0,
        n_chunks_after: int = 0,
        bias: bool = False,
        mode: str | None = None,
        predict_mem_len: int | None = None,
        predict_drop_len: int | None = None,
        attention_dropout: float = 0.0,
        output_dropout: float = 0.0,
        n_parallel_heads: int | None = None,
        use_python_loop: bool = False,
        use_reference_code: bool = False,
    ) -> None:
        own, dropouts = "SelfAttention", (attention_dropout, output_dropout)
        super().__init__(own, 1, n_heads, d_qk, d_v, masked, mode, dropouts, n_parallel_heads, share_qk, bias)
        self.causal = bool(causal)
        self.window = checked_window(own, 1 if chunk_len is None else chunk_len, n_chunks_before, n_chunks_after)
        self.whole = chunk_len is None
        if self.whole and (n_chunks_before or n_chunks_after):
            raise lk.LayerError("SelfAttention: n_chunks_before and n_chunks_after need a chunk_len")
        if mode == "predict" and (masked or not causal):
            raise lk.LayerError("SelfAttention: mode 'predict' is for causal attention without a mask")
        self.room = arguments.whole_number(own, "predict_mem_len", 2048 if predict_mem_len is None else predict_mem_len)
        self.drop = room_to_drop(own, predict_drop_len, self.room, self.window.size)

    def init_weights_and_state(self, signature: Any) -> None:
        super().init_weights_and_state(signature)
        if self.mode == "predict":
            b, length, _ = signature.shape
            dtype = self.weights.query.dtype
            keys, values = (np.zeros((b, self.n_heads, length, d), dtype) for d in (self.d_qk, self.d_v))
            self.state = empty(keys, values, self.room)

    def forward(self, x: Any) -> Any:
        xs = self.inputs(x)
        if self.mode == "predict":
            return self._follow(xs[0])
        dropped, look = self.dropped_weights(), self._look
        window = Window(max(xs[0].shape[1], 1), 0, 0) if self.whole else self.window

        def kernel(xs: Any, w: HeadWeights, number: Any) -> Any:
            x, mask = xs
            at = np.arange(1, x.shape[1] + 1)
            real = at if type(mask) is tuple else np.expand_dims(np.where(mask, at, 0), 1)
            drop = lambda weights: dropped(weights, number)
            return merge(mean_seen(see_window(*project(x, x, w), window, (at, real), look, drop)), w.out)

        return self.sum_over_heads(kernel, xs, self.weights)

    def _look(self, queries: Any, keys: Any) -> tuple[Any, Any]:
        seen = keys > 0
        if self.causal:
            seen = np.logical_and(seen, keys <= queries)
        return seen, np.where(queries == keys, OWN, 0.0) if self.share_qk else None

    def _follow(self, x: Any) -> Any:
        q, k, v = project(x, x, self.weights)
        before, keys, values = forget(self.state.position, x.shape[1], self.room, self.drop, *self.state[:2])
        self.state = append(Remembered(keys, values, before), k, v, "predict_mem_len")
        queries, at = np.expand_dims(before + np.arange(1, x.shape[1] + 1), -1), np.arange(1, self.room + 1)
        seen, bias = self._look(queries, at)
        if not self.whole:
            chunks = (queries - 1) // self.window.size - self.window.before
            seen = np.logical_and(seen, (at - 1) // self.window.size >= chunks)
        part = see(q, self.state.keys, self.state.values, seen, lambda weights: weights, bias)
        return nan_beyond(self.room, self.state.position, merge(mean_seen(part), self.weights.out))


@lk.example(lk.f32(2, 4, 8), lk.f32(2, 5, 6), lk.bool_(2, 5), n_heads=2, d_qk=3, d_v=4)
class EncDecAttention(HeadsInTurn):
    """y = sum over heads of softmax(q k^T / sqrt(d_qk)) v W_o, with q = x W_q and k, v = c W_k, c W_v.

    x: (b, m, d)    c: (b, n, e)    mask: (b, n) or (b, 1, 1, n)    y: (b, m, d)    W_q: (h, d, d_qk)
    W_k: (h, e, d_qk)    W_v: (h, e, d_v)    W_o: (h, d_v, d)

    A decoder looks at the encoded text c. A query that may see no key gets zeros.

    Kitaev et al., "Reformer", ICLR 2020, arXiv 2001.04451.

    Args:
        n_heads: how many heads there are.
        d_qk, d_v: features of a query and a key, and of a value, in each head.
        masked: takes a mask of c as third input, true for real positions, false for padding.
        mode: ``"train"`` or ``"eval"`` fixes what a call says otherwise.
        attention_dropout, output_dropout: the share of weights, and of y, that become 0 while training.
        n_parallel_heads, use_python_loop, use_reference_code: as in ``SelfAttention``.

    Raises:
        LayerError: an argument is out of range; an input or the mask has another shape.

    >>> EncDecAttention(n_heads=2, d_qk=4, d_v=4, masked=False).output_signature((lk.f32(3, 5, 8), lk.f32(3, 7, 6)))
    float32[3,5,8]
    """

    def __init__(
        self,
        n_heads: int = 2,
        d_qk: int = 64,
        d_v: int = 64,
        masked: bool = True,
        mode: str | None = None,
        attention_dropout: float = 0.0,
        output_dropout: float = 0.0,
        n_parallel_heads: int | None = None,
        use_python_loop: bool = False,
        use_reference_code: bool = False,
    ) -> None:
        dropouts = (attention_dropout, output_dropout)
        super().__init__("EncDecAttention", 2, n_heads, d_qk, d_v, masked, mode, dropouts, n_parallel_heads)

    def forward(self, x: Any) -> Any:
        xs, dropped = self.inputs(x), self.dropped_weights()
        require_some(xs[1], 1, "attention")

        def kernel(xs: Any, w: HeadWeights, number: Any) -> Any:
            x, context, mask = xs
            seen = None if type(mask) is tuple else np.expand_dims(mask, (1, 2))
            part = see(*project(x, context, w), seen, lambda weights: dropped(weights, number))
            return merge(mean_seen(part), w.out)

        return self.sum_over_heads(kernel, xs, self.weights)
