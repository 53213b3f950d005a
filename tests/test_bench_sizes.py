"""Sizes as they are typed, and examples made larger and smaller."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import layerkit as lk
from layerkit.bench import memory
from layerkit.bench.sizes import GRID, Size, parse_sizes, resized, size_of
from layerkit.bench.subjects import cases_of, find


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("example", ["-x-x-"]),
        ("16,128", ["16x-x-", "128x-x-"]),
        ("1,2x-x8", ["1x-x8", "2x-x8"]),
        ("1x2,3x4,5", ["1x2x4", "1x2x5", "1x3x4", "1x3x5"]),
        (" 4 , 4 ", ["4x-x-"]),
    ],
)
def test_sizes_are_understood(text: str, sizes: list[str]) -> None:
    assert list(map(str, parse_sizes(text))) == sizes


def test_the_grid_is_as_large_as_the_messages_say() -> None:
    assert len(parse_sizes("grid")) == len(parse_sizes(GRID)) == 24


@pytest.mark.parametrize("text", ["", "16x20", "1x2x3x4", "0", "-3", "a", "1,,2", "1.5", "1xx2", "²", "9x9x"])
def test_sizes_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(lk.UsageError, match=r"sizes '.*': give batches, as in 16,128, or batches, lengths and widths"):
        parse_sizes(text)


@pytest.mark.parametrize(
    ("inputs", "arguments", "size", "wanted", "and_arguments"),
    [
        ([lk.f32(4, 5)], {"n_units": 3}, Size(16, 20, 256), [lk.f32(16, 256)], {"n_units": 256}),
        ([lk.i32(4, 6, max=10)], {"vocab_size": 10, "d_feature": 8}, Size(2, 9, 16), [lk.i32(2, 9)],
         {"vocab_size": 10, "d_feature": 16}),
        ([lk.f32(4, 6, 8), lk.i32(4, 6)], {}, Size(None, 7), [lk.f32(4, 7, 8), lk.i32(4, 7)], {}),
        ([lk.f32(2, 5, 8)] * 3 + [lk.bool_(2, 1, 1, 5)], {}, Size(3, 11, 16),
         [lk.f32(3, 11, 16)] * 3 + [lk.bool_(3, 1, 1, 11)], {}),
        ([lk.f32(4, 3), lk.i32(4, max=3), lk.f32(4)], {}, Size(8, None, 9), [lk.f32(8, 9), lk.i32(8), lk.f32(8)], {}),
        ([lk.f32(4, 3), lk.f32(4, 3), lk.i32(4, 3)], {}, Size(8, 5, 9), [lk.f32(8, 9), lk.f32(8, 9), lk.i32(8, 9)], {}),
        ([lk.f32(2, 3, 4, 5)], {}, Size(6, 7, 8), [lk.f32(6, 7, 4, 8)], {}),
        ([lk.f32(4, 5), lk.f32(4, 6)], {"n_units": 3}, Size(2, None, 7), [lk.f32(2, 7), lk.f32(2, 14)], {"n_units": 7}),
        ([], {"shape": (4, 3)}, Size(2, 2, 2), [], {"shape": (4, 3)}),
        ([lk.f32()], {}, Size(2), [lk.f32()], {}),
    ],
)  # fmt: skip
def test_examples_are_resized(inputs: Any, arguments: Any, size: Size, wanted: Any, and_arguments: Any) -> None:
    made, given_then = resized(inputs, arguments, size)
    assert list(made) == wanted
    assert given_then == and_arguments
    assert [of.max for of in made] == [of.max for of in inputs]


@given(st.lists(st.tuples(*[st.integers(1, 9)] * 3), min_size=1, max_size=3), st.tuples(*[st.integers(1, 99)] * 3))
def test_nothing_changes_without_a_size_and_twice_is_once(shapes: Any, size: Any) -> None:
    inputs = [lk.f32(*shape) for shape in shapes]
    assert resized(inputs, {}, Size())[0] == tuple(inputs)
    once = resized(inputs[:1], {}, Size(*size))[0]
    assert size_of(once) == Size(*size)
    assert resized(once, {}, Size(*size))[0] == once


def test_a_size_that_makes_no_difference_is_measured_once() -> None:
    labels = [case.label for case in cases_of(find("Embedding"), parse_sizes("2x3,4x5,6"), "forward")]
    assert labels == ["Embedding 2x3x5", "Embedding 2x3x6", "Embedding 2x4x5", "Embedding 2x4x6"]
    assert len(cases_of(find("Adam"), parse_sizes("2x3,4,5x6"), "train")) == 1


def test_arguments_that_were_typed_stay() -> None:
    (case,) = cases_of(find("Dense(7, use_bias=False)"), parse_sizes("2x-x5"), "forward")
    assert case.arguments == {"n_units": 7, "use_bias": False}
    assert case.inputs == (lk.f32(2, 5),)


# -------------------- what fits memory


@pytest.mark.parametrize(
    ("name", "sizes", "mode", "needed"),
    [
        ("Dense", "1x-x1000000", "forward", "12.0 TB"),  # the kernel alone, three times
        ("Dense", "1x-x1000000", "train", "24.0 TB"),
        ("Embedding(1000000000, 1000)", "2x2x-", "forward", "12.0 TB"),
        ("Relu", "1000000x-x1000000", "forward", "12.0 TB"),
        ("Adam", "1000000x-x1000000", "forward", "48.0 TB"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_estimate(name: str, sizes: str, mode: str, needed: str) -> None:
    (case,) = cases_of(find(name), parse_sizes(sizes), mode)
    with pytest.raises(lk.UsageError, match=rf"does not fit memory: it needs at least {needed}, 8.0 GB are free"):
        memory.check_fits(case, 2, 8e9)


def test_what_fits_is_let_through_up_to_the_last_byte() -> None:
    (case,) = cases_of(find("Relu"), parse_sizes("10x-x10"), "forward")
    memory.check_fits(case, 1, 2 * 800)
    with pytest.raises(lk.UsageError, match=r"it needs at least 1\.6 KB, 1\.6 KB are free"):
        memory.check_fits(case, 1, 2 * 800 - 1)


def test_how_far_a_process_grew_is_read_where_the_system_tells() -> None:
    with memory.growth() as grown:
        kept = bytearray(50_000_000)
    assert grown.peak is None or 45e6 < grown.peak < 500e6
    del kept
    with memory.growth() as again:
        pass
    assert again.peak is None or again.peak < 40e6
