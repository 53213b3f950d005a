"""Beam search: the texts that are likely as a whole, which the best id each time need not lead to."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as onp

from layerkit import arguments, fastmath
from layerkit.decoding.following import follower
from layerkit.decoding.request import Limits, check_vocabulary, checked_request, refuse_what_is_not_finite
from layerkit.fastmath import numpy as np
from layerkit.layer import Layer

__all__ = ["Beams", "beam_search"]

_PROGRAMS = 8  # models and sizes whose compiled programs are kept


class Beams(NamedTuple):
    """Several texts for each of a batch, the best first."""

    ids: Any
    """int32 (b, n_beams, n); zeros behind the end of a text."""
    scores: Any
    """float32 (b, n_beams): log-probabilities, divided by the length penalty."""


def beam_search(
    model: Layer,
    inputs: Any = None,
    batch_size: int | None = None,
    n_beams: int = 2,
    start_id: int = 0,
    eos_id: int | None = 1,
    max_length: int = 100,
    length_penalty: float = 1.0,
    *,
    prefix: Any = None,
) -> Beams:
    """Texts y of a high score, log p(y) / ((5 + |y|) / 6)^length_penalty, from the best ``n_beams`` at each length.

    |y| counts the ids that were written, the one that ends the text among them. With one beam it is greedy decoding;
    with as many as there are texts, the best of all are found. The model is left as it was.

    Wu et al., "Google's neural machine translation system", 2016, arXiv 1609.08144, section 7.

    Args:
        model, inputs, batch_size, start_id, eos_id, max_length, prefix: as in ``autoregressive_sample``.
        n_beams: how many texts are followed at a time.
        length_penalty: 0 compares the probabilities of texts, which favours short ones; above it, long ones gain.

    Raises:
        LayerError: as in ``autoregressive_sample``.

    >>> from layerkit import layers as tl
    >>> model = tl.Serial(tl.ShiftRight(), tl.Embedding(3, 3))
    >>> model.weights = ((), np.array([[0, 1, 1.5], [0, 0, 0], [0, 0, 0]], dtype="float32"))
    >>> beam_search(model, max_length=2, length_penalty=0).ids.tolist()
    [[[1, 0], [2, 0]]]
    """
    own = "beam_search"
    n_beams = arguments.whole_number(own, "n_beams", n_beams)
    penalty = arguments.number(own, "length_penalty", length_penalty, at_least=0)
    request, limits = checked_request(own, model, inputs, prefix, batch_size, start_id, eos_id, max_length)
    program = _searcher(model, limits, n_beams, penalty)
    found = program(model.weights, model.state, request.inputs, request.prefix)
    ids, scores, n, bad = fastmath.to_host(found)
    if bad < n:
        refuse_what_is_not_finite(own, model, request, limits, int(bad))
    return Beams(ids[:, :, : int(n)], scores)


class _Live(NamedTuple):
    """The beams of all texts of a batch; b texts, k beams."""

    texts: Any  # (b, k, max_length)
    log_probs: Any  # (b, k)
    lengths: Any  # (b, k)
    done: Any  # (b, k)
    bad: Any  # the first id whose scores are not finite


def _penalized(log_probs: Any, lengths: Any, alpha: float) -> Any:
    return log_probs / ((5.0 + lengths.astype(onp.float32)) / 6.0) ** alpha


def _grown(live: _Live, i: Any, scores: Any, limits: Limits, alpha: float) -> tuple[_Live, Any]:
    """The best of all continuations by one id, and the number of the row that each continues."""
    b, k = live.log_probs.shape
    v = scores.shape[-1]
    new = np.reshape(fastmath.log_softmax(scores[:, -1].astype(onp.float32)), (b, k, v))
    waits = np.where(np.arange(v) == 0, 0.0, -onp.inf)  # a text that has ended goes on in one way, with zeros
    done = np.expand_dims(live.done, -1)
    log_probs = np.expand_dims(live.log_probs, -1) + np.where(done, waits, new)
    lengths = np.where(live.done, live.lengths, i + 1).astype(onp.int32)
    ranked = _penalized(log_probs, np.expand_dims(lengths, -1), alpha)
    _, best = fastmath.top_k(np.reshape(ranked, (b, k * v)), k)
    origin, ids = best // v, (best % v).astype(onp.int32)
    texts = np.take_along_axis(live.texts, np.expand_dims(origin, -1), axis=1)
    done = np.take_along_axis(live.done, origin, axis=1)
    live = _Live(
        fastmath.update_slice(texts, np.expand_dims(ids, -1), i, axis=2),
        np.take_along_axis(np.reshape(log_probs, (b, k * v)), best, axis=1).astype(onp.float32),
        np.take_along_axis(lengths, origin, axis=1),
        done if limits.eos_id is None else done | (ids == limits.eos_id),
        np.where(np.any(np.isnan(scores)), np.minimum(live.bad, i), live.bad).astype(onp.int32),
    )
    return live, np.reshape(origin + k * np.expand_dims(np.arange(b), 1), (b * k,))


@functools.lru_cache(_PROGRAMS)
def _searcher(model: Layer, limits: Limits, k: int, alpha: float) -> Callable[..., Any]:
    """(weights, state, inputs, prefix) -> (ids, scores, how many were written, the first that is not finite)"""
    most = limits.max_length

    def search(weights: Any, state: Any, inputs: Any, prefix: Any) -> Any:
        b = prefix.shape[0]
        follow = follower(model, b * k, prefix.shape[1] + most)
        rows = [None if part is None else np.repeat(part, k, axis=0) for part in (inputs, prefix)]

        def step(carry: Any) -> Any:
            i, live, memory = carry
            last = np.reshape(fastmath.take_rows(np.moveaxis(live.texts, 2, 0), i - 1), (b * k,))
            scores, memory = follow.next(weights, memory, rows[0], last)
            live, order = _grown(live, i, scores, limits, alpha)
            return i + 1, live, follow.reordered(memory, order)

        scores, memory = follow.start(weights, state, rows[0], limits.start_id, rows[1])
        check_vocabulary("beam_search", model, limits, scores)
        only_one = np.where(np.arange(k) == 0, 0.0, -onp.inf)  # all beams are the same so far
        live = _Live(
            np.zeros((b, k, most), onp.int32),
            np.broadcast_to(only_one, (b, k)).astype(onp.float32),
            np.zeros((b, k), onp.int32),
            np.zeros((b, k), bool),
            np.array(most, onp.int32),
        )
        live, order = _grown(live, np.array(0, onp.int32), scores, limits, alpha)
        carry = (np.array(1, onp.int32), live, follow.reordered(memory, order))
        going = lambda carry: (carry[0] < most) & ~np.all(carry[1].done)
        n, live, _ = fastmath.while_loop(going, step, carry)
        return live.texts, _penalized(live.log_probs, live.lengths, alpha), n, live.bad

    return fastmath.jit(search)
