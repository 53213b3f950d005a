"""The batches of a run, in the order in which a plain loop would ask for them, prepared in the background."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from layerkit.errors import UsageError, shown
from layerkit.fastmath import to_device, use_backend
from layerkit.fastmath.ops import on_cpu
from layerkit.training.interrupt import Interrupts
from layerkit.training.limits import size_of
from layerkit.training.row_ids import RowFinder
from layerkit.training.source import Source
from layerkit.training.task import EvalTask, TrainTask

if TYPE_CHECKING:
    from layerkit.data.prefetch import Ahead

__all__ = ["Feed", "Finders", "Item", "mover", "n_ahead", "requests"]

_FEWEST, _MOST, _ROOM = 2, 16, 1 << 24
"""How many batches may be ready, and how many bytes of them if these are more than the fewest."""
_PATIENCE = 5.0  # seconds that an interrupted run waits for a batch that is being made


class Finders(NamedTuple):
    """What finds the rows that a batch reads, in training and for each evaluation task."""

    training: RowFinder
    evaluation: list[RowFinder]


class Item(NamedTuple):
    """A batch, on its way from a source to a step or an evaluation."""

    step: int
    """The step it is for, or that its evaluation follows, counted from 1."""
    measures: bool
    """Whether it is for an evaluation."""
    task: int
    batch: tuple[Any, ...]
    on_device: Any
    source: Source
    before: Any
    """The source's position before this batch."""
    after: Any
    ids: Any = ()
    """The rows that the batch reads of each table whose rows wait."""
    learning_rate: float | None = None
    evaluate: bool = False
    """Whether an evaluation follows this step."""


def requests(
    steps: range,
    tasks: list[TrainTask],
    eval_tasks: list[EvalTask],
    which_task: Callable[[int], int],
    eval_at: Callable[[int], Any],
    move: Callable[[Any], Any],
    finders: Finders,
    evaluate_first: bool = False,
) -> Iterator[Item]:
    """The items of these steps (counted from 0), with those of an evaluation right after the step before it.

    One thread asks for everything, in this order: what sources share, such as Python's own random numbers, comes out
    the same however the threads are timed.
    """

    def evaluation(step: int) -> Iterator[Item]:
        for index, eval_task in enumerate(eval_tasks):
            for _ in range(eval_task.n_eval_batches):
                yield _item(step, True, index, eval_task.source, move, finders.evaluation[index])

    if evaluate_first:
        yield from evaluation(steps.start)
    for n in steps:
        number = _number(which_task(n), n, len(tasks))
        task = tasks[number]
        rate = _rate(task, n)
        evaluate = bool(eval_at(n + 1))
        yield _item(n + 1, False, number, task.source, move, finders.training, rate, evaluate)
        if evaluate:
            yield from evaluation(n + 1)


def _number(chosen: Any, n: int, n_tasks: int) -> int:
    if not hasattr(chosen, "__index__") or not 0 <= chosen.__index__() < n_tasks:
        raise UsageError(f"which_task({n}) is {shown(chosen)}; there are tasks 0 to {n_tasks - 1}")
    return int(chosen)


def mover() -> Callable[[Any], Any]:
    """What moves a batch to the device: nothing, where that is the processor, which reads NumPy's arrays in place."""
    return (lambda batch: batch) if on_cpu() else to_device


def n_ahead(tasks: Sequence[TrainTask | EvalTask]) -> int:
    """How many batches to have ready: the more, the seldomer the thread that makes them is woken; few large ones."""
    return max(_FEWEST, min(_MOST, _ROOM // max(1, *(size_of(task.sample_batch) for task in tasks))))


def _item(
    step: int,
    measures: bool,
    number: int,
    source: Source,
    move: Callable[[Any], Any],
    find: RowFinder,
    rate: float | None = None,
    evaluate: bool = False,
) -> Item:
    before = source.position
    batch = source.next()
    ids = move(find(batch))
    return Item(step, measures, number, batch, move(batch), source, before, source.position, ids, rate, evaluate)


def _rate(task: TrainTask, n: int) -> float | None:
    if task.lr_schedule is None:
        return None
    # A single number is worth no compiled program.
    with use_backend("numpy"):
        return task.learning_rate(n)


class Feed:
    """Hands out items, and knows where the sources are as far as their items were used.

    Args:
        items: the items.
        sources: every source they may come from.
        n_ahead: how many to have ready, made on a thread of their own; 0 for none, and no thread.
        interrupts: lets Ctrl-C through while a batch is waited for.
        used: the last step whose loss was seen, and the last that was evaluated: items up to there count as used. So
            whatever ends a run, at whatever moment, an item is used or put back.
    """

    def __init__(
        self,
        items: Iterator[Item],
        sources: list[Source],
        n_ahead: int,
        interrupts: Interrupts,
        used: Callable[[], tuple[int, int]],
    ) -> None:
        self._positions = {source: source.position for source in sources}
        self._interrupts, self._used = interrupts, used
        self._items = items
        self._ahead: Ahead[Item] | None = None
        if n_ahead:
            from layerkit.data.prefetch import Ahead  # one batch alone needs no thread

            self._ahead = Ahead(items, n_ahead)
        self._lost = False
        """Whether a batch was asked for and did not come: what its source gave for it, nobody has."""
        self._taken: deque[Item] = deque()
        """In order; those that were used are forgotten now and then."""

    def take(self) -> Item:
        """The next item."""
        self._forget_used()
        self._lost = True
        if self._ahead is None:
            self._taken.append(next(self._items))
        else:
            with self._interrupts.let_through():
                item = self._ahead.peek()
            self._taken.append(item)  # before it is taken away there: close knows it again
            next(self._ahead)
        self._lost = False
        return self._taken[-1]

    def position(self, source: Source) -> Any:
        """The position of a source after the last of its batches that was used."""
        self._forget_used()
        return self._positions[source]

    def _forget_used(self) -> None:
        trained, evaluated = self._used()
        while self._taken and (item := self._taken[0]).step <= (evaluated if item.measures else trained):
            self._positions[item.source] = item.after
            self._taken.popleft()

    def close(self) -> None:
        """Ends the thread, and puts back every batch that was made and not used; where it was broken off, goes on."""
        if self._ahead is not None:
            left = self._ahead.close(_PATIENCE)
            self._lost = (self._lost or self._ahead.failed) and not self._ahead.works
            known = bool(left and self._taken) and left[0] is self._taken[-1]
            self._ahead, self._taken = None, deque([*self._taken, *left[known:]])
        self._forget_used()
        while self._taken:
            item = self._taken[-1]
            item.source.put_back(item.batch, item.before)
            self._taken.pop()
        if self._lost:
            for source, position in self._positions.items():
                source.go_back(position)
