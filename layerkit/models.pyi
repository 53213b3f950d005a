# Written by `python -m layerkit.plugins.stubs`: change the names there are, then run it again.
from typing import Any

from layerkit_plugins.models.bert import BERT as BERT
from layerkit_plugins.models.bert import BERTClassifierHead as BERTClassifierHead
from layerkit_plugins.models.bert import BERTMLMHead as BERTMLMHead
from layerkit_plugins.models.bert import BERTPretrainingHead as BERTPretrainingHead
from layerkit_plugins.models.bert import BERTPretrainingLoss as BERTPretrainingLoss
from layerkit_plugins.models.bert import BERTRegressionHead as BERTRegressionHead
from layerkit_plugins.models.mlp import MLP as MLP
from layerkit_plugins.models.neural_gpu import NeuralGPU as NeuralGPU
from layerkit_plugins.models.recurrent import GRULM as GRULM
from layerkit_plugins.models.recurrent import RNNLM as RNNLM
from layerkit_plugins.models.recurrent import GRUClassifier as GRUClassifier
from layerkit_plugins.models.recurrent import LSTMClassifier as LSTMClassifier
from layerkit_plugins.models.recurrent import LSTMSeq2SeqAttn as LSTMSeq2SeqAttn
from layerkit_plugins.models.reformer import Reformer as Reformer
from layerkit_plugins.models.reformer import ReformerLM as ReformerLM
from layerkit_plugins.models.resnet import Resnet50 as Resnet50
from layerkit_plugins.models.resnet import WideResnet as WideResnet
from layerkit_plugins.models.rezero import ReZeroTransformer as ReZeroTransformer
from layerkit_plugins.models.rezero import ReZeroTransformerDecoder as ReZeroTransformerDecoder
from layerkit_plugins.models.rezero import ReZeroTransformerEncoder as ReZeroTransformerEncoder
from layerkit_plugins.models.rezero import ReZeroTransformerLM as ReZeroTransformerLM
from layerkit_plugins.models.text_cnn import TextCNN as TextCNN
from layerkit_plugins.models.transformer import Transformer as Transformer
from layerkit_plugins.models.transformer import TransformerDecoder as TransformerDecoder
from layerkit_plugins.models.transformer import TransformerEncoder as TransformerEncoder
from layerkit_plugins.models.transformer import TransformerLM as TransformerLM

def __getattr__(name: str) -> Any: ...  # whatever other plugins offer
