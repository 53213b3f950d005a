"""Attention: each position gets a mean of values from positions whose keys fit its query, in several heads at once."""

from __future__ import annotations

from typing import Any

import layerkit as lk
from layerkit import arguments
from layerkit import layers as tl
from layerkit_plugins.layers.attending import Sight, attend, check_mask, checked_heads, merge_heads, split_heads
from layerkit_plugins.layers.dense import Dense
from layerkit_plugins.layers.heads import MergeHeads, SplitIntoHeads
from layerkit_plugins.layers.incremental import append, empty, nan_beyond

__all__ = [
    "Attention",
    "AttentionQKV",
    "CausalAttention",
    "ConfigurableAttention",
    "DotProductAttention",
    "DotProductCausalAttention",
    "PureAttention",
]

_MASKED = (lk.f32(2, 5, 8), lk.bool_(2, 1, 1, 5))
_HEADS = lk.f32(2, 3, 5, 4)


class _Attending(lk.Layer):
    """What attention layers have in common: dropout of weights while training, and chunks."""

    def __init__(self, n_in: int, n_out: int, dropout: float, chunk_size: int | None, mode: str | None) -> None:
        super().__init__(n_in, n_out, mode=mode)
        self.dropout = arguments.fraction(self.name, "dropout", dropout)
        self.chunk_size = None if chunk_size is None else arguments.whole_number(self.name, "chunk_size", chunk_size)

    def attend(self, q: Any, k: Any, v: Any, sight: Sight) -> Any:
        rng = self.rng if self.training and self.dropout else None
        return attend(q, k, v, sight, self.dropout, rng, self.chunk_size)


@lk.example(_HEADS, _HEADS, _HEADS, lk.bool_(2, 1, 1, 5))
class DotProductAttention(_Attending):
    """y = softmax(q k^T / sqrt(d)) v, each query over the keys that its mask lets it see.

    q: (..., m, d)    k: (..., n, d)    v: (..., n, e)    mask: (..., m or 1, n)    y: (..., m, e)

    The mask is true where a key may be seen, has as many axes as the queries, and stretches over axes of size 1. A
    query that may see no key gets zeros.

    Vaswani et al., "Attention is all you need", NeurIPS 2017, arXiv 1706.03762.

    Args:
        dropout: the share of weights that become 0 while training.
        mode: ``"train"`` or ``"eval"`` fixes what a call says otherwise.
        chunk_size: how many queries and keys are compared at a time; all at once unless given. Chunks give the same
            numbers in memory that grows with the length, not its square; they cost one more product for the gradient.

    Raises:
        LayerError: an argument is out of range; shapes do not fit together; the mask is made of fractions.

    >>> from layerkit.fastmath import numpy as np
    >>> k = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> DotProductAttention()((k, 100 * k, k, np.array([[True, False]]))).tolist()
    [[1.0, 0.0], [1.0, 0.0]]
    """

    def __init__(self, dropout: float = 0.0, mode: str | None = None, chunk_size: int | None = None) -> None:
        super().__init__(4, 1, dropout, chunk_size, mode)

    def forward(self, x: Any) -> Any:
        q, k, v, mask = x
        mask = check_mask(mask, (*q.shape[:-1], *k.shape[-2:-1]))
        return self.attend(q, k, v, Sight(mask))


@lk.example(lk.f32(2, 4, 8), *[lk.f32(2, 5, 8)] * 2, lk.bool_(2, 1, 1, 5), n_heads=2)
class PureAttention(_Attending):
    """y = DotProductAttention in each head, the heads side by side; the mask comes out as it went in.

    q: (b, m, d)    k: (b, n, d)    v: (b, n, e)    mask: (b, 1, 1 or m, n)    y: (b, m, e)

    It has no weights: q, k and v are what Dense layers before it made, see ``AttentionQKV``.

    Args:
        n_heads: how many heads share the features.
        dropout, mode, chunk_size: as in ``DotProductAttention``.

    Raises:
        LayerError: an argument is out of range; the heads cannot share the features evenly; shapes do not fit.

    >>> from layerkit.fastmath import numpy as np
    >>> x = np.ones((1, 3, 4))
    >>> y, mask = PureAttention(n_heads=2)((x, x, x, np.ones((1, 1, 1, 3), bool)))
    >>> y.tolist() == x.tolist()
    True
    """

    def __init__(
        self, n_heads: int = 1, dropout: float = 0.0, mode: str | None = None, chunk_size: int | None = None
    ) -> None:
        super().__init__(4, 2, dropout, chunk_size, mode)
        self.n_heads = arguments.whole_number("PureAttention", "n_heads", n_heads)

    def forward(self, x: Any) -> Any:
        q, k, v = (split_heads(part, self.n_heads) for part in x[:3])
        mask = check_mask(x[3], (*q.shape[:-1], k.shape[-2]))
        return merge_heads(self.attend(q, k, v, Sight(mask))), x[3]


