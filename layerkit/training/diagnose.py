"""Why a loss, or its gradient, is not finite: the step again, layer by layer, and which examples it comes from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as onp

from layerkit.engine.plain_words import in_plain_words
from layerkit.errors import LayerkitError, shown
from layerkit.fastmath import backend_name, to_host, tree_leaves, use_backend
from layerkit.fastmath.finite import fault_of, first_not_finite, floats
from layerkit.layer import Layer
from layerkit.tensor_names import tensor_paths
from layerkit.training.feed import Item
from layerkit.training.replay import Fault, faulty_gradient, faulty_output
from layerkit.training.start import Keys
from layerkit.training.step import Carry, compute_loss
from layerkit.training.task import TrainTask

__all__ = ["NotFiniteError", "diagnose"]

_OVERFLOW = {
    False: "layer by layer all is finite, so numbers overflow only in the compiled step",
    True: "layer by layer all is finite, and so large that the sum of its values overflows",
}
"""What is said where no layer is found, by whether the loss is finite."""

_MOST_ROWS = 256
"""How many rows of a batch are tried alone."""


class NotFiniteError(LayerkitError):
    """A loss, a gradient or a weight that is not finite.

    Attributes:
        step: the step, counted from 1.
        path: the first layer whose output is not finite; where all are, the one whose backward pass makes the first
            gradient that is not. Empty where none was found.
        weight: the first weight whose gradient is not finite, where the loss is: ``"2.Dense/kernel"``.
        rows: the rows of the batch that it comes from, counted from 0; empty where they are not known.
        examples: the same as numbers of the examples of the data, where the data tell.
    """

    def __init__(
        self,
        message: str,
        step: int,
        path: str = "",
        weight: str = "",
        rows: tuple[int, ...] = (),
        examples: tuple[int, ...] = (),
    ) -> None:
        super().__init__(message)
        self.step, self.path, self.weight = step, path, weight
        self.rows, self.examples = rows, examples

    def quoting(self, texts: Sequence[str]) -> NotFiniteError:
        """The same error with the first of its examples in words, for whoever has the examples' texts."""
        if not self.examples:
            return self
        first = self.examples[0]
        message = f"{self}; example {first:,} is {shown(texts[first])}"
        return NotFiniteError(message, self.step, self.path, self.weight, self.rows, self.examples)


def diagnose(
    step: int, value: float, model: Layer, task: TrainTask, carry: Carry, keys: Keys, item: Item
) -> NotFiniteError:
    """The error for a loss, or a gradient, that is not finite at ``step``; ``carry`` is what the step started from."""
    replay = _Replay(step, model, task, carry, keys, item.on_device)
    loss_is_finite = math.isfinite(value)
    found = replay.output() or (replay.gradient() if loss_is_finite else None)
    start = f"step {step}: the loss {task.loss_layer.name} is {value:.6g}"
    if loss_is_finite:
        start += ", and its gradient is not finite"
    what = found.text if found else _OVERFLOW[loss_is_finite]
    rows = replay.rows(found)
    examples = item.source.examples_at(item.before, rows)
    inputs = [f"array {i} of the batch has {words}" for i, a in enumerate(item.on_device) if (words := fault_of(a))]
    named = dict(zip(tensor_paths(model, carry.weights), tree_leaves(to_host(carry.weights)), strict=True))
    fault = first_not_finite(named)
    weights = [f"the weight {fault} since the update of an earlier step"] if fault else []
    parts = [f"{start}: {what}", *_in_words(rows, examples, replay.n_rows), *inputs, *weights]
    # What a compiled step could but answer with NaN, such as a target that is no class, the layer itself refuses here.
    refused = not loss_is_finite and found is not None and found.values is None
    message = "; ".join([*parts, _remedy(loss_is_finite, bool(inputs) or refused)])
    return NotFiniteError(message, step, found.path if found else "", found.weight if found else "", rows, examples)


def _remedy(loss_is_finite: bool, data: bool) -> str:
    if data:
        return "look at the data"
    if loss_is_finite:
        return "keep its input away from where it has no slope (the square root, logarithm or norm of 0)"
    return "lower the learning rate, or clip gradients with clip_grad_norm"


