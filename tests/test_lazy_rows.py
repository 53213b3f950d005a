"""Rows that wait: training a table by the rows a batch reads gives the weights of updating all of it at every step."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as onp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_setups import host, same

import layerkit as lk
from layerkit import fastmath, optimizers
from layerkit import layers as tl
from layerkit.errors import UsageError
from layerkit.fastmath import numpy as np
from layerkit.missed_steps import MissedSteps, Rates
from layerkit.training import lazy_rows, lr_schedules, steps
from layerkit.training.row_ids import RowFinder
from layerkit_plugins.optimizers import momenta, quadrature

WORDS, WIDTH = 60, 3


def classifier(update: str = "lazy") -> lk.Layer:
    return tl.Serial(tl.Embedding(WORDS, WIDTH, update=update), tl.Mean(axis=1), tl.Dense(2), tl.LogSoftmax())


def batches(seed: int = 0, rows: int = 3, words: int = WORDS) -> Iterator[Any]:
    """Batches whose ids follow Zipf's law: some in each, some once in hundreds of steps."""
    rng = onp.random.default_rng(seed)
    shares = 1 / onp.arange(1, words + 1)
    while True:
        ids = rng.choice(words, (rows, 4), p=shares / shares.sum()).astype(onp.int32)
        yield ids, rng.integers(2, size=rows, dtype=onp.int32), onp.ones(rows, onp.float32)


def loop_of(update: str, optimizer: Any, model: Any = classifier, data: Any = batches, **options: Any) -> lk.Loop:
    task_options = {key: options.pop(key) for key in ("lr_schedule",) if key in options}
    task = lk.TrainTask(data(), tl.CrossEntropyLoss(), optimizer, n_steps_per_checkpoint=25, **task_options)
    return lk.Loop(model(update), task, log=None, learning_curve=False, **options)


def n_lazy(loop: lk.Loop) -> int:
    return len(loop._steps.lazy.tables)


def apart(one: Any, other: Any) -> float:
    return max(float(onp.abs(a - b).max()) for a, b in zip(host(one), host(other), strict=True))


def warm_up(step: Any) -> Any:
    return 0.05 * np.minimum(1.0, (np.asarray(step) + 1) / 30)


def steps_down(step: Any) -> Any:
    return np.where(np.asarray(step) < 40, 0.05, 0.005)


OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "sgd": lambda: optimizers.SGD(0.1),
    "sgd, decay": lambda: optimizers.SGD(0.1, weight_decay_rate=0.01),
    "momentum": lambda: optimizers.Momentum(0.05),
    "momentum, plain, decay, schedule": lambda: optimizers.Momentum(warm_up, nesterov=False, weight_decay_rate=0.01),
    "rms_prop, decay": lambda: optimizers.RMSProp(0.01, weight_decay_rate=0.01),
    "adagrad, schedule, decay": lambda: optimizers.Adagrad(steps_down, weight_decay_rate=0.1),
    "adam": lambda: optimizers.Adam(0.01),
    "adam, clipped": lambda: optimizers.Adam(0.01, clip_grad_norm=0.1),
    "adam, b2 0.95": lambda: optimizers.Adam(0.01, b2=0.95, eps=1e-8),
    "adam, warm-up": lambda: optimizers.Adam(warm_up),
    "adam, steps": lambda: optimizers.Adam(steps_down),
    "adam w": lambda: optimizers.AdamW(0.01, weight_decay_rate=0.1),
    "adam w, steps": lambda: optimizers.AdamW(steps_down, weight_decay_rate=0.1),
    "adam without momentum": lambda: optimizers.Adam(0.01, b1=0.0),
}


ON_JAX = ("sgd, decay", "momentum, plain, decay, schedule", "adam", "adam, clipped", "adam w, steps")
RUNS = [(name, on) for name in OPTIMIZERS for on in ("numpy", "jax") if on == "numpy" or name in ON_JAX]


@pytest.mark.parametrize(("name", "on"), RUNS)
def test_lazy_rows_get_the_weights_of_dense_ones(name: str, on: str) -> None:
    """Every way to train, with schedules, decay and clipping."""
    with lk.use_backend(on):
        compare_lazy_with_dense(name)


