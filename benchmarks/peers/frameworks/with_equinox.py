"""Equinox and optax: modules for one example, vmapped, and eqx.filter_jit with everything donated."""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jobs import Job

from frameworks import Predict, Run
from frameworks.jax_steps import repeat

__all__ = ["predict", "train"]


def train(job: Job) -> Run:
    model, optimizer = _model(job), optax.adam(**job.adam)

    def loss_of(model: Any, ids: Any, targets: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(jax.vmap(model)(ids), targets).mean()

    @eqx.filter_jit(donate="all")
    def step(model: Any, state: Any, ids: Any, targets: Any) -> Any:
        loss, grads = eqx.filter_value_and_grad(loss_of)(model, ids, targets)
        updates, state = optimizer.update(grads, state)
        return eqx.apply_updates(model, updates), state, loss

    return repeat(step, (model, optimizer.init(eqx.filter(model, eqx.is_array))), job)


def predict(job: Job) -> Predict:
    model = _model(job)
    compiled = eqx.filter_jit(lambda model, ids: jax.nn.log_softmax(jax.vmap(model)(ids)))
    return lambda ids: np.asarray(compiled(model, ids))


class Block(eqx.Module):
    norm1: eqx.nn.LayerNorm
    norm2: eqx.nn.LayerNorm
    attention: eqx.nn.MultiheadAttention
    up: eqx.nn.Linear
    down: eqx.nn.Linear

    def __init__(self, job: Job, made: Any, number: int) -> None:
        key, d = jax.random.key(0), job.width
        self.norm1, self.norm2 = eqx.nn.LayerNorm(d, eps=1e-6), eqx.nn.LayerNorm(d, eps=1e-6)
        biases = dict.fromkeys(("use_query_bias", "use_key_bias", "use_value_bias", "use_output_bias"), True)
        attention = eqx.nn.MultiheadAttention(job.heads, d, **biases, key=key)
        for part in ("query", "key", "value", "out"):
            where = f"{'output' if part == 'out' else part}_proj"
            filled = _fill(getattr(attention, where), made[f"{number}.{part}"], made[f"{number}.{part}_bias"])
            attention = eqx.tree_at(lambda a, where=where: getattr(a, where), attention, filled)
        self.attention = attention
        self.up = _fill(eqx.nn.Linear(d, job.hidden, key=key), made[f"{number}.up"], made[f"{number}.up_bias"])
        self.down = _fill(eqx.nn.Linear(job.hidden, d, key=key), made[f"{number}.down"], made[f"{number}.down_bias"])

    def __call__(self, x: Any) -> Any:
        own = jax.vmap(self.norm1)(x)
        x = x + self.attention(own, own, own)
        return x + jax.vmap(lambda row: self.down(jax.nn.relu(self.up(self.norm2(row)))))(x)


class Encoder(eqx.Module):
    positions: jax.Array
    blocks: list[Block]
    norm: eqx.nn.LayerNorm

    def __init__(self, job: Job, made: Any) -> None:
        self.positions = made["positions"]
        self.blocks = [Block(job, made, number) for number in range(job.layers)]
        self.norm = eqx.nn.LayerNorm(job.width, eps=1e-6)

    def __call__(self, x: Any) -> Any:
        x = x + self.positions
        for block in self.blocks:
            x = block(x)
        return jax.vmap(self.norm)(x).mean(0)


class Lstm(eqx.Module):
    cell: eqx.nn.LSTMCell

    def __init__(self, job: Job, made: Any) -> None:
        x, h = jnp.split(made["gates"], 2)
        cell = eqx.nn.LSTMCell(job.width, job.width, key=jax.random.key(0))
        self.cell = eqx.tree_at(lambda c: (c.weight_ih, c.weight_hh, c.bias), cell, (x.T, h.T, made["gates_bias"]))

    def __call__(self, x: Any) -> Any:
        start = jnp.zeros(x.shape[-1])
        return jax.lax.scan(lambda carry, row: (self.cell(row, carry), None), (start, start), x)[0][0]


class Gru(eqx.Module):
    cell: eqx.nn.GRUCell

    def __init__(self, job: Job, made: Any) -> None:
        cell = eqx.nn.GRUCell(job.width, job.width, key=jax.random.key(0))
        values = made["from_x"].T, made["from_h"].T, made["from_x_bias"], jnp.zeros(job.width)
        self.cell = eqx.tree_at(lambda c: (c.weight_ih, c.weight_hh, c.bias, c.bias_n), cell, values)

    def __call__(self, x: Any) -> Any:
        # The job's GRU has no bias on h, so this one stays at zero.
        cell = eqx.tree_at(lambda c: c.bias_n, self.cell, replace_fn=jax.lax.stop_gradient)
        return jax.lax.scan(lambda h, row: (cell(row, h), None), jnp.zeros(x.shape[-1]), x)[0]


class Classifier(eqx.Module):
    embed: eqx.nn.Embedding
    body: Any
    head: eqx.nn.Linear

    def __call__(self, ids: Any) -> Any:
        x = self.embed.weight[ids]
        return self.head(x.mean(0) if self.body is None else self.body(x))


def _model(job: Job) -> Classifier:
    made = jax.tree.map(jnp.asarray, job.weights())
    bodies = {"classifier": lambda job, made: None, "transformer": Encoder, "lstm": Lstm, "gru": Gru}
    head = _fill(eqx.nn.Linear(job.width, job.classes, key=jax.random.key(0)), made["kernel"], made["bias"])
    return Classifier(eqx.nn.Embedding(weight=made["table"]), bodies[job.model](job, made), head)


def _fill(dense: eqx.nn.Linear, kernel: Any, bias: Any) -> eqx.nn.Linear:
    return eqx.tree_at(lambda d: (d.weight, d.bias), dense, (kernel.T, bias))
