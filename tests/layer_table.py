"""The one table of layers: for every registered one, what it is made with, tried on, and allowed to do.

``test_layers.py`` runs the kit on each row, holds it to what is declared here, and fails where a registered layer has
no row. A row starts from the constructor's ``@lk.example``; what is given here comes on top.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as onp

import layerkit as lk
from layerkit import layers as tl
from layerkit.example import example_of
from layerkit.fastmath import numpy as np

__all__ = ["COMBINATORS", "ROWS", "Row", "row"]

Values = Callable[[onp.random.Generator], tuple[Any, ...]]


@dataclass(frozen=True, eq=False)
class Row:
    """One way to make a layer, and what is expected of it."""

    name: str
    """The registered name."""

    make: Callable[[], lk.Layer]

    inputs: tuple[lk.ShapeDtype, ...]

    note: str = ""
    """What sets it apart from other rows of the same layer."""

    values: Values | None = None
    """Makes the inputs, where not any numbers will do."""

    draws_in_training: bool = False
    """Whether training draws random numbers (and evaluation none)."""

    always_draws: bool = False
    """Whether every call draws random numbers."""

    trains_differently: bool = False
    """Whether a training call gives other outputs than an evaluation; implied by ``draws_in_training``."""

    has_state: bool = False
    """Whether a training call changes the state."""

    state_in_evaluation: bool = False
    """Whether an evaluation changes the state as well."""

    rows_independent: bool = True
    """Whether a row of the output depends on the same row of the inputs alone, in evaluation."""

    expected_failures: dict[str, str] = field(default_factory=dict)
    """Checks of the kit that do not hold for it, each with the reason."""

    tolerance: float = 2e-6
    """How far NumPy and JAX may be apart, relative to the largest number; gradients ten times as far."""

    @property
    def id(self) -> str:
        return f"{self.name}({self.note})" if self.note else self.name

    @property
    def signature(self) -> Any:
        return self.inputs[0] if len(self.inputs) == 1 else self.inputs

    @property
    def training_differs(self) -> bool:
        return self.trains_differently or self.draws_in_training

    @property
    def tried_on(self) -> tuple[Any, ...]:
        """What the kit is given: signatures, or arrays where not any numbers will do."""
        return self.inputs if self.values is None else self.arrays()

    def arrays(self, seed: int = 0) -> tuple[onp.ndarray[Any, Any], ...]:
        """Inputs to try it on, other ones for every seed."""
        generator = onp.random.default_rng(seed)
        if self.values is not None:
            return tuple(
                onp.asarray(value, of.dtype) for value, of in zip(self.values(generator), self.inputs, strict=True)
            )
        return tuple(_any_numbers(generator, of) for of in self.inputs)


def _any_numbers(generator: onp.random.Generator, of: lk.ShapeDtype) -> onp.ndarray[Any, Any]:
    if of.dtype.kind == "f":
        return generator.normal(size=of.shape).astype(of.dtype)
    if of.dtype.kind == "b":
        return generator.random(of.shape) < 0.5
    return generator.integers(0, of.max or 10, of.shape).astype(of.dtype)


def row(_name: str, _note: str = "", /, *inputs: lk.ShapeDtype, **changes: Any) -> Row:
    """The row of a registered layer: its example's arguments and inputs, unless others are given."""
    fields = {key: changes.pop(key) for key in list(changes) if key in Row.__dataclass_fields__}
    constructor = getattr(tl, _name)
    example = example_of(constructor)
    arguments = changes or (example.arguments if example is not None else {})
    of = inputs or (example.inputs if example is not None else ())
    if example is not None and not inputs:
        fields.setdefault("rows_independent", example.rows_independent)
    if example is not None:
        fields.setdefault("expected_failures", example.expected_failures)
    return Row(_name, lambda: constructor(**arguments), of, _note, **fields)


def _positive(generator: onp.random.Generator) -> tuple[Any, ...]:
    return (generator.uniform(0.1, 3.0, (4, 8)),)


