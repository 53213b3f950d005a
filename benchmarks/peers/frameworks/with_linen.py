"""Flax Linen and optax: a TrainState, one jitted step that donates it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from flax.training.train_state import TrainState
from jobs import Job

from frameworks import Predict, Run
from frameworks.jax_steps import repeat

__all__ = ["predict", "train"]


class Classifier(nn.Module):
    vocabulary: int
    width: int
    classes: int

    @nn.compact
    def __call__(self, ids: Any) -> Any:
        return nn.Dense(self.classes)(nn.Embed(self.vocabulary, self.width)(ids).mean(1))


def train(job: Job) -> Run:
    model, params = _model(job)
    state = TrainState.create(apply_fn=model.apply, params=params, tx=optax.adam(**job.adam))

    def step(state: Any, ids: Any, targets: Any) -> Any:
        def loss_of(params: Any) -> Any:
            logits = state.apply_fn({"params": params}, ids)
            return optax.softmax_cross_entropy_with_integer_labels(logits, targets).mean()

        loss, grads = jax.value_and_grad(loss_of)(state.params)
        return state.apply_gradients(grads=grads), loss

    return repeat(jax.jit(step, donate_argnums=0), (state,), job)


def predict(job: Job) -> Predict:
    model, params = _model(job)
    compiled = jax.jit(lambda params, ids: jax.nn.log_softmax(model.apply({"params": params}, ids)))
    return lambda ids: np.asarray(compiled(params, ids))


def _model(job: Job) -> Any:
    made = jax.tree.map(jnp.asarray, job.weights())
    head = {"kernel": made["kernel"], "bias": made["bias"]}
    return Classifier(job.vocabulary, job.width, job.classes), {
        "Embed_0": {"embedding": made["table"]},
        "Dense_0": head,
    }
