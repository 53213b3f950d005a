"""The NumPy backend outside of gradients: 32 bits everywhere, NumPy's values, loops, silence, and what it refuses."""

from __future__ import annotations

import importlib.util
import math
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as onp
import pytest
from gradient_table import CASES, CONSTANT

import layerkit as lk
from layerkit import UsageError, fastmath
from layerkit.fastmath import float64, tree_leaves
from layerkit.fastmath import numpy as np
from layerkit_plugins.backends import layerkit_backends

F32, I32 = onp.dtype("float32"), onp.dtype("int32")
BACKENDS = ["numpy", *(["jax"] if importlib.util.find_spec("jax") else [])]
on_both = pytest.mark.parametrize("backend", BACKENDS)

X = onp.array([[0.5, -1.0, 2.0], [1.5, 0.0, -2.5]], F32)
N = onp.array([[3, -1, 2], [0, 5, -2]], I32)
T = onp.array([[True, False, True], [False, False, True]])


class Pair(NamedTuple):
    left: Any
    right: Any


pytestmark = pytest.mark.usefixtures("on_numpy")


# -- Thirty-two bits --------------------------------------------------------------------------------------------------

# name, call, dtype of the result
DTYPES: list[tuple[str, Callable[[], Any], Any]] = [
    *((name, lambda name=name: getattr(np, name)((2, 3)), F32) for name in ("zeros", "ones", "empty")),
    *((f"{name} {dtype.__name__}", lambda name=name, dtype=dtype: getattr(np, name)(3, dtype), narrow)
      for name in ("zeros", "ones", "empty") for dtype, narrow in {
          float: F32, onp.float64: F32, int: I32, onp.int64: I32, onp.uint64: onp.uint32, bool: bool,
          onp.float16: onp.float16, onp.uint8: onp.uint8, onp.complex128: onp.complex64}.items()),
    *((f"{name}_like", lambda name=name: getattr(np, f"{name}_like")(X), F32) for name in ("zeros", "ones", "empty")),
    ("zeros_like of ints", lambda: np.zeros_like(N), I32),
    ("zeros_like of a list", lambda: np.zeros_like([1.0, 2.0]), F32),
    ("zeros_like dtype", lambda: np.zeros_like(N, dtype=float), F32),
    ("ones_like shape", lambda: np.ones_like(N, shape=(4,)), I32),
    ("full float", lambda: np.full((2,), 1.0), F32),
    ("full int", lambda: np.full((2,), 1), I32),
    ("full bool", lambda: np.full((2,), True), bool),
    ("full_like", lambda: np.full_like(X, 3), F32),
    ("eye", lambda: np.eye(3), F32),
    ("identity", lambda: np.identity(3), F32),
    ("linspace", lambda: np.linspace(0, 1, 5), F32),
    ("linspace step", lambda: np.linspace(0, 1, 5, retstep=True), F32),
    ("arange", lambda: np.arange(5), I32),
    ("arange of floats", lambda: np.arange(0.0, 1.0, 0.25), F32),
    ("arange dtype", lambda: np.arange(3, dtype=np.float32), F32),
    ("array", lambda: np.array([1.0, 2.0]), F32),
    ("array of ints", lambda: np.array([1, 2]), I32),
    ("array of bools", lambda: np.array([True]), bool),
    ("array of float64", lambda: np.array(onp.ones(2)), F32),
    ("array dtype", lambda: np.array([1, 2], dtype=float), F32),
    ("asarray", lambda: np.asarray(2.0), F32),
    ("asarray of int64", lambda: np.asarray(onp.arange(3)), I32),
    ("empty list", lambda: np.array([]), F32),
    ("sum of ints", lambda: np.sum(N), I32),
    ("sum of bools", lambda: np.sum(T, 0), I32),
    ("prod of ints", lambda: np.prod(N), I32),
    ("cumsum of bools", lambda: np.cumsum(T), I32),
    ("cumprod of ints", lambda: np.cumprod(N), I32),
    *((f"{name} of {kind}", lambda name=name, x=x: getattr(np, name)(x, 0), F32)
      for name in ("mean", "var", "std", "median", "average")
      for kind, x in {"ints": N, "bools": T, "floats": X}.items()),
    ("mean of halves", lambda: np.mean(X.astype(onp.float16)), onp.float16),
    ("sum of halves", lambda: np.sum(X.astype(onp.float16)), onp.float16),
    ("sum into float", lambda: np.sum(N, dtype=float), F32),
    ("trace of ints", lambda: np.trace(N), I32),
    ("max of ints", lambda: np.max(N, 1), I32),
    *((name, lambda name=name: getattr(np, name)(X, -1), I32)
      for name in ("argmax", "argmin", "argsort", "count_nonzero")),
    ("nonzero", lambda: np.nonzero(X), I32),
    ("where alone", lambda: np.where(X > 0), I32),
    ("searchsorted", lambda: np.searchsorted([1.0, 2.0], X), I32),
    ("where of numbers", lambda: np.where(T, 1.0, 0.0), F32),
    ("where of whole numbers", lambda: np.where(T, 1, 0), I32),
    ("where of float and int", lambda: np.where(T, X, N), F32),
    ("select of numbers", lambda: np.select([T], [1.0], 0.0), F32),
    *((f"{name} of {kind}", lambda name=name, x=x: getattr(np, name)(x), F32)
      for name in ("exp", "log1p", "sqrt", "tanh", "sin", "sinc")
      for kind, x in {"ints": abs(N), "bools": T, "bytes": abs(N).astype(onp.int8)}.items()),
    ("exp of half", lambda: np.exp(X.astype(onp.float16)), onp.float16),
    ("exp of a number", lambda: np.exp(1.5), F32),
    ("exp of a whole number", lambda: np.exp(1), F32),
    ("true_divide of ints", lambda: np.true_divide(N, 2), F32),
    ("divide of arrays", lambda: np.divide(N, onp.abs(N) + 1), F32),
    ("power of int and half", lambda: np.power(abs(N), 0.5), F32),
    ("multiply by np.float64", lambda: np.multiply(X, onp.float64(2)), F32),
    ("add float and int", lambda: np.add(X, N), F32),
    ("add a number", lambda: np.add(X, 2.5), F32),
    ("add a number to ints", lambda: np.add(N, 2), I32),
    ("add a fraction to ints", lambda: np.add(N, 2.5), F32),
    ("maximum", lambda: np.maximum(N, 1), I32),
    ("divmod", lambda: np.divmod(X, 0.5), F32),
    ("dot of ints and floats", lambda: np.dot(X, N.T), F32),
    ("einsum of ints", lambda: np.einsum("ij,ij->i", N, N), I32),
    ("concatenate", lambda: np.concatenate([X, N]), F32),
    ("stack of lists", lambda: np.stack([[1.0], [2.0]]), F32),
    ("clip", lambda: np.clip(N, 0, 2), I32),
    ("round", lambda: np.round(X, 1), F32),
    ("interval", lambda: np.diff(N), I32),
    ("take", lambda: np.take([1.0, 2.0], [0]), F32),
    ("meshgrid", lambda: np.meshgrid([1.0], [2.0, 3.0]), F32),
    ("comparison", lambda: np.greater(X, 0), bool),
    ("float64 array", lambda: np.sin(onp.ones(3)), F32),
    ("logsumexp", lambda: fastmath.logsumexp(N), F32),
    ("erf of ints", lambda: fastmath.erf(N), F32),
    ("top_k", lambda: fastmath.top_k(X, 2)[1], I32),
    ("take_rows", lambda: fastmath.take_rows([[1.0], [2.0]], [0]), F32),
    ("segment_sum", lambda: fastmath.segment_sum(X, [0, 0], 1), F32),
    ("segment_sum of ints", lambda: fastmath.segment_sum(N, [0, 1], 2), I32),
]  # fmt: skip


