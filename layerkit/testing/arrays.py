"""Numbers to try a layer on: drawn from signatures, or made of the arrays that were given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as onp

from layerkit.shapes import ShapeDtype

__all__ = ["DOMAINS", "draw", "narrow", "perturbed", "shuffled", "strided"]

DOMAINS = ("normal", "positive")
"""Where numbers are drawn from: a normal distribution, or between 0.1 and 0.9, as a logarithm needs."""


def draw(signatures: Sequence[ShapeDtype], seed: int, domain: str = "normal") -> tuple[Any, ...]:
    """Arrays of these signatures: other ones for every seed, ids below their ``max`` (10 if there is none)."""
    generator = onp.random.default_rng(seed)
    return tuple(_draw(generator, of, domain) for of in signatures)


def _draw(generator: onp.random.Generator, of: ShapeDtype, domain: str) -> Any:
    if of.dtype.kind == "b":
        return onp.asarray(generator.random(of.shape) < 0.5)
    if of.dtype.kind in "iu":
        return onp.asarray(generator.integers(0, of.max or 10, of.shape)).astype(of.dtype)
    numbers = generator.normal(size=of.shape) if domain == "normal" else generator.uniform(0.1, 0.9, of.shape)
    return onp.asarray(numbers).astype(of.dtype)


def narrow(array: Any) -> Any:
    """An array, or a list of numbers, in 32 bits at most, as a call of a layer narrows it."""
    made = onp.asarray(array)
    if made.dtype.itemsize == 8 and made.dtype.kind in "fiu":
        return made.astype(f"{made.dtype.kind}4")
    return made


def shuffled(arrays: Sequence[Any], seed: int) -> tuple[Any, ...]:
    """Copies of the arrays with their rows moved on by ``seed`` places, all in the same way."""
    return tuple(onp.roll(array, seed, axis=0) if onp.ndim(array) else onp.array(array) for array in arrays)


def perturbed(array: Any) -> Any:
    """Numbers near those of an array: fresh weights are often ones and zeros, which hide mistakes."""
    if array.dtype.kind in "biu":
        return onp.array(array)
    generator = onp.random.default_rng(3)
    return onp.asarray(array + 0.1 * generator.normal(size=array.shape)).astype(array.dtype)


def strided(array: Any) -> Any:
    """The same numbers, column by column in memory, backwards, with gaps between them."""
    if not array.ndim:
        return array
    return onp.asfortranarray(onp.repeat(array[::-1], 2, axis=0))[::-2]