class _Replay:
    """The step again, as often as need be."""

    def __init__(
        self, step: int, model: Layer, task: TrainTask, carry: Carry, keys: Keys, batch: tuple[Any, ...]
    ) -> None:
        self._step, self._model, self._task, self._keys = step, model, task, keys
        self._carry, self._batch = carry, batch
        sizes = {array.shape[0] if array.shape else -1 for array in batch}
        self.n_rows = sizes.pop() if len(sizes) == 1 else -1
        """How many rows the batch has; -1 where its arrays do not agree."""

    def _compute(self, carry: Carry, keys: Keys, batch: tuple[Any, ...]) -> Any:
        return compute_loss(
            self._model, self._task.loss_layer, carry, keys, self._step - 1, batch, self._task.compute_dtype
        )[0]

    def output(self) -> Fault | None:
        """The first layer whose output is not finite."""
        found = faulty_output(lambda: self._compute(self._carry, self._keys, self._batch))
        if found is None or found.layer is None or not found.layer.sublayers or backend_name() == "numpy":
            return found
        # A compiled loop does not show what happens in it; the reference backend runs it turn by turn.
        known = to_host((self._carry, self._keys, self._batch))
        with use_backend("numpy"):
            inner = faulty_output(lambda: self._compute(*known))
        return inner if inner is not None and inner.path.startswith(found.path) else found

    def gradient(self) -> Fault | None:
        """The layer whose backward pass makes the first gradient that is not finite."""

        def loss_of(trained: Any) -> Any:
            task = self._carry.task._replace(loss_weights=trained[1])
            return self._compute(self._carry._replace(weights=trained[0], task=task), self._keys, self._batch)

        trained = (self._carry.weights, self._carry.task.loss_weights)
        try:
            return faulty_gradient(loss_of, trained, (self._model, self._task.loss_layer))
        except Exception as error:
            # It reaches into layers that were not made for it: what stopped the run is to be told all the same.
            return Fault("", f"its layer cannot be found ({in_plain_words(error)})")

    def rows(self, found: Fault | None) -> tuple[int, ...]:
        """The rows of the batch that the fault comes from; none where that cannot be told."""
        if self.n_rows < 1 or found is None:
            return ()
        for array in (*self._batch, found.values):
            if array is not None and array.shape[:1] == (self.n_rows,) and (rows := _bad_rows(array)):
                return rows
        if found.values is None or self.n_rows > _MOST_ROWS:
            return ()
        return tuple(row for row in range(self.n_rows) if self._is_bad_alone(row))

    def _is_bad_alone(self, row: int) -> bool:
        batch = tuple(array[row : row + 1] for array in self._batch)
        return not math.isfinite(float(self._compute(self._carry, self._keys, batch)))


def _bad_rows(array: Any) -> tuple[int, ...]:
    values = floats(array)
    if values is None:
        return ()
    finite = onp.isfinite(values).reshape(len(values), -1).all(axis=1)
    return tuple(onp.flatnonzero(~finite).tolist())


def _in_words(rows: tuple[int, ...], examples: tuple[int, ...], n_rows: int) -> list[str]:
    if not rows:
        return []
    if len(rows) == n_rows > 1:
        return [f"in all {n_rows} rows of the batch"]
    told = f"in {_listed('row', rows)} of the batch's {n_rows}, counted from 0"
    return [told + (f" ({_listed('example', examples)} of the data)" if examples else "")]


def _listed(noun: str, numbers: tuple[int, ...]) -> str:
    """``row 3``, ``rows 1, 2 and 5``, ``rows 1, 2, 3, 4 and 12 more``."""
    if len(numbers) == 1:
        return f"{noun} {numbers[0]}"
    shown = [f"{number:,}" for number in numbers[:5]]
    last = f"{len(numbers) - 4:,} more" if len(numbers) > 5 else shown[-1]
    return f"{noun}s {', '.join(shown[: 4 if len(numbers) > 5 else -1])} and {last}"
