"""Timing in turns: each backend's samples between those of the others, every call waited for."""

from __future__ import annotations

import contextlib
import gc
import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Timed", "sample", "take_turns"]

SHORTEST = 1e-3
"""Seconds a sample lasts at least: a clock's tick and an interrupt do not show in it."""

_ROUNDS = 20
_WARM = 0.05


@dataclass
class Timed:
    """A call, how its result is waited for, and the samples: seconds and processor seconds of one call."""

    call: Callable[[], Any]
    wait: Callable[[Any], Any]
    place: Callable[[], contextlib.AbstractContextManager[Any]] = contextlib.nullcontext
    """What surrounds a sample, and is not timed: the active backend."""
    n_calls: int = 1
    """Calls in a sample."""
    samples: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    steady: bool = True
    """Whether it had settled before it was measured."""


def sample(call: Callable[[], Any], wait: Callable[[Any], Any], n_calls: int) -> float:
    """Seconds that one of ``n_calls`` calls took, each waited for before the next."""
    clock = time.perf_counter
    turns = itertools.repeat(None, n_calls)
    start = clock()
    for _ in turns:
        wait(call())
    return (clock() - start) / n_calls


def take_turns(timed: Sequence[Timed], seconds: float, first: int = 0) -> None:
    """Samples each of them for its share of ``seconds``, in turns that change their order every round.

    Three rounds are taken even if they take longer, one if it takes three times as long; the garbage collector is off.

    >>> one = Timed(lambda: sum(range(100)), lambda result: result)
    >>> take_turns([one], seconds=0.01)
    >>> len(one.samples) >= 3 and min(one.samples) > 0
    True
    """
    with _no_collector():
        for one in timed:
            with one.place():
                _warm_up(one, seconds / len(timed))
        end = time.perf_counter() + seconds
        latest = end + 2 * seconds
        for number in itertools.count(first):
            for one in _turned(timed, number):
                _take(one)
            now = time.perf_counter()
            if (now > end and number >= first + 2) or now > latest:
                break
            gc.collect(0)


def _take(one: Timed) -> None:
    with one.place():
        if one.n_calls > 1:  # the others have just had the caches and the threads
            one.wait(one.call())
        busy = time.process_time()
        one.samples.append(sample(one.call, one.wait, one.n_calls))
        one.processor.append((time.process_time() - busy) / one.n_calls)


def _turned(timed: Sequence[Timed], number: int) -> list[Timed]:
    start = number % len(timed)
    return [*timed[start:], *timed[:start]]


def _warm_up(one: Timed, seconds: float) -> None:
    """Calls until three samples in a row are no faster than the three before; sets the number of calls of a sample."""
    length = max(SHORTEST, seconds / _ROUNDS)
    end = time.perf_counter() + max(_WARM * seconds, length)
    latest = max(end, time.perf_counter() + seconds)
    taken = [sample(one.call, one.wait, 1)]
    while True:
        one.n_calls = max(1, min(round(length / max(min(taken), 1e-9)), 10 * one.n_calls))
        taken.append(sample(one.call, one.wait, max(1, one.n_calls // 3)))
        now = time.perf_counter()
        if len(taken) < 7 and now < latest:
            continue
        one.steady = len(taken) < 7 or statistics.median(taken[-3:]) > 0.95 * statistics.median(taken[-6:-3])
        if now > latest or (one.steady and now > end):
            return


@contextlib.contextmanager
def _no_collector() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.collect()
    gc.freeze()  # what is there already is not looked through between samples
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_on:
            gc.enable()
