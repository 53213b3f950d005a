"""An array that is being differentiated behaves as the array it stands for: methods, operators, indexing."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as onp
import pytest

import layerkit as lk
from layerkit import fastmath
from layerkit.fastmath import ArrayError, float64
from layerkit.fastmath import numpy as np

needs_jax = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")

F32 = onp.float32
ROW = onp.array([0.5, -1.0, 2.0, 1.5], F32)


pytestmark = pytest.mark.usefixtures("on_numpy")


def numbers(*shape: int, dtype: Any = F32) -> Any:
    return onp.random.default_rng(0).uniform(0.5, 2.0, shape).astype(dtype)


def check(f: Callable[[Any], Any], x: Any) -> None:
    """The value is the plain one, float32; the gradient is float32 and matches finite differences in float64."""

    def scalar(z: Any) -> tuple[Any, Any]:
        y = f(z)
        return (y * onp.linspace(0.5, 1.5, int(onp.prod(y.shape)), dtype=y.dtype).reshape(y.shape)).sum(), y

    (_, y), g = fastmath.value_and_grad(scalar, has_aux=True)(x)
    plain = f(x)
    assert y.dtype == onp.asarray(plain).dtype == F32
    onp.testing.assert_allclose(y, plain, rtol=1e-6)
    assert g.dtype == F32
    assert g.shape == x.shape
    with float64():
        wide = x.astype(onp.float64)
        along = onp.random.default_rng(3).standard_normal(x.shape)
        above, below = (float(scalar(wide + sign * 1e-6 * along)[0]) for sign in (1, -1))
        assert float((fastmath.grad(lambda z: scalar(z)[0])(wide) * along).sum()) == pytest.approx(
            (above - below) / 2e-6, rel=1e-6, abs=1e-8
        )
    assert float((g * along).sum()) == pytest.approx((above - below) / 2e-6, rel=1e-3, abs=1e-4)


METHODS: dict[str, Callable[[Any], Any]] = {
    "reshape(4, 3)": lambda x: x.reshape(4, 3),
    "reshape((4, 3))": lambda x: x.reshape((4, 3)),
    "reshape(-1)": lambda x: x.reshape(-1),
    "transpose()": lambda x: x.transpose(),
    "transpose(1, 0)": lambda x: x.transpose(1, 0),
    "transpose((1, 0))": lambda x: x.transpose((1, 0)),
    "T": lambda x: x.T,
    "flatten()": lambda x: x.flatten(),
    "ravel()": lambda x: x.ravel(),
    "squeeze(0)": lambda x: x[:1].squeeze(0),
    "swapaxes": lambda x: x.swapaxes(0, 1),
    "sum()": lambda x: x.sum(),
    "sum(-1)": lambda x: x.sum(-1),
    "sum keepdims": lambda x: x.sum(axis=0, keepdims=True),
    "mean(-1)": lambda x: x.mean(-1),
    "mean keepdims": lambda x: x.mean(axis=-1, keepdims=True),
    "var": lambda x: x.var(axis=-1),
    "std": lambda x: x.std(axis=-1),
    "max()": lambda x: x.max(),
    "max(0)": lambda x: x.max(0),
    "min": lambda x: x.min(axis=1),
    "prod": lambda x: x.prod(axis=1),
    "cumsum": lambda x: x.cumsum(axis=1),
    "clip": lambda x: x.clip(0.8, 1.7),
    "clip by keyword": lambda x: np.clip(x, max=1.2) + x.clip(min=0.9),
    "dot": lambda x: x.dot(x.T),
    "take": lambda x: x.take(onp.array([2, 0]), axis=0),
    "repeat": lambda x: x.repeat(2, axis=1),
    "diagonal": lambda x: x.diagonal(),
    "trace": lambda x: x.trace(),
    "copy": lambda x: x.copy() * 2,
    "astype": lambda x: x.astype(x.dtype) * 2,
    "shape": lambda x: x * x.shape[0] + x.ndim + x.size + len(x),
    "dtype": lambda x: x * onp.ones((), x.dtype),
    "iteration": lambda x: sum(row * i for i, row in enumerate(x)),
    "unpacking": lambda x: (lambda a, b, c: a * b - c)(*x),
}

OPERATORS: dict[str, Callable[[Any], Any]] = {
    "x + 1": lambda x: x + 1,
    "1 + x": lambda x: 1 + x,
    "x - 1.5": lambda x: x - 1.5,
    "1.5 - x": lambda x: 1.5 - x,
    "2 * x": lambda x: 2 * x,
    "x / 3": lambda x: x / 3,
    "3 / x": lambda x: 3 / x,
    "x ** 2": lambda x: x**2,
    "x ** -0.5": lambda x: x**-0.5,
    "2 ** x": lambda x: 2**x,
    "x ** x": lambda x: x**x,
    "-x": lambda x: -x,
    "+x": lambda x: +x * 2,
    "abs(x)": lambda x: abs(x - 1),
    "x % 0.4": lambda x: x % 0.4,
    "divmod": lambda x: divmod(x, 0.4)[1],
    "x // 1": lambda x: x + x // 1,
    "x @ x.T": lambda x: x @ x.T,
    "row + x": lambda x: ROW.astype(x.dtype) + x,
    "row * x": lambda x: ROW.astype(x.dtype) * x,
    "row - x": lambda x: ROW.astype(x.dtype) - x,
    "row / x": lambda x: ROW.astype(x.dtype) / x,
    "x / row": lambda x: x / ROW.astype(x.dtype),
    "array @ x": lambda x: onp.ones((2, 3), x.dtype) @ x,
    "x @ array": lambda x: x @ onp.ones((4, 2), x.dtype),
    "scalar * x": lambda x: x.dtype.type(2) * x,
    "0-d * x": lambda x: onp.asarray(2, x.dtype) * x,
    "comparison": lambda x: x * (x > 1) + (x <= 1) - (x == 1) * (x != 2),
    "truth": lambda x: x * 2 if x[0, 0] > 0 else x,
    "total += x": lambda x: _total(onp.zeros(x.shape, x.dtype), x),
    "x += 1": lambda x: _total(x, 1),
    "ufunc": lambda x: onp.exp(x) + onp.maximum(1, x),
    "uncommon ufunc": lambda x: onp.degrees(x),
}


def _total(total: Any, x: Any) -> Any:
    if isinstance(total, onp.ndarray):
        total = total.copy()
    total += x
    total *= 2
    total -= 1
    total /= 3
    return total


IDS = onp.array([2, 0, 2, 2, -1])
INDICES: dict[str, Any] = {
    "1": 1,
    "-1": -1,
    "1:": slice(1, None),
    "::-1": slice(None, None, -1),
    "..., 1": (..., 1),
    ":, None": (slice(None), None),
    "1, 2": (1, 2),
    "1, ::2": (1, slice(None, None, 2)),
    "numpy int": onp.int32(1),
    "list": [0, 2, 0],
    "list in a tuple": (slice(None), [0, 3, 0]),
    "empty list": [],
    "ids": IDS,
    "ids of two axes": IDS.reshape(5, 1) % 3,
    "two arrays": (onp.array([0, 1, 0]), onp.array([3, 2, 3])),
    "array and slice": (slice(None), onp.array([1, 1])),
    "array and number": (onp.array([1, 1, 0]), 2),
    "mask": onp.arange(12).reshape(3, 4) % 3 == 0,
    "mask of rows": onp.array([True, False, True]),
    "mask and slice": (onp.array([True, False, True]), slice(1, 3)),
    "0-d array": onp.array(2),
}


@pytest.mark.parametrize("name", METHODS)
def test_methods(name: str) -> None:
    check(METHODS[name], numbers(3, 4))


@pytest.mark.parametrize("name", OPERATORS)
def test_operators(name: str) -> None:
    check(OPERATORS[name], numbers(3, 4))


@pytest.mark.parametrize("name", INDICES)
def test_indexing(name: str) -> None:
    check(lambda x: x[INDICES[name]] * 2, numbers(3, 4))


EMPTY: dict[str, Callable[[Any], Any]] = {
    **{name: (lambda x, name=name: getattr(np, name)(x)) for name in "sum prod exp sort cumsum cumprod ravel".split()},
    **{f"{name} of no rows": (lambda x, name=name: getattr(np, name)(x, 0)) for name in "sum prod mean var".split()},
    **{
        f"{name} of rows": (lambda x, name=name: getattr(np, name)(x, 1))
        for name in "sum prod mean var std max min sort cumsum cumprod median".split()
    },
    "matmul": lambda x: x @ np.ones((3, 2)),
    "matmul to a square": lambda x: x.T @ x,
    "einsum": lambda x: np.einsum("ij,kj->ik", x, np.ones((2, 3))),
    "concatenate": lambda x: np.concatenate([x, np.ones((2, 3))]),
    "stack": lambda x: np.stack([x, x]),
    "pad": lambda x: np.pad(x, 1),
    "index": lambda x: x[:, onp.array([0, 0])],
    "logsumexp": lambda x: fastmath.logsumexp(x, -1),
    "log_softmax": fastmath.log_softmax,
    "erf": fastmath.erf,
    "top_k": lambda x: fastmath.top_k(x, 2)[0],
    "take_rows": lambda x: fastmath.take_rows(x, onp.zeros((0, 2), onp.int32)),
    "segment_sum": lambda x: fastmath.segment_sum(x, [], 2),
    "scan": lambda x: fastmath.scan(lambda c, row: (c + row, row * 2), np.zeros(3), x)[1],
}


@pytest.mark.parametrize("name", EMPTY)
def test_an_array_without_numbers_has_a_gradient_without_numbers(name: str) -> None:
    x = onp.zeros((0, 3), F32)
    value, g = fastmath.value_and_grad(lambda x: np.sum(np.nan_to_num(EMPTY[name](x))))(x)
    assert value.dtype == g.dtype == F32
    assert g.shape == (0, 3)


def test_an_index_read_again_and_again_adds_up() -> None:
    x = numbers(50, 3)
    check(lambda x: sum((x[i] * i * x[i // 2] for i in range(50)), start=x[0] * 0), x)


def test_what_does_not_change_smoothly_is_a_plain_constant() -> None:
    seen = {}

    def f(x: Any) -> Any:
        seen.update(
            argmax=x.argmax(-1), argsort=x.argsort(), nonzero=x.nonzero()[0], round=x.round(1), any=x.any(),
            all=x.all(),
            greater=x > 1, whole=x.astype(onp.int32), truth=x.astype(bool), sign=np.sign(x), floor=np.floor(x),
            searchsorted=x[0].searchsorted(1.0),
        )  # fmt: skip
        return x.sum()

    fastmath.grad(f)(numbers(3, 4))
    assert all(type(value) in (onp.ndarray, onp.bool_, onp.int32, onp.float32) for value in seen.values())
    assert (
        seen["argmax"].dtype
        == seen["argsort"].dtype
        == seen["nonzero"].dtype
        == seen["searchsorted"].dtype
        == onp.int32
    )


def test_whole_numbers_made_of_differentiated_ones_can_be_ids() -> None:
    embed = numbers(5, 2)
    g = fastmath.grad(lambda x, t: (fastmath.take_rows(t, (x * 2).astype(np.int32)) * x[:, None]).sum())(
        numbers(3), embed
    )
    assert g.shape == (3,)


@pytest.mark.parametrize(
    "use", [float, int, onp.asarray, lambda x: x.item(), lambda x: x.tolist(), lambda x: [1, 2][x]]
)
def test_no_plain_number_leaves_a_differentiation_unnoticed(use: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match="is being differentiated is no plain number"):
        fastmath.grad(lambda x: x * use(x))(F32(1.0))


def test_writing_into_a_differentiated_array_is_an_error() -> None:
    def write(x: Any) -> Any:
        x[0] = 1
        return x.sum()

    with pytest.raises(TypeError, match=r"cannot be written: make a new one with np\.where"):
        fastmath.grad(write)(numbers(3))
    with pytest.raises(TypeError, match=r"cannot be written into another \(out=\)"):
        fastmath.grad(lambda x: onp.add(x, x, out=numbers(3)).sum())(numbers(3))
    with pytest.raises(TypeError, match="without axes"):
        fastmath.grad(lambda x: x * len(x))(F32(1.0))


KINKS: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "maximum at a tie": (lambda x: np.maximum(x, 0), [0.0, 1.0, -1.0]),
    "minimum at a tie": (lambda x: np.minimum(0.0, x), [0.0, 1.0, -1.0]),
    "fmax beside nan": (lambda x: np.fmax(x, onp.array([onp.nan, 0.0, 2.0], F32)), [1.0, 1.0, 1.0]),
    "clip at its bounds": (lambda x: np.clip(x, -1, 1), [-1.0, 1.0, 0.0, 2.0]),
    "max with ties": (lambda x: np.max(x, -1), [[1.0, 1.0, 0.0], [2.0, 2.0, 2.0]]),
    "min with ties": (lambda x: np.min(x, 0), [[1.0, 1.0, 0.0], [1.0, 2.0, 2.0]]),
    "abs at 0": (np.abs, [0.0, -1.0]),
    "sinc at 0": (np.sinc, [0.0, 1.0]),
    "power at 0": (lambda x: np.power(x, 2.0) + x**3, [0.0, -1.0]),
    "power 0 at 0": (lambda x: x**0, [0.0, 1.0]),
    "tanh far out": (np.tanh, [100.0, -100.0]),
    "logaddexp of -inf": (lambda x: np.logaddexp(x, 1.0), [-onp.inf, 1.0]),
    "logsumexp of -inf": (lambda x: fastmath.logsumexp(x, -1), [[-onp.inf, 1.0], [-onp.inf, 0.0]]),
    "logsumexp far out": (fastmath.logsumexp, [1000.0, 1000.0, -1000.0]),
    "log_softmax far out": (fastmath.log_softmax, [1000.0, -1000.0]),
    "sqrt at 0": (np.sqrt, [0.0, 4.0]),
    "product with zeros": (lambda x: np.prod(x, -1), [[0.0, 2.0, 3.0], [0.0, 0.0, 3.0]]),
    "nan_to_num": (np.nan_to_num, [onp.nan, 1.0, onp.inf]),
    "where hides": (lambda x: np.where(x > 0, np.log(np.where(x > 0, x, 1)), 0), [-1.0, 2.0, 0.0]),
    "sort with ties": (lambda x: np.sort(x) * np.array([1.0, 2.0, 3.0]), [1.0, 0.0, 1.0]),
}


@needs_jax
@pytest.mark.parametrize("name", KINKS)
def test_kinks_are_those_of_jax(name: str) -> None:
    f, values = KINKS[name]
    x = onp.array(values, F32)
    ours = fastmath.value_and_grad(lambda x: np.sum(f(x)))(x)
    with lk.use_backend("jax"):
        theirs = fastmath.jit(fastmath.value_and_grad(lambda x: np.sum(f(x))))(x)
    for mine, other in zip(ours, theirs, strict=True):
        onp.testing.assert_allclose(mine, other, rtol=1e-6)


SPECIAL: dict[str, Callable[[Any], Any]] = {
    "erf": fastmath.erf,
    "logsumexp": fastmath.logsumexp,
    "logsumexp of two axes": lambda x: fastmath.logsumexp(x, (0, 1), keepdims=True),
    "logsumexp last": lambda x: fastmath.logsumexp(x, -1),
    "log_softmax": fastmath.log_softmax,
    "softmax": lambda x: fastmath.softmax(x, 0),
    "sigmoid": fastmath.sigmoid,
    "top_k": lambda x: fastmath.top_k(x, 2)[0],
    "update_slice": lambda x: fastmath.update_slice(x * x, 3 * x[:, :2], 1, axis=1),
    "take_rows": lambda x: fastmath.take_rows(x, onp.array([[0, 2, 0], [0, 0, 1]])),
    "take_rows of bytes": lambda x: fastmath.take_rows(x, onp.array([0, 2], onp.uint8)),
    "take_rows of none": lambda x: fastmath.take_rows(x, []) * x[0],
    "segment_sum": lambda x: fastmath.segment_sum(x, onp.array([3, 0, 3]), 5),
    "segment_sum of numbers": lambda x: fastmath.segment_sum(x[:, 0], onp.array([1, 0, 1]), 2),
}


@pytest.mark.parametrize("name", SPECIAL)
def test_functions_that_numpy_lacks(name: str) -> None:
    check(SPECIAL[name], numbers(3, 4))


@pytest.mark.parametrize("repeats", [1, 5, 6, 7, 40])
def test_rows_that_repeat_add_up(repeats: int) -> None:
    rng = onp.random.default_rng(repeats)
    ids = rng.permutation(onp.concatenate([onp.repeat(rng.integers(0, 30, 8), repeats), rng.integers(0, 30, 25)]))
    rows = rng.standard_normal((ids.size, 6)).astype(F32)
    expected = onp.zeros((30, 6))
    onp.add.at(expected, ids, rows.astype(onp.float64))
    onp.testing.assert_allclose(fastmath.segment_sum(rows, ids, 30), expected, atol=1e-5)
    g = fastmath.grad(lambda table: (fastmath.take_rows(table, ids.reshape(-1, 1))[:, 0] * rows).sum())(
        onp.zeros((30, 6), F32)
    )
    onp.testing.assert_allclose(g, expected, atol=1e-5)


@pytest.mark.parametrize("texts", [4, 40, 300], ids=lambda n: f"{n} texts")
def test_rows_of_a_mean_add_up_and_nan_stays_where_it_is(texts: int) -> None:
    rng = onp.random.default_rng(texts)
    ids = onp.minimum(rng.geometric(0.1, (texts, 20)), 60) - 1  # some once, some in nearly every text
    weights = rng.standard_normal((texts, 6)).astype(F32)
    ids[0], ids[1:] = 60, ids[1:] % 60

    def gradient() -> Any:
        return fastmath.grad(lambda table: (fastmath.take_rows(table, ids).mean(1) * weights).sum())(
            onp.zeros((64, 6), F32)
        )

    expected = onp.zeros((64, 6))
    onp.add.at(expected, ids, weights[:, None] / onp.float64(20))
    onp.testing.assert_allclose(gradient(), expected, atol=1e-5)
    weights[0] = onp.nan
    expected[60] = onp.nan
    onp.testing.assert_allclose(gradient(), expected, atol=1e-5)


def test_a_table_read_twice_and_used_whole_gets_one_gradient() -> None:
    table, ids = numbers(6, 3), onp.array([0, 5, 0])
    check(lambda t: fastmath.take_rows(t, ids) @ t.T + fastmath.take_rows(t, ids + 0)[:1].sum(), table)


def test_take_rows_of_a_differentiated_table_checks_its_ids() -> None:
    for ids in ([0, 3], [-1], onp.array([2**40])):
        with pytest.raises(ArrayError, match="is outside the table of 3 rows"):
            fastmath.grad(lambda t, ids=ids: fastmath.take_rows(t, ids).sum())(numbers(3, 2))
