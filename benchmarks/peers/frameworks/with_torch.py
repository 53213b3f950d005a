"""PyTorch: nn.EmbeddingBag as in its text classification tutorial, the fused Adam; SparseAdam; torch.compile."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jobs import Job
from torch import nn

from frameworks import Predict, Run

__all__ = ["predict", "train", "train_compiled", "train_sparse"]

torch.set_num_threads(2)


def train(job: Job) -> Run:
    model = _model(job)
    return _repeat(model, [torch.optim.Adam(_trained(model), fused=True, **_rates(job))], job)


def train_compiled(job: Job) -> Run:
    model = _model(job)
    return _repeat(torch.compile(model), [torch.optim.Adam(_trained(model), fused=True, **_rates(job))], job)


def train_sparse(job: Job) -> Run:
    model = _model(job, sparse=True)
    table, *rest = _trained(model)
    optimizers = [torch.optim.SparseAdam([table], **_rates(job)), torch.optim.Adam(rest, fused=True, **_rates(job))]
    return _repeat(model, optimizers, job)


def predict(job: Job) -> Predict:
    model = _model(job).eval()

    def call(ids: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return torch.log_softmax(model(torch.from_numpy(ids)), -1).numpy()

    return call


def _rates(job: Job) -> dict[str, Any]:
    adam = job.adam
    return {"lr": adam["learning_rate"], "betas": (adam["b1"], adam["b2"]), "eps": adam["eps"]}


def _trained(model: nn.Module) -> list[Any]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def _repeat(model: Callable[..., Any], optimizers: list[Any], job: Job) -> Run:
    batches = itertools.cycle([(torch.from_numpy(i), torch.from_numpy(t).long()) for i, t in job.batches()])
    loss_of = nn.CrossEntropyLoss()

    def run(n: int) -> float:
        for _ in range(n):
            ids, targets = next(batches)
            for optimizer in optimizers:
                optimizer.zero_grad(set_to_none=True)
            loss = loss_of(model(ids), targets)
            loss.backward()
            for optimizer in optimizers:
                optimizer.step()
        return loss.item()

    return run


class Bag(nn.Module):
    def __init__(self, job: Job, sparse: bool) -> None:
        super().__init__()
        self.embed = nn.EmbeddingBag(job.vocabulary, job.width, mode="mean", sparse=sparse)
        self.head = nn.Linear(job.width, job.classes)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.embed(ids))


class Encoder(nn.Module):
    def __init__(self, job: Job) -> None:
        super().__init__()
        self.embed = nn.Embedding(job.vocabulary, job.width)
        how = {"dropout": 0.0, "batch_first": True, "norm_first": True, "layer_norm_eps": 1e-6}
        layer = nn.TransformerEncoderLayer(job.width, job.heads, job.hidden, **how)
        norm = nn.LayerNorm(job.width, eps=1e-6)
        self.encoder = nn.TransformerEncoder(layer, job.layers, norm, enable_nested_tensor=False)
        self.head = nn.Linear(job.width, job.classes)
        self.positions = nn.Parameter(torch.empty(job.length, job.width))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(self.embed(ids) + self.positions).mean(1))


class Recurrent(nn.Module):
    def __init__(self, job: Job) -> None:
        super().__init__()
        self.embed = nn.Embedding(job.vocabulary, job.width)
        self.rnn = (nn.LSTM if job.model == "lstm" else nn.GRU)(job.width, job.width, batch_first=True)
        self.head = nn.Linear(job.width, job.classes)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.rnn(self.embed(ids))[0][:, -1])


def _model(job: Job, sparse: bool = False) -> nn.Module:
    made = {name: torch.from_numpy(array) for name, array in job.weights().items()}
    model = {"classifier": lambda: Bag(job, sparse), "transformer": lambda: Encoder(job)}.get(
        job.model, lambda: Recurrent(job)
    )()
    with torch.no_grad():
        model.embed.weight.copy_(made["table"])
        model.head.weight.copy_(made["kernel"].T)
        model.head.bias.copy_(made["bias"])
        if job.model == "transformer":
            model.positions.copy_(made["positions"])
            for number, block in enumerate(model.encoder.layers):
                _fill_block(
                    block, {name: made[f"{number}.{name}"] for name in ("query", "key", "value", "out", "up", "down")}
                )
        elif job.model != "classifier":
            _fill_recurrent(model.rnn, made)
    return model


def _fill_block(block: Any, made: dict[str, torch.Tensor]) -> None:
    attention = block.self_attn
    attention.in_proj_weight.copy_(torch.cat([made[name].T for name in ("query", "key", "value")]))
    attention.out_proj.weight.copy_(made["out"].T)
    block.linear1.weight.copy_(made["up"].T)
    block.linear2.weight.copy_(made["down"].T)
    for bias in (attention.in_proj_bias, attention.out_proj.bias, block.linear1.bias, block.linear2.bias):
        bias.zero_()


def _fill_recurrent(rnn: Any, made: dict[str, torch.Tensor]) -> None:
    x, h = (made["from_x"], made["from_h"]) if "from_x" in made else made["gates"].chunk(2)
    rnn.weight_ih_l0.copy_(x.T)
    rnn.weight_hh_l0.copy_(h.T)
    rnn.bias_ih_l0.zero_()
    rnn.bias_hh_l0.zero_()
    # PyTorch has a second bias for each gate; Adam would move the sum of both twice as far.
    rnn.bias_hh_l0.requires_grad_(False)
