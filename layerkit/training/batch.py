"""What a batch is: (inputs..., targets, weights), and whether a model and a loss can use it."""

from __future__ import annotations

from typing import Any

import numpy as np

from layerkit.engine.bare import as_tuple, bare
from layerkit.errors import LayerkitError
from layerkit.layer import Layer
from layerkit.shapes import signature

__all__ = ["as_batch", "batch_weight", "check_arity", "measured", "parts"]

_NARROW = {"f": "float32", "i": "int32", "u": "uint32"}


def as_batch(raw: Any, source: str) -> tuple[Any, ...]:
    """A batch as a tuple of arrays in 32 bits; lists become arrays.

    Raises:
        LayerkitError: it is no tuple of arrays of numbers, or has no rows.
    """
    several = isinstance(raw, (tuple, list))
    if not several or not raw:
        rest = " without arrays" if several else "; a single batch is given in a list, [(inputs, targets, weights)]"
        raise LayerkitError(
            f"{source}: a batch is a tuple (inputs..., targets, weights), got {type(raw).__name__}{rest}"
        )
    return tuple(_as_array(item, index, source) for index, item in enumerate(raw))


def _as_array(item: Any, index: int, source: str) -> Any:
    if not hasattr(item, "dtype") or not hasattr(item, "shape"):
        try:
            item = np.asarray(item)
        except ValueError:
            raise LayerkitError(f"{source}: array {index} of a batch has rows of different lengths: pad them") from None
    if isinstance(item, np.generic):
        item = np.asarray(item)
    if item.dtype.kind in "OSUMmcT":
        found = "text, and ids" if item.dtype.kind in "SUT" else f"dtype {item.dtype}, and numbers"
        raise LayerkitError(f"{source}: array {index} of a batch has {found} are due")
    if item.shape and item.shape[0] == 0:
        raise LayerkitError(f"{source}: array {index} of a batch has no rows: {list(item.shape)}")
    narrow = _NARROW.get(item.dtype.kind)
    if item.dtype.itemsize != 8 or narrow is None or not isinstance(item, np.ndarray):
        return item
    small = item.astype(narrow)
    if item.dtype.kind in "iu" and not np.array_equal(small, item):
        raise LayerkitError(
            f"{source}: array {index} of a batch goes from {item.min()} to {item.max()}, beyond {narrow}"
        )
    return small


def parts(batch: tuple[Any, ...], n_in: int) -> tuple[Any, tuple[Any, ...]]:
    """(what a model of ``n_in`` inputs takes, the rest).

    >>> parts(("x", "targets", "weights"), 1)
    ('x', ('targets', 'weights'))
    """
    return (batch[0] if n_in == 1 else batch[:n_in]), batch[n_in:]


def measured(layer: Layer, outputs: Any, rest: tuple[Any, ...]) -> Any:
    """What a loss or a metric takes: the model's outputs, and as much of the rest of the batch as it has a use for.

    >>> from layerkit import Fn
    >>> measured(Fn("L2", lambda y, targets: y), "y", ("targets", "weights"))
    ('y', 'targets')
    """
    return bare((*as_tuple(outputs), *rest)[: layer.n_in])


def check_arity(batch: tuple[Any, ...], model: Layer, loss: Layer, source: str, may_leave: bool = False) -> None:
    """Makes sure that a batch has the arrays that the model takes, and those that the loss takes beside its outputs.

    Args:
        may_leave: whether arrays may be left over, as a metric may not look at the weights.

    Raises:
        LayerkitError: it has more or fewer.
    """
    needed = model.n_in + loss.n_in - model.n_out
    if loss.n_in < model.n_out and not may_leave:
        raise LayerkitError(
            f"{loss.name} takes {loss.n_in} of the {model.n_out} outputs of {model.name}: drop the rest"
        )
    if len(batch) == needed or (may_leave and len(batch) >= needed):
        return
    shapes, extra = ", ".join(map(str, signature(batch))), max(loss.n_in - model.n_out, 0)
    outputs = "model's output" if model.n_out == 1 else f"model's {model.n_out} outputs"
    hint = "; are the weights missing?" if extra == 2 and len(batch) == needed - 1 else ""
    raise LayerkitError(
        f"{source}: a batch is ({shapes}), and {needed} arrays are due: {model.n_in} for {model.name}, {extra} for "
        f"{loss.name} beside the {outputs}{hint}"
    )


def batch_weight(batch: tuple[Any, ...], n_in: int) -> float:
    """How much a batch counts in an average: the sum of its weights, or its number of rows where it has none.

    Weights are the last array, where two or more follow the inputs.

    >>> batch_weight((np.zeros((2, 3)), np.zeros(2), np.array([1.0, 0.5])), 1)
    1.5
    """
    rest = batch[n_in:]
    if len(rest) >= 2:
        return float(np.sum(np.asarray(rest[-1]), dtype=np.float64))
    return float(batch[0].shape[0]) if batch[0].shape else 1.0
