"""What a run measures on its way: losses, metrics and summaries, noted, logged and drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from layerkit.engine.sources import last_layer
from layerkit.errors import warn
from layerkit.layer import Layer
from layerkit.training.feed import Feed
from layerkit.training.history import History
from layerkit.training.log import distinct, line
from layerkit.training.summaries import Summaries
from layerkit.training.task import EvalTask, TrainTask

if TYPE_CHECKING:
    from pathlib import Path

    from layerkit.training.scalars import Scalars
    from layerkit.training.steps import Steps

__all__ = ["Measuring"]


class Measuring:
    """Measures a model while it is trained.

    Args:
        models: the model that is trained, and the one that is evaluated, which has the same weights.
        tasks: the training tasks.
        eval_tasks: what is measured.
        steps: the steps of the run, and with them the weights.
        move: what moves a batch to the device.
        output_dir: where images and the learning curve are written; nowhere for ``None``.
        log: takes each line.
        tensorboard: whether to write for TensorBoard, into ``output_dir``.
    """

    def __init__(
        self,
        models: tuple[Layer, Layer],
        tasks: list[TrainTask],
        eval_tasks: list[EvalTask],
        steps: Steps,
        move: Callable[[Any], Any],
        output_dir: Path | None,
        log: Callable[[str], Any],
        tensorboard: bool,
    ) -> None:
        self.history = History()
        self._steps, self._eval_tasks, self._move = steps, eval_tasks, move
        self._output_dir, self._log = output_dir, log
        self._scalars = _scalars(output_dir) if tensorboard and output_dir is not None else None
        self._drawn = 0
        self._evaluations = _evaluations(models[1], eval_tasks, steps) if eval_tasks else []
        self._loss_names = distinct([[task.loss_layer.name] for task in tasks])
        self._metric_names = distinct([task.metric_names for task in eval_tasks])
        self._model, self._losses = models[0], [task.loss_layer for task in tasks]
        self._doubted = False
        self._summaries = Summaries([models[0], *self._losses], self._loss_names, output_dir, self._scalars)
        names = (*self._loss_names, self.metrics, self._summaries.numbers(steps.variables))
        self._width = max(len(name) for several in names for name in several)

    @property
    def metrics(self) -> list[str]:
        """What the metrics of all evaluation tasks are called."""
        return [name for names in self._metric_names for name in names]

    def report(self, feed: Feed | None) -> None:
        """Notes and logs the losses since the last time, what layers left, and every metric.

        Where it is broken off before all of it is noted, the same report comes once more, and says the same.
        """
        steps = self._steps
        steps.settle()
        means = steps.losses.means()
        numbers = {self._loss_names[number][0]: mean for number, mean in means.items()}
        numbers.update(self._summaries.numbers_on_host(steps.variables))
        measured = self._measure(feed)
        noted = self._note({"train": numbers, "eval": measured})
        steps.reported()
        self._tell(noted)
        for number, mean in means.items():
            if mean < 0:
                self._doubt(self._losses[number], mean)
        self._summaries.show_images(steps.variables, steps.done)

    def evaluate(self) -> dict[str, float]:
        """Measures, notes and logs every metric, on batches of the tasks themselves; returns them by name."""
        measured = self._measure(None)
        self._tell(self._note({"eval": measured}))
        return measured

    def _measure(self, feed: Feed | None) -> dict[str, float]:
        """Every metric by name; batches come from a run's feed, or from the tasks themselves."""
        view, state = self._steps.view(), self._steps.variables.state
        measured = dict[str, float]()
        for number, (names, task) in enumerate(zip(self._metric_names, self._eval_tasks, strict=True)):
            batches = (self._batch(number, feed) for _ in range(task.n_eval_batches))
            values = self._evaluations[number](view, state, batches).values()
            measured.update(zip(names, values, strict=True))
        return measured

    def _note(self, numbers: dict[str, dict[str, float]]) -> list[tuple[str, str, float]]:
        """Notes the numbers of each mode by their names; returns (mode, metric, value) of each."""
        noted = [(mode, metric, value) for mode, named in numbers.items() for metric, value in named.items()]
        for mode, metric, value in noted:
            self.history.append(mode, metric, self._steps.done, value)
        return noted

    def _tell(self, noted: list[tuple[str, str, float]]) -> None:
        """Logs what was noted."""
        step = self._steps.done
        for mode, metric, value in noted:
            self._log(line(step, mode, metric, value, self._width))
            if self._scalars is not None:
                self._scalars.add(mode, metric, step, value)

    def _doubt(self, loss: Layer, mean: float) -> None:
        """Says once in a run that a loss is negative because the model lacks the layer it stands after."""
        last = last_layer(self._model)
        if loss.stands_after in ("", last.kind) or self._doubted:
            return
        self._doubted = True
        warn(
            f"{loss.name} is {mean:.4g} by step {self._steps.done}: it stands after a {loss.stands_after}, and the "
            f"model ends with {last.name}: end it with tl.{loss.stands_after}()"
        )

    def _batch(self, number: int, feed: Feed | None) -> tuple[Any, Any, Any]:
        if feed is None:
            batch = self._eval_tasks[number].next_batch()
            return batch, self._move(batch), self._move(self._steps.finders.evaluation[number](batch))
        item = feed.take()
        return item.batch, item.on_device, item.ids

    def draw(self) -> None:
        """Draws the learning curve, if there is something new to see."""
        history = self.history
        measured = sum(
            len(history.get(mode, name)) for mode in history.modes for name in history.metrics_for_mode(mode)
        )
        if self._output_dir is not None and measured > self._drawn:
            from layerkit.training.picture import draw

            draw(history, self._output_dir)
            self._drawn = measured

    def close(self) -> None:
        """Has everything written at the end of a run."""
        if self._scalars is not None:
            self._scalars.close()


def _scalars(output_dir: Path) -> Scalars:
    from layerkit.training.scalars import Scalars  # it needs a package that few have

    return Scalars(output_dir)


def _evaluations(model: Layer, tasks: list[EvalTask], steps: Steps) -> list[Callable[..., dict[str, float]]]:
    from layerkit.training.evaluate import make_evaluation  # a program that only trains needs none

    variables, key = steps.variables, steps.keys.evaluate
    return [
        make_evaluation(model, task, variables.weights, variables.state, key, steps.lazy, arrays)
        for task, arrays in zip(tasks, steps.eval_arrays, strict=True)
    ]
