"""The array language's differentiable functions, each as it may be called: what ``test_numpy_gradients.py`` checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as onp

__all__ = ["CASES", "CONSTANT", "Case"]


@dataclass(frozen=True)
class Case:
    """``f(np, *arrays)`` for any namespace with NumPy's names, on random arrays of these shapes."""

    name: str
    f: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]
    low: float = -2.0
    high: float = 2.0
    note: str = ""
    in_jax: bool = True

    def arrays(self, dtype: Any, seed: int = 0) -> list[Any]:
        """Numbers between ``low`` and ``high``, no two of them closer than a finite difference reaches."""
        rng = onp.random.default_rng(seed)
        sizes = [int(onp.prod(shape)) for shape in self.shapes]
        steps = rng.permutation(sum(sizes)) + rng.uniform(0.25, 0.75)
        values = self.low + (self.high - self.low) * steps / sum(sizes)
        parts = onp.split(values, onp.cumsum(sizes)[:-1])
        return [part.reshape(shape).astype(dtype) for part, shape in zip(parts, self.shapes, strict=True)]

    @property
    def id(self) -> str:
        return f"{self.name}-{self.note}" if self.note else self.name


CONSTANT = set(
    """
    all any arange argmax argmin argsort array_equal ceil count_nonzero empty empty_like equal eye floor floor_divide
    greater greater_equal identity invert isclose isfinite isinf isnan less less_equal logical_and logical_not
    logical_or logical_xor ndim nonzero not_equal ones ones_like round searchsorted shape sign size trunc zeros
    zeros_like
    """.split()
)
"""Functions whose result does not depend on their arguments, or in steps only."""

A, B = (3, 4), (2, 3, 4)


def _call(name: str, *args: Any, **kwargs: Any) -> Callable[..., Any]:
    return lambda np, *xs: getattr(np, name)(*xs, *args, **kwargs)


def _all(name: str, shapes: Any, *calls: tuple[str, Callable[..., Any]], **domain: Any) -> list[Case]:
    return [Case(name, f, shapes, note=note, **domain) for note, f in calls]


UNARY = [
    *(
        Case(name, _call(name), (A,))
        for name in """
        abs arctan arcsinh cos cosh exp exp2 expm1 negative positive sin sinc sinh square tanh nan_to_num conj cbrt
    """.split()
    ),
    *(Case(name, _call(name), (A,), 0.2, 3.0) for name in "log log10 log2 sqrt reciprocal".split()),
    *(Case(name, _call(name), (A,), -0.9, 0.9) for name in "arccos arcsin arctanh log1p tan".split()),
    Case("arccosh", _call("arccosh"), (A,), 1.2, 3.0),
    Case("sinc", _call("sinc"), (A,), -0.03, 0.03, "near 0"),
    Case("cbrt", _call("cbrt"), (A,), -3.0, -0.5, "negative"),
]

BINARY = [
    *(
        Case(name, _call(name), shapes, low, 2.5, note)
        for name, low in {
            "add": -2, "subtract": -2, "multiply": -2, "divide": 0.3, "true_divide": 0.3, "maximum": -2, "minimum": -2,
            "fmax": -2, "fmin": -2, "power": 0.3, "logaddexp": -2, "arctan2": 0.3, "hypot": 0.3,
        }.items()
        for note, shapes in {
            "": (A, A), "row": (A, (4,)), "column": ((3, 1), A), "number": ((), A), "both": ((3, 1), (1, 4)),
        }.items()
    ),
    *(
        Case(name, lambda np, x, name=name: getattr(np, name)(2.6 * x, 0.7), (A,), 0.3, 2.5)
        for name in ("mod", "remainder")
    ),
    Case("mod", lambda np, x: np.mod(2.6, x), (A,), 0.3, 2.5, "divisor"),
    Case("divmod", lambda np, x: np.divmod(2.6 * x, 0.7)[1], (A,), 0.3, 2.5),
    *(Case("power", _call("power", p), (A,), 0.3, 2.0, f"to {p}") for p in (2, 3, 0, -1, 0.5)),
    Case("power", _call("power", 3), (A,), note="of negatives"),
    Case("power", lambda np, x: np.power(2.5, x), (A,), note="exponent"),
    Case("power", lambda np, x: np.power(x, np.array([0.0, 1.0, 2.0, 3.0])), (A,), 0.3, 2.0, "array"),
    *_all(
        "clip", (A,),
        ("both", _call("clip", -1.0, 1.0)),
        ("low", _call("clip", -0.5, None)),
        ("high", lambda np, x: np.clip(x, None, 0.5)),
        in_jax=True,
    ),
    Case("clip", lambda np, x, low: np.clip(x, low, 1.8), (A, (4,)), note="bound"),
    *_all(
        "where", (A, A),
        ("", lambda np, x, y: np.where(x > y, x, y * 2)),
        ("number", lambda np, x, y: np.where(y > 0, x, 0.5)),
    ),
    Case("where", lambda np, x, y: np.where(onp.arange(4) > 1, x, y), ((4,), (3, 1)), note="stretched"),
    Case("select", lambda np, x: np.select([x > 1, x > 0], [x * x, -x], 7.0), (A,)),
    Case("select", lambda np, x, y: np.select([x > 1], [y], x), (A, A), note="default"),
]  # fmt: skip

