"""Nothing is collected while a backend is imported, and afterwards everything is as it was."""

from __future__ import annotations

import gc

import pytest

from layerkit.plugins.no_garbage import no_garbage


@pytest.mark.parametrize("was_on", [True, False])
def test_collections_pause_and_go_on(was_on: bool) -> None:
    before = gc.isenabled()
    try:
        (gc.enable if was_on else gc.disable)()
        with no_garbage():
            assert not gc.isenabled()
        assert gc.isenabled() == was_on
        with pytest.raises(ZeroDivisionError), no_garbage():
            raise ZeroDivisionError
        assert gc.isenabled() == was_on
        assert gc.get_freeze_count() == 0
    finally:
        (gc.enable if before else gc.disable)()
