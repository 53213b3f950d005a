"""The next id from its scores: the best, or one drawn from those that are likely enough."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as onp

from layerkit import arguments, fastmath
from layerkit.fastmath import numpy as np
from layerkit.fastmath import random
from layerkit.layer import LayerError

__all__ = ["Choice", "checked_choice", "choose"]


class Choice(NamedTuple):
    """How an id is chosen."""

    temperature: float
    top_k: int | None
    top_p: float | None


def checked_choice(function: str, temperature: Any, top_k: Any, top_p: Any) -> Choice:
    """The choice, if its arguments make one."""
    if top_p is not None:
        top_p = arguments.number(function, "top_p", top_p, above=0, at_most=1)
    return Choice(
        arguments.number(function, "temperature", temperature, at_least=0),
        None if top_k is None else arguments.whole_number(function, "top_k", top_k),
        top_p,
    )


def choose(scores: Any, choice: Choice, key: Any) -> Any:
    """Ids drawn with probabilities softmax(scores / temperature), of those that may be.    (b, v) -> int32 (b,)

    >>> scores = np.array([[1.0, 3.0, 2.0]])
    >>> choose(scores, Choice(0.0, None, None), random.get_prng(0)).tolist()
    [1]
    """
    if choice.temperature == 0:
        return np.argmax(scores, axis=-1).astype(onp.int32)
    scores = scores.astype(onp.float32) / choice.temperature
    if choice.top_k is not None:
        if choice.top_k > scores.shape[-1]:
            raise LayerError(f"top_k={choice.top_k} is more than the {scores.shape[-1]} ids there are")
        least = fastmath.top_k(scores, choice.top_k)[0][:, -1:]
        scores = np.where(scores < least, -onp.inf, scores)
    if choice.top_p is not None:
        scores = _nucleus(scores, choice.top_p)
    return random.categorical(key, scores).astype(onp.int32)


def _nucleus(scores: Any, top_p: float) -> Any:
    """The scores of the fewest ids that have ``top_p`` of the probability together; -inf for the others."""
    falling, _ = fastmath.top_k(scores, scores.shape[-1])
    shares = fastmath.softmax(falling)
    before = np.cumsum(shares, axis=-1) - shares
    least = np.min(np.where(before < top_p, falling, onp.inf), axis=-1, keepdims=True)
    return np.where(scores < least, -onp.inf, scores)