@pytest.mark.parametrize(("call", "dtype"), [entry[1:] for entry in DTYPES], ids=[entry[0] for entry in DTYPES])
def test_nothing_is_wider_than_it_was_asked_to_be(call: Callable[[], Any], dtype: Any) -> None:
    for y in tree_leaves(call()):
        assert y.dtype == dtype


@pytest.mark.parametrize(("call", "dtype"), [entry[1:] for entry in DTYPES], ids=[entry[0] for entry in DTYPES])
def test_float64_widens_floats_alone(call: Callable[[], Any], dtype: Any) -> None:
    with float64():
        for y in tree_leaves(call()):
            assert (
                y.dtype in (dtype, onp.float64)
                if onp.dtype(dtype).kind == "f"
                else y.dtype.kind in (onp.dtype(dtype).kind)
            )
            assert y.dtype.kind not in "iu" or y.dtype.itemsize <= 4


def test_inside_float64_floats_are_64_bits_wide() -> None:
    with float64():
        for y in (
            np.zeros(2),
            np.array([1.0]),
            np.linspace(0, 1, 3),
            np.mean(N),
            np.full(2, 0.5),
            np.where(T, 1.0, 0.0),
        ):
            assert y.dtype == onp.float64
        assert np.exp(onp.ones(2)).dtype == onp.float64
        assert np.zeros(2, np.float32).dtype == F32
        assert np.arange(3).dtype == I32
        assert fastmath.grad(lambda x: (x * x).sum())(onp.ones(2)).dtype == onp.float64
    assert np.zeros(2).dtype == F32


