"""What ``jit`` records on NumPy: played, it gives its bits; what a record would miss is not recorded."""

from __future__ import annotations

import itertools
import operator
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as onp
import pytest
from gradient_table import CASES, Case
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_table import COMBINATORS, ROWS, Row

import layerkit as lk
from layerkit import fastmath
from layerkit import layers as tl
from layerkit.fastmath import numpy as np
from layerkit.fastmath import random
from layerkit_plugins.backends.numpy.records import Record
from layerkit_plugins.backends.numpy.replaying import Program, jit
from layerkit_plugins.backends.numpy.silence import silently


@pytest.fixture(autouse=True)
def _on_numpy() -> Iterator[None]:
    with lk.use_backend("numpy"):
        yield


def program_of(f: Callable[..., Any]) -> Program:
    """What ``jit`` makes of a function."""
    program = jit(f)
    assert isinstance(program, Program)
    return program


def outcome(f: Callable[..., Any], args: Any) -> Any:
    """The bits of a result, or the words of an error."""
    try:
        result = f(*args)
    except Exception as error:
        return type(error), str(error)
    return [(leaf.dtype, leaf.shape, leaf.tobytes()) for leaf in map(onp.asarray, fastmath.tree_leaves(result))]


def found(program: Program) -> Any:
    """What became of the one kind of arguments that a program met: "played", or why it is not."""
    (known,) = program.kinds.values()
    return "played" if isinstance(known, Record) and known.trusted else known


def same_every_time(f: Callable[..., Any], calls: list[Any]) -> Any:
    """Whether a function is played, after holding each call of its program to the function itself."""
    program = program_of(f)
    for args in calls:
        assert outcome(program, args) == outcome(silently(f), args)
    return found(program)


# -- layers ----------------------------------------------------------------------------------------------------------


def calls_of(row: Row, layer: lk.Layer) -> list[Any]:
    weights, state = layer.init(row.signature)
    arrays = [row.arrays(seed) for seed in range(5)]
    return [
        (xs[0] if len(xs) == 1 else xs, fastmath.nested_map(lambda w, i=i: w * (1 + i), weights), state, key)
        for i, (xs, key) in enumerate(zip(arrays, map(random.get_prng, range(5)), strict=True))
    ]


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize("row", [*ROWS, *COMBINATORS], ids=lambda row: row.id)
def test_a_layer_gives_the_same_bits(row: Row, training: bool) -> None:
    layer = row.make()

    def forward(x: Any, weights: Any, state: Any, key: Any) -> Any:
        return layer.pure_fn(x, weights, state, key, training)

    said = same_every_time(forward, calls_of(row, layer))
    assert said == "played" or "looks at" in said or said == "PrintShape prints", said


# -- functions and their gradients -----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_function_and_its_gradient_give_the_same_bits(case: Case) -> None:
    def total(*xs: Any) -> Any:
        return sum((np.sum(np.sin(leaf)) for leaf in fastmath.tree_leaves(case.f(np, *xs))), np.zeros(()))

    both = fastmath.value_and_grad(total, tuple(range(len(case.shapes))))
    assert same_every_time(both, [case.arrays(onp.float32, seed) for seed in range(5)]) == "played"


_STEPS: list[Callable[..., Any]] = [
    np.tanh,
    np.exp,
    np.transpose,
    lambda x: x[::-1],
    lambda x: x.reshape(-1)[: x.size // 2 * 2].reshape(2, -1),
    lambda x: np.where(x > 0, x, 2),
    lambda x: x / np.max(np.abs(x), axis=-1, keepdims=True),
    lambda x: np.concatenate([x, 2 - x], axis=0),
    lambda x: np.take_along_axis(x, np.argsort(x, axis=0), 0),
    lambda x: x @ np.transpose(x),
    lambda x: fastmath.logsumexp(x, axis=-1, keepdims=True) + x,
    lambda x: fastmath.take_rows(x, np.argmax(x, axis=0)),
    lambda x: (x == x[0]).astype(onp.int32) * 0.5,
    lambda x: np.mean(x, axis=0, keepdims=True) - x,
]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(range(len(_STEPS))), min_size=1, max_size=6), st.sampled_from("CF"))
def test_chains_of_functions_give_the_same_bits(chosen: list[int], order: Any) -> None:
    def chain(x: Any) -> Any:
        for i in chosen:
            x = _STEPS[i](x)
        return x

    with lk.use_backend("numpy"):
        arrays = [onp.random.default_rng(seed).normal(size=(3, 4)).astype(onp.float32) for seed in range(5)]
        # The last ones lie in memory otherwise than those that were recorded.
        calls = [(x if seed < 3 else onp.asarray(x, order=order),) for seed, x in enumerate(arrays)]
        assert same_every_time(chain, calls) == "played"


