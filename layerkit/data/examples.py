"""Examples in memory, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from layerkit.data.order import PlainOrder
from layerkit.errors import LayerkitError, UsageError, shown
from layerkit.numbers import whole

__all__ = ["Examples"]


class Examples(Iterator[Any]):
    """The items of a list, endless or for a number of epochs, with a position that can be saved.

    Args:
        items: a list; anything with a length whose items are got by number will do.
        shuffle: whether each epoch has an order of its own.
        seed: what the orders are made from.
        epochs: how often to go through the items; without end unless given.

    Raises:
        UsageError: there are no items, or an argument is out of range.

    >>> list(Examples(["a", "b"], shuffle=False, epochs=2))
    ['a', 'b', 'a', 'b']
    """

    def __init__(self, items: Any, *, shuffle: bool = True, seed: int = 0, epochs: int | None = None) -> None:
        if isinstance(items, (str, bytes)) or not hasattr(items, "__getitem__") or not hasattr(items, "__len__"):
            raise UsageError(f"data.Examples takes a list of items, got {shown(items)}")
        if not len(items):
            raise UsageError("data.Examples: there are no items")
        self._items = items
        self._order = PlainOrder(len(items), 1, whole("seed", seed, 0) if shuffle else None)
        self._n_items = None if epochs is None else whole("epochs", epochs, 1) * len(items)
        self._next = 0
        self._kind = {"n_examples": len(items), "seed": seed, "shuffle": int(shuffle)}

    def __next__(self) -> Any:
        if self._n_items is not None and self._next >= self._n_items:
            raise StopIteration
        item = self._items[int(self._order.rows(self._next)[0])]
        self._next += 1
        return item

    @property
    def position(self) -> dict[str, Any]:
        """Where the iterator is: the number of the next item, and what that number depends on."""
        return {"item": self._next, **self._kind}

    def seek(self, position: Mapping[str, Any]) -> None:
        """Goes to a position that an iterator over the same items had.

        Raises:
            LayerkitError: the position is another kind of iterator's.
        """
        for name, mine in self._kind.items():
            theirs = position.get(name) if isinstance(position, Mapping) else None
            if theirs != mine:
                raise LayerkitError(
                    f"data.Examples: the position was saved with {name} {shown(theirs)}, and here it is {mine}"
                )
        self._next = whole("a position's item", position.get("item"), 0)
