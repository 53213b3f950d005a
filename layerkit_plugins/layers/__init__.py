"""The bundled layers, one family a file; a family is imported once one of its layers is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from layerkit.plugins import deferred, hookimpl

__all__ = ["layerkit_layers"]

_FAMILIES = {
    "activations": (
        "Elu Exp FastGelu Gelu Glu HardSigmoid HardTanh LeakyRelu Log ParametricRelu Relu Selu Sigmoid "
        "Softplus Swish Tanh ThresholdedLinearUnit"
    ),
    "attention": (
        "Attention AttentionQKV CausalAttention ConfigurableAttention DotProductAttention "
        "DotProductCausalAttention PureAttention"
    ),
    "convolution": "CausalConv Conv Conv1d ConvTranspose",
    "dense": "Dense",
    "dropout": "Dropout",
    "efficient_attention": "EncDecAttention SelfAttention",
    "elementwise": "Negate PrintShape StopGradient ThresholdToBinary ToFloat",
    "embedding": "Embedding",
    "factored": "EinsumDense FactoredDense LocallyConnectedDense LowRankDense MergeLastTwoAxes SplitLastAxis",
    "favor": "CausalFavor CausalFavorAttention Favor FavorAttention",
    "gated": "ConvGRUCell GeneralGRUCell SRU",
    "heads": "MergeHeads SplitIntoHeads",
    "locally_connected": "LocallyConnected1d",
    "lsh_attention": "LSHSelfAttention",
    "losses": (
        "BinaryCrossEntropy BinaryCrossEntropyLoss BinaryCrossEntropySum CategoryCrossEntropy "
        "CrossEntropyLoss CrossEntropyLossWithLogSoftmax CrossEntropySum L2Loss SmoothL1Loss "
        "WeightedCategoryCrossEntropy WeightedSum"
    ),
    "masking": "EncoderDecoderMask MaskedMean PaddingMask",
    "metrics": (
        "Accuracy CategoryAccuracy MacroAveragedFScore MaskedSequenceAccuracy SequenceAccuracy "
        "WeightedCategoryAccuracy WeightedFScore"
    ),
    "normalization": "BatchNorm FilterResponseNorm LayerNorm RMSNorm",
    "pooling": "AvgPool MaxPool SumPool",
    "positions": "AxialPositionalEncoding LearnedPositionalEncoding PositionalEncoding SinCosPositionalEncoding",
    "random_layer": "RandomLayer",
    "recurrent": "GRU GRUCell LSTM LSTMCell MakeZeroState",
    "reductions": "ArgMax Flatten Max Mean Min Sum",
    "relative": "RelativeAttentionLMLayer RelativeAttentionLayer RelativeAttentionWrapper",
    "reversible": (
        "ReversibleConcatenatePair ReversibleHalfResidual ReversibleReshape ReversibleSelect ReversibleSerial "
        "ReversibleSwap"
    ),
    "rotary": "Rotate",
    "shift": "CausalDepthwiseConv ShiftRight",
    "softmax": "LogSoftmax LogSumExp Softmax",
    "sparse_attention": (
        "LowRankCausalAttention ModularCausalAttention MultiplicativeCausalAttention "
        "MultiplicativeModularCausalAttention MultiplicativeModularSparseDense SparseDenseWithOptions"
    ),
    "sparse_feed_forward": "BlockSparseFF SparseFF SwitchSparseFF",
    "sources": "RandomUniform Weights",
    "summaries": "SummaryImage SummaryScalar",
}


@hookimpl
def layerkit_layers() -> Sequence[Callable[..., Any]]:
    """The constructors of every family."""
    families = _FAMILIES.items()
    return [layer for family, names in families for layer in deferred(f"{__name__}.{family}", *names.split())]
