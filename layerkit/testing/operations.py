"""NumPy's names in the array language, each with arguments to try it on; ``more_operations`` has the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as onp

from layerkit.fastmath import numpy as np
from layerkit.shapes import signature

__all__ = ["LANGUAGE", "Row", "draw"]


class Row(NamedTuple):
    """One call."""

    name: str
    function: Callable[..., Any]
    """In the array language."""
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    traceable: bool = True
    """Off where the shape of the result depends on values."""
    plain: Callable[..., Any] | None = None
    """In NumPy itself, where it can be said there."""

    def __repr__(self) -> str:
        given = [signature(x) if hasattr(x, "dtype") else x for x in self.args]
        return f"{self.name}({', '.join([*map(str, given), *(f'{k}={v}' for k, v in self.kwargs.items())]):.80})"


_generator = onp.random.default_rng(7)


def draw(*shape: int, low: float = -1.0, high: float = 1.0) -> Any:
    """Example numbers, float32."""
    return _generator.uniform(low, high, shape).astype("float32")


A, B, P, Q = draw(2, 3), draw(2, 3), draw(2, 3, low=0.2, high=0.9), draw(2, 3, low=1.2, high=4.0)
V, W, S, T = draw(3), draw(3), draw(3, 3), draw(4, 2, 3)
I, J, K = onp.array([[3, -1, 2], [0, 5, -4]], "int32"), onp.array([[2, 1, 3], [4, 2, 1]], "int32"), onp.array([2, 0, 1])
K = K.astype("int32")
M, N = A > 0, B > 0
ODD = onp.array([[0.0, onp.nan, -onp.inf], [onp.inf, 1.5, -2.0]], "float32")
EMPTY = onp.zeros((0, 3), "float32")
TIES = onp.array([[0.0, 1.0, 1.0], [-1.0, 0.0, 1.0]], "float32")


def _row(name: str, *args: Any, **kwargs: Any) -> Row:
    return Row(name, getattr(np, name), args, kwargs, plain=getattr(onp, name))


_UNARY = """
    abs arcsinh arctan cbrt ceil conj copy cos cosh exp exp2 expm1 floor negative positive ravel round sign sin sinc
    sinh square tan tanh trunc
""".split()
_BINARY = """
    add arctan2 divide floor_divide fmax fmin hypot logaddexp maximum minimum mod multiply remainder subtract
    true_divide
