"""Numbers to feed layers, and how near two results have to be."""

from __future__ import annotations

from typing import Any

import numpy as onp

from layerkit import fastmath

__all__ = ["near", "numbers"]


def numbers(*shape: int, seed: int = 0) -> Any:
    """Normal float32 numbers; other ones for every seed."""
    return onp.random.default_rng(seed).normal(size=shape).astype("float32")


def near(found: Any, expected: Any, tolerance: float = 2e-6) -> None:
    """Fails unless all numbers agree to ``tolerance``, relative or absolute."""
    found, expected = fastmath.to_host(found), fastmath.to_host(expected)
    onp.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
