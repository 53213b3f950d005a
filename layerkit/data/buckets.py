"""Batches of items of about one length."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from layerkit.data.batches import Array
from layerkit.data.padding import padded_batch
from layerkit.data.parts import checked_keys, longest
from layerkit.data.stage import Stage, checked_position, position_of, put_back, seek
from layerkit.errors import LayerkitError, UsageError, shown
from layerkit.numbers import whole

__all__ = ["BucketByLength"]


def BucketByLength(
    boundaries: Sequence[int],
    batch_sizes: Sequence[int],
    length_keys: Sequence[int] | None = None,
    length_axis: int = 0,
    strict_pad_on_len: bool = False,
    pad_value: float = 0,
    drop_last: bool = False,
) -> Stage:
    """A stage that makes batches of items whose lengths lie between the same two boundaries.

    An item of length l belongs to the first boundary b with l <= b; its length axis is padded to b, so that jit has few
    shapes to compile. What is left in the buckets at the end comes as short batches.

    Args:
        boundaries: lengths, in rising order.
        batch_sizes: one for each boundary, and perhaps one more, for items longer than the last.
        length_keys: the parts whose largest size is the length; the first two unless given.
        length_axis: the axis that is measured.
        strict_pad_on_len: whether a part is padded to b even where its longest is not half as long; to the next power
            of 2 otherwise.
        pad_value: what fills up.
        drop_last: whether what is left at the end is dropped.

    Raises:
        UsageError: the boundaries do not rise, or there is no size for each.
        LayerkitError: an item is longer than the last boundary, and there is no batch size for it.

    >>> buckets = BucketByLength([2, 4], [2, 1])
    >>> [batch.tolist() for batch in buckets([[1], [2, 2, 2], [3, 3]])]
    [[[2, 2, 2, 0]], [[1, 0], [3, 3]]]
    """
    bounds = [whole("data.BucketByLength: a boundary", bound, 0) for bound in boundaries]
    if not bounds or bounds != sorted(set(bounds)):
        raise UsageError(f"data.BucketByLength: boundaries are lengths in rising order, got {shown(boundaries)}")
    sizes = [whole("data.BucketByLength: a batch size", size, 1) for size in batch_sizes]
    if len(sizes) not in (len(bounds), len(bounds) + 1):
        raise UsageError(
            f"data.BucketByLength: {len(bounds)} boundaries need {len(bounds)} batch sizes, or one more for what is "
            f"longer, got {len(sizes)}"
        )
    keys = None if length_keys is None else checked_keys("BucketByLength", "length_keys", length_keys)
    axis = whole("data.BucketByLength: length_axis", length_axis, 0)
    plan = _Plan(bounds, sizes, keys, axis, strict_pad_on_len, pad_value, drop_last)
    return Stage("BucketByLength", lambda items: _Buckets(items, plan))


@dataclass(frozen=True)
class _Plan:
    """Which items go together, and what batches they make."""

    bounds: list[int]
    sizes: list[int]
    keys: tuple[int, ...] | None
    axis: int
    strict: bool
    pad_value: float
    drop_last: bool

    def bucket(self, item: Any) -> int:
        length = longest("BucketByLength", item, self.keys, self.axis)
        number = bisect.bisect_left(self.bounds, length)
        if number == len(self.sizes):
            raise LayerkitError(
                f"data.BucketByLength: an item of length {length} is longer than the last boundary, {self.bounds[-1]}: "
                f"give one more batch size, or leave it out with data.FilterByLength"
            )
        return number

    def batch(self, number: int, items: list[Any]) -> Any:
        sizes = self._sizes(self.bounds[number]) if number < len(self.bounds) else None
        return padded_batch("BucketByLength", items, self.pad_value, sizes)

    def _sizes(self, bound: int) -> Callable[[int, list[Array]], list[int] | None]:
        def sizes(key: int, arrays: list[Array]) -> list[int] | None:
            measured = (0, 1) if self.keys is None else self.keys
            if key not in measured or any(array.ndim <= self.axis for array in arrays):
                return None
            full = [max(axis) for axis in zip(*(array.shape for array in arrays), strict=True)]
            here = full[self.axis]
            full[self.axis] = bound if self.strict or 2 * here >= bound else 1 << max(here - 1, 0).bit_length()
            return full

        return sizes


@dataclass(frozen=True)
class _Held:
    """An item that waits in a bucket: its number, where the source was before it, and itself."""

    number: int
    before: Any
    item: Any


class _Buckets(Iterator[Any]):
    """Its position is the source's before the oldest item that waits, and which of the items since then do."""

    def __init__(self, source: Any, plan: _Plan) -> None:
        self._source, self._plan = source, plan
        self._held: list[list[_Held]] = [[] for _ in plan.sizes]
        self._read = 0

    def __next__(self) -> Any:
        while True:
            before = position_of(self._source)
            try:
                item = next(self._source)
                number = self._plan.bucket(item)
                held = [*self._held[number], _Held(self._read, before, item)]
                full = len(held) == self._plan.sizes[number]
                batch = self._batch(number, held) if full else None
                self._held[number], self._read = [] if full else held, self._read + 1
            except StopIteration:
                return self._left()
            except KeyboardInterrupt:
                put_back(self._source, before)
                raise
            if full:
                return batch

    def _batch(self, number: int, held: list[_Held]) -> Any:
        return self._plan.batch(number, [one.item for one in held])

    def _left(self) -> Any:
        number = next((n for n, held in enumerate(self._held) if held and not self._plan.drop_last), None)
        if number is None:
            raise StopIteration
        batch = self._batch(number, self._held[number])
        self._held[number] = []
        return batch

    @property
    def position(self) -> Any:
        here = position_of(self._source)
        if here is None:
            return None
        held = sorted((held for bucket in self._held for held in bucket), key=lambda held: held.number)
        first, before = (held[0].number, held[0].before) if held else (self._read, here)
        waiting = [one.number - first for one in held]
        return {
            "stage": "BucketByLength",
            **self._settings,
            "source": before,
            "read": self._read - first,
            "waiting": waiting,
        }

    @property
    def _settings(self) -> dict[str, Any]:
        return {"boundaries": self._plan.bounds, "batch_sizes": self._plan.sizes}

    def seek(self, position: Any) -> None:
        saved = checked_position("BucketByLength", position, self._settings)
        seek(self._source, saved["source"], "BucketByLength")
        self._held = [[] for _ in self._plan.sizes]
        waiting, self._read = set(saved["waiting"]), 0
        while self._read < saved["read"]:
            before, item = position_of(self._source), next(self._source)
            if self._read in waiting:
                self._held[self._plan.bucket(item)].append(_Held(self._read, before, item))
            self._read += 1
