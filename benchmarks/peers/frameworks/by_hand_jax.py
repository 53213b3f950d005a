"""JAX without a framework: functions of a dict of arrays, dense Adam written out, one jitted step, all donated."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jobs import Job

from frameworks import Predict, Run
from frameworks.jax_steps import repeat

__all__ = ["predict", "train"]


def train(job: Job) -> Run:
    logits, adam = _model(job), job.adam

    def loss_of(params: Any, ids: Any, targets: Any) -> Any:
        log_probs = jax.nn.log_softmax(logits(params, ids))
        return -jnp.take_along_axis(log_probs, targets[:, None], 1).mean()

    def step(params: Any, m: Any, v: Any, count: Any, ids: Any, targets: Any) -> Any:
        loss, grads = jax.value_and_grad(loss_of)(params, ids, targets)
        b1, b2, t = adam["b1"], adam["b2"], count + 1
        m = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, m, grads)
        v = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, v, grads)
        rate, second = adam["learning_rate"] / (1 - b1**t), 1 - b2**t
        params = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v / second) + adam["eps"]), params, m, v)
        return params, m, v, t, loss

    params = jax.tree.map(jnp.asarray, job.weights())
    m, v = jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params)
    return repeat(jax.jit(step, donate_argnums=(0, 1, 2, 3)), (params, m, v, jnp.zeros(())), job)


def predict(job: Job) -> Predict:
    logits, params = _model(job), jax.tree.map(jnp.asarray, job.weights())
    compiled = jax.jit(lambda params, ids: jax.nn.log_softmax(logits(params, ids)))
    return lambda ids: np.asarray(compiled(params, ids))


def _model(job: Job) -> Any:
    body = {"classifier": _mean, "transformer": _transformer(job), "lstm": _lstm, "gru": _gru}[job.model]
    return lambda p, ids: body(p, p["table"][ids]) @ p["kernel"] + p["bias"]


def _mean(p: Any, x: Any) -> Any:
    return x.mean(1)


def _transformer(job: Job) -> Any:
    heads = job.heads, job.width // job.heads

    def norm(p: Any, name: str, x: Any) -> Any:
        centred = x - x.mean(-1, keepdims=True)
        scale = jax.lax.rsqrt((centred**2).mean(-1, keepdims=True) + 1e-6)
        return centred * scale * p[f"{name}_scale"] + p[f"{name}_bias"]

    def dense(p: Any, name: str, x: Any) -> Any:
        return x @ p[name] + p[f"{name}_bias"]

    def attention(p: Any, block: int, x: Any) -> Any:
        q, k, v = (dense(p, f"{block}.{n}", x).reshape(*x.shape[:2], *heads) for n in ("query", "key", "value"))
        weights = jax.nn.softmax(jnp.einsum("bqhd,bkhd->bhqk", q, k) / heads[1] ** 0.5)
        return dense(p, f"{block}.out", jnp.einsum("bhqk,bkhd->bqhd", weights, v).reshape(x.shape))

    def body(p: Any, x: Any) -> Any:
        x = x + p["positions"]
        for block in range(job.layers):
            x = x + attention(p, block, norm(p, f"{block}.norm1", x))
            hidden = jax.nn.relu(dense(p, f"{block}.up", norm(p, f"{block}.norm2", x)))
            x = x + dense(p, f"{block}.down", hidden)
        return norm(p, "norm", x).mean(1)

    return body


def _lstm(p: Any, x: Any) -> Any:
    d = x.shape[-1]
    from_x = x.swapaxes(0, 1) @ p["gates"][:d] + p["gates_bias"]  # all positions at once

    def cell(carry: Any, own: Any) -> Any:
        c, h = carry
        i, f, g, o = jnp.split(own + h @ p["gates"][d:], 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return (c, jax.nn.sigmoid(o) * jnp.tanh(c)), None

    start = jnp.zeros(x[:, 0].shape)
    return jax.lax.scan(cell, (start, start), from_x)[0][1]


def _gru(p: Any, x: Any) -> Any:
    from_x = x.swapaxes(0, 1) @ p["from_x"] + p["from_x_bias"]

    def cell(h: Any, own: Any) -> Any:
        (xr, xz, xn), (hr, hz, hn) = jnp.split(own, 3, -1), jnp.split(h @ p["from_h"], 3, -1)
        r, z = jax.nn.sigmoid(xr + hr), jax.nn.sigmoid(xz + hz)
        return (1 - z) * jnp.tanh(xn + r * hn) + z * h, None

    return jax.lax.scan(cell, jnp.zeros(x[:, 0].shape), from_x)[0]
