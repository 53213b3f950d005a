"""Embedding: a trainable row for each id."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import layerkit as lk
from layerkit import arguments, fastmath
from layerkit.initializers import ScaledInitializer
from layerkit_plugins.layers.inputs import bfloat16, first_weights

__all__ = ["Embedding"]

# Over [-sqrt(3 / d), sqrt(3 / d)): the numbers of a row have variance 1 / d, its squared length is 1 on average.
_KERNEL = ScaledInitializer(out_dim=-1, in_dim=-2, scale=1.0, mode="fan_out", distribution="uniform")


@lk.example(lk.i32(4, 6, max=10), vocab_size=10, d_feature=8)
class Embedding(lk.Layer):
    """y = table[ids].    ids: (...), whole numbers in 0 .. v - 1    table: (v, d)    y: (..., d)

    The gradient of the table is made row by row. An id outside the table is an error; inside jit, where nothing can
    be raised, its row is NaN.

    Args:
        vocab_size: v, the number of rows.
        d_feature: d, the size of a row.
        use_bfloat16: keeps the table, and gives rows, in bfloat16.
        kernel_initializer: function of (shape, rng) that makes the table.
        update: how training updates the table, to the same weights: ``"dense"`` all of it at every step, ``"lazy"`` by
            the rows that a batch reads, ``"auto"`` whichever is faster.

    Raises:
        LayerError: an argument is out of range, the ids are no whole numbers, or one is outside the table.

    >>> from layerkit.fastmath import numpy as np
    >>> embedding = Embedding(vocab_size=3, d_feature=2)
    >>> embedding
    Embedding_3_2
    >>> embedding(np.array([2, 0]), weights=np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])).tolist()
    [[4.0, 5.0], [0.0, 1.0]]
    """

    weight_name = "table"

    def __init__(
        self,
        vocab_size: int,
        d_feature: int,
        use_bfloat16: bool = False,
        kernel_initializer: Callable[..., Any] = _KERNEL,
        update: str = "auto",
    ) -> None:
        self.vocab_size = arguments.whole_number("Embedding", "vocab_size", vocab_size)
        self.d_feature = arguments.whole_number("Embedding", "d_feature", d_feature)
        super().__init__(name=f"Embedding_{self.vocab_size}_{self.d_feature}")
        self.kernel_initializer = arguments.function(
            "Embedding", "kernel_initializer", kernel_initializer, "(shape, rng)"
        )
        self.row_update = arguments.one_of("Embedding", "update", update, ("auto", "dense", "lazy"))
        self.dtype = bfloat16("Embedding") if use_bfloat16 else None

    def init_weights_and_state(self, signature: Any) -> None:
        shape = (self.vocab_size, self.d_feature)
        self.weights = first_weights("kernel_initializer", self.kernel_initializer, shape, self.rng, self.dtype)

    def forward(self, ids: Any) -> Any:
        if ids.dtype.kind not in "iu":
            raise lk.LayerError(f"ids must be whole numbers (int32), got {ids.dtype.name} {tuple(ids.shape)}")
        return fastmath.take_rows(self.weights, ids)
