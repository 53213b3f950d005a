"""layerkit, on the backend that LAYERKIT_BACKEND names: a Loop, the compiled model, and a run of the recipe."""

from __future__ import annotations

import numpy as np
from jobs import Job

import layerkit as lk
from frameworks import NotThere, Predict, Run
from layerkit import layers as tl
from layerkit import models, optimizers

__all__ = ["predict", "predict_by_run", "train"]


def train(job: Job) -> Run:
    batches = [(ids, targets, np.ones(len(ids), np.float32)) for ids, targets in job.batches()]
    model = _model(job)
    rates = {name: job.adam[name] for name in ("b1", "b2", "eps")}
    task = lk.TrainTask(batches, tl.CrossEntropyLoss(), optimizers.Adam(job.adam["learning_rate"], **rates))
    last = 0
    loop = lk.Loop(model, task, eval_at=lambda step: step == last, log=None)

    def run(n: int) -> float:
        nonlocal last
        last = loop.step + n
        loop.run(n)  # ends when the last step has
        return loop.history.get("train", "CrossEntropyLoss")[-1][1]

    return run


def predict(job: Job) -> Predict:
    model = _model(job)
    weights, state = lk.fastmath.to_device(model.weights), model.state
    compiled = lk.fastmath.jit(lambda weights, ids: model.pure_fn(ids, weights, state)[0])
    return lambda ids: lk.fastmath.to_host(compiled(weights, ids))


def predict_by_run(job: Job) -> Predict:
    from layerkit_plugins.sentiment.examples import Examples
    from layerkit_plugins.sentiment.run import SentimentRun

    labels = [str(number) for number in range(job.classes)]
    return SentimentRun(_model(job), {"__UNK__": 2}, labels, {}, {}, lambda: Examples([], [])).log_probs


def _model(job: Job) -> lk.Layer:
    """The model, with the weights of the job if they fit it, else with its own."""
    model = _empty(job)
    model.init(lk.i32(job.batch, job.length, max=job.vocabulary))
    made = list(_rearranged(job.weights()).values())
    if [array.shape for array in made] == [tuple(array.shape) for array in lk.fastmath.tree_leaves(model.weights)]:
        model.weights = lk.fastmath.tree_unflatten(made, model.weights)
    return model


def _empty(job: Job) -> lk.Layer:
    ends = tl.Embedding(job.vocabulary, job.width), tl.Dense(job.classes), tl.LogSoftmax()
    if job.model == "classifier":
        return tl.Serial(ends[0], tl.Mean(axis=1), *ends[1:])
    sizes = {"d_model": job.width, "d_ff": job.hidden, "n_layers": job.layers, "n_heads": job.heads}
    try:
        if job.model == "transformer":
            encoder = models.TransformerEncoder(job.vocabulary, job.classes, **sizes, max_len=job.length, dropout=0.0)
            return tl.Serial(encoder, tl.LogSoftmax())
        recurrent = tl.LSTM(job.width) if job.model == "lstm" else tl.GRU(job.width)
    except AttributeError as error:
        raise NotThere("not there yet") from error
    return tl.Serial(ends[0], recurrent, tl.Fn("Last", lambda x: x[:, -1]), *ends[1:])


def _rearranged(made: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights as layerkit has them: an LSTM's gates in the order i, g, f, o; a GRU's in two kernels for (x, h)."""
    if "gates" in made:
        i, f, g, o = np.split(made["gates"], 4, -1)
        return made | {"gates": np.concatenate([i, g, f, o], -1)}
    if "from_x" in made:
        both, width = np.concatenate([made["from_x"], made["from_h"]]), len(made["from_h"])
        gates, candidate = both[:, : 2 * width], both[:, 2 * width :]
        biases = np.split(made["from_x_bias"], [2 * width])
        gru = {"gates": gates, "gates_bias": biases[0], "candidate": candidate, "candidate_bias": biases[1]}
        return {"table": made["table"], **gru, "kernel": made["kernel"], "bias": made["bias"]}
    return made
