"""Writing 64 ids with a memory against a jax.lax.scan written by hand: python benchmarks/decoding.py

The model is ``TransformerLM``: 4 blocks, d 256, 4 heads, d_ff 1024, 1,000 ids, room for 64; greedy, one text. The scan
has the same weights and must write the same ids. Samples of both take turns, each first as often; a figure is the
median, with the middle half of the samples in brackets; the target holds for CPU time and by the clock.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import layerkit as lk
from layerkit import decoding, fastmath, models

TARGET, IDS, D, HEADS, BLOCKS, ROOM = 0.95, 1000, 256, 4, 4, 64


def normalized(x: Any, scale: Any, bias: Any) -> Any:
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / jnp.sqrt(var + 1e-6) * scale + bias


def attended(x: Any, keys: Any, values: Any, position: Any, w: Any) -> Any:
    """One position's attention over those before it, and the memory with its own key and value."""
    q, k, v = (jnp.reshape(x @ w[i] + w[i + 1], (-1, HEADS, 1, D // HEADS)) for i in (0, 2, 4))
    keys = jax.lax.dynamic_update_slice(keys, k, (0, 0, position, 0))
    values = jax.lax.dynamic_update_slice(values, v, (0, 0, position, 0))
    scores = jnp.einsum("bhqd,bhkd->bhqk", q, keys) / (D // HEADS) ** 0.5
    scores = jnp.where(jnp.arange(ROOM) <= position, scores, -1e30)
    mixed = jnp.einsum("bhqk,bhkd->bhqd", jax.nn.softmax(scores), values)
    return mixed.reshape(-1, D) @ w[6] + w[7], keys, values


def by_hand(leaves: list[Any], rows: int) -> Any:
    """ids (rows, ROOM)"""
    table, places, *rest = leaves
    blocks = [rest[16 * i : 16 * (i + 1)] for i in range(BLOCKS)]
    scale, bias, kernel, kernel_bias = rest[16 * BLOCKS :]

    def step(carry: Any, position: Any) -> Any:
        ids, memory = carry
        x, kept = table[ids] + places[position], []
        for w, (keys, values) in zip(blocks, memory, strict=True):
            y, keys, values = attended(normalized(x, w[0], w[1]), keys, values, position, w[2:10])
            x = x + y
            x = x + jax.nn.relu(normalized(x, w[10], w[11]) @ w[12] + w[13]) @ w[14] + w[15]
            kept.append((keys, values))
        ids = jnp.argmax(normalized(x, scale, bias) @ kernel + kernel_bias, -1).astype(jnp.int32)
        return (ids, kept), ids

    empty = jnp.zeros((rows, HEADS, ROOM, D // HEADS))
    first = (jnp.zeros(rows, jnp.int32), [(empty, empty)] * BLOCKS)
    return jax.lax.scan(step, first, jnp.arange(ROOM))[1].T


def seconds(work: Callable[[], Any]) -> tuple[float, float]:
    """(of the clock, of the processor)"""
    start, busy = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - start, time.process_time() - busy


def said(name: str, times: list[tuple[float, float]], rows: int) -> tuple[float, float]:
    """Prints a line; the median times, of the clock and of the processor."""
    wall, busy = zip(*times, strict=True)
    low, middle, high = statistics.quantiles(wall, n=4)
    rate, used = rows * ROOM, 1000 * statistics.median(busy) / ROOM
    print(f"{name:21s} {rate / middle:8.0f} ids/s [{rate / high:.0f}, {rate / low:.0f}], {used:.2f} ms of CPU a step")
    return middle, used


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1)
    parser.add_argument("--samples", type=int, default=20)
    rows, samples = parser.parse_args().rows, parser.parse_args().samples
    with lk.use_backend("jax"):
        model = models.TransformerLM(IDS, D, 4 * D, BLOCKS, HEADS, ROOM, mode="predict")
        model.init(lk.i32(1, 1), fastmath.random.get_prng(0))
        leaves = fastmath.tree_leaves(model.weights)
        compiled = jax.jit(by_hand, static_argnums=1)
        hand = lambda: np.asarray(compiled(leaves, rows))
        ours = lambda: decoding.autoregressive_sample(
            model, batch_size=rows, temperature=0, eos_id=None, max_length=ROOM
        )
        if not np.array_equal(hand(), ours()):
            print("the two do not write the same ids")
            return 1
        times: list[list[tuple[float, float]]] = [[], []]
        for turn in range(samples):
            for which in (0, 1) if turn % 2 else (1, 0):
                times[which].append(seconds((hand, ours)[which]))
    scan, sample = [
        said(name, of, rows) for name, of in zip(("scan by hand", "autoregressive_sample"), times, strict=True)
    ]
    clock, busy = scan[0] / sample[0], scan[1] / sample[1]
    print(f"ratio: {busy:.2f} in CPU time, {clock:.2f} by the clock (target {TARGET})")
    return int(min(busy, clock) < TARGET)


if __name__ == "__main__":
    sys.exit(main())
