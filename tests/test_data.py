"""Batch iterators: every example in its turn, shapes few, positions saved, threads gone."""

from __future__ import annotations

import gc
import threading
import time
from collections import Counter
from typing import Any

import numpy as onp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from training_setups import threads

import layerkit as lk
from layerkit.data import Ahead, ArrayBatches, RaggedBatches, bucket_lengths
from layerkit.data.order import shuffled
from layerkit.fastmath import backend_name

rows_of_ids = st.lists(st.lists(st.integers(0, 99), max_size=9), min_size=1, max_size=25)


def take(iterator: Any, count: int) -> list[Any]:
    return [next(iterator) for _ in range(count)]


def unpadded(ids: Any) -> list[list[int]]:
    """The rows without their padding; ids of the examples are never 0 here."""
    return [[int(i) for i in row if i] for row in ids]


# -- order -----------------------------------------------------------------------------------------------------------


def test_the_shuffled_order_is_fixed_for_good() -> None:
    # Made from raw words of Philox, which NumPy promises not to change; computed once and written down.
    assert shuffled(8, seed=0, epoch=0).tolist() == [0, 2, 1, 5, 4, 3, 6, 7]
    assert shuffled(8, seed=0, epoch=1).tolist() != shuffled(8, seed=0, epoch=0).tolist()


@given(st.integers(0, 50), st.integers(0, 2**64 - 1), st.integers(0, 2**32))
def test_an_order_is_a_permutation(n: int, seed: int, epoch: int) -> None:
    assert sorted(shuffled(n, seed, epoch)) == list(range(n))


def test_orders_of_seeds_epochs_and_streams_differ() -> None:
    orders = {tuple(shuffled(20, *key)) for key in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)]}
    assert len(orders) == 5
    assert shuffled(20, 2**64 - 1, 0).tolist() != shuffled(20, 2**64 - 2, 0).tolist()


def test_every_place_is_as_likely() -> None:
    first = Counter(int(shuffled(5, 1, epoch)[0]) for epoch in range(2000))
    assert all(330 < first[k] < 470 for k in range(5))


# -- ragged batches --------------------------------------------------------------------------------------------------


@given(rows_of_ids, st.integers(1, 7), st.booleans(), st.integers(1, 4))
def test_an_epoch_has_every_example_once_unharmed(rows: Any, batch_size: int, shuffle: bool, n_buckets: int) -> None:
    rows = [[i + 1 for i in row] for row in rows]
    targets = list(range(len(rows)))
    batches = RaggedBatches(rows, targets, batch_size, shuffle=shuffle, epochs=2, n_buckets=n_buckets)
    assert len(batches.buckets) <= n_buckets
    assert batches.n_empty == rows.count([])
    seen: list[tuple[int, list[int]]] = []
    for ids, labels, weights in batches:
        assert (ids.dtype, labels.dtype, weights.dtype) == (onp.int32, onp.int32, onp.float32)
        assert ids.shape[1] in batches.buckets
        assert ids.shape[1] == min(b for b in batches.buckets if b >= max(map(len, unpadded(ids))))
        assert weights.tolist() == [1.0] * len(ids)
        seen += zip(labels.tolist(), unpadded(ids), strict=True)
    assert len(seen) == 2 * len(rows)
    for epoch in (seen[: len(rows)], seen[len(rows) :]):
        assert sorted(epoch) == list(enumerate(rows))
        if not shuffle:
            assert epoch == sorted(epoch)


def test_the_last_short_batch_is_kept_and_filled_up_when_asked() -> None:
    rows, targets, weights = [[5], [6], [7]], [1, 1, 1], [1.0, 0.5, 2.0]
    options: dict[str, Any] = {"shuffle": False, "epochs": 1, "weights": weights, "pad_id": 9, "buckets": [2]}
    kept = list(RaggedBatches(rows, targets, 2, **options))
    assert [batch[0].tolist() for batch in kept] == [[[5, 9], [6, 9]], [[7, 9]]]
    filled = list(RaggedBatches(rows, targets, 2, pad_last=True, **options))
    assert [array.tolist() for array in filled[1]] == [[[7, 9], [9, 9]], [1, 0], [2.0, 0.0]]
    assert [a.dtype for a in filled[1]] == [a.dtype for a in kept[1]]


