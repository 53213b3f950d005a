"""NumPy without a framework: gradients written out, dense Adam in place, the table's gradient added row by row."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from jobs import Job

from frameworks import Predict, Run

__all__ = ["predict", "train"]


def train(job: Job) -> Run:
    params, batches = job.weights(), itertools.cycle(job.batches())
    moments = {name: (np.zeros_like(p), np.zeros_like(p), np.empty_like(p)) for name, p in params.items()}
    steps = itertools.count(1)

    def run(n: int) -> float:
        for _ in range(n):
            ids, targets = next(batches)
            loss, grads, rows = _gradients(params, ids, targets)
            t = next(steps)
            for name, param in params.items():
                _adam(t, job.adam, param, grads[name], rows if name == "table" else slice(None), *moments[name])
        return float(loss)

    return run


def predict(job: Job) -> Predict:
    params = job.weights()
    return lambda ids: _log_probs(params, ids)[0]


def _log_probs(params: Any, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    batch, length = ids.shape
    mean = params["table"].take(ids.ravel(), 0).reshape(batch, length, -1).sum(1) * np.float32(1 / length)
    scores = mean @ params["kernel"] + params["bias"]
    scores -= scores.max(1, keepdims=True)
    return scores - np.log(np.exp(scores).sum(1, keepdims=True)), mean


def _gradients(params: Any, ids: np.ndarray, targets: np.ndarray) -> Any:
    """(loss, gradients, which rows of the table the table's gradient is of)."""
    (batch, length), n = ids.shape, np.arange(len(ids))
    log_probs, mean = _log_probs(params, ids)
    d_scores = np.exp(log_probs)
    d_scores[n, targets] -= 1
    d_scores *= np.float32(1 / batch)
    d_words = d_scores @ params["kernel"].T * np.float32(1 / length)
    # Equal ids are sorted side by side and summed by reduceat: np.add.at takes many times as long.
    order = ids.ravel().argsort(kind="stable")
    rows, starts = np.unique(ids.ravel()[order], return_index=True)
    grads = {
        "table": np.add.reduceat(d_words[order // length], starts),
        "kernel": mean.T @ d_scores,
        "bias": d_scores.sum(0),
    }
    return -log_probs[n, targets].mean(), grads, rows


def _adam(t: int, numbers: dict[str, float], param: Any, grad: Any, rows: Any, m: Any, v: Any, scratch: Any) -> None:
    b1, b2 = numbers["b1"], numbers["b2"]
    m *= b1
    m[rows] += (1 - b1) * grad
    v *= b2
    v[rows] += (1 - b2) * grad**2
    np.sqrt(v, out=scratch)
    scratch *= (1 - b2**t) ** -0.5
    scratch += numbers["eps"]
    np.divide(m, scratch, out=scratch)
    scratch *= numbers["learning_rate"] / (1 - b1**t)
    param -= scratch
