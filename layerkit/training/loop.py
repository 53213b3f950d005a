"""The training loop: steps, evaluations, checkpoints."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

from layerkit.data.batches import whole
from layerkit.errors import LayerkitError, UsageError, shown
from layerkit.fastmath import backend_name, random, use_backend
from layerkit.fastmath.memory import explained
from layerkit.layer import Layer
from layerkit.training.batch import check_arity
from layerkit.training.evaluate import make_evaluation
from layerkit.training.feed import Feed, Item, mover, requests
from layerkit.training.history import History
from layerkit.training.interrupt import Interrupts, Terminated
from layerkit.training.keeping import Keeping
from layerkit.training.log import distinct, line, progress
from layerkit.training.steps import Steps
from layerkit.training.summaries import Summaries
from layerkit.training.task import EvalTask, TrainTask, listed, shared_sources

if TYPE_CHECKING:
    from pathlib import Path

    from layerkit.training.saving import Progress, Saver
    from layerkit.training.scalars import Scalars

__all__ = ["Loop"]

# What writes to disk is imported by the methods that do: a Loop without an output_dir starts without it.

Folder = str | os.PathLike[str]
AtStep = Callable[[int], Any]
P = ParamSpec("P")
T = TypeVar("T")


def _on_its_backend(method: Callable[Concatenate[Loop, P], T]) -> Callable[Concatenate[Loop, P], T]:
    """The method, computing with the backend that the loop was made on."""

    @functools.wraps(method)
    def call(self: Loop, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with use_backend(self.backend), explained(lambda: f"by step {self.step + 1}"):
            return method(self, *args, **kwargs)

    return call


class Loop:
    """Trains a model on tasks, measures it now and then, and saves it.

    The loss, its gradient and the optimizer's update are one compiled program; batches are prepared on a background
    thread meanwhile. A loop computes with the backend it was made on. The same seed and data give the same run, and a
    run that continues from a checkpoint ends as one that was never interrupted. Any layer is a model: it takes its n_in
    arrays from the front of a batch, and the loss takes the model's outputs and the rest.

    At step 1 and every ``n_steps_per_checkpoint`` of the first task, the mean training loss since the last time and
    the metrics are logged, and a checkpoint is written if there is an ``output_dir``.

    Args:
        model: the layer to train. Weights it has are trained further; else they are made from ``random_seed``.
        tasks: a TrainTask, or several that take turns.
        eval_model: a model of its own for evaluation, which takes over the weights; the model itself unless given.
        eval_tasks: an EvalTask, or several.
        output_dir: a folder for checkpoints and pictures. If it holds a checkpoint, the loop continues from that. Only
            one process at a time may run a loop there.
        checkpoint_at: whether to write a checkpoint after a step, counted from 1.
        eval_at: whether to log and evaluate after a step, counted from 1. It is called from another thread.
        which_task: which of several tasks the step ``n``, counted from 0, trains on; ``n % len(tasks)`` unless given.
        random_seed: what weights and random layers are made from.
        keep_checkpoints: how many checkpoints to keep, the last ones.
        keep_best: an evaluation metric's name: the checkpoint where it was highest stays too; with a minus before it
            (``"-CrossEntropyLoss"``) the one where it was lowest.
        strict: whether a damaged checkpoint is refused; else the last sound one is taken, with a warning.
        save_in_background: whether training goes on while a checkpoint is written, from a copy of the arrays. An error
            in that is raised by the next step at the latest, or at the end of the run.
        identity: what else must be the same where a run goes on, by name: ``{"labels": ["no", "yes"]}``. The model's
            layers, the losses and the optimizers' kinds are compared in any case.
        log: takes each line of the log; ``None`` for silence.
        tensorboard: whether to write scalars for TensorBoard to ``output_dir`` (needs tensorboardX).
        learning_curve: whether a run ends with ``learning_curve.png`` in ``output_dir`` where matplotlib is installed.
        n_steps_per_call: how many steps a compiled call makes at most, where batches are alike. More than one is faster
            where a step takes less time than its call; the results are the same.

    Raises:
        UsageError: an argument is of the wrong kind.
        LayerkitError: model, tasks and batches do not fit together, or the checkpoint is damaged or another model's.

    >>> import numpy as np
    >>> import layerkit as lk
    >>> from layerkit.fastmath import numpy as lnp
    >>> class Slope(lk.Layer):
    ...     def init_weights_and_state(self, signature):
    ...         self.weights = lnp.zeros(())
    ...     def forward(self, x):
    ...         return self.weights * x
    >>> class Descent(lk.Optimizer):
    ...     def update(self, step, grads, param, slots, opt_params):
    ...         return param - opt_params.learning_rate * grads, slots
    >>> loss = lk.Fn("L2Loss", lambda y, target: ((y - target) ** 2).mean())
    >>> x = np.array([1.0, 2.0])
    >>> loop = Loop(Slope(), TrainTask([(x, 2 * x)], loss, Descent(0.1)))
    >>> loop.run(20)
    Step      1: train L2Loss |  10.00000000
    >>> round(float(loop.model.weights), 3)
    2.0
    """

    def __init__(
        self,
        model: Layer,
        tasks: TrainTask | Sequence[TrainTask],
        eval_model: Layer | None = None,
        eval_tasks: EvalTask | Sequence[EvalTask] | None = None,
        output_dir: Folder | None = None,
        checkpoint_at: AtStep | None = None,
        eval_at: AtStep | None = None,
        which_task: Callable[[int], int] | None = None,
        random_seed: int = 0,
        *,
        keep_checkpoints: int = 3,
        keep_best: str | None = None,
        strict: bool = False,
        save_in_background: bool = False,
        identity: Mapping[str, Any] | None = None,
        log: Callable[[str], Any] | None = print,
        tensorboard: bool = False,
        learning_curve: bool = True,
        n_steps_per_call: int = 1,
    ) -> None:
        self.tasks: list[TrainTask] = listed("tasks", tasks, TrainTask)
        self.eval_tasks: list[EvalTask] = [] if eval_tasks is None else listed("eval_tasks", eval_tasks, EvalTask)
        if not self.tasks:
            raise UsageError("tasks: a Loop trains on one task at least")
        for name, layer in (("model", model), ("eval_model", eval_model or model)):
            if not isinstance(layer, Layer):
                raise UsageError(f"{name} is a layer, got {shown(layer)}" + (": call it" if callable(layer) else ""))
        self._model, self._eval_model = model, model if eval_model is None else eval_model
        self.backend = backend_name()
        self._log = log or (lambda text: None)
        self.random_seed = whole("random_seed", random_seed, 0)
        self._which_task = which_task or (lambda n: n % len(self.tasks))
        period = self.tasks[0].n_steps_per_checkpoint
        self._eval_at = eval_at or (lambda step: step == 1 or step % period == 0)
        self._checkpoint_at = checkpoint_at or (lambda step: step == 1 or step % period == 0)
        self.output_dir = self._prepare_output(output_dir, checkpoint_at, tensorboard)
        self._scalars = self._tensorboard() if tensorboard else None
        self._draws, self._drawn = learning_curve, 0
        self._per_call = whole("n_steps_per_call", n_steps_per_call, 1)
        with explained(lambda: "before step 1"):
            self._prepare()
        metrics = [name for names in self._metric_names for name in names]
        self._keeping = Keeping.checked(keep_checkpoints, keep_best, metrics, strict, save_in_background)
        self._identity = identity or {}
        if identity is not None:
            self._saver.check()  # making it looks at the identity
        if self.output_dir is not None:
            self._begin_in(self.output_dir)

    def _prepare_output(self, output_dir: Folder | None, checkpoint_at: Any, tensorboard: bool) -> Path | None:
        if output_dir is not None:
            from layerkit.training.saving import prepare_folder

            return prepare_folder(output_dir)
        for name, value in (("checkpoint_at", checkpoint_at), ("tensorboard", tensorboard)):
            if value:
                raise UsageError(f"{name} needs an output_dir to write to")
        return None

    def _tensorboard(self) -> Scalars:
        from layerkit.training.scalars import Scalars

        return Scalars(cast("Path", self.output_dir))

    def _begin_in(self, folder: Path) -> None:
        """Goes on from what the folder holds, or makes sure that there is room for what will be."""
        from layerkit.training.saving import recovered

        began = recovered(folder)
        self._saver.check_disk(folder, self._steps.variables)
        if began:
            self.load_checkpoint()

    @functools.cached_property
    def _saver(self) -> Saver:
        from layerkit.training.saving import Saver

        return Saver(self._model, self.tasks, self._identity, self._keeping)

    def _prepare(self) -> None:
        """Everything that comes before step 1."""
        self._sources = shared_sources(self.tasks, self.eval_tasks)
        for task in self.tasks:
            check_arity(task.sample_batch, self._model, task.loss_layer, task.source.name)
        for eval_task in self.eval_tasks:
            for metric in eval_task.metrics:
                check_arity(eval_task.sample_batch, self._eval_model, metric, eval_task.source.name, may_leave=True)
        evaluations = [(self._eval_model, task) for task in self.eval_tasks]
        self._steps = Steps(self._model, self.tasks, self.random_seed, self._give_back, evaluations)
        if self._eval_model is not self._model:
            self._eval_model.weights, self._eval_model.state = self._model.weights, self._model.state
        variables, key = self._steps.variables, self._steps.keys.evaluate
        self._evaluations = [
            make_evaluation(self._eval_model, task, variables.weights, variables.state, key, self._steps.lazy, arrays)
            for task, arrays in zip(self.eval_tasks, self._steps.eval_arrays, strict=True)
        ]
        self._loss_names = distinct([[task.loss_layer.name] for task in self.tasks])
        self._metric_names = distinct([task.metric_names for task in self.eval_tasks])
        losses = [task.loss_layer for task in self.tasks]
        self._summaries = Summaries([self._model, *losses], self._loss_names, self.output_dir, self._scalars)
        shown_names = (*self._loss_names, *self._metric_names, self._summaries.numbers(variables))
        self._width = max(len(n) for names in shown_names for n in names)
        self._history = History()
        self._evaluated = self._rngs = 0
        self._move = mover() if self._per_call == 1 else (lambda batch: batch)
        self._feed: Feed | None = None
        self._stale = False

    # -- running ------------------------------------------------------------------------------------------------------

    @_on_its_backend
    def run(self, n_steps: int = 1) -> None:
        """Trains ``n_steps`` more steps.

        Ctrl-C and SIGTERM end the run after the step it is in; with an ``output_dir``, a checkpoint of that step is
        written. Then they do what they always do: raise KeyboardInterrupt, and end the program with exit code 143.

        Raises:
            UsageError: ``n_steps`` is no whole number from 0 up.
            NotFiniteError: a loss is not finite. The weights are those before that step, and so is the last checkpoint.
            LayerkitError: a task's data ended, a checkpoint cannot be written, or another process has the
                ``output_dir``.
        """
        last = self.step + whole("n_steps", n_steps, 0)
        self._outside_of_run("run")
        if last == self.step:
            return
        with self._alone():
            self._run(last)
            self._draw()

    def _run(self, last: int) -> None:
        with Interrupts() as interrupts, progress(self.step, last) as move:
            if self._evaluated < self.step and self._eval_at(self.step):
                self._report()  # an interrupt came before it
            asked = requests(
                range(self.step, last),
                self.tasks,
                self.eval_tasks,
                self._which_task,
                self._eval_at,
                self._move,
                self._steps.finders,
            )
            self._feed = Feed(asked, self._sources, last - self.step > 1, interrupts)
            try:
                while self.step < last:
                    self._train(self._items_of_call(self._feed, last))
                    move(self.step)
                    interrupts.check()
            except (KeyboardInterrupt, Terminated):
                if self.output_dir is not None:
                    self._log(f"Step {self.step: 6d}: interrupted, saved in {self.save_checkpoint()}")
                raise
            finally:
                self._end_run()

    def _items_of_call(self, feed: Feed, last: int) -> list[Item]:
        """The batches of the next steps, up to one after which there is something else to do."""
        items: list[Item] = []
        try:
            while not items or (len(items) < self._per_call and not self._pauses_after(items[-1], len(items), last)):
                items.append(feed.take())
        except BaseException:
            feed.give_back(items)
            raise
        return items

    def _pauses_after(self, item: Item, n_items: int, last: int) -> bool:
        step = self.step + n_items
        return step == last or item.evaluate or (self.output_dir is not None and bool(self._checkpoint_at(step)))

    def _train(self, items: list[Item]) -> None:
        if self.output_dir is not None:
            self._saver.check()
        self._steps.train(items)
        self._stale = True
        if items[-1].evaluate:
            self._report()
        if self.output_dir is not None and self._checkpoint_at(self.step):
            self._save(wait=False)

    def _end_run(self) -> None:
        try:
            self._steps.settle()
        finally:
            feed, self._feed = self._feed, None
            if feed is not None:
                feed.close()
            if self._scalars is not None:
                self._scalars.close()
            self._hand_out()

    def _give_back(self, items: list[Item]) -> None:
        if self._feed is not None:
            self._feed.give_back(items)

    # -- measuring ----------------------------------------------------------------------------------------------------

    @_on_its_backend
    def run_evals(self) -> dict[str, float]:
        """Measures the model with every evaluation task, logs the numbers, and returns them by name.

        Raises:
            LayerkitError: it is called from inside ``run``, whose ``eval_at`` says when to evaluate.
        """
        self._outside_of_run("run_evals")
        return self._evaluate()

    def _report(self) -> None:
        self._steps.settle()
        for number, mean in self._steps.take_means():
            self._record("train", self._loss_names[number][0], mean)
        self._summaries.show(self._steps.variables, self.step, self._record)
        self._evaluate()
        self._evaluated = self.step

    def _evaluate(self) -> dict[str, float]:
        view, state = self._steps.view(), self._steps.variables.state
        measured, taken = dict[str, float](), list[Item]()
        try:
            for number, (names, task) in enumerate(zip(self._metric_names, self.eval_tasks, strict=True)):
                batches = (self._eval_batch(number, taken) for _ in range(task.n_eval_batches))
                values = self._evaluations[number](view, state, batches).values()
                measured.update(zip(names, values, strict=True))
        except BaseException:
            self._give_back(taken)  # the evaluation is made again, on the same batches
            raise
        for name, value in measured.items():
            self._record("eval", name, value)
        return measured

    def _eval_batch(self, number: int, taken: list[Item]) -> tuple[Any, Any, Any]:
        if self._feed is None:
            batch = self.eval_tasks[number].next_batch()
            return batch, self._move(batch), self._move(self._steps.finders.evaluation[number](batch))
        item = self._feed.take()
        taken.append(item)
        return item.batch, item.on_device, item.ids

    def _record(self, mode: str, metric: str, value: float) -> None:
        self._history.append(mode, metric, self.step, value)
        self._log(line(self.step, mode, metric, value, self._width))
        if self._scalars is not None:
            self._scalars.add(mode, metric, self.step, value)

    def _draw(self) -> None:
        measured = sum(
            len(self._history.get(m, k)) for m in self._history.modes for k in self._history.metrics_for_mode(m)
        )
        if self.output_dir is not None and self._draws and measured > self._drawn:
            from layerkit.training.picture import draw

            draw(self._history, self.output_dir)
            self._drawn = measured

    # -- saving -------------------------------------------------------------------------------------------------------

    @_on_its_backend
    def save_checkpoint(self) -> Path:
        """Writes a checkpoint of the step the loop is at, and returns its folder; older ones but the last are removed.

        Raises:
            UsageError: there is no ``output_dir``.
            NotFiniteError: a weight is not finite.
            LayerkitError: it cannot be written; the checkpoints there were still stand.
        """
        if self.output_dir is None:
            raise UsageError("save_checkpoint: the Loop has no output_dir to write to")
        with self._alone():
            return self._save()

    def _save(self, wait: bool = True) -> Path:
        self._steps.settle()
        feed, folder = self._feed, cast("Path", self.output_dir)
        positions = [s.position if feed is None else feed.position(s) for s in self._sources]
        return self._saver.save(folder, self._progress(positions), self._steps.variables, wait)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keeps other processes out of the output folder, until everything is written."""
        if self.output_dir is None:
            yield
            return
        from layerkit.files.lock import locked

        with locked(self.output_dir), self._saver.finishing():
            yield

    @_on_its_backend
    def load_checkpoint(self, directory: Folder | None = None) -> None:
        """Goes to where a checkpoint was saved: weights, slots, state, step, history, and the position in the data.

        Args:
            directory: an output folder, whose last sound checkpoint is taken, or a checkpoint's own folder; the Loop's
                ``output_dir`` unless given.

        Raises:
            DamagedError: there is no checkpoint, or it is damaged; the message names file and array.
            LayerkitError: it is of another model.
        """
        self._outside_of_run("load_checkpoint")
        folder = directory if directory is not None else self.output_dir
        if folder is None:
            raise UsageError("load_checkpoint: say which directory; the Loop has no output_dir")
        from layerkit.training.saving import seek

        loaded = self._saver.load(folder, self._steps.variables, self.random_seed)
        saved = loaded.progress
        seek(self._sources, saved.positions, self._log)
        self._steps.take_over(loaded.variables, saved.step)
        self._history = History.from_dict(saved.history)
        self._evaluated, self._rngs = saved.evaluated, saved.rngs
        self._steps.sums = [*saved.sums, *[(0.0, 0)] * len(self.tasks)][: len(self.tasks)]
        self._hand_out(force=True)

    def _progress(self, positions: list[Any]) -> Progress:
        from layerkit.training.saving import Progress

        return Progress(
            self.step,
            self._evaluated,
            self._rngs,
            self.random_seed,
            list(self._steps.sums),
            self._history.to_dict(),
            positions,
        )

    def _outside_of_run(self, name: str) -> None:
        if self._feed is not None:
            raise LayerkitError(f"{name} is called while the loop runs: wait for run to end")

    # -- what it holds ------------------------------------------------------------------------------------------------

    def _hand_out(self, force: bool = False) -> None:
        """Gives the layers the weights and state that training has come to."""
        if not self._stale and not force:
            return
        self._steps.hand_out()
        if self._eval_model is not self._model:
            self._eval_model.weights, self._eval_model.state = self._model.weights, self._model.state
        self._stale = False

    @property
    def model(self) -> Layer:
        """The model, with the weights that training has come to."""
        self._hand_out()
        return self._model

    @property
    def eval_model(self) -> Layer:
        """The model for evaluation, with the same weights."""
        self._hand_out()
        return self._eval_model

    @property
    def step(self) -> int:
        """Steps trained so far, those before a restart included."""
        return self._steps.done

    @property
    def history(self) -> History:
        """Every number that was logged."""
        return self._history

    @_on_its_backend
    def new_rng(self) -> Any:
        """A random key that was never used before, uint32 (2,)."""
        self._rngs += 1
        return random.fold_in(self._steps.keys.user, self._rngs - 1)
