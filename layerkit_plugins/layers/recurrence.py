"""A recurrent unit walked along a sequence in one loop, whose gradient multiplies matrices once, not at every step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from layerkit import fastmath
from layerkit.fastmath import numpy as np

__all__ = ["recur"]

Products = Sequence[Callable[[Any], Any]]
Step = Callable[[Any, Any, Products], Any]
"""``step(x, carry, products)`` gives the next carry; ``products[i](a)`` is a @ kernels[i], asked for once each."""


def recur(step: Step, kernels: tuple[Any, ...], xs: Any, carry: Any, mask: Any = None) -> tuple[Any, Any]:
    """The carries after every step, stacked along a first axis, and the last one.

    An automatic gradient adds to the gradient of a kernel at every step, which is as much work as the product itself.
    Here the steps back only note what each product gets; the kernels' gradients are one product over all steps.

    Args:
        step: what happens at a step, written with plain functions of arrays; all it knows of the weights are its
            products.
        kernels: matrices (n, m).
        xs: a tree of arrays (length, batch, ...), what comes in at each step.
        carry: a tree of arrays (batch, n).
        mask: truth values (length, batch, 1); a step where it does not hold leaves the carry as it is.
    """
    walk = fastmath.custom_vjp(
        lambda *args: _forward(step, *args)[0],
        lambda *args: _forward(step, *args),
        lambda kept, slopes: _backward(step, kept, slopes),
    )
    found: tuple[Any, Any] = walk(kernels, xs, carry, () if mask is None else mask)
    return found


def _forward(step: Step, kernels: Any, xs: Any, carry: Any, mask: Any) -> Any:
    """((carries, last), what the gradient needs)."""

    def take_step(before: Any, x: Any) -> Any:
        of_products: list[Any] = [None] * len(kernels)

        def product(number: int) -> Callable[[Any], Any]:
            def multiply(a: Any) -> Any:
                y = np.matmul(a, kernels[number])
                of_products[number] = (a, y)
                return y

            return multiply

        after = _where(x[1], step(x[0], before, [product(i) for i in range(len(kernels))]), before)
        return after, (after, tuple(of_products))

    last, (carries, of_products) = fastmath.scan(take_step, carry, (xs, mask))
    return (carries, last), (kernels, xs, carry, mask, carries, of_products)


def _backward(step: Step, kept: Any, slopes: Any) -> Any:
    kernels, xs, carry, mask, carries, of_products = kept
    of_carries, of_last = slopes
    befores = _pairwise(_before, carry, carries)
    turned = [np.transpose(kernel) for kernel in kernels]

    def step_back(slope: Any, x: Any) -> Any:
        more, x, holds, before, of_products = x

        def again(x: Any, before: Any, products: Any) -> Any:
            known = [_known(y, kernel) for y, kernel in zip(products, turned, strict=True)]
            return _where(holds, step(x, before, known), before)

        _, back = fastmath.vjp(again, x, before, tuple(y for _, y in of_products))
        of_x, of_before, of_ys = back(_pairwise(np.add, slope, more))
        return of_before, (of_x, of_ys)

    steps = (of_carries, xs, mask, befores, of_products)
    of_carry, (of_xs, of_ys) = fastmath.scan(step_back, of_last, steps, reverse=True)
    of_kernels = tuple(
        np.matmul(np.transpose(_rows(a)), _rows(slope)) for (a, _), slope in zip(of_products, of_ys, strict=True)
    )
    return of_kernels, of_xs, of_carry, None


def _known(y: Any, turned: Any) -> Callable[[Any], Any]:
    """The product of which ``y`` came out: nothing is multiplied again, and its slope goes to ``y`` as well as to a."""
    product = fastmath.custom_vjp(
        lambda a, y, turned: y,
        lambda a, y, turned: (y, turned),
        lambda turned, slope: (np.matmul(slope, turned), slope, None),
    )
    return lambda a: product(a, y, turned)


def _rows(x: Any) -> Any:
    return np.reshape(x, (x.shape[0] * x.shape[1], x.shape[2]))


# -- carries: arrays, or tuples of them -------------------------------------------------------------------------------


def _pairwise(f: Callable[[Any, Any], Any], one: Any, other: Any) -> Any:
    if isinstance(one, tuple):
        return tuple(_pairwise(f, a, b) for a, b in zip(one, other, strict=True))
    return f(one, other)


def _where(holds: Any, after: Any, before: Any) -> Any:
    """The carry after a step; the one before it where the mask does not hold."""
    return after if isinstance(holds, tuple) else _pairwise(lambda a, b: np.where(holds, a, b), after, before)


def _before(first: Any, carries: Any) -> Any:
    """The carries that each step began with."""
    return np.concatenate([np.expand_dims(first, 0), carries[:-1]])
