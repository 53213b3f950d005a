"""Operations beyond NumPy's that models need, on the active backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as onp

from layerkit.fastmath import numpy as np
from layerkit.fastmath.backend import ArrayError, active
from layerkit.fastmath.rows import RowTable, read_observer
from layerkit.numbers import whole

__all__ = [
    "abstract_eval",
    "block_until_ready",
    "compilations",
    "devices",
    "erf",
    "expit",
    "is_traced",
    "log_softmax",
    "logsumexp",
    "on_cpu",
    "one_hot",
    "rarely",
    "segment_sum",
    "sigmoid",
    "softmax",
    "stop_gradient",
    "take_rows",
    "to_device",
    "to_host",
    "top_k",
    "update_slice",
]


def take_rows(table: Any, ids: Any) -> Any:
    """``table[ids]``: the rows of a table (rows, ...) for integer ids of any shape.

    Raises:
        ArrayError: an id is outside 0 .. rows - 1. Inside ``jit`` nothing can be raised: the row is NaN then.

    >>> take_rows(np.array([[0.0, 1.0], [2.0, 3.0]]), np.array([1, 1, 0])).tolist()
    [[2.0, 3.0], [2.0, 3.0], [0.0, 1.0]]
    """
    observer = read_observer()
    if observer is not None:
        observer(table, ids)
    if type(table) is RowTable:
        return table.read(ids)
    return active().take_rows(table, ids)


def segment_sum(values: Any, segment_ids: Any, num_segments: int) -> Any:
    """Sums the values (n, ...) that carry the same id, giving (num_segments, ...).

    >>> segment_sum(np.array([1.0, 2.0, 3.0]), np.array([0, 1, 0]), 2).tolist()
    [4.0, 2.0]
    """
    count = whole("segment_sum: num_segments", num_segments, 0, ArrayError)
    return active().segment_sum(values, segment_ids, count)


def logsumexp(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """log(sum(exp(x))) along ``axis``, without overflow.

    >>> round(float(logsumexp(np.array([1000.0, 1000.0]))), 3)
    1000.693
    """
    return active().logsumexp(x, axis, keepdims)


def log_softmax(x: Any, axis: int = -1) -> Any:
    """x - logsumexp(x): the logarithms of probabilities that sum to 1 along ``axis``.

    It is computed as z - log(sum(exp(z))) with z = x - max(x), which keeps digits that a large x would take.

    >>> [round(float(x), 4) for x in log_softmax(np.array([1000.0, 1000.0]))]
    [-0.6931, -0.6931]
    """
    x = np.asarray(x)
    if not x.shape[axis]:
        return x  # nothing is the largest
    shifted = x - stop_gradient(np.max(x, axis=axis, keepdims=True))
    return np.subtract(shifted, np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True)))


def softmax(x: Any, axis: int = -1) -> Any:
    """exp(x) / sum(exp(x)) along ``axis``.

    >>> softmax(np.array([5.0, 5.0])).tolist()
    [0.5, 0.5]
    """
    return np.exp(log_softmax(x, axis))


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), written with tanh so that no exponential overflows.

    >>> float(sigmoid(np.array(0.0)))
    0.5
    """
    return 0.5 * (np.tanh(0.5 * x) + 1.0)


expit = sigmoid


def erf(x: Any) -> Any:
    """The error function, 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x.

    >>> round(float(erf(np.array(1.0))), 4)
    0.8427
    """
    return active().erf(x)


def one_hot(x: Any, n_categories: int, dtype: Any = onp.float32) -> Any:
    """A new last axis of size ``n_categories`` with a 1 where the whole number ``x`` says, else 0.

    A number outside 0 .. n_categories - 1 gives a row of zeros.

    >>> one_hot(np.array([0, 2]), 3).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    categories = np.arange(whole("one_hot: n_categories", n_categories, 0, ArrayError))
    return np.equal(np.expand_dims(x, -1), categories).astype(dtype)


def rarely(truths: Any) -> bool:
    """Whether one of these truths holds, which they do not as a rule; of values that are known.

    A function that looks at numbers is run anew at each call on NumPy. Where it only looks for what is wrong with them,
    this lets it be recorded: the look is part of the record.

    >>> rarely(np.array([1, 2]) > 2)
    False
    """
    look = getattr(active(), "rarely", None)
    return bool(to_host(truths).any()) if look is None else look(truths)


def top_k(x: Any, k: int) -> tuple[Any, Any]:
    """The ``k`` largest values along the last axis in falling order, and their positions (int32).

    >>> values, positions = top_k(np.array([3.0, 1.0, 2.0]), 2)
    >>> values.tolist(), positions.tolist()
    ([3.0, 2.0], [0, 2])
    """
    return active().top_k(x, whole("top_k: k", k, error=ArrayError))


def update_slice(x: Any, part: Any, start: Any, axis: int = 0) -> Any:
    """``x`` with ``part`` in place of what lies from ``start`` on along ``axis``; ``start`` may be computed.

    Raises:
        ArrayError: ``part`` does not fit there. Inside ``jit``, where nothing can be raised, ``start`` is moved to the
            nearest from which it does.

    >>> update_slice(np.zeros(5), np.array([1.0, 2.0]), np.array(3)).tolist()
    [0.0, 0.0, 0.0, 1.0, 2.0]
    """
    return active().update_slice(x, part, start, axis)


def stop_gradient(x: Any) -> Any:
    """``x`` (a tree), as a constant to differentiation.

    >>> from layerkit.fastmath import grad
    >>> float(grad(lambda x: x * stop_gradient(x))(np.array(3.0)))
    3.0
    """
    return active().stop_gradient(x)


def to_host(tree: Any) -> Any:
    """The tree with every leaf a NumPy array.

    >>> type(to_host((np.ones(2), ()))[0]).__name__
    'ndarray'
    """
    return active().to_host(tree)


def to_device(tree: Any, device: Any = None) -> Any:
    """The tree with every leaf an array of the active backend.

    >>> to_device((onp.array([1, 2], "int32"), ()))[0].tolist()
    [1, 2]
    """
    return active().to_device(tree, device)


def devices() -> list[str]:
    """The devices the active backend computes on, in words; the first is the default.

    >>> bool(devices())
    True
    """
    return active().devices()


def on_cpu() -> bool:
    """Whether the active backend computes on a processor of this machine, and so in its memory."""
    return devices()[0].lower().startswith("cpu")


def block_until_ready(tree: Any) -> Any:
    """Waits until the arrays of the tree are computed, and returns it.

    >>> block_until_ready((np.ones(2), ()))[0].tolist()
    [1.0, 1.0]
    """
    return active().block_until_ready(tree)


def abstract_eval(f: Callable[..., Any], *signatures: Any) -> Any:
    """The signature of what ``f`` returns for arguments of these signatures.

    >>> from layerkit import f32
    >>> abstract_eval(lambda x: x.sum(axis=-1), f32(2, 3))
    float32[2]
    """
    return active().abstract_eval(f, *signatures)


def is_traced(x: Any) -> bool:
    """Whether the value of ``x`` is not known yet, so that it cannot be looked at.

    >>> is_traced(np.ones(2))
    False
    """
    return active().is_traced(x)


def compilations() -> int:
    """How many programs the active backend has compiled in this process."""
    return active().compilations()
