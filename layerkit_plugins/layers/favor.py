"""Attention through features of queries and keys, whose products stand for its weights: memory grows with the length.

Choromanski et al., "Rethinking attention with Performers", ICLR 2021, arXiv 2009.14794.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as onp

import layerkit as lk
from layerkit import arguments, fastmath
from layerkit.fastmath import numpy as np
from layerkit_plugins.layers.activations import relu
from layerkit_plugins.layers.attending import UNSEEN, check_fit, check_mask, checked_heads, cut, joined
from layerkit_plugins.layers.attention import ConfigurableAttention
from layerkit_plugins.layers.dense import Dense
from layerkit_plugins.layers.inputs import as_float, in_dtype_of, require_some

__all__ = ["CausalFavor", "CausalFavorAttention", "Favor", "FavorAttention"]

# Positions whose weights are made at a time where each sees those before it: as many as a head often has features.
_CHUNK = 64

_HEADS = lk.f32(2, 2, 5, 4)
_MASK = lk.bool_(2, 1, 1, 5)


@lk.example(_HEADS, _HEADS, _HEADS, _MASK, d_feature=8, n_heads=2)
class FavorAttention(lk.Layer):
    """y_i = f(q_i) sum_j f(k_j) v_j / f(q_i) sum_j f(k_j); the mask comes out as it went in.

    q: (..., m, d)    k: (..., n, d)    v: (..., n, e)    mask: (..., 1, n)    y: (..., m, e)

    f(x) = relu(x) + numerical_stabilizer; with ``use_approximate_softmax``, f(x) = exp(w x - |x|^2 / 2) + epsilon for
    n_random_features vectors w, orthogonal to one another d at a time: f(q) f(k) is exp(q k) on average, and y that of
    softmax attention. The vectors are the same in every layer and call. A query that may see no key gets zeros.

    Choromanski et al., "Rethinking attention with Performers", ICLR 2021, arXiv 2009.14794.

    Args:
        d_feature, n_heads: d is d_feature / n_heads.
        n_random_features: how many vectors w there are.
        numerical_stabilizer: added to f without softmax, so that no sum is 0.
        use_approximate_softmax: see above.
        scale_by_norm: gives the vectors w the lengths of normal ones, which the average needs; else all have sqrt(d).
        normalize_data: divides queries and keys by d^(1/4): for softmax(q k^T / sqrt(d)) in place of softmax(q k^T).
        epsilon: added to f with softmax.
        mode: of no effect.

    Raises:
        LayerError: an argument is out of range; the heads cannot share the features evenly; shapes do not fit; the mask
            is made of fractions.

    >>> from layerkit.fastmath import numpy as np
    >>> k = np.array([[1.0, 0.0], [0.0, 1.0]])
    >>> y, mask = FavorAttention(d_feature=2, numerical_stabilizer=0)((k, k, 3 * k, np.array([[True, True]])))
    >>> y.tolist()
    [[3.0, 0.0], [0.0, 3.0]]
    """

    def __init__(
        self,
        d_feature: int = 4,
        n_heads: int = 1,
        n_random_features: int = 256,
        numerical_stabilizer: float = 0.001,
        use_approximate_softmax: bool = False,
        scale_by_norm: bool = True,
        normalize_data: bool = False,
        epsilon: float = 0.0001,
        mode: str | None = None,
    ) -> None:
        super().__init__(4, 2, mode=mode)
        d_feature, n_heads = checked_heads(self.name, d_feature, n_heads)
        self.d = d_feature // n_heads
        self.n_random_features = arguments.whole_number(self.name, "n_random_features", n_random_features)
        self.stabilizer = arguments.number(self.name, "numerical_stabilizer", numerical_stabilizer, at_least=0)
        self.epsilon = arguments.number(self.name, "epsilon", epsilon, at_least=0)
        self.softmax, self.scale_by_norm = bool(use_approximate_softmax), bool(scale_by_norm)
        self.scale = self.d**-0.25 if normalize_data else 1.0

    def forward(self, x: Any) -> Any:
        q, k, v, mask = x
        check_fit(q, k, v)
        require_some(k, -2, "attention")
        if q.shape[-1] != self.d:
            raise lk.LayerError(f"expected queries and keys of {self.d} features, got {tuple(q.shape)}")
        q, k, v = as_float(q), as_float(k), as_float(v)
        real = check_mask(mask, (*q.shape[:-2], 1, k.shape[-2]))
        real = np.swapaxes(real, -1, -2)
        of_keys = np.where(real, self._features(k, (-1, -2), real), 0)
        sums = np.matmul(np.swapaxes(of_keys, -1, -2), _with_ones(v))
        return in_dtype_of(v, _quotient(np.matmul(self._features(q, (-1,)), sums))), mask

    def _features(self, x: Any, alike: tuple[int, ...], real: Any = True) -> Any:
        """f(x), and with softmax f(x) over a factor that all along the axes ``alike`` share: it falls out of y.

        The factor is the largest of those that are ``real``; no other has a part in it.
        """
        if not self.softmax:
            return relu(x) + self.stabilizer
        x = x * self.scale
        w = np.array(_directions(self.n_random_features, self.d, self.scale_by_norm)).astype(x.dtype)
        exponents = np.matmul(x, w.T) - np.sum(x * x, axis=-1, keepdims=True) / 2
        exponents = np.where(real, exponents, UNSEEN)
        # Not without its gradient: epsilon is no part of what the factor is taken out of.
        return np.exp(exponents - np.max(exponents, axis=alike, keepdims=True)) + self.epsilon


@lru_cache(maxsize=16)
def _directions(n: int, d: int, scale_by_norm: bool) -> Any:
    """n random vectors of d numbers, (n, d): each d of them are orthogonal."""
    generator = onp.random.default_rng(0)
    blocks = [onp.linalg.qr(generator.normal(size=(d, d)))[0].T for _ in range(-(-n // d))]
    # The same lengths for all, or those that normal vectors have; the signs of QR are not random, those of normals are.
    signs = generator.choice([-1.0, 1.0], size=(n, 1))
    lengths = onp.linalg.norm(generator.normal(size=(n, d)), axis=1, keepdims=True) if scale_by_norm else d**0.5
    return (onp.concatenate(blocks)[:n] * signs * lengths).astype("float32")


def _with_ones(v: Any) -> Any:
    """Values with a 1 behind them: where values are summed, so are the weights."""
    return np.concatenate([v, np.ones((*v.shape[:-1], 1), v.dtype)], axis=-1)


def _quotient(sums: Any) -> Any:
    total = sums[..., -1:]
    return np.where(total == 0, 0, sums[..., :-1] / np.where(total == 0, 1, total))


# Long enough for several real keys: where there is one, the gradient is what rounding left of a difference that is 0.
@lk.example(lk.f32(2, 8, 8), lk.bool_(2, 1, 1, 8), d_feature=8, n_heads=2)
def Favor(
    d_feature: int,
    n_heads: int = 1,
    n_random_features: int = 256,
    dropout: float = 0.0,
    numerical_stabilizer: float = 0.001,
    use_approximate_softmax: bool = False,
    scale_by_norm: bool = False,
    normalize_data: bool = False,
    epsilon: float = 0.0001,
    mode: str | None = None,
) -> lk.Layer:
    """y = W_o FavorAttention(W_q x, W_k x, W_v x, mask), in several heads; the mask comes out as it went in.

    x: (b, l, ...)    mask: (b, 1, 1, l)    y: (b, l, d_feature)

    Args:
        d_feature: the features of queries, keys, values and of y.
        n_heads: how many heads share them.
        dropout: of no effect: there are no weights to drop.
        n_random_features, numerical_stabilizer, use_approximate_softmax, scale_by_norm, normalize_data, epsilon, mode:
            as in ``FavorAttention``.

    Raises:
        LayerError: an argument is out of range; the heads cannot share the features evenly; the mask does not fit.

    >>> Favor(8, n_heads=2).output_signature((lk.f32(3, 5, 8), lk.bool_(3, 1, 1, 5)))[0]
    float32[3,5,8]
    """
    arguments.fraction("Favor", "dropout", dropout)
    attention = FavorAttention(
        d_feature,
        n_heads,
        n_random_features,
        numerical_stabilizer,
        use_approximate_softmax,
        scale_by_norm,
        normalize_data,
        epsilon,
        mode,
    )
    return _in_heads(d_feature, n_heads, attention)


def _in_heads(d_feature: int, n_heads: int, attention: lk.Layer) -> lk.Layer:
    query, key, value, last = (Dense(d_feature) for _ in range(4))
    return ConfigurableAttention(query, key, value, last, attention, n_heads)


# -- what comes later may not be seen ---------------------------------------------------------------------------------


@lk.example(_HEADS, _HEADS, _HEADS)
class CausalFavorAttention(lk.Layer):
    """y_i = f(q_i) sum_(j <= i) f(k_j) v_j / f(q_i) sum_(j <= i) f(k_j), with f(x) = relu(x) + numerical_stabilizer.

    q, k: (..., l, d)    v: (..., l, e)    y: (..., l, e)

    The sums over all that was, (..., d, e), go from one chunk of positions to the next. In predict mode they are the
    state: a call brings the positions that follow those of the call before, and there may be any number of them.

    Choromanski et al., "Rethinking attention with Performers", ICLR 2021, arXiv 2009.14794; Katharopoulos et al.,
    "Transformers are RNNs", ICML 2020, arXiv 2006.16236.

    Args:
        numerical_stabilizer: added to f, so that no sum is 0.
        mode: ``"predict"``, see there.

    Raises:
        LayerError: ``numerical_stabilizer`` is out of range; shapes do not fit; in predict mode, another batch than at
            init.

    >>> from layerkit.fastmath import numpy as np
    >>> x = np.array([[1.0], [2.0], [6.0]])
    >>> CausalFavorAttention(numerical_stabilizer=0)((0 * x + 1, 0 * x + 1, x)).tolist()
    [[1.0], [1.5], [3.0]]
    """

    def __init__(self, numerical_stabilizer: float = 0.001, mode: str | None = None) -> None:
        super().__init__(3, 1, mode=mode)
        self.stabilizer = arguments.number(self.name, "numerical_stabilizer", numerical_stabilizer, at_least=0)

    @property
    def is_bare(self) -> bool:
        return self.mode != "predict"

    def init_weights_and_state(self, signature: Any) -> None:
        if self.mode == "predict":
            _, k, v = signature
            self.state = np.zeros(_sums_of(k, v), v.dtype)

    def forward(self, x: Any) -> Any:
        q, k, v = map(as_float, x)
        check_fit(q, k, v)
        if q.shape[-2] != k.shape[-2]:
            raise lk.LayerError(f"expected as many queries as keys, got {tuple(q.shape)} and {tuple(k.shape)}")
        of_queries = relu(q) + self.stabilizer
        of_keys, values = relu(k) + self.stabilizer, _with_ones(v)
        due = _sums_of(k, v)
        before = self.state if self.mode == "predict" else np.zeros(due, v.dtype)
        if tuple(before.shape) != due:
            raise lk.LayerError(
                f"in predict mode it was initialized for sums {tuple(before.shape)}, got {due}; init it again"
            )
        after, sums = _running(of_queries, of_keys, values, before)
        if self.mode == "predict":
            self.state = after
        return in_dtype_of(v, _quotient(sums))


def _sums_of(k: Any, v: Any) -> tuple[int, ...]:
    return (*k.shape[:-2], k.shape[-1], v.shape[-1] + 1)


def _running(q: Any, k: Any, v: Any, before: Any) -> tuple[Any, Any]:
    """The sums after all positions, and what each query makes of the sums up to its own position."""
    length = q.shape[-2]
    # The last chunk is filled up with zeros, which change no sum.
    size = min(_CHUNK, max(length, 1))
    chunks = tuple(np.moveaxis(cut(x, -2, size), -3, 0) for x in (q, k, v))
    seen = np.tril(np.ones((size, size), v.dtype))

    def add(sums: Any, chunk: Any) -> tuple[Any, Any]:
        q, k, v = chunk
        weights = np.matmul(q, np.swapaxes(k, -1, -2)) * seen
        y = np.matmul(weights, v) + np.matmul(q, sums)
        return in_dtype_of(sums, sums + np.matmul(np.swapaxes(k, -1, -2), v)), in_dtype_of(v, y)

    after, ys = fastmath.scan(add, before, chunks)
    return after, joined(np.moveaxis(ys, 0, -3), length)


@lk.example(lk.f32(2, 5, 8), d_feature=8, n_heads=2)
def CausalFavor(
    d_feature: int,
    n_heads: int = 1,
    dropout: float = 0.0,
    numerical_stabilizer: float = 0.001,
    mode: str | None = None,
) -> lk.Layer:
    """y = W_o CausalFavorAttention(W_q x, W_k x, W_v x), in several heads.    x: (b, l, ...)    y: (b, l, d_feature)

    Args:
        d_feature: the features of queries, keys, values and of y.
        n_heads: how many heads share them.
        dropout: of no effect: there are no weights to drop.
        numerical_stabilizer, mode: as in ``CausalFavorAttention``.

    Raises:
        LayerError: an argument is out of range; the heads cannot share the features evenly.

    >>> CausalFavor(8, n_heads=2).output_signature(lk.f32(3, 5, 8))
    float32[3,5,8]
    """
    arguments.fraction("CausalFavor", "dropout", dropout)
    d_feature, n_heads = checked_heads("CausalFavor", d_feature, n_heads)
    return _in_heads(d_feature, n_heads, CausalFavorAttention(numerical_stabilizer, mode))
