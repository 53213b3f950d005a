"""Functions of arrays that stand beside the layers: densities, and drawing from log-probabilities."""

from __future__ import annotations

import math
from typing import Any

from layerkit import arguments
from layerkit.engine.layer_error import LayerError
from layerkit.fastmath import log_softmax, logsumexp, one_hot, random
from layerkit.fastmath import numpy as np

__all__ = [
    "log_gaussian_diag_pdf",
    "log_gaussian_pdf",
    "log_softmax",
    "logsoftmax_sample",
    "multigaussian_loss",
    "one_hot",
]

_LOG_2PI = math.log(2 * math.pi)


def log_gaussian_pdf(x: Any, mu: Any, sigma: Any) -> Any:
    """log N(x; mu, S) = -(d log 2 pi + log |S| + (x - mu)' S^-1 (x - mu)) / 2.    x, mu: (..., d)    S: (..., d, d)

    By Cholesky's factors of S, which is symmetric and positive definite; NaN where it is not.

    Raises:
        LayerError: the shapes do not fit.

    >>> round(float(log_gaussian_pdf(np.zeros(1), np.zeros(1), np.ones((1, 1)))), 4)
    -0.9189
    """
    x, mu, sigma = np.asarray(x), np.asarray(mu), np.asarray(sigma)
    d = x.shape[-1] if x.shape else 0
    if not d or tuple(sigma.shape[-2:]) != (d, d) or tuple(mu.shape[-1:]) != (d,):
        raise LayerError(
            f"log_gaussian_pdf: x and mu (..., d) and sigma (..., d, d) are due, got {tuple(x.shape)}, "
            f"{tuple(mu.shape)} and {tuple(sigma.shape)}"
        )
    diagonal, solved = _whitened(sigma, x - mu)
    logdet = 2 * sum(np.log(entry) for entry in diagonal)
    return -0.5 * (d * _LOG_2PI + logdet + sum(part * part for part in solved))


def _whitened(sigma: Any, y: Any) -> tuple[list[Any], list[Any]]:
    """The diagonal of L, and L^-1 y, for S = L L', entry by entry."""
    rows: list[list[Any]] = []
    solved: list[Any] = []
    for i in range(y.shape[-1]):
        row: list[Any] = []
        for j in range(i):
            row.append((sigma[..., i, j] - _dot(row, rows[j][:j])) / rows[j][j])
        row.append(np.sqrt(sigma[..., i, i] - _dot(row, row)))
        rows.append(row)
        solved.append((y[..., i] - _dot(row[:i], solved)) / row[i])
    return [row[i] for i, row in enumerate(rows)], solved


def _dot(a: list[Any], b: list[Any]) -> Any:
    return sum(x * y for x, y in zip(a, b, strict=True))


def log_gaussian_diag_pdf(x: Any, mu: Any, diag_sigma: Any) -> Any:
    """log N(x; mu, diag(s)) = -(d log 2 pi + sum log s + sum (x - mu)^2 / s) / 2.    x, mu, s: (..., d)

    Args:
        diag_sigma: s, the variances, above 0.

    >>> round(float(log_gaussian_diag_pdf(np.zeros(2), np.zeros(2), np.ones(2))), 4)
    -1.8379
    """
    x, mu, variance = np.asarray(x), np.asarray(mu), np.asarray(diag_sigma)
    centered = x - mu
    return -0.5 * (
        x.shape[-1] * _LOG_2PI + np.sum(np.log(variance), axis=-1) + np.sum(centered * centered / variance, axis=-1)
    )


def multigaussian_loss(preds: Any, targets: Any, ngauss: int = 1) -> Any:
    """-log sum over k of p_k N(target; mu_k, diag(s_k^2 + 1e-6)), a mixture of ``ngauss`` Gaussians.

    preds: (..., ngauss (2 d + 1)): the logits of p, then mu, then s.    targets: (..., d)    loss: (...)

    Raises:
        LayerError: ``ngauss`` is no whole number from 1 up, or the predictions are not so many.

    >>> round(float(multigaussian_loss(np.array([0.0, 0.0, 1.0]), np.array([0.0]))), 4)
    0.9189
    """
    count = arguments.whole_number("multigaussian_loss", "ngauss", ngauss)
    preds, targets = np.asarray(preds), np.asarray(targets)
    d = targets.shape[-1] if targets.shape else 0
    if tuple(preds.shape) != (*targets.shape[:-1], count * (2 * d + 1)):
        raise LayerError(
            f"multigaussian_loss: {count} Gaussians for targets of shape {tuple(targets.shape)} take predictions of "
            f"shape {(*targets.shape[:-1], count * (2 * d + 1))}, got {tuple(preds.shape)}"
        )
    shape = (*targets.shape[:-1], count, d)
    mu = np.reshape(preds[..., count : count * (d + 1)], shape)
    s = np.reshape(preds[..., count * (d + 1) :], shape)
    each = log_gaussian_diag_pdf(np.expand_dims(targets, -2), mu, s * s + 1e-6)
    return -logsumexp(log_softmax(preds[..., :count]) + each, axis=-1)


def logsoftmax_sample(log_probs: Any, temperature: float = 1.0, rng: Any = None) -> Any:
    """Classes drawn from log-probabilities: argmax(log_probs + temperature g), g from Gumbel's distribution.

    log_probs: (..., n)    classes: (...), int32

    Args:
        temperature: 1 draws from the probabilities, 0 takes the largest, between is more careful.
        rng: the random key, uint32 (2,); needed unless the temperature is 0.

    Raises:
        LayerError: the temperature is negative, or there is no key.

    >>> logsoftmax_sample(np.log(np.array([0.2, 0.7, 0.1])), temperature=0.0).tolist()
    1
    """
    scale = arguments.number("logsoftmax_sample", "temperature", temperature, at_least=0)
    log_probs = np.asarray(log_probs)
    if scale:
        if rng is None:
            raise LayerError("logsoftmax_sample: a temperature above 0 draws random numbers: give it a key, rng=...")
        log_probs = log_probs + scale * random.gumbel(rng, tuple(log_probs.shape)).astype(log_probs.dtype)
    return np.argmax(log_probs, axis=-1)
