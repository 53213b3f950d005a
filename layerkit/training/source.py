"""Where the batches of a task come from: an iterator that can be looked into, put back into, and found again."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from layerkit.errors import LayerkitError, UsageError
from layerkit.training.batch import as_batch

__all__ = ["Source", "seek_all"]

Batch = tuple[Any, ...]


class Source:
    """The batches of a task, one after the other.

    Its position is the iterator's own where that has ``position`` and ``seek``, as the iterators of ``layerkit.data``
    have; of any other, the number of batches taken, and seeking takes as many without using them, unless it is a list.
    An iterable that is no iterator (a list of batches) is gone through again and again.

    Args:
        labeled_data: an iterator, or an iterable, of batches.
        name: what errors call it.
    """

    def __init__(self, labeled_data: Any, name: str) -> None:
        self.labeled_data = labeled_data
        self.name = name
        self._iterator = _iterator(labeled_data, name)
        self._drawn = 0
        """How many batches the iterator gave."""
        self._put_back: deque[tuple[Batch, Any]] = deque()
        """Those of them that come next, and the position before each."""

    @property
    def seekable(self) -> bool:
        """Whether the iterator saves its own position."""
        return getattr(self._iterator, "position", None) is not None and hasattr(self._iterator, "seek")

    @property
    def _taken(self) -> int:
        return self._drawn - len(self._put_back)

    @property
    def position(self) -> Any:
        """Where the next batch comes from, as JSON can hold it."""
        if not self.seekable:
            return {"batches": self._taken}
        return self._put_back[0][1] if self._put_back else self._iterator.position

    def next(self) -> Batch:
        """The next batch.

        Raises:
            LayerkitError: there is none, or it is no batch.
        """
        return self._put_back.popleft()[0] if self._put_back else self._draw()

    def peek(self) -> Batch:
        """The next batch, which stays the next."""
        if not self._put_back:
            position = self.position
            self._put_back.append((self._draw(), position))
        return self._put_back[0][0]

    def put_back(self, batch: Batch, position: Any) -> None:
        """Makes ``batch``, unless it is, the next one again; ``position`` is the one it was taken at."""
        if not self._put_back or self._put_back[0][0] is not batch or self._put_back[0][1] != position:
            self._put_back.appendleft((batch, position))

    def seek(self, position: Any, say: Callable[[str], None]) -> None:
        """Goes to a position that ``position`` gave, in this process or in one before.

        Args:
            say: told when batches have to be skipped one by one.

        Raises:
            LayerkitError: the position is another iterator's, lies behind, or beyond the end.
        """
        if self.seekable:
            self.go_back(position)
            return
        wanted = position.get("batches") if isinstance(position, dict) else None
        if not isinstance(wanted, int):
            import json

            raise LayerkitError(f"{self.name}: the position was saved by another iterator: {json.dumps(position):.80}")
        if isinstance(self._iterator, _Repeated) and isinstance(self.labeled_data, Sequence):
            self._iterator = _Repeated(self.labeled_data, wanted % max(1, len(self.labeled_data)))
            self._put_back.clear()
            self._drawn = wanted
            return
        if wanted < self._taken and isinstance(self._iterator, _Repeated):
            self._iterator = _iterator(self.labeled_data, self.name)
            self._put_back.clear()
            self._drawn = 0
        if wanted < self._taken:
            raise LayerkitError(
                f"{self.name} has given {self._taken} batches, the checkpoint was taken after {wanted}: start it anew"
            )
        if wanted > self._taken:
            say(f"{self.name} does not save its position: skipping the {wanted - self._taken} batches seen before")
        while self._taken < wanted:
            self.next()

    def go_back(self, position: Any) -> None:
        """Goes to a position that it came by, if the iterator saves its own.

        Raises:
            LayerkitError: the position is another iterator's.
        """
        if not self.seekable:
            return
        self._put_back.clear()
        try:
            self._iterator.seek(position)
        except LayerkitError as error:
            raise LayerkitError(f"{self.name}: {error}: go on with the data as they were, or start anew") from error

    def examples_at(self, position: Any, rows: Sequence[int]) -> tuple[int, ...]:
        """Which examples of the data stand in these rows of the batch at ``position``; none where nobody knows."""
        find = getattr(self._iterator, "examples_at", None)
        examples = find(position) if find is not None and rows else ()
        return tuple(int(examples[row]) for row in rows if row < len(examples))

    def _draw(self) -> Batch:
        try:
            batch = as_batch(next(self._iterator), self.name)
        except StopIteration:
            raise LayerkitError(
                f"{self.name} ended after {self._taken} batch{'es' * (self._taken > 1)}: "
                "give an iterator that goes on, or train fewer steps"
                if self._taken
                else f"{self.name} has no batches"
            ) from None
        self._drawn += 1
        return batch


def seek_all(sources: Sequence[Source], positions: Sequence[Any], say: Callable[[str], None]) -> None:
    """Takes each source to its position; new sources, of which there is none, stay at their start.

    Raises:
        LayerkitError: one cannot go there; those that can go back are where they were.
    """
    before = [source.position for source in sources]
    try:
        for source, position in zip(sources, positions, strict=False):
            source.seek(position, say)
    except BaseException:
        for source, position in zip(sources, before, strict=True):
            if source.seekable:
                source.seek(position, say)
        raise


class _Repeated(Iterator[Any]):
    """An iterable, from its start again whenever it ends; ``first`` is where the first round begins."""

    def __init__(self, iterable: Iterable[Any], first: int = 0) -> None:
        self._iterable = iterable
        self._round: Iterator[Any] = itertools.islice(iterable, first, None)

    def __next__(self) -> Any:
        for item in self._round:
            return item
        self._round = iter(self._iterable)
        return next(self._round)


def _iterator(labeled_data: Any, name: str) -> Any:
    if hasattr(labeled_data, "__next__"):
        return labeled_data
    if isinstance(labeled_data, (str, bytes, dict)) or not hasattr(labeled_data, "__iter__"):
        raise UsageError(
            f"{name} is an iterator of batches (inputs..., targets, weights), got {type(labeled_data).__name__}"
            + (": call it" if callable(labeled_data) else "")
        )
    return _Repeated(labeled_data)
