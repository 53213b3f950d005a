"""Flax NNX and optax: modules with nnx.jit, model and optimizer donated; or, for small models, the functional loop."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jobs import Job

from frameworks import Predict, Run
from frameworks.jax_steps import repeat

__all__ = ["predict", "train", "train_functional"]


def train(job: Job) -> Run:
    model = _model(job)
    optimizer = nnx.Optimizer(model, optax.adam(**job.adam), wrt=nnx.Param)

    @nnx.jit(donate_argnames=("model", "optimizer"))
    def step(model: Any, optimizer: Any, ids: Any, targets: Any) -> Any:
        return _step(model, optimizer, ids, targets)

    def again(ids: Any, targets: Any) -> Any:
        return (step(model, optimizer, ids, targets),)

    return repeat(again, (), job)


def train_functional(job: Job) -> Run:
    model = _model(job)
    optimizer = nnx.Optimizer(model, optax.adam(**job.adam), wrt=nnx.Param)
    graph, state = nnx.split((model, optimizer))

    def step(state: Any, ids: Any, targets: Any) -> Any:
        model, optimizer = nnx.merge(graph, state)
        loss = _step(model, optimizer, ids, targets)
        return nnx.state((model, optimizer)), loss

    return repeat(jax.jit(step, donate_argnums=0), (state,), job)


def predict(job: Job) -> Predict:
    graph, state = nnx.split(_model(job))
    compiled = jax.jit(lambda state, ids: jax.nn.log_softmax(nnx.merge(graph, state)(ids)))
    return lambda ids: np.asarray(compiled(state, ids))


def _step(model: Any, optimizer: Any, ids: Any, targets: Any) -> Any:
    def loss_of(model: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(model(ids), targets).mean()

    loss, grads = nnx.value_and_grad(loss_of)(model)
    optimizer.update(model, grads)
    return loss


class Block(nnx.Module):
    def __init__(self, job: Job, rngs: nnx.Rngs) -> None:
        d = job.width
        self.norm1, self.norm2 = nnx.LayerNorm(d, rngs=rngs), nnx.LayerNorm(d, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(job.heads, d, decode=False, rngs=rngs)
        self.up, self.down = nnx.Linear(d, job.hidden, rngs=rngs), nnx.Linear(job.hidden, d, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        x = x + self.attention(self.norm1(x))
        return x + self.down(nnx.relu(self.up(self.norm2(x))))


class Encoder(nnx.Module):
    def __init__(self, job: Job, rngs: nnx.Rngs) -> None:
        self.positions = nnx.Param(jnp.zeros((job.length, job.width)))
        self.blocks = nnx.List([Block(job, rngs) for _ in range(job.layers)])
        self.norm = nnx.LayerNorm(job.width, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        x = x + self.positions[...]
        for block in self.blocks:
            x = block(x)
        return self.norm(x).mean(1)


class Recurrent(nnx.Module):
    def __init__(self, job: Job, rngs: nnx.Rngs) -> None:
        cell = nnx.OptimizedLSTMCell if job.model == "lstm" else nnx.GRUCell
        self.rnn = nnx.RNN(cell(job.width, job.width, rngs=rngs))

    def __call__(self, x: Any) -> Any:
        return self.rnn(x)[:, -1]


class Classifier(nnx.Module):
    def __init__(self, job: Job, rngs: nnx.Rngs) -> None:
        self.embed = nnx.Embed(job.vocabulary, job.width, rngs=rngs)
        bodies = {"classifier": lambda job, rngs: None, "transformer": Encoder, "lstm": Recurrent, "gru": Recurrent}
        self.body = bodies[job.model](job, rngs)
        self.head = nnx.Linear(job.width, job.classes, rngs=rngs)

    def __call__(self, ids: Any) -> Any:
        x = self.embed(ids)
        return self.head(x.mean(1) if self.body is None else self.body(x))


def _model(job: Job) -> Classifier:
    model, made = Classifier(job, nnx.Rngs(0)), job.weights()
    made = {name: jnp.asarray(array) for name, array in made.items()}
    model.embed.embedding[...] = made["table"]
    _fill(model.head, made, "kernel", "bias")
    if job.model == "lstm":
        cell = model.body.rnn.cell
        cell.dense_i.kernel[...], cell.dense_h.kernel[...] = jnp.split(made["gates"], 2)
    if job.model == "gru":
        cell = model.body.rnn.cell
        cell.dense_i.kernel[...], cell.dense_h.kernel[...] = made["from_x"], made["from_h"]
    if job.model == "transformer":
        model.body.positions[...] = made["positions"]
        for number, block in enumerate(model.body.blocks):
            for part in ("query", "key", "value", "out"):
                kernel = getattr(block.attention, part).kernel
                kernel[...] = made[f"{number}.{part}"].reshape(kernel.shape)
            _fill(block.up, made, f"{number}.up", f"{number}.up_bias")
            _fill(block.down, made, f"{number}.down", f"{number}.down_bias")
    return model


def _fill(dense: Any, made: Any, kernel: str, bias: str) -> None:
    dense.kernel[...], dense.bias[...] = made[kernel], made[bias]