def _padded(generator: onp.random.Generator) -> tuple[Any, ...]:
    """Sequences of 6, 4, 1 and no real positions."""
    mask = onp.arange(6) < onp.array([[6], [4], [1], [0]])
    return generator.normal(size=(4, 6, 8)), mask


def _probabilities(generator: onp.random.Generator) -> tuple[Any, ...]:
    return generator.uniform(0.05, 0.95, 6), generator.uniform(0, 1, 6), generator.uniform(0, 2, 6)


def _near(generator: onp.random.Generator) -> tuple[Any, ...]:
    """Predictions, targets less and more than 1 away, weights."""
    return generator.normal(size=6), generator.normal(size=6), generator.uniform(0, 2, 6)


def _weighted(generator: onp.random.Generator) -> tuple[Any, ...]:
    """Scores, classes, and weights."""
    return generator.normal(size=(4, 3)), generator.integers(0, 3, 4), generator.uniform(0.1, 2, 4)


def _block(*more: lk.Layer) -> list[lk.Layer]:
    return [tl.ReversibleHalfResidual(tl.Dense(8), tl.Tanh(), *more), tl.ReversibleSwap()]


_pair = (lk.f32(4, 8), lk.f32(4, 8))
_three = (lk.f32(6), lk.f32(6), lk.f32(6))
_ids = (lk.f32(4, 3), lk.i32(4), lk.f32(4))
_whole = {"rows_independent": False}
_masked = (lk.f32(2, 5, 8), lk.bool_(2, 1, 1, 5))
_queries = (lk.f32(2, 4, 8), lk.f32(2, 5, 8), lk.f32(2, 5, 8), lk.bool_(2, 1, 1, 5))
_remembers = {"evaluation_leaves_the_state": "in predict mode it remembers what was, which is what it is for"}
_sines = {"init_follows_its_key": "its table begins as sines and cosines, without a random number"}
_one_by_one = {"masked": True, "n_heads": 2, "d_qk": 4, "d_v": 3, "n_parallel_heads": 1}
_predicts = {
    "mode": "predict",
    "has_state": True,
    "state_in_evaluation": True,
    "expected_failures": _remembers,
    "rows_independent": False,
}


