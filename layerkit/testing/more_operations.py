"""What the array language has beyond NumPy's names, and what arrays do by themselves, with arguments to try it on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as onp

from layerkit import fastmath as fm
from layerkit.fastmath import numpy as np
from layerkit.fastmath import random
from layerkit.testing.operations import EMPTY, TIES, A, B, I, J, K, M, N, Q, Row, S, T, V, draw

__all__ = ["METHODS", "OPERATIONS"]


def _operation(name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Row:
    return Row(name, function, args, kwargs)


def _method(name: str, function: Callable[..., Any], *args: Any) -> Row:
    return Row(name, function, args, {}, plain=function)


def _step(carry: Any, x: Any) -> Any:
    new = np.tanh(carry["h"] * x + x)
    return {"h": new, "n": carry["n"] + 1}, (new * 2, carry["n"])


def _start(h: Any) -> Any:
    return {"h": h, "n": onp.array(0, "int32")}


_clipped = fm.custom_vjp(lambda x: x * 2, lambda x: (x * 2, x), lambda x, dy: (np.clip(dy, -0.5, 0.5) * x,))

OPERATIONS = [
    _operation("scan", lambda h, xs: fm.scan(_step, _start(h), xs), V, A),
    _operation("scan", lambda h, xs: fm.scan(_step, _start(h), xs, reverse=True), V, A),
    _operation("scan", lambda h: fm.scan(lambda c, _: (c * h, None), h, None, length=3)[0], V),
    _operation("scan", lambda h, xs: fm.scan(_step, _start(h), xs), V, EMPTY),
    _operation("cond", lambda x: fm.cond(np.sum(x) > 0, lambda x: x * 2, np.sin, x), V),
    _operation("cond", lambda x: fm.cond(np.sum(x) <= 0, lambda x: x * 2, np.sin, x), V),
    _operation(
        "while_loop", lambda n: fm.while_loop(lambda c: c[0] < 50, lambda c: (c[0] * 2, c[1] + 1), (n, n)), K[2]
    ),
    _operation("map", lambda xs: fm.map(lambda x: np.outer(x, x), xs), A),
    _operation("map", lambda xs, ys: fm.map(lambda t: {"s": t[0] + t[1], "m": t[0] * 2}, (xs, ys)), A, B),
    _operation("vmap", lambda a, b: fm.vmap(lambda x, y: np.dot(x, y))(a, b), A, B),
    _operation("vmap", lambda a, v: fm.vmap(lambda x, y: (x * y, np.sum(x)), in_axes=(1, None))(a, v), T, draw(4, 3)),
    _operation("vmap", lambda a: fm.vmap(lambda x: x + 1, in_axes=0, out_axes=1)(a), A),
    _operation("remat", lambda x: fm.remat(lambda x: np.sin(np.cos(x)))(x), A),
    _operation("custom_vjp", _clipped, A),
    _operation("grad", lambda x, y: fm.grad(lambda x: np.sum(np.sin(x) * y))(x), A, B),
    _operation(
        "value_and_grad", lambda x, y: fm.value_and_grad(lambda x, y: np.sum(x * y), argnums=(0, 1))(x, y), A, B
    ),
    _operation("vjp", lambda x, dy: fm.vjp(lambda x: np.sin(x) * 2, x)[1](dy)[0], A, B),
    _operation("jit", fm.jit(lambda x: np.exp(x) * 2), A),
    _operation("segment_sum", lambda v: fm.segment_sum(v, onp.array([0, 2, 0, 1], "int32"), 3), T),
    _operation("segment_sum", lambda v: fm.segment_sum(v, onp.array([1, 1], "int32"), 4), A),
    _operation("take_rows", lambda t: fm.take_rows(t, onp.array([[2, 0], [2, 2]], "int32")), S),
    _operation("take_rows", lambda t: fm.take_rows(t, onp.array(1, "int32")), S),
    _operation("take_rows", lambda t: fm.take_rows(t, onp.zeros((2, 0), "int32")), T),
    _operation("take_rows", fm.take_rows, I, K[:1] - 1),
    _operation("logsumexp", fm.logsumexp, 50 * A),
    _operation("logsumexp", lambda x: fm.logsumexp(x, axis=1, keepdims=True), T),
    _operation("logsumexp", lambda x: fm.logsumexp(x, (0, 2)), T),
    _operation("log_softmax", fm.log_softmax, 20 * A),
    _operation("log_softmax", fm.log_softmax, I),
    _operation("log_softmax", fm.log_softmax, A[:, :0]),
    _operation("softmax", lambda x: fm.softmax(x, 0), A),
    _operation("sigmoid", fm.sigmoid, 30 * A),
    _operation("expit", fm.expit, A),
    _operation("erf", fm.erf, 3 * A),
    _operation("top_k", lambda x: fm.top_k(x, 2), A),
    _operation("top_k", lambda x: fm.top_k(x, 3), J),
    _operation("top_k", lambda x: fm.top_k(x, 2), TIES),
    _operation("update_slice", lambda x, y: fm.update_slice(x, y[:, :2], 1, axis=1), A, B),
    _operation("update_slice", lambda x, i: fm.update_slice(x, x[:2] * 2, i, axis=-2), S, K[2]),
    _operation("logsumexp", fm.logsumexp, onp.full((2, 3), -onp.inf, "float32")),
    _operation("logsumexp", lambda x: fm.logsumexp(x, 1), TIES),
    _operation("one_hot", lambda i: fm.one_hot(i, 4), I),
    _operation("stop_gradient", lambda x: fm.stop_gradient((x, {"a": x * 2}))[1]["a"] * x, A),
    _operation("nested_map", lambda x: fm.nested_map(lambda x: x * 2, {"a": [x, (x,)]}), A),
    _operation("random", lambda x: x * random.uniform(random.get_prng(3), (2, 3)), A),
    _operation("conv", fm.conv, draw(2, 7, 3), draw(3, 3, 4)),
    _operation("conv", lambda x, k: fm.conv(x, k, 2, "SAME"), draw(1, 5, 6, 2), draw(2, 3, 2, 3)),
    _operation("conv", lambda x, k: fm.conv(x, k, 3, ((2, 0),), 2, 2), draw(2, 4, 3), draw(2, 3, 2)),
    _operation("conv", lambda x, k: fm.conv(x, k, 1, "SAME", groups=2), draw(2, 5, 4), draw(3, 2, 6)),
    _operation("conv", lambda x, k: fm.conv(x, k, groups=4), draw(1, 4, 4, 4), draw(2, 2, 1, 4)),
    _operation("conv", fm.conv, onp.zeros((0, 4, 3), "float32"), draw(2, 3, 2)),
]

# What arrays can do by themselves, which layers use as much as functions.
METHODS = [
    _method("sum", lambda x: x.sum(), A),
    _method("mean", lambda x: x.mean(axis=-1, keepdims=True), T),
    _method("max", lambda x: (x.max(axis=0), x.min()), A),
    _method("var", lambda x: (x.var(), x.std(axis=1)), A),
    _method("prod", lambda x: (x.prod(), x.cumsum(axis=1)), A),
    _method("reshape", lambda x: (x.reshape(3, 2), x.reshape((-1,)), x.ravel(), x.flatten()), A),
    _method("transpose", lambda x: (x.T, x.transpose(2, 0, 1), x.swapaxes(0, 1), x.squeeze()), T),
    _method("astype", lambda x: (x.astype(onp.int32), x.astype(onp.float32), x.astype("float16")), 5 * A),
    _method("clip", lambda x: (x.clip(-0.5, 0.5), x.round(1)), A),
    _method("dot", lambda x, y: (x.dot(y), x @ y, x[0] @ y), A, S),
    _method("shape", lambda x: (x.shape, x.ndim, x.size, len(x)), T),
    _method("operators", lambda x, y: (x + y, x - y, x * y, x / y, -x, abs(x), +x, y**x, y % 0.7, y // 0.7), A, Q),
    _method("scalars", lambda x: (x + 1, 1 - x, 2 * x, x / 2, 1 / x, x**2, 2**x, x % 1, x + True), Q),
    _method("host scalars", lambda x: x * onp.float32(2) + onp.float32(1), A),
    _method("comparisons", lambda x, y: (x < y, x <= y, x > y, x >= y, x == y, x != y, x == x), A, B),
    _method("truths", lambda x, y: (x & y, x | y, x ^ y, ~x), M, N),
    _method("whole numbers", lambda x, y: (x + y, x * y, x // y, x % y, -x, x & y, x << 1, x >> 1, x**2), I, J),
    _method("indexing", lambda x: (x[0], x[-1], x[:, 1], x[..., 0], x[1:, ::2], x[::-1], x[None], x[0, 1, 2]), T),
    _method("indexing by arrays", lambda x: (x[onp.array([1, 0, 1])], x[onp.array([0, 1]), onp.array([1, 0])]), A),
    _method("new axes", lambda x: (x[:, None, :], x[..., None]), A),
    _method("iteration", lambda x: [row * 2 for row in x], A),
]
