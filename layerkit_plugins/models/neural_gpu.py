"""The Neural GPU: one convolutional gated unit, many times, which learns algorithms such as addition."""

from __future__ import annotations

from typing import Any

import layerkit as lk
from layerkit import arguments
from layerkit import layers as tl
from layerkit.fastmath import numpy as np

__all__ = ["NeuralGPU"]


def _diagonal(x: Any) -> Any:
    """A third of the features from the place before, a third from here, a third from the next.    (b, h, l, d)"""
    if len(x.shape) != 4:
        raise lk.LayerError(f"expected ids (batch, height, length), got {tuple(x.shape[:-1])}")
    third = x.shape[-1] // 3
    around = np.pad(x, [(0, 0), (0, 0), (1, 1), (0, 0)])
    parts = [around[:, :, :-2, :third], x[..., third : 2 * third], around[:, :, 2:, 2 * third :]]
    return np.concatenate(parts, axis=-1)


@lk.example(lk.i32(2, 3, 4, max=5), d_feature=6, steps=2, vocab_size=5)
@arguments.in_own_name
def NeuralGPU(d_feature: int = 96, steps: int = 16, vocab_size: int = 2, mode: str | None = None) -> lk.Layer:
    """Log-probabilities of an id at each place, of ids on a tape.    ids: (b, h, l)    y: (b, h, l, vocab_size)

    The same unit works ``steps`` times on all places at once; what it keeps moves along the tape, a third of the
    features to either side.

    Kaiser and Sutskever, "Neural GPUs learn algorithms", ICLR 2016, arXiv 1511.08228; the diagonal gates of
    Freivalds and Liepins, arXiv 1702.08727.

    Args:
        d_feature: the features of each place, a multiple of 3.
        steps: how many times the unit works.
        vocab_size: how many ids there are.
        mode: accepted, and not needed: nothing here differs between training and evaluation.

    Raises:
        LayerError: an argument is out of range.

    >>> NeuralGPU(d_feature=6, steps=2, vocab_size=5).output_signature(lk.i32(1, 3, 4))
    float32[1,3,4,5]
    """
    own = "NeuralGPU"
    d = arguments.whole_number(own, "d_feature", d_feature)
    if d % 3:
        raise lk.LayerError(f"{own}: d_feature must be a multiple of 3, as a third goes to either side, got {d}")
    unit = tl.GeneralGRUCell(
        lambda: tl.Conv(d, (3, 3), padding="SAME"),
        lambda: lk.Fn("DiagonalGate", _diagonal),
        tl.HardSigmoid,
        tl.HardTanh,
        dropout_rate_c=0.0,
    )
    times = arguments.whole_number(own, "steps", steps)
    return lk.Serial(tl.Embedding(vocab_size, d), [unit] * times, tl.Dense(vocab_size), tl.LogSoftmax(), name=own)