def test_examples_without_ids_are_rows_of_padding() -> None:
    batches = RaggedBatches([[], [3], []], [1, 0, 1], 3, shuffle=False)
    ids, targets, weights = next(batches)
    assert (ids.tolist(), targets.tolist(), weights.tolist()) == ([[0], [3], [0]], [1, 0, 1], [1.0, 1.0, 1.0])
    assert batches.n_empty == 2


def test_nothing_but_empty_examples_still_makes_batches_of_length_1() -> None:
    ids, _, _ = next(RaggedBatches([[], []], [0, 1], 2))
    assert (ids.shape, ids.dtype) == ((2, 1), onp.int32)


def test_a_model_takes_empty_examples() -> None:
    from layerkit import layers as tl

    with lk.use_backend("numpy"):
        model = tl.Serial(tl.Embedding(5, 3), tl.Mean(axis=1), tl.Dense(2), tl.LogSoftmax())
        ids, _, _ = next(RaggedBatches([[], []], [0, 1], 2))
        model.init(ids)
        assert onp.isfinite(model(ids)).all()


def test_long_examples_are_refused_or_cut() -> None:
    rows = [[1], [1, 2, 3], [1, 2, 3, 4, 5]]
    with pytest.raises(lk.UsageError) as caught:
        RaggedBatches(rows, [0, 0, 0], 2, buckets=[2])
    assert str(caught.value) == (
        "2 of 3 examples are longer than the last bucket, 2 (the longest has 5 ids): add a bucket, or say truncate=True"
    )
    ids, _, _ = next(RaggedBatches(rows, [0, 0, 0], 3, buckets=[2], truncate=True, shuffle=False))
    assert ids.tolist() == [[1, 0], [1, 2], [1, 2]]


@given(st.lists(st.integers(0, 40), min_size=1, max_size=60), st.integers(1, 20), st.integers(1, 5))
def test_buckets_are_few_rising_and_hold_the_longest(lengths: list[int], batch_size: int, n_buckets: int) -> None:
    buckets = bucket_lengths(lengths, batch_size, n_buckets)
    assert 1 <= len(buckets) <= n_buckets
    assert buckets == sorted(set(buckets))
    assert buckets[-1] == max(1, *lengths)


def test_buckets_are_met_about_as_often() -> None:
    lengths = onp.random.default_rng(0).geometric(0.1, 4000)
    batches = RaggedBatches([[1] * n for n in lengths], [0] * 4000, 16, n_buckets=4, epochs=8)
    met = Counter(ids.shape[1] for ids, _, _ in batches)
    assert set(met) == set(batches.buckets)
    assert all(0.18 < count / met.total() < 0.33 for count in met.values())


@pytest.mark.parametrize(
    "loader", [list, tuple, lambda row: onp.array(row, "int64"), lambda row: onp.array(row, "uint8")]
)
def test_ids_come_in_any_sequence(loader: Any) -> None:
    ids, _, _ = next(RaggedBatches([loader([1, 2]), loader([3])], [0, 1], 2, shuffle=False))
    assert ids.tolist() == [[1, 2], [3, 0]]


# -- balanced classes ------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 2), min_size=3, max_size=40), st.integers(1, 4), st.booleans())
def test_every_batch_has_as_many_of_each_class(labels: list[int], share: int, shuffle: bool) -> None:
    classes = sorted(set(labels), reverse=True)
    rows = [[k + 1] for k in range(len(labels))]
    batches = RaggedBatches(rows, labels, share * len(classes), balanced=True, shuffle=shuffle, epochs=1)
    seen: Counter[int] = Counter()
    for ids, targets, _ in batches:
        assert targets.tolist() == [label for label in classes for _ in range(share)]
        assert [labels[row[0] - 1] for row in ids] == targets.tolist()
        seen.update(int(row[0]) for row in ids)
    assert set(seen) == {row[0] for row in rows}  # everything is seen
    for label in classes:
        turns = [seen[k + 1] for k in range(len(labels)) if labels[k] == label]
        assert max(turns) - min(turns) <= 1  # and those of a class equally often