ROWS: list[Row] = [
    # -- activations --------------------------------------------------------------------------------------------------
    *map(row, ["Elu", "Exp", "FastGelu", "Gelu", "Glu", "HardSigmoid", "HardTanh", "LeakyRelu"]),
    *map(row, ["ParametricRelu", "Relu", "Selu", "Sigmoid", "Softplus", "Swish", "Tanh"]),
    row("Log", values=_positive),
    row("ThresholdedLinearUnit"),
    row("ThresholdedLinearUnit", "4 axes", lk.f32(2, 3, 2, 5)),
    row("Elu", "a", a=0.3),
    row("LeakyRelu", "a", a=0.3),
    row("ParametricRelu", "negative a", a=-2.0),
    row("Selu", "alpha and lmbda", alpha=0.5, lmbda=2.0),
    row("Gelu", "whole numbers", lk.i32(4, 8, max=5)),
    # -- attention ----------------------------------------------------------------------------------------------------
    *map(row, ["Attention", "AttentionQKV", "CausalAttention", "ConfigurableAttention", "DotProductAttention"]),
    *map(row, ["DotProductCausalAttention", "MergeHeads", "PureAttention", "SplitIntoHeads"]),
    row("Attention", "chunks", lk.f32(2, 5, 6), lk.bool_(2, 1, 5, 5), d_feature=8, n_heads=4, chunk_size=2),
    row("Attention", "dropout", *_masked, d_feature=8, dropout=0.5, draws_in_training=True),
    row("Attention", "dropout in chunks", *_masked, d_feature=8, dropout=0.5, chunk_size=2, draws_in_training=True),
    row(
        "AttentionQKV",
        "predict",
        *_queries,
        d_feature=8,
        cache_KV_in_predict=True,
        **_predicts,
    ),
    row("CausalAttention", "chunks", lk.f32(2, 5, 8), d_feature=8, n_heads=2, chunk_size=2),
    row("CausalAttention", "dconv", lk.f32(2, 5, 8), d_feature=8, n_heads=2, use_dconv=True),
    row("CausalAttention", "predict", lk.f32(2, 2, 8), d_feature=8, n_heads=2, max_inference_length=9, **_predicts),
    row("ConfigurableAttention", "rotary", lk.f32(2, 5, 8), q_layer=tl.Rotate(2), k_layer=tl.Rotate(2), n_heads=2),
    row("DotProductCausalAttention", "3 axes", *[lk.f32(2, 5, 4)] * 3, chunk_size=3),
    # -- efficient attention -------------------------------------------------------------------------------------------
    *map(row, ["EncDecAttention", "SelfAttention"]),
    row("LSHSelfAttention", draws_in_training=True),
    *map(row, ["CausalFavor", "CausalFavorAttention", "Favor", "FavorAttention"]),
    row(
        "FavorAttention",
        "softmax",
        *[lk.f32(2, 5, 4)] * 3,
        lk.bool_(2, 1, 5),
        use_approximate_softmax=True,
        normalize_data=True,
    ),
    row("CausalFavorAttention", "predict", *[lk.f32(2, 2, 3, 4)] * 3, **_predicts),
    *map(row, ["LowRankCausalAttention", "ModularCausalAttention", "MultiplicativeCausalAttention"]),
    *map(row, ["MultiplicativeModularCausalAttention", "MultiplicativeModularSparseDense", "SparseDenseWithOptions"]),
    row("SelfAttention", "chunks", lk.f32(2, 5, 8), lk.bool_(2, 5), chunk_len=2, n_chunks_before=1, **_one_by_one),
    row("SelfAttention", "predict", lk.f32(2, 2, 8), causal=True, d_qk=3, d_v=4, predict_mem_len=9, **_predicts),
    row(
        "LSHSelfAttention",
        "causal",
        lk.f32(2, 5, 8),
        lk.bool_(2, 5),
        causal=True,
        chunk_len=2,
        attention_dropout=0.5,
        output_dropout=0.5,
        draws_in_training=True,
        **_one_by_one,
    ),
    row(
        "LSHSelfAttention",
        "predict",
        lk.f32(2, 2, 8),
        causal=True,
        d_qk=3,
        d_v=4,
        chunk_len=2,
        predict_mem_len=9,
        **_predicts,
    ),
    # -- convolution ---------------------------------------------------------------------------------------------------
    *map(row, ["CausalConv", "Conv", "Conv1d", "ConvTranspose", "LocallyConnected1d"]),
    row("Conv", "same", lk.f32(2, 5, 6, 3), filters=4, kernel_size=(2, 3), strides=2, padding="SAME", dilation=(2, 1)),
    row("Conv", "no bias, groups", lk.f32(2, 5, 6, 4), filters=6, kernel_size=(2, 3), use_bias=False, groups=2),
    row(
        "Conv",
        "features first",
        lk.f32(2, 3, 5, 6),
        filters=4,
        kernel_size=(2, 3),
        padding=((0, 1), (2, 0)),
        dimension_numbers=("NCHW", "OIHW", "NCHW"),
    ),
    row("Conv", "3 axes", lk.f32(2, 3, 4, 3, 2), filters=3, kernel_size=(2, 2, 2)),
    row("Conv", "leading axes", lk.f32(2, 3, 5, 6, 2), filters=3, kernel_size=(2, 2)),
    row("Conv", "whole numbers", lk.i32(2, 5, 6, 3), filters=4, kernel_size=(2, 3)),
    row("Conv1d", "causal", lk.f32(2, 7, 3), filters=4, kernel_size=3, padding="CAUSAL", dilation=2, stride=2),
    row("CausalConv", "predict", lk.f32(2, 2, 3), filters=4, dilation=2, **_predicts),
    row("CausalConv", "wider than x", lk.f32(2, 3, 2), filters=4, kernel_width=5, use_bias=False),
    row(
        "ConvTranspose",
        "same",
        lk.f32(2, 5, 4, 3),
        filters=4,
        kernel_size=(3, 2),
        strides=(2, 3),
        padding="SAME",
        rhs_dilation=2,
        use_bias=False,
    ),
    row("LocallyConnected1d", "same", lk.f32(2, 6, 3), filters=4, kernel_size=3, padding="SAME", use_bias=False),
    # -- dense, embedding, dropout ------------------------------------------------------------------------------------
    row("Dense"),
    row("Dense", "no bias", n_units=2, use_bias=False),
    row("Dense", "3 axes", lk.f32(2, 3, 5), n_units=4),
    row("Dense", "1 axis", lk.f32(5), n_units=4, rows_independent=False),
    row("Dense", "whole numbers", lk.i32(4, 5, max=9), n_units=3),
    row("Embedding"),
    row("Embedding", "1 axis", lk.i32(4, max=10), vocab_size=10, d_feature=8),
    row("Dropout", draws_in_training=True),
    row("Dropout", "shared axes", lk.f32(4, 3, 8), rate=0.5, shared_axes=(-2,), draws_in_training=True),
    row("Dropout", "rate 0", rate=0.0),
    row(
        "Dropout",
        "mode train",
        rate=0.5,
        mode="train",
        always_draws=True,
        rows_independent=False,
        expected_failures={"evaluation_needs_no_key": "its mode says that it always drops"},
    ),
    # -- elementwise --------------------------------------------------------------------------------------------------
    row("Negate"),
    row("Negate", "whole numbers", lk.i32(4, 8)),
    row("PrintShape"),
    row("PrintShape", "2 arrays", lk.f32(4, 8), lk.i32(4), n_in=2, msg="two"),
    row("StopGradient"),
    row("ThresholdToBinary"),
    row("ToFloat"),
    # -- losses -------------------------------------------------------------------------------------------------------
    *map(
        row,
        [
            "CategoryCrossEntropy",
            "CrossEntropyLoss",
            "CrossEntropyLossWithLogSoftmax",
            "CrossEntropySum",
            "BinaryCrossEntropy",
            "L2Loss",
            "SmoothL1Loss",
            "WeightedCategoryCrossEntropy",
            "WeightedSum",
        ],
    ),
    row("BinaryCrossEntropyLoss", "", *_three, values=_probabilities, **_whole),
    row("BinaryCrossEntropySum", "", *_three, values=_probabilities, **_whole),
    row("CategoryCrossEntropy", "smoothed", label_smoothing=0.2),
    row("CrossEntropyLoss", "float weights", *_ids, values=_weighted, **_whole),
    row("CrossEntropyLossWithLogSoftmax", "float weights", *_ids, values=_weighted, **_whole),
    row("L2Loss", "float weights", *_three, values=_near, **_whole),
    row("SmoothL1Loss", "float weights", *_three, values=_near, **_whole),
    row("WeightedCategoryCrossEntropy", "float weights", *_ids, values=_weighted, **_whole),
    row("WeightedCategoryCrossEntropy", "smoothed, cut off", label_smoothing=0.2, cutoff=0.7),
    # -- masking ------------------------------------------------------------------------------------------------------
    row("MaskedMean", values=_padded),
    row("MaskedMean", "mask for attention", lk.f32(4, 6, 8), lk.bool_(4, 1, 1, 6)),
    row("MaskedMean", "no features", lk.f32(4, 6), lk.bool_(4, 6)),
    row("EncoderDecoderMask"),
    row("PaddingMask"),
    row("PaddingMask", "pad 2", pad=2),
    # -- metrics ------------------------------------------------------------------------------------------------------
    *map(row, ["CategoryAccuracy", "MacroAveragedFScore", "WeightedFScore"]),
    *map(row, ["Accuracy", "WeightedCategoryAccuracy", "SequenceAccuracy", "MaskedSequenceAccuracy"]),
    row("Accuracy", "classifier", classifier=tl.ArgMax()),
    row("MacroAveragedFScore", "beta 2", beta=2.0, initial_category_index=1),
    row("WeightedFScore", "float weights", *_ids, values=_weighted, weighted=True, **_whole),
    # -- normalization ------------------------------------------------------------------------------------------------
    row("LayerNorm"),
    row("LayerNorm", "no center", center=False),
    row("LayerNorm", "3 axes", lk.f32(2, 3, 8), epsilon=0.1),
    row("BatchNorm", trains_differently=True, has_state=True, rows_independent=True, tolerance=1e-5),
    row(
        "BatchNorm",
        "axis 0",
        lk.f32(6, 5),
        axis=0,
        momentum=0.5,
        trains_differently=True,
        has_state=True,
        tolerance=1e-5,
    ),
    row(
        "BatchNorm", "bare", lk.f32(6, 5), axis=(0,), center=False, scale=False, trains_differently=True, has_state=True
    ),
    row("BatchNorm", "mode eval", lk.f32(6, 5), axis=(0,), mode="eval"),
    row("FilterResponseNorm"),
    row("FilterResponseNorm", "learned epsilon", lk.f32(2, 6, 3), learn_epsilon=True, init_epsilon=0.1),
    row("RMSNorm"),
    row("RMSNorm", "3 axes", lk.f32(2, 3, 8), epsilon=0.1),
    # -- positions ----------------------------------------------------------------------------------------------------
    *map(row, ["AxialPositionalEncoding", "LearnedPositionalEncoding", "PositionalEncoding", "Rotate"]),
    row("SinCosPositionalEncoding", "anywhere", lk.f32(2, 5, 8), start_from_zero_one_in=9, draws_in_training=True),
    row("SinCosPositionalEncoding", "from 0", lk.f32(2, 5, 8), start_from_zero_one_in=1),
    row("SinCosPositionalEncoding", "predict", lk.f32(2, 2, 8), **_predicts),
    row("AxialPositionalEncoding", "predict", lk.f32(2, 2, 3), shape=(5, 2), d_embs=(1, 2), **_predicts),
    row("LearnedPositionalEncoding", "dropout", lk.f32(2, 3, 8), max_len=9, dropout=0.5, draws_in_training=True),
    row(
        "PositionalEncoding",
        "offsets",
        lk.f32(2, 3, 8),
        max_len=9,
        max_offset_to_add=6,
        start_from_zero_prob=0.2,
        draws_in_training=True,
        expected_failures=_sines,
    ),
    row("PositionalEncoding", "d_feature", lk.f32(2, 3, 8), max_len=9, d_feature=6, expected_failures=_sines),
    row(
        "PositionalEncoding",
        "predict",
        lk.f32(2, 2, 8),
        max_len=9,
        **{**_predicts, "expected_failures": {**_sines, **_remembers}},
    ),
    row("Rotate", "predict", lk.f32(2, 2, 8), **_predicts),
    # -- pooling ------------------------------------------------------------------------------------------------------
    *map(row, ["AvgPool", "MaxPool", "SumPool"]),
    row("AvgPool", "same", lk.f32(2, 5, 4, 3), pool_size=3, strides=2, padding="SAME"),
    row("MaxPool", "same", lk.f32(2, 5, 4, 3), pool_size=(3, 2), strides=2, padding="SAME"),
    row("MaxPool", "1 axis", lk.f32(2, 5, 3), pool_size=2),
    row("SumPool", "same", lk.f32(2, 5, 4, 3), pool_size=(3, 2), strides=(2, 1), padding="SAME"),
    # -- recurrent ----------------------------------------------------------------------------------------------------
    row("ConvGRUCell", draws_in_training=True),
    *map(row, ["GRU", "GRUCell", "GeneralGRUCell", "LSTM", "LSTMCell", "MakeZeroState", "SRU"]),
    row(
        "LSTM",
        "everything",
        lk.f32(4, 3, 5),
        lk.bool_(4, 3),
        lk.f32(4, 6),
        n_units=3,
        masked=True,
        initial_state=True,
        return_state=True,
    ),
    row("GRU", "predict", lk.f32(2, 2, 5), n_units=3, **_predicts),
    row("SRU", "masked", lk.f32(4, 3, 5), lk.bool_(4, 3), n_units=5, masked=True),
    row("SRU", "predict", lk.f32(2, 2, 3), n_units=3, **_predicts),
    # -- relative -----------------------------------------------------------------------------------------------------
    *map(row, ["RelativeAttentionLMLayer", "RelativeAttentionLayer", "RelativeAttentionWrapper"]),
    row(
        "RelativeAttentionLayer",
        "pooled, cls, dropout",
        lk.f32(2, 4, 8),
        *[lk.f32(2, 8, 8)] * 2,
        lk.bool_(2, 1, 1, 8),
        d_feature=8,
        n_heads=2,
        total_kv_pooling=2,
        separate_cls=True,
        dropout=0.5,
        draws_in_training=True,
    ),
    row("RelativeAttentionWrapper", "predict", lk.f32(2, 2, 8), d_feature=8, max_inference_length=9, **_predicts),
    # -- reductions ---------------------------------------------------------------------------------------------------
    *map(row, ["ArgMax", "Flatten", "Max", "Mean", "Min", "Sum"]),
    row("ArgMax", "axis 1", lk.f32(4, 3, 5), axis=1),
    row("Flatten", "keep 2", lk.f32(4, 3, 2, 5), n_axes_to_keep=2),
    row("Flatten", "keep 0", lk.f32(4, 3), n_axes_to_keep=0, rows_independent=False),
    row("Max", "axis 1 kept", lk.f32(4, 3, 5), axis=1, keepdims=True),
    row("Mean", "axis 1", lk.f32(4, 3, 5), axis=1),
    row("Mean", "all axes", lk.f32(4, 5), axis=None, rows_independent=False),
    row("Mean", "whole numbers", lk.i32(4, 5), axis=-1),
    row("Min", "2 axes", lk.f32(4, 3, 5), axis=(1, 2)),
    row("Sum", "axis 1", lk.f32(4, 3, 5), axis=1),
    row("Sum", "booleans", lk.bool_(4, 5), axis=-1),
    # -- shift --------------------------------------------------------------------------------------------------------
    *map(row, ["CausalDepthwiseConv", "ShiftRight"]),
    row("CausalDepthwiseConv", "predict", lk.f32(2, 2, 3), **_predicts),
    row("ShiftRight", "far, ids", lk.i32(2, 3, max=9), n_positions=5),
    row("ShiftRight", "predict", lk.i32(2, 3, max=9), mode="predict"),
    # -- softmax ------------------------------------------------------------------------------------------------------
    *map(row, ["LogSoftmax", "LogSumExp", "Softmax"]),
    row("LogSoftmax", "axis 1", lk.f32(4, 3, 5), axis=1),
    row("LogSumExp", "axis 1", lk.f32(4, 3, 5), axis=1),
    row("Softmax", "axis 1", lk.f32(4, 3, 5), axis=1),
    # -- fewer weights, or fewer in use -------------------------------------------------------------------------------
    row("BlockSparseFF", draws_in_training=True),
    row("EinsumDense"),
    row("FactoredDense"),
    row("FactoredDense", "no bias", lk.f32(4, 6), n_modules=2, d_in=6, d_out=8, use_bias=False),
    row("LocallyConnectedDense"),
    row("LocallyConnectedDense", "wide", lk.f32(4, 6), n_modules=3, n_units=4, kernel_size=2, use_bias=False),
    row("LowRankDense"),
    row("MergeLastTwoAxes"),
    row("RandomLayer", always_draws=True),
    row("SparseFF", draws_in_training=True),
    row("SplitLastAxis"),
    row("SwitchSparseFF", draws_in_training=True),
    row(
        "SwitchSparseFF", "loss", lk.f32(3, 8), d_ff=16, n_experts=4, return_loss=True, **_whole, draws_in_training=True
    ),
    # -- reversible ---------------------------------------------------------------------------------------------------
    row("ReversibleConcatenatePair"),
    row("ReversibleHalfResidual"),
    Row("ReversibleHalfResidual", lambda: tl.ReversibleHalfResidual(tl.Dense(8), tl.Tanh()), _pair, "layers"),
    row("ReversibleReshape"),
    row("ReversibleReshape", "two inputs", *_pair, shape1=(4, 8), shape2=(16, 2), n_in=2, rows_independent=False),
    row("ReversibleSelect"),
    row("ReversibleSerial"),
    Row("ReversibleSerial", lambda: tl.ReversibleSerial(_block(), _block()), _pair, "blocks", tolerance=1e-5),
    Row(
        "ReversibleSerial",
        lambda: tl.ReversibleSerial(_block(tl.Dropout(0.5)), _block()),
        _pair,
        "dropout",
        draws_in_training=True,
        tolerance=1e-5,
    ),
    row("ReversibleSwap"),
    # -- sources ------------------------------------------------------------------------------------------------------
    row("RandomUniform", always_draws=True),
    row("Weights"),
    row("Weights", "one number", initializer=tl.RandomNormalInitializer(1.0), rows_independent=False),
    # -- summaries ----------------------------------------------------------------------------------------------------
    row("SummaryScalar", has_state=True),
    Row("SummaryScalar", lambda: tl.SummaryScalar("top", np.max), (lk.i32(4),), "whole numbers", has_state=True),
    row("SummaryImage", has_state=True),
    Row(
        "SummaryImage",
        lambda: tl.SummaryImage("pairs", 2, recover_fn=lambda x: np.reshape(x, (-1, 2, 1, 3))),
        (lk.f32(4, 6), lk.f32(4)),
        "of 2 arrays",
        has_state=True,
    ),
]


