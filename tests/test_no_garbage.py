"""Nothing is collected while a backend is imported, and afterwards everything is as it was."""

from __future__ import annotations

import gc
import weakref

import pytest

from layerkit.plugins.no_garbage import no_garbage


@pytest.mark.parametrize("was_on", [True, False])
def test_collections_pause_and_go_on(was_on: bool) -> None:
    before = gc.isenabled()
    try:
        (gc.enable if was_on else gc.disable)()
        with no_garbage():
            assert not gc.isenabled()
            made = [[number] for number in range(100)]
        assert not set(map(id, made)) & set(map(id, gc.get_objects(generation=0)))
        assert set(map(id, made)) <= set(map(id, gc.get_objects(generation=2)))
        assert gc.isenabled() == was_on
        with pytest.raises(ZeroDivisionError), no_garbage():
            raise ZeroDivisionError
        assert gc.isenabled() == was_on
        assert gc.get_freeze_count() == 0
    finally:
        (gc.enable if before else gc.disable)()


def test_what_somebody_froze_stays_so() -> None:
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        with no_garbage():
            pass
        assert 0 < gc.get_freeze_count() <= frozen
    finally:
        gc.unfreeze()


def test_garbage_of_that_time_is_still_found() -> None:
    class Node:
        itself: object = None

    with no_garbage():
        node = Node()
        node.itself, dead = node, weakref.ref(node)
        del node
    gc.collect()
    assert dead() is None


@pytest.mark.parametrize("first_to_end", [0, 1])
def test_they_go_on_after_two_threads_at_once(first_to_end: int) -> None:
    assert gc.isenabled()
    blocks = [no_garbage(), no_garbage()]
    for block in blocks:
        block.__enter__()
    for number in (first_to_end, 1 - first_to_end):
        blocks[number].__exit__(None, None, None)
    assert gc.isenabled()