@lk.example(lk.f32(2, 4, 8), *[lk.f32(2, 5, 8)] * 2, lk.bool_(2, 1, 1, 5), d_feature=8, n_heads=2)
def AttentionQKV(
    d_feature: int,
    n_heads: int = 1,
    dropout: float = 0.0,
    mode: str | None = None,
    cache_KV_in_predict: bool = False,
    q_sparsity: str | None = None,
    result_sparsity: str | None = None,
    chunk_size: int | None = None,
) -> lk.Layer:
    """y = W_o PureAttention(W_q q, W_k k, W_v v); the mask comes out as it went in.

    q: (b, m, ...)    k: (b, n, ...)    v: (b, n, ...)    mask: (b, 1, 1 or m, n)    y: (b, m, d_feature)

    Args:
        d_feature: the features of queries, keys, values and of y.
        n_heads: how many heads share them.
        dropout, mode, chunk_size: as in ``DotProductAttention``.
        cache_KV_in_predict: in predict mode, computes keys and values in the first call alone: a decoder that looks at
            one and the same encoded text for every word it writes.
        q_sparsity: ``"noop"`` leaves W_q out.
        result_sparsity: ``"noop"`` leaves W_o out.

    Raises:
        LayerError: an argument is out of range; the heads cannot share the features evenly; shapes do not fit.

    >>> AttentionQKV(8, n_heads=2)
    AttentionQKV_in4_out2[
      Parallel_in3_out3[
        Dense_8
        Dense_8
        Dense_8
      ]
      PureAttention_in4_out2
      Dense_8
    ]
    """
    d_feature, n_heads = checked_heads("AttentionQKV", d_feature, n_heads)
    keys: lk.Layer = Dense(d_feature)
    values: lk.Layer = Dense(d_feature)
    if cache_KV_in_predict:
        keys, values = (lk.Cache(layer, "predict" if mode == "predict" else "train") for layer in (keys, values))
    return lk.Serial(
        lk.Parallel(_or_nothing("q_sparsity", q_sparsity, d_feature), keys, values),
        PureAttention(n_heads, dropout, mode, chunk_size),
        _or_nothing("result_sparsity", result_sparsity, d_feature),
        name="AttentionQKV",
    )


def _or_nothing(argument: str, sparsity: str | None, d_feature: int) -> Any:
    if sparsity is None:
        return Dense(d_feature)
    arguments.one_of("AttentionQKV", argument, sparsity, ("noop",))
    return lk.Serial()


@lk.example(*_MASKED, d_feature=8, n_heads=2)
def Attention(
    d_feature: int, n_heads: int = 1, dropout: float = 0.0, mode: str | None = None, chunk_size: int | None = None
) -> lk.Layer:
    """y = AttentionQKV(x, x, x, mask): a sequence attends to itself; the mask comes out as it went in.

    x: (b, l, ...)    mask: (b, 1, 1 or l, l)    y: (b, l, d_feature)

    Args:
        d_feature: the features of queries, keys, values and of y.
        n_heads: how many heads share them.
        dropout, mode, chunk_size: as in ``DotProductAttention``.

    Raises:
        LayerError: an argument is out of range; the heads cannot share the features evenly; the mask does not fit.

    >>> attention = Attention(d_feature=8, n_heads=2)
    >>> weights, state = attention.init((lk.f32(3, 5, 8), lk.bool_(3, 1, 1, 5)))
    >>> [len(part) for part in weights[1][0]]  # query, key, value: kernel and bias each
    [2, 2, 2]
    """
    d_feature, n_heads = checked_heads("Attention", d_feature, n_heads)
    return lk.Serial(
        lk.Select([0, 0, 0]), AttentionQKV(d_feature, n_heads, dropout, mode, chunk_size=chunk_size), name="Attention"
    )


# -- what comes later may not be seen ---------------------------------------------------------------------------------


