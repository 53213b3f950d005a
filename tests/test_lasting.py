"""The first backend's modules are left out of garbage collections, and nothing else is changed about those."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import gc, weakref
import layerkit as lk
from layerkit.plugins.registry import make_backend

{before}
was_on = gc.isenabled()
make_backend("numpy")
frozen = gc.get_freeze_count()
assert gc.isenabled() == was_on
assert frozen > 20_000
class Node:
    pass
node = Node()
node.itself, dead = node, weakref.ref(node)
del node
gc.collect()
assert dead() is None
make_backend("jax")
assert gc.get_freeze_count() <= frozen
"""


@pytest.mark.parametrize("before", ["pass", "gc.disable()"])
def test_the_first_backend_alone_is_frozen(before: str) -> None:
    subprocess.run([sys.executable, "-c", PROGRAM.format(before=before)], check=True)


def test_a_program_that_freezes_itself_is_left_alone() -> None:
    program = """
import gc
import layerkit as lk
from layerkit.plugins.registry import make_backend

gc.freeze()
frozen = gc.get_freeze_count()
make_backend("numpy")
assert gc.isenabled() and gc.get_freeze_count() <= frozen
"""
    subprocess.run([sys.executable, "-c", program], check=True)
