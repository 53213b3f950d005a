"""What models are built of: residual blocks with their normalization, embedded positions, feed-forward layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import layerkit as lk
from layerkit import arguments
from layerkit import layers as tl
from layerkit.fastmath import numpy as np

__all__ = ["SINES", "Plan", "checked_plan", "embedded", "encoder_block", "feed_forward", "normalized", "residual"]

NORMS = ("pre", "post", "rezero")
SINES = {"init_follows_its_key": "its table of positions begins as sines and cosines, without a random number"}


class Plan(NamedTuple):
    """What all blocks of a Transformer have in common."""

    d_model: int
    d_ff: int
    n_heads: int
    max_len: int
    dropout: float
    dropout_shared_axes: Sequence[int] | None
    mode: str | None
    ff_activation: Callable[[], lk.Layer]
    norm: str
    epsilon: float = 1e-6
    """That of ``LayerNorm``."""

    def drop(self) -> lk.Layer:
        """Dropout, as everywhere in the model."""
        return tl.Dropout(self.dropout, self.dropout_shared_axes, self.mode)

    def whole_sequences(self) -> Plan:
        """The plan of an encoder: in predict mode it gets its whole text at once."""
        return self._replace(mode="eval") if self.mode == "predict" else self


def checked_plan(
    model: str,
    d_model: int,
    d_ff: int,
    n_heads: int,
    max_len: int,
    dropout: float,
    dropout_shared_axes: Sequence[int] | None,
    mode: str | None,
    ff_activation: Callable[[], lk.Layer] | None,
    norm: str,
) -> Plan:
    """The plan, if its arguments make one."""
    activation = tl.Relu if ff_activation is None else ff_activation
    return Plan(
        arguments.whole_number(model, "d_model", d_model),
        arguments.whole_number(model, "d_ff", d_ff),
        arguments.whole_number(model, "n_heads", n_heads),
        arguments.whole_number(model, "max_len", max_len),
        arguments.fraction(model, "dropout", dropout),
        dropout_shared_axes,
        mode,
        arguments.maker(model, "ff_activation", activation),
        arguments.one_of(model, "norm", norm, NORMS),
    )


class _FromZero(lk.Layer):
    """y = a x, one trainable a that begins as 0.    x, y: (...)"""

    weight_name = "scale"

    def __init__(self) -> None:
        super().__init__(name="FromZero")

    def init_weights_and_state(self, signature: Any) -> None:
        self.weights = np.zeros((), np.float64 if lk.fastmath.float64_enabled() else np.float32)

    def forward(self, x: Any) -> Any:
        return x * self.weights


def residual(plan: Plan, *layers: Any) -> list[lk.Layer]:
    """x + layers(x), normalized before the layers or after the sum, or with a factor that begins as 0 (ReZero)."""
    if plan.norm == "pre":
        return [lk.Residual(tl.LayerNorm(epsilon=plan.epsilon), *layers, plan.drop())]
    if plan.norm == "post":
        return [lk.Residual(*layers, plan.drop()), tl.LayerNorm(epsilon=plan.epsilon)]
    return [lk.Residual(*layers, plan.drop(), _FromZero())]


def normalized(plan: Plan) -> list[lk.Layer]:
    """What comes behind the last block: only blocks that normalize before leave something to do."""
    return [tl.LayerNorm(epsilon=plan.epsilon)] if plan.norm == "pre" else []


def feed_forward(plan: Plan) -> list[lk.Layer]:
    """W2 f(W1 x), with dropout in the midst."""
    return [tl.Dense(plan.d_ff), plan.ff_activation(), plan.drop(), tl.Dense(plan.d_model)]


def encoder_block(plan: Plan) -> list[lk.Layer]:
    """Attention over a whole text, and a feed-forward layer.    (x, mask) -> (x, mask)"""
    attention = tl.Attention(plan.d_model, plan.n_heads, plan.dropout, plan.mode)
    return [*residual(plan, attention), *residual(plan, *feed_forward(plan))]


def embedded(plan: Plan, embedding: lk.Layer) -> list[lk.Layer]:
    """What an embedding makes of ids, with dropout and positions."""
    return [embedding, plan.drop(), tl.PositionalEncoding(plan.max_len, mode=plan.mode)]
