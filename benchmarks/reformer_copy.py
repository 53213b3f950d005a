"""Does a ReformerLM learn to copy: 0, w, 0, w, with half of the length in each w, attending by buckets alone?

    python benchmarks/reformer_copy.py --length 1024 --steps 300

The task of section 5 of Kitaev et al., "Reformer", ICLR 2020: ids of w are random, and those of the second half count.
Positions are those of a grid with rows as long as w: the place to copy from has the column of the place to write.
Prints the loss, and the share of tokens of the second half that are right on texts that were not trained on; exit code
1 below ``--target``. ``--attention full`` is for comparison.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as onp

import layerkit as lk
from layerkit import layers as tl
from layerkit import models, optimizers


def texts(length: int, batch: int, vocab_size: int, seed: int) -> Iterator[tuple[Any, Any, Any]]:
    """(ids, targets, weights): 0 w 0 w, where the second w counts."""
    generator = onp.random.default_rng(seed)
    half = length // 2
    weights = onp.broadcast_to((onp.arange(length) > half).astype("float32"), (batch, length))
    while True:
        w = generator.integers(1, vocab_size, (batch, half - 1))
        one = onp.concatenate([onp.zeros((batch, 1), int), w], axis=1)
        ids = onp.concatenate([one, one], axis=1).astype("int32")
        yield ids, ids, weights


def model(options: argparse.Namespace) -> lk.Layer:
    kinds = {
        "full": partial(tl.SelfAttention, share_qk=True),
        "lsh": partial(tl.LSHSelfAttention, chunk_len=options.chunk, n_hashes=options.hashes, n_parallel_heads=None),
    }
    return models.ReformerLM(
        options.vocab,
        d_model=options.width,
        d_ff=2 * options.width,
        d_attention_key=options.width // 2,
        d_attention_value=options.width // 2,
        n_layers=options.layers,
        n_heads=2,
        dropout=0.0,
        max_len=options.length,
        pos_axial_shape=(3, options.length // 2 - 1),
        pos_d_axial_embs=(options.width // 4, options.width - options.width // 4),
        attention_type=kinds[options.attention],
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--attention", choices=["lsh", "full"], default="lsh")
    parser.add_argument("--target", type=float, default=0.99)
    parser.add_argument("--rate", type=float, default=1e-3)
    for name, default in [("length", 1024), ("steps", 300), ("batch", 8), ("vocab", 32), ("width", 64), ("layers", 1)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    for name, default in [("chunk", 64), ("hashes", 4)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()

    started = time.perf_counter()
    train = lk.TrainTask(
        texts(options.length, options.batch, options.vocab, 0),
        tl.WeightedCategoryCrossEntropy(),
        optimizers.Adam(options.rate),
        n_steps_per_checkpoint=max(options.steps // 10, 1),
    )
    check = lk.EvalTask(
        texts(options.length, options.batch, options.vocab, 1), [tl.WeightedCategoryAccuracy()], n_eval_batches=4
    )
    loop = lk.Loop(model(options), [train], eval_tasks=[check])
    loop.run(options.steps)
    right = loop.history.get("eval", "WeightedCategoryAccuracy")[-1][1]
    print(f"length {options.length}, {options.steps} steps, {time.perf_counter() - started:.0f} s: {right:.2%} right")
    return int(right < options.target)


if __name__ == "__main__":
    raise SystemExit(main())