CONSTANT_CALLS: dict[str, Callable[[Any], Any]] = {
    "all": lambda np: np.all(T, axis=1),
    "any": lambda np: np.any(T, 0, keepdims=True),
    "arange": lambda np: np.arange(2, 11, 3),
    "argmax": lambda np: np.argmax(X, axis=1),
    "argmin": lambda np: np.argmin(X),
    "argsort": lambda np: np.argsort(-X, axis=0),
    "array_equal": lambda np: [np.array_equal(X, X), np.array_equal(X, N)],
    "ceil": lambda np: np.ceil(X),
    "count_nonzero": lambda np: np.count_nonzero(X, axis=1),
    "empty": lambda np: np.empty((2, 3)).shape,
    "empty_like": lambda np: np.empty_like(X).shape,
    "equal": lambda np: np.equal(X, 0),
    "eye": lambda np: np.eye(3, 4, 1),
    "floor": lambda np: np.floor(X),
    "floor_divide": lambda np: np.floor_divide(X, 0.75),
    "greater": lambda np: np.greater(X, N),
    "greater_equal": lambda np: np.greater_equal(X, 0),
    "identity": lambda np: np.identity(2),
    "invert": lambda np: np.invert(T),
    "isclose": lambda np: np.isclose(X, X + 1e-9),
    "isfinite": lambda np: np.isfinite(onp.array([1, onp.inf, onp.nan])),
    "isinf": lambda np: np.isinf(onp.array([1, onp.inf, onp.nan])),
    "isnan": lambda np: np.isnan(onp.array([1, onp.inf, onp.nan])),
    "less": lambda np: np.less(X, 0),
    "less_equal": lambda np: np.less_equal(X, 0),
    "logical_and": lambda np: np.logical_and(T, X),
    "logical_not": lambda np: np.logical_not(N),
    "logical_or": lambda np: np.logical_or(T, X),
    "logical_xor": lambda np: np.logical_xor(T, X),
    "ndim": lambda np: np.ndim(X),
    "nonzero": lambda np: np.nonzero(X),
    "not_equal": lambda np: np.not_equal(X, 0),
    "ones": lambda np: np.ones((2, 1)),
    "ones_like": lambda np: np.ones_like(X),
    "round": lambda np: np.round(X * 1.26, 1),
    "searchsorted": lambda np: np.searchsorted(onp.array([0.0, 1.0]), X, side="right"),
    "shape": lambda np: np.shape(X),
    "sign": lambda np: np.sign(X),
    "size": lambda np: np.size(X),
    "trunc": lambda np: np.trunc(X),
    "zeros": lambda np: np.zeros((2, 0)),
    "zeros_like": lambda np: np.zeros_like(X),
}


def test_every_constant_function_is_called() -> None:
    assert set(CONSTANT_CALLS) == CONSTANT


@on_both
@pytest.mark.parametrize("name", CONSTANT_CALLS)
def test_constant_functions_are_numpys(name: str, backend: str) -> None:
    with lk.use_backend(backend):
        ours = tree_leaves(fastmath.to_host(CONSTANT_CALLS[name](np)))
    theirs = tree_leaves(CONSTANT_CALLS[name](onp))
    assert len(ours) == len(theirs)
    for y, expected in zip(ours, theirs, strict=True):
        onp.testing.assert_allclose(y, expected, rtol=1e-6)


