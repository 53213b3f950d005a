"""Sampling: each id drawn from the scores that the model gives it, after those before."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as onp

from layerkit import fastmath
from layerkit.decoding.choosing import Choice, checked_choice, choose
from layerkit.decoding.following import Remembering, follower, in_predict_mode
from layerkit.decoding.request import Limits, Request, check_vocabulary, checked_request, refuse_what_is_not_finite
from layerkit.fastmath import numpy as np
from layerkit.fastmath import random
from layerkit.layer import Layer, LayerError

__all__ = ["autoregressive_sample", "autoregressive_sample_stream"]

_PROGRAMS = 8  # models and ways to sample whose compiled programs are kept


def autoregressive_sample(
    model: Layer,
    inputs: Any = None,
    batch_size: int | None = None,
    temperature: float = 1.0,
    start_id: int = 0,
    eos_id: int | None = 1,
    max_length: int = 100,
    *,
    prefix: Any = None,
    top_k: int | None = None,
    top_p: float | None = None,
    rng: Any = None,
) -> Any:
    """Texts that the model writes, each id drawn with the probabilities softmax(scores / temperature).

    On a backend that compiles, all of it is one compiled program. The model is left as it was.

    Args:
        model: gives the scores (b, m, v) of ids (b, m), or of (inputs, ids), and has weights. Made with
            ``mode="predict"`` it computes each position once; else all of them again for each id, with the same result.
        inputs: for a model of two inputs the texts that it reads, (b, l); for one of one input, its ``prefix``.
        batch_size: how many texts to write; 1, or as many as there are inputs, unless given.
        temperature: 0 takes the best id each time; above 1, likely ids lose to unlikely ones.
        start_id: what stands before the first id.
        eos_id: what ends a text, as its last id; behind it are zeros. ``None``: nothing does.
        max_length: how many ids are written at most.
        prefix: what each text begins with, (b, p); it is not part of the result.
        top_k: draws from so many of the best ids alone.
        top_p: draws from the fewest of the best ids that have this share of the probability together (Holtzman et al.,
            "The curious case of neural text degeneration", ICLR 2020, arXiv 1904.09751).
        rng: the random key; the same key draws the same texts. ``fastmath.random.get_prng(0)`` unless given.

    Returns:
        ids, int32 (b, n) on the host, n the length of the longest text.

    Raises:
        LayerError: an argument is out of range or does not fit the model; prefix and max_length are longer than it can.

    >>> from layerkit import layers as tl
    >>> model = tl.Serial(tl.ShiftRight(), tl.Embedding(4, 4))  # the scores of an id are a row of its table
    >>> model.weights = ((), np.array([[0, 0, 9, 0], [9, 0, 0, 0], [0, 0, 0, 9], [0, 9, 0, 0]], dtype="float32"))
    >>> autoregressive_sample(model, temperature=0).tolist()
    [[2, 3, 1]]
    """
    own = "autoregressive_sample"
    choice = checked_choice(own, temperature, top_k, top_p)
    request, limits = checked_request(own, model, inputs, prefix, batch_size, start_id, eos_id, max_length)
    program = _sampler(model, limits, choice)
    key = random.get_prng(0) if rng is None else rng
    ids, n, bad = fastmath.to_host(program(model.weights, model.state, request.inputs, request.prefix, key))
    if bad < n:
        refuse_what_is_not_finite(own, model, request, limits, int(bad))
    return ids[:, : int(n)]


@functools.lru_cache(_PROGRAMS)
def _sampler(model: Layer, limits: Limits, choice: Choice) -> Callable[..., Any]:
    """(weights, state, inputs, prefix, key) -> (ids, how many were written, the first whose scores are not finite)"""
    most = limits.max_length

    def sample(weights: Any, state: Any, inputs: Any, prefix: Any, key: Any) -> Any:
        rows = prefix.shape[0]
        follow = follower(model, rows, prefix.shape[1] + most)

        def put(i: Any, scores: Any, texts: Any, done: Any, bad: Any) -> Any:
            chosen = np.where(done, 0, choose(scores[:, -1], choice, random.fold_in(key, i)))
            done = done if limits.eos_id is None else done | (chosen == limits.eos_id)
            wrong = np.any(np.isnan(scores))
            bad = np.where(wrong, np.minimum(bad, i), bad).astype(onp.int32)
            texts = fastmath.update_slice(texts, np.expand_dims(chosen, 1), i, axis=1)
            return i + 1, chosen, texts, done, bad

        def step(carry: Any) -> Any:
            (i, chosen, texts, done, bad), memory = carry
            scores, memory = follow.next(weights, memory, inputs, chosen)
            return put(i, scores, texts, done, bad), memory

        scores, memory = follow.start(weights, state, inputs, limits.start_id, prefix)
        check_vocabulary("autoregressive_sample", model, limits, scores)
        texts, done = np.zeros((rows, most), onp.int32), np.zeros(rows, bool)
        written = put(np.array(0, onp.int32), scores, texts, done, np.array(most, onp.int32))
        going = lambda carry: (carry[0][0] < most) & ~np.all(carry[0][3])
        (n, _, texts, _, bad), _ = fastmath.while_loop(going, step, (written, memory))
        return texts, n, bad

    return fastmath.jit(sample)


def autoregressive_sample_stream(
    model: Layer,
    inputs: Any = None,
    batch_size: int | None = None,
    temperature: float = 1.0,
    start_id: int = 0,
    *,
    prefix: Any = None,
    top_k: int | None = None,
    top_p: float | None = None,
    rng: Any = None,
) -> Iterator[Any]:
    """The ids of ``autoregressive_sample`` as they are written, without an end: int32 (b,) each, on the host.

    Args:
        model: as in ``autoregressive_sample``, made with ``mode="predict"``.
        inputs, batch_size, temperature, start_id, prefix, top_k, top_p, rng: as in ``autoregressive_sample``.

    Raises:
        LayerError: as in ``autoregressive_sample``; the model is not in predict mode.

    >>> import itertools
    >>> from layerkit import layers as tl
    >>> model = tl.Serial(tl.ShiftRight(mode="predict"), tl.Embedding(3, 3))
    >>> model.weights = ((), np.array([[0, 0, 9], [9, 0, 0], [0, 9, 0]], dtype="float32"))
    >>> [int(ids[0]) for ids in itertools.islice(autoregressive_sample_stream(model, temperature=0), 4)]
    [2, 1, 0, 2]
    """
    own = "autoregressive_sample_stream"
    choice = checked_choice(own, temperature, top_k, top_p)
    request, limits = checked_request(own, model, inputs, prefix, batch_size, start_id, None, 1)
    if not in_predict_mode(model):
        raise LayerError(f"{own}: {model.name} is not in predict mode: make it with mode='predict'")
    return _stream(model, request, limits, choice, rng)


def _stream(model: Layer, request: Request, limits: Limits, choice: Choice, rng: Any) -> Iterator[Any]:
    inputs, prefix = request
    start, follow = _streamer(model, prefix.shape[0], limits, choice)
    key, weights = random.get_prng(0) if rng is None else rng, model.weights
    i = 0
    chosen, wrong, memory = start(weights, inputs, prefix, key)
    while True:
        if bool(fastmath.to_host(wrong)):
            refuse_what_is_not_finite("autoregressive_sample_stream", model, request, limits, i)
        yield fastmath.to_host(chosen)
        i += 1
        chosen, wrong, memory = follow(weights, memory, inputs, chosen, np.array(i, onp.int32), key)


@functools.lru_cache(_PROGRAMS)
def _streamer(model: Layer, rows: int, limits: Limits, choice: Choice) -> tuple[Callable[..., Any], ...]:
    """Two programs: for the first id, and for each of the others."""
    follow = Remembering(model, rows)

    def chosen(i: Any, scores: Any, memory: Any, key: Any) -> Any:
        return choose(scores[:, -1], choice, random.fold_in(key, i)), np.any(np.isnan(scores)), memory

    def first(weights: Any, inputs: Any, prefix: Any, key: Any) -> Any:
        scores, memory = follow.start(weights, (), inputs, limits.start_id, prefix)
        check_vocabulary("autoregressive_sample_stream", model, limits, scores)
        return chosen(0, scores, memory, key)

    def following(weights: Any, memory: Any, inputs: Any, ids: Any, i: Any, key: Any) -> Any:
        return chosen(i, *follow.next(weights, memory, inputs, ids), key)

    return fastmath.jit(first), fastmath.jit(following)
