"""Does a TransformerLM learn to copy, to reverse, and to add? python benchmarks/sequence_tasks.py --task addition

It reads a question and writes the answer: "31415=31415", "31415=51413", or "57+968=5201", a sum that is written as one
adds, the last digit first. There are up to 10 digits to copy and reverse, and up to 3 in a number; all lengths are as
frequent. One question in ten, by its checksum, is never trained on. The loss counts answers alone. Prints, as it
learns, the share of tokens of such questions' answers that are right where those before them are given; at the end,
the share that is right in what the model writes by itself, greedily, for 1,000 of them. Exit code 1 below ``--target``.
"""

from __future__ import annotations

import argparse
import random
import time
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

import layerkit as lk
from layerkit import decoding, models, optimizers
from layerkit import layers as tl
from layerkit.training import lr_schedules

SIGNS = "_.=+0123456789"  # an id is a place here: 0 fills up, 1 ends an answer
END = SIGNS.index(".")
DIGITS, N_QUESTIONS = 10, 1000
STEPS = {"copy": 600, "reverse": 600, "addition": 2500}


def drawn(task: str, chance: random.Random) -> tuple[str, str]:
    """A question and its answer."""
    if task == "addition":
        a, b = (chance.randrange(10 ** chance.randint(1, 3)) for _ in range(2))
        return f"{a:_>3}+{b:_>3}=", str(a + b)[::-1] + "."  # in columns, as one writes numbers to add them
    word = "".join(chance.choices("0123456789", k=chance.randint(1, DIGITS)))
    return f"{word}=", (word if task == "copy" else word[::-1]) + "."


def room(task: str) -> tuple[int, int]:
    """The longest question, and the longest answer."""
    return (8, 5) if task == "addition" else (DIGITS + 1, DIGITS + 1)


def texts(task: str, batch: int, seed: int, held_out: bool) -> Iterator[tuple[Any, Any, Any]]:
    """(ids, targets, weights): questions that end in the same column, then answers, which alone count."""
    chance = random.Random(seed)
    before, after = room(task)
    while True:
        rows: list[str] = []
        while len(rows) < batch:
            question, answer = drawn(task, chance)
            if (zlib.crc32(question.encode()) % 10 == 0) == held_out:
                rows.append(question.rjust(before, "_") + answer.ljust(after, "_"))
        ids = np.array([[SIGNS.index(sign) for sign in row] for row in rows], np.int32)
        yield ids, ids, ((np.arange(before + after) >= before) & (ids > 0)).astype(np.float32)


def model(options: argparse.Namespace, mode: str | None = None) -> lk.Layer:
    d = options.width
    return models.TransformerLM(len(SIGNS), d, 4 * d, options.layers, 4, sum(room(options.task)), 0.0, mode=mode)


def written(options: argparse.Namespace, weights: Any) -> tuple[float, float]:
    """The shares of tokens and of whole answers that are right in what the model writes."""
    before, after = room(options.task)
    ids, _, counts = next(texts(options.task, N_QUESTIONS, 2, held_out=True))
    writer = model(options, mode="predict")
    writer.weights = weights
    found = decoding.autoregressive_sample(writer, ids[:, :before], temperature=0, eos_id=END, max_length=after)
    found = np.pad(found, [(0, 0), (0, after - found.shape[1])])
    right, counts = found == ids[:, before:], counts[:, before:] > 0
    return float(right[counts].mean()), float((right | ~counts).all(axis=1).mean())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", choices=list(STEPS), required=True)
    parser.add_argument("--target", type=float, default=0.99)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--steps", type=int)
    for name, default in [("batch", 64), ("width", 64), ("layers", 2), ("seed", 0)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    steps = options.steps or STEPS[options.task]

    started, cpu = time.perf_counter(), time.process_time()
    task = lk.TrainTask(
        texts(options.task, options.batch, 0, held_out=False),
        tl.WeightedCategoryCrossEntropy(),
        optimizers.Adam(options.rate, clip_grad_norm=1.0),
        lr_schedule=lr_schedules.cosine(steps - 200, options.rate, n_warmup_steps=200),
        n_steps_per_checkpoint=max(steps // 10, 1),
    )
    check = lk.EvalTask(texts(options.task, 256, 1, held_out=True), [tl.WeightedCategoryAccuracy()])
    loop = lk.Loop(model(options), task, eval_tasks=check, random_seed=options.seed)
    loop.run(steps)
    tokens, answers = written(options, loop.model.weights)
    spent = f"{time.perf_counter() - started:.0f} s, {time.process_time() - cpu:.0f} s of processor time"
    print(f"{options.task}, {steps} steps, {spent}: {tokens:.2%} of tokens right, {answers:.1%} of answers")
    return int(tokens < options.target)


if __name__ == "__main__":
    raise SystemExit(main())
