"""The training loop: steps, evaluations, checkpoints."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from layerkit.errors import LayerkitError, UsageError
from layerkit.fastmath import backend_name, random, use_backend
from layerkit.fastmath.memory import explained
from layerkit.layer import Layer
from layerkit.numbers import whole
from layerkit.training.batch import check_arity
from layerkit.training.feed import Feed, Item, mover, n_ahead, requests
from layerkit.training.history import History
from layerkit.training.interrupt import Interrupts, Terminated
from layerkit.training.keeping import Keeping
from layerkit.training.log import progress
from layerkit.training.measuring import Measuring
from layerkit.training.output import Folder, Output, prepared
from layerkit.training.source import seek_all
from layerkit.training.steps import Steps
from layerkit.training.task import EvalTask, TrainTask, check_model, listed, of_step, shared_sources

if TYPE_CHECKING:
    from pathlib import Path

    from layerkit.training.saving import Progress

__all__ = ["Loop"]

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
        checkpoint_at: whether to write a checkpoint after a step, counted from 1. It is asked before an evaluation.
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
            check_model(name, layer)
        self._model, self._eval_model = model, model if eval_model is None else eval_model
        self.backend = backend_name()
        self._log = log or (lambda text: None)
        self.random_seed = whole("random_seed", random_seed, 0)
        self._which_task = of_step("which_task", which_task) or (lambda n: n % len(self.tasks))
        period = self.tasks[0].n_steps_per_checkpoint
        usual = lambda step: step == 1 or step % period == 0
        self._eval_at = of_step("eval_at", eval_at) or usual
        self._checkpoint_at = of_step("checkpoint_at", checkpoint_at) or usual
        self.output_dir = prepared(output_dir, checkpoint_at=checkpoint_at, tensorboard=tensorboard)
        self._draws = learning_curve
        self._per_call = whole("n_steps_per_call", n_steps_per_call, 1)
        with explained(lambda: "before step 1"):
            self._prepare(tensorboard)
        keeping = Keeping.checked(keep_checkpoints, keep_best, self._measuring.metrics, strict, save_in_background)
        self._output = Output(self.output_dir, model, self.tasks, identity, keeping)
        if self._output.begun(self._steps.variables):
            self.load_checkpoint()

    def _prepare(self, tensorboard: bool) -> None:
        """Everything that comes before step 1."""
        self._sources = shared_sources(self.tasks, self.eval_tasks)
        for task in self.tasks:
            check_arity(task.sample_batch, self._model, task.loss_layer, task.source.name)
        for eval_task in self.eval_tasks:
            for metric in eval_task.metrics:
                check_arity(eval_task.sample_batch, self._eval_model, metric, eval_task.source.name, may_leave=True)
        evaluations = [(self._eval_model, task) for task in self.eval_tasks]
        self._steps = Steps(self._model, self.tasks, self.random_seed, evaluations)
        if self._eval_model is not self._model:
            self._eval_model.weights, self._eval_model.state = self._model.weights, self._model.state
        self._move = mover() if self._per_call == 1 else (lambda batch: batch)
        self._measuring = Measuring(
            (self._model, self._eval_model),
            self.tasks,
            self.eval_tasks,
            self._steps,
            self._move,
            self.output_dir,
            self._log,
            tensorboard,
        )
        self._rngs = 0
        self._feed: Feed | None = None
        self._stale = False

    # -- running ------------------------------------------------------------------------------------------------------

    @_on_its_backend
    def run(self, n_steps: int = 1) -> None:
        """Trains ``n_steps`` more steps.

        Ctrl-C, SIGTERM and SIGHUP end the run after the step it is in; with an ``output_dir``, a checkpoint of that
        step is written. Then they do what they always do: raise KeyboardInterrupt, or end the program with exit code
        143 or 129.

        Raises:
            UsageError: ``n_steps`` is no whole number from 0 up.
            NotFiniteError: a loss is not finite. The weights are those before that step, and so is the last checkpoint.
            LayerkitError: a task's data ended, a checkpoint cannot be written, or another process has the
                ``output_dir``.
        """
        last = self.step + whole("n_steps", n_steps, 0)
        self._outside_of_run("run")
        self._steps.check_whole()
        # An interrupt may have come before the report on the last step.
        reports_first = self._steps.losses.reported < self.step and bool(self._eval_at(self.step))
        if last == self.step and not reports_first:
            return
        with Interrupts() as interrupts:
            with self._output.alone(self.step):
                self._run(last, interrupts, reports_first)
                if self._draws:
                    with interrupts.let_through():
                        self._measuring.draw()
            interrupts.check()  # it may have come while the last checkpoint was written

    def _run(self, last: int, interrupts: Interrupts, reports_first: bool) -> None:
        with progress(self.step, last) as move:
            asked = requests(
                range(self.step, last),
                self.tasks,
                self.eval_tasks,
                self._which_task,
                self._eval_at,
                self._move,
                self._steps.finders,
                reports_first,
            )
            ahead = n_ahead([*self.tasks, *self.eval_tasks]) if last - self.step > 1 else 0
            try:
                self._feed = Feed(asked, self._sources, ahead, interrupts, lambda: self._steps.losses[:2])
                if reports_first:
                    self._end_step(evaluate=True)
                while self.step < last:
                    self._output.check()
                    self._train(self._items_of_call(self._feed, last))
                    move(self.step)
                    interrupts.check()
            except (KeyboardInterrupt, Terminated):
                if self.output_dir is not None:
                    self._log(f"Step {self.step: 6d}: interrupted, {self._saved()}")
                raise
            finally:
                try:
                    self._end_run()
                finally:
                    self._end_run()  # an error may have come before the end of it; else nothing is left to do

    def _saved(self) -> str:
        self._steps.settle()
        return f"saved in {self.save_checkpoint()}" if self._steps.is_whole else "the last checkpoint stays"

    def _items_of_call(self, feed: Feed, last: int) -> list[Item]:
        """The batches of the next steps, up to one after which there is something else to do."""
        items: list[Item] = []
        while not items or (len(items) < self._per_call and not self._pauses_after(items[-1], len(items), last)):
            items.append(feed.take())
        return items

    def _pauses_after(self, item: Item, n_items: int, last: int) -> bool:
        step = self.step + n_items
        return step == last or item.evaluate or (self.output_dir is not None and bool(self._checkpoint_at(step)))

    def _train(self, items: list[Item]) -> None:
        self._steps.train(items)
        self._stale = True
        self._end_step(items[-1].evaluate)

    def _end_step(self, evaluate: bool) -> None:
        if self.output_dir is not None and self._checkpoint_at(self.step):
            self._save(wait=False, evaluate=evaluate)
        elif evaluate:
            self._measuring.report(self._feed)

    def _end_run(self) -> None:
        self._steps.settle()
        if self._feed is not None:
            self._feed.close()
            self._feed = None
        self._measuring.close()
        if self._steps.is_whole:
            self._hand_out()

    # -- measuring ----------------------------------------------------------------------------------------------------

    @_on_its_backend
    def run_evals(self) -> dict[str, float]:
        """Measures the model with every evaluation task, logs the numbers, and returns them by name.

        Raises:
            LayerkitError: it is called from inside ``run``, whose ``eval_at`` says when to evaluate.
        """
        self._outside_of_run("run_evals")
        self._steps.check_whole()
        return self._measuring.evaluate()

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
        with self._output.alone(self.step):
            return self._save()

    def _save(self, wait: bool = True, evaluate: bool = False) -> Path:
        def progress() -> Progress:
            if evaluate:
                self._measuring.report(self._feed)
            return self._progress()

        self._steps.settle()
        self._steps.check_whole()
        return self._output.save(self._steps.variables, progress, wait)

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
        loaded = self._output.load(directory, self._steps.variables, self.random_seed)
        saved = loaded.progress
        seek_all(self._sources, saved.positions, self._log)
        self._steps.take_over(loaded.variables, saved.step, saved.evaluated, saved.sums)
        self._measuring.history, self._rngs = History.from_dict(saved.history), saved.rngs
        self._hand_out(force=True)

    def _progress(self) -> Progress:
        from layerkit.training.saving import Progress

        feed, losses = self._feed, self._steps.losses
        return Progress(
            self.step,
            losses.reported,
            self._rngs,
            self.random_seed,
            losses.sums,
            self.history.to_dict(),
            [source.position if feed is None else feed.position(source) for source in self._sources],
        )

    def _outside_of_run(self, name: str) -> None:
        if self._feed is not None:
            raise LayerkitError(f"{name} is called while the loop runs: wait for run to end")

    # -- what it holds ------------------------------------------------------------------------------------------------

    def __repr__(self) -> str:
        folder = "" if self.output_dir is None else f", in {str(self.output_dir)!r}"
        return f"<Loop: {self._model.name} at step {self.step} on {self.backend}{folder}>"

    def _hand_out(self, force: bool = False) -> None:
        """Gives the layers the weights and state that training has come to."""
        if not self._stale and not force:
            return
        if self._feed is None:
            self._steps.check_whole()
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
        return self._measuring.history

    @_on_its_backend
    def new_rng(self) -> Any:
        """A random key that was never used before, uint32 (2,)."""
        self._rngs += 1
        return random.fold_in(self._steps.keys.user, self._rngs - 1)
