"""Thinc: Embed over ragged ids, reduce_mean, Softmax, its Adam without averages, clipping and decay."""

from __future__ import annotations

import itertools

import numpy as np
from jobs import Job
from thinc.api import (
    Adam,
    CategoricalCrossentropy,
    Embed,
    Model,
    NumpyOps,
    Softmax,
    chain,
    reduce_mean,
    set_current_ops,
    with_array,
)
from thinc.types import Ragged

from frameworks import Predict, Run

__all__ = ["predict", "train"]

set_current_ops(NumpyOps())


def train(job: Job) -> Run:
    model = _model(job)
    off = {"L2": 0.0, "grad_clip": 0.0, "use_averages": False}
    optimizer = Adam(job.adam["learning_rate"], beta1=job.adam["b1"], beta2=job.adam["b2"], eps=job.adam["eps"], **off)
    loss_of, one_hot = CategoricalCrossentropy(), np.eye(job.classes, dtype=np.float32)
    batches = itertools.cycle([(_ragged(ids), targets) for ids, targets in job.batches()])

    def run(n: int) -> float:
        for _ in range(n):
            ids, targets = next(batches)
            guesses, backprop = model.begin_update(ids)
            backprop(loss_of.get_grad(guesses, one_hot[targets]))
            model.finish_update(optimizer)
        return float(-np.log(guesses[np.arange(job.batch), targets]).mean())

    return run


def predict(job: Job) -> Predict:
    model = _model(job)
    return lambda ids: np.log(model.predict(_ragged(ids)))


def _ragged(ids: np.ndarray) -> Ragged:
    return Ragged(ids.ravel(), np.full(len(ids), ids.shape[1], np.int32))


def _model(job: Job) -> Model:
    embed, softmax = Embed(job.width, job.vocabulary), Softmax(job.classes, job.width)
    model, made = chain(with_array(embed), reduce_mean(), softmax).initialize(), job.weights()
    embed.set_param("E", made["table"])
    softmax.set_param("W", np.ascontiguousarray(made["kernel"].T))
    softmax.set_param("b", made["bias"])
    return model
