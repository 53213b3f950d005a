"""Nothing is collected while a backend is imported, and afterwards everything is as it was."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from layerkit.plugins.no_garbage import no_garbage


@pytest.fixture(params=[True, False], ids=["on", "off"])
def was_on(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether the program lets Python collect garbage."""
    before = gc.isenabled()
    (gc.enable if request.param else gc.disable)()
    yield request.param
    (gc.enable if before else gc.disable)()


def test_collections_pause_and_go_on(was_on: bool) -> None:
    with no_garbage():
        assert not gc.isenabled()
    assert gc.isenabled() == was_on


def test_they_go_on_after_a_fault(was_on: bool) -> None:
    with pytest.raises(ZeroDivisionError), no_garbage():
        raise ZeroDivisionError
    assert gc.isenabled() == was_on


@pytest.mark.parametrize("first_to_end", [0, 1])
def test_they_go_on_after_two_threads_at_once(was_on: bool, first_to_end: int) -> None:
    blocks = [no_garbage(), no_garbage()]
    for block in blocks:
        block.__enter__()
    for number in (first_to_end, 1 - first_to_end):
        blocks[number].__exit__(None, None, None)
    assert gc.isenabled() == was_on
