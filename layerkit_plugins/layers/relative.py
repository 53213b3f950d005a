"""Relative attention: what a query sees in a key depends on how far away it is, not on where either is."""

from __future__ import annotations

import math
from typing import Any

import numpy as onp

import layerkit as lk
from layerkit import arguments
from layerkit.fastmath import numpy as np
from layerkit.initializers import RandomNormalInitializer
from layerkit_plugins.layers.attending import Sight, attend, check_mask, checked_heads, merge_heads, split_heads
from layerkit_plugins.layers.dense import Dense
from layerkit_plugins.layers.incremental import Remembered, append, empty, nan_beyond
from layerkit_plugins.layers.positions import sinusoids
from layerkit_plugins.layers.sources import Weights

__all__ = ["RelativeAttentionLMLayer", "RelativeAttentionLayer", "RelativeAttentionWrapper"]

_NEAR_ZERO = RandomNormalInitializer(1e-6)
_QUERY, _KEY, _VALUE, _PLACE, _RESULT, _CONTEXT, _LOCATION, _STATE = range(8)


class _Memory(lk.Layer):
    """A sublayer that is never run: its state holds keys and values in predict mode."""


class _Relative(lk.Layer):
    """(q, k, v, mask if masked) -> (y, mask if masked)."""

    def __init__(
        self,
        name: str,
        d_feature: int,
        context_bias_layer: lk.Layer | None,
        location_bias_layer: lk.Layer | None,
        total_kv_pooling: int,
        separate_cls: bool,
        n_heads: int,
        dropout: float,
        mode: str | None,
        room: int | None,
    ) -> None:
        self.d_feature, self.n_heads = d, heads = checked_heads(name, d_feature, n_heads)
        of_heads = (1, heads, 1, d // heads)
        biases = [layer or Weights(_NEAR_ZERO, of_heads) for layer in (context_bias_layer, location_bias_layer)]
        self.causal = room is not None
        n = 1 if self.causal else 2
        super().__init__(n + 2, n, name, [*(Dense(d) for _ in range(5)), *biases, _Memory()], mode)
        self.pooling = arguments.whole_number(name, "total_kv_pooling", total_kv_pooling)
        self.dropout = arguments.fraction(name, "dropout", dropout)
        self.separate_cls, self.room = separate_cls, room

    def printed_sublayers(self) -> tuple[lk.Layer, ...]:
        return self.sublayers[:_STATE]

    def init_weights_and_state(self, signature: Any) -> None:
        d = self.d_feature
        dtype = signature[0].dtype
        of = {_QUERY: signature[0], _KEY: signature[1], _VALUE: signature[2], _CONTEXT: (), _LOCATION: ()}
        of |= {_PLACE: lk.ShapeDtype((1, d)), _RESULT: signature[0].replace(shape=(*signature[0].shape[:2], d))}
        made = [self.init_sublayer(index, of[index]) for index in range(_STATE)]
        kept: Any = ()
        if self.causal and self.mode == "predict":
            heads = lk.ShapeDtype((signature[1].shape[0], self.n_heads, 1, d // self.n_heads), dtype)
            kept = empty(heads, heads, self.room or 0)
        self.weights = (*(weights for weights, _, _ in made), ())
        self.state = (*(state for _, state, _ in made), kept)

    def forward(self, x: Any) -> Any:
        q, k, v = (split_heads(self.run_sublayer(i, x[i]), self.n_heads) for i in (_QUERY, _KEY, _VALUE))
        context, location = (self._bias(index, q) for index in (_CONTEXT, _LOCATION))
        if self.causal and self.mode == "predict":
            return self._predict(q, k, v, context, location)
        mask = None if self.causal else check_mask(x[3], (*q.shape[:-1], k.shape[-2]))
        sight = Sight(start=0) if self.causal else Sight(mask)
        if self.causal and q.shape[-2] != k.shape[-2]:
            raise lk.LayerError(f"expected as many queries as keys, got {q.shape[-2]} and {k.shape[-2]}")
        y = self._attend(q + context, k, v, sight, self._of_distances(q + location, k.shape[-2]))
        return y if self.causal else (y, x[3])

    def _bias(self, index: int, q: Any) -> Any:
        bias = self.run_sublayer(index, ())
        due = (1, self.n_heads, 1, q.shape[-1])
        if tuple(bias.shape) != due:
            raise lk.LayerError(f"expected biases of shape {due} from {self.sublayers[index].name}, got {bias.shape}")
        return bias

    def _attend(self, q: Any, k: Any, v: Any, sight: Sight, bias: Any) -> Any:
        rng = self.rng if self.training and self.dropout else None
        return self.run_sublayer(_RESULT, merge_heads(attend(q, k, v, sight, self.dropout, rng, bias=bias)))

    def _places(self, distances: Any) -> Any:
        """What stands for distances, in each head.    (t,) -> (h, d, t)"""
        d = self.d_feature
        rows = self.run_sublayer(_PLACE, sinusoids(distances, d))
        heads = np.reshape(rows, (distances.shape[0], self.n_heads, d // self.n_heads))
        return np.transpose(heads, (1, 2, 0)) / math.sqrt(d // self.n_heads)

    def _of_distances(self, q: Any, n_keys: int) -> Any:
        """The location term of every score.    (b, h, m, d) -> (b, h, m, n)"""
        n_queries = q.shape[-2]
        of_keys = self.pooling
        of_queries, rest = divmod(of_keys * n_keys, max(n_queries, 1))
        if rest or not of_queries:
            raise lk.LayerError(
                f"{n_queries} queries cannot stand for the {of_keys * n_keys} positions of {n_keys} keys, "
                f"{of_keys} each: a whole number of positions each is due"
            )
        unit = math.gcd(of_keys, of_queries)
        a, c = of_queries // unit, of_keys // unit
        # Query i and key j are (i a - j c) units apart. Each query is multiplied with all distances there are, in
        # falling order: key 0 stands at place (m - 1 - i) a, so rows put end to end, and cut again a shorter, begin
        # with it.
        furthest = (n_queries - 1) * a
        width = furthest + a + (n_keys - 1) * c + 1
        apart = (furthest - onp.arange(width)) * unit
        if self.separate_cls:
            apart = apart + of_keys - of_queries  # the others count from the second position on
        scores = np.matmul(q, self._places(apart))
        flat = np.reshape(scores, (*q.shape[:2], n_queries * width))
        flat = flat[..., furthest : furthest + n_queries * (width - a)]
        scores = np.reshape(flat, (*q.shape[:2], n_queries, width - a))[..., : (n_keys - 1) * c + 1 : c]
        if self.separate_cls:
            others = (onp.arange(n_queries) > 0)[:, None] & (onp.arange(n_keys) > 0)
            scores = np.where(others, scores, 0)
        return scores

    def _predict(self, q: Any, k: Any, v: Any, context: Any, location: Any) -> Any:
        room = self.room or 0
        kept: Remembered = self.state[_STATE]
        start = kept.position
        kept = append(kept, k, v, "max_inference_length")
        apart = np.expand_dims(start + np.arange(q.shape[-2]), -1) - np.arange(room)
        of_distances = np.matmul(q + location, self._places(onp.arange(room)))
        places = np.broadcast_to(np.clip(apart, 0, room - 1), (*q.shape[:-1], room))
        bias = np.take_along_axis(of_distances, places, axis=-1)
        y = self._attend(q + context, kept.keys, kept.values, Sight(start=start), bias)
        self.state = (*self.state[:_STATE], kept)
        return nan_beyond(room, kept.position, y)


@lk.example(lk.f32(2, 4, 8), *[lk.f32(2, 4, 8)] * 2, lk.bool_(2, 1, 1, 4), d_feature=8, n_heads=2)
def RelativeAttentionLayer(
    d_feature: int,
    context_bias_layer: lk.Layer | None = None,
    location_bias_layer: lk.Layer | None = None,
    total_kv_pooling: int = 1,
    separate_cls: bool = False,
    n_heads: int = 1,
    dropout: float = 0.0,
    mode: str | None = None,
) -> lk.Layer:
    """Attention with the scores ((q_i + u) k_j + (q_i + v) W_r s_(i - j)) / sqrt(d).

    q: (b, m, ...)    k, v: (b, n, ...)    mask: (b, 1, 1 or m, n)    y: (b, m, d_feature), and the mask as it went in

    s: sines and cosines of the distance    u, v: (1, n_heads, 1, d), d the features of a head

    Dai et al., "Transformer-XL", ACL 2019, arXiv 1901.02860; with pooled keys or queries as in Dai et al.,
    "Funnel-Transformer", NeurIPS 2020, arXiv 2006.03236.

    Args:
        d_feature: the features of queries, keys, values and of y.
        context_bias_layer: a layer without inputs that gives u; trained numbers of its own unless given. One for a
            whole model is the same layer object in several places.
        location_bias_layer: the same for v.
        total_kv_pooling: how many positions each key stands for; queries share the same positions evenly.
        separate_cls: the first position stands outside of the order: no distance counts to it and from it.
        n_heads: how many heads share the features.
        dropout: the share of weights that become 0 while training.
        mode: ``"train"`` or ``"eval"`` fixes what a call says otherwise.

    Raises:
        LayerError: an argument is out of range; shapes, biases or the mask do not fit.

    >>> layer = RelativeAttentionLayer(d_feature=8, n_heads=2)
    >>> layer.output_signature((lk.f32(3, 2, 8), lk.f32(3, 4, 8), lk.f32(3, 4, 8), lk.bool_(3, 1, 1, 4)))[0]
    float32[3,2,8]
    """
    return _Relative(
        "RelativeAttentionLayer",
        d_feature,
        context_bias_layer,
        location_bias_layer,
        total_kv_pooling,
        separate_cls,
        n_heads,
        dropout,
        mode,
        None,
    )


@lk.example(*[lk.f32(2, 4, 8)] * 3, d_feature=8, n_heads=2)
def RelativeAttentionLMLayer(
    d_feature: int,
    context_bias_layer: lk.Layer | None = None,
    location_bias_layer: lk.Layer | None = None,
    total_kv_pooling: int = 1,
    separate_cls: bool = False,
    n_heads: int = 1,
    dropout: float = 0.0,
    mode: str | None = None,
    max_inference_length: int = 2048,
) -> lk.Layer:
    """A ``RelativeAttentionLayer`` in which no position sees a later one; no mask.    q, k, v: (b, l, ...)

    y: (b, l, d_feature). In predict mode a call brings the positions that follow those of the call before.

    Args:
        d_feature, context_bias_layer, location_bias_layer, total_kv_pooling, separate_cls, n_heads, dropout: as in
            ``RelativeAttentionLayer``.
        mode: ``"train"``, ``"eval"`` or ``"predict"`` fixes what a call says otherwise.
        max_inference_length: how many positions there can be in predict mode.

    Raises:
        LayerError: as in ``RelativeAttentionLayer``; in predict mode ``separate_cls``, pooling, another batch than at
            init, or more positions than there is room for (NaN inside jit, where nothing can be raised).

    >>> RelativeAttentionLMLayer(d_feature=8).output_signature((lk.f32(3, 4, 8),) * 3)
    float32[3,4,8]
    """
    own = "RelativeAttentionLMLayer"
    room = arguments.whole_number(own, "max_inference_length", max_inference_length)
    if mode == "predict" and (separate_cls or total_kv_pooling != 1):
        raise lk.LayerError(f"{own}: in predict mode there is neither separate_cls nor total_kv_pooling other than 1")
    return _Relative(
        own,
        d_feature,
        context_bias_layer,
        location_bias_layer,
        total_kv_pooling,
        separate_cls,
        n_heads,
        dropout,
        mode,
        room,
    )


@lk.example(lk.f32(2, 4, 8), d_feature=8, n_heads=2)
def RelativeAttentionWrapper(
    d_feature: int,
    n_heads: int = 1,
    dropout: float = 0.0,
    max_inference_length: int = 2048,
    mode: str | None = None,
    context_bias_layer: lk.Layer | None = None,
    location_bias_layer: lk.Layer | None = None,
    total_pooling: int | None = None,
) -> lk.Layer:
    """y = RelativeAttentionLMLayer(x, x, x): it stands where a ``CausalAttention`` can.    x: (b, l, ...)

    y: (b, l, d_feature)

    Args:
        d_feature, n_heads, dropout, max_inference_length, mode: as in ``CausalAttention``.
        context_bias_layer, location_bias_layer: as in ``RelativeAttentionLayer``.
        total_pooling: how many positions each element of x stands for; 1 unless given.

    Raises:
        LayerError: as in ``RelativeAttentionLMLayer``.

    >>> RelativeAttentionWrapper(8, n_heads=2).output_signature(lk.f32(3, 4, 8))
    float32[3,4,8]
    """
    layer = RelativeAttentionLMLayer(
        d_feature,
        context_bias_layer,
        location_bias_layer,
        1 if total_pooling is None else total_pooling,
        n_heads=n_heads,
        dropout=dropout,
        mode=mode,
        max_inference_length=max_inference_length,
    )
    return lk.Serial(lk.Select([0, 0, 0]), layer, name="RelativeAttentionWrapper")
