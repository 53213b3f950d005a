"""The bundled models: compositions of layers, one family a file, imported once one of its models is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from layerkit.plugins import deferred, hookimpl

__all__ = ["layerkit_models"]

_FAMILIES = {
    "bert": "BERT BERTClassifierHead BERTMLMHead BERTPretrainingHead BERTPretrainingLoss BERTRegressionHead",
    "mlp": "MLP",
    "neural_gpu": "NeuralGPU",
    "recurrent": "GRUClassifier GRULM LSTMClassifier LSTMSeq2SeqAttn RNNLM",
    "reformer": "Reformer ReformerLM",
    "resnet": "Resnet50 WideResnet",
    "rezero": "ReZeroTransformer ReZeroTransformerDecoder ReZeroTransformerEncoder ReZeroTransformerLM",
    "text_cnn": "TextCNN",
    "transformer": "Transformer TransformerDecoder TransformerEncoder TransformerLM",
}


@hookimpl
def layerkit_models() -> Sequence[Callable[..., Any]]:
    """The bundled models."""
    families = _FAMILIES.items()
    return [model for family, names in families for model in deferred(f"{__name__}.{family}", *names.split())]