def _picked(x: Any, y: Any) -> Any:
    return np.where(onp.less(x, y), x, y)


_NUMBERS = [0, 1, -1, 3, 300, 2**24 + 1, 2**53 + 1, 2**70, 0.1, -2.5, 1e39, onp.inf, onp.nan, True]
_NUMBERS += [onp.float32(0.1), onp.float64(0.1), onp.int8(3), onp.array(0.1)]
_DTYPES = "bool int8 uint8 int32 uint32 int64 float16 float32 float64".split()
_OPERATORS: list[Callable[..., Any]] = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod, operator.pow,
    operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge,
    onp.add, onp.maximum, onp.minimum, onp.true_divide, onp.not_equal, onp.power, np.multiply, np.maximum, _picked,
]  # fmt: skip


@pytest.mark.parametrize("dtype", _DTYPES)
@pytest.mark.parametrize("f", _OPERATORS, ids=lambda f: f.__name__)
def test_numbers_beside_arrays_give_the_same_bits(f: Callable[..., Any], dtype: str) -> None:
    arrays = [onp.random.default_rng(seed).normal(size=(2, 3)) * 9 for seed in range(4)]
    calls = [(onp.abs(x).astype(dtype),) for x in arrays] + [(onp.zeros((2, 3), dtype),)]
    for number in _NUMBERS:
        for g in (lambda x, n=number: f(x, n), lambda x, n=number: f(n, x), lambda x, n=number: f(x[0, 0], n)):
            program = program_of(g)
            for args in calls:
                assert outcome(program, args) == outcome(silently(g), args), number
            assert not program.kinds or found(program) == "played", number


# -- what is not recorded --------------------------------------------------------------------------------------------

_kept: list[Any] = []
_fixed = onp.arange(4, dtype=onp.float32)


def _branches(x: Any) -> Any:
    return x if x[0] > 0 else -x


def _writes(x: Any) -> Any:
    y = x + 0
    y += 1
    return y


def _assigns(x: Any) -> Any:
    y = x + 0
    y[0] = 3
    return y


def _keeps(x: Any) -> Any:
    _kept[:] = [x * 2]
    return x


def _catches(x: Any) -> Any:
    try:
        return fastmath.take_rows(_fixed, x.astype(onp.int32) * 0 + 9)
    except lk.LayerkitError:
        return x


def _catches_everything(x: Any) -> Any:
    try:
        return x * float(x[0])
    except BaseException:
        return x


def _pours(x: Any) -> Any:
    total = onp.zeros(4, onp.float32)
    total += x
    return total


