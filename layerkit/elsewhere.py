"""What is called here what other libraries call otherwise: PyTorch's, Keras's and Flax's names, for "did you mean"."""

from __future__ import annotations

from collections.abc import Collection

__all__ = ["called_here"]

# The names of layerkit, and for each those that mean the same elsewhere: in lower case, and only where the spelling
# does not lead there.
_NAMES = {
    "Attention": "multiheadattention multiheaddotproductattention multiheadselfattention",
    "AttentionQKV": "crossattention",
    "BinaryCrossEntropy": "bcewithlogitsloss",
    "BinaryCrossEntropyLoss": "bceloss",
    "Concatenate": "concat",
    "Conv": "conv2d",
    "CrossEntropyLoss": "crossentropy nllloss",
    "Dense": "linear",
    "Fn": "lambda permute reshape squeeze transpose unsqueeze",
    "GRU": "rnn simplernn",
    "L2Loss": "mse mseloss meansquarederror",
    "LeakyRelu": "prelu",
    "MacroAveragedFScore": "f1score fbetascore",
    "Max(axis=1)": "adaptivemaxpool1d globalmaxpool globalmaxpool1d globalmaxpooling1d",
    "Max(axis=(1, 2))": "adaptivemaxpool2d globalmaxpool2d globalmaxpooling2d",
    "Mean(axis=1)": "adaptiveavgpool1d globalavgpool globalavgpool1d globalaveragepooling1d",
    "Mean(axis=(1, 2))": "adaptiveavgpool2d globalavgpool2d globalaveragepooling2d",
    "Momentum": "nesterov",
    "PaddingMask": "masking",
    "Rotate": "rope rotaryembedding rotarypositionalembedding",
    "Serial": "sequential",
    "Serial()": "identity",
    "SmoothL1Loss": "huber huberloss l1loss mae meanabsoluteerror",
    "Swish": "hardswish silu",
    "Transformer": "t5",
    "TransformerLM": "gpt gpt2",
    # Arguments of optimizers, and settings of recipes.
    "b1": "beta1 beta_1 betas",
    "b2": "beta2 beta_2",
    "clip_grad_norm": "clipnorm global_clipnorm max_grad_norm",
    "eps": "epsilon",
    "learning_rate": "lr",
    "steps": "epochs max_steps n_steps num_steps",
    "weight_decay_rate": "decay wd",
}


def called_here(name: str, known: Collection[str]) -> str:
    """What to write for another library's name, where it is one of the ``known``; empty if nothing is.

    >>> called_here("Linear", ["Dense", "Relu"]), called_here("Linear", ["Adam"])
    ('Dense', '')
    """
    wanted = name.lower()
    found = (here for here, names in _NAMES.items() if wanted in names.split() and here.partition("(")[0] in known)
    return next(found, "")