def test_balanced_batches_in_order_are_those_of_the_seed() -> None:
    rows = [[k] for k in range(1, 8)]
    batches = RaggedBatches(rows, [1, 1, 1, 0, 0, 0, 0], 4, balanced=True, shuffle=False)
    got = [ids[:, 0].tolist() for ids, _, _ in take(batches, 4)]
    assert got == [[1, 2, 4, 5], [3, 1, 6, 7], [2, 3, 4, 5], [1, 2, 6, 7]]


def test_each_round_of_a_class_is_shuffled_anew() -> None:
    batches = RaggedBatches([[k] for k in range(1, 41)], [0, 1] * 20, 40, balanced=True, epochs=3)
    orders = {tuple(ids[:, 0].tolist()) for ids, _, _ in batches}
    assert len(orders) == 3


# -- arrays ----------------------------------------------------------------------------------------------------------


def test_batches_of_arrays() -> None:
    left, right = onp.arange(10.0).reshape(5, 2), onp.arange(5)
    batches = ArrayBatches((left, right), [[k] for k in range(5)], 2, epochs=1, pad_last=True)
    one, two, targets, weights = (onp.concatenate(arrays) for arrays in zip(*batches, strict=True))
    assert (one.dtype, two.dtype, targets.dtype, weights.dtype) == ("float32", "int32", "int32", "float32")
    assert weights.sum() == 5
    real = weights > 0
    assert sorted(two[real]) == [0, 1, 2, 3, 4]
    assert (one[real][:, 0] == 2 * two[real]).all()
    assert (targets[real][:, 0] == two[real]).all()


def test_batches_are_not_views_of_the_data() -> None:
    data = onp.zeros((4, 1), "float32")
    inputs, _, _ = next(ArrayBatches(data, [0] * 4, 4, shuffle=False))
    inputs[:] = 7
    assert data.sum() == 0


# -- positions -------------------------------------------------------------------------------------------------------


def both(**options: Any) -> list[Any]:
    rows = [[k] * (k % 4) for k in range(1, 14)]
    return [
        lambda: RaggedBatches(rows, [k % 2 for k in range(13)], 4, **options),
        lambda: ArrayBatches(onp.arange(13.0), [k % 2 for k in range(13)], 4, **options),
    ]


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("ahead", [False, True])
@pytest.mark.parametrize("stop", [0, 1, 3, 4, 5, 11])
def test_a_position_is_where_the_batches_go_on(balanced: bool, ahead: bool, stop: int) -> None:
    import json

    for make in both(seed=5, balanced=balanced):
        whole = take(make(), 15)
        first = Ahead(make(), 3) if ahead else make()
        take(first, stop)
        position = json.loads(json.dumps(first.position))
        rest = Ahead(make(), 3) if ahead else make()
        take(rest, 2)
        rest.seek(position)
        for ours, theirs in zip(take(rest, 15 - stop), whole[stop:], strict=True):
            assert all(onp.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))
        if ahead:
            first.close()
            rest.close()


def test_positions_of_other_iterators() -> None:
    batches = RaggedBatches([[1], [2]], [0, 1], 2)
    for position, message in [
        ({**batches.position, "seed": 1}, "the position was saved with seed 1, and these batches have 0"),
        ({**batches.position, "n_examples": 3}, "the position was saved with n_examples 3, and these batches have 2"),
        ({"batches": 3}, "the position was saved with n_examples None, and these batches have 2"),
        ({**batches.position, "batch": -1}, "a position's batch must be a whole number of at least 0, got -1"),
        ({**batches.position, "batch": "x"}, "a position's batch must be a whole number of at least 0, got 'x'"),
        (7, "a position is a dict of whole numbers, got 7"),
    ]:
        with pytest.raises(lk.LayerkitError) as caught:
            batches.seek(position)  # type: ignore[arg-type]
        assert str(caught.value) == message


# -- bad input -------------------------------------------------------------------------------------------------------