UNRECORDABLE: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a branch": (_branches, "looks at a value"),
    "float": (lambda x: x * float(x[1]), "looks at a value"),
    "int": (lambda x: x * int(x[1]), "looks at a value"),
    "item": (lambda x: x * x[1].item(), "looks at a value"),
    "tolist": (lambda x: x + len(x.tolist()), "looks at a value"),
    "numpy.asarray": (lambda x: np.exp(onp.array(x)), "looks at a value"),
    "words": (lambda x: x * len(f"{x}"), "looks at a value"),
    "strides": (lambda x: x * x.strides[0], "lies in memory"),
    "in place": (_writes, "writes"),
    "item assignment": (_assigns, "writes"),
    "out": (lambda x: onp.add(x, 1, out=x + 0), "writes"),
    "into a plain array": (_pours, "writes"),
    "truths pick": (lambda x: x[x > 0], "truths"),
    "nonzero": (lambda x: np.nonzero(x)[0], "numpy.nonzero"),
    "unique": (lambda x: onp.unique(x), "numpy.unique"),
    "repeat": (lambda x: np.repeat(x, (x > 0).astype(onp.int32)), "shapes"),
    "while": (lambda x: fastmath.while_loop(lambda y: y[0] < 9, lambda y: y + 1, x), "looks at a value"),
    "cond": (lambda x: fastmath.cond(x[0] > 0, np.exp, np.sin, x), "looks at a value"),
    "kept": (_keeps, "kept"),
    "caught": (_catches, "exception"),
    "caught for good": (_catches_everything, "looks at a value"),
    "a long loop": (lambda x: fastmath.scan(lambda c, _: (c + 1, c * 2), x, None, 3000), "too many calls"),
    "said so": (lambda x: (fastmath.impure("it rings a bell"), x)[1], "rings a bell"),
}


@pytest.mark.parametrize("name", UNRECORDABLE)
def test_what_a_record_would_miss_is_run_as_it_is(name: str) -> None:
    f, reason = UNRECORDABLE[name]
    program = program_of(f)
    for seed in range(6):
        x = onp.random.default_rng(seed).normal(size=4).astype(onp.float32)
        assert outcome(program, (x,)) == outcome(silently(f), (x,))
    assert reason in found(program)
    assert not any(type(value).__name__ == "StandIn" for value in _kept)


