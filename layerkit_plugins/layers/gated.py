"""Units that gate what they remember, put together from layers: general GRU cells, and the simple recurrent unit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import layerkit as lk
from layerkit import arguments, fastmath
from layerkit.fastmath import numpy as np
from layerkit_plugins.layers.activations import Sigmoid, Tanh
from layerkit_plugins.layers.convolution import Conv
from layerkit_plugins.layers.dense import Dense
from layerkit_plugins.layers.dropout import Dropout
from layerkit_plugins.layers.incremental import no_position, require_batch
from layerkit_plugins.layers.inputs import float_dtype
from layerkit_plugins.layers.recurrent import Carried, mask_of_steps
from layerkit_plugins.layers.windows import positive_sizes

__all__ = ["SRU", "ConvGRUCell", "GeneralGRUCell"]


@lk.example(lk.f32(4, 6), candidate_transform=lambda: Dense(6), dropout_rate_c=0.0)
def GeneralGRUCell(
    candidate_transform: Callable[[], lk.Layer],
    memory_transform_fn: Callable[[], lk.Layer] | None = None,
    gate_nonlinearity: Callable[[], lk.Layer] = Sigmoid,
    candidate_nonlinearity: Callable[[], lk.Layer] = Tanh,
    dropout_rate_c: float = 0.1,
    sigmoid_bias: float = 0.5,
) -> lk.Layer:
    """s' = u M(s) + (1 - u) c, u = g(A(s) + a), c = f(B(r s)), r = g(C(s) + a): a GRU whose state is its input.

    s, s': (b, ..., n)    A, B, C: three layers that ``candidate_transform`` makes

    Args:
        candidate_transform: makes a layer from s to an array of the shape of s.
        memory_transform_fn: makes M, a layer without a change of shape; the identity unless given.
        gate_nonlinearity: makes g.
        candidate_nonlinearity: makes f.
        dropout_rate_c: the share of numbers of c that become 0 while training.
        sigmoid_bias: a; above 0, gates begin more open than shut.

    Raises:
        LayerError: an argument is out of range, or makes no layer.

    >>> cell = GeneralGRUCell(lambda: lk.Fn("Zero", lambda s: 0 * s), sigmoid_bias=0.0)
    >>> cell([[4.0]]).tolist()
    [[2.0]]
    """
    own = "GeneralGRUCell"
    transform = arguments.maker(own, "candidate_transform", candidate_transform)
    nonlinearity = arguments.maker(own, "gate_nonlinearity", gate_nonlinearity)
    opening = arguments.number(own, "sigmoid_bias", sigmoid_bias)

    def gate() -> list[lk.Layer]:
        return [transform(), lk.Fn("AddBias", lambda x: x + opening), nonlinearity()]

    memory: Any = (
        [] if memory_transform_fn is None else arguments.maker(own, "memory_transform_fn", memory_transform_fn)()
    )
    candidate = [
        lk.Branch(gate(), []),
        lk.Multiply(),
        transform(),
        arguments.maker(own, "candidate_nonlinearity", candidate_nonlinearity)(),
        Dropout(arguments.fraction(own, "dropout_rate_c", dropout_rate_c)),
    ]
    return lk.Serial(lk.Branch(memory, gate(), candidate), lk.Gate(), name=own)


@lk.example(lk.f32(2, 4, 5, 3), n_units=3)
def ConvGRUCell(n_units: int, kernel_size: Sequence[int] = (3, 3)) -> lk.Layer:
    """A ``GeneralGRUCell`` whose layers are convolutions that keep the size of the picture.    s, s': (b, h, w, n)

    Kaiser and Sutskever, "Neural GPUs learn algorithms", ICLR 2016, arXiv 1511.08228.

    Args:
        n_units: n, the features of s.
        kernel_size: the height and width that a convolution sees.

    Raises:
        LayerError: an argument is out of range; s has other axes or features.

    >>> cell = ConvGRUCell(2)
    >>> _ = cell.init(lk.f32(1, 4, 4, 2))
    >>> cell(np.ones((3, 5, 6, 2))).shape
    (3, 5, 6, 2)
    """
    n = arguments.whole_number("ConvGRUCell", "n_units", n_units)
    sizes = positive_sizes("ConvGRUCell", "kernel_size", kernel_size, 2)
    return lk.Serial(GeneralGRUCell(lambda: Conv(n, sizes, padding="SAME")), name=f"ConvGRUCell_{n}")


# -- the simple recurrent unit ----------------------------------------------------------------------------------------


class _Linear(lk.Layer):
    """c_t = f_t c_(t-1) + a_t, from zeros, or in predict mode from the last c of the call before.    (b, l, n)"""

    n_parts = 1
    """How many arrays its first input holds side by side."""

    def __init__(self, n_in: int, n_out: int, mode: str | None) -> None:
        super().__init__(n_in, n_out, type(self).__name__.strip("_"), mode=mode)

    @property
    def is_bare(self) -> bool:
        return self.mode != "predict"

    def init_weights_and_state(self, signature: Any) -> None:
        if self.mode == "predict":
            x = signature[0] if self.n_in > 1 else signature
            self.state = Carried(
                np.zeros((x.shape[0], x.shape[-1] // self.n_parts), float_dtype(x.dtype)), no_position()
            )

    def _walked(self, f: Any, added: Any) -> Any:
        before = self.state.state if self.mode == "predict" else np.zeros(added.shape[::2], added.dtype)
        require_batch(before, added)
        walk = fastmath.custom_vjp(_walk, _walk_and_keep, _walk_back)
        c, last = walk(np.swapaxes(f, 0, 1), np.swapaxes(added, 0, 1), before)
        if self.mode == "predict":
            self.state = Carried(last, self.state.position + added.shape[1])
        return np.swapaxes(c, 0, 1)


def _walk(f: Any, added: Any, before: Any) -> tuple[Any, Any]:
    """(every c, the last one) of c_t = f_t c_(t-1) + a_t, along the first axis."""

    def step(c: Any, x: Any) -> tuple[Any, Any]:
        f, added = x
        c = f * c + added
        return c, c

    last, c = fastmath.scan(step, before, (f, added))
    return c, last


def _walk_and_keep(f: Any, added: Any, before: Any) -> tuple[Any, Any]:
    found = _walk(f, added, before)
    return found, (f, before, found[0])


def _walk_back(kept: Any, slopes: Any) -> tuple[Any, Any, Any]:
    """Only the slopes of a wait their turn; those of f are one product over all steps."""
    f, before, c = kept
    of_c, of_last = slopes

    def step_back(slope: Any, x: Any) -> tuple[Any, Any]:
        of_c, f = x
        slope = slope + of_c
        return f * slope, slope

    of_before, of_added = fastmath.scan(step_back, of_last, (of_c, f), reverse=True)
    return of_added * np.concatenate([np.expand_dims(before, 0), c])[:-1], of_added, of_before


class _Forget(_Linear):
    """c_t = f_t c_(t-1) + (1 - f_t) y_t: (r f y side by side, mask if masked) -> (c, r).    (b, l, 3 n) -> (b, l, n)

    At a padded step f is 1, and nothing is added.
    """

    n_parts = 3

    def forward(self, x: Any) -> Any:
        x, mask = x if self.n_in > 1 else (x, None)
        r, f, y = np.split(x, 3, axis=-1)
        r, f = fastmath.sigmoid(r), fastmath.sigmoid(f)
        added = (1 - f) * y
        if mask is not None:
            holds = _holds(mask, x)
            f, added = np.where(holds, f, np.ones_like(f)), np.where(holds, added, np.zeros_like(added))
        return self._walked(f, added), r


class _Hold(_Linear):
    """(h, mask) -> h, that of the last real position at a padded one.    (b, l, n)"""

    def forward(self, x: Any) -> Any:
        h, mask = x
        holds, nothing = _holds(mask, h), np.zeros_like(h)
        return self._walked(np.where(holds, nothing, np.ones_like(h)), np.where(holds, h, nothing))


def _holds(mask: Any, x: Any) -> Any:
    """Truth values (b, l, 1) for x (b, l, n)."""
    return np.swapaxes(mask_of_steps(mask, *x.shape[:2]), 0, 1)


@lk.example(lk.f32(4, 3, 6), n_units=6)
def SRU(n_units: int, activation: Any = None, mode: str | None = None, masked: bool = False) -> lk.Layer:
    """h_t = r_t g(c_t) + (1 - r_t) sqrt(3) x_t, c_t = f_t c_(t-1) + (1 - f_t) y_t.    x, h: (b, l, n)

    (r, f, y) = x W + b, with the sigmoid of r and f. No step multiplies matrices: all of that is one product before.

    Lei et al., "Simple recurrent units for highly parallelizable recurrence", EMNLP 2018, arXiv 1709.02755.

    Args:
        n_units: n, the features of x too.
        activation: g, a layer or what makes one, such as ``tl.Tanh``; none unless given.
        mode: in ``"predict"`` a call brings the positions that follow those of the call before; c is kept.
        masked: takes a mask behind x, (b, l) or (b, 1, 1, l), true where a position is real; one that is not leaves c
            as it is, and gives h again, as in ``LSTM``.

    Raises:
        LayerError: an argument is out of range; x has other features; the mask has another shape or dtype; in predict
            mode, another batch than at init.

    >>> sru = SRU(2)
    >>> _ = sru.init(lk.f32(1, 3, 2))
    >>> sru(np.ones((4, 7, 2))).shape
    (4, 7, 2)
    """
    n = arguments.whole_number("SRU", "n_units", n_units)
    made = activation
    if activation is not None and not isinstance(activation, lk.Layer):
        made = arguments.maker("SRU", "activation", activation)()

    def mix(c: Any, r: Any, x: Any) -> Any:
        if x.shape[-1] != n:
            raise lk.LayerError(f"n_units={n} and the {x.shape[-1]} features of x differ: put a Dense({n}) before it")
        return r * c + (1 - r) * math.sqrt(3) * x

    inner = lk.Serial(Dense(3 * n), _Forget(1 + bool(masked), 2, mode), made)
    highway = lk.Fn("Highway", mix)
    if masked:
        return lk.Serial(lk.Branch(inner, lk.Select([0, 1])), highway, _Hold(2, 1, mode), name=f"SRU_{n}")
    return lk.Serial(lk.Branch(inner, []), highway, name=f"SRU_{n}")