def compare_lazy_with_dense(name: str) -> None:
    lazy, dense = (loop_of(update, OPTIMIZERS[name]()) for update in ("lazy", "dense"))
    assert (n_lazy(lazy), n_lazy(dense)) == (1, 0)
    for loop in (lazy, dense):
        loop.run(90)
    first = classifier()
    first.init(lk.i32(3, 4, max=WORDS), fastmath.random.get_prng(0))
    moved = apart(dense.model.weights, first.weights)
    assert moved > 0.01
    assert apart(lazy.model.weights, dense.model.weights) <= 2e-4 * moved + 2e-6


def test_a_schedule_of_the_task(backend: str) -> None:
    schedule = lr_schedules.warmup_and_rsqrt_decay(20, 0.05)
    lazy, dense = (loop_of(update, optimizers.Adam(), lr_schedule=schedule) for update in ("lazy", "dense"))
    for loop in (lazy, dense):
        loop.run(60)
    assert n_lazy(lazy) == 1
    assert apart(lazy.model.weights, dense.model.weights) <= 5e-5


def test_the_rows_of_a_batch() -> None:
    find = RowFinder([(10, (0, 2)), (10, (0, 2)), (7, ())], padded=True)
    batch = (onp.array([[3, 7], [12, 3]], onp.int32), onp.zeros(2), onp.array([1, 7], onp.int32))
    found, same_again, unread = find(batch)
    assert found is same_again
    assert found.ids[:3].tolist() == [1, 3, 7]
    assert (found.ids[3:] >= 10).all()
    assert (onp.diff(found.ids) > 0).all()
    assert found.places[0].tolist() == [[1, 2], [128, 1]]  # 12 is outside
    assert found.places[1].tolist() == [0, 2]
    assert (unread.ids >= 7).all()
    assert unread.places == ()


@given(
    ids=st.lists(st.integers(-2, 12), min_size=1, max_size=40),
    dtype=st.sampled_from(["int32", "uint8", "int64"]),
    padded=st.booleans(),
)
def test_every_id_finds_its_row(ids: list[int], dtype: str, padded: bool) -> None:
    find = RowFinder([(10, (0,))], padded)
    for given_ids in (ids, ids[::-1]):
        array = onp.array(given_ids).astype(dtype)
        (found,) = find((array,))
        assert len(set(found.ids.tolist())) == len(found.ids)
        for wanted, place in zip(array.tolist(), found.places[0].tolist(), strict=True):
            assert (
                place < len(found.ids) and found.ids[place] == wanted if 0 <= wanted < 10 else place == len(found.ids)
            )


# -- what missed steps do ----------------------------------------------------------------------------------------------


def really(optimizer: Any, last: int, step: int, rows: Any, slots: Any, rates: Any) -> Any:
    """Rows and slots after real steps with gradients of zero, in float64."""
    decay = float(optimizer.weight_decay_rate)
    with lk.use_backend("numpy"), fastmath.float64():
        rows, slots = fastmath.nested_map(lambda x: x.astype(onp.float64), (rows, slots))
        record = type(optimizer.opt_params)(*map(onp.float64, optimizer.opt_params))
        for missed in range(last + 1, step):
            rate = onp.float64(rates[missed])
            given = record._replace(learning_rate=rate)
            rows, slots = optimizer.update(missed, onp.zeros_like(rows), rows * (1 - rate * decay), slots, given)
    return rows, slots


