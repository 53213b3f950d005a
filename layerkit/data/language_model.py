"""Stages that make tasks for language models of running text."""

from __future__ import annotations

from typing import Any

import numpy as np

from layerkit.data.batches import Array
from layerkit.data.order import shuffled
from layerkit.data.padding import numbers
from layerkit.data.stage import Blocks, Stage
from layerkit.errors import LayerkitError, shown
from layerkit.numbers import real, whole

__all__ = ["MLM", "PrefixLM"]


def PrefixLM(input_length: int = 128, output_length: int = 512) -> Stage:
    """A stage that cuts ids into (inputs, targets) of fixed lengths, which follow one another.

    ids: (l,)    inputs: (input_length,)    targets: (output_length,)    What is left of an item at its end is dropped.

    Raises:
        LayerkitError: an item is no list of ids.

    >>> [(x.tolist(), y.tolist()) for x, y in PrefixLM(1, 2)([[1, 2, 3, 4, 5, 6, 7]])]
    [([1], [2, 3]), ([4], [5, 6])]
    """
    first = whole("data.PrefixLM: input_length", input_length, 1)
    both = first + whole("data.PrefixLM: output_length", output_length, 1)

    def cut(source: Any, number: int) -> list[tuple[Array, Array]]:
        ids = _ids("PrefixLM", next(source))
        starts = range(0, len(ids) - both + 1, both)
        return [(ids[start : start + first], ids[start + first : start + both]) for start in starts]

    return Stage(
        "PrefixLM", lambda items: Blocks("PrefixLM", items, cut, {"input_length": first, "output_length": both - first})
    )


def MLM(
    vocab_size: int,
    max_length: int | None = None,
    noise_density: float = 0.15,
    mean_noise_span_length: float = 3.0,
    seed: int = 0,
) -> Stage:
    """A stage that hides spans of ids: (what is left, what was hidden).    ids: (l,)

    Each hidden span leaves one sentinel among the inputs, and follows it in the targets; the sentinels are the
    largest ids, vocab_size - 1, vocab_size - 2, ... Text and spans alternate, beginning with text; their lengths are
    drawn evenly among all that add up.

    Raffel et al., "Exploring the limits of transfer learning with a unified text-to-text transformer", JMLR 21, 2020.

    Args:
        vocab_size: number of ids, sentinels included.
        max_length: items are cut into pieces of at most so many ids; not cut unless given. A piece of one id is
            dropped: nothing can be hidden there.
        noise_density: the share of ids to hide, in (0, 1).
        mean_noise_span_length: how long a span is on average, at least 1.
        seed: with the item's number it decides which are hidden: a whole number from 0 to 2**64 - 1.

    Raises:
        LayerkitError: an item is no list of ids, or its ids reach into the sentinels.

    >>> [(inputs, targets)] = MLM(100, noise_density=0.5, mean_noise_span_length=2)([[1, 2, 3, 4]])
    >>> inputs.tolist(), targets.tolist()
    ([1, 2, 99], [99, 3, 4])
    """
    vocab_size, seed = whole("data.MLM: vocab_size", vocab_size, 2), whole("data.MLM: seed", seed, 0)
    length = None if max_length is None else whole("data.MLM: max_length", max_length, 2)
    density = real("data.MLM: noise_density", noise_density, above=0, below=1)
    mean_span = real("data.MLM: mean_noise_span_length", mean_noise_span_length, at_least=1)

    def hide(source: Any, number: int) -> list[tuple[Array, Array]]:
        ids = _ids("MLM", next(source))
        size = length or max(len(ids), 1)
        pieces = [ids[start : start + size] for start in range(0, len(ids), size)]
        made = []
        for index, piece in enumerate(pieces):
            if len(piece) >= 2:
                starts = _borders(len(piece), density, mean_span, (seed, number, index))
                made.append(_hidden(piece, starts, vocab_size))
        return made

    settings = {
        "vocab_size": vocab_size,
        "max_length": length or 0,
        "noise_density": density,
        "mean_noise_span_length": mean_span,
        "seed": seed,
    }
    return Stage("MLM", lambda items: Blocks("MLM", items, hide, settings))


def _borders(n: int, density: float, mean_span: float, key: tuple[int, int, int]) -> Array:
    """Where text and spans begin, and the end: (2 spans + 1,)."""
    n_hidden = min(max(round(n * density), 1), n - 1)
    n_spans = min(max(round(n_hidden / mean_span), 1), n_hidden, n - n_hidden)
    seed, number, piece = key
    text = _lengths(n - n_hidden, n_spans, (seed, number, 2 * piece))
    spans = _lengths(n_hidden, n_spans, (seed, number, 2 * piece + 1))
    return np.concatenate([[0], np.cumsum(np.stack([text, spans], 1).ravel())])


def _lengths(total: int, count: int, key: tuple[int, int, int]) -> Array:
    """``count`` lengths of at least 1 that add up to ``total``: (count,)."""
    cuts = np.sort(shuffled(total - 1, *key)[: count - 1]) + 1
    return np.diff(np.concatenate([[0], cuts, [total]]))


def _hidden(ids: Array, borders: Array, vocab_size: int) -> tuple[Array, Array]:
    n_spans = len(borders) // 2
    if ids.max() >= vocab_size - n_spans:
        raise LayerkitError(
            f"data.MLM: an item has the id {ids.max()}, and the {n_spans} sentinels go from {vocab_size - n_spans} to "
            f"{vocab_size - 1}: give a larger vocab_size"
        )
    inputs, targets = [], []
    for span in range(n_spans):
        sentinel = np.array([vocab_size - 1 - span], ids.dtype)
        start, middle, end = borders[2 * span : 2 * span + 3]
        inputs += [ids[start:middle], sentinel]
        targets += [sentinel, ids[middle:end]]
    return np.concatenate(inputs), np.concatenate(targets)


def _ids(name: str, item: Any) -> Array:
    ids = numbers(name, item[0] if isinstance(item, tuple) and len(item) == 1 else item, 0)
    if not ids.size:
        return np.zeros(0, np.int32)
    if ids.ndim != 1 or ids.dtype.kind not in "iu":
        raise LayerkitError(f"data.{name}: an item is a list of ids, whole numbers, got {shown(item)}")
    return ids
