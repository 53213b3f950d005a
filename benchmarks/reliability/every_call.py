"""Ctrl-C at each place of what a notebook calls, in turn; the same call again may give no other bit.

Run: ``python benchmarks/reliability/every_call.py [--trials 300] [--backend numpy] [--error MemoryError] [--only X]``.
The places are those where Python looks for signals: the beginning of a function, the end of a call, a loop's next turn.
Trials are spread evenly over them. Exits with 1 if an interrupt leaves a context variable changed, or another result.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as onp

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from interrupted import faults

import layerkit as lk
from layerkit import decoding, fastmath
from layerkit import layers as tl
from layerkit.fastmath import numpy as np
from layerkit.optimizers import Adam

KEY = onp.array([0, 3], onp.uint32)
IDS = onp.arange(24, dtype="int32").reshape(4, 6) % 11
ROWS = onp.arange(6, dtype="float32").reshape(3, 2) / 7


def model() -> lk.Layer:
    """A model with state, random draws, a branch, and a layer in two places."""
    twice = tl.Dense(4)
    branches = tl.Branch(tl.Dense(3), tl.Dense(3))
    normed = tl.Residual(tl.LayerNorm(), twice), tl.Residual(twice), tl.BatchNorm()
    return tl.Serial(tl.Embedding(11, 4), *normed, tl.Mean(axis=1), tl.Dropout(0.5), branches, tl.Add())


def initialized() -> lk.Layer:
    layer = model()
    layer.init(lk.i32(4, 6), KEY)
    return layer


def init(layer: lk.Layer) -> Any:
    return layer.init(lk.i32(4, 6), KEY), layer(IDS)


def call(layer: lk.Layer) -> Any:
    layer.state = fastmath.nested_map(np.zeros_like, layer.state)
    return layer(IDS, rng=KEY, training=True), layer.state


def programs() -> Any:
    return fastmath.jit(fastmath.value_and_grad(lambda x: np.sum(np.tanh(x) * 2 + x * x)))


def play(program: Callable[..., Any]) -> Any:
    """Run, recorded twice, and played with other numbers."""
    return [program(ROWS * k) for k in range(5)]


def differentiate(_: Any) -> Any:
    y, back = fastmath.vjp(np.cos, ROWS)
    twice = fastmath.grad(lambda x: np.sum(fastmath.grad(lambda x: np.sum(np.sin(x) * x))(x) ** 2))(ROWS)
    again = fastmath.grad(fastmath.remat(lambda x: np.sum(x**3)))(ROWS)
    return y, back(y), twice, again, fastmath.vmap(lambda row: np.dot(row, row))(ROWS)


def loop(_: Any) -> Any:
    first = np.array(ROWS[0])
    shape = fastmath.abstract_eval(lambda x: fastmath.scan(lambda c, r: (c, c + r), first, x)[1], lk.f32(3, 2)).shape
    return (
        fastmath.scan(lambda carry, row: (carry + row, carry * row), first, ROWS),
        fastmath.scan_over(lambda carry, z, x: (carry + z, z * 2, x), first, ROWS, ROWS),
        fastmath.cond(np.array(True), lambda x: x + 1, lambda x: x - 1, ROWS),
        fastmath.while_loop(lambda n: n < 10, lambda n: n * 2, np.array(1)),
        fastmath.map(np.sum, ROWS),
        np.zeros(shape),
        fastmath.random.randint(KEY, (3,), 0, 9),
    )


def optimize(_: Any) -> Any:
    optimizer = Adam(0.1, clip_grad_norm=1.0)
    weights = (np.array(ROWS), (np.array(ROWS[0]),))
    slots, params = optimizer.tree_init(weights)
    for step in range(2):
        weights, slots, _ = optimizer.tree_update(step, weights, weights, slots, params)
    return weights, slots


def write(_: Any) -> Any:
    ids = decoding.autoregressive_sample(writer(), batch_size=2, max_length=3, rng=KEY)
    return ids, decoding.beam_search(writer(), n_beams=2, batch_size=2, max_length=3)


def writer() -> lk.Layer:
    layer = tl.Serial(tl.ShiftRight(mode="predict"), tl.Embedding(7, 4), tl.GRU(4, mode="predict"), tl.Dense(7))
    layer.init(lk.i32(2, 1), KEY)
    return layer


PROGRAMS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "init": (model, init),
    "a call": (initialized, call),
    "a function inside jit": (programs, play),
    "gradients": (lambda: None, differentiate),
    "loops": (lambda: None, loop),
    "an optimizer by hand": (lambda: None, optimize),
    "decoding": (lambda: None, write),
}


ERRORS = {error.__name__: error for error in (KeyboardInterrupt, MemoryError, RecursionError)}


def main() -> int:
    """Interrupts, calls again, prints, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--backend", default="numpy")
    parser.add_argument("--error", choices=ERRORS, default="KeyboardInterrupt")
    parser.add_argument("--only", choices=PROGRAMS, action="append")
    given = parser.parse_args()
    failed = False
    print("| interrupted | places | interrupts | something left behind, or other bits |\n|---|---|---|---|")
    for name in given.only or PROGRAMS:
        with lk.use_backend(given.backend):
            places, count, found = faults(*PROGRAMS[name], given.trials, ERRORS[given.error])
        print(f"| {name} | {places:,} | {count:,} | {len(found)} |", flush=True)
        print("".join(f"{fault}\n" for fault in found), end="", file=sys.stderr)
        failed = failed or bool(found)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
