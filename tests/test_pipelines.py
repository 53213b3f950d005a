"""Pipelines: nothing lost, nothing twice, no more taken than needed, and resumed to the item."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as onp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import layerkit as lk
from layerkit import data
from layerkit import layers as tl
from layerkit import optimizers as opt
from layerkit.data.compose import _nested
from layerkit.data.tokenize import UNKNOWN
from layerkit.training import Loop, TrainTask

numbers = st.lists(st.integers(1, 99), max_size=40)
rows = st.lists(st.lists(st.integers(1, 99), max_size=9), max_size=30)
sizes = st.integers(1, 9)
anything = settings(max_examples=60)


def plain(items: Any) -> Any:
    """Items as lists and numbers, to compare."""
    if isinstance(items, (list, tuple)):
        return [plain(item) for item in items]
    return items.tolist() if isinstance(items, (onp.ndarray, onp.generic)) else items


def unpadded(batch: Any) -> list[list[int]]:
    return [[int(i) for i in row if i] for row in batch]


class Counted(Iterator[Any]):
    """An iterator that counts what is taken, and has no position."""

    def __init__(self, items: Any) -> None:
        self.items, self.taken = iter(items), 0

    def __next__(self) -> Any:
        item = next(self.items)
        self.taken += 1
        return item


# -- composition -----------------------------------------------------------------------------------------------------


@anything
@given(rows, sizes)
def test_regrouping_a_serial_changes_nothing(items: Any, size: int) -> None:
    f, g, h = data.FilterEmptyExamples(), data.Shuffle(size), data.Batch(3)
    whole = plain(list(data.Serial(f, g, h)(items)))
    for other in (data.Serial(data.Serial(f, g), h), data.Serial(f, data.Serial(g, h)), data.Serial([f, (g, h)])):
        assert plain(list(other(items))) == whole
    assert plain(list(h(g(f(items))))) == whole


def test_an_empty_serial_is_the_identity_and_any_function_of_an_iterator_is_a_stage() -> None:
    assert list(data.Serial()([1, 2])) == [1, 2]
    odd = lambda items: (item for item in items if item % 2)
    assert list(data.Serial(odd, data.Map(lambda x: x * x))(range(6))) == [1, 9, 25]
    assert list(data.Serial(lambda: [1, 2], data.Map(str))()) == ["1", "2"]
    assert repr(data.Serial(odd, data.Batch(2))) == "Serial[<lambda>, Batch]"


def test_the_serial_of_data_is_not_that_of_layers() -> None:
    assert data.Serial is not tl.Serial
    assert "Serial" in data.__all__
    assert lk.Serial is not data.Serial
    with pytest.raises(lk.UsageError, match=r"argument 1 is a layer, .*: layers.Serial composes layers"):
        data.Serial(data.Batch(2), tl.Dense(3))
    with pytest.raises(lk.LayerkitError):
        tl.Serial(data.Batch(2))


# -- nothing lost, nothing twice -------------------------------------------------------------------------------------


@anything
@given(numbers, sizes, st.integers(0, 2**64 - 1))
def test_a_shuffle_permutes_each_block(items: list[int], size: int, seed: int) -> None:
    made = list(data.Shuffle(size, seed)(items))
    assert len(made) == len(items)
    for start in range(0, len(items), size):
        assert sorted(made[start : start + size]) == sorted(items[start : start + size])
    assert made == list(data.Shuffle(size, seed)(items))


def test_a_shuffle_that_holds_everything_is_even() -> None:
    first = Counter(next(data.Shuffle(5, seed)([0, 1, 2, 3, 4])) for seed in range(2000))
    assert all(330 < first[k] < 470 for k in range(5))
    blocks = list(itertools.islice(data.Shuffle(20)(itertools.cycle(range(20))), 40))
    assert blocks[:20] != blocks[20:]


@anything
@given(rows, sizes)
def test_batches_keep_every_item_in_order(items: Any, size: int) -> None:
    batches = list(data.Batch(size)(items))
    assert [row for batch in batches for row in unpadded(batch)] == items
    assert all(len(batch) == size for batch in batches[:-1])
    assert all(batch.shape[1] == max(map(len, unpadded(batch))) for batch in batches)
    whole = list(data.Batch(size, drop_last=True)(items))
    assert [len(batch) for batch in whole] == [size] * (len(items) // size)


@anything
@given(
    st.lists(st.tuples(st.lists(st.integers(-99, 99), min_size=2, max_size=2), st.integers(0, 1)), max_size=20), sizes
)
def test_unbatch_undoes_batch(items: Any, size: int) -> None:
    assert plain(list(data.Serial(data.Batch(size), data.UnBatch())(items))) == plain(items)


@anything
@given(rows, st.lists(sizes, min_size=3, max_size=3), st.booleans())
def test_buckets_hold_every_item_once_between_its_boundaries(items: Any, batch_sizes: Any, strict: bool) -> None:
    bounds = [2, 5]
    made = list(data.BucketByLength(bounds, batch_sizes, strict_pad_on_len=strict)(items))
    seen = [row for batch in made for row in unpadded(batch)]
    assert sorted(seen) == sorted(items)
    per_bucket = Counter()
    for batch in made:
        lengths = {sum(length > bound for bound in bounds) for length in map(len, unpadded(batch))}
        (bucket,) = lengths
        per_bucket[bucket] += len(batch) < batch_sizes[bucket]
        assert len(batch) <= batch_sizes[bucket]
        if bucket < 2 and (strict or 2 * max(map(len, unpadded(batch))) >= bounds[bucket]):
            assert batch.shape[1] == bounds[bucket]
    assert all(short <= 1 for short in per_bucket.values())
    for bucket in range(3):
        mine = [row for row in items if sum(len(row) > bound for bound in bounds) == bucket]
        assert [row for row in seen if sum(len(row) > bound for bound in bounds) == bucket] == mine
    kept = list(data.BucketByLength(bounds, batch_sizes, drop_last=True)(items))
    assert plain([b for b in made if len(b) in batch_sizes])[: len(kept)] or not kept


def test_a_length_on_a_boundary_belongs_to_it() -> None:
    made = data.BucketByLength([2, 4], [1, 1, 1])([[1] * n for n in (2, 3, 4, 5)])
    assert [batch.shape for batch in made] == [(1, 2), (1, 4), (1, 4), (1, 5)]


def test_other_parts_of_a_bucket_s_batch_are_padded_to_their_longest() -> None:
    items = [([1, 2, 3], [[1.0, 2.0]], 1), ([1, 2, 3, 4], [[1.0], [2.0]], 0)]
    (batch,) = data.BucketByLength([8], [2], length_keys=[0], strict_pad_on_len=True)(items)
    assert [part.shape for part in batch] == [(2, 8), (2, 2), (2,)] or [part.shape for part in batch][1] == (2, 2, 2)


@anything
@given(rows, st.integers(0, 5), st.integers(5, 9))
def test_filters_keep_what_fits(items: Any, least: int, most: int) -> None:
    assert list(data.FilterByLength(most, least)(items)) == [row for row in items if least <= len(row) <= most]
    assert list(data.FilterByLength(None, least)(items)) == [row for row in items if len(row) >= least]
    assert list(data.FilterEmptyExamples()(items)) == [row for row in items if row]


def test_filters_look_at_the_parts_they_are_told_to() -> None:
    items = [([1], [1, 2]), ([], [1]), ("", [])]
    assert list(data.FilterEmptyExamples([1])(items)) == items[:2]
    assert list(data.FilterByLength(1, length_keys=[0])(items)) == items
    assert list(data.FilterByLength(1)(items)) == items[1:]
    (kept,) = data.FilterByLength(1, 1, length_axis=1)([onp.ones((3, 1)), onp.ones((1, 2))])
    assert kept.shape == (3, 1)


@anything
@given(st.lists(st.integers(0, 6), min_size=1, max_size=4), st.booleans(), st.booleans(), st.booleans())
def test_a_mixture_gives_every_item_once(counters: Any, least: bool, gradually: bool, remainders: bool) -> None:
    if not any(counters):
        return
    lists = [[(i, k) for k in range(7)] for i in range(len(counters))]
    made = list(data.Parallel(lists, counters, least, gradually, remainders)())
    assert sorted(made) == sorted(item for i, items in enumerate(lists) if counters[i] for item in items)
    for i in range(len(counters)):
        assert [k for j, k in made if j == i] == ([*range(7)] if counters[i] else [])


def test_a_mixture_has_its_proportions() -> None:
    endless = [lambda i=i: itertools.repeat(i) for i in range(3)]
    taken = lambda n, **options: "".join(map(str, itertools.islice(data.Parallel(endless, **options)(), n)))
    assert taken(6) == "012012"
    assert taken(12, counters=(2, 1, 3)) == "012022" * 2
    assert taken(4, counters=(10, 30, 0), reweight_by_minimum=True) == "0111"
    assert taken(122, counters=(1, 20, 40), gradually_reweight=True) == ("0" + "122" * 20) * 2
    assert _nested([1, 20, 45], True) == [0, *[1, 2, 2] * 20, *[2] * 5]


def test_branches_share_the_items_they_are_called_with() -> None:
    made = data.Parallel([data.Map(lambda x: -x), data.Map(lambda x: 10 * x)])([1, 2, 3, 4, 5])
    assert made.position is None
    assert list(made) == [-1, 20, -3, 40, -5]
    items = data.Examples([1, 2, 3], shuffle=False, epochs=1)
    twice = data.Parallel([items, items])()
    assert (twice.position, list(twice)) == (None, [1, 2, 3])


# -- parts -----------------------------------------------------------------------------------------------------------


@anything
@given(rows, st.integers(1, 8))
def test_lengths_are_cut_and_filled(items: Any, length: int) -> None:
    assert plain(list(data.TruncateToLength({0: length})(items))) == [row[:length] for row in items]
    for row, made in zip(items, data.PadToLength({0: length}, 7)(items), strict=True):
        assert plain(made) == row + [7] * (length - len(row))
    for row, made in zip(items, data.PadToLength({0: length}, multiple=True)(items), strict=True):
        assert len(made) % length == 0
        assert len(made) - len(row) in range(length)
        assert plain(made)[: len(row)] == row


def test_lengths_on_several_axes_and_parts() -> None:
    item = (onp.ones((3, 4)), [5, 6])
    (cut,) = data.TruncateToLength({0: (2, 1), 1: 1})([item])
    assert plain(cut) == [[[1.0], [1.0]], [5]]
    (filled,) = data.PadToLength({0: (4, 5), 1: 3}, pad_value={1: 9})([item])
    assert filled[0].sum() == 12
    assert (filled[0].shape, plain(filled[1])) == ((4, 5), [5, 6, 9])


def test_weights_values_and_dtypes() -> None:
    item = ([5, 6, 0], [6, 0, 0])
    ((_, _, weights),) = data.AddLossWeights(id_to_mask=0)([item])
    assert (plain(weights), weights.dtype) == ([1, 0, 0], onp.float32)
    ((_, _, weights),) = data.AddLossWeights()([([5], 1)])
    assert (plain(weights), weights.shape) == (1.0, ())
    ((_, _, weights),) = data.AddLossWeights(id_to_mask=0)([(*item, [0.5, 2.0, 2.0])])
    assert plain(weights) == [0.5, 0, 0]
    (made,) = data.AppendValue({0: 1, 1: 2})([([5, 6], [])])
    assert plain(made) == [[5, 6, 1], [2]]
    assert [part.dtype.kind for part in made] == ["i", "i"]
    (made,) = data.CastTo("float32", [1])([([5], [6])])
    assert (made[0], made[1].dtype) == ([5], onp.float32)
    (made,) = data.CastTo()([([5], 6, [7])])
    assert ([part.dtype for part in made[:2]], made[2]) == ([onp.int32] * 2, [7])


def test_a_language_model_s_input() -> None:
    (made,) = data.ConcatenateToLMInput(pad_to_length=5)([([5, 6], [7, 8])])
    assert plain(made) == [[5, 6, 7, 8, 0], [5, 6, 7, 8, 0], [0, 0, 1, 1, 0]]
    assert plain(list(data.ConcatenateToLMInput()([[5, 6]]))) == [[[5, 6], [5, 6], [1, 1]]]


@anything
@given(rows, sizes, sizes)
def test_a_prefix_model_cuts_without_gaps(items: Any, first: int, second: int) -> None:
    made = list(data.PrefixLM(first, second)(items))
    both = first + second
    assert [len(x) for x, _ in made] == [first] * len(made)
    assert [plain(x) + plain(y) for x, y in made] == [
        row[start : start + both] for row in items for start in range(0, len(row) - both + 1, both)
    ]


@anything
@given(st.lists(st.lists(st.integers(1, 50), max_size=40), max_size=6), st.floats(0.05, 0.95), st.integers(0, 9))
def test_what_a_masked_model_hides_can_be_put_back(items: Any, density: float, seed: int) -> None:
    made = data.MLM(1000, max_length=20, noise_density=density, seed=seed)(items)
    pieces = [row[start : start + 20] for row in items for start in range(0, len(row), 20)]
    for piece, (inputs, targets) in zip((p for p in pieces if len(p) > 1), made, strict=True):
        spans: dict[int, list[int]] = {}
        for i in plain(targets):
            if i > 900:
                spans[i] = []
            else:
                spans[next(reversed(spans))].append(i)
        assert [*spans] == [999 - k for k in range(len(spans))]
        assert [j for i in plain(inputs) for j in (spans[i] if i > 900 else [i])] == piece
        assert sum(map(len, spans.values())) == min(max(round(len(piece) * density), 1), len(piece) - 1)
        assert all(spans.values())


def test_a_masked_model_hides_other_places_for_every_item_and_seed() -> None:
    items = [list(range(1, 60))] * 200
    hidden = [plain(targets) for _, targets in data.MLM(1000)(items)]
    assert len({tuple(row) for row in hidden}) > 190
    assert hidden != [plain(targets) for _, targets in data.MLM(1000, seed=1)(items)]
    assert onp.mean([sum(i < 900 for i in row) for row in hidden]) == 9
    # The last piece is a hidden one, so what stands at the end is hidden more often.
    share = Counter(i for row in hidden for i in row if i < 50)
    assert set(share) > set(range(5, 50))
    assert max(share.values()) < 50


# -- texts -----------------------------------------------------------------------------------------------------------


@given(st.text(alphabet=st.characters(codec="utf-8")), st.integers(0, 5))
def test_characters_there_and_back(text: str, reserved: int) -> None:
    kind = data.tokenizer("characters", n_reserved_ids=reserved)
    ids = kind.encode(text)
    assert (ids.dtype, ids.shape) == (onp.int32, (len(text),))
    assert (ids >= reserved).all()
    assert kind.decode(ids) == text


def test_words_of_a_list_a_dict_and_a_file(tmp_path: Path) -> None:
    words = [UNKNOWN, "a", "b"]
    (tmp_path / "words.txt").write_text("\n".join(words))
    for given_as in (
        {"vocabulary": words},
        {"vocabulary": {"b": 2, "a": 1, UNKNOWN: 0}},
        {"vocab_file": tmp_path / "words.txt"},
    ):
        (made,) = data.Tokenize([0], "words", n_reserved_ids=1, **given_as)([("b  x a", "kept")])
        assert plain(made) == [[3, 1, 2], "kept"]
    kind = data.tokenizer("words", vocabulary=words)
    assert (kind.decode([0, 2, 1]), kind.vocab_size, kind.encode("").dtype) == (f"{UNKNOWN} b a", 3, onp.int32)
    with pytest.raises(lk.LayerkitError, match=r"^the id 3 is outside a vocabulary of 3$"):
        kind.decode([3])


def test_subwords_there_and_back(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.decoder = tokenizers.decoders.ByteLevel()
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.train_from_iterator(
        ["low lower lowest"] * 5, tokenizers.trainers.BpeTrainer(vocab_size=40, show_progress=False)
    )
    made.save(str(tmp_path / "subwords.json"))
    for given_as in ({"vocabulary": made}, {"vocab_file": tmp_path / "subwords.json"}):
        kind = data.tokenizer("subwords", n_reserved_ids=2, **given_as)
        assert kind.decode(kind.encode("lower low")) == "lower low"
        assert kind.vocab_size == made.get_vocab_size() + 2
        assert kind.encode("low").min() >= 2
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(lk.UsageError, match=r"bad.json is no file that the package tokenizers saved"):
        data.tokenizer("subwords", tmp_path / "bad.json")
    with pytest.raises(lk.UsageError, match=r"for subwords the vocabulary is a tokenizers.Tokenizer, got 3"):
        data.tokenizer("subwords", vocabulary=3)


def test_subwords_without_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tokenizers", None)
    with pytest.raises(lk.UsageError) as caught:
        data.Tokenize(vocab_file="subwords.json")
    assert str(caught.value) == "subwords need the package tokenizers: pip install tokenizers"


# -- no more taken than needed ---------------------------------------------------------------------------------------

LAZY: list[tuple[Any, int, int]] = [
    (data.Map(str), 3, 3),
    (data.Filter(lambda x: x[0] % 2), 3, 6),
    (data.Batch(4), 2, 8),
    (data.Shuffle(5), 1, 5),
    (data.Shuffle(5), 6, 10),
    (data.BucketByLength([8], [4]), 2, 8),
    (data.PrefixLM(1, 1), 3, 3),
    (data.UniformlySeek(None, 1, 2, 10), 1, 6),
    (data.Parallel([data.Map(str), data.Map(str)]), 3, 3),
    (data.Serial(data.Shuffle(4), data.Batch(2), data.Log(write=lambda line: None)), 2, 4),
    (data.MLM(100), 2, 2),
]


@pytest.mark.parametrize(("stage", "count", "needed"), LAZY, ids=[f"{row[0]} {row[1]}" for row in LAZY])
def test_an_endless_source_is_asked_for_no_more_than_needed(stage: Any, count: int, needed: int) -> None:
    source = Counted([k, k] for k in itertools.count())
    made = stage(source)
    assert (source.taken, made.position) == (0, None)
    assert len(list(itertools.islice(made, count))) == count
    assert source.taken == needed


def test_a_prefetch_runs_ahead_by_what_it_was_told(tmp_path: Path) -> None:
    made = data.Prefetch(2)(Counted(itertools.count()))
    assert list(itertools.islice(made, 3)) == [0, 1, 2]
    made.close()
    assert made._source.taken <= 5


# -- positions -------------------------------------------------------------------------------------------------------

TEXTS = [("ab" * (k % 7), k) for k in range(23)]
IDS = [list(range(1, 1 + (5 * k) % 13)) for k in range(23)]
BATCHES = [(onp.arange(2 * n).reshape(n, 2), onp.arange(n)) for n in (3, 0, 1, 4, 2, 9)]
Pipeline = Callable[[], Iterator[Any]]

PIPELINES: dict[str, Pipeline] = {
    "a list": lambda: data.Serial()(IDS),
    "shuffled examples": lambda: data.Serial()(data.Examples(IDS, seed=3, epochs=2)),
    "map, filter": lambda: data.Serial(data.FilterEmptyExamples(), data.CastTo(), data.AppendValue({0: 7}))(IDS),
    "batch": lambda: data.Batch(4)(IDS),
    "shuffle": lambda: data.Shuffle(7, seed=2)(IDS),
    "shuffles": lambda: data.Serial(data.Shuffle(5), data.Shuffle(7), data.Batch(2))(IDS),
    "unbatch": lambda: data.UnBatch()(BATCHES),
    "unbatch, shuffle, batch": lambda: data.Serial(data.UnBatch(), data.Shuffle(4), data.Batch(3))(BATCHES),
    "buckets": lambda: data.BucketByLength([3, 8], [3, 4, 2])(IDS),
    "buckets of a shuffle": lambda: data.Serial(data.Shuffle(6), data.BucketByLength([3, 8], [3, 4, 2]))(IDS),
    "buckets of pieces": lambda: data.Serial(data.MLM(100, 6), data.BucketByLength([3, 8], [3, 4]))(IDS),
    "prefix": lambda: data.PrefixLM(2, 3)(IDS),
    "masked": lambda: data.Serial(data.Shuffle(4), data.MLM(100, 5, 0.4, 1.5, seed=1))(IDS),
    "texts": lambda: data.Serial(
        data.Tokenize(vocab_type="characters"),
        data.FilterByLength(8, 1, length_keys=[0]),
        data.Shuffle(6),
        data.TruncateToLength({0: 5}),
        data.PadToLength({0: 4}),
        data.AddLossWeights(),
        data.BucketByLength([4, 5], [2, 3], length_keys=[0]),
    )(TEXTS),
    "mixture": lambda: data.Serial(
        data.Parallel([lambda: data.Shuffle(4)(IDS), lambda: data.Examples(IDS[:5], epochs=3)], (2, 1)), data.Batch(2)
    )(),
    "skipped": lambda: data.Serial(data.UniformlySeek("ids", 1, 3, 23), data.Batch(2))(IDS),
    "counted": lambda: data.Serial(data.CountAndSkip("ids"), data.Shuffle(4), data.Batch(2))(iter(IDS)),
    "ahead": lambda: data.Serial(data.Shuffle(4), data.Prefetch(3))(IDS),
    "array batches": lambda: data.Serial(data.UnBatch(), data.Shuffle(9), data.Batch(4))(
        data.ArrayBatches(onp.arange(10.0), [0] * 10, 3, epochs=3)
    ),
}


@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipeline_goes_on_from_every_position(name: str) -> None:
    make = PIPELINES[name]
    whole = plain(list(make()))
    assert len(whole) > 5
    going = make()
    for stop in range(len(whole) + 1):
        position = json.loads(json.dumps(going.position))  # type: ignore[attr-defined]
        assert len(json.dumps(position)) < 1500
        resumed = make()
        if name != "counted":  # goes forward only
            list(itertools.islice(resumed, (5 * stop) % 7))
        resumed.seek(position)  # type: ignore[attr-defined]
        assert resumed.position == position  # type: ignore[attr-defined]
        assert plain(list(resumed)) == whole[stop:]
        list(itertools.islice(going, 1))


def test_a_position_survives_a_failure_in_the_middle_of_a_block() -> None:
    fails = [False]

    def maybe(item: Any) -> Any:
        if fails[0] and item == [4]:
            raise RuntimeError("disk")
        return item

    items = [[k] for k in range(9)]
    made = data.Serial(data.Map(maybe), data.Shuffle(3))(items)
    whole = list(data.Shuffle(3)(items))
    assert list(itertools.islice(made, 3)) == whole[:3]
    fails[0] = True
    with pytest.raises(RuntimeError, match="disk"):
        next(made)
    fails[0] = False
    made.seek(made.position)
    assert list(made) == whole[3:]


def test_a_position_of_another_pipeline_is_refused() -> None:
    shuffled = data.Shuffle(4, seed=1)(IDS)
    buckets = data.BucketByLength([8, 20], [2, 2])(IDS)
    message = {
        "data.Shuffle: the position was saved by another pipeline: ": lambda: shuffled.seek(buckets.position),
        "data.BucketByLength: the position was saved by another": lambda: buckets.seek(shuffled.position),
        "data.Shuffle: the position was saved with seed 1, and here it is 0": lambda: data.Shuffle(4)(IDS).seek(
            shuffled.position
        ),
        "data.Examples: the position was saved with n_examples 23, and here it is 22": lambda: data.Batch(2)(
            IDS[1:]
        ).seek(data.Batch(2)(IDS).position),
        "data.Examples: the position was saved with n_examples None": lambda: data.Examples(IDS).seek(3),
        "data.Batch cannot seek, because what it takes its items from saves no position": lambda: data.Batch(2)(
            iter(IDS)
        ).seek(shuffled.position),
        "data.CountAndSkip: x has given 1 items, and the position is after 0: start it anew": _backwards,
    }
    for text, act in message.items():
        with pytest.raises(lk.LayerkitError) as caught:
            act()
        assert str(caught.value).startswith(text)
        assert "\n" not in str(caught.value)


def _backwards() -> None:
    items = data.CountAndSkip("x")(iter(IDS))
    start = items.position
    next(items)
    items.seek(start)


def test_a_loop_that_is_fed_by_a_pipeline_resumes_with_the_same_bits(tmp_path: Path) -> None:
    texts = [("abcdefgh"[k % 5 : k % 8 + 1], k % 2) for k in range(40)]

    def batches() -> Any:
        return data.Serial(
            data.Tokenize(vocab_type="characters"),
            data.FilterEmptyExamples([0]),
            data.Shuffle(10),
            data.BucketByLength([4, 8], [4, 3], length_keys=[0]),
            data.AddLossWeights(),
        )(data.Examples(texts))

    def loop(folder: str) -> Loop:
        model = tl.Serial(tl.Embedding(128, 4), tl.Mean(axis=1), tl.Dense(2), tl.LogSoftmax())
        task = TrainTask(batches(), tl.CrossEntropyLoss(), opt.Adam(0.01))
        return Loop(model, [task], output_dir=tmp_path / folder)

    with lk.use_backend("numpy"):
        whole = loop("whole")
        whole.run(17)
        first = loop("halves")
        first.run(6)
        first.save_checkpoint()
        second = loop("halves")
        second.run(11)
    assert second.step == 17
    for ours, theirs in zip(
        lk.fastmath.tree_leaves(second.model.weights), lk.fastmath.tree_leaves(whole.model.weights), strict=True
    ):
        assert onp.array_equal(ours, theirs)


# -- watching --------------------------------------------------------------------------------------------------------


def test_a_log_shows_items() -> None:
    lines: list[str] = []
    items = [(onp.ones((2, 3), "float32"), "text"), ([1, 2], 3), ([1], 2)]
    assert list(data.Log(2, write=lines.append)(items)) == items
    assert lines == ["item 0: float32(2, 3), text(4)", "item 2: int64(1,), int64()"]
    lines.clear()
    list(data.Log(only_shapes=False, write=lines.append)(items[1:]))
    assert lines == ["item 0: [1, 2], 3", "item 1: [1], 2"]


# -- bad input -------------------------------------------------------------------------------------------------------


def first(stage: Any, *items: Any) -> Callable[[], Any]:
    return lambda: next(stage(list(items)))


BAD: list[tuple[Callable[[], Any], str]] = [
    (lambda: data.Serial(3), "data.Serial: argument 0 is no function, got 3"),
    (lambda: data.Map(3), "data.Map: argument 0 is no function, got 3"),
    (lambda: data.Filter(3), "data.Filter takes a function of an item, got 3"),
    (lambda: data.Batch(2)("text"), "data.Batch is called with an iterator of items, got 'text'"),
    (lambda: data.Batch(2)(list), "data.Batch is called with an iterator of items, got <class 'list'>: call it"),
    (lambda: data.Batch(2)(), "data.Batch is called with an iterator of items, got None"),
    (lambda: data.Serial(lambda items: 3)([1]), "data.Serial is called with an iterator of items, got 3"),
    (lambda: data.Batch(0), "data.Batch: batch_size must be a whole number of at least 1, got 0"),
    (lambda: data.Shuffle(0), "data.Shuffle: queue_size must be a whole number of at least 1, got 0"),
    (lambda: data.Shuffle(2, -1), "data.Shuffle: seed must be a whole number of at least 0, got -1"),
    (lambda: data.Prefetch(0), "n_prefetch must be a whole number of at least 1, got 0"),
    (lambda: data.Examples([]), "data.Examples: there are no items"),
    (lambda: data.Examples("ab"), "data.Examples takes a list of items, got 'ab'"),
    (lambda: data.Examples([1], epochs=0), "epochs must be a whole number of at least 1, got 0"),
    (lambda: data.Parallel([]), "data.Parallel takes a list of functions or iterators, got []"),
    (lambda: data.Parallel([[1]], [0]), "data.Parallel: one counter for each of the 1 functions, not all 0, got [0]"),
    (lambda: data.Parallel([[1]], [-1]), "data.Parallel: one of counters must be a whole number of at least 0, got -1"),
    (lambda: data.Parallel([[1]])([2]), "data.Parallel: argument 0 is no function, got [1]"),
    (lambda: data.BucketByLength([4, 2], [1, 1]), "data.BucketByLength: boundaries are lengths in rising order, got"),
    (lambda: data.BucketByLength([4], [0]), "data.BucketByLength: a batch size must be a whole number of at least 1"),
    (
        lambda: data.BucketByLength([4], [1, 1, 1]),
        "data.BucketByLength: 1 boundaries need 1 batch sizes, or one more for what is longer, got 3",
    ),
    (
        first(data.BucketByLength([2], [1]), [1, 2, 3]),
        "data.BucketByLength: an item of length 3 is longer than the last boundary, 2: give one more batch size, or "
        "leave it out with data.FilterByLength",
    ),
    (lambda: data.FilterByLength(2, 3), "data.FilterByLength: no length is at least 3 and at most 2"),
    (lambda: data.FilterByLength(2.5), "data.FilterByLength: max_length must be a whole number of at least 0, got 2.5"),
    (lambda: data.FilterByLength(2, length_keys=0), "data.FilterByLength: length_keys are numbers of parts"),
    (first(data.FilterByLength(2), 3), "data.FilterByLength: an item has no length on axis 0: 3"),
    (first(data.FilterByLength(2, length_keys=[1]), [3]), "data.FilterByLength: an item has no part 1, it has 1: [3]"),
    (first(data.FilterEmptyExamples([2]), ([1], 2)), "data.FilterEmptyExamples: an item has no part 2, it has 2:"),
    (first(data.Batch(2), [1], [[1]]), "data.Batch: part 0 of the items: arrays of 1 and 2 axes make no batch"),
    (first(data.Batch(2), (1, 2), (1,)), "data.Batch: items have 1 and 2 parts, and make no batch"),
    (
        first(data.Batch(1), ("text", 1)),
        "data.Batch: part 0 of an item is no array of numbers, got 'text': data.Tokenize makes ids of texts",
    ),
    (first(data.Batch(1), [[1], [1, 2]]), "data.Batch: part 0 of an item is no array of numbers, got [[1], [1, 2]]"),
    (first(data.UnBatch(), (onp.ones(2), onp.ones(3))), "data.UnBatch: a batch has parts of as many rows each, got"),
    (first(data.UnBatch(), 3), "data.UnBatch: a batch has parts of as many rows each, got ()"),
    (lambda: data.TruncateToLength({}), "data.TruncateToLength: len_map is a dict from the number of a part, such as"),
    (lambda: data.TruncateToLength({0: -1}), "data.TruncateToLength: a length must be a whole number of at least 0"),
    (
        lambda: data.PadToLength({0: 0}, multiple=True),
        "data.PadToLength: a length must be a whole number",
    ),
    (
        first(data.PadToLength({0: (2, 2)}), [1, 2]),
        "data.PadToLength: part 0 of an item has 1 axes, and 2 are due",
    ),
    (first(data.AddLossWeights(), [1]), "data.AddLossWeights: items are (inputs, targets), got 1 parts"),
    (first(data.AppendValue({0: 1}), 3), "data.AppendValue: part 0 of an item is a single number, got 3"),
    (lambda: data.AppendValue(3), "data.AppendValue: val is a dict from the number of a part, such as {0: 128}, got 3"),
    (lambda: data.CastTo("text"), "data.CastTo: dtype is one of numbers, such as 'int32', got 'text'"),
    (first(data.CastTo("int8"), [300]), "data.CastTo: part 0 of an item goes from 300 to 300, beyond int8"),
    (first(data.CastTo(indices=[1]), [3]), "data.CastTo: an item has no part 1, it has 1: [3]"),
    (first(data.ConcatenateToLMInput(1), ([1], [2])), "data.ConcatenateToLMInput: an item has 2 ids, more than 1"),
    (first(data.ConcatenateToLMInput(), ([1], 2)), "data.ConcatenateToLMInput: items are (inputs, targets), lists of"),
    (first(data.PrefixLM(1, 1), [0.5, 1.5]), "data.PrefixLM: an item is a list of ids, whole numbers, got [0.5, 1.5]"),
    (
        lambda: data.MLM(10, noise_density=1.0),
        "data.MLM: noise_density must be a number above 0 and below 1, got 1.0",
    ),
    (
        first(data.MLM(10), [1, 9]),
        "data.MLM: an item has the id 9, and the 1 sentinels go from 9 to 9: give a larger vocab_size",
    ),
    (lambda: data.Log(write=3), "data.Log: write is a function of a line, got 3"),
    (lambda: data.CountAndSkip(3), "data.CountAndSkip takes a name, got 3"),
    (lambda: data.UniformlySeek("x", 2, 2, 9), "data.UniformlySeek(x): host_id is at most n_hosts - 1, got 2 of 2"),
    (lambda: data.UniformlySeek(), "data.UniformlySeek: dataset_size must be a whole number of at least 1, got None"),
    (lambda: data.Tokenize(vocab_type="subword"), "unknown vocab_type 'subword': did you mean 'subwords'?"),
    (lambda: data.Tokenize(vocab_type="words"), "words need a vocabulary, or a vocab_file with one word in each line"),
    (
        lambda: data.Tokenize(),
        "subwords need a vocab_file that the package tokenizers saved, or a tokenizers.Tokenizer",
    ),
    (lambda: data.tokenizer("words", vocabulary=["a"]), f"the vocabulary of 1 words has no {UNKNOWN!r}, which stands"),
    (lambda: data.tokenizer("words", vocabulary="a b"), "a vocabulary is a list of words, or a dict from word to id"),
    (lambda: data.tokenizer("words", "no/file"), "the vocab_file 'no/file' cannot be read: no such file or directory"),
    (lambda: data.tokenizer("characters", "no/file"), "characters take no vocabulary: their ids are their code points"),
    (first(data.Tokenize(vocab_type="characters"), 3), "data.Tokenize: an item has no text, got 3"),
    (
        first(data.Tokenize([1], "characters"), ("text", 3)),
        "data.Tokenize: part 1 of an item is no text, got 3",
    ),
]


@pytest.mark.parametrize(("act", "message"), BAD, ids=[f"{k}: {row[1][:40]}" for k, row in enumerate(BAD)])
def test_bad_input_is_refused_in_one_line(act: Callable[[], Any], message: str) -> None:
    with pytest.raises(lk.LayerkitError) as caught:
        act()
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
