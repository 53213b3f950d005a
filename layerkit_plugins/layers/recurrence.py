"""A recurrent unit walked along a sequence in one loop, and back in another that does only what must wait its turn."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from layerkit import fastmath
from layerkit.fastmath import numpy as np
from layerkit_plugins.layers.recurrent_units import Unit

__all__ = ["recur"]


def recur(unit: Unit, kernels: tuple[Any, ...], xs: tuple[Any, ...], carry: Any, mask: Any = None) -> tuple[Any, Any]:
    """The last array of the carry after every step, stacked along a first axis, and the last carry.

    An automatic gradient goes through the formulas of a step backwards, step by step, and adds to the gradient of a
    kernel each time. Here what the slopes are multiplied with is computed on the way there, where all it is made of is
    at hand, and takes the place of ``xs``; on the way back the slopes take its place; and the gradient of a kernel is
    one product over all steps.

    Args:
        unit: what happens at a step, and its gradient.
        kernels: matrices (n, m).
        xs: for each kernel what is added to its products, (length, batch, m).
        carry: arrays (batch, n), as many as the unit has states.
        mask: truth values (length, batch, 1); a step where it does not hold leaves the carry as it is.
    """
    walk = fastmath.custom_vjp(
        lambda *args: _walk(unit, *args),
        lambda *args: _walk_and_note(unit, *args),
        lambda kept, slopes: _walk_back(unit, kept, slopes),
    )
    found: tuple[Any, Any] = walk(kernels, xs, carry, () if mask is None else mask)
    return found


def _walk(unit: Unit, kernels: Any, xs: Any, carry: Any, mask: Any) -> Any:
    """(outputs, last carry)"""

    def take_step(before: Any, x: Any) -> Any:
        x, holds = x
        after, _ = unit.step(before, _sums(x, kernels))
        after = _where(holds, after, before)
        return after, after[-1]

    last, outputs = fastmath.scan(take_step, carry, (xs, mask))
    return outputs, last


def _walk_and_note(unit: Unit, kernels: Any, xs: Any, carry: Any, mask: Any) -> Any:
    """((outputs, last carry), what the gradient needs)"""

    def take_step(before: Any, x: Any, holds: Any) -> Any:
        after, noted = unit.step(before, _sums(x, kernels))
        of_sums, others = unit.factors(before, after, noted)
        after = _where(holds, after, before)
        return after, of_sums, (after[-1], others)

    last, of_sums, (outputs, others) = fastmath.scan_over(take_step, carry, xs, mask)
    return (outputs, last), (kernels, carry[-1], mask, outputs, of_sums, others)


def _sums(xs: Any, kernels: Any) -> list[Callable[[Any], Any]]:
    return [partial(_sum, x, kernel) for x, kernel in zip(xs, kernels, strict=True)]


def _sum(x: Any, kernel: Any, a: Any) -> Any:
    return x + np.matmul(a, kernel)


def _walk_back(unit: Unit, kept: Any, slopes: Any) -> Any:
    kernels, first, mask, outputs, of_sums, others = kept
    of_outputs, of_last = slopes
    turned = [np.transpose(kernel) for kernel in kernels]
    products = [lambda slope, kernel=kernel: np.matmul(slope, kernel) for kernel in turned]

    def step_back(slope: Any, of_sums: Any, x: Any) -> Any:
        of_output, holds, others = x
        slope = (*slope[:-1], slope[-1] + of_output)
        of_before, of_sums = unit.back(slope, of_sums, others, products)
        return _where(holds, of_before, slope), _where(holds, of_sums, tuple(map(np.zeros_like, of_sums))), ()

    of_carry, of_xs, _ = fastmath.scan_over(step_back, of_last, of_sums, (of_outputs, mask, others), reverse=True)
    given = unit.given(np.concatenate([np.expand_dims(first, 0), outputs])[:-1], others)
    of_kernels = tuple(np.matmul(np.transpose(_rows(a)), _rows(slope)) for a, slope in zip(given, of_xs, strict=True))
    return of_kernels, of_xs, of_carry, None


def _rows(x: Any) -> Any:
    return np.reshape(x, (x.shape[0] * x.shape[1], x.shape[2]))


def _where(holds: Any, these: Any, others: Any) -> Any:
    """The first arrays where the mask holds, else the others; the first if there is no mask."""
    if isinstance(holds, tuple):
        return these
    return tuple(np.where(holds, a, b) for a, b in zip(these, others, strict=True))
