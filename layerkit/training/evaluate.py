"""Measuring a model: metrics on batches, averaged by the batches' weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as onp

from layerkit.engine.initializing import init_outermost
from layerkit.errors import LayerkitError
from layerkit.fastmath import abstract_eval, jit, to_host, tree_unflatten
from layerkit.fastmath import numpy as np
from layerkit.layer import Layer
from layerkit.shapes import signature
from layerkit.training.batch import batch_weight, measured, parts
from layerkit.training.lazy_rows import LazyRows, View
from layerkit.training.task import EvalTask

__all__ = ["make_evaluation"]

Measured = dict[str, float]


def make_evaluation(
    model: Layer, task: EvalTask, weights: Any, state: Any, key: Any, lazy: LazyRows, arrays: list[tuple[int, ...]]
) -> Callable[..., Measured]:
    """The function ``evaluate(view, state, batches) -> {metric: value}`` of an evaluation task.

    ``batches`` are triples (batch, the same batch on the device, the rows it reads of tables whose rows wait). Each
    metric is averaged over them, a batch counting by its weights: what a mean over all examples at once would give.
    The numbers leave the device together, at the end.

    Args:
        model: the model; its layers evaluate, they do not train.
        weights: the model's weights, for their shapes.
        state: the model's state, for its shapes.
        key: random key for layers that draw numbers in evaluation as well: always the same.
        lazy: the tables whose rows wait; those that a batch reads are brought up to date for it.
        arrays: for each of these tables, which arrays of a batch hold its ids.

    Raises:
        LayerError: the model or a metric cannot take the task's batches.
        LayerkitError: a metric is no single number.
    """
    sample = signature(task.sample_batch)
    inputs, rest = parts(sample, model.n_in)
    output = abstract_eval(
        lambda x, w, s: model.pure_fn(x, w, s, key, training=False)[0], inputs, signature(weights), signature(state)
    )
    own = [_init_metric(metric, output, rest, key) for metric in task.metrics]

    def measure(view: View, state: Any, own: Any, batch: tuple[Any, ...], ids: Any) -> Any:
        inputs, rest = parts(batch, model.n_in)
        rows = lazy.read_weights(view, ids)
        weights, _ = tree_unflatten(lazy.stand_ins(rows, batch, ids, arrays), view.trained)
        y, _ = model.pure_fn(inputs, weights, state, key, training=False)
        values = [
            metric.pure_fn(measured(metric, y, rest), metric_weights, metric_state, key, training=False)[0]
            for metric, (metric_weights, metric_state) in zip(task.metrics, own, strict=True)
        ]
        return np.stack([np.asarray(value).astype(onp.float32) for value in values])

    compiled = jit(measure)

    def evaluate(view: View, state: Any, batches: Iterable[tuple[Any, Any, Any]]) -> Measured:
        counts, values = [], []
        for batch, on_device, ids in batches:
            counts.append(batch_weight(batch, model.n_in))
            values.append(compiled(view, state, own, on_device, ids))
        return dict(zip(task.metric_names, _average(to_host(values), counts), strict=True))

    return evaluate


def _init_metric(metric: Layer, output: Any, rest: tuple[Any, ...], key: Any) -> tuple[Any, Any]:
    weights, state, value = init_outermost(metric, measured(metric, output, rest), key)
    if getattr(value, "shape", None) != ():
        raise LayerkitError(f"{metric.name}: a metric is a single number, and it gives {value}: take its mean or sum")
    return weights, state


def _average(values: list[Any], counts: list[float]) -> list[float]:
    """The mean of each metric over the batches, weighted; a batch of weight 0 says nothing, unless all have it."""
    weights = onp.array(counts)
    if not weights.sum() > 0:
        weights = onp.ones(len(counts))
    table = onp.stack(values).astype(onp.float64)[weights > 0]
    weights = weights[weights > 0]
    return [float(mean) for mean in (weights[:, None] * table).sum(0) / weights.sum()]