@settings(max_examples=60)
@given(
    name=st.sampled_from(["SGD", "Momentum", "RMSProp", "Adagrad", "Adam", "AdamW"]),
    last=st.integers(0, 60) | st.integers(0, 3000),
    gap=st.integers(1, 12) | st.integers(1, 5000),
    decay=st.sampled_from([0.0, 0.0, 0.01, 1.0]),
    scheduled=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_skipped_steps_are_real_steps(name: str, last: int, gap: int, decay: float, scheduled: bool, seed: int) -> None:
    rng = onp.random.default_rng(seed)
    optimizer = getattr(optimizers, name)(0.01, weight_decay_rate=decay)
    rates = onp.full(last + gap + 1, 0.01, onp.float32)
    if scheduled:  # a warm-up, jumps, and noise
        rates *= (
            onp.minimum(1, onp.arange(1, rates.size + 1) / 50)
            * rng.choice([0.1, 1.0], rates.size // 20 + 1)[onp.arange(rates.size) // 20]
            * rng.uniform(0.5, 1, rates.size)
        )
        rates = rates.astype(onp.float32)
    rows = rng.normal(size=(2, 3)).astype(onp.float32)
    slots = fastmath.nested_map(
        lambda x: (onp.abs(rng.normal(size=x.shape)) * 10.0 ** rng.integers(-6, 0)).astype(onp.float32),
        optimizer.init(rows),
    )
    step = last + gap + 1
    wanted = really(optimizer, last, step, rows, slots, rates)
    logs = onp.cumsum(onp.log1p(-rates.astype(onp.float64) * decay)).astype(onp.float32)
    rate: Any = Rates(rates, logs if decay else ()) if scheduled else onp.float32(0.01)
    with lk.use_backend("numpy"):
        got = optimizer.skip_rows(
            step,
            onp.full(2, last, onp.int32),
            *fastmath.nested_map(onp.copy, (rows, slots)),  # it may write into them
            optimizer.opt_params._replace(learning_rate=rate),
        )
    for ours, real, before in zip(host(got), host(wanted), host((rows, slots)), strict=True):
        assert ours.dtype == onp.float32
        moved = onp.abs(real - before).max()
        assert onp.abs(ours - real).max() <= 5e-4 * moved + 2e-6 * onp.abs(before).max()


@pytest.mark.parametrize("last", [0, 5, 60, 95, 96, 200, 5000])
@pytest.mark.parametrize("gap", [1, 2, 3, 20, 159, 3000])
def test_adams_missed_steps_are_summed_to_millionths(last: int, gap: int) -> None:
    rng = onp.random.default_rng(gap)
    adam, rows = optimizers.Adam(0.01), onp.zeros((3, 8), onp.float32)
    roots = 10.0 ** rng.uniform(-7, 0, rows.shape)
    slots = tuple(x.astype(onp.float32) for x in (roots * rng.normal(size=rows.shape), roots**2))
    times, step = onp.full(3, last, onp.int32), last + gap + 1
    (wanted, _) = really(adam, last, step, rows, slots, onp.full(step, onp.float32(0.01)))
    with lk.use_backend("numpy"):
        got, _ = adam.skip_rows(step, times, rows.copy(), tuple(map(onp.copy, slots)), adam.opt_params)
    onp.testing.assert_allclose(got, wanted, rtol=6e-5 if last < 64 else 6e-6)


@pytest.mark.parametrize("scheduled", [False, True])
def test_rows_that_were_never_touched_change_nothing_for_others(scheduled: bool) -> None:
    rng = onp.random.default_rng(0)
    adam, step = optimizers.Adam(0.01), 1000
    rows, m, v = (onp.abs(rng.normal(size=(3, 8))).astype(onp.float32) for _ in range(3))
    last = onp.array([500, -1, 900], onp.int32)
    m[1] = v[1] = 0
    record = adam.opt_params
    if scheduled:
        record = record._replace(learning_rate=Rates(onp.linspace(0.01, 0, step, dtype=onp.float32)))
    with lk.use_backend("numpy"):
        got, _ = adam.skip_rows(step, last, rows.copy(), (m.copy(), v.copy()), record)
        alone, _ = adam.skip_rows(step, last[::2], rows[::2].copy(), (m[::2].copy(), v[::2].copy()), record)
    assert got[::2].tobytes() == alone.tobytes()
    assert got[1].tobytes() == rows[1].tobytes()


@pytest.mark.parametrize("step", [20, 500])
def test_wide_rows_move_as_their_parts_do(step: int) -> None:
    """Rows wider than the buffers that NumPy is given for them, which have their size back afterwards."""
    rng = onp.random.default_rng(0)
    adam, last = optimizers.Adam(0.01), onp.array([step - 3, step - 17, 2], onp.int32)
    rows, m, v = (onp.abs(rng.normal(size=(3, 300))).astype(onp.float32) for _ in range(3))
    size = onp.getbufsize()

    def skipped(part: slice) -> Any:
        given = [array[:, part].copy() for array in (rows, m, v)]
        return adam.skip_rows(step, last, given[0], tuple(given[1:]), adam.opt_params)

    with lk.use_backend("numpy"):
        whole, parts = skipped(slice(None)), [skipped(slice(at, at + 20)) for at in range(0, 300, 20)]
    for place, array in enumerate(fastmath.tree_leaves(whole)):
        assert array.tobytes() == onp.concatenate([fastmath.tree_leaves(p)[place] for p in parts], 1).tobytes()
    assert onp.getbufsize() == size


@pytest.mark.parametrize("b1", [0.0, 0.01, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98])
def test_adams_that_are_known_to_have_rules_have_them(b1: float) -> None:
    for share in (4, 40):
        b2 = 1 - (1 - b1) / share
        assert momenta.has_rules(b1, b2)
        assert quadrature.changing_rule(b1, b2) is not None
        assert quadrature.steady_rule(b1, b2) is not None


@pytest.mark.parametrize("decay", [0.0, 0.5])
@pytest.mark.parametrize("step", [33, 50, 72])
def test_missed_steps_are_found_where_the_ring_of_rates_begins_again(step: int, decay: float) -> None:
    rng = onp.random.default_rng(step)
    rates, weights = rng.uniform(0.1, 0.5, step), rng.normal(size=(9, 2))
    ring = Rates(onp.zeros(50, onp.float32), onp.zeros(50, onp.float32) if decay else ())
    for n in range(max(0, step - 50), step):
        ring.values[n % 50] = rates[n]
        if decay:
            ring.decays[n % 50] = onp.log1p(-rates[: n + 1] * decay).sum()
    last = onp.array([step - 2, step - 30, step - 5, step - 1], onp.int32)
    wanted = [
        sum(
            rates[row + j] * onp.prod(1 - rates[row + j + 1 : step] * decay) * weights[j - 1]
            for j in range(1, min(9, step - 1 - row) + 1)
        )
        * onp.ones(2)
        for row in last.tolist()
    ]
    with lk.use_backend("numpy"):
        sums = MissedSteps(step, last, ring, decay, onp.zeros((4, 3), onp.float32)).sums(weights)
    onp.testing.assert_allclose(sums, wanted, rtol=1e-4, atol=1e-6)


# -- everything around ------------------------------------------------------------------------------------------------


class Misled(optimizers.SGD):
    """Gradient descent whose ``skip_rows`` returns what the test says."""

    def skip_rows(self, step: Any, last: Any, param_rows: Any, slot_rows: Any, opt_params: Any) -> Any:
        return {"rows alone": param_rows, "nothing": None, "a sum": (param_rows.sum(0), slot_rows)}[self.kind]

    kind = "nothing"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("rows alone", "returns two things, a weight and its slots"),
        ("nothing", "returns two things, a weight and its slots"),
        ("a sum", "makes .* of a weight of shape"),
    ],
)
def test_what_skip_rows_returns(kind: str, said: str, backend: str) -> None:
    optimizer = Misled(0.1)
    optimizer.kind = kind
    with pytest.raises(lk.LayerkitError, match=f"^Misled: skip_rows {said}"):
        loop_of("lazy", optimizer).run(3)


