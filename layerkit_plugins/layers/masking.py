"""Padding: which positions of a sequence are real, who may see them, and the mean of those alone."""

from __future__ import annotations

from typing import Any

import layerkit as lk
from layerkit import arguments
from layerkit.fastmath import numpy as np
from layerkit_plugins.layers.inputs import as_float, require_rank

__all__ = ["MaskedMean", "PaddingMask"]


@lk.example(lk.i32(4, 6, max=3))
def PaddingMask(pad: int = 0) -> lk.Layer:
    """mask = (ids != pad), shaped to broadcast against attention weights.    ids: (b, l)    mask: (b, 1, 1, l), bool

    Args:
        pad: the id that fills sequences up.

    >>> PaddingMask()([[5, 7, 0]]).tolist()
    [[[[True, True, False]]]]
    """
    filler = arguments.whole_number("PaddingMask", "pad", pad, at_least=None)

    def mask(ids: Any) -> Any:
        if len(ids.shape) != 2:
            raise lk.LayerError(f"expected ids of shape (batch, length), got {tuple(ids.shape)}")
        return np.reshape(ids != filler, (ids.shape[0], 1, 1, ids.shape[1]))

    return lk.Fn("PaddingMask", mask)


@lk.example(lk.f32(4, 3, 8), lk.bool_(4, 1, 1, 6))
def EncoderDecoderMask() -> lk.Layer:
    """The mask of encoded positions, once for every position of a decoder.    x: (b, m, ...)    mask: (b, 1, 1, n)

    y: (b, 1, m, n), for attention with queries made of x over keys made of what was encoded.

    Raises:
        LayerError: the mask has another shape, or is for another batch.

    >>> EncoderDecoderMask()((np.ones((1, 2, 4)), np.array([[[[True, False]]]]))).tolist()
    [[[[True, False], [True, False]]]]
    """

    def stretch(x: Any, mask: Any) -> Any:
        require_rank(x, 2)
        batch, length = x.shape[:2]
        if len(mask.shape) != 4 or tuple(mask.shape[:3]) != (batch, 1, 1):
            raise lk.LayerError(f"expected a mask of shape ({batch}, 1, 1, length), got {tuple(mask.shape)}")
        return np.broadcast_to(mask, (batch, 1, length, mask.shape[-1]))

    return lk.Fn("EncoderDecoderMask", stretch)


@lk.example(lk.f32(4, 6, 8), lk.i32(4, 6, max=2))
def MaskedMean() -> lk.Layer:
    """y = sum(x m) / sum(m) along axis 1, m = 1 where the mask holds.    x: (b, l, ...)    mask: (b, l)    y: (b, ...)

    A mask of the shape (b, 1, 1, l), as ``PaddingMask`` gives it, is taken too; numbers hold where they are not 0.
    A row whose mask holds nowhere gives zeros.

    Raises:
        LayerError: the mask's shape is none of these.

    >>> x = np.array([[[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]]])
    >>> MaskedMean()((x, np.array([[True, True, False]]))).tolist()
    [[2.0, 3.0]]

    A classifier that padding does not touch::

        Serial(Branch(Embedding(9088, 256), PaddingMask()), MaskedMean(), Dense(2), LogSoftmax())
    """

    def masked_mean(x: Any, mask: Any) -> Any:
        require_rank(x, 2)
        batch, length = x.shape[:2]
        if tuple(mask.shape) not in ((batch, length), (batch, 1, 1, length)):
            raise lk.LayerError(f"expected a mask of shape {(batch, length)}, got {tuple(mask.shape)}")
        x = as_float(x)
        truths = mask if mask.dtype == bool else mask != 0
        holds = np.reshape(truths, (batch, length) + (1,) * (len(x.shape) - 2))
        count = np.sum(holds.astype(x.dtype), axis=1)
        return np.sum(np.where(holds, x, 0), axis=1) / np.maximum(count, 1)

    return lk.Fn("MaskedMean", masked_mean)
