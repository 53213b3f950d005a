"""One table of operations, two backends: the same values and dtypes, the same gradients, in 32 bits, in any thread."""

from __future__ import annotations

import threading
from typing import Any

import numpy as onp
import operations
import pytest

import layerkit as lk
from layerkit import fastmath as fm
from layerkit.fastmath import numpy as np

TABLES = {"np": operations.LANGUAGE, "fastmath": operations.OPERATIONS, "array": operations.METHODS}
ROWS = [
    pytest.param(row, id=f"{table}.{row.name} {place}")
    for table, rows in TABLES.items()
    for place, row in enumerate(rows)
]

# What fastmath offers besides operations on arrays: each is tested where it belongs.
ELSEWHERE = set(
    """
    ArrayError Backend abstract_eval backend_name block_until_ready compilations devices float64 float64_enabled
    is_traced numpy to_device to_host tree_flatten tree_leaves tree_unflatten use_backend
    """.split()
)


@pytest.fixture(scope="module", autouse=True)
def both() -> None:
    pytest.importorskip("jax", reason="backends are compared where jax is installed")


def test_every_name_has_a_row() -> None:
    assert {row.name for row in operations.LANGUAGE} == set(np.NAMES)
    assert {row.name for row in operations.OPERATIONS} == set(fm.__all__) - ELSEWHERE


@pytest.mark.parametrize("name", ["numpy", "jax"])
def test_a_backend_has_every_name_and_no_other(name: str) -> None:
    with lk.use_backend(name) as backend:
        assert {n for n in vars(backend.numpy) if not n.startswith("_")} == set(np.NAMES)
        assert all(callable(getattr(backend.random, n)) for n in fm.random.NAMES)
        assert backend.name == name


def arrays(tree: Any) -> Any:
    """The tree with the active backend's arrays for NumPy's."""
    return fm.nested_map(lambda x: np.asarray(x) if isinstance(x, (onp.ndarray, onp.generic)) else x, tree)


def compute(row: operations.Row) -> list[Any]:
    """What the row gives on the active backend: NumPy arrays, and Python's own numbers as they are."""
    result = row.function(*arrays(row.args), **arrays(row.kwargs))
    return [leaf if type(leaf) in (int, bool) else fm.to_host(leaf) for leaf in fm.tree_leaves(result)]


def assert_alike(got: list[Any], wanted: list[Any], rtol: float = 2e-5, atol: float = 2e-6) -> None:
    assert len(got) == len(wanted)
    for ours, theirs in zip(got, wanted, strict=True):
        if isinstance(ours, (int, bool)) or isinstance(theirs, (int, bool)):
            assert ours == theirs
            continue
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        assert ours.dtype.itemsize <= 4
        onp.testing.assert_allclose(ours, theirs, rtol=2e-3 if ours.dtype == onp.float16 else rtol, atol=atol)


def on(name: str, row: operations.Row) -> list[Any]:
    with lk.use_backend(name):
        return compute(row)


@pytest.mark.parametrize("row", ROWS)
def test_same_values_and_dtypes(row: operations.Row) -> None:
    assert_alike(on("numpy", row), on("jax", row))


def float_places(row: operations.Row) -> tuple[int, ...]:
    """The positions of arguments that hold arrays of floats."""

    def holds_floats(arg: Any) -> bool:
        return any(isinstance(leaf, onp.ndarray) and leaf.dtype.kind == "f" for leaf in fm.tree_leaves(arg))

    return tuple(place for place, arg in enumerate(row.args) if holds_floats(arg))


def gradients(row: operations.Row) -> list[Any]:
    """The gradients of a weighted sum of what the row gives, with respect to its arrays of floats."""
    places, args, kwargs = float_places(row), arrays(row.args), arrays(row.kwargs)

    def loss(*chosen: Any) -> Any:
        filled = list(args)
        for place, value in zip(places, chosen, strict=True):
            filled[place] = value
        total: Any = np.zeros(())
        for leaf in fm.tree_leaves(row.function(*filled, **kwargs)):
            if getattr(leaf, "dtype", None) == onp.float32:
                total = total + np.sum(leaf * onp.cos(onp.arange(leaf.size, dtype="float32")).reshape(leaf.shape))
        return total

    gradient = fm.grad(loss, argnums=tuple(range(len(places))))
    chosen = [args[place] for place in places]
    return fm.tree_leaves(fm.to_host((fm.jit(gradient) if row.traceable else gradient)(*chosen)))


@pytest.mark.parametrize("row", [p for p in ROWS if float_places(p.values[0])])
def test_same_gradients(row: operations.Row) -> None:
    found = {}
    for name in ("numpy", "jax"):
        with lk.use_backend(name):
            found[name] = gradients(row)
    assert_alike(found["numpy"], found["jax"])
    assert all(leaf.dtype == onp.float32 for leaf in found["numpy"] if leaf.dtype.kind == "f")


@pytest.mark.parametrize("name", ["numpy", "jax"])
def test_every_row_works_in_threads(name: str) -> None:
    rows = [p.values[0] for p in ROWS]
    wanted = [on(name, row) for row in rows]
    failures: list[str] = []

    def work(first: int) -> None:
        for place in range(first, len(rows), 4):
            try:
                assert_alike(on(name, rows[place]), wanted[place], rtol=0, atol=0)
            except BaseException as error:
                failures.append(f"{rows[place].name}: {error}")

    threads = [threading.Thread(target=work, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
