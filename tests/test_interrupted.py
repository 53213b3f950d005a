"""An interrupt at any place of what a notebook calls: nothing is left behind, and the same call gives the same bits.

The long version is benchmarks/reliability/every_call.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextvars import copy_context
from pathlib import Path
from typing import Any

import numpy as onp
import pytest
from interrupted import AtPlace, bits, broken_off, faults
from test_reliability import script

import layerkit as lk
from layerkit import data, fastmath
from layerkit import layers as tl
from layerkit.fastmath import numpy as np
from layerkit.plugins import loader
from layerkit.plugins.discovery import Entry
from layerkit.plugins.kind import Registry

ALL = 100_000
CALLS = script("every_call")


COMPILED = ["a call", "gradients", "a function inside jit"]


@pytest.mark.parametrize(
    ("name", "backend", "trials"),
    [(name, "numpy", 5) for name in CALLS.PROGRAMS] + [(name, "jax", 3) for name in COMPILED],
)
def test_nothing_is_left_behind(name: str, backend: str, trials: int) -> None:
    if backend == "jax":
        pytest.importorskip("jax", reason="the same on a backend that compiles")
    with lk.use_backend(backend):
        _, count, found = faults(*CALLS.PROGRAMS[name], trials)
    assert (count >= trials, found) == (True, [])


def scanned(_: Any) -> Any:
    """What runs a function on zeros, and a loop, which takes one turn there."""
    fastmath.abstract_eval(lambda x: x, lk.f32(2))
    return fastmath.scan(lambda total, x: (total + x, total), np.zeros(2), np.ones((3, 2)))


@lk.use_backend("numpy")
def logarithm() -> Any:
    return np.log(np.zeros(2))


def switched(_: Any) -> Any:
    return logarithm()


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, RecursionError])
@pytest.mark.parametrize("run", [scanned, switched])
def test_no_place_leaves_anything_behind(run: Callable[[Any], Any], error: type[BaseException]) -> None:
    with lk.use_backend("numpy"):
        assert faults(lambda: None, run, ALL, error)[2] == []


def test_a_record_that_is_broken_off_is_over() -> None:
    """It once refused, for the rest of the process, that anybody read a layer's weights."""
    layer = tl.Dense(2)

    def begin() -> Any:
        layer.init(lk.f32(1, 2))
        return fastmath.jit(lambda x: x + x)

    def run(doubled: Any) -> Any:
        return [doubled(np.ones(2) * k) for k in range(4)], layer.weights

    with lk.use_backend("numpy"):
        assert faults(begin, run, 200)[2] == []


def places(run: Callable[[], Any]) -> Iterator[AtPlace]:
    """One interrupt for each place of a run, each met by ``broken_off`` in turn; the run is counted first."""
    counting = AtPlace(0)
    broken_off(run, counting)
    yield from map(AtPlace, range(1, counting.seen + 1))


def test_a_backend_is_entered_or_not() -> None:
    def use() -> None:
        with numpy:
            pass

    numpy = lk.use_backend("numpy")
    outside = fastmath.backend_name()
    for at in places(use):
        broken_off(use, at)
        if "__exit__" not in at.where:  # where a block ends, Python looks for signals before anybody can do anything
            assert fastmath.backend_name() == outside, at.where


def test_the_end_of_a_block_ends_those_inside() -> None:
    def use() -> None:
        with outer, inner:
            pass

    inner, outer = lk.use_backend("numpy"), lk.use_backend("numpy")
    before = fastmath.backend_name()
    ends = AtPlace(0)
    for at in places(use):
        ends = at
        broken_off(use, at)
        if at.where.endswith("def __exit__(self, *error: object) -> None:"):
            break
    assert "__exit__" in ends.where
    assert fastmath.backend_name() == before


def test_a_block_ends_where_it_began() -> None:
    numpy = lk.use_backend("numpy")
    copy_context().run(numpy.__enter__)
    with pytest.raises(lk.UsageError, match="ends in another thread, task or generator than it began in: end the"):
        numpy.__exit__()