def combine(_name: str, _make: Callable[[], lk.Layer], /, *inputs: lk.ShapeDtype, note: str = "", **fields: Any) -> Row:
    return Row(_name, _make, inputs, note, **fields)


def _shared() -> lk.Layer:
    dense = tl.Dense(5)
    return tl.Serial(dense, tl.Tanh(), dense)


_x = lk.f32(4, 5)


class _Double(lk.ReversibleLayer):
    def forward(self, x: Any) -> Any:
        return 2 * x

    def reverse(self, output: Any, weights: Any = (), state: Any = (), new_state: Any = (), rng: Any = None) -> Any:
        return output / 2


COMBINATORS: list[Row] = [
    combine("ReversibleLayer", lambda: _Double(), _x),
    combine("Serial", lambda: tl.Serial(tl.Dense(3), tl.Tanh(), tl.Dense(2)), _x),
    combine("Serial", lambda: tl.Serial(), _x, note="empty"),
    combine("Serial", lambda: tl.Serial(tl.Dense(3)), _x, lk.i32(4), note="an array passes below"),
    combine("Serial", _shared, _x, note="a layer twice"),
    combine("Serial", lambda: tl.Serial(tl.Dense(3), tl.Dropout(0.5)), _x, note="dropout", draws_in_training=True),
    combine(
        "Serial",
        lambda: tl.Serial(tl.Dense(3), [tl.BatchNorm(axis=0), tl.Tanh()]),
        _x,
        note="state",
        has_state=True,
        trains_differently=True,
        tolerance=1e-5,
    ),
    combine("Branch", lambda: tl.Branch(tl.Dense(3), None, tl.Tanh()), _x),
    combine("Branch", lambda: tl.Branch(tl.Dropout(0.5), tl.Dropout(0.5)), _x, note="dropout", draws_in_training=True),
    combine("Parallel", lambda: tl.Parallel(tl.Dense(3), tl.Add()), _x, _x, _x),
    combine("Residual", lambda: tl.Residual(tl.Dense(5), tl.Tanh()), _x),
    combine("Residual", lambda: tl.Residual(tl.Dense(3), shortcut=tl.Dense(3)), _x, note="shortcut"),
    combine("Select", lambda: tl.Select([1, 0, 1]), _x, lk.i32(4)),
    combine("Drop", lambda: tl.Serial(tl.Drop()), _x, _x),
    combine("Dup", lambda: tl.Dup(), _x),
    combine("Swap", lambda: tl.Swap(), _x, lk.i32(4)),
    combine("Add", lambda: tl.Add(), _x, _x),
    combine("SubtractTop", lambda: tl.SubtractTop(), _x, lk.f32(4, 1)),
    combine("Multiply", lambda: tl.Multiply(), _x, _x),
    combine("Gate", lambda: tl.Gate(), _x, _x, _x),
    combine("Concatenate", lambda: tl.Concatenate(), _x, lk.f32(4, 2)),
    combine("Concatenate", lambda: tl.Concatenate(3, axis=1), _x, _x, _x, note="three on axis 1"),
    combine("Split", lambda: tl.Split(2), lk.f32(4, 6)),
    combine("FlattenList", lambda: tl.FlattenList(), _x),
    combine(
        "SerialWithSideOutputs",
        lambda: tl.SerialWithSideOutputs([tl.Serial(tl.Dense(5), tl.Dup()), tl.Serial(tl.Tanh(), tl.Dup())]),
        _x,
    ),
    combine("Fn", lambda: tl.Fn("Hypot", lambda x, y: x * x + y * y), _x, _x),
    combine("PureLayer", lambda: tl.PureLayer(lambda x: 3 * x), _x),
    combine("Scan", lambda: tl.Scan(_cell(), axis=1), lk.f32(4, 3, 5), _x, tolerance=1e-5),
    combine("Scan", lambda: tl.Scan(_cell(), axis=1, remat=True), lk.f32(4, 3, 5), _x, note="remat", tolerance=1e-5),
    combine(
        "Scan",
        lambda: tl.Scan(tl.Serial(tl.Dropout(0.5), _cell()), axis=1),
        lk.f32(4, 3, 5),
        _x,
        note="dropout",
        draws_in_training=True,
        tolerance=1e-5,
    ),
    combine("Map", lambda: tl.Map(tl.Dense(2), axis=1), lk.f32(4, 3, 5)),
    combine("Chunk", lambda: tl.Chunk(tl.Dense(2), 2), _x),
    combine(
        "Cond",
        lambda: tl.Cond(_first_is_positive(), tl.Dense(5), tl.Tanh()),
        _x,
        _x,
        rows_independent=False,
    ),
    combine(
        "Cache",
        lambda: tl.Cache(tl.Dense(3)),
        _x,
        rows_independent=False,
        state_in_evaluation=True,
        expected_failures={
            "evaluation_leaves_the_state": "in evaluation it keeps what it computed, which is what it is for"
        },
    ),
    combine("BatchLeadingAxes", lambda: tl.BatchLeadingAxes(tl.Dense(2)), lk.f32(4, 3, 5)),
    combine("Bidirectional", lambda: tl.Bidirectional(tl.Dense(2), axis=1), lk.f32(4, 3, 5)),
    combine("Accelerate", lambda: tl.Accelerate(tl.Dense(3)), _x),
    combine("AssertFunction", lambda: tl.AssertFunction("...a->...b", tl.Dense(3)), _x),
    combine("AssertShape", lambda: tl.AssertShape("b5,b"), _x, lk.i32(4)),
]


def _cell() -> lk.Layer:
    """(x, carry) -> (y, carry): a plain recurrent cell."""
    return tl.Serial(tl.Concatenate(), tl.Dense(5), tl.Tanh(), tl.Dup())


def _first_is_positive() -> lk.Layer:
    return tl.Fn("FirstIsPositive", lambda x: x[0, 0] > 0)