class Tied(lk.Layer):
    """A language model whose output projection is its table."""

    weight_name = "table"

    def __init__(self, update: str) -> None:
        super().__init__(name="Tied")
        self.row_update = update

    def init_weights_and_state(self, signature: Any) -> None:
        self.weights = fastmath.random.uniform(self.rng, (WORDS, 4), minval=-1.0)

    def forward(self, ids: Any) -> Any:
        return fastmath.log_softmax(np.matmul(fastmath.take_rows(self.weights, ids).mean(1), self.weights.T))


class Shifted(lk.Layer):
    """Computes ids."""

    def forward(self, ids: Any) -> Any:
        return (ids + 1) % WORDS


def looped(update: str) -> lk.Layer:
    embedding = tl.Embedding(WORDS, WIDTH, update=update)
    return tl.Serial(tl.Map(embedding), tl.Mean(axis=1), tl.Dense(2), tl.LogSoftmax())


OTHERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "tied": (Tied, "it is also used in another way than by row"),
    "computed": (lambda update: tl.Serial(Shifted(), classifier(update)), "ids of its rows are computed inside"),
    "looped": (looped, "of its rows are computed inside the model|inside a loop|hands it on"),
    "bfloat16": (
        lambda update: tl.Serial(
            tl.Embedding(WORDS, WIDTH, use_bfloat16=True, update=update), tl.Mean(axis=1), tl.Dense(2), tl.LogSoftmax()
        ),
        "its weights are bfloat16",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_tables_that_cannot_wait_are_dense_and_lazy_ones_are_refused(name: str, backend: str, monkeypatch: Any) -> None:
    monkeypatch.setattr("layerkit.training.tables._FEWEST_ROWS", 2)
    monkeypatch.setattr("layerkit.training.tables._MOST_TOUCHED", 1.0)
    make, reason = OTHERS[name]
    loop = loop_of("auto", optimizers.Adam(0.01), make)
    assert n_lazy(loop) == 0
    loop.run(2)
    with pytest.raises(UsageError, match=reason) as caught:
        loop_of("lazy", optimizers.Adam(0.01), make)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("optimizer", "reason"),
    [
        (lambda: optimizers.Adafactor(0.01), "Adafactor has no skip_rows"),
        (lambda: optimizers.Adam(0.01, b1=0.95, b2=0.9), "with b1 0.95 and b2 0.9 the steps that a row missed"),
        (lambda: optimizers.Adam(0.01, eps=1e-20), "with eps 1e-20 the steps that a row missed cannot be summed"),
        (lambda: optimizers.Momentum(0.01, mass=0.9999), "with mass 0.9999 a gradient moves a row for too many steps"),
        (lambda: optimizers.SGD(0.5, weight_decay_rate=2.0), "the weight decay of SGD leaves nothing of a weight"),
    ],
)
def test_optimizers_that_cannot_skip(optimizer: Any, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        loop_of("lazy", optimizer())


def test_several_tasks_are_dense() -> None:
    tasks = [lk.TrainTask(batches(seed), tl.CrossEntropyLoss(), optimizers.Adam(0.01)) for seed in range(2)]
    with pytest.raises(UsageError, match="several tasks train it"):
        lk.Loop(classifier("lazy"), tasks, log=None)


def test_an_update_there_is_not() -> None:
    with pytest.raises(lk.LayerError, match="unknown update 'lasy'"):
        tl.Embedding(4, 2, update="lasy")


def test_auto_is_lazy_where_few_rows_are_touched() -> None:
    def model(update: str) -> lk.Layer:
        return tl.Serial(tl.Embedding(1000, WIDTH, update=update), tl.Mean(axis=1), tl.Dense(2), tl.LogSoftmax())

    few = loop_of("auto", optimizers.Adam(0.01), model, lambda: batches(words=1000))
    many = loop_of("auto", optimizers.Adam(0.01), model, lambda: batches(rows=200, words=1000))
    assert (n_lazy(few), n_lazy(many)) == (1, 0)


def test_shared_tables_and_several(backend: str) -> None:
    """Two inputs read one table, and one of them another too."""

    def model(update: str) -> lk.Layer:
        shared = tl.Embedding(WORDS, WIDTH, update=update)
        other = tl.Embedding(WORDS, 2, update=update)
        sides = tl.Parallel(shared, tl.Branch(shared, other))
        return tl.Serial(sides, tl.Concatenate(n_items=3), tl.Mean(axis=1), tl.Dense(2), tl.LogSoftmax())

    def pairs() -> Iterator[Any]:
        for (ids, targets, weights), (others, _, _) in zip(batches(), batches(1), strict=False):
            yield ids, others, targets, weights

    lazy, dense = (loop_of(update, optimizers.Adam(0.01), model, pairs) for update in ("lazy", "dense"))
    assert [table.arrays for table in lazy._steps.lazy.tables] == [(0, 1), (1,)]
    for loop in (lazy, dense):
        loop.run(40)
    assert apart(lazy.model.weights, dense.model.weights) <= 1e-5


def test_evaluation_in_between_sees_the_rows_as_they_are(backend: str) -> None:
    found = []
    for update in ("lazy", "dense"):
        task = lk.EvalTask(batches(7), [tl.CrossEntropyLoss()], n_eval_batches=3)
        loop = loop_of(update, optimizers.Adam(0.05), eval_tasks=task)
        loop.run(60)
        found.append([value for _, value in loop.history.get("eval", "CrossEntropyLoss")])
        found[-1].append(loop.run_evals()["CrossEntropyLoss"])
    onp.testing.assert_allclose(found[0], found[1], rtol=1e-5)


def test_looking_at_the_model_changes_nothing(backend: str) -> None:
    looked, plain = (loop_of("lazy", optimizers.Adam(0.05)) for _ in range(2))
    for _ in range(6):
        looked.run(5)
        held = host(looked.model.weights)
        copies = [array.copy() for array in held]
        looked.run(5)
        assert all(a.tobytes() == b.tobytes() for a, b in zip(held, copies, strict=True))
    plain.run(60)
    assert same(looked.model.weights, plain.model.weights)


def test_weights_that_were_handed_out_stay_as_they_are(backend: str) -> None:
    """After one step no row waits, and the table may be handed out as it is: the next step must not overwrite it."""
    loop, other = (loop_of("lazy", optimizers.Adam(0.01)) for _ in range(2))
    loop.run(1)
    first, copied = loop.model.weights, host(loop.model.weights)
    loop.run(2)
    assert same(host(first), copied)
    assert not same(host(loop.model.weights), copied)
    other.run(3)
    assert same(host(loop.model.weights), host(other.model.weights))


@pytest.mark.parametrize("name", ["adam", "adam w, steps", "momentum"])
def test_a_run_that_was_stopped_ends_with_the_same_bits(name: str, backend: str, tmp_path: Path) -> None:
    whole = loop_of("lazy", OPTIMIZERS[name]())
    whole.run(60)
    for stop in (25, 50, 60):
        loop = loop_of("lazy", OPTIMIZERS[name](), output_dir=tmp_path)
        loop.run(stop - loop.step)
    assert same(whole.model.weights, loop.model.weights)
    assert same(whole._steps.variables.tasks, loop._steps.variables.tasks)


CHANGES: dict[str, tuple[Any, Any, str, str]] = {
    "dense, then lazy": (optimizers.Adam, optimizers.Adam, "dense", "lazy"),
    "lazy, then dense": (optimizers.Adam, optimizers.Adam, "lazy", "dense"),
    "another rate": (optimizers.Adam, lambda _: optimizers.Adam(0.001), "lazy", "lazy"),
    "then a schedule": (optimizers.AdamW, lambda _: optimizers.AdamW(steps_down), "lazy", "lazy"),
    "a schedule at first": (lambda _: optimizers.AdamW(steps_down), optimizers.AdamW, "lazy", "lazy"),
    "another decay": (
        lambda rate: optimizers.AdamW(rate, weight_decay_rate=0.5),
        lambda rate: optimizers.AdamW(rate, weight_decay_rate=0.1),
        "lazy",
        "lazy",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_run_goes_on_with_other_numbers_or_tables(name: str, backend: str, tmp_path: Path) -> None:
    """What rows missed before is made up as it was then."""
    first, second, before, after = CHANGES[name]
    found = []
    for updates in ((before, after), ("dense", "dense")):
        for make, update, n_steps in ((first, updates[0], 50), (second, updates[1], 30)):
            folder = tmp_path / updates[0] / updates[1]
            loop = loop_of(update, make(0.02), output_dir=folder)
            assert n_lazy(loop) == (update == "lazy")
            loop.run(n_steps)
        found.append(loop.model.weights)
    assert apart(*found) <= 5e-5


def test_rates_are_kept_for_as_long_as_rows_wait(backend: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(lazy_rows, "N_RATES", 400)
    lazy, dense = (loop_of(update, optimizers.AdamW(steps_down, weight_decay_rate=0.1)) for update in ("lazy", "dense"))
    assert lazy._steps.lazy.period == 200
    for loop in (lazy, dense):
        loop.run(450)
    assert apart(lazy.model.weights, dense.model.weights) <= 1e-4


class Trap(lk.Layer):
    """Gives NaN where the first id is 0 and the second is 1."""

    def forward(self, x: Any) -> Any:
        rows, ids = x
        return np.where(np.logical_and(ids[0, 0] == 0, ids[0, 1] == 1), np.nan, 1.0) * rows


def test_a_loss_that_is_not_finite_stops_before_anything_changes(backend: str) -> None:
    def model(update: str) -> lk.Layer:
        embedding = tl.Embedding(WORDS, WIDTH, update=update)
        parts = tl.Branch(embedding, tl.Select([0])), Trap()
        trap = lk.Fn("Trap", lambda rows, ids: Trap().forward((rows, ids)))
        return tl.Serial(parts[0], trap, tl.Mean(axis=1), tl.Dense(2), tl.LogSoftmax())

    def data() -> Iterator[Any]:
        for number, (ids, *rest) in enumerate(batches()):
            ids[0, :2] = (0, 1) if number == 30 else (2, 3)
            yield ids, *rest

    stopped, short = (loop_of("lazy", optimizers.Adam(0.05), model, data) for _ in range(2))
    with pytest.raises(lk.training.NotFiniteError, match="step 31") as caught:
        stopped.run(60)
    assert "Trap" in str(caught.value)
    short.run(30)
    assert stopped.step == 30
    assert same(stopped.model.weights, short.model.weights)
    assert same(stopped._steps.variables.tasks, short._steps.variables.tasks)


def test_an_id_beyond_the_table_is_named(backend: str) -> None:
    def data() -> Iterator[Any]:
        for number, (ids, *rest) in enumerate(batches()):
            ids[0, 0] = WORDS + 7 if number == 5 else 0
            yield ids, *rest

    loop = loop_of("lazy", optimizers.Adam(0.05), data=data)
    with pytest.raises(lk.LayerkitError, match=f"{WORDS + 7}.*{WORDS}|not finite"):
        loop.run(10)


@pytest.mark.parametrize("per_call", [1, 3])
def test_a_compiled_step_copies_neither_tables_nor_past_rates(per_call: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It overwrites them where they stand, though it reads them as well."""
    import jax

    programs = []

    def compiled(function: Any, **options: Any) -> Any:
        program = jax.jit(function, **options)

        def call(*args: Any) -> Any:
            programs.append(program.lower(*args).compile().as_text())
            return program(*args)

        return call

    monkeypatch.setattr(steps, "jit", compiled)
    with lk.use_backend("jax"):
        optimizer = optimizers.AdamW(steps_down, weight_decay_rate=0.1)
        loop_of("lazy", optimizer, n_steps_per_call=per_call).run(per_call)
    array = rf"\[(?:{lazy_rows.N_RATES}|{WORDS}|{WORDS},{WIDTH})\]"
    assert re.search(array, programs[-1])
    assert not re.findall(rf"= \w+{array}\S* copy\(.*", programs[-1])


def test_no_more_programs_than_lengths() -> None:
    with lk.use_backend("jax"):
        loop = loop_of("lazy", optimizers.Adam(0.05))
        loop.run(20)
        before = fastmath.compilations()
        loop.run(200)
        assert fastmath.compilations() - before <= 1  # 12 ids fit one length


@pytest.mark.slow
def test_the_error_is_no_larger_than_that_of_dense_float32() -> None:
    """2,000 steps, against dense Adam in float64."""
    found = {}
    for name, update, wide in (("truth", "dense", True), ("dense", "dense", False), ("lazy", "lazy", False)):
        with lk.use_backend("numpy"):
            found[name] = _trained(update, wide)
    errors = {
        name: max(onp.abs(a - b).max() for a, b in zip(found[name], found["truth"], strict=True)) for name in found
    }
    assert errors["lazy"] <= errors["dense"] * 1.05


def _trained(update: str, wide: bool) -> list[Any]:
    import contextlib

    with fastmath.float64() if wide else contextlib.nullcontext():
        loop = loop_of(update, optimizers.Adam(0.01), data=lambda: batches(3))
        if wide:
            return _wide_steps(2000)
        loop.run(2000)
        return host(loop.model.weights)


def _wide_steps(n_steps: int) -> list[Any]:
    """The same training by hand in float64."""
    model, loss, adam = classifier("dense"), tl.CrossEntropyLoss(), optimizers.Adam(0.01)
    weights, _ = model.init(lk.i32(3, 4, max=WORDS), fastmath.random.get_prng(0))
    data = batches(3)
    weights = fastmath.nested_map(lambda x: x.astype(onp.float32).astype(onp.float64), weights)
    slots, _ = adam.tree_init(weights)
    record = type(adam.opt_params)(*map(onp.float64, adam.opt_params))
    for step in range(n_steps):
        ids, targets, shares = next(data)

        def loss_of(weights: Any, batch: Any = (ids, targets, shares)) -> Any:
            return loss((model(batch[0], weights=weights), *batch[1:]))

        gradients = fastmath.grad(loss_of)(weights)
        weights, slots, _ = adam.tree_update(step, gradients, weights, slots, record)
    return host(weights)


# -- several steps in one call ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("update", ["lazy", "dense"])
@pytest.mark.parametrize("name", ["adam", "adam w, steps"])
def test_several_steps_in_one_call_are_those_of_several_calls(name: str, update: str, backend: str) -> None:
    found = []
    for n_steps in (1, 7):
        task = lk.EvalTask(batches(7), [tl.CrossEntropyLoss()])
        loop = loop_of(update, OPTIMIZERS[name](), eval_tasks=task, n_steps_per_call=n_steps)
        loop.run(33)
        loop.run(20)
        found.append((loop.model.weights, loop.history.to_dict()))
    assert apart(found[0][0], found[1][0]) <= 1e-6
    for mode, metrics in found[0][1].items():
        for metric, pairs in metrics.items():
            onp.testing.assert_allclose(found[1][1][mode][metric], pairs, rtol=1e-5)


def test_several_steps_make_one_program_and_end_where_something_is_due(tmp_path: Path) -> None:
    with lk.use_backend("jax"):
        loop = loop_of("lazy", optimizers.Adam(0.05), output_dir=tmp_path, n_steps_per_call=10)
        loop.run(61)
        assert [path.name for path in sorted((tmp_path / "checkpoints").glob("step-*"))][1:] == [
            "step-00000025",
            "step-00000050",
        ]
        loop.run(4)  # the second run copies the weights that the first one handed out: a program of its own, once
        before = fastmath.compilations()
        loop.run(10)
        assert fastmath.compilations() == before


def test_several_steps_stop_before_the_one_that_is_not_finite(backend: str) -> None:
    def data() -> Iterator[Any]:
        for number, (ids, targets, weights) in enumerate(batches()):
            yield ids, targets, weights * (onp.float32(onp.nan) if number == 12 else 1)

    stopped = loop_of("lazy", optimizers.Adam(0.05), data=data, n_steps_per_call=8)
    short = loop_of("lazy", optimizers.Adam(0.05), data=data)
    with pytest.raises(lk.training.NotFiniteError, match="step 13"):
        stopped.run(60)
    short.run(12)
    assert stopped.step == 12
    assert apart(stopped.model.weights, short.model.weights) <= 1e-6
    with pytest.raises(lk.training.NotFiniteError, match="step 13"):
        stopped.run(1)