def test_weights_are_given_whole_or_not_at_all(tmp_path: Path) -> None:
    with lk.use_backend("numpy"):
        layer = tl.Serial(tl.Dense(2), tl.BatchNorm(), tl.Dense(2))
        old = layer.init(lk.f32(3, 2, 2))
        new = fastmath.nested_map(lambda leaf: leaf + 1, old)
        layer.weights, layer.state = new
        layer.save_to_file(tmp_path / "new")

        def given() -> None:
            layer.weights = new[0]

        def loaded() -> None:
            layer.init_from_file(tmp_path / "new", lk.f32(3, 2, 2))

        for run in (given, loaded):
            before = (old[0], new[1]) if run is given else old
            for at in list(places(run))[-60:]:
                layer.weights, layer.state = before
                assert bits((layer.weights, layer.state)) == bits(before)
                broken_off(run, at)
                assert bits((layer.weights, layer.state)) in (bits(before), bits(new)), at.where


def test_a_plugin_that_is_broken_off_while_it_loads_loads_the_next_time() -> None:
    entry = loader.bundled()[0].entry
    for at in places(lambda: loader.Plugin(entry).load()):
        plugin = loader.Plugin(entry)
        broken_off(plugin.load, at)
        assert plugin.load(), at.where


def test_what_a_plugin_offers_is_registered_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    class Plugin:
        entry = Entry("acme", "1.0", "layers", "acme.layers")

        def constructors(self, hook: str) -> list[Any]:
            def First() -> None: ...
            def Second() -> None: ...

            return [First, Second]

    def registry() -> Registry:
        made = Registry("layer")
        made._bundled = own
        return made

    own, plugin = Registry("layer").own(), Plugin()
    monkeypatch.setattr(loader, "third_party", lambda distribution=None: [plugin])
    for at in places(lambda: registry().offers_by("acme")):
        layers = registry()
        broken_off(lambda layers=layers: layers.offers_by("acme"), at)
        assert [offer.name for offer in layers.offers_by("acme")] == ["First", "Second"], at.where


ITEMS = [([i % 7 + 1] * (3 + i % 5), i) for i in range(20)]


def examples() -> Any:
    return data.Examples(ITEMS, seed=1, epochs=1)


def ids() -> Any:
    return data.Map(lambda item: onp.array(item[0]))(examples())


PIPELINES: dict[str, Callable[[], Any]] = {
    "RaggedBatches": lambda: data.RaggedBatches(
        [item for item, _ in ITEMS], onp.arange(20), 6, epochs=1, buckets=[7], pad_last=True
    ),
    "Shuffle": lambda: data.Shuffle(4)(examples()),
    "Batch": lambda: data.Batch(3)(examples()),
    "UnBatch": lambda: data.Serial(data.Batch(3), data.UnBatch())(examples()),
    "BucketByLength": lambda: data.BucketByLength([4, 7], [2, 3])(examples()),
    "FilterByLength": lambda: data.FilterByLength(5, 4)(examples()),
    "PrefixLM": lambda: data.PrefixLM(1, 1)(ids()),
    "Parallel": lambda: data.Parallel([examples, lambda: data.Shuffle(4)(examples())], (1, 2))(),
    "UniformlySeek": lambda: data.UniformlySeek(host_id=1, n_hosts=2, dataset_size=10)(examples()),
    "Prefetch": lambda: data.Prefetch()(examples()),
}


@pytest.mark.parametrize("name", PIPELINES)
def test_items_go_on_where_they_were_and_a_position_tells_it(name: str) -> None:
    make = PIPELINES[name]
    whole = [bits(item) for item in make()]

    def take() -> None:
        items = make()
        pipelines.append(items)
        for _ in range(4):
            taken.append(bits(next(items)))

    pipelines: list[Any] = []
    taken: list[Any] = []
    every = list(places(take))
    for at in every[:: max(1, len(every) // 60)]:
        pipelines.clear()
        taken.clear()
        broken_off(take, at)
        if not pipelines:  # it was not even made
            continue
        items = pipelines[0]
        again = make()
        again.seek(items.position)
        rest = [bits(item) for item in items]
        assert rest == [bits(item) for item in again], at.where
        # An item that was made may be lost on its way to whoever asked, at the very end of a call.
        assert rest in (whole[len(taken) :], whole[len(taken) + 1 :]), at.where


def test_an_item_that_an_interrupt_lost_is_counted() -> None:
    begin = lambda: data.CountAndSkip("letters")(iter("abc"))
    counting, items = AtPlace(0), begin()
    broken_off(lambda: next(items), counting)
    assert counting.seen > 0
    for n in range(1, counting.seen + 1):
        items = begin()
        assert broken_off(lambda items=items: next(items), AtPlace(n)) is not None
        # Before an item is taken, or after.
        assert (next(items), items.position["count"]) in (("a", 1), ("b", 2))
