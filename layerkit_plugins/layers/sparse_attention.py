"""Causal attention, and Dense, with fewer weights: compositions of factored, modular and low-rank layers.

Jaszczur et al., "Sparse is enough in scaling transformers", NeurIPS 2021, arXiv 2111.12763.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import layerkit as lk
from layerkit import arguments
from layerkit_plugins.layers.attending import checked_heads
from layerkit_plugins.layers.attention import ConfigurableAttention, DotProductCausalAttention
from layerkit_plugins.layers.dense import Dense
from layerkit_plugins.layers.factored import EinsumDense, FactoredDense, LocallyConnectedDense, LowRankDense
from layerkit_plugins.layers.random_layer import RandomLayer

__all__ = [
    "LowRankCausalAttention",
    "ModularCausalAttention",
    "MultiplicativeCausalAttention",
    "MultiplicativeModularCausalAttention",
    "MultiplicativeModularSparseDense",
    "SparseDenseWithOptions",
]

_TYPES = ("einsum", "lowrank", "mult")


@lk.example(lk.f32(2, 5, 8), d_feature=8, n_heads=2)
def ModularCausalAttention(
    d_feature: int,
    n_heads: int = 1,
    sparsity: int | None = None,
    dropout: float = 0.0,
    max_inference_length: int = 2048,
    kernel_size: int = 1,
    mode: str | None = None,
) -> lk.Layer:
    """``CausalAttention`` with a ``LocallyConnectedDense`` in place of each Dense.    x, y: (b, l, d_feature)

    Args:
        d_feature: the features of x, of queries, keys and values, and of y.
        n_heads: how many heads share them.
        sparsity: into how many modules the features are cut; ``n_heads`` unless given.
        dropout, max_inference_length, mode: as in ``DotProductCausalAttention``.
        kernel_size: how many modules each one sees.

    Raises:
        LayerError: an argument is out of range; heads or modules cannot share the features evenly.

    >>> ModularCausalAttention(8, n_heads=2).output_signature(lk.f32(3, 5, 8))
    float32[3,5,8]
    """
    own = "ModularCausalAttention"
    sparsity = _checked(own, d_feature, n_heads, sparsity)
    layers = [LocallyConnectedDense(sparsity, d_feature // sparsity, kernel_size) for _ in range(4)]
    return _attention(own, layers, n_heads, (dropout, max_inference_length, mode))


@lk.example(lk.f32(2, 5, 8), d_feature=8, n_heads=2)
def MultiplicativeCausalAttention(
    d_feature: int,
    n_heads: int = 1,
    sparsity: int | None = None,
    dropout: float = 0.0,
    max_inference_length: int = 2048,
    mode: str | None = None,
) -> lk.Layer:
    """``CausalAttention`` with a ``FactoredDense`` in place of each Dense.    x, y: (b, l, d_feature)

    Args:
        d_feature: the features of x, of queries, keys and values, and of y.
        n_heads: how many heads share them.
        sparsity: how many modules a FactoredDense has; ``n_heads`` unless given.
        dropout, max_inference_length, mode: as in ``DotProductCausalAttention``.

    Raises:
        LayerError: an argument is out of range; heads or modules cannot share the features evenly.

    >>> MultiplicativeCausalAttention(8, n_heads=2).output_signature(lk.f32(3, 5, 8))
    float32[3,5,8]
    """
    own = "MultiplicativeCausalAttention"
    sparsity = _checked(own, d_feature, n_heads, sparsity)
    layers = [FactoredDense(sparsity, d_feature, d_feature) for _ in range(4)]
    return _attention(own, layers, n_heads, (dropout, max_inference_length, mode))


@lk.example(lk.f32(2, 5, 8), d_feature=8, n_heads=2)
def MultiplicativeModularCausalAttention(
    d_feature: int,
    n_heads: int = 1,
    sparsity: int | None = None,
    dropout: float = 0.0,
    max_inference_length: int = 2048,
    mode: str | None = None,
) -> lk.Layer:
    """``CausalAttention`` with a ``MultiplicativeModularSparseDense`` for queries, keys, values, and none behind.

    x, y: (b, l, d_feature)

    Args:
        d_feature: the features of x, of queries, keys and values, and of y.
        n_heads: how many heads share them.
        sparsity: how many modules there are; ``n_heads`` unless given.
        dropout, max_inference_length, mode: as in ``DotProductCausalAttention``.

    Raises:
        LayerError: an argument is out of range; heads or modules cannot share the features evenly.

    >>> MultiplicativeModularCausalAttention(8, n_heads=2).output_signature(lk.f32(3, 5, 8))
    float32[3,5,8]
    """
    own = "MultiplicativeModularCausalAttention"
    sparsity = _checked(own, d_feature, n_heads, sparsity)
    layers = [MultiplicativeModularSparseDense(sparsity, d_feature) for _ in range(3)]
    return _attention(own, [*layers, None], n_heads, (dropout, max_inference_length, mode))


@lk.example(lk.f32(2, 5, 8), d_feature=8, n_heads=2, lowrank=3)
def LowRankCausalAttention(
    d_feature: int,
    n_heads: int = 1,
    dropout: float = 0.0,
    max_inference_length: int = 2048,
    lowrank: int = 64,
    mode: str | None = None,
) -> lk.Layer:
    """``CausalAttention`` with a ``LowRankDense`` in place of each Dense.    x: (b, l, ...)    y: (b, l, d_feature)

    Args:
        d_feature: the features of queries, keys, values and of y.
        n_heads: how many heads share them.
        dropout, max_inference_length, mode: as in ``DotProductCausalAttention``.
        lowrank: the rank.

    Raises:
        LayerError: an argument is out of range; the heads cannot share the features evenly.

    >>> LowRankCausalAttention(8, n_heads=2, lowrank=4).output_signature(lk.f32(3, 5, 8))
    float32[3,5,8]
    """
    own = "LowRankCausalAttention"
    _checked(own, d_feature, n_heads, 1)
    layers = [LowRankDense(d_feature, arguments.whole_number(own, "lowrank", lowrank)) for _ in range(4)]
    return _attention(own, layers, n_heads, (dropout, max_inference_length, mode))


@lk.example(lk.f32(4, 8), sparsity=2, d_feature=8)
def MultiplicativeModularSparseDense(sparsity: int, d_feature: int) -> lk.Layer:
    """y = LocallyConnectedDense(FactoredDense(x)), both in ``sparsity`` modules.    x, y: (..., d_feature)

    Args:
        sparsity: how many modules there are; it divides d_feature.
        d_feature: the features of x and of y.

    Raises:
        LayerError: an argument is out of range; the modules cannot share the features evenly.

    >>> MultiplicativeModularSparseDense(2, 8)
    MultiplicativeModularSparseDense[
      FactoredDense_8
      LocallyConnectedDense
    ]
    """
    own = "MultiplicativeModularSparseDense"
    sparsity = _checked(own, d_feature, 1, sparsity)
    modules = LocallyConnectedDense(sparsity, d_feature // sparsity)
    return lk.Serial(FactoredDense(sparsity, d_feature, d_feature), modules, name=own)


@lk.example(lk.f32(4, 8), n_units=6, d_input=8, sparsity_type="mult", sparsity=2)
def SparseDenseWithOptions(
    n_units: int,
    d_input: int | None = None,
    sparsity_type: str | None = None,
    sparsity: int = 0,
    d_lowrank: int | None = None,
    prob_sparse: float | None = None,
    mode: str | None = None,
    use_bias: bool = True,
    use_bfloat16: bool = False,
) -> lk.Layer:
    """A Dense, or one of its sparse relatives, as ``sparsity_type`` says.    x: (..., d)    y: (..., n_units)

    Args:
        n_units: the size of the last axis of the output.
        d_input: d, which "einsum" and "mult" need.
        sparsity_type: ``None`` for Dense, ``"einsum"`` for EinsumDense, ``"lowrank"`` for LowRankDense, ``"mult"`` for
            FactoredDense.
        sparsity: how many modules "mult" has.
        d_lowrank: the rank of "lowrank".
        prob_sparse: runs the sparse layer that often and a Dense else, see ``RandomLayer``; with mode "eval" or
            "predict", the sparse layer alone.
        mode: see there.
        use_bias: without it nothing is added; "lowrank" has one always.
        use_bfloat16: keeps the weights of Dense and "mult" in bfloat16.

    Raises:
        LayerError: an argument is out of range, missing or unknown.

    >>> SparseDenseWithOptions(6, sparsity_type="lowrank", d_lowrank=2)
    LowRankDense[
      Dense_2
      Dense_6
    ]
    """
    own = "SparseDenseWithOptions"
    whole = partial(arguments.whole_number, own)
    dense = Dense(n_units, use_bias=use_bias, use_bfloat16=use_bfloat16)
    if sparsity_type is None:
        return dense
    kinds: dict[str, Callable[[], Any]] = {
        "einsum": lambda: EinsumDense(whole("d_input", d_input), n_units, use_bias),
        "lowrank": lambda: LowRankDense(n_units, whole("d_lowrank", d_lowrank)),
        "mult": lambda: FactoredDense(
            whole("sparsity", sparsity), whole("d_input", d_input), n_units, use_bias, use_bfloat16
        ),
    }
    layer: lk.Layer = kinds[arguments.one_of(own, "sparsity_type", sparsity_type, _TYPES)]()
    if prob_sparse is None:
        return layer
    return RandomLayer(layer, dense, 1.0 if mode in ("eval", "predict") else prob_sparse)


def _checked(layer: str, d_feature: Any, n_heads: Any, sparsity: Any) -> int:
    """How many modules there are."""
    d_feature, n_heads = checked_heads(layer, d_feature, n_heads)
    n = arguments.whole_number(layer, "sparsity", n_heads if sparsity is None else sparsity)
    if d_feature % n:
        raise lk.LayerError(f"{layer}: sparsity {n} does not divide d_feature {d_feature}")
    return n


def _attention(name: str, layers: list[Any], n_heads: int, attends: tuple[float, int, str | None]) -> lk.Layer:
    query, key, value, last = layers
    attention = ConfigurableAttention(query, key, value, last, DotProductCausalAttention(*attends), n_heads)
    return lk.Serial(attention, name=name)