""".split()
_TRUTHS = "equal greater greater_equal less less_equal not_equal logical_and logical_or logical_xor isclose".split()
_REDUCTIONS = "amax amin max mean min prod std sum var".split()

LANGUAGE = [
    *(_row(name, A) for name in _UNARY),
    *(_row(name, I) for name in "abs conj copy negative positive ravel sign square".split()),
    *(_row(name, I) for name in "exp sin tanh cbrt exp2 expm1 arctan cosh".split()),
    *(_row(name, P) for name in "arccos arcsin arctanh log log10 log1p log2 reciprocal sqrt".split()),
    _row("arccosh", Q),
    *(_row(name, A, Q) for name in _BINARY),
    *(_row(name, I, J) for name in _BINARY),
    *(_row(name, A, 2.5) for name in "add subtract multiply divide maximum mod hypot".split()),
    *(_row(name, V, A) for name in "add multiply divide fmin arctan2".split()),
    *(_row(name, TIES, 0.0) for name in "maximum minimum fmax fmin".split()),
    *(_row(name, TIES, TIES[::-1]) for name in "maximum minimum fmax fmin".split()),
    *(_row(name, TIES) for name in "abs sign max min sort square sinc median prod cumprod".split()),
    *(_row(name, TIES, axis=1) for name in "amax amin argmax argmin argsort sort prod median".split()),
    *(_row(name, ODD, TIES) for name in "fmax fmin".split()),
    _row("clip", TIES, 0.0, 1.0),
    _row("clip", TIES, 0.0, None),
    _row("power", TIES, 2),
    _row("power", TIES, 3.0),
    *(_row(name, A, I) for name in "add multiply divide maximum power".split()),
    _row("multiply", I, 2.0),
    _row("add", M, I),
    _row("divide", I, 2),
    *(_row(name, A, B) for name in _TRUTHS),
    *(_row(name, I, J) for name in _TRUTHS),
    *(_row(name, ODD) for name in "isfinite isinf isnan logical_not".split()),
    *(_row(name, A) for name in _REDUCTIONS),
    *(_row(name, A, axis=1) for name in _REDUCTIONS),
    *(_row(name, T, axis=(0, 2), keepdims=True) for name in _REDUCTIONS),
    *(_row(name, I, axis=0) for name in _REDUCTIONS),
    *(_row(name, M) for name in "sum mean prod max min".split()),
    *(_row(name, EMPTY, axis=0) for name in "sum prod".split()),
    _row("std", A, ddof=1),
    _row("var", T, axis=1, ddof=1),
    _row("sum", A, dtype=onp.float32),
    _row("all", M),
    _row("all", M, axis=0),
    _row("any", N, axis=1, keepdims=True),
    _row("arange", 5),
    _row("arange", 1, 8, 3),
    _row("arange", 0.0, 1.0, 0.25),
    _row("arange", 4, dtype=onp.float32),
    _row("argmax", A),
    _row("argmax", A, axis=1),
    _row("argmin", I, axis=0),
    _row("argsort", A),
    _row("argsort", onp.array([2, 1, 2, 1, 0], "int32")),
    _row("argsort", T, axis=1),
    _row("array", [[1.0, 2.0], [3.0, 4.0]]),
    _row("array", [1, 2]),
    _row("array", A),
    _row("array", 2.5),
    _row("array", [True, False]),
    _row("array", [1, 2], onp.float32),
    _row("array_equal", A, A),
    _row("array_equal", A, V),
    _row("array_split", T, 3, axis=2),
    _row("array_split", A, 2, 1),
    _row("asarray", A),
    _row("asarray", [1.5, 2.0]),
    _row("asarray", 3),
    *(_row(name, V) for name in "atleast_1d atleast_2d atleast_3d".split()),
    _row("average", A),
    _row("average", A, axis=1, weights=V),
    _row("broadcast_arrays", V, A),
    _row("broadcast_to", V, (2, 3)),
    _row("clip", A, -0.5, 0.4),
    _row("clip", I, 0, 2),
    _row("column_stack", [V, W]),
    _row("concatenate", [A, B]),
    _row("concatenate", (A, I, B), axis=1),
    _row("concatenate", [EMPTY, A]),
    _row("count_nonzero", M),
    _row("count_nonzero", I, axis=0),
    _row("cross", V, W),
    _row("cumprod", A, axis=1),
    _row("cumprod", onp.array([2.0, 0.0, 3.0], "float32")),
    _row("cumsum", A),
    _row("cumsum", T, axis=1),
    _row("cumsum", I, axis=0),
    _row("cumsum", M, axis=1),
    _row("diag", V),
    _row("diag", S, 1),
    _row("diagonal", S),
    _row("diff", A),
    _row("diff", T, axis=0),
    _row("divmod", A, Q),
    _row("divmod", I, J),
    _row("dot", A, S),
    _row("dot", V, W),
    _row("dot", I, J.T),
    _row("einsum", "ij,kj->ik", A, B),
    _row("einsum", "bij,j->bi", T, V),
    _row("einsum", "bij,bkj->bik", T, T),
    _row("einsum", "ii->i", S),
    _row("einsum", "...ij->...ji", T),
    _row("empty", (0, 3)),
    _row("empty_like", EMPTY),
    _row("expand_dims", A, 1),
    _row("expand_dims", A, (0, 2)),
    _row("eye", 3),
    _row("eye", 2, 4, 1, dtype=onp.int32),
    _row("flip", A),
    _row("flip", T, axis=1),
    _row("full", (2, 2), 1.5),
    _row("full", 3, 7),
    _row("full_like", A, 2.0),
    _row("full_like", I, 2),
    _row("hstack", [V, W]),
    _row("identity", 3),
    _row("inner", A, B),
    _row("invert", I),
    _row("invert", M),
    _row("isclose", A, A + 1e-7),
    _row("kron", A, S),
    _row("linspace", 0.0, 1.0, 5),
    _row("linspace", -1, 1, 4),
    _row("matmul", A, S),
    _row("matmul", T, S),
    _row("matmul", T, draw(4, 3, 2)),
    _row("matmul", A, V),
    _row("maximum", A, 0),
    _row("maximum", I, 0),
    _row("median", A),
    _row("median", T, axis=0),
    _row("meshgrid", V, W),
    _row("meshgrid", V, draw(2), indexing="ij"),
    _row("mod", I, 3),
    _row("moveaxis", T, 0, -1),
    _row("nan_to_num", ODD[:, :2]),
    _row("ndim", T),
    Row("nonzero", np.nonzero, (M,), {}, traceable=False, plain=onp.nonzero),
    _row("ones", (2, 3)),
    _row("ones", 2, dtype=onp.int32),
    _row("ones_like", A),
    _row("ones_like", I),
    _row("outer", V, W),
    _row("pad", A, ((1, 0), (0, 2))),
    _row("pad", A, 1, mode="constant", constant_values=3.0),
    _row("pad", V, (2, 1), mode="edge"),
    _row("power", Q, A),
    _row("power", A, 2),
    _row("power", A, 3.0),
    _row("power", I, 2),
    _row("power", 2.0, A),
    _row("repeat", A, 2, axis=0),
    _row("repeat", V, 3),
    _row("reshape", T, (2, -1)),
    _row("reshape", A, -1),
    _row("reshape", EMPTY, (3, 0)),
    _row("roll", A, 1, axis=1),
    _row("roll", T, (1, 2), (0, 2)),
    _row("rot90", A),
    _row("round", 10 * A, 1),
    _row("searchsorted", onp.sort(V), W),
    _row("searchsorted", onp.array([1, 3, 5], "int32"), J, side="right"),
    _row("select", [M, N], [A, B], 0.5),
    _row("shape", T),
    _row("size", T),
    _row("sort", A),
    _row("sort", T, axis=0),
    _row("sort", I),
    _row("split", T, 2),
    _row("split", A, [1], 1),
    _row("squeeze", T[:1]),
    _row("squeeze", A[:, :1], axis=1),
    _row("stack", [A, B]),
    _row("stack", (V, W), axis=-1),
    _row("swapaxes", T, 0, 2),
    _row("take", A, K, axis=1),
    _row("take", V, 1),
    _row("take", A, onp.array([[0, 1], [1, 1]], "int32"), axis=0),
    _row("take_along_axis", A, onp.argsort(A, axis=1).astype("int32"), axis=1),
    _row("tensordot", A, S, 1),
    _row("tensordot", T, T, axes=([0, 2], [0, 2])),
    _row("tile", A, (2, 1)),
    _row("tile", V, 2),
    _row("trace", S),
    _row("transpose", T),
    _row("transpose", T, (1, 0, 2)),
    _row("tril", S),
    _row("triu", S, k=1),
    _row("vdot", V, W),
    _row("vstack", [A, S]),
    _row("where", M, A, B),
    _row("where", M, A, 0),
    _row("where", M, 1.0, 0.0),
    _row("where", M, I, 0),
    _row("zeros", (2, 3)),
    _row("zeros", 0),
    _row("zeros_like", A),
    _row("zeros_like", M),
]
