"""What there is to learn (TrainTask) and what to measure (EvalTask)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from layerkit.engine.naming import in_place_of_function
from layerkit.errors import UsageError, shown
from layerkit.layer import Layer
from layerkit.numbers import real, whole
from layerkit.optimizer import Optimizer
from layerkit.training.parts import Parts
from layerkit.training.precision import check_compute_dtype
from layerkit.training.source import Source

__all__ = ["EvalTask", "TrainTask", "check_model", "listed", "of_step", "shared_sources"]


class _Task:
    """What training and evaluation tasks have in common: where their batches come from."""

    _source: Source

    @property
    def labeled_data(self) -> Any:
        """The iterator of batches, as it was given."""
        return self._source.labeled_data

    @property
    def source(self) -> Source:
        """The batches, with their position."""
        return self._source

    @property
    def sample_batch(self) -> tuple[Any, ...]:
        """The next batch, which stays the next: a look at shapes and dtypes costs no example."""
        return self._source.peek()

    def next_batch(self) -> tuple[Any, ...]:
        """The next batch: arrays (inputs..., targets, weights)."""
        return self._source.next()


class TrainTask(_Task):
    """Labeled data, a loss and an optimizer: what a model is trained on.

    Args:
        labeled_data: an iterator of batches (inputs..., targets, weights), or a list of them, which is repeated.
        loss_layer: a layer that makes one number of the model's outputs and the rest of the batch.
        optimizer: moves the weights. Several of them, by the path of what each trains, where parts of the model are
            trained in different ways; ``None`` for a part that stays as it is, ``""`` for all that is not named:
            ``{"0.Embedding": None, "1.LSTM": Adam(0.0001), "": Adam(0.001)}``. Each clips the gradients of its own.
        lr_schedule: a function from the step, counted from 0, to the learning rate; the optimizer's own unless given.
        n_steps_per_checkpoint: how often the loop logs, evaluates and saves unless it is told otherwise.
        compute_dtype: ``"bfloat16"`` for mixed precision, on JAX: the model computes with 16-bit copies of its weights
            and inputs. Weights, state, loss, gradients and the optimizer stay in float32, and so do evaluations.

    Raises:
        UsageError: an argument is of the wrong kind.

    >>> import numpy as np
    >>> from layerkit import Fn, Optimizer
    >>> loss = Fn("L2", lambda y, target: ((y - target) ** 2).mean())
    >>> class Descent(Optimizer):
    ...     def update(self, step, grads, param, slots, opt_params):
    ...         return param - opt_params.learning_rate * grads, slots
    >>> task = TrainTask([(np.ones((2, 1)), np.ones((2, 1)))], loss, Descent(0.5))
    >>> len(task.next_batch()), task.learning_rate(0)
    (2, 0.5)
    """

    def __init__(
        self,
        labeled_data: Any,
        loss_layer: Layer,
        optimizer: Optimizer | Mapping[str, Optimizer | None],
        lr_schedule: Callable[[int], Any] | None = None,
        n_steps_per_checkpoint: int = 100,
        compute_dtype: str | None = None,
    ) -> None:
        _check_kind("loss_layer", loss_layer, Layer, "CrossEntropyLoss()")
        optimizer = _as_optimizer(optimizer)
        of_step("TrainTask: lr_schedule", lr_schedule)
        if lr_schedule is not None and (reason := optimizer.cannot_schedule()):
            raise UsageError(f"TrainTask: {reason}")
        check_compute_dtype(compute_dtype)
        self._source = Source(labeled_data, "labeled_data of the training task")
        self._loss_layer = loss_layer
        self._optimizer = optimizer
        self._lr_schedule = lr_schedule
        self._n_steps_per_checkpoint = whole("n_steps_per_checkpoint", n_steps_per_checkpoint, 1)
        self._compute_dtype = compute_dtype

    def __repr__(self) -> str:
        return f"<TrainTask: {self._loss_layer.name} by {self._optimizer}>"

    @property
    def loss_layer(self) -> Layer:
        """The layer that computes the loss."""
        return self._loss_layer

    @property
    def optimizer(self) -> Optimizer:
        """The optimizer."""
        return self._optimizer

    @property
    def lr_schedule(self) -> Callable[[int], Any] | None:
        """The learning rate as a function of the step, where it is not the optimizer's own."""
        return self._lr_schedule

    @property
    def n_steps_per_checkpoint(self) -> int:
        """Steps from one checkpoint to the next."""
        return self._n_steps_per_checkpoint

    @property
    def compute_dtype(self) -> str | None:
        """What the model computes in while it is trained; ``None`` for the dtype of its weights."""
        return self._compute_dtype

    def learning_rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0.

        Raises:
            UsageError: the schedule gives no number, or a negative one.
        """
        if self._lr_schedule is None:
            return float(self._optimizer.learning_rate_at(step))
        return real(f"lr_schedule: the learning rate of step {step}", self._lr_schedule(step), at_least=0)


class EvalTask(_Task):
    """Labeled data and metrics: what a model is measured by.

    Args:
        labeled_data: an iterator of batches (inputs..., targets, weights), or a list of them, which is repeated.
        metrics: layers that each make one number of the model's outputs and as much of the rest of the batch as they
            take.
        metric_names: what to call them; the layers' names unless given.
        n_eval_batches: over how many batches to average. Each counts by the sum of its weights, so a short last batch
            counts for less.

    Raises:
        UsageError: an argument is of the wrong kind, or there are more names than metrics, or fewer.

    >>> import numpy as np
    >>> from layerkit import Fn
    >>> error = Fn("Error", lambda y, target: abs(y - target).mean())
    >>> EvalTask([(np.ones(2), np.ones(2))], [error]).metric_names
    ['Error']
    """

    def __init__(
        self,
        labeled_data: Any,
        metrics: Sequence[Layer],
        metric_names: Sequence[str] | None = None,
        n_eval_batches: int = 1,
    ) -> None:
        if isinstance(metrics, Layer) or not isinstance(metrics, Sequence) or not metrics:
            raise UsageError(f"EvalTask: metrics is a list of layers, got {shown(metrics)}")
        for metric in metrics:
            _check_kind("metrics", metric, Layer, "Accuracy()")
        names = [metric.name for metric in metrics] if metric_names is None else list(metric_names)
        if len(names) != len(metrics):
            raise UsageError(f"EvalTask: {len(metrics)} metrics and {len(names)} metric_names")
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise UsageError(f"EvalTask: two metrics are called {twice!r}: give metric_names")
        self._source = Source(labeled_data, "labeled_data of the evaluation task")
        self._metrics = list(metrics)
        self._metric_names = names
        self._n_eval_batches = whole("n_eval_batches", n_eval_batches, 1)

    def __repr__(self) -> str:
        batches = "1 batch" if self._n_eval_batches == 1 else f"{self._n_eval_batches} batches"
        return f"<EvalTask: {', '.join(self._metric_names)} over {batches}>"

    @property
    def metrics(self) -> list[Layer]:
        """The layers that measure."""
        return self._metrics

    @property
    def metric_names(self) -> list[str]:
        """What the metrics are called, in their order."""
        return self._metric_names

    @property
    def n_eval_batches(self) -> int:
        """Over how many batches the metrics are averaged."""
        return self._n_eval_batches


def _check_kind(name: str, value: Any, kind: type, such_as: str) -> None:
    if isinstance(value, kind):
        return
    if isinstance(value, type):
        raise UsageError(f"{name}: {value.__name__} is a class, make one of it, as in {such_as}")
    instead = in_place_of_function(value) if kind is Layer else ""
    raise UsageError(f"{name}: {_a(kind)} such as {such_as} is due, got {shown(value)}{instead}")


def of_step(name: str, value: Any) -> Any:
    """``value``, if it is a function, or ``None``."""
    if value is not None and not callable(value):
        raise UsageError(f"{name} is a function of the step, got {shown(value)}")
    return value


def _as_optimizer(given: Any) -> Optimizer:
    """One optimizer, made of those for the parts where a mapping of them was given."""
    if not isinstance(given, Mapping):
        _check_kind("optimizer", given, Optimizer, "Adam(0.01)")
        return given  # type: ignore[no-any-return]
    for path, own in given.items():
        if not isinstance(path, str):
            raise UsageError(f"optimizer: a part is named by its path, such as '0.Embedding', got {shown(path)}")
        if own is not None:
            _check_kind(f"optimizer of {path!r}", own, Optimizer, "Adam(0.01)")
    return Parts(given)


def check_model(name: str, value: Any) -> None:
    """Refuses what is no layer."""
    if not isinstance(value, Layer):
        remedy = ": give it as eval_tasks" if isinstance(value, EvalTask) else ": call it" * callable(value)
        if isinstance(value, (list, tuple)):
            remedy = ": put the layers into a Serial"
        raise UsageError(f"{name} is a layer, got {shown(value)}{remedy}")


def _a(kind: type) -> str:
    return f"{'an' if kind.__name__[0] in 'AEIOU' else 'a'} {kind.__name__}"


def listed(name: str, values: Any, kind: type) -> list[Any]:
    """The tasks as a list; one alone may be given bare."""
    listed = [values] if not isinstance(values, (list, tuple)) else list(values)
    for value in listed:
        if not isinstance(value, kind):
            raise UsageError(f"{name}: {_a(kind)} or a list of them is due, got {shown(value)}")
    return listed


def shared_sources(tasks: list[TrainTask], eval_tasks: list[EvalTask]) -> list[Source]:
    """The sources of all tasks, each once: an iterator that two tasks take from has one position."""
    sources: dict[int, Source] = {}
    everything: list[TrainTask | EvalTask] = [*tasks, *eval_tasks]
    for task in everything:
        task._source = sources.setdefault(id(task.labeled_data), task.source)
    return list(sources.values())