REDUCTIONS = [
    *(
        Case(name, _call(name, **kwargs), (B,), 0.5, 2.0, note)
        for name in "sum prod mean var std max min amax amin median average".split()
        for note, kwargs in {
            "all": {}, "last": {"axis": -1}, "keepdims": {"axis": 1, "keepdims": True}, "two": {"axis": (0, 2)},
            "three": {"axis": (0, 1, 2), "keepdims": True},
        }.items()
    ),
    *(
        Case(name, _call(name, axis=1, where=onp.array([[True], [False], [True]])), (B,), 0.5, 2.0, "where")
        for name in ("sum", "mean", "prod", "var", "std")
    ),
    Case("max", lambda np, x: np.max(x, axis=1, where=x < 1.8, initial=-9.0), (B,), 0.5, 2.0, "where"),
    Case("min", lambda np, x: np.min(x, axis=1, initial=0.9), (B,), 0.5, 2.0, "initial"),
    Case("sum", lambda np, x: np.sum(x, 1, initial=2.0), (B,), note="initial"),
    Case("prod", lambda np, x: np.prod(x, 1, initial=2.0), (B,), note="initial"),
    Case("sum", lambda np, x: np.sum([x[0], x[1]]), (B,), note="list"),
    Case("var", _call("var", axis=1, ddof=1), (B,), note="ddof"),
    Case("std", _call("std", ddof=1), (B,), note="ddof"),
    Case("prod", lambda np, x: np.prod(x * onp.array([1.0, 0.0, 1.0, 1.0], x.dtype), -1), (A,), note="one zero"),
    Case("prod", lambda np, x: np.prod(x * onp.array([1.0, 0.0, 0.0, 1.0], x.dtype), -1), (A,), note="two zeros"),
    Case("average", lambda np, x, w: np.average(x, 0, w), ((3, 4), (3,)), 0.3, 2.0, "weights"),
    Case("average", lambda np, x, w: np.average(x, weights=w), (A, A), 0.3, 2.0, "all weights"),
    Case("average", lambda np, x, w: np.average(x, -1, w, returned=True), (A, A), 0.3, 2.0, "returned"),
    *(
        Case(name, _call(name, **kwargs), (A,), note=note)
        for name in ("cumsum", "cumprod")
        for note, kwargs in {"flat": {}, "0": {"axis": 0}, "1": {"axis": 1}, "-1": {"axis": -1}}.items()
    ),
    Case("cumprod", lambda np, x: np.cumprod(x * onp.array([1.0, 0.0, 1.0, 1.0], x.dtype), -1), (A,), note="zero"),
    *_all(
        "diff", (A,),
        ("", _call("diff")), ("2", _call("diff", 2, 0)), ("prepend", _call("diff", prepend=1.0)),
        ("append", lambda np, x: np.diff(x, axis=0, append=x[:1])),
    ),
    *_all(
        "trace", ((3, 4),),
        ("", _call("trace")), ("above", _call("trace", 1)),
    ),
    Case("trace", _call("trace", 0, 1, 2), (B,), note="axes"),
    *_all("sort", (B,), ("", _call("sort")), ("0", _call("sort", 0)), ("flat", _call("sort", None))),
]  # fmt: skip

