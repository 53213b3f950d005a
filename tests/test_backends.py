"""The bundled backends keep every rule of the kit, whose table of operations leaves nothing out."""

from __future__ import annotations

import pytest

import layerkit as lk
from layerkit import fastmath as fm
from layerkit.fastmath import numpy as np
from layerkit.testing.backend_case import BACKENDS, BackendCase
from layerkit.testing.backends import check_backend
from layerkit.testing.more_operations import OPERATIONS
from layerkit.testing.operations import LANGUAGE

# What fastmath offers besides operations on arrays: each is tested where it belongs.
ELSEWHERE = set(
    """
    ArrayError Backend abstract_eval backend_name block_until_ready compilations conv_padding devices float64
    float64_enabled impure is_traced numpy rarely recording scan_over to_device to_host tree_flatten tree_leaves
    tree_unflatten use_backend
    """.split()
)


@pytest.fixture(scope="module", autouse=True)
def both() -> None:
    pytest.importorskip("jax", reason="backends are compared where jax is installed")


def test_every_name_has_a_row() -> None:
    assert {row.name for row in LANGUAGE} == set(np.NAMES)
    assert {row.name for row in OPERATIONS} == set(fm.__all__) - ELSEWHERE


@pytest.mark.parametrize("name", ["numpy", "jax"])
def test_a_backend_has_every_name_and_no_other(name: str) -> None:
    with lk.use_backend(name) as backend:
        assert {n for n in vars(backend.numpy) if not n.startswith("_")} == set(np.NAMES)


@pytest.mark.parametrize("check", BACKENDS.names())
@pytest.mark.parametrize("name", ["numpy", "jax"])
def test_a_backend_keeps_the_rule(name: str, check: str) -> None:
    (result,) = check_backend(name, only=[check]).results
    assert result.status == "passed", result.message


@pytest.mark.parametrize("name", ["numpy", "jax"])
@pytest.mark.parametrize("table", ["np", "array", "fastmath"])
def test_a_kept_table_of_results_is_whole(name: str, table: str) -> None:
    """Every row of every table computes something, so that what is compared is there."""
    for row, result in BackendCase(name).results(table):
        assert isinstance(result, list), f"{row}: {result}"
        assert result, f"{row} gives no array"
