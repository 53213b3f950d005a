"""Why a loss is not finite: the batch again, layer by layer, until an output is not."""

from __future__ import annotations

from typing import Any

import numpy as onp

from layerkit.engine.frames import Frame, observing
from layerkit.engine.layer_error import LayerError
from layerkit.errors import LayerkitError
from layerkit.fastmath import to_host, tree_leaves
from layerkit.layer import Layer
from layerkit.training.start import Keys
from layerkit.training.step import Carry, compute_loss
from layerkit.weights_file import tensor_paths

__all__ = ["NotFiniteError", "diagnose", "first_not_finite"]


class NotFiniteError(LayerkitError):
    """A loss, or a weight, that is not finite.

    Attributes:
        step: the step, counted from 1.
        path: the first layer whose output is not finite, empty where none was found.
    """

    def __init__(self, message: str, step: int, path: str = "") -> None:
        super().__init__(message)
        self.step = step
        self.path = path


def diagnose(
    step: int, value: float, model: Layer, loss_layer: Layer, carry: Carry, keys: Keys, batch: tuple[Any, ...]
) -> NotFiniteError:
    """The error for a loss that is not finite at ``step``; ``carry`` is what the step started from."""
    start = f"step {step}: the loss {loss_layer.name} is {value}"
    inputs = [f"array {i} of the batch has {f}" for i, a in enumerate(batch) if (f := _fault(a))]
    found = _replay(step, model, loss_layer, carry, keys, batch)
    if found is None:
        where = "layer by layer every output is finite, so numbers overflow only in the compiled step"
    else:
        where = str(found)
    path = "" if found is None else found.path
    named = dict(zip(tensor_paths(model, carry.weights), tree_leaves(to_host(carry.weights)), strict=True))
    fault = first_not_finite(named)
    weights = [f"the weight {fault} since an update before: a gradient was not finite"] if fault else []
    remedy = "look at the data" if inputs else "lower the learning rate, or clip gradients with clip_grad_norm"
    return NotFiniteError("; ".join([f"{start}: {where}", *inputs, *weights, remedy]), step, path)


def _replay(
    step: int, model: Layer, loss_layer: Layer, carry: Carry, keys: Keys, batch: tuple[Any, ...]
) -> LayerError | None:
    def look(frame: Frame, inputs: Any, outputs: Any) -> None:
        for leaf in tree_leaves(outputs):
            if fault := _fault(leaf):
                # Raised inside the layer's own call, it comes out with the layer's whole path.
                raise LayerkitError(f"the first output that is not finite, with {fault}")

    try:
        with observing(look):
            compute_loss(model, loss_layer, carry, keys, step - 1, batch)
    except LayerError as error:
        return error
    return None


def first_not_finite(named: dict[str, Any]) -> str | None:
    """The name of the first array that is not finite, with what is wrong with it."""
    for name, array in named.items():
        # One pass without a temporary: a sum is finite unless something in it is not, or it overflows.
        if array.dtype.kind == "f" and not onp.isfinite(array.sum(dtype=onp.float64)) and (fault := _fault(array)):
            return f"{name} has {fault}"
    return None


def _fault(array: Any) -> str:
    """How many values are not finite, in words; empty if all are."""
    values = onp.asarray(to_host(array))
    if values.dtype.kind not in "fV":
        return ""
    values = values.astype(onp.float32) if values.dtype.kind == "V" else values
    bad = int(values.size - onp.count_nonzero(onp.isfinite(values)))
    if not bad:
        return ""
    kind = "nan" if onp.isnan(values).any() else "inf"
    return f"{kind} in {bad} of {values.size} values"
