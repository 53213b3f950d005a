"""Keras 3 on JAX: compile, and fit on arrays; predict_on_batch for single batches."""

from __future__ import annotations

import itertools

import keras
import numpy as np
from jobs import Job

from frameworks import Predict, Run

__all__ = ["predict", "train"]


def train(job: Job) -> Run:
    model = _model(job)
    optimizer = keras.optimizers.Adam(
        job.adam["learning_rate"], job.adam["b1"], job.adam["b2"], epsilon=job.adam["eps"]
    )
    model.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    batches = itertools.cycle(job.batches())

    def run(n: int) -> float:
        ids, targets = (np.concatenate(part) for part in zip(*itertools.islice(batches, n), strict=True))
        seen = model.fit(ids, targets, batch_size=job.batch, shuffle=False, verbose=0)
        return float(seen.history["loss"][-1])  # the mean over the n steps

    return run


def predict(job: Job) -> Predict:
    model = _model(job, keras.layers.Activation("log_softmax"))
    return lambda ids: np.asarray(model.predict_on_batch(ids))


def _model(job: Job, *last: keras.Layer) -> keras.Model:
    parts = [keras.layers.Embedding(job.vocabulary, job.width), keras.layers.GlobalAveragePooling1D()]
    model = keras.Sequential(
        [keras.Input((job.length,), dtype="int32"), *parts, keras.layers.Dense(job.classes), *last]
    )
    made = job.weights()
    model.set_weights([made["table"], made["kernel"], made["bias"]])
    return model