PRODUCTS = [
    *(
        Case("dot", _call("dot"), shapes, note=str(shapes))
        for shapes in [((3,), (3,)), (A, (4,)), ((3,), A), (A, (4, 2)), (B, (4, 2)), (B, (4,)), (B, (5, 4, 2)), ((), A)]
    ),
    *(
        Case("matmul", _call("matmul"), shapes, note=str(shapes))
        for shapes in [((3,), (3,)), (A, (4,)), ((3,), A), (A, (4, 2)), (B, (4, 2)), (B, (2, 4, 5)), (A, (2, 4, 5)),
                       (B, (4,)), ((3,), (2, 3, 4)), ((2, 1, 3, 4), (5, 4, 2))]
    ),
    *(Case("inner", _call("inner"), shapes, note=str(shapes)) for shapes in [((3,), (3,)), (A, (2, 4)), (B, (4,))]),
    Case("outer", _call("outer"), ((3,), (4,))),
    Case("outer", _call("outer"), (A, (2,)), note="flattened"),
    Case("vdot", _call("vdot"), (A, A)),
    *(
        Case("tensordot", _call("tensordot", axes), shapes, note=str(axes))
        for axes, shapes in [(2, (B, (3, 4, 5))), (0, ((3,), (4,))), (1, (A, (4, 2))), (((1, 2), (0, 1)), (B, (3, 4))),
                             (((2, 0), (0, 2)), (B, (4, 5, 2))), ((-1, 0), (B, (4, 5)))]
    ),
    *(Case("kron", _call("kron"), shapes, note=str(shapes)) for shapes in [((2,), (3,)), ((2, 3), (3, 2))]),
    Case("cross", _call("cross"), ((4, 3), (4, 3))),
    Case("cross", _call("cross", axis=0), ((3, 4), (3, 4)), note="axis"),
    *(
        Case("einsum", lambda np, *xs, s=s: np.einsum(s, *xs), shapes, note=s)
        for s, shapes in {
            "ij,jk->ik": (A, (4, 2)), "ij,jk": (A, (4, 2)), "ij->ji": (A,), "ij->": (A,), "ij->i": (A,),
            "ii": ((3, 3),),
            "ii->i": ((3, 3),), "bij,bjk->bik": (B, (2, 4, 5)), "bhqd,bhkd->bhqk": ((2, 2, 3, 4), (2, 2, 5, 4)),
            "bhqk,bkhd->bqhd": ((2, 2, 3, 5), (2, 5, 2, 4)), "...i,ij->...j": (B, (4, 2)),
            "...ij,...jk->...ik": (B, (4, 2)),
            "i,j->ij": ((3,), (4,)), "i,i->i": ((3,), (3,)), "i,i": ((3,), (3,)),
            "ijk,jkl,lm->im": (B, (3, 4, 5), (5, 2)),
            "iij,j->i": ((3, 3, 4), (4,)), "ij,kj->": (A, (2, 4)), "ijk,j->ik": (B, (3,)), ",ij->ij": ((), A),
            "ab,cb->ca": (A, (2, 4)), "ij,jk,kl->il": ((2, 3), A, (4, 5)),
        }.items()
    ),
]  # fmt: skip

SHAPES = [
    *_all("array", ((4,),), ("", _call("array")), ("nested", lambda np, x: np.array([[x[0], 1.0], [x[1], x[2]]]))),
    Case("array", lambda np, x: np.array([x, x * 2]), (A,), note="list"),
    Case("asarray", _call("asarray"), (A,)),
    Case("copy", _call("copy"), (A,)),
    Case("reshape", _call("reshape", (4, 3)), (A,)),
    Case("reshape", _call("reshape", -1), (B,), note="flat"),
    Case("reshape", lambda np, x: np.reshape(x, (6, 4), order="F"), (B,), note="order"),
    Case("ravel", _call("ravel"), (B,)),
    Case("transpose", _call("transpose"), (B,)),
    Case("transpose", _call("transpose", (1, -1, 0)), (B,), note="axes"),
    Case("swapaxes", _call("swapaxes", 0, -1), (B,)),
    Case("moveaxis", _call("moveaxis", 0, -1), (B,)),
    Case("moveaxis", _call("moveaxis", (0, 1), (2, 0)), (B,), note="two"),
    Case("expand_dims", _call("expand_dims", (0, 2)), (A,)),
    Case("squeeze", _call("squeeze"), ((1, 3, 1),)),
    Case("squeeze", _call("squeeze", -1), ((1, 3, 1),), note="axis"),
    *(Case(name, _call(name), ((4,),)) for name in ("atleast_1d", "atleast_2d", "atleast_3d")),
    Case("atleast_1d", _call("atleast_1d"), ((),), note="number"),
    Case("broadcast_to", _call("broadcast_to", (2, 3, 4)), ((3, 1),)),
    Case("broadcast_arrays", _call("broadcast_arrays"), ((3, 1), (4,))),
    Case("meshgrid", _call("meshgrid"), ((3,), (4,))),
    Case("meshgrid", lambda np, x, y: np.meshgrid(x, y, indexing="ij"), ((3,), (4,)), note="ij"),
    Case("meshgrid", lambda np, x, y: np.meshgrid(x, y, sparse=True), ((3,), (4,)), note="sparse"),
    *(
        Case(name, lambda np, x, y, name=name: getattr(np, name)([x, y]), shapes, note=str(shapes))
        for name in ("concatenate", "stack", "vstack", "hstack", "column_stack")
        for shapes in (((4,), (4,)), (A, A))
    ),
    Case(
        "concatenate",
        lambda np, x, y: np.concatenate((x, onp.ones((3, 2), x.dtype), y), axis=-1),
        (A, (3, 1)),
        note="last",
    ),
    Case("concatenate", lambda np, x, y: np.concatenate([x, y], axis=None), (A, (2,)), note="flat"),
    Case("stack", lambda np, x, y: np.stack((x, y, x), axis=-1), (A, A), note="last"),
    Case("split", _call("split", 2, axis=1), (A,)),
    Case("split", lambda np, x: np.split(x, [1, 3], axis=-1), (A,), note="at"),
    Case("array_split", _call("array_split", 3, axis=1), (A,)),
    Case("array_split", lambda np, x: np.array_split(x, 2)[1], ((5,),), note="one part"),
    Case("full", lambda np, x: np.full((2, 4), x), ((4,),)),
    Case("full_like", lambda np, x: np.full_like(x, x[0, 0]), (A,)),
    Case("linspace", lambda np, x, y: np.linspace(x, y, 5), ((), ())),
    Case("linspace", lambda np, x, y: np.linspace(x, y, 4, endpoint=False, axis=1), ((3,), (3,)), note="arrays"),
]

