"""What every framework is given to do: the sizes, the batches and the first weights of each job, in NumPy alone.

Weights are drawn here and handed over, so that all frameworks start from the same numbers and their losses can be held
against one another. Dense kernels are (in, out). What each model computes:

* classifier: table[ids], mean over the ids, kernel and bias, log-softmax: the classifier of the sentiment notebook.
* transformer: (table[ids] + positions) through pre-norm blocks ``x + attention(norm(x))``, ``x + MLP(norm(x))``, a last
  norm, mean over positions, kernel and bias, log-softmax. The MLP has a relu, the norms an eps of 1e-6, all projections
  biases; the positions are trained, and begin as sines and cosines.
* lstm: table[ids] through one LSTM (gates in the order i, f, g, o; one kernel for x and h, one bias), its last h,
  kernel and bias.
* gru: the same with a GRU (gates in the order r, z, n; biases on x only) whose reset gate acts on the product with h.

The loss is the mean cross-entropy, the optimizer dense Adam without decay or clipping.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["CHECKED_STEPS", "JOBS", "Job"]

CHECKED_STEPS = (1, 2, 3, 5, 10, 20)
"""The steps whose losses are held against those of JAX by hand."""


@dataclass(frozen=True)
class Job:
    """One thing to be done by all frameworks."""

    name: str
    kind: str
    """``train`` (steps), ``predict`` (calls that bring log-probabilities to the host) or ``start`` (processes)."""
    title: str
    model: str = "classifier"
    batch: int = 16
    length: int = 20
    vocabulary: int = 9088
    width: int = 256
    classes: int = 2
    layers: int = 4
    heads: int = 4
    hidden: int = 1024
    learning_rate: float = 0.003

    @property
    def adam(self) -> dict[str, float]:
        """The numbers of Adam, by the names that optax has for them.

        Two frameworks add eps before the bias correction and not after it; with one this small that is hardly seen.
        """
        return {"learning_rate": self.learning_rate, "b1": 0.9, "b2": 0.999, "eps": 1e-8}

    def batches(self, count: int = 64) -> list[tuple[np.ndarray, np.ndarray]]:
        """(ids, targets) pairs in int32; ids follow Zipf's law, as words do, and none is 0, which is padding."""
        rng = np.random.default_rng(0)
        words = np.arange(1, self.vocabulary, dtype=np.int32)
        ids = rng.choice(words, (count, self.batch, self.length), p=1 / words / (1 / words).sum())
        # A rule to learn, so that losses fall: are most of the ids odd?
        return [(rows, ((rows % 2).mean(1) > 0.5).astype(np.int32)) for rows in ids]

    def weights(self) -> dict[str, np.ndarray]:
        """The first weights by name, float32, in the order in which the model uses them."""
        rng = np.random.default_rng(1)

        def dense(name: str, n_in: int, n_out: int, bias: str = "") -> dict[str, np.ndarray]:
            bound = (3 / n_in) ** 0.5
            kernel = rng.uniform(-bound, bound, (n_in, n_out)).astype(np.float32)
            return {name: kernel, bias or f"{name}_bias": np.zeros(n_out, np.float32)}

        def norm(name: str) -> dict[str, np.ndarray]:
            return {f"{name}_scale": np.ones(d, np.float32), f"{name}_bias": np.zeros(d, np.float32)}

        d = self.width
        made = {"table": rng.uniform(-0.1, 0.1, (self.vocabulary, d)).astype(np.float32)}
        if self.model == "lstm":
            made |= dense("gates", 2 * d, 4 * d)
        if self.model == "gru":
            made |= {**dense("from_x", d, 3 * d), "from_h": dense("", d, 3 * d)[""]}
        if self.model == "transformer":
            made["positions"] = _sinusoids(self.length, d)
            for n in range(self.layers):
                made |= norm(f"{n}.norm1")
                for name in ("query", "key", "value", "out"):
                    made |= dense(f"{n}.{name}", d, d)
                made |= norm(f"{n}.norm2") | dense(f"{n}.up", d, self.hidden) | dense(f"{n}.down", self.hidden, d)
            made |= norm("norm")
        return made | dense("kernel", d, self.classes, "bias")


def _sinusoids(length: int, width: int) -> np.ndarray:
    """(length, width) sines and cosines of Vaswani et al., 2017, taking turns along the width."""
    angles = np.arange(length)[:, None] / 10000 ** (np.arange(0, width, 2) / width)
    return np.stack([np.sin(angles), np.cos(angles)], -1).reshape(length, width).astype(np.float32)


_JOBS = (
    Job("train-16", "train", "Train step of the classifier, batch 16", batch=16),
    Job("train-128", "train", "Train step of the classifier, batch 128", batch=128),
    Job("predict-1", "predict", "Prediction of the classifier, batch 1", batch=1),
    Job("predict-256", "predict", "Prediction of the classifier, batch 256", batch=256),
    Job("start", "start", "From the start of a process to the end of the classifier's first train step"),
    Job(
        "transformer",
        "train",
        "Train step of a transformer encoder",
        "transformer",
        batch=16,
        length=128,
        learning_rate=3e-4,
    ),
    Job("lstm", "train", "Train step of an LSTM classifier", "lstm", batch=32, length=64, learning_rate=3e-4),
    Job("gru", "train", "Train step of a GRU classifier", "gru", batch=32, length=64, learning_rate=3e-4),
)
JOBS = {job.name: job for job in _JOBS}
