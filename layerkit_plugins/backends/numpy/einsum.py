"""``einsum`` as matrix products, which BLAS computes several times faster than NumPy's own loop over all letters.

Two operands are one (batched) matrix product; more are taken in pairs, from the left. Written with the methods that
arrays and boxes share, so that it needs no gradient of its own.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as onp

from layerkit.fastmath import ArrayError

__all__ = ["check_einsum", "einsum"]

_LETTERS = "".join(chr(first + i) for first in (ord("a"), ord("A")) for i in range(26))

_Term = tuple[str, Any]
"""An operand: a letter for each axis, and the array."""


def einsum(subscripts: Any, *operands: Any, dtype: Any = None, optimize: Any = None) -> Any:
    """As ``numpy.einsum`` with subscripts in letters; ``optimize`` makes no difference."""
    arrays = [x if hasattr(x, "dtype") else onp.asarray(x) for x in operands]
    labels, result = check_einsum(subscripts, arrays)
    terms = [_without_repeats(label, x) for label, x in zip(labels, arrays, strict=True)]
    term = terms[0]
    for i, other in enumerate(terms[1:], 2):
        term = _contract(term, other, set(result).union(*(label for label, _ in terms[i:])))
    label, x = _sum_out(term, set(result))
    x = x.transpose([label.index(letter) for letter in result])
    return x if dtype is None else x.astype(dtype)


def check_einsum(subscripts: Any, arrays: Sequence[Any]) -> tuple[list[str], str]:
    """The letters of each operand and of the result, if the operands have shapes that fit."""
    if not isinstance(subscripts, str):
        raise ArrayError("np.einsum: write the subscripts as a string, such as 'ij,jk->ik'")
    labels, result = _labels(subscripts, tuple(x.ndim for x in arrays))
    _check_sizes(subscripts, list(zip(labels, arrays, strict=True)))
    return labels, result


@functools.lru_cache(maxsize=1024)
def _labels(subscripts: str, ranks: tuple[int, ...]) -> tuple[list[str], str]:
    """The letters of each operand and of the result, with letters for the axes that an ellipsis stands for."""
    inputs, arrow, result = subscripts.replace(" ", "").partition("->")
    terms = inputs.split(",")
    if len(terms) != len(ranks):
        raise ArrayError(f"np.einsum: {subscripts!r} is for {len(terms)} operands, got {len(ranks)}")
    named = [len(term.replace("...", "")) for term in terms]
    for term, count, rank in zip(terms, named, ranks, strict=True):
        if count > rank or (count < rank and "..." not in term):
            raise ArrayError(f"np.einsum: {subscripts!r} has {term!r} for an operand of {rank} axes")
    unused = "".join(letter for letter in _LETTERS if letter not in subscripts)
    most = max(rank - count for rank, count in zip(ranks, named, strict=True))
    labels = [
        term.replace("...", unused[most - (rank - count) : most])
        for term, count, rank in zip(terms, named, ranks, strict=True)
    ]
    if not arrow:
        letters = inputs.replace(",", "").replace(".", "")
        result = "..." + "".join(letter for letter in sorted(letters) if letters.count(letter) == 1)
    result = result.replace("...", unused[:most])
    unknown = set(result) - set("".join(labels))
    if unknown or len(set(result)) < len(result):
        raise ArrayError(f"np.einsum: {subscripts!r}: the result takes each letter of the operands once at most")
    return labels, result


def _without_repeats(label: str, x: Any) -> _Term:
    """A letter twice in one operand means its diagonal."""
    for letter in sorted(set(label)):
        while label.count(letter) > 1:
            i = label.index(letter)
            j = label.index(letter, i + 1)
            x = x.diagonal(0, i, j)
            label = label[:i] + label[i + 1 : j] + label[j + 1 :] + letter
    return label, x


def _check_sizes(subscripts: str, terms: Sequence[_Term]) -> None:
    sizes: dict[str, int] = {}
    for label, x in terms:
        for letter, size in zip(label, x.shape, strict=True):
            known = sizes.get(letter, 1)
            if size != known and 1 not in (size, known):
                shapes = " and ".join(str(tuple(y.shape)) for _, y in terms)
                raise ArrayError(f"np.einsum: {subscripts!r}: {letter!r} is {known} and {size} in shapes {shapes}")
            sizes[letter] = max(size, known) if size and known else 0


def _contract(left: _Term, right: _Term, wanted: set[str]) -> _Term:
    """The product of two operands, summed over the letters that nobody wants any more."""
    a, x = _sum_out(left, wanted | set(right[0]))
    b, y = _sum_out(right, wanted | set(left[0]))
    sizes = dict(zip(a + b, x.shape + y.shape, strict=True))
    shared = [letter for letter in a if letter in b]
    if any(x.shape[a.index(letter)] != y.shape[b.index(letter)] for letter in shared):
        return _stretch(a, x, b, y, wanted)
    batch = "".join(letter for letter in shared if letter in wanted)
    summed = "".join(letter for letter in shared if letter not in wanted)
    own_a, own_b = ("".join(letter for letter in label if letter not in shared) for label in (a, b))

    def matrices(label: str, z: Any, *sides: str) -> Any:
        order = [label.index(letter) for letter in batch + "".join(sides)]
        shape = [sizes[letter] for letter in batch] + [math.prod(sizes[c] for c in side) for side in sides]
        return z.transpose(order).reshape(shape)

    product = matrices(a, x, own_a, summed) @ matrices(b, y, summed, own_b)
    label = batch + own_a + own_b
    return label, product.reshape([sizes[letter] for letter in label])


def _sum_out(term: _Term, wanted: set[str]) -> _Term:
    label, x = term
    axes = tuple(i for i, letter in enumerate(label) if letter not in wanted)
    return ("".join(letter for letter in label if letter in wanted), x.sum(axes)) if axes else term


def _stretch(a: str, x: Any, b: str, y: Any, wanted: set[str]) -> _Term:
    """Where an axis of 1 meets a longer one under the same letter: only a product of whole arrays broadcasts."""
    label = a + "".join(letter for letter in b if letter not in a)

    def align(own: str, z: Any) -> Any:
        z = z.transpose(sorted(range(len(own)), key=lambda i: label.index(own[i])))
        sizes = iter(z.shape)
        return z.reshape([next(sizes) if letter in own else 1 for letter in label])

    return _sum_out((label, align(a, x) * align(b, y)), wanted)