@pytest.mark.parametrize("name", sorted({case.name for case in CASES if case.name not in ("kron", "array_equal")}))
def test_inputs_are_not_written(name: str) -> None:
    for case in (case for case in CASES if case.name == name):
        xs = case.arrays(F32)
        kept = [x.copy() for x in xs]
        case.f(np, *xs)
        for x, before in zip(xs, kept, strict=True):
            onp.testing.assert_array_equal(x, before)


def test_sorting_keeps_equals_in_order() -> None:
    x = onp.tile(onp.array([1.0, 0.0], F32), 50)
    onp.testing.assert_array_equal(np.argsort(x), [*range(1, 100, 2), *range(0, 100, 2)])


def test_empty_reductions_are_nan_without_a_word() -> None:
    empty = onp.zeros((0, 3), F32)
    for name in ("mean", "var", "std", "median"):
        assert onp.isnan(getattr(np, name)(empty, axis=0)).all()
    assert float(np.sum(empty)) == 0
    assert fastmath.logsumexp(empty, 0).tolist() == [-math.inf] * 3


# -- Silence ----------------------------------------------------------------------------------------------------------

WARNING: dict[str, Callable[[Any], Any]] = {
    "log": lambda x: np.log(x * 0),
    "divide": lambda x: np.divide(x, 0),
    "overflow": lambda x: np.exp(x * 1000),
    "invalid": lambda x: np.sqrt(x * 0 - 1),
    "power": lambda x: np.power(x * 0, -1.0),
    "sum": lambda x: np.sum(np.full(3, 3e38)),
    "product": lambda x: np.matmul(np.full((3, 3), 3e38), np.full((3, 3), 3e38)),
    "isclose": lambda x: np.isclose(x / np.array(math.inf), math.inf),
    "logsumexp": lambda x: fastmath.logsumexp(np.full(3, -math.inf)),
    "erf": lambda x: fastmath.erf(np.array([math.inf, -math.inf, 1e30])),
}