BAD = [
    (lambda: RaggedBatches([], [], 2), "there are no examples to make batches of"),
    (lambda: RaggedBatches([[1]], [0, 1], 2), "targets: one for each of the 1 examples, got 2"),
    (lambda: RaggedBatches([[1]], 3, 2), "targets: one for each of the 1 examples, got a single number"),
    (lambda: RaggedBatches([[1]], [0], 2, weights=[1, 2]), "weights: one for each of the 1 examples, got 2"),
    (lambda: RaggedBatches([[1]], ["pos"], 2), "targets are numbers, got dtype <U3"),
    (lambda: RaggedBatches([[1]], [None], 2), "targets are numbers, got dtype object"),
    (
        lambda: RaggedBatches([[1], [2]], [[0], [1, 2]], 2),
        "targets have rows of different lengths: RaggedBatches takes",
    ),
    (lambda: RaggedBatches([[1]], [2**40], 2), "targets do not fit 32 bits: they go from 1099511627776 to"),
    (lambda: RaggedBatches([[1.5]], [0], 2), "ids are whole numbers, example 0 has 1.5"),
    (lambda: RaggedBatches([[1], ["a"]], [0, 0], 2), "ids are whole numbers, example 1 has 'a'"),
    (lambda: RaggedBatches([[True]], [0], 2), "ids are whole numbers, example 0 has True"),
    (lambda: RaggedBatches([[1], [[2]]], [0, 0], 2), "ids are whole numbers, example 1 has [2]"),
    (lambda: RaggedBatches([[1], [2, -1]], [0, 0], 2), "ids are whole numbers from 0 to 2147483647, example 1 has -1"),
    (lambda: RaggedBatches([[2**31]], [0], 2), "ids are whole numbers from 0 to 2147483647, example 0 has 2147483648"),
    (lambda: RaggedBatches([[2**70]], [0], 2), "ids are whole numbers, example 0 has 1180591620717411303424"),
    (lambda: RaggedBatches([3], [0], 2), "example 0 is no list of ids, got 3"),
    (lambda: RaggedBatches(["ab"], [0], 2), "example 0 is no list of ids, got 'ab'"),
    (lambda: RaggedBatches([onp.ones((2, 2), int)], [0], 2), "example 0 is no list of ids, got array"),
    (lambda: RaggedBatches([[1]], [0], 0), "batch_size must be a whole number of at least 1, got 0"),
    (lambda: RaggedBatches([[1]], [0], 2.0), "batch_size must be a whole number of at least 1, got 2.0"),
    (lambda: RaggedBatches([[1]], [0], 2, seed=-1), "seed must be a whole number of at least 0, got -1"),
    (lambda: RaggedBatches([[1]], [0], 2, seed=2**64), "seed must be a whole number below 2**64, got 184467440737"),
    (lambda: RaggedBatches([[1]], [0], onp.ones(2, int)), "batch_size must be a whole number of at least 1, got array"),
    (lambda: RaggedBatches([[1]], [0], 2, epochs=0), "epochs must be a whole number of at least 1, got 0"),
    (lambda: RaggedBatches([[1]], [0], 2, pad_id=-1), "pad_id must be a whole number of at least 0, got -1"),
    (
        lambda: RaggedBatches([[1]], [0], 2, buckets=[]),
        "buckets are lengths in rising order, such as [16, 32, 64], got []",
    ),
    (lambda: RaggedBatches([[1]], [0], 2, buckets=[4, 2]), "buckets are lengths in rising order"),
    (lambda: RaggedBatches([[1]], [0], 2, buckets=[0]), "a bucket's length must be a whole number of at least 1"),
    (lambda: RaggedBatches([[1]], [0], 2, n_buckets=0), "n_buckets must be a whole number of at least 1, got 0"),
    (
        lambda: RaggedBatches([[1]] * 3, [0, 1, 2], 4, balanced=True),
        "batch_size 4 cannot be divided evenly among 3 classes: take a multiple",
    ),
    (lambda: RaggedBatches([[1]] * 3, [0, 1, 2], 2, balanced=True), "batch_size 2 cannot be divided evenly among 3"),
    (
        lambda: RaggedBatches([[1]], [0.5], 2, balanced=True),
        "balanced batches need one whole number for each example as its class, got targets of float32[1]",
    ),
    (lambda: ArrayBatches(onp.zeros((0, 2)), [], 2), "there are no examples to make batches of"),
    (lambda: ArrayBatches((onp.zeros(3), onp.zeros(2)), [0] * 3, 2), "inputs differ in their number of rows: 2, 3"),
    (lambda: ArrayBatches(["a"], [0], 2), "inputs are numbers, got dtype <U1"),
    (
        lambda: ArrayBatches([[1], [1, 2]], [0, 0], 2),
        "inputs have rows of different lengths: RaggedBatches takes those",
    ),
    (lambda: bucket_lengths([], 2), "there are no lengths to find buckets for"),
    (lambda: Ahead([], 0), "n_ahead must be a whole number of at least 1, got 0"),
]