@lk.example(_HEADS, _HEADS, _HEADS)
class DotProductCausalAttention(_Attending):
    """y_i = softmax(q_i k^T / sqrt(d)) v over the keys 0 .. i: no position sees a later one.

    q, k: (..., l, d)    v: (..., l, e)    y: (..., l, e)

    In predict mode a call brings the positions that follow those of the call before; keys and values are kept in the
    state, (..., max_inference_length, d), for the batch it was initialized for.

    Args:
        dropout: the share of weights that become 0 while training.
        max_inference_length: how many positions there can be in predict mode.
        mode: ``"train"``, ``"eval"`` or ``"predict"`` fixes what a call says otherwise.
        chunk_size: as in ``DotProductAttention``.

    Raises:
        LayerError: an argument is out of range; shapes do not fit; in predict mode, another batch than at init, or
            more than ``max_inference_length`` positions (NaN inside jit, where nothing can be raised).

    >>> from layerkit.fastmath import numpy as np
    >>> x = np.array([[1.0], [2.0], [6.0]])
    >>> DotProductCausalAttention()((0 * x, x, x)).tolist()
    [[1.0], [1.5], [3.0]]
    """

    def __init__(
        self,
        dropout: float = 0.0,
        max_inference_length: int = 2048,
        mode: str | None = None,
        chunk_size: int | None = None,
    ) -> None:
        super().__init__(3, 1, dropout, chunk_size, mode)
        self.max_inference_length = arguments.whole_number(
            "DotProductCausalAttention", "max_inference_length", max_inference_length
        )

    @property
    def is_bare(self) -> bool:
        return self.mode != "predict"

    def init_weights_and_state(self, signature: Any) -> None:
        if self.mode == "predict":
            _, keys, values = signature
            self.state = empty(keys, values, self.max_inference_length)

    def forward(self, x: Any) -> Any:
        q, k, v = x
        if q.shape[-2:-1] != k.shape[-2:-1]:
            raise lk.LayerError(f"expected as many queries as keys, got {tuple(q.shape)} and {tuple(k.shape)}")
        if self.mode != "predict":
            return self.attend(q, k, v, Sight(start=0))
        start = self.state.position
        self.state = append(self.state, k, v, "max_inference_length")
        y = self.attend(q, self.state.keys, self.state.values, Sight(start=start))
        return nan_beyond(self.max_inference_length, self.state.position, y)


@lk.example(lk.f32(2, 5, 8), d_feature=8, n_heads=2)
def CausalAttention(
    d_feature: int,
    n_heads: int = 1,
    dropout: float = 0.0,
    max_inference_length: int = 2048,
    use_dconv: bool = False,
    mode: str | None = None,
    chunk_size: int | None = None,
) -> lk.Layer:
    """y = W_o DotProductCausalAttention(W_q x, W_k x, W_v x), in several heads.

    x: (b, l, ...)    y: (b, l, d_feature)

    Args:
        d_feature: the features of queries, keys, values and of y.
        n_heads: how many heads share them.
        dropout, max_inference_length, mode, chunk_size: as in ``DotProductCausalAttention``.
        use_dconv: puts a ``CausalDepthwiseConv`` behind each of W_q, W_k and W_v (So et al., "Primer", arXiv
            2109.08668).

    Raises:
        LayerError: an argument is out of range; the heads cannot share the features evenly.

    >>> from layerkit.fastmath import numpy as np
    >>> attention = CausalAttention(d_feature=8, n_heads=2)
    >>> weights, state = attention.init(lk.f32(3, 5, 8))
    >>> attention(np.ones((3, 7, 8))).shape
    (3, 7, 8)
    """
    d_feature, n_heads = checked_heads("CausalAttention", d_feature, n_heads)

    def make() -> Any:
        return [Dense(d_feature), tl.CausalDepthwiseConv(mode=mode)] if use_dconv else Dense(d_feature)

    return _configured(
        "CausalAttention",
        [make(), make(), make()],
        Dense(d_feature),
        DotProductCausalAttention(dropout, max_inference_length, mode, chunk_size),
        n_heads,
    )


def _configured(name: str, before: list[Any], after: Any, attention: Any, n_heads: int) -> lk.Layer:
    heads = lambda layer: lk.Serial(layer, SplitIntoHeads(n_heads, merged_batch_and_head=False))
    merge = MergeHeads(n_heads, merged_batch_and_head=False)
    return lk.Serial(lk.Branch(*map(heads, before)), attention, merge, after, name=name)


@lk.example(lk.f32(2, 5, 8), n_heads=2)
def ConfigurableAttention(
    q_layer: Any = None,
    k_layer: Any = None,
    v_layer: Any = None,
    final_layer: Any = None,
    qkv_attention_layer: Any = None,
    n_heads: int = 1,
) -> lk.Layer:
    """y = final(attention(q(x), k(x), v(x))), the attention in several heads.    x: (b, l, d)    y: (b, l, e)

    Args:
        q_layer, k_layer, v_layer: layers, or lists of them, that make queries, keys and values (b, l, e) of x; x itself
            unless given.
        final_layer: the layer behind the attention; none unless given.
        qkv_attention_layer: takes queries, keys and values (b, n_heads, l, e / n_heads) and gives such an array;
            ``DotProductCausalAttention()`` unless given.
        n_heads: how many heads share the features.

    Raises:
        LayerError: the heads cannot share the features evenly.

    >>> ConfigurableAttention(v_layer=Dense(6), n_heads=2).output_signature(lk.f32(1, 5, 8))
    float32[1,5,6]
    """
    n_heads = arguments.whole_number("ConfigurableAttention", "n_heads", n_heads)
    attention = DotProductCausalAttention() if qkv_attention_layer is None else qkv_attention_layer
    return _configured("ConfigurableAttention", [q_layer, k_layer, v_layer], final_layer, attention, n_heads)
