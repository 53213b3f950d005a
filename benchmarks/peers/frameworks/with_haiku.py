"""Haiku and optax: a transformed function, one jitted step that donates parameters and optimizer state."""

from __future__ import annotations

from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jobs import Job

from frameworks import Predict, Run
from frameworks.jax_steps import repeat

__all__ = ["predict", "train"]


def train(job: Job) -> Run:
    apply, params = _model(job)
    optimizer = optax.adam(**job.adam)

    def loss_of(params: Any, ids: Any, targets: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(apply(params, ids), targets).mean()

    def step(params: Any, state: Any, ids: Any, targets: Any) -> Any:
        loss, grads = jax.value_and_grad(loss_of)(params, ids, targets)
        updates, state = optimizer.update(grads, state)
        return optax.apply_updates(params, updates), state, loss

    return repeat(jax.jit(step, donate_argnums=(0, 1)), (params, optimizer.init(params)), job)


def predict(job: Job) -> Predict:
    apply, params = _model(job)
    compiled = jax.jit(lambda params, ids: jax.nn.log_softmax(apply(params, ids)))
    return lambda ids: np.asarray(compiled(params, ids))


def _model(job: Job) -> Any:
    def forward(ids: Any) -> Any:
        return hk.Linear(job.classes)(hk.Embed(job.vocabulary, job.width)(ids).mean(1))

    made = jax.tree.map(jnp.asarray, job.weights())
    params = {"linear": {"w": made["kernel"], "b": made["bias"]}, "embed": {"embeddings": made["table"]}}
    return hk.without_apply_rng(hk.transform(forward)).apply, params
