"""Samples in turns, with the garbage collector off, each long enough to be timed."""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Iterator

import pytest

from layerkit.bench.sampling import Timed, take_turns


def ready(value: object) -> object:
    return value


def test_turns_change_their_order_and_the_collector_is_off() -> None:
    seen: list[str] = []
    collecting: list[bool] = []

    def place(name: str) -> contextlib.AbstractContextManager[None]:
        @contextlib.contextmanager
        def active() -> Iterator[None]:
            seen.append(name)
            collecting.append(gc.isenabled())
            yield

        return active()

    timed = [Timed(lambda: None, ready, lambda name=name: place(name)) for name in "ab"]  # type: ignore[misc]
    take_turns(timed, 0.02)
    assert gc.isenabled()
    assert not any(collecting)
    assert seen[:6] == ["a", "b", "a", "b", "b", "a"]  # warming up, then the first two rounds
    assert len(timed[0].samples) == len(timed[1].samples) >= 3


def test_a_short_call_is_made_many_times_in_a_sample() -> None:
    short, long = Timed(lambda: None, ready), Timed(lambda: time.sleep(0.004), ready)
    take_turns([short, long], 0.05)
    assert short.n_calls > 10
    assert long.n_calls == 1
    assert 0 < min(short.samples) < 1e-4
    assert all(taken > 0.0039 for taken in long.samples)
    assert min(long.processor) < 0.004  # it slept


def test_every_call_is_waited_for() -> None:
    made, waited = [], []
    one = Timed(lambda: made.append(1), lambda result: waited.append(1))
    take_turns([one], 0.005)
    assert len(made) == len(waited) > 10


def test_a_call_that_takes_too_long_is_not_repeated_for_ever() -> None:
    one = Timed(lambda: time.sleep(0.05), ready)
    take_turns([one], 0.01)
    assert len(one.samples) == 1


def test_the_collector_is_on_again_after_an_exception() -> None:
    def fail() -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        take_turns([Timed(fail, ready)], 0.01)
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