@pytest.mark.parametrize(("make", "message"), BAD, ids=[f"{k}: {row[1][:40]}" for k, row in enumerate(BAD)])
def test_bad_input_is_refused_in_one_line(make: Any, message: str) -> None:
    with pytest.raises(lk.UsageError) as caught:
        make()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


# -- the background thread -------------------------------------------------------------------------------------------


def test_items_come_in_order_and_no_more_are_made_than_may_lie_ready() -> None:
    made: list[int] = []

    def source() -> Any:
        for k in range(100):
            made.append(k)
            yield k

    with Ahead(source(), 3) as ahead:
        assert take(ahead, 5) == [0, 1, 2, 3, 4]
        assert ahead.peek() == ahead.peek() == 5
        deadline = time.monotonic() + 5
        while len(made) < 8 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.05)
        assert made == list(range(8))
    assert threads() == []
    with pytest.raises(StopIteration):
        next(ahead)


def wait_for_items(ahead: Ahead[int], count: int) -> None:
    deadline = time.monotonic() + 5
    while len(ahead._shared.ready) < count and time.monotonic() < deadline:
        time.sleep(0.01)


def test_the_thread_rests_until_half_of_the_items_are_gone() -> None:
    made = []
    with Ahead((made.append(i) or i for i in range(20)), 4) as ahead:
        ahead.peek()
        wait_for_items(ahead, 4)
        assert next(ahead) == 0
        time.sleep(0.05)
        assert made == [0, 1, 2, 3]
        assert next(ahead) == 1
        wait_for_items(ahead, 4)
        assert made == [0, 1, 2, 3, 4, 5]


def test_items_that_were_not_taken_come_back() -> None:
    ahead = Ahead(iter(range(10)), 4)
    assert ahead.peek() == 0
    wait_for_items(ahead, 4)
    assert next(ahead) == 0
    assert ahead.close() == ahead.close() == [1, 2, 3]
    assert list(ahead) == []


def test_an_end_and_an_exception_come_after_the_items_before_them() -> None:
    def source() -> Any:
        yield 1
        yield 2
        raise KeyError("row 3")

    with Ahead(source()) as ahead:
        assert take(ahead, 2) == [1, 2]
        for _ in range(2):
            with pytest.raises(KeyError, match="row 3"):
                next(ahead)
    assert list(Ahead([1, 2])) == [1, 2]
    assert threads() == []


def test_the_thread_computes_with_the_caller_s_backend() -> None:
    def source() -> Any:
        while True:
            yield backend_name()

    for name in ("numpy", "jax"):
        with lk.use_backend(name), Ahead(source()) as ahead:
            assert next(ahead) == name


def test_a_thread_that_an_interrupt_kept_from_starting_can_be_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(thread: threading.Thread) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    ahead = Ahead(iter([1, 2]))
    with pytest.raises(KeyboardInterrupt):
        next(ahead)
    assert ahead.close() == []


def test_a_prefetch_that_is_forgotten_ends_its_thread() -> None:
    ahead = Ahead(iter(range(100)))
    next(ahead)
    assert len(threads()) == 1
    del ahead
    gc.collect()
    deadline = time.monotonic() + 5
    while threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threads() == []


def test_closing_waits_only_as_long_as_it_is_told_to() -> None:
    never = threading.Event()

    def source() -> Any:
        yield 1
        never.wait(10)

    ahead = Ahead(source())
    assert next(ahead) == 1
    start = time.monotonic()
    assert ahead.close(patience=0.1) == []
    assert time.monotonic() - start < 2
    never.set()


def test_it_has_no_position_where_the_source_has_none() -> None:
    with Ahead(iter([1, 2])) as ahead:
        next(ahead)
        assert ahead.position is None
