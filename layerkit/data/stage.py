"""What a pipeline is made of: stages, functions from an iterator to an iterator through which positions pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from layerkit.data.examples import Examples
from layerkit.errors import LayerkitError, UsageError, shown

__all__ = ["Blocks", "Stage", "Through", "as_items", "checked_position", "mapped", "position_of", "put_back", "seek"]


class Stage:
    """A function from an iterator to an iterator, with a name for errors and ``repr``.

    Args:
        name: what it is called.
        make: the function.
        begins: whether it may be called with nothing, because it has iterators of its own.

    >>> double = Stage("Double", lambda items: (2 * item for item in items))
    >>> double, list(double([1, 2, 3]))
    (Double, [2, 4, 6])
    """

    def __init__(self, name: str, make: Callable[[Any], Iterator[Any]], begins: bool = False) -> None:
        self.name, self.make, self.begins = name, make, begins

    def __call__(self, items: Any = None) -> Iterator[Any]:
        """The items that this stage makes of ``items``: an iterator, or a list, which is gone through once.

        Raises:
            UsageError: ``items`` is nothing that gives items.
        """
        return self.make(None if items is None and self.begins else as_items(items, self.name))

    def __repr__(self) -> str:
        return self.name


def as_items(items: Any, name: str) -> Any:
    """An iterator over ``items``; over a list it can seek.

    Raises:
        UsageError: it is no iterator, nor anything that gives one.
    """
    if hasattr(items, "__next__"):
        return items
    if isinstance(items, (list, tuple, np.ndarray)):
        return Examples(items, shuffle=False, epochs=1) if len(items) else iter(())
    if isinstance(items, (str, bytes, dict, type)) or not hasattr(items, "__iter__"):
        hint = ": call it" if callable(items) else ""
        raise UsageError(f"data.{name} is called with an iterator of items, got {shown(items)}{hint}")
    return iter(items)


def position_of(source: Any) -> Any:
    """The position of an iterator, ``None`` where it has none."""
    return getattr(source, "position", None) if hasattr(source, "seek") else None


def seek(source: Any, position: Any, name: str) -> None:
    """Takes the source of a stage to a position.

    Raises:
        LayerkitError: it cannot go to one.
    """
    if position_of(source) is None:
        raise LayerkitError(
            f"data.{name} cannot seek, because what it takes its items from saves no position: data.CountAndSkip does"
        )
    source.seek(position)


def put_back(source: Any, position: Any) -> None:
    """Takes a source back, where an interrupt broke off what was to be made of its items; one that can go back."""
    if position is not None:
        source.seek(position)


def checked_position(name: str, position: Any, own: Mapping[str, Any]) -> Mapping[str, Any]:
    """``position``, if a stage ``name`` with the settings ``own`` saved it.

    Raises:
        LayerkitError: another kind of stage did, or one with other settings.
    """
    if not isinstance(position, Mapping) or position.get("stage") != name:
        raise LayerkitError(f"data.{name}: the position was saved by another pipeline: {shown(position)}")
    for setting, mine in own.items():
        if position.get(setting) != mine:
            raise LayerkitError(
                f"data.{name}: the position was saved with {setting} {shown(position.get(setting))}, and here it is "
                f"{shown(mine)}"
            )
    return position


class Through(Iterator[Any]):
    """Items that are made of the next few of a source, with nothing kept between two: its position is the source's.

    Args:
        name: the stage's, for errors.
        source: an iterator.
        draw: takes what it needs from the source, and gives one item.
    """

    def __init__(self, name: str, source: Any, draw: Callable[[Any], Any]) -> None:
        self._name, self._source, self._draw = name, source, draw

    def __next__(self) -> Any:
        before = position_of(self._source)
        try:
            return self._draw(self._source)
        except KeyboardInterrupt:
            put_back(self._source, before)
            raise

    @property
    def position(self) -> Any:
        return position_of(self._source)

    def seek(self, position: Any) -> None:
        seek(self._source, position, self._name)


def mapped(name: str, f: Callable[[Any], Any]) -> Stage:
    """A stage ``name`` that gives f(item) for each item."""
    return Stage(name, lambda items: Through(name, items, lambda source: f(next(source))))


class Blocks(Iterator[Any]):
    """Items that come in blocks, each made at once of the next few of a source.

    The position is the source's before the block in hand, the block's number, and how many of its items were given:
    small, and to go there is to make one block.

    Args:
        name: the stage's, for errors and for positions.
        source: an iterator.
        make: (source, number of the block) -> its items.
        settings: what the items depend on, besides.
    """

    def __init__(
        self,
        name: str,
        source: Any,
        make: Callable[[Any, int], Sequence[Any]],
        settings: Mapping[str, float] | None = None,
    ) -> None:
        self._name, self._source, self._make = name, source, make
        self._settings = dict(settings or {})
        self._block: Sequence[Any] = ()
        self._start(0)

    def __next__(self) -> Any:
        while not self._block:
            try:
                self._block = self._make(self._source, self._number)
                if not self._block:
                    self._start(self._number + 1)
            except KeyboardInterrupt:
                put_back(self._source, self._origin)
                raise
        item = self._block[self._given]
        if self._given + 1 < len(self._block):
            self._given += 1
        else:
            self._start(self._number + 1)
        return item

    def _start(self, number: int) -> None:
        origin = position_of(self._source)  # before the rest, which no interrupt then cuts in two
        self._number, self._given, self._block, self._origin = number, 0, (), origin

    @property
    def position(self) -> Any:
        if self._origin is None:
            return None
        return {
            "stage": self._name,
            **self._settings,
            "block": self._number,
            "given": self._given,
            "source": self._origin,
        }

    def seek(self, position: Any) -> None:
        saved = checked_position(self._name, position, self._settings)
        seek(self._source, saved["source"], self._name)
        self._start(saved["block"])
        if saved["given"]:
            self._block = self._make(self._source, self._number)
            self._given = saved["given"]