PLACES = [
    *_all(
        "take", (A,),
        ("0", _call("take", onp.array([2, 0, 2, -1]), 0)), ("1", _call("take", onp.array([[3, 1], [3, 3]]), 1)),
        ("flat", _call("take", onp.array([11, 0, 0]))),
        ("wrap", lambda np, x: np.take(x, onp.array([5, -7]), axis=0, mode="wrap")),
        ("clip", lambda np, x: np.take(x, onp.array([5, 1]), axis=0, mode="clip")),
        ("one", lambda np, x: np.take(x, 1, axis=0)),
    ),
    Case("take_along_axis", _call("take_along_axis", onp.array([[0, 3], [1, 1], [2, 0]]), -1), (A,)),
    Case("take_along_axis", lambda np, x: np.take_along_axis(x, np.argsort(-x, axis=0), 0), (A,), note="0"),
    *_all(
        "diag", (A,), ("of a matrix", _call("diag")), ("below", _call("diag", -1)),
    ),
    Case("diag", _call("diag", 1), ((3,),), note="to a matrix"),
    Case("diagonal", _call("diagonal"), (A,)),
    Case("diagonal", _call("diagonal", 1, 1, 2), (B,), note="axes"),
    *(Case(name, _call(name, k), (shape,), note=f"{k}, {shape}") for name in ("tril", "triu") for k in (0, 1, -1)
      for shape in (A, B)),
    *_all("flip", (A,), ("", _call("flip")), ("1", _call("flip", 1)), ("both", _call("flip", (0, 1)))),
    *_all(
        "roll", (A,),
        ("flat", _call("roll", 2)), ("0", _call("roll", -1, 0)), ("both", _call("roll", (1, 2), (0, 1))),
    ),
    *_all("rot90", (A,), ("", _call("rot90")), ("3", _call("rot90", 3))),
    Case("rot90", _call("rot90", 1, (1, 2)), (B,), note="axes"),
    *_all(
        "repeat", (A,),
        ("flat", _call("repeat", 2)), ("1", _call("repeat", 3, 1)), ("each", _call("repeat", onp.array([2, 0, 1]), 0)),
    ),
    *_all("tile", (A,), ("2", _call("tile", 2)), ("both", _call("tile", (2, 3))), ("more", _call("tile", (2, 1, 2)))),
    *_all(
        "pad", (A,),
        ("1", _call("pad", 1)), ("axes", _call("pad", ((1, 0), (2, 1)))), ("one number", _call("pad", (1, 2))),
        ("value", lambda np, x: np.pad(x, 1, constant_values=3.0)),
        *((mode, _call("pad", ((1, 1), (2, 1)), mode)) for mode in ("edge", "reflect", "symmetric", "wrap")),
    ),
]  # fmt: skip

CASES = [*UNARY, *BINARY, *REDUCTIONS, *PRODUCTS, *SHAPES, *PLACES]