def test_what_differs_from_call_to_call_goes_on_to_differ() -> None:
    numbers = []
    program = program_of(lambda x: numbers.append(len(numbers)) or x * numbers[-1])
    for _ in range(9):
        assert program(onp.ones(1, onp.float32)).tolist() == [numbers[-1]]
    assert found(program) == "played, it gives something else"
    seen: list[Any] = []
    program = program_of(lambda x: seen.append(x.shape) or x + len(seen) // 2)
    for _ in range(9):
        assert program(onp.ones(1, onp.float32)).tolist() == [1 + len(seen) // 2]
    assert found(program) == "it did something else than the time before"


def test_what_asks_for_an_array_is_given_one() -> None:
    program = played(lambda x: x.copy() if isinstance(x, onp.ndarray) else x, onp.ones(2, onp.float32))
    x = onp.ones(2, onp.float32)
    assert program(x) is not x


def test_what_raises_for_a_stand_in_alone_is_tried_once() -> None:
    runs = []
    program = program_of(lambda x: runs.append(1) or x * memoryview(x).nbytes)
    for _ in range(6):
        assert program(onp.ones(2, onp.float32)).tolist() == [8, 8]
    assert found(program) == "it raises TypeError when it is recorded"
    assert len(runs) == 7


def test_large_results_are_not_held_twice() -> None:
    program = program_of(lambda table, i: (table, table[0, :2] + i))
    table = onp.broadcast_to(onp.float32(1), (1 << 14, 1 << 13))
    for i in range(4):
        assert program(table, onp.float32(i))[1].tolist() == [1 + i, 1 + i]
    assert found(program) == "its result is large"


def test_an_argument_that_is_reached_by_another_way_too() -> None:
    x = onp.ones(3, onp.float32)
    program = program_of(lambda y: x + y)
    for _ in range(4):
        assert program(x).tolist() == [2, 2, 2]
    assert "another way" in found(program)


def test_weights_that_are_no_arguments_are_those_of_the_layer() -> None:
    dense = tl.Dense(2)
    dense.init(lk.f32(1, 2))
    program = program_of(lambda x: dense(x))
    x = onp.ones((1, 2), onp.float32)
    for scale in range(6):
        dense.weights = (onp.full((2, 2), scale, onp.float32), onp.zeros(2, onp.float32))
        assert program(x).tolist() == [[2 * scale, 2 * scale]]
    assert "outside of its call" in found(program)


def test_a_stateful_layer_that_is_called_keeps_its_state() -> None:
    norm = tl.BatchNorm(axis=0)
    norm.init(lk.f32(4, 2))
    other = tl.BatchNorm(axis=0)
    other.init(lk.f32(4, 2))
    program = program_of(lambda x: norm(x, training=True))
    for seed in range(5):
        x = onp.random.default_rng(seed).normal(size=(4, 2)).astype(onp.float32)
        onp.testing.assert_array_equal(program(x), other(x, training=True))
    assert outcome(lambda: norm.state, ()) == outcome(lambda: other.state, ())


def test_prints_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    layer = tl.PrintShape(msg="here")
    program = program_of(lambda x: layer.pure_fn(x, (), ())[0])
    for _ in range(6):
        capsys.readouterr()
        program(onp.ones(2, onp.float32))
        assert "here: (2,)" in capsys.readouterr().err


# -- a record and the calls it serves --------------------------------------------------------------------------------


def played(f: Callable[..., Any], *args: Any) -> Program:
    program = program_of(f)
    for _ in range(3):
        program(*args)
    assert found(program) == "played"
    return program


def test_a_function_is_run_three_times_and_recorded_twice() -> None:
    runs = []
    program = program_of(lambda x: runs.append(x.shape) or x * 2)
    for seed in range(8):
        assert program(onp.full(2, seed, onp.float32)).tolist() == [2 * seed, 2 * seed]
    assert len(runs) == 5


def test_each_kind_of_arguments_has_a_record_of_its_own() -> None:
    program = program_of(lambda tree, n, how: tree["a"] * n if how == "times" else tree["a"][0] - n)
    arrays = [onp.ones(2, onp.float32), onp.ones(2, onp.int32), onp.ones((1, 2), onp.float32), onp.float32(2)]
    kinds = list(itertools.product(arrays, [2, 3.0, True, None, onp.float32(5)], ["times", "minus"]))
    failed = set()
    for _ in range(5):
        for kind, (x, n, how) in enumerate(kinds):
            args = {"a": x}, n, how
            expected = outcome(silently(program.function), args)
            assert outcome(program, args) == expected
            failed |= {kind} if isinstance(expected, tuple) else set()
    assert len(program.kinds) == len(kinds) - len(failed) > 20


def test_memory_is_bounded_and_arguments_are_let_go() -> None:
    program = program_of(lambda x: x * 2)
    for _ in range(3):
        for size in range(200):
            program(onp.ones(size, onp.float32))
    assert len(program.kinds) <= 64
    x = onp.ones(500, onp.float32)
    seen = weakref.ref(x)
    for _ in range(6):
        program(x)
    del x
    assert seen() is None


def test_records_that_are_used_stay() -> None:
    runs = []
    program = program_of(lambda x: runs.append(1) or x * 2)
    used = onp.ones(1000, onp.float32)
    for size in range(300):
        program(used)
        program(onp.ones(size, onp.float32))
    assert len(runs) == 5 + 300


def test_errors_are_those_of_the_function_and_do_no_harm() -> None:
    model = tl.Serial(tl.Embedding(7, 2), tl.Mean(axis=1), tl.Dense(2))
    weights, state = model.init(lk.i32(1, 3))

    def f(ids: Any, weights: Any) -> Any:
        return model.pure_fn(ids, weights, state)[0]

    program = program_of(f)
    good, bad = (
        onp.array([[1, 2, 6]], onp.int32),
        [onp.array([[1, 2, wrong]], onp.int32) for wrong in (7, -1, 2**31 - 1)],
    )
    for _ in range(4):
        for ids in (good, *bad):
            assert outcome(program, (ids, weights)) == outcome(silently(f), (ids, weights))
    assert found(program) == "played"
    with pytest.raises(lk.LayerkitError, match=r"Serial > 0:Embedding_7_2: id 7 is outside the table of 7 rows"):
        program(bad[0], weights)
    # A check whose rows nobody needs is one nevertheless.
    checked = played(lambda table, ids: (fastmath.take_rows(table, ids), table * 2)[1], weights[0], good)
    with pytest.raises(lk.LayerkitError, match="id 7 is outside"):
        checked(weights[0], bad[0])


def test_new_weights_are_used_and_nothing_is_written() -> None:
    def f(x: Any, w: Any) -> Any:
        return (x @ w).reshape(2, 2), x, x.astype(onp.float32), np.ones(2)

    x, w = onp.eye(2, dtype=onp.float32), onp.ones((2, 2), onp.float32)
    program = played(f, x, w)
    product, same, cast, ones = program(x, w * 3)
    assert product.tolist() == [[3, 3], [3, 3]]
    assert same is x
    for mine in (product, cast, ones):
        mine += 7
    assert x.tolist() == [[1, 0], [0, 1]] or cast is not None
    assert program(x, w)[3].tolist() == [1, 1]


def test_no_warnings_and_the_state_of_warnings_stays() -> None:
    program = played(lambda x: np.log(x) / x, onp.ones(2, onp.float32))
    before = onp.geterr()
    assert onp.isnan(program(onp.array([-1.0, 0.0], onp.float32))).tolist() == [True, False]
    assert onp.geterr() == before


def test_many_threads_play_one_record() -> None:
    program = played(lambda x: np.sum(np.exp(x) @ np.transpose(x), axis=0), onp.ones((40, 40), onp.float32))
    wrong: list[Any] = []

    def work(seed: int) -> None:
        x = onp.random.default_rng(seed).normal(size=(40, 40)).astype(onp.float32)
        with lk.use_backend("numpy"):
            expected = program.function(x)
            for _ in range(200):
                if not onp.array_equal(program(x), expected):
                    wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_program_inside_a_program_or_a_gradient_is_part_of_it() -> None:
    inner = jit(lambda x: x**3)
    x = onp.arange(1.0, 4.0, dtype=onp.float32)
    assert same_every_time(lambda x: inner(x) + 1, [(x * n,) for n in range(5)]) == "played"
    gradient = fastmath.grad(lambda x: np.sum(inner(x)))
    for _ in range(5):
        onp.testing.assert_array_equal(gradient(x), 3 * x**2)


def test_double_precision_and_runs_on_zeros_are_no_records() -> None:
    with fastmath.float64():
        assert not isinstance(jit(np.exp), Program)
    program = fastmath.jit(lambda x: np.asarray(x * 1.5))
    for _ in range(4):
        with fastmath.float64():
            assert program(onp.ones(2)).dtype == onp.float64
        assert program(onp.ones(2)).dtype == onp.float32
    fresh = program_of(lambda x: fastmath.scan(lambda c, _: (c + x, c), x, None, 4)[0])
    for _ in range(5):
        assert fastmath.abstract_eval(fresh, lk.f32(2)).shape == (2,)
    assert not fresh.kinds
    assert fresh(onp.ones(2, onp.float32)).tolist() == [5, 5]


def test_it_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAYERKIT_REPLAY", "0")
    assert not isinstance(jit(np.exp), Program)
    monkeypatch.setenv("LAYERKIT_REPLAY", "yes")
    with pytest.raises(lk.UsageError, match="LAYERKIT_REPLAY is 1 or 0, got 'yes'"):
        jit(np.exp)


def test_what_may_be_overwritten_is_not_recorded() -> None:
    assert not isinstance(jit(np.exp, donate_argnums=(0,)), Program)
    assert not isinstance(jit(np.exp, static_argnums=(0,)), Program)


def test_what_another_thread_has_learnt_meanwhile_stays() -> None:
    """A call that looked just before finds a record that is trusted, and no longer knows what it said."""
    with lk.use_backend("numpy"):
        program = program_of(lambda x: x + x)
        x = onp.ones(2, onp.float32)
        for _ in range(3):
            program(x)
        assert found(program) == "played"
        (kind,) = program.kinds
        assert program._learn(kind, (x,), [x]).tolist() == [2.0, 2.0]
        assert found(program) == "played"
