"""From the start of a process to the end of its first train step: python benchmarks/first_step.py

The notebook's classifier (Embedding 9088 x 256, Mean, Dense 2, LogSoftmax; Adam, batch 16), on layerkit's Loop against
a script that does the same by hand: in NumPy with its own gradients, in jitted JAX. Every sample is a new process; they
take turns, and each says when its step is done: how a process ends is not measured. Figures are medians of the time on
the clock, with the middle half of the samples in brackets, and of the processor's time, which other people's programs
disturb less. ``--cold`` gives every process an empty folder for compiled programs.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

NUMPY = """
import numpy as np
rng = np.random.default_rng(0)
bound = np.float32(np.sqrt(3 / 256))
table = (rng.random((9088, 256), np.float32) * 2 - 1) * bound
kernel = (rng.random((256, 2), np.float32) * 2 - 1) * np.float32(np.sqrt(6 / 258))
params = [table, kernel, np.zeros(2, np.float32)]
m, v = [np.zeros_like(p) for p in params], [np.zeros_like(p) for p in params]
ids = rng.integers(9088, size=(16, 20))
targets, weights = rng.integers(2, size=16), np.ones(16, np.float32)
mean = table[ids].mean(1)
logits = mean @ params[1] + params[2]
shifted = logits - logits.max(1, keepdims=True)
log_probs = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
loss = -(log_probs[np.arange(16), targets] * weights).sum() / weights.sum()
d = np.exp(log_probs)
d[np.arange(16), targets] -= 1
d *= (weights / weights.sum())[:, None]
d_mean = d @ params[1].T
d_table = np.zeros_like(table)
np.add.at(d_table, ids, np.broadcast_to(d_mean[:, None] / np.float32(20), (16, 20, 256)))
for i, g in enumerate([d_table, mean.T @ d, d.sum(0)]):
    m[i] = np.float32(0.9) * m[i] + np.float32(0.1) * g
    v[i] = np.float32(0.999) * v[i] + np.float32(0.001) * g * g
    corrected = np.sqrt(v[i] / np.float32(0.001)) + np.float32(1e-5)
    params[i] = params[i] - np.float32(0.01) * (m[i] / np.float32(0.1)) / corrected
print(float(loss))
"""

JAX = """
import jax, jax.numpy as jnp, numpy as np
rng = np.random.default_rng(0)
ids = rng.integers(9088, size=(16, 20)).astype(np.int32)
batch = ids, rng.integers(2, size=16).astype(np.int32), np.ones(16, np.float32)
@jax.jit
def start(key):
    first, second = jax.random.split(key)
    bound = (3 / 256) ** 0.5
    params = {
        "table": jax.random.uniform(first, (9088, 256), minval=-bound, maxval=bound),
        "kernel": jax.random.uniform(second, (256, 2), minval=-0.15, maxval=0.15),
        "bias": jnp.zeros(2),
    }
    return params, jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params), jnp.zeros((), int)
def loss_of(params, ids, targets, weights):
    log_probs = jax.nn.log_softmax(params["table"][ids].mean(1) @ params["kernel"] + params["bias"])
    picked = jnp.take_along_axis(log_probs, targets[:, None], 1)[:, 0]
    return -(picked * weights).sum() / weights.sum()
def step(params, m, v, count, batch):
    loss, grads = jax.value_and_grad(loss_of)(params, *batch)
    t = (count + 1).astype(jnp.float32)
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
    first, second = 1 - 0.9**t, 1 - 0.999**t
    update = lambda p, m, v: p - 0.01 * (m / first) / (jnp.sqrt(v / second) + 1e-5)
    return jax.tree.map(update, params, m, v), m, v, count + 1, loss
*carry, loss = jax.jit(step, donate_argnums=(0, 1, 2, 3))(*start(jax.random.PRNGKey(0)), batch)
jax.block_until_ready(carry)
print(float(loss))
"""

LAYERKIT = """
import layerkit as lk
import numpy as np
from layerkit import layers as tl, optimizers
rng = np.random.default_rng(0)
ids = rng.integers(9088, size=(16, 20)).astype(np.int32)
batch = ids, rng.integers(2, size=16).astype(np.int32), np.ones(16, np.float32)
model = tl.Serial(tl.Embedding(9088, 256), tl.Mean(axis=1), tl.Dense(2), tl.LogSoftmax())
task = lk.TrainTask(iter([batch]), tl.CrossEntropyLoss(), optimizers.Adam(0.01))
loop = lk.Loop(model, task)
loop.run(1)
lk.fastmath.block_until_ready(loop.model.weights)
"""


AT_THE_END = """
import time
print(time.process_time(), flush=True)
"""


def seconds(code: str, environment: dict[str, str]) -> tuple[float, float]:
    """How long a process takes to the end of this code: by the clock, and of the processor."""
    start = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", code + AT_THE_END], env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        last, then = "", start
        for line in process.stdout:
            last, then = line, time.perf_counter()
    if process.returncode:
        raise SystemExit(f"a process ended with {process.returncode}")
    return then - start, float(last)


def compare(backend: str, by_hand: str, samples: int, cold: bool) -> None:
    """Prints the figures of one backend."""
    times: dict[str, list[tuple[float, float]]] = {"by hand": [], "layerkit": []}
    with tempfile.TemporaryDirectory() as folder:
        for sample in range(samples + 1):
            for name in times:
                cache = os.path.join(folder, f"{name}-{sample}" if cold else name)
                cache_of_jax = {"JAX_COMPILATION_CACHE_DIR": cache, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
                environment = {**os.environ, "LAYERKIT_BACKEND": backend, **cache_of_jax}
                took = seconds(by_hand if name == "by hand" else LAYERKIT, environment)
                if sample:  # the first one warms the disk, and the folders of compiled programs
                    times[name].append(took)
    for kind, which in (("clock", 0), ("processor", 1)):
        taken = {name: [pair[which] for pair in pairs] for name, pairs in times.items()}
        medians = {name: statistics.median(values) for name, values in taken.items()}
        quarters = {name: statistics.quantiles(values, n=4) for name, values in taken.items()}
        shown = "   ".join(f"{n} {medians[n]:.3f} s [{q[0]:.3f}, {q[2]:.3f}]" for n, q in quarters.items())
        print(f"{backend:5} {kind:9}: {shown}   ratio {medians['layerkit'] / medians['by hand']:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=7)
    parser.add_argument("--cold", action="store_true", help="compile everything anew in every process")
    parser.add_argument("--backends", nargs="+", default=["numpy", "jax"], choices=["numpy", "jax"])
    options = parser.parse_args()
    for backend in options.backends:
        compare(backend, NUMPY if backend == "numpy" else JAX, options.samples, options.cold)


if __name__ == "__main__":
    main()
