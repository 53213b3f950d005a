"""Sizes to measure at: what ``--sizes`` means, and an example made larger or smaller."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from layerkit.errors import UsageError, shown
from layerkit.shapes import ShapeDtype

__all__ = ["AXES", "GRID", "CaseName", "Size", "parse_sizes", "resized", "size_of"]

AXES = ("batch", "length", "width")

GRID = "1,4,16,64,256,1024x16,64x64,256"
"""What ``--sizes grid`` stands for."""

_WIDTHS = {"d_feature", "d_model", "n_units", "n_filters", "filters", "d_hidden"}
"""Arguments of an example that say how wide the output is, in the words that layers use for it."""


class Size(NamedTuple):
    """Batch, length and width; ``None`` where there is no such axis, or where the example's own is meant.

    >>> str(Size(16, None, 256))
    '16x-x256'
    """

    batch: int | None = None
    length: int | None = None
    width: int | None = None

    def __str__(self) -> str:
        return "x".join("-" if part is None else str(part) for part in self)


class CaseName(NamedTuple):
    """What tells a case from all others: the same for what is measured, and in a result.

    >>> CaseName("layer", "Dense(512)", Size(16), "train").label
    'Dense(512) 16x-x-'
    """

    kind: str
    name: str
    size: Size
    mode: str

    @property
    def label(self) -> str:
        """The name, and the size where there is one."""
        return self.name if self.size == Size() else f"{self.name} {self.size}"


def parse_sizes(text: str) -> list[Size]:
    """The sizes of a grid: ``BATCHES`` or ``BATCHESxLENGTHSxWIDTHS``, each numbers with commas between.

    ``-`` leaves an axis as the example has it, ``example`` leaves them all, and ``grid`` stands for a grid of 24.

    Raises:
        UsageError: it is none of that.

    >>> [str(size) for size in parse_sizes("1,16x-x256")]
    ['1x-x256', '16x-x256']
    """
    if not isinstance(text, str):
        raise _not_understood(text)
    wanted = {"grid": GRID, "example": "-"}.get(text.strip(), text)
    parts = [_numbers(part, text) for part in wanted.split("x")]
    if len(parts) not in (1, len(AXES)):
        raise _not_understood(text)
    axes = parts + [[None]] * (len(AXES) - len(parts))
    return list(dict.fromkeys(Size(*sizes) for sizes in itertools.product(*axes)))


def _numbers(part: str, text: str) -> list[int | None]:
    numbers: list[int | None] = []
    for word in part.split(","):
        if word.strip() == "-":
            numbers.append(None)
        elif word.strip().isascii() and word.strip().isdecimal() and int(word) > 0:
            numbers.append(int(word))
        else:
            raise _not_understood(text)
    return numbers


def _not_understood(text: str) -> UsageError:
    return UsageError(
        f"sizes {shown(text)}: give batches, as in 16,128, or batches, lengths and widths, as in 1,16,128x20x256; "
        "'-' leaves one as it is in the example, 'grid' is a grid of 24"
    )


def size_of(inputs: Sequence[ShapeDtype]) -> Size:
    """How long the axes of inputs are that have a meaning here.

    The batch is the first axis of the first input. The width is the last of floating inputs with two axes or more. The
    length is the second of those with three, and of whole numbers with two, unless these are as long as the width.

    >>> from layerkit import f32, i32
    >>> str(size_of([f32(4, 6, 8), i32(4, 6)])), str(size_of([i32(4, 6)]))
    ('4x6x8', '4x6x-')
    """
    batch = inputs[0].shape[0] if inputs and inputs[0].ndim else None
    width = next((of.shape[-1] for of in inputs if _has_width(of)), None)
    length = next((of.shape[1] for of in inputs if of.ndim >= 3 or (of.ndim == 2 and _is_whole(of, width))), None)
    return Size(batch, length, width)


def resized(
    inputs: Sequence[ShapeDtype], arguments: Mapping[str, Any], size: Size
) -> tuple[tuple[ShapeDtype, ...], dict[str, Any]]:
    """An example's inputs and arguments at another size; what the size leaves open stays as it is.

    An axis of another input that is as long as a length or width of the first is taken for the same one. With the width
    go the arguments that say how wide an output is (d_feature, d_model, n_units, n_filters, filters, d_hidden), and the
    last axes of further floating inputs that are multiples of one of these.

    >>> from layerkit import f32, i32
    >>> resized([f32(4, 6, 8), i32(4, 6)], {"d_feature": 8}, Size(2, None, 16))
    ((float32[2,6,16], int32[2,6]), {'d_feature': 16})
    """
    old = size_of(inputs)
    wide = {name: value for name, value in arguments.items() if name in _WIDTHS and type(value) is int and value > 1}
    made = [of.replace(shape=[_axis(of, place, old, size) for place in range(of.ndim)]) for of in inputs]
    if size.width is None:
        return tuple(made), dict(arguments)
    further = [
        of.replace(shape=(*of.shape[:-1], _times(of.shape[-1], wide.values(), size.width)))
        if _has_width(before) and before.shape[-1] != old.width
        else of
        for before, of in zip(inputs[1:], made[1:], strict=True)
    ]
    return (*made[:1], *further), {**arguments, **dict.fromkeys(wide, size.width)}


def _times(length: int, widths: Iterable[int], width: int) -> int:
    """As many times the new width as ``length`` is one of the old widths; ``length`` if it is no multiple of any."""
    return next((length // old * width for old in widths if length % old == 0), length)


def _axis(of: ShapeDtype, place: int, old: Size, new: Size) -> int:
    length = of.shape[place]
    if place == 0:
        return new.batch or length if length == old.batch else length
    if place == of.ndim - 1 and _has_width(of) and length == old.width:
        return new.width or length
    if length == old.length:
        return new.length or length
    return new.width or length if length == old.width else length


def _is_whole(of: ShapeDtype, width: int | None) -> bool:
    return not _is_float(of) and of.shape[1] != width


def _has_width(of: ShapeDtype) -> bool:
    return of.ndim >= 2 and _is_float(of)


def _is_float(of: ShapeDtype) -> bool:
    return of.dtype.kind not in "biu"
