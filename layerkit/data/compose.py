"""Pipelines of several stages: one after the other, or side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from layerkit.data.stage import Stage, as_items, checked_position, mapped, position_of, put_back
from layerkit.errors import UsageError, shown
from layerkit.numbers import whole

__all__ = ["Map", "Parallel", "Serial"]


def Serial(*fns: Any) -> Stage:
    """A stage that runs others one after the other: Serial(f, g)(items) = g(f(items)).

    Called with nothing, it begins with what the first gives: ``Serial(lambda: items, g)()``.

    Args:
        fns: stages, or any functions from an iterator to an iterator; lists of them are joined.

    Raises:
        UsageError: one of them cannot be called, or is a layer: ``layers.Serial`` composes those.

    >>> from layerkit import data
    >>> pipeline = data.Serial(data.FilterByLength(2), data.Batch(2))
    >>> pipeline
    Serial[FilterByLength, Batch]
    >>> [batch.tolist() for batch in pipeline([[1, 2], [3], [4, 5, 6]])]
    [[[1, 2], [3, 0]]]
    """
    stages = [_checked("Serial", number, fn) for number, fn in enumerate(_flat(fns))]
    names = ", ".join(getattr(stage, "name", "") or getattr(stage, "__name__", "?") for stage in stages)
    return Stage(f"Serial[{names}]", lambda items: _run(stages, items), begins=bool(stages))


def _run(stages: list[Callable[..., Any]], items: Any) -> Iterator[Any]:
    for stage in stages:
        items = as_items(stage() if items is None else stage(items), "Serial")
    found: Iterator[Any] = items
    return found


def _flat(fns: Any) -> Iterator[Any]:
    for fn in fns:
        if isinstance(fn, (list, tuple)):
            yield from _flat(fn)
        else:
            yield fn


def _checked(name: str, number: int, fn: Any) -> Callable[..., Any]:
    if hasattr(fn, "pure_fn"):
        raise UsageError(f"data.{name}: argument {number} is a layer, {shown(fn)}: layers.{name} composes layers")
    if not callable(fn):
        raise UsageError(f"data.{name}: argument {number} is no function, got {shown(fn)}")
    checked: Callable[..., Any] = fn
    return checked


def Map(f: Callable[[Any], Any]) -> Stage:
    """A stage that gives f(item) for each item.

    Args:
        f: a function of the item alone, so that a position need not know more than how far the items are.

    >>> list(Map(str.upper)(["a", "b"]))
    ['A', 'B']
    """
    return mapped("Map", _checked("Map", 0, f))


def Parallel(
    fns: Sequence[Any],
    counters: Sequence[int] | None = None,
    reweight_by_minimum: bool = False,
    gradually_reweight: bool = False,
    use_remainders: bool = False,
) -> Stage:
    """A stage that mixes several iterators, in turns: of number i it gives ``counters[i]`` items a round.

    An iterator that ends leaves the mixture, and the others go on. Called with nothing, every iterator is its own.
    Called with an iterator of items, each function gets this one, so its items are divided among them; what is made
    so has no position.

    Args:
        fns: iterators, functions that give one, or, for a call with items, functions from an iterator to an iterator.
        counters: how many items of each belong to a round; 1 unless given; 0 leaves one out.
        reweight_by_minimum: whether the counters are divided by the smallest, without rest, so that a round is short.
        gradually_reweight: whether a round is nested: for counters 1, 20, 40 it is a (b c c) 20 times.
        use_remainders: whether what the nested round leaves over comes at its end: 5 of c for counters 1, 20, 45.

    Raises:
        UsageError: there are no functions, or the counters do not go with them.

    >>> list(Parallel([lambda: [1, 2], lambda: [10, 20, 30, 40]], counters=(1, 2))())
    [1, 10, 20, 2, 30, 40]
    """
    if isinstance(fns, (str, bytes)) or not hasattr(fns, "__len__") or not len(fns):
        raise UsageError(f"data.Parallel takes a list of functions or iterators, got {shown(fns)}")
    known = [1] * len(fns) if counters is None else [whole("data.Parallel: one of counters", c, 0) for c in counters]
    if len(known) != len(fns) or not any(known):
        raise UsageError(f"data.Parallel: one counter for each of the {len(fns)} functions, not all 0, got {counters}")
    if reweight_by_minimum:
        least = min(count for count in known if count)
        known = [count // least for count in known]
    turns = _nested(known, use_remainders) if gradually_reweight else _even(known)
    return Stage("Parallel", lambda items: _Mixture(_sources(fns, items), turns, items is not None), begins=True)


def _sources(fns: Sequence[Any], items: Any) -> list[Any]:
    if items is not None:
        return [as_items(_checked("Parallel", n, fn)(items), "Parallel") for n, fn in enumerate(fns)]
    return [as_items(fn() if callable(fn) and not hasattr(fn, "__next__") else fn, "Parallel") for fn in fns]


def _even(counters: list[int]) -> list[int]:
    """A round: one of each, and again, of those that are not used up.

    >>> _even([1, 3])
    [0, 1, 1, 1]
    """
    return [i for time in range(max(counters)) for i, count in enumerate(counters) if time < count]


def _nested(counters: list[int], use_remainders: bool) -> list[int]:
    """A round of the nested kind.

    >>> _nested([2, 1, 5], True)
    [1, 0, 2, 2, 0, 2, 2, 2]
    """
    order = sorted((i for i, count in enumerate(counters) if count), key=lambda i: counters[i])
    turns: list[int] = []
    for i in reversed(order):
        before = order[order.index(i) - 1] if i != order[0] else i
        turns = [i, *turns] * (counters[i] // counters[before])
    if use_remainders:
        turns += [i for i in order for _ in range(counters[i] - turns.count(i))]
    return turns


class _Mixture(Iterator[Any]):
    """Items of several iterators, in turns."""

    def __init__(self, sources: list[Any], turns: list[int], shared: bool) -> None:
        self._sources, self._turns = sources, turns
        self._shared = shared or len(set(map(id, sources))) < len(sources)
        self._next = 0
        self._ended: set[int] = set()

    def __next__(self) -> Any:
        while not self._ended.issuperset(self._turns):
            i, turn = self._turns[self._next], (self._next + 1) % len(self._turns)
            if i not in self._ended:
                before = position_of(self._sources[i])
                try:
                    item = next(self._sources[i])
                    self._next = turn
                    return item
                except StopIteration:
                    self._ended.add(i)
                except KeyboardInterrupt:
                    put_back(self._sources[i], before)
                    raise
            self._next = turn
        raise StopIteration

    @property
    def position(self) -> Any:
        positions = [position_of(source) for source in self._sources]
        if self._shared or any(position is None for position in positions):
            return None
        here = {"next": self._next, "ended": sorted(self._ended), "sources": positions}
        return {"stage": "Parallel", **self._settings, **here}

    @property
    def _settings(self) -> Mapping[str, int]:
        return {"n_sources": len(self._sources), "a_round": len(self._turns)}

    def seek(self, position: Any) -> None:
        saved = checked_position("Parallel", position, self._settings)
        for source, of_source in zip(self._sources, saved["sources"], strict=True):
            source.seek(of_source)
        self._next, self._ended = saved["next"], set(saved["ended"])
