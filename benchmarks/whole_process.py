"""How long ``layerkit train sentiment`` takes as a whole process, beside a script that does the same by hand.

Run: ``NLTK_DATA=... python benchmarks/whole_process.py [--samples 7] [--backends jax numpy] [--cold]``. Both train the
notebook's classifier (width 256, Adam, 500 steps of 16) on the 8,000 training tweets of twitter_samples, and say how
many of the 2,000 others it gets right. The script imports NLTK and JAX, makes its tokenizer and stemmer once and
remembers stems, pads batches to two lengths, and runs a jitted step with donated, dense Adam; layerkit does it on each
of the backends, evaluates six times on the way, writes checkpoints, and keeps the run. The processes take turns. Caches
are warm: each has a folder of its own for compiled programs, and layerkit for processed texts, unless ``--cold`` gives
every process an empty one. Prints medians with the middle half of the samples, on the clock and of the processor;
exits with 1 if layerkit on JAX takes more than 0.6 times as long as the script on the clock.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TARGET = 0.6

BY_HAND = r"""
import random, re, string
import jax, jax.numpy as jnp, numpy as np
from nltk.corpus import stopwords, twitter_samples
from nltk.stem import PorterStemmer
from nltk.tokenize import TweetTokenizer

stop, stem, stems = set(stopwords.words("english")), PorterStemmer().stem, {}
tokenize = TweetTokenizer(preserve_case=False, strip_handles=True, reduce_len=True).tokenize
ticker, retweet, link = re.compile(r"\$\w*"), re.compile(r"^RT[\s]+"), re.compile(r"https?:\/\/.*[\r\n]*")

def process(tweet):
    tweet = link.sub("", retweet.sub("", ticker.sub("", tweet))).replace("#", "")
    words = []
    for token in tokenize(tweet):
        if token not in stop and token not in string.punctuation:
            if token not in stems:
                stems[token] = stem(token)
            words.append(stems[token])
    return words

classes = [[process(t) for t in twitter_samples.strings(f"{name}_tweets.json")] for name in ("positive", "negative")]
train, held_out = [own[:4000] for own in classes], [own[4000:] for own in classes]
vocabulary = {"__PAD__": 0, "__</e>__": 1, "__UNK__": 2}
for words in train[0] + train[1]:
    for word in words:
        vocabulary.setdefault(word, len(vocabulary))
ids = [[[vocabulary.get(w, 2) for w in words] for words in own] for own in train + held_out]

def padded(rows):
    longest = max(map(len, rows))
    batch = np.zeros((len(rows), 16 if longest <= 16 else 32), np.int32)
    for place, row in zip(batch, rows):
        place[: len(row)] = row[:32]
    return batch

def log_probs_of(params, ids):
    holds = (ids != 0)[..., None]
    mean = jnp.where(holds, params["table"][ids], 0).sum(1) / jnp.maximum(holds.sum(1), 1)
    return jax.nn.log_softmax(mean @ params["kernel"] + params["bias"])

def loss_of(params, ids, targets):
    return -jnp.take_along_axis(log_probs_of(params, ids), targets[:, None], 1).mean()

@jax.jit
def start(key):
    first, second = jax.random.split(key)
    bound = (3 / 256) ** 0.5
    params = {
        "table": jax.random.uniform(first, (len(vocabulary), 256), minval=-bound, maxval=bound),
        "kernel": jax.random.uniform(second, (256, 2), minval=-0.15, maxval=0.15),
        "bias": jnp.zeros(2),
    }
    return params, jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params), jnp.zeros((), int)

def step(params, m, v, count, ids, targets):
    loss, grads = jax.value_and_grad(loss_of)(params, ids, targets)
    t = (count + 1).astype(jnp.float32)
    rate = 0.003 * 0.5 * (1 + jnp.cos(jnp.pi * count / 500))
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, grads)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, grads)
    first, second = 1 - 0.9**t, 1 - 0.999**t
    update = lambda p, m, v: p - rate * (m / first) / (jnp.sqrt(v / second) + 1e-5)
    return jax.tree.map(update, params, m, v), m, v, count + 1, loss

step = jax.jit(step, donate_argnums=(0, 1, 2, 3))
carry, targets = start(jax.random.PRNGKey(0)), np.array([1] * 8 + [0] * 8, np.int32)
orders, rng = [list(range(4000)), list(range(4000))], random.Random(0)
for n in range(500):
    at = n * 8 % 4000
    if at == 0:
        for order in orders:
            rng.shuffle(order)
    rows = [ids[c][i] for c in (0, 1) for i in orders[c][at : at + 8]]
    *carry, loss = step(*carry, padded(rows), targets)
evaluate, right = jax.jit(log_probs_of), 0
for c in (0, 1):
    for at in range(0, 1000, 250):
        scores = np.asarray(evaluate(carry[0], padded(ids[2 + c][at : at + 250])))
        right += int((scores.argmax(1) == 1 - c).sum())
print("accuracy", right / 2000)
"""


def command(name: str, output: Path) -> list[str]:
    """What is run: the script, or layerkit on a backend."""
    if name == "by hand":
        return [sys.executable, "-c", BY_HAND]
    options = ["--steps", "500", "--batch-size", "16", "--backend", name, "--output", str(output)]
    options += ["--no-learning-curve"]  # the script draws none, and importing matplotlib takes 0.4 s
    return [str(Path(sys.executable).with_name("layerkit")), "train", "sentiment", *options]


def seconds(name: str, folder: Path, cache: Path) -> tuple[float, float, float]:
    """(time on the clock, time of the processor, accuracy) of one process."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("LAYERKIT_", "JAX_"))}
    environment |= {"LAYERKIT_CACHE": str(cache / name)}
    if name == "by hand":
        programs = {"JAX_COMPILATION_CACHE_DIR": str(cache / name), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
        environment |= {**programs, "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}
    with tempfile.TemporaryDirectory(dir=folder) as output:
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        arguments = command(name, Path(output, "run"))
        done = subprocess.run(arguments, env=environment, check=True, stdout=subprocess.PIPE, text=True)
        took, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    accuracy = next(line.split()[1] for line in done.stdout.splitlines() if line.startswith("accuracy"))
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, float(accuracy)


def main() -> int:
    """Prints the table; the exit code is 1 if the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=7)
    parser.add_argument("--backends", nargs="+", default=["jax", "numpy"], choices=["jax", "numpy"])
    parser.add_argument("--cold", action="store_true", help="empty caches for every process")
    given = parser.parse_args()
    samples: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ("by hand", *given.backends)}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(given.samples + 1):
            for name, taken in samples.items():
                cache = Path(folder, f"cache-{number}" if given.cold else "cache")
                sample = seconds(name, Path(folder), cache)
                if number:  # the first warms the disk, and the caches
                    taken.append(sample)
    ratios = {}
    for place, kind in enumerate(("clock", "processor")):
        for name, taken in samples.items():
            low, middle, high = statistics.quantiles([sample[place] for sample in taken], n=4)
            by_hand = statistics.median(sample[place] for sample in samples["by hand"])
            ratios[kind, name] = middle / by_hand
            accuracy = statistics.median(sample[2] for sample in taken)
            print(f"{kind:9} {name:8} {middle:.2f} s [{low:.2f}, {high:.2f}] ratio {middle / by_hand:.2f}", end="")
            print(f"   accuracy {accuracy:.4f}" if place == 0 else "")
    ratio = ratios.get(("clock", "jax"), 0.0)
    print(f"layerkit on JAX: {ratio:.2f} times as long (target {TARGET})")
    return int(ratio > TARGET)


if __name__ == "__main__":
    sys.exit(main())
