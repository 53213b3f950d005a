"""Recurrent layers: a state that each element of a sequence changes. One step (LSTMCell, GRUCell), or all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import layerkit as lk
from layerkit import arguments
from layerkit.fastmath import numpy as np
from layerkit.initializers import GlorotUniformInitializer, RandomNormalInitializer, RandomUniformInitializer
from layerkit_plugins.layers.incremental import no_position, require_batch
from layerkit_plugins.layers.inputs import as_float, default_float, float_dtype, require_last
from layerkit_plugins.layers.recurrence import recur
from layerkit_plugins.layers.recurrent_units import GRUUnit, LSTMUnit, Unit

__all__ = ["GRU", "LSTM", "Carried", "GRUCell", "LSTMCell", "MakeZeroState", "mask_of_steps"]

_GLOROT = GlorotUniformInitializer()
_BIAS = RandomNormalInitializer(1e-6)
_SMALL = RandomUniformInitializer(0.01)

Initializer = Callable[..., Any]


def _joined(carry: tuple[Any, ...]) -> Any:
    """The carry as the one array that layers hand on."""
    return carry[0] if len(carry) == 1 else np.concatenate(carry, axis=-1)


def _parted(state: Any, unit: Unit) -> tuple[Any, ...]:
    return tuple(np.split(state, unit.n_states, axis=-1))


def _check_state(state: Any, batch: int, unit: Unit) -> None:
    due = (batch, unit.n_states * unit.n)
    if tuple(state.shape) != due:
        raise lk.LayerError(f"expected a state of shape {due}, got {tuple(state.shape)}")


# -- one step ---------------------------------------------------------------------------------------------------------


class _Cell(lk.Layer):
    """One step: (x, state) -> (y, state)."""

    def __init__(self, unit: Unit) -> None:
        super().__init__(2, 2, f"{type(self).__name__}_{unit.n}")
        self.unit = unit

    def init_weights_and_state(self, signature: Any) -> None:
        _check_rank(signature[0], 2)
        self.weights = self.unit.first_weights(signature[0].shape[-1], self.rng)

    def forward(self, x: Any) -> Any:
        x, state = x
        _check_rank(x, 2)
        require_last(x, self.unit.width(self.weights))
        _check_state(state, x.shape[0], self.unit)
        xs, kernels = self.unit.of_input(self.weights, as_float(x)), self.unit.kernels(self.weights)
        sums = [lambda a, x=x, kernel=kernel: x + np.matmul(a, kernel) for x, kernel in zip(xs, kernels, strict=True)]
        carry, _ = self.unit.step(_parted(state, self.unit), sums)
        return carry[-1], _joined(carry)


def _check_rank(x: Any, rank: int) -> None:
    if len(x.shape) != rank:
        axes = "(batch, features)" if rank == 2 else "(batch, length, features)"
        raise lk.LayerError(f"expected {axes}, got {tuple(x.shape)}")


@lk.example(lk.f32(4, 5), lk.f32(4, 6), n_units=3)
class LSTMCell(_Cell):
    """c' = sig(f) c + sig(i) tanh(j), h' = sig(o) tanh(c'), (i, j, f, o) = (x, h) W + b.    x: (b, d)    y = h': (b, n)

    state: (b, 2 n), c and h side by side    W: (d + n, 4 n)    b: (4 n,)

    Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 9, 1997; Gers et al., 2000, for f.

    Args:
        n_units: n.
        forget_bias: what the bias of f begins with, so that the cell begins by remembering; others begin near 0.
        kernel_initializer: function of (shape, rng) that makes W.
        bias_initializer: the same for b, before ``forget_bias`` is added.

    Raises:
        LayerError: an argument is out of range; x or the state has another shape.

    >>> cell = LSTMCell(1)
    >>> y, state = cell((np.zeros((1, 1)), np.array([[0.5, 0.0]])), weights=(np.zeros((2, 4)), np.zeros(4)))
    >>> [round(number, 4) for number in state[0].tolist()]
    [0.25, 0.1225]
    """

    def __init__(
        self,
        n_units: int,
        forget_bias: float = 1.0,
        kernel_initializer: Initializer = _GLOROT,
        bias_initializer: Initializer = _BIAS,
    ) -> None:
        super().__init__(LSTMUnit("LSTMCell", n_units, forget_bias, kernel_initializer, bias_initializer))


@lk.example(lk.f32(4, 5), lk.f32(4, 3), n_units=3)
class GRUCell(_Cell):
    """h' = u h + (1 - u) tanh((x, r h) W2 + b2), (r, u) = sig((x, h) W1 + b1).    x: (b, d)    y = h': (b, n)

    state: h, (b, n)    W1: (d + n, 2 n)    W2: (d + n, n)

    Cho et al., "Learning phrase representations using RNN encoder-decoder", EMNLP 2014, arXiv 1406.1078.

    Args:
        n_units: n.
        forget_bias: what the bias of u begins with; above 0, the cell begins by remembering.
        kernel_initializer: function of (shape, rng) that makes W1 and W2.
        bias_initializer: the same for b1 and b2, before ``forget_bias`` is added.

    Raises:
        LayerError: an argument is out of range; x or the state has another shape.

    >>> zeros = (np.zeros((2, 2)), np.zeros(2), np.zeros((2, 1)), np.zeros(1))
    >>> y, state = GRUCell(1)((np.zeros((1, 1)), np.array([[0.5]])), weights=zeros)
    >>> float(state[0, 0])
    0.25
    """

    def __init__(
        self,
        n_units: int,
        forget_bias: float = 0.0,
        kernel_initializer: Initializer = _SMALL,
        bias_initializer: Initializer = _BIAS,
    ) -> None:
        super().__init__(GRUUnit("GRUCell", n_units, forget_bias, kernel_initializer, bias_initializer))


# -- a whole sequence -------------------------------------------------------------------------------------------------


class Carried(NamedTuple):
    """The state of a recurrent layer in predict mode: that of its unit, and how many positions were."""

    state: Any
    position: Any


class _Recurrent(lk.Layer):
    """All steps: (x, mask if masked, state if initial_state) -> (y, state if return_state)."""

    def __init__(self, unit: Unit, return_state: bool, initial_state: bool, masked: bool, mode: str | None) -> None:
        return_state, initial_state, masked = bool(return_state), bool(initial_state), bool(masked)
        super().__init__(1 + masked + initial_state, 1 + return_state, f"{type(self).__name__}_{unit.n}", mode=mode)
        self.unit = unit
        self.return_state, self.initial_state, self.masked = return_state, initial_state, masked

    def init_weights_and_state(self, signature: Any) -> None:
        x = signature[0] if self.n_in > 1 else signature
        _check_rank(x, 3)
        self.weights = self.unit.first_weights(x.shape[-1], self.rng)
        if self.mode == "predict":
            zeros = np.zeros((x.shape[0], self.unit.n_states * self.unit.n), float_dtype(x.dtype))
            self.state = Carried(zeros, no_position())

    def forward(self, x: Any) -> Any:
        parts: tuple[Any, ...] = x if self.n_in > 1 else (x,)
        x = parts[0]
        _check_rank(x, 3)
        require_last(x, self.unit.width(self.weights))
        steps = np.swapaxes(as_float(x), 0, 1)
        length, batch, d = steps.shape
        of_rows = self.unit.of_input(self.weights, np.reshape(steps, (length * batch, d)))
        mask = mask_of_steps(parts[1], batch, length) if self.masked else None
        carry = _parted(self._first_state(parts, batch, of_rows[0].dtype), self.unit)
        xs = tuple(np.reshape(rows, (length, batch, rows.shape[-1])) for rows in of_rows)
        outputs, last = recur(self.unit, self.unit.kernels(self.weights), xs, carry, mask)
        y, state = np.swapaxes(outputs, 0, 1), _joined(last)
        if self.mode == "predict":
            self.state = Carried(state.astype(self.state.state.dtype), self.state.position + length)
        return (y, state) if self.return_state else y

    def _first_state(self, parts: tuple[Any, ...], batch: int, dtype: Any) -> Any:
        given = np.zeros((batch, self.unit.n_states * self.unit.n), dtype)
        if self.initial_state:
            _check_state(parts[-1], batch, self.unit)
            given = parts[-1].astype(dtype)
        if self.mode != "predict":
            return given
        kept, position = self.state
        require_batch(kept, given)
        return np.where(position > 0, kept.astype(dtype), given)


def mask_of_steps(mask: Any, batch: int, length: int) -> Any:
    """Truth values (length, batch, 1)."""
    if mask.dtype.kind not in "biu" or tuple(mask.shape) not in ((batch, length), (batch, 1, 1, length)):
        raise lk.LayerError(
            f"expected a mask of truth values of shape {(batch, length)}, got {mask.dtype.name} {tuple(mask.shape)}"
        )
    return np.expand_dims(np.transpose(np.reshape(mask, (batch, length))) != 0, -1)


@lk.example(lk.f32(4, 3, 5), n_units=6)
class LSTM(_Recurrent):
    """y_t = h_t of an ``LSTMCell`` that goes along x, from a state of zeros.    x: (b, l, d)    y: (b, l, n)

    It computes what ``Scan(LSTMCell(n), axis=1)`` does, in less time: what the inputs add is one product for all steps,
    and so are the gradients of the weights.

    Args:
        n_units: n.
        mode: in ``"predict"`` a call brings the positions that follow those of the call before; the state is kept.
        return_state: gives the last state too, (b, 2 n), c and h side by side: (y, state).
        initial_state: takes the state to begin with as last input.
        masked: takes a mask behind x, (b, l) or (b, 1, 1, l), true where a position is real: a step that is not leaves
            the state as it is, and gives h again. So y[:, -1] is that of the last real position.
        forget_bias, kernel_initializer, bias_initializer: as in ``LSTMCell``.

    Raises:
        LayerError: an argument is out of range; shapes do not fit; in predict mode, another batch than at init.

    >>> lstm = LSTM(2, return_state=True)
    >>> y, state = lstm(np.zeros((1, 3, 1)), weights=(np.zeros((3, 8)), np.zeros(8)))
    >>> y.shape, state.shape
    ((1, 3, 2), (1, 4))
    """

    def __init__(
        self,
        n_units: int,
        mode: str | None = None,
        return_state: bool = False,
        initial_state: bool = False,
        masked: bool = False,
        forget_bias: float = 1.0,
        kernel_initializer: Initializer = _GLOROT,
        bias_initializer: Initializer = _BIAS,
    ) -> None:
        unit = LSTMUnit("LSTM", n_units, forget_bias, kernel_initializer, bias_initializer)
        super().__init__(unit, return_state, initial_state, masked, mode)


@lk.example(lk.f32(4, 3, 5), n_units=6)
class GRU(_Recurrent):
    """y_t = h_t of a ``GRUCell`` that goes along x, from a state of zeros.    x: (b, l, d)    y: (b, l, n)

    It computes what ``Scan(GRUCell(n), axis=1)`` does, in less time; see ``LSTM``.

    Args:
        n_units: n.
        mode, return_state, initial_state, masked: as in ``LSTM``; the state is h, (b, n).
        forget_bias, kernel_initializer, bias_initializer: as in ``GRUCell``.

    Raises:
        LayerError: as in ``LSTM``.

    >>> gru = GRU(2)
    >>> _ = gru.init(lk.f32(1, 3, 5))
    >>> gru(np.ones((4, 7, 5))).shape
    (4, 7, 2)
    """

    def __init__(
        self,
        n_units: int,
        mode: str | None = None,
        return_state: bool = False,
        initial_state: bool = False,
        masked: bool = False,
        forget_bias: float = 0.0,
        kernel_initializer: Initializer = _SMALL,
        bias_initializer: Initializer = _BIAS,
    ) -> None:
        unit = GRUUnit("GRU", n_units, forget_bias, kernel_initializer, bias_initializer)
        super().__init__(unit, return_state, initial_state, masked, mode)


@lk.example(lk.f32(4, 3, 5))
def MakeZeroState(depth_multiplier: int = 1) -> lk.Layer:
    """Zeros for the state of a cell that goes along x.    x: (b, l, d)    y: (b, depth_multiplier * d)

    Args:
        depth_multiplier: how wide the state is, in widths of x: 2 for an ``LSTMCell``.

    Raises:
        LayerError: ``depth_multiplier`` is no whole number of at least 1; x has other axes.

    >>> MakeZeroState(2)(np.ones((1, 7, 3))).tolist()
    [[0.0, 0.0, 0.0, 0.0, 0.0, 0.0]]
    """
    times = arguments.whole_number("MakeZeroState", "depth_multiplier", depth_multiplier)

    def make(x: Any) -> Any:
        _check_rank(x, 3)
        return np.zeros((x.shape[0], times * x.shape[-1]), default_float())

    return lk.Fn("MakeZeroState", make)
