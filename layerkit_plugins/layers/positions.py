"""Positional encodings: what tells a model where in the sequence it is, added to the features."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as onp

import layerkit as lk
from layerkit import arguments, fastmath
from layerkit.fastmath import numpy as np
from layerkit.fastmath import random
from layerkit.initializers import GlorotUniformInitializer, RandomNormalInitializer
from layerkit_plugins.layers.dropout import dropout_axes, dropped
from layerkit_plugins.layers.incremental import follow, nan_beyond, no_position
from layerkit_plugins.layers.inputs import as_float, bfloat16, default_float, first_weights, in_dtype_of, require_rank

__all__ = [
    "AtPositions",
    "AxialPositionalEncoding",
    "LearnedPositionalEncoding",
    "PositionalEncoding",
    "PositionalEncodingWeights",
    "SinCosPositionalEncoding",
    "angles_of",
    "sinusoids",
]

_TABLE = RandomNormalInitializer(0.02)  # as in BERT and GPT-2
_UNIT = RandomNormalInitializer(1.0)
_KERNEL = GlorotUniformInitializer()
_NO_END = 2**31 - 1


def angles_of(positions: Any, d: int) -> Any:
    """p / 10000^(2 i / d), for i below d / 2.    (l,) -> (l, ceil(d / 2))"""
    rates = onp.exp(onp.arange(0, d, 2) * (-math.log(10000.0) / max(d, 1))).astype(default_float())
    return np.expand_dims(positions.astype(rates.dtype), -1) * rates


def sinusoids(positions: Any, d: int) -> Any:
    """The sine of the angles in the even features, the cosine in the odd.    (l,) -> (l, d)"""
    angles = angles_of(positions, d)
    both = np.stack([np.sin(angles), np.cos(angles)], axis=-1)
    return np.reshape(both, (angles.shape[0], 2 * angles.shape[1]))[:, :d]


class AtPositions(lk.Layer):
    """A layer that knows where it is: in predict mode its state counts the positions that were."""

    room = _NO_END
    argument = "max_len"

    def init_weights_and_state(self, signature: Any) -> None:
        require_rank(signature, 2)
        self.weights = self.first_weights(signature)
        if self.mode == "predict":
            self.state = no_position()

    def first_weights(self, signature: Any) -> Any:
        """New weights for an input like this."""
        return ()

    def starting_at(self, length: int) -> Any:
        """The position of the first of ``length`` inputs, and a function for outputs that marks those out of room."""
        if self.mode != "predict":
            if length > self.room:
                raise lk.LayerError(f"a sequence of {length} is longer than {self.argument}={self.room}")
            return 0, lambda y: y
        before = self.state
        after = self.state = follow(before, length, self.room, self.argument)
        return before, lambda y: nan_beyond(self.room, after, y)


class _Encoding(AtPositions):
    """y = x + encoding(positions), with dropout; while training, positions may start anywhere."""

    def __init__(self, dropout: float, dropout_broadcast_dims: Sequence[int], mode: str | None) -> None:
        super().__init__(mode=mode)
        self.dropout = arguments.fraction(self.name, "dropout", dropout)
        self.dropout_axes = dropout_axes(self.name, "dropout_broadcast_dims", dropout_broadcast_dims)

    def encoding(self, positions: Any, d: int) -> Any:
        """(l,) -> (l, d)"""
        raise NotImplementedError

    def offset(self) -> Any:
        """Where a training call begins."""
        return 0

    def forward(self, x: Any) -> Any:
        require_rank(x, 2)
        x = as_float(x)
        length, d = x.shape[-2:]
        start, marked = self.starting_at(length)
        if self.training:
            start = start + self.offset()
        y = x + self.encoding(start + np.arange(length), d)
        return marked(in_dtype_of(x, dropped(y, self.dropout, self.dropout_axes, self)))


def _of_width(weight: Any, d: int) -> Any:
    """A table or a kernel itself, if it gives d features."""
    if weight.shape[-1] != d:
        raise lk.LayerError(f"was initialized for {weight.shape[-1]} features, got {d}")
    return weight


class PositionalEncodingWeights(NamedTuple):
    """The weights of a PositionalEncoding with ``d_feature``; a plain tuple works in its place."""

    table: Any
    kernel: Any


@lk.example(
    lk.f32(2, 5, 8),
    expected_failures={"init_follows_its_key": "its table begins as sines and cosines, without a random number"},
    max_len=16,
)
class PositionalEncoding(_Encoding):
    """y_p = x_p + t_p, a trained table that begins as sin and cos of p / 10000^(2 i / d).    x, y: (..., l, d)

    Vaswani et al., "Attention is all you need", NeurIPS 2017, arXiv 1706.03762; trained, as in Trax.
    ``SinCosPositionalEncoding`` has the same numbers, and trains nothing.

    Args:
        max_len: how many positions the table has.
        dropout: the share of numbers of y that become 0 while training.
        dropout_broadcast_dims: axes along which numbers are dropped or kept together.
        use_bfloat16: keeps the table in bfloat16.
        start_from_zero_prob: how likely a training call is to begin at position 0; else it begins at one of
            0 .. ``max_offset_to_add``, so that positions beyond the length of the training data are trained too.
        max_offset_to_add: see there; length + offset stays within ``max_len``.
        d_feature: the table has that many features, and a trained matrix makes d of them.
        mode: ``"train"``, ``"eval"`` or ``"predict"`` fixes what a call says otherwise; in predict mode a call brings
            the positions that follow those of the call before.

    Raises:
        LayerError: an argument is out of range; a sequence is longer than ``max_len``, in predict mode over all calls
            (NaN inside jit, where nothing can be raised).

    >>> encoding = PositionalEncoding(max_len=4)
    >>> _ = encoding.init(lk.f32(1, 2, 4))
    >>> [[round(y, 3) for y in row] for row in encoding(np.zeros((1, 2, 4)))[0].tolist()]
    [[0.0, 1.0, 0.0, 1.0], [0.841, 0.54, 0.01, 1.0]]
    """

    weight_name = "table"

    def __init__(
        self,
        max_len: int = 2048,
        dropout: float = 0.0,
        dropout_broadcast_dims: Sequence[int] = (-2,),
        use_bfloat16: bool = False,
        start_from_zero_prob: float = 1.0,
        max_offset_to_add: int = 0,
        d_feature: int | None = None,
        mode: str | None = None,
    ) -> None:
        super().__init__(dropout, dropout_broadcast_dims, mode)
        own = self.name
        self.room = arguments.whole_number(own, "max_len", max_len)
        self.dtype = bfloat16(own) if use_bfloat16 else None
        self.zero_prob = arguments.number(own, "start_from_zero_prob", start_from_zero_prob, at_least=0, at_most=1)
        self.max_offset = arguments.whole_number(own, "max_offset_to_add", max_offset_to_add, at_least=0)
        self.d_feature = None if d_feature is None else arguments.whole_number(own, "d_feature", d_feature)

    def first_weights(self, signature: Any) -> Any:
        length, d = signature.shape[-2:]
        if self.max_offset + length > self.room and self.zero_prob < 1:
            raise lk.LayerError(
                f"a sequence of {length} with max_offset_to_add={self.max_offset} goes beyond max_len={self.room}"
            )
        table = sinusoids(onp.arange(self.room), d if self.d_feature is None else self.d_feature)
        table = table if self.dtype is None else table.astype(self.dtype)
        if self.d_feature is None:
            return table
        kernel = first_weights("kernel", _KERNEL, (self.d_feature, d), self.rng, self.dtype)
        return PositionalEncodingWeights(table, kernel)

    def offset(self) -> Any:
        if not self.max_offset or self.zero_prob == 1:
            return 0
        choose, draw = random.split(self.rng)
        anywhere = random.randint(draw, (), 0, self.max_offset + 1)
        return np.where(random.bernoulli(choose, self.zero_prob, ()), 0, anywhere)

    def encoding(self, positions: Any, d: int) -> Any:
        if self.d_feature is None:
            return fastmath.take_rows(_of_width(self.weights, d), positions)
        table, kernel = self.weights
        return np.matmul(fastmath.take_rows(table, positions), _of_width(kernel, d))


@lk.example(lk.f32(2, 5, 8), max_len=16)
class LearnedPositionalEncoding(_Encoding):
    """y_p = x_p + t_p, a trained table that begins with random numbers.    x, y: (..., l, d)

    Devlin et al., "BERT", NAACL 2019, arXiv 1810.04805.

    Args:
        max_len: how many positions the table has.
        dropout, dropout_broadcast_dims, mode: as in ``PositionalEncoding``.
        kernel_initializer: function of (shape, rng) that makes the table.

    Raises:
        LayerError: as in ``PositionalEncoding``.

    >>> encoding = LearnedPositionalEncoding(max_len=2)
    >>> encoding([[0.0], [1.0]], weights=np.array([[5.0], [7.0]])).tolist()
    [[5.0], [8.0]]
    """

    weight_name = "table"

    def __init__(
        self,
        max_len: int = 2048,
        dropout: float = 0.0,
        dropout_broadcast_dims: Sequence[int] = (-2,),
        kernel_initializer: Callable[..., Any] = _TABLE,
        mode: str | None = None,
    ) -> None:
        super().__init__(dropout, dropout_broadcast_dims, mode)
        self.room = arguments.whole_number(self.name, "max_len", max_len)
        self.initializer = arguments.function(self.name, "kernel_initializer", kernel_initializer, "(shape, rng)")

    def first_weights(self, signature: Any) -> Any:
        return first_weights("kernel_initializer", self.initializer, (self.room, signature.shape[-1]), self.rng)

    def encoding(self, positions: Any, d: int) -> Any:
        return fastmath.take_rows(_of_width(self.weights, d), positions)


@lk.example(lk.f32(2, 5, 8))
class SinCosPositionalEncoding(_Encoding):
    """y_p = x_p + sin and cos of p / 10000^(2 i / d), for positions without end.    x, y: (..., l, d)

    Args:
        add_offset: training calls begin at one of 0 .. ``add_offset``, so that the model hears of long texts too.
        dropout, dropout_broadcast_dims, mode: as in ``PositionalEncoding``.
        start_from_zero_one_in: one training call in so many begins at position 0 all the same; 1: all do.

    Raises:
        LayerError: an argument is out of range; x has no axis of length.

    >>> [[round(y, 3) for y in row] for row in SinCosPositionalEncoding()(np.zeros((2, 4))).tolist()]
    [[0.0, 1.0, 0.0, 1.0], [0.841, 0.54, 0.01, 1.0]]
    """

    def __init__(
        self,
        add_offset: int = 2048,
        dropout: float = 0.0,
        dropout_broadcast_dims: Sequence[int] = (-2,),
        start_from_zero_one_in: int = 2,
        mode: str | None = None,
    ) -> None:
        super().__init__(dropout, dropout_broadcast_dims, mode)
        self.add_offset = arguments.whole_number(self.name, "add_offset", add_offset, at_least=0)
        self.one_in = arguments.whole_number(self.name, "start_from_zero_one_in", start_from_zero_one_in)

    @property
    def is_bare(self) -> bool:
        return self.mode != "predict"

    def offset(self) -> Any:
        if not self.add_offset or self.one_in == 1:
            return 0
        choose, draw = random.split(self.rng)
        anywhere = random.randint(draw, (), 0, self.add_offset + 1)
        return np.where(random.randint(choose, (), 0, self.one_in) == 0, 0, anywhere)

    def encoding(self, positions: Any, d: int) -> Any:
        return sinusoids(positions, d)


@lk.example(lk.f32(2, 5, 8), shape=(2, 3), d_embs=(5, 3))
class AxialPositionalEncoding(_Encoding):
    """y_p = x_p + (t1_i, t2_j, ...) side by side, p = i n2 + j and so on: a table for each axis.    x, y: (..., l, d)

    A small table for each axis of a grid of positions, row by row, stands for a large one of all.

    Kitaev, Kaiser and Levskaya, "Reformer", ICLR 2020, arXiv 2001.04451.

    Args:
        shape: (n1, n2, ...), the sizes of the grid; their product is how many positions there are.
        d_embs: how many of the d features each axis gets; they add up to d.
        kernel_initializer: function of (shape, rng) that makes each table.
        dropout, dropout_broadcast_dims, mode: as in ``PositionalEncoding``.

    Raises:
        LayerError: an argument is out of range; ``d_embs`` do not add up to d; a sequence is longer than the grid.

    >>> encoding = AxialPositionalEncoding(shape=(2, 2), d_embs=(1, 1))
    >>> tables = (np.array([[10.0], [20.0]]), np.array([[1.0], [2.0]]))
    >>> encoding(np.zeros((4, 2)), weights=tables).tolist()
    [[10.0, 1.0], [10.0, 2.0], [20.0, 1.0], [20.0, 2.0]]
    """

    argument = "the product of shape"

    def __init__(
        self,
        shape: Sequence[int] = (64, 64, 3),
        d_embs: Sequence[int] = (384, 384, 256),
        kernel_initializer: Callable[..., Any] = _UNIT,
        dropout: float = 0.0,
        dropout_broadcast_dims: Sequence[int] = (),
        mode: str | None = None,
    ) -> None:
        super().__init__(dropout, dropout_broadcast_dims, mode)
        self.shape = arguments.whole_numbers(self.name, "shape", shape)
        self.d_embs = arguments.whole_numbers(self.name, "d_embs", d_embs)
        if len(self.shape) != len(self.d_embs):
            raise lk.LayerError(
                f"{self.name}: shape and d_embs must have an entry for each axis, got {self.shape} and {self.d_embs}"
            )
        self.room = math.prod(self.shape)
        self.initializer = arguments.function(self.name, "kernel_initializer", kernel_initializer, "(shape, rng)")

    def first_weights(self, signature: Any) -> Any:
        return tuple(
            first_weights("kernel_initializer", self.initializer, of, random.fold_in(self.rng, axis))
            for axis, of in enumerate(zip(self.shape, self.d_embs, strict=True))
        )

    def encoding(self, positions: Any, d: int) -> Any:
        if sum(self.d_embs) != d:
            raise lk.LayerError(f"d_embs={self.d_embs} add up to {sum(self.d_embs)} features, got {d}")
        parts = []
        for table, size in zip(self.weights[::-1], self.shape[::-1], strict=True):
            parts.append(fastmath.take_rows(table, positions % size))
            positions = positions // size
        return np.concatenate(parts[::-1], axis=-1)
