"""Stages that watch the items, or skip some: for logs, for iterators without a position, for several hosts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from layerkit.data.parts import parts_of
from layerkit.data.stage import Stage, Through, checked_position, position_of, put_back, seek
from layerkit.errors import LayerkitError, UsageError, shown
from layerkit.numbers import whole

__all__ = ["CountAndSkip", "Log", "UniformlySeek"]


def Log(n_steps_per_example: int = 1, only_shapes: bool = True, write: Callable[[str], Any] = print) -> Stage:
    """A stage that shows every ``n_steps_per_example``-th item, and gives all as they are.

    Args:
        n_steps_per_example: how many items there are to a line.
        only_shapes: whether a line has dtype and shape of each part, rather than the part.
        write: what takes a line.

    >>> items = Log()([([1, 2], 3)])
    >>> list(items)
    item 0: int64(2,), int64()
    [([1, 2], 3)]
    """
    every = whole("data.Log: n_steps_per_example", n_steps_per_example, 1)
    if not callable(write):
        raise UsageError(f"data.Log: write is a function of a line, got {shown(write)}")

    def make(items: Any) -> Iterator[Any]:
        count = 0

        def draw(source: Any) -> Any:
            nonlocal count
            item = next(source)
            if count % every == 0:
                write(f"item {count}: {', '.join(_in_words(part, only_shapes) for part in parts_of(item))}")
            count += 1
            return item

        return Through("Log", items, draw)

    return Stage("Log", make)


def _in_words(part: Any, only_shapes: bool) -> str:
    if isinstance(part, (str, bytes)):
        return f"text({len(part)})" if only_shapes else shown(part)
    return f"{np.asarray(part).dtype}{np.shape(part)}" if only_shapes else shown(np.asarray(part).tolist())


def CountAndSkip(name: str) -> Stage:
    """A stage that gives an iterator without a position one: the number of items taken.

    Going to a position takes as many items without using them. An iterator that saves its own position keeps it.

    Args:
        name: what the position is known by.

    >>> items = CountAndSkip("lines")(iter("abc"))
    >>> next(items), items.position
    ('a', {'stage': 'CountAndSkip', 'name': 'lines', 'count': 1})
    """
    if not isinstance(name, str):
        raise UsageError(f"data.CountAndSkip takes a name, got {shown(name)}")
    return Stage("CountAndSkip", lambda items: _Counted(items, name))


class _Counted(Iterator[Any]):
    def __init__(self, source: Any, name: str) -> None:
        self._source, self._name = source, name
        self._numbered = enumerate(source, 1)
        self.count = 0

    def __next__(self) -> Any:
        # Both at once: of an item that an interrupt lost, the next number tells.
        self.count, item = next(self._numbered)
        return item

    @property
    def position(self) -> Any:
        here = position_of(self._source)
        return {"stage": "CountAndSkip", "name": self._name, "count": self.count} if here is None else here

    def seek(self, position: Any) -> None:
        if position_of(self._source) is not None:
            self._source.seek(position)
            return
        wanted = checked_position("CountAndSkip", position, {"name": self._name})["count"]
        if wanted < self.count:
            raise LayerkitError(
                f"data.CountAndSkip: {self._name} has given {self.count} items, and the position is after {wanted}: "
                f"start it anew"
            )
        while self.count < wanted:
            next(self)


def UniformlySeek(
    name: str | None = None, host_id: int = 0, n_hosts: int = 1, dataset_size: int | None = None
) -> Stage:
    """A stage that begins at item ``host_id * dataset_size // n_hosts``, so that hosts begin evenly apart.

    The items before are taken without being used, when the first is asked for.

    Args:
        name: what errors call it.
        host_id: the number of this host, from 0.
        n_hosts: how many there are.
        dataset_size: number of items.

    >>> next(UniformlySeek(host_id=1, n_hosts=2, dataset_size=6)([0, 1, 2, 3, 4, 5]))
    3
    """
    label = "UniformlySeek" if name is None else f"UniformlySeek({name})"
    hosts, host = whole(f"data.{label}: n_hosts", n_hosts, 1), whole(f"data.{label}: host_id", host_id, 0)
    if host >= hosts:
        raise UsageError(f"data.{label}: host_id is at most n_hosts - 1, got {host} of {hosts}")
    size = whole(f"data.{label}: dataset_size", dataset_size, 1)
    return Stage(label, lambda items: _Skipped(items, label, host * size // hosts))


class _Skipped(Iterator[Any]):
    def __init__(self, source: Any, name: str, n_skipped: int) -> None:
        self._source, self._name, self._n_skipped = source, name, n_skipped
        self._left = n_skipped

    def __next__(self) -> Any:
        before = self.position
        try:
            while self._left:
                next(self._source)
                self._left -= 1
            return next(self._source)
        except KeyboardInterrupt:
            put_back(self, before)
            raise

    @property
    def position(self) -> Any:
        here = position_of(self._source)
        own = {"stage": "UniformlySeek", "skipped": self._n_skipped, "left": self._left}
        return None if here is None else {**own, "source": here}

    def seek(self, position: Any) -> None:
        saved = checked_position("UniformlySeek", position, {"skipped": self._n_skipped})
        seek(self._source, saved["source"], self._name)
        self._left = saved["left"]
