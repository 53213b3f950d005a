"""Attention layers with weights for each head: x goes in, y comes out, and some heads at a time are in memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import layerkit as lk
from layerkit import arguments, fastmath
from layerkit.fastmath import numpy as np
from layerkit.fastmath import random
from layerkit.initializers import GlorotUniformInitializer, RandomNormalInitializer
from layerkit_plugins.layers.attending import dropout_of_weights
from layerkit_plugins.layers.chunks import rms_normalized
from layerkit_plugins.layers.inputs import as_float, first_weights, in_dtype_of

__all__ = ["HeadWeights", "HeadsInTurn", "project"]

_KERNEL = GlorotUniformInitializer()
_BIAS = RandomNormalInitializer(1e-6)


class HeadWeights(NamedTuple):
    """The weights of attention, with the heads as their first axis; ``()`` for what a layer does without."""

    query: Any
    key: Any
    value: Any
    out: Any
    query_bias: Any = ()
    key_bias: Any = ()
    value_bias: Any = ()


class HeadsInTurn(lk.Layer):
    """What attention layers have in common that make queries, keys and values themselves, a few heads at a time.

    A subclass says what some heads make of some examples; their sum over all heads is the output.
    """

    def __init__(
        self,
        name: str,
        n_arrays: int,
        n_heads: int,
        d_qk: int,
        d_v: int,
        masked: bool,
        mode: str | None,
        dropouts: tuple[float, float],
        n_parallel_heads: int | None,
        share_qk: bool = False,
        bias: bool = False,
    ) -> None:
        super().__init__(n_arrays + bool(masked), 1, name, mode=mode)
        self.n_heads = arguments.whole_number(name, "n_heads", n_heads)
        self.d_qk = arguments.whole_number(name, "d_qk", d_qk)
        self.d_v = arguments.whole_number(name, "d_v", d_v)
        self.masked, self.share_qk, self.bias = bool(masked), bool(share_qk), bool(bias)
        self.attention_dropout = arguments.fraction(name, "attention_dropout", dropouts[0])
        self.output_dropout = arguments.fraction(name, "output_dropout", dropouts[1])
        self.n_parallel_heads = _checked_parallel(name, n_parallel_heads, self.n_heads)

    def init_weights_and_state(self, signature: Any) -> None:
        x, *others = signature if self.n_in > 1 else (signature,)
        d, d_keys = _features(x), _features(others[0] if self.n_in - self.masked > 1 else x)
        keys = random.split(self.rng, 7)
        h = self.n_heads

        def make(i: int, d_in: int, d_out: int) -> Any:
            kernel = first_weights("kernel", _KERNEL, (d_in, h * d_out), keys[i])
            return np.transpose(np.reshape(kernel, (d_in, h, d_out)), (1, 0, 2))

        out = first_weights("kernel", _KERNEL, (h * self.d_v, d), keys[3])
        self.weights = HeadWeights(
            make(0, d, self.d_qk),
            () if self.share_qk else make(1, d_keys, self.d_qk),
            make(2, d_keys, self.d_v),
            np.reshape(out, (h, self.d_v, d)),
            _BIAS((h, self.d_qk), keys[4]) if self.bias else (),
            _BIAS((h, self.d_qk), keys[5]) if self.bias and not self.share_qk else (),
            _BIAS((h, self.d_v), keys[6]) if self.bias else (),
        )

    def inputs(self, x: Any) -> list[Any]:
        """The arrays (b, l, d) that came in, of the features that are due, and the mask (b, l), or ``()``."""
        *arrays, mask = x if self.masked else (*(x if self.n_in > 1 else (x,)), ())
        due = [self.weights.query.shape[1], self.weights.value.shape[1]]
        for array, d in zip(arrays, due, strict=False):
            if len(array.shape) != 3 or array.shape[-1] != d:
                raise lk.LayerError(f"expected (batch, length, {d}), got {tuple(array.shape)}")
        if arrays[0].shape[0] != arrays[-1].shape[0]:
            shapes = " and ".join(str(tuple(array.shape)) for array in arrays)
            raise lk.LayerError(f"expected sequences of one batch, got {shapes}")
        if self.masked:
            mask = _of_keys(mask, arrays[-1].shape[:2])
        return [*map(as_float, arrays), mask]

    def dropped_weights(self) -> Callable[[Any, Any], Any]:
        drops = self.training and self.attention_dropout
        return dropout_of_weights(self.attention_dropout, random.fold_in(self.rng, 0) if drops else None)

    def dropped_output(self, y: Any) -> Any:
        if not self.training or not self.output_dropout:
            return y
        keep = random.bernoulli(random.fold_in(self.rng, 1), 1 - self.output_dropout, y.shape)
        return np.where(keep, y / (1 - self.output_dropout), 0)

    def sum_over_heads(self, kernel: Callable[[Any, Any, Any], Any], xs: list[Any], weights: Any) -> Any:
        """The sum over heads of ``kernel(arrays of examples, weights of heads, number)``, with dropout.

        Each group of examples and heads has a number of its own; all but one wait, and are made again for the gradient.
        """
        batch, parallel = xs[0].shape[0], self.n_parallel_heads
        if parallel is None or parallel >= batch * self.n_heads:
            return self.dropped_output(in_dtype_of(xs[0], kernel(xs, weights, 0)))
        heads, examples = min(parallel, self.n_heads), math.gcd(batch, max(1, parallel // self.n_heads))
        n_groups, n_turns = self.n_heads // heads, batch // examples

        def cut(n: int) -> Callable[[Any], Any]:
            return lambda x: np.reshape(x, (n, x.shape[0] // n, *x.shape[1:]))

        xs, weights = fastmath.nested_map(cut(n_turns), xs), fastmath.nested_map(cut(n_groups), weights)
        again = fastmath.remat(kernel)

        def of_examples(turn: Any) -> Any:
            number, own = turn

            def add(total: Any, group: Any) -> tuple[Any, Any]:
                i, of_heads = group
                return total + in_dtype_of(total, again(own, of_heads, number * n_groups + i)), ()

            return fastmath.scan(add, np.zeros(own[0].shape, own[0].dtype), (np.arange(n_groups), weights))[0]

        ys = fastmath.map(of_examples, (np.arange(n_turns), xs))
        return self.dropped_output(np.reshape(ys, (batch, *ys.shape[2:])))


def project(x: Any, context: Any, w: HeadWeights) -> tuple[Any, Any, Any]:
    """Queries of x (b, l, d), scaled, and keys and values of the context, (b, h, l, ...); keys of queries if shared."""
    shared = type(w.key) is tuple
    q, v = _heads(x, w.query, w.query_bias), _heads(context, w.value, w.value_bias)
    k = rms_normalized(q) if shared else _heads(context, w.key, w.key_bias)
    return in_dtype_of(q, q * (1 / math.sqrt(q.shape[-1]))), in_dtype_of(q, k), v


def _heads(x: Any, kernel: Any, bias: Any) -> Any:
    y = np.einsum("bld,hde->bhle", x, kernel)
    return y if type(bias) is tuple else y + np.expand_dims(bias, 1)


def _features(signature: Any) -> int:
    if len(signature.shape) != 3:
        raise lk.LayerError(f"expected (batch, length, features), got {tuple(signature.shape)}")
    return int(signature.shape[-1])


def _checked_parallel(layer: str, parallel: Any, n_heads: int) -> int | None:
    if parallel is None:
        return None
    n = arguments.whole_number(layer, "n_parallel_heads", parallel)
    if max(n, n_heads) % min(n, n_heads):
        raise lk.LayerError(f"{layer}: n_parallel_heads {n} neither divides n_heads {n_heads} nor is a multiple")
    return n


def _of_keys(mask: Any, due: tuple[int, ...]) -> Any:
    """The mask as truth values (b, l); it may have the axes that ``PaddingMask`` gives it."""
    batch, length = due
    if tuple(mask.shape) not in ((batch, length), (batch, 1, 1, length)) or mask.dtype.kind not in "biu":
        raise lk.LayerError(
            f"expected a mask of truth values ({batch}, {length}) or ({batch}, 1, 1, {length}), true where a key may "
            f"be seen, got {mask.dtype.name} {tuple(mask.shape)}"
        )
    mask = np.reshape(mask, (batch, length))
    return mask if mask.dtype.kind == "b" else mask != 0