@pytest.mark.parametrize("name", WARNING)
def test_no_floating_point_warning_is_seen(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        WARNING[name](onp.ones(3, F32))
        fastmath.value_and_grad(lambda x: np.sum(WARNING[name](x) * x))(onp.ones(3, F32))


ENTRIES: dict[str, Callable[[Callable[[Any], Any]], Any]] = {
    "jit": lambda f: fastmath.jit(f)(X[0]),
    "value_and_grad": lambda f: fastmath.value_and_grad(lambda x: f(x).sum())(X[0]),
    "vjp": lambda f: fastmath.vjp(f, X[0])[1](X[0]),
    "scan": lambda f: fastmath.scan(lambda c, x: (c, f(x)), (), X),
    "map": lambda f: fastmath.map(f, X),
    "vmap": lambda f: fastmath.vmap(f)(X),
    "cond": lambda f: fastmath.cond(True, f, f, X),
    "while_loop": lambda f: fastmath.while_loop(lambda c: c[0] < 1, lambda c: (c[0] + 1, f(c[1])), (0, X)),
    "abstract_eval": lambda f: fastmath.abstract_eval(f, lk.f32(3)),
    "remat": lambda f: fastmath.grad(lambda x: fastmath.remat(f)(x).sum())(X[0]),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_operators_are_silent_inside_whatever_the_backend_runs(name: str) -> None:
    ENTRIES[name](lambda x: x / 0)
    with pytest.warns(RuntimeWarning, match="divide by zero"):  # and NumPy is its old self outside
        onp.ones(1) / onp.zeros(1)


# -- Special functions ------------------------------------------------------------------------------------------------


def test_erf_is_right_to_the_last_digits() -> None:
    x = onp.concatenate([onp.linspace(-6.5, 6.5, 20001), onp.logspace(-30, 0.8, 500), [0.0, onp.inf, -onp.inf]])
    with float64():
        onp.testing.assert_allclose(fastmath.erf(x), [math.erf(v) for v in x], rtol=1e-15)
    single = x.astype(F32)
    onp.testing.assert_allclose(fastmath.erf(single), [math.erf(v) for v in single], rtol=5e-7)
    assert onp.isnan(fastmath.erf(F32.type(onp.nan)))
    assert fastmath.erf(onp.ones(2, onp.float16)).dtype == onp.float16


def test_erf_of_more_than_one_block_at_a_time() -> None:
    x = onp.linspace(-3, 3, 70_000, dtype=F32).reshape(7, 100, 100)
    onp.testing.assert_array_equal(fastmath.erf(x)[6, 99], fastmath.erf(x[6, 99]))


@on_both
def test_top_k_of_ties_and_infinities(backend: str) -> None:
    x = onp.array([[1, 3, 3, -onp.inf, 3], [0, 0, 0, 0, onp.inf]], F32)
    with lk.use_backend(backend):
        values, positions = fastmath.to_host(fastmath.top_k(x, 3))
    assert positions.tolist() == [[1, 2, 4], [4, 0, 1]]
    onp.testing.assert_array_equal(values, onp.take_along_axis(x, positions, 1))


# -- The rest of the contract -----------------------------------------------------------------------------------------


def test_moving_to_the_host_and_back() -> None:
    tree = {"a": X, "b": (2.0, None, [onp.arange(3)])}
    host = fastmath.to_host(tree)
    assert host["a"] is X
    assert all(type(leaf) is onp.ndarray for leaf in tree_leaves(host))
    moved = fastmath.to_device(tree)
    assert moved["a"] is X
    assert [leaf.dtype for leaf in tree_leaves(moved)] == [F32, F32, I32]
    assert fastmath.to_device(X, "cpu") is X
    with pytest.raises(UsageError, match="CPU alone, not on 'gpu:0'"):
        fastmath.to_device(X, "gpu:0")
    assert fastmath.devices() == ["cpu:0"]
    assert fastmath.block_until_ready(tree) is tree
    assert fastmath.compilations() == 0


def test_canonical_narrows_what_operators_widened() -> None:
    with lk.use_backend("numpy") as backend:
        assert backend.canonical(N / 2).dtype == F32
        assert backend.canonical(onp.arange(3)).dtype == I32
        assert backend.canonical(onp.float64(1)).dtype == F32
        assert backend.canonical(X) is X
        assert backend.canonical(3) == 3
        seen = []
        fastmath.grad(lambda x: (seen.append(backend.canonical(x * N).dtype), x.sum())[1])(X)
        assert seen == [F32]
        with float64():
            assert backend.canonical(N / 2).dtype == onp.float64


def test_jit_is_the_function_itself() -> None:
    calls = []
    f = fastmath.jit(lambda x, n: (calls.append(n), x * n)[1], static_argnums=(1,), donate_argnums=(0,))
    assert [float(f(F32.type(2), n)) for n in (3, 3)] == [6, 6]
    assert calls == [3, 3]


def test_the_constructors_say_what_they_need() -> None:
    numpy, jax = layerkit_backends()
    assert (numpy.__name__, numpy.requires, numpy.preference) == ("numpy", ("autograd",), 0)
    assert (jax.__name__, jax.requires, jax.preference) == ("jax", ("jax",), 10)
    assert numpy().name == "numpy"
    assert [f.__name__ for f in layerkit_backends()] == ["numpy", "jax"]  # also after the submodule was imported


def test_nothing_is_imported_before_it_is_needed() -> None:
    code = """
import sys
import layerkit_plugins.backends
assert not {"numpy", "autograd", "jax"} & set(sys.modules), "the plugin imports a backend"
import layerkit as lk
from layerkit import fastmath
from layerkit.fastmath import numpy as np
with lk.use_backend("numpy"):
    fastmath.jit(lambda x: np.exp(fastmath.take_rows(x, [0])))(np.ones((2, 2)))
    fastmath.stop_gradient(np.ones(2))
    assert not {"layerkit_plugins.backends.numpy.boxes", "scipy", "jax"} & set(sys.modules), "before any gradient"
    fastmath.grad(lambda x: np.log(np.exp(x) * x))(1.0)
    assert "autograd" not in sys.modules, "autograd came before any of its formulas"
    assert abs(float(fastmath.grad(np.arctan)(1.0)) - 0.5) < 1e-6
    assert "autograd" in sys.modules and not {"scipy", "jax"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_autograd_itself_is_left_as_it_is() -> None:
    fastmath.grad(np.arctan)(1.0)
    import autograd
    import autograd.numpy as anp

    assert autograd.grad(lambda x: anp.sum(anp.exp(x) * x))(onp.ones(2)).dtype == onp.float64
    seen = []
    autograd.grad(lambda x: (seen.append(type(x).__name__), x)[1])(1.0)
    assert seen == ["ArrayBox"]
