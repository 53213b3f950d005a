"""BERT: a text, read from both sides at once, and heads that classify it or fill in its masked words.

Devlin, Chang, Lee and Toutanova, "BERT", NAACL 2019, arXiv 1810.04805.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import Any

import layerkit as lk
from layerkit import arguments
from layerkit import layers as tl
from layerkit.errors import shown
from layerkit.fastmath import numpy as np
from layerkit.initializers import RandomNormalInitializer
from layerkit_plugins.models.bert_checkpoint import PretrainedBERT
from layerkit_plugins.models.blocks import checked_plan, encoder_block

__all__ = [
    "BERT",
    "BERTClassifierHead",
    "BERTMLMHead",
    "BERTPretrainingHead",
    "BERTPretrainingLoss",
    "BERTRegressionHead",
]

_KERNEL = RandomNormalInitializer(0.02)  # appendix A.2 of the paper, as the next
_EPSILON = 1e-12
_READ = (lk.f32(2, 8), lk.f32(2, 5, 8))


@lk.example(
    lk.i32(2, 5, max=7),
    lk.i32(2, 5, max=2),
    d_model=8,
    vocab_size=7,
    max_len=9,
    n_heads=2,
    d_ff=12,
    n_layers=1,
)
@arguments.in_own_name
def BERT(
    d_model: int = 768,
    vocab_size: int = 30522,
    max_len: int = 512,
    type_vocab_size: int = 2,
    n_heads: int = 12,
    d_ff: int = 3072,
    n_layers: int = 12,
    head: Callable[..., lk.Layer] | None = None,
    init_checkpoint: str | os.PathLike[str] | None = None,
    mode: str | None = None,
    dropout: float = 0.1,
    tie_embeddings: bool = False,
) -> lk.Layer:
    """What a text says, and what each of its words does there, seen from both sides.    (ids, types) -> (y, x)

    ids: (b, l), 0 is padding    types: (b, l), the sentence that each id belongs to    y: (b, d_model), tanh of a Dense
    layer of the first position    x: (b, l, d_model)

    The sum of three trained vectors, of the id, its type and its position, goes through blocks that normalize after
    each sum, with Gelu in their feed-forward layers. Padding has no part in anything. The sizes are those of
    BERT-base unless given.

    Devlin et al., "BERT", NAACL 2019, arXiv 1810.04805.

    Args:
        d_model: the features between blocks.
        vocab_size: how many ids there are.
        max_len: the longest text there can be.
        type_vocab_size: how many types there are.
        n_heads: how many heads an attention layer has.
        d_ff: the features inside a feed-forward layer.
        n_layers: how many blocks there are.
        head: makes what follows (y, x), of no arguments: ``BERTMLMHead``, ``partial(BERTClassifierHead, 2)``; nothing
            unless given.
        init_checkpoint: a safetensors file with the tensors of a published BERT, under the names that Hugging Face's
            BertModel gives them; ``init`` takes all weights but the head's from there.
        mode: ``"train"``, ``"eval"`` or ``"predict"`` fixes what a call says otherwise.
        dropout: the share of numbers that become 0 while training, behind embeddings and layers, and of attention's
            weights.
        tie_embeddings: whether the head gets ``embedding=``, the layer that holds the vectors of ids, so that it
            scores words by the same vectors.

    Raises:
        LayerError: an argument is out of range; the heads cannot share d_model evenly; a text is longer than max_len;
            an id or a type is beyond its table; the file cannot be read, or has other tensors.

    >>> from functools import partial
    >>> small = partial(BERT, d_model=8, vocab_size=100, n_heads=2, d_ff=16, n_layers=1)
    >>> small().output_signature((lk.i32(4, 7), lk.i32(4, 7)))
    (float32[4,8], float32[4,7,8])
    >>> head = partial(BERTMLMHead, 100, d_model=8)
    >>> small(head=head, tie_embeddings=True).output_signature((lk.i32(4, 7), lk.i32(4, 7)))
    float32[4,7,100]
    """
    own = "BERT"
    plan = checked_plan(own, d_model, d_ff, n_heads, max_len, dropout, None, mode, tl.Gelu, "post").whole_sequences()
    plan = plan._replace(epsilon=_EPSILON)
    n_types = arguments.whole_number(own, "type_vocab_size", type_vocab_size)
    words = tl.Embedding(arguments.whole_number(own, "vocab_size", vocab_size), d_model, kernel_initializer=_KERNEL)
    body = [
        lk.Select([0, 1, 0]),
        lk.Parallel(words, tl.Embedding(n_types, d_model, kernel_initializer=_KERNEL), tl.PaddingMask()),
        tl.Add(),
        tl.LearnedPositionalEncoding(max_len, mode=plan.mode),
        tl.LayerNorm(epsilon=_EPSILON),
        plan.drop(),
        [encoder_block(plan) for _ in range(arguments.whole_number(own, "n_layers", n_layers))],
        lk.Select([0, 0], n_in=2),
        lk.Fn("First", lambda x: x[:, 0]),
        tl.Dense(d_model, kernel_initializer=_KERNEL),
        tl.Tanh(),
    ]
    bert = lk.Serial(body, name=own) if init_checkpoint is None else PretrainedBERT(body, n_layers, init_checkpoint)
    return bert if head is None else lk.Serial(bert, _made(head, words, tie_embeddings))


def _made(head: Any, words: lk.Layer, tie_embeddings: bool) -> Any:
    make = arguments.maker("BERT", "head", head, such_as="models.BERTMLMHead")
    if not tie_embeddings:
        return make()
    if "embedding" not in inspect.signature(head).parameters:
        raise lk.LayerError("BERT: tie_embeddings needs a head that takes embedding=, such as models.BERTMLMHead")
    return make(embedding=words)


@lk.example(*_READ, n_classes=3)
@arguments.in_own_name
def BERTClassifierHead(n_classes: int) -> lk.Layer:
    """Scores of a text's classes, from what ``BERT`` says of the whole of it.    (y, x) -> scores: (b, n_classes)

    They go to a loss with a softmax inside, such as ``WeightedCategoryCrossEntropy``, or through ``LogSoftmax``.

    Args:
        n_classes: how many classes there are.

    >>> BERTClassifierHead(3).output_signature((lk.f32(4, 8), lk.f32(4, 7, 8)))
    float32[4,3]
    """
    n = arguments.whole_number("BERTClassifierHead", "n_classes", n_classes)
    return lk.Serial(lk.Select([0], n_in=2), tl.Dense(n, kernel_initializer=_KERNEL), name="BERTClassifierHead")


@lk.example(*_READ)
@arguments.in_own_name
def BERTRegressionHead() -> lk.Layer:
    """One number for a text, from what ``BERT`` says of the whole of it.    (y, x) -> number: (b, 1)

    >>> BERTRegressionHead().output_signature((lk.f32(4, 8), lk.f32(4, 7, 8)))
    float32[4,1]
    """
    return lk.Serial(lk.Select([0], n_in=2), tl.Dense(1, kernel_initializer=_KERNEL), name="BERTRegressionHead")


class _Likeness(lk.Layer):
    """y = x E^T + b, E the table of an embedding that stands elsewhere in the model.    x: (..., d)    y: (..., v)"""

    def __init__(self, embedding: Any) -> None:
        bias = tl.Weights(lambda shape, rng: np.zeros(shape), embedding.vocab_size)
        super().__init__(name="Likeness", sublayers=[embedding, bias])

    def forward(self, x: Any) -> Any:
        embedding, bias = self.sublayers
        return np.matmul(x, np.transpose(embedding.weights)) + bias(())


@lk.example(*_READ, vocab_size=7, d_model=8)
@arguments.in_own_name
def BERTMLMHead(vocab_size: int = 30522, d_model: int = 768, embedding: lk.Layer | None = None) -> lk.Layer:
    """Scores of the word at each position: what stands where words were masked.    (y, x) -> scores: (b, l, vocab_size)

    A Dense layer, Gelu and a LayerNorm, then the scores. The loss is to weigh the masked positions alone.

    Args:
        vocab_size: how many ids there are.
        d_model: the features of the layer in between.
        embedding: an ``Embedding`` of the model around it, whose table then gives the scores, beside a bias;
            ``BERT(..., tie_embeddings=True)`` hands in its own. A Dense layer of its own unless given.

    Raises:
        LayerError: an argument is out of range, or the embedding is of other sizes.

    >>> BERTMLMHead(100, d_model=8).output_signature((lk.f32(4, 8), lk.f32(4, 7, 8)))
    float32[4,7,100]
    """
    own = "BERTMLMHead"
    n, d = arguments.whole_number(own, "vocab_size", vocab_size), arguments.whole_number(own, "d_model", d_model)
    if embedding is None:
        scores: lk.Layer = tl.Dense(n, kernel_initializer=_KERNEL)
    elif not isinstance(embedding, tl.Embedding):
        raise lk.LayerError(f"{own}: embedding must be an Embedding layer, got {shown(embedding)}")
    elif (embedding.vocab_size, embedding.d_feature) != (n, d):
        of = f"vocab_size={embedding.vocab_size}, d_model={embedding.d_feature}"
        raise lk.LayerError(f"{own}: its embedding is for {of}, got vocab_size={n}, d_model={d}")
    else:
        scores = _Likeness(embedding)
    between = [tl.Dense(d, kernel_initializer=_KERNEL), tl.Gelu(), tl.LayerNorm(epsilon=_EPSILON)]
    return lk.Serial(lk.Drop(), between, scores, name=own)


@lk.example(*_READ, n_classes=2, vocab_size=7, d_model=8)
@arguments.in_own_name
def BERTPretrainingHead(
    n_classes: int, vocab_size: int = 30522, d_model: int = 768, embedding: lk.Layer | None = None
) -> lk.Layer:
    """Scores of a text's classes and of its words, side by side: what ``BERTPretrainingLoss`` takes.

    (y, x) -> (of classes, of words)    of classes: (b, n_classes)    of words: (b, l, vocab_size)

    Args:
        n_classes: as in ``BERTClassifierHead``; 2 for whether one sentence follows the other.
        vocab_size, d_model, embedding: as in ``BERTMLMHead``.

    Raises:
        LayerError: as in ``BERTMLMHead``.

    >>> BERTPretrainingHead(2, 100, 8).output_signature((lk.f32(4, 8), lk.f32(4, 7, 8)))
    (float32[4,2], float32[4,7,100])
    """
    return lk.Branch(
        BERTClassifierHead(n_classes), BERTMLMHead(vocab_size, d_model, embedding), name="BERTPretrainingHead"
    )


@lk.example(
    lk.f32(4, 2),
    lk.f32(4, 5, 7),
    lk.i32(4, max=2),
    lk.f32(4),
    lk.i32(4, 5, max=7),
    lk.f32(4, 5),
    rows_independent=False,
)
@arguments.in_own_name
def BERTPretrainingLoss() -> lk.Layer:
    """loss = the ``WeightedCategoryCrossEntropy`` of a text's classes, and that of its words.

    scores of classes: (b, n)    scores of words: (b, l, v)    classes, their weights: (b,)    words, theirs: (b, l)

    >>> of_classes, of_words = np.zeros((1, 2)), np.zeros((1, 3, 4))
    >>> loss = BERTPretrainingLoss()((of_classes, of_words, [1], [1.0], [[0, 2, 3]], [[0.0, 1.0, 0.0]]))
    >>> round(float(loss), 4)  # log 2 + log 4
    2.0794
    """
    return lk.Serial(
        lk.Select([0, 2, 3, 1, 4, 5]),
        lk.Parallel(tl.WeightedCategoryCrossEntropy(), tl.WeightedCategoryCrossEntropy()),
        tl.Add(),
        name="BERTPretrainingLoss",
    )
