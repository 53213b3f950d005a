"""The training loop: what a step does, in which order things happen, and what it says when something is wrong."""

from __future__ import annotations

import itertools
import math
import random as python_random
from pathlib import Path
from typing import Any

import numpy as onp
import pytest
from training_setups import (
    BACKENDS,
    VOCABULARY,
    Descent,
    Doubler,
    Slope,
    batches,
    classifier,
    eval_task,
    host,
    powers,
    same,
    slope_loop,
    threads,
    total,
    train_task,
    trained_on,
)

import layerkit as lk
from layerkit import fastmath, optimizers
from layerkit import layers as tl
from layerkit.fastmath import numpy as np
from layerkit.fastmath import random
from layerkit.training import lr_schedules
from layerkit.training.feed import n_ahead

ONE = (onp.ones((2, 3), onp.float32), onp.ones((2, 3), onp.float32))


def by_hand(n_steps: int) -> tuple[Any, list[float]]:
    """Weights and losses of the classifier, trained without a Loop."""
    model, loss_layer, optimizer = classifier(), tl.CrossEntropyLoss(), optimizers.Adam(0.01)
    data = batches()
    first = next(data)
    weights, _ = model.init(first[0], random.get_prng(0))
    slots, record = optimizer.tree_init(weights)
    losses = []
    for n, batch in zip(range(n_steps), itertools.chain([first], data), strict=False):

        def loss_of(weights: Any, batch: Any = batch) -> Any:
            return loss_layer((model(batch[0], weights=weights), *batch[1:]))

        loss, gradients = fastmath.value_and_grad(loss_of)(weights)
        weights, slots, _ = optimizer.tree_update(n, gradients, weights, slots, record)
        losses.append(float(loss))
    return weights, losses


# -- steps -----------------------------------------------------------------------------------------------------------


def test_the_loop_does_what_the_steps_by_hand_do(backend: str) -> None:
    weights, losses = by_hand(12)
    lines: list[str] = []
    loop = lk.Loop(classifier(), train_task(), log=lines.append)
    loop.run(12)
    assert loop.step == 12
    for ours, theirs in zip(host(loop.model.weights), host(weights), strict=True):
        onp.testing.assert_allclose(ours, theirs, rtol=0, atol=0 if backend == "numpy" else 1e-6)
    history = loop.history.get("train", "CrossEntropyLoss")
    assert [step for step, _ in history] == [1, 10]
    onp.testing.assert_allclose([v for _, v in history], [losses[0], onp.mean(losses[1:10])], rtol=1e-6)
    assert lines[0] == f"Step      1: train CrossEntropyLoss |  {history[0][1]:.8f}"


def test_weights_after_100_steps_are_the_same_on_both_backends() -> None:
    found = []
    for name in BACKENDS:
        with lk.use_backend(name):
            loop = lk.Loop(classifier(dropout=0.2), train_task(), log=None)
            loop.run(100)
            found.append(host(loop.model.weights))
    assert max(onp.abs(a - b).max() for a, b in zip(*found, strict=True)) <= 1e-4


def test_several_runs_are_one_run(backend: str) -> None:
    whole = lk.Loop(classifier(0.3), train_task(), eval_tasks=eval_task(), log=None)
    whole.run(12)
    pieces = lk.Loop(classifier(0.3), train_task(), eval_tasks=eval_task(), log=None)
    for n in (1, 0, 5, 1, 5):
        pieces.run(n)
    assert same(whole.model.weights, pieces.model.weights)
    assert whole.history.to_dict() == pieces.history.to_dict()


def test_the_first_batch_is_trained_on_and_the_last_one_too(backend: str) -> None:
    loop = slope_loop(powers(3))
    assert loop.tasks[0].sample_batch[0] == 1.0  # looking at it costs nothing
    loop.run(3)
    assert trained_on(loop) == [0, 1, 2]


def test_a_short_batch_is_trained_on(backend: str) -> None:
    data = [(onp.full(n, 2.0**n), onp.zeros(n)) for n in (3, 1)]
    loop = slope_loop(data)
    loop.run(2)
    assert float(loop.model.weights) == -(3 * 8 + 2)


def test_no_more_batches_are_taken_than_steps_are_made(backend: str) -> None:
    data = powers(20)
    loop = slope_loop(data)
    loop.run(5)
    assert next(data)[0] == 2.0**5


def test_a_list_of_batches_is_repeated(backend: str) -> None:
    loop = slope_loop(list(powers(2)))
    loop.run(5)
    assert float(loop.model.weights) == -(1 + 2 + 1 + 2 + 1)


def test_layers_train_in_training_and_evaluate_in_evaluation(backend: str) -> None:
    batch = (onp.ones(4), onp.zeros(4))
    task = lk.TrainTask([batch], tl.Serial(Doubler(), total()), Descent(0.0))
    measured = lk.EvalTask([batch], [tl.Serial(Doubler(), total())], ["Sum"])
    loop = lk.Loop(tl.Serial(Doubler(), lk.Fn("Same", lambda x: x)), task, eval_tasks=[measured], log=None)
    loop.run(1)
    assert loop.history.get("train", "Serial") == [(1, 16.0)]
    assert loop.history.get("eval", "Sum") == [(1, 4.0)]
    assert float(loop.eval_model(batch[0]).sum()) == 4.0


def test_dropout_draws_anew_at_every_step_and_the_same_from_the_same_seed(backend: str) -> None:
    class Masks(lk.Layer):
        def forward(self, x: Any) -> Any:
            return random.uniform(self.rng, x.shape)

    def draws(seed: int) -> list[float]:
        task = lk.TrainTask([(onp.ones(3), onp.ones(3))], total(), Descent(1.0), n_steps_per_checkpoint=1)
        loop = lk.Loop(Masks(), task, random_seed=seed, log=None)
        loop.run(4)
        return [value for _, value in loop.history.get("train", "Total")]

    first = draws(0)
    assert len(set(first)) == 4
    assert draws(0) == first
    assert not set(draws(1)) & set(first)


def test_state_is_carried_from_step_to_step_and_used_in_evaluation(backend: str) -> None:
    class Count(lk.Layer):
        def init_weights_and_state(self, signature: Any) -> None:
            self.state = np.zeros((), onp.int32)

        def forward(self, x: Any) -> Any:
            if self.training:
                self.state = self.state + 1
            return x + 0 * self.state

    loop = lk.Loop(
        tl.Serial(Count(), Slope()),
        lk.TrainTask(list(powers(1)), total(), Descent(1.0)),
        eval_tasks=lk.EvalTask(list(powers(1)), [lk.Fn("L", lambda y, t: y.sum())]),
        log=None,
    )
    loop.run(4)
    assert int(loop.model.state[0]) == 4
    assert loop.eval_model.state == loop.model.state


def test_a_model_may_take_and_give_several_arrays(backend: str) -> None:
    model = tl.Parallel(Slope(), Slope())
    loss = lk.Fn("Loss", lambda a, b, target, weight: (weight * (a + b - target)).sum())
    batch = (onp.full(2, 1.0), onp.full(2, 10.0), onp.zeros(2), onp.array([1.0, 0.5]))
    loop = lk.Loop(model, lk.TrainTask([batch], loss, Descent(1.0)), log=None)
    loop.run(1)
    assert [float(w) for w in loop.model.weights] == [-1.5, -15.0]


def test_a_loss_may_have_weights_and_they_are_trained(backend: str) -> None:
    loss = tl.Serial(Slope(), total())
    model = lk.Fn("Same", lambda x: x)
    loop = lk.Loop(model, lk.TrainTask(powers(3), loss, Descent(1.0)), log=None)
    loop.run(3)
    assert float(loss.weights[0]) == -7.0


def test_learning_rates_of_a_schedule(backend: str) -> None:
    seen = []

    def schedule(step: int) -> float:
        seen.append(step)
        return 1.0 / (step + 1)

    task = lk.TrainTask(list(powers(1)), total(), Descent(5.0), lr_schedule=schedule)
    loop = lk.Loop(Slope(), task, log=None)
    loop.run(4)
    assert seen == [0, 1, 2, 3]
    assert float(loop.model.weights) == pytest.approx(-(1 + 1 / 2 + 1 / 3 + 1 / 4))
    own = lk.Loop(Slope(), lk.TrainTask(list(powers(1)), total(), Descent(lr_schedules.warmup(3, 4.0))), log=None)
    own.run(4)
    assert float(own.model.weights) == pytest.approx(-(0 + 1 + 2 + 3))


def test_tasks_take_turns_unless_told_otherwise(backend: str) -> None:
    def loop(**options: Any) -> lk.Loop:
        one = lk.TrainTask([(onp.ones(1), onp.zeros(1))], total(), Descent(1.0), n_steps_per_checkpoint=4)
        other = lk.TrainTask([(onp.full(1, 100.0), onp.zeros(1))], total(), Descent(1.0))
        return lk.Loop(Slope(), [one, other], log=None, **options)

    turns = loop()
    turns.run(3)
    assert float(turns.model.weights) == -102.0
    turns.run(1)
    assert turns.history.metrics_for_mode("train") == ["0.Total", "1.Total"]
    assert turns.history.get("train", "1.Total") == [(4, (-100.0 - 100.0 * 102.0) / 2)]
    chosen = loop(which_task=lambda n: int(n < 2))
    chosen.run(3)
    assert float(chosen.model.weights) == -201.0


# -- weights ---------------------------------------------------------------------------------------------------------


def test_weights_come_from_the_seed(backend: str) -> None:
    for seed in (0, 5, 2**40 + 3):
        loop = lk.Loop(classifier(), train_task(), random_seed=seed, log=None)
        weights, _ = classifier().init(lk.i32(8, 7), random.get_prng(seed))
        for ours, theirs in zip(host(loop.model.weights), host(weights), strict=True):
            onp.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)


def test_weights_a_model_has_are_trained_further(backend: str) -> None:
    model = Slope()
    model.init(lk.f32(1))
    model.weights = np.array(-1024.0)
    loop = slope_loop(powers(2))
    further = lk.Loop(model, loop.tasks[0], log=None)
    further.run(2)
    assert trained_on(further) == [0, 1, 10]


def test_weights_that_a_part_of_the_model_has_stay(backend: str) -> None:
    table = tl.Embedding(40, 4)
    table.init(lk.i32(8, 7), random.get_prng(99))
    known = host(table.weights)
    model = tl.Serial(table, tl.Mean(axis=1), tl.Dense(2), tl.LogSoftmax())
    loop = lk.Loop(model, train_task(optimizer=optimizers.SGD(0.0)), log=None)
    assert same(known, loop.model.weights[0])
    assert len(host(loop.model.weights[2])) == 2
    loop.run(2)
    assert same(known, table.weights)


def test_weights_that_somebody_holds_stay_what_they_were(backend: str) -> None:
    model = classifier()
    given, _ = model.init(lk.i32(8, 7))
    loop = lk.Loop(model, train_task(), log=None)
    held = [given, loop.model.weights]
    copies = [[array.copy() for array in host(given)]]
    copies.append(copies[0])
    for _ in range(3):
        loop.run(2)
        held.append(loop.model.weights)
        copies.append([array.copy() for array in host(held[-1])])
    for weights, before in zip(held, copies, strict=True):
        assert same(weights, before)
    assert model.weights is not held[0]
    assert model(onp.ones((1, 2), onp.int32)).shape == (1, 2)


def test_the_model_can_be_looked_at_while_the_loop_runs(backend: str, tmp_path: Path) -> None:
    seen: list[float] = []

    def look(step: int) -> bool:
        seen.append(float(loop.model.weights))
        return False

    loop = slope_loop(powers(4), output_dir=tmp_path, checkpoint_at=look)
    loop.run(4)
    assert seen == [-1.0, -3.0, -7.0, -15.0]


def test_an_initializer_that_cannot_be_compiled(backend: str) -> None:
    class FromNumPy(Slope):
        def init_weights_and_state(self, signature: Any) -> None:
            drawn = onp.asarray(random.uniform(self.rng, ()))
            self.weights = np.array(0 * drawn)

    loop = lk.Loop(FromNumPy(), lk.TrainTask(powers(3), total(), Descent(1.0)), log=None)
    before = loop.model.weights
    loop.run(3)
    assert (trained_on(loop), float(before)) == ([0, 1, 2], 0.0)


def test_no_global_generator_is_seeded_or_used(backend: str) -> None:
    python, numpy = python_random.getstate(), onp.random.get_state()[1].tolist()
    loop = lk.Loop(classifier(0.5), train_task(), eval_tasks=eval_task(), log=None)
    loop.run(3)
    assert python_random.getstate() == python
    assert onp.random.get_state()[1].tolist() == numpy


def test_new_rng_is_new_each_time_and_the_same_each_run(backend: str) -> None:
    def keys() -> list[tuple[int, ...]]:
        loop = slope_loop(powers(1))
        return [tuple(onp.asarray(loop.new_rng()).tolist()) for _ in range(3)]

    assert keys() == keys()
    assert len(set(keys())) == 3


def test_a_loop_computes_with_the_backend_it_was_made_on() -> None:
    for name, other in (BACKENDS, BACKENDS[::-1]):
        with lk.use_backend(name):
            loop = lk.Loop(classifier(), train_task(), eval_tasks=eval_task(), log=None)
            kind = type(fastmath.numpy.zeros(1))
        with lk.use_backend(other):
            loop.run(2)
            loop.run_evals()
            assert isinstance(loop.new_rng(), kind)
            assert fastmath.backend_name() == other
        assert loop.backend == name
        assert all(isinstance(leaf, kind) for leaf in fastmath.tree_leaves(loop.model.weights))


def test_everything_stays_in_32_bits(backend: str) -> None:
    loop = lk.Loop(classifier(0.2), train_task(lr_schedule=lambda step: 0.01), log=None)
    loop.run(3)
    leaves = host((loop._steps.variables.weights, loop._steps.variables.state, loop._steps.variables.tasks))
    assert {leaf.dtype.name for leaf in leaves} == {"float32"}


@pytest.mark.parametrize("update", ["dense", "lazy"])
@pytest.mark.parametrize("optimizer", [optimizers.Adam, optimizers.Momentum, optimizers.Adagrad])
def test_arrays_that_somebody_holds_stay_as_they_are(backend: str, optimizer: Any, update: str) -> None:
    embedding = tl.Embedding(VOCABULARY, 4, update=update)
    model = tl.Serial(embedding, tl.Mean(axis=1), tl.Dense(2), tl.LogSoftmax())
    task = train_task(optimizer=optimizer(0.1, weight_decay_rate=0.01))
    model.init(task.sample_batch[0])
    held, before = [], []

    def hold(leaves: list[Any]) -> None:
        held.append(leaves)
        before.append([onp.array(leaf) for leaf in leaves])

    hold(fastmath.tree_leaves(model.weights))
    loop = lk.Loop(model, task, log=None)
    for n_steps in (1, 3, 2):
        loop.run(n_steps)
        hold(fastmath.tree_leaves(loop.model.weights))
    assert all(same(leaves, kept) for leaves, kept in zip(held, before, strict=True))
    assert not any(same(one, next_one) for one, next_one in itertools.pairwise(before))


def test_numpy_writes_into_arrays_of_the_loops_own() -> None:
    with lk.use_backend("numpy"):
        loop = lk.Loop(classifier(), train_task(optimizer=optimizers.Adam(0.1)), eval_at=lambda step: False, log=None)
        steps, seen = loop._steps, []
        train = steps.train

        def noting(items: Any) -> None:
            train(items)
            seen.append(fastmath.tree_leaves((steps.variables.weights, steps.variables.tasks[0].slots)))

        steps.train = noting  # type: ignore[method-assign]
        loop.run(3)
        assert all(a is b is c for a, b, c in zip(*seen, strict=True))


def test_a_run_compiles_a_handful_of_programs() -> None:
    with lk.use_backend("jax"):
        before = fastmath.compilations()
        data = lk.data.RaggedBatches([[1] * n for n in range(1, 60)], [0] * 59, 8, n_buckets=3, pad_last=True)
        loop = lk.Loop(classifier(), train_task(data), eval_tasks=eval_task(data), log=None)
        loop.run(40)
        assert len(data.buckets) == 3
        assert fastmath.compilations() - before <= 8
        before = fastmath.compilations()
        loop.run(20)
        assert fastmath.compilations() - before <= 1  # weights that were handed out are copied, once


# -- evaluation ------------------------------------------------------------------------------------------------------


def test_metrics_are_those_of_all_rows_at_once_however_they_are_batched(backend: str) -> None:
    rows, classes = onp.arange(1, 12, dtype=onp.float32), onp.arange(11) % 2
    weights = onp.array([1, 1, 0.5, 1, 2, 1, 1, 0, 1, 1, 3], onp.float32)
    mean = lk.Fn("Mean", lambda y, t, w: (w * (y - t) ** 2).sum() / w.sum())

    def measure(cuts: list[int]) -> float:
        edges = [0, *cuts, len(rows)]
        pieces = [(rows[a:b], classes[a:b].astype(onp.float32), weights[a:b]) for a, b in itertools.pairwise(edges)]
        task = lk.EvalTask(pieces, [mean], n_eval_batches=len(pieces))
        loss = lk.Fn("Loss", lambda y, t, w: y.sum())
        loop = lk.Loop(lk.Fn("Same", lambda x: x), lk.TrainTask(pieces, loss, Descent()), eval_tasks=task, log=None)
        return loop.run_evals()["Mean"]

    whole = measure([])
    assert measure([4, 8]) == pytest.approx(whole, rel=1e-6)
    assert measure([7, 8]) == pytest.approx(whole, rel=1e-6)  # one batch of weight 0: 0 / 0 counts for nothing
    assert measure([1, 2, 3, 10]) == pytest.approx(whole, rel=1e-6)


def test_batches_without_weights_count_by_their_rows(backend: str) -> None:
    pieces = [(onp.full(3, 1.0), onp.zeros(3)), (onp.full(1, 5.0), onp.zeros(1))]
    task = lk.EvalTask(pieces, [lk.Fn("Mean", lambda y, t: y.mean())], n_eval_batches=2)
    loop = lk.Loop(lk.Fn("Same", lambda x: x), lk.TrainTask(pieces, total(), Descent()), eval_tasks=task, log=None)
    assert loop.run_evals() == {"Mean": 2.0}
    assert loop.history.get("eval", "Mean") == [(0, 2.0)]


def test_a_metric_need_not_look_at_the_weights(backend: str) -> None:
    task = lk.EvalTask(batches(), [tl.CategoryAccuracy(), tl.CrossEntropyLoss()])
    loop = lk.Loop(classifier(), train_task(), eval_tasks=task, log=None)
    assert set(loop.run_evals()) == {"CategoryAccuracy", "CrossEntropyLoss"}


def test_an_eval_model_takes_over_the_weights(backend: str) -> None:
    def model(mode: str) -> lk.Layer:
        return tl.Serial(tl.Embedding(40, 4), tl.Mean(axis=1), tl.Dropout(0.9, mode=mode), tl.Dense(2), tl.LogSoftmax())

    other = model("eval")
    loop = lk.Loop(model("train"), train_task(), eval_model=other, eval_tasks=eval_task(), log=None)
    loop.run(3)
    assert loop.eval_model is other
    assert same(loop.eval_model.weights, loop.model.weights)
    measured = [loop.run_evals()["CrossEntropyLoss"], loop.history.get("eval", "CrossEntropyLoss")[0][1]]
    assert all(math.isfinite(value) for value in measured)


def test_metrics_of_two_tasks_keep_apart(backend: str) -> None:
    loop = lk.Loop(classifier(), train_task(), eval_tasks=[eval_task(), eval_task()], log=None)
    assert sorted(loop.run_evals()) == ["0.Accuracy", "0.CrossEntropyLoss", "1.Accuracy", "1.CrossEntropyLoss"]


def test_when_to_evaluate(backend: str) -> None:
    loop = lk.Loop(classifier(), train_task(), eval_tasks=eval_task(), eval_at=lambda step: step in (2, 3), log=None)
    loop.run(5)
    assert [step for step, _ in loop.history.get("eval", "Accuracy")] == [2, 3]
    assert [step for step, _ in loop.history.get("train", "CrossEntropyLoss")] == [2, 3]


# -- data ------------------------------------------------------------------------------------------------------------


def test_batches_are_asked_for_in_the_order_of_a_plain_loop(backend: str) -> None:
    asked: list[str] = []

    def source(name: str) -> Any:
        while True:
            asked.append(name)
            yield next(powers(1))

    task = lk.TrainTask(source("train"), total(), Descent(), n_steps_per_checkpoint=3)
    measured = lk.EvalTask(source("eval"), [total()], n_eval_batches=2)
    loop = lk.Loop(Slope(), task, eval_tasks=measured, log=None)
    asked.clear()  # the sample batches are there already, and are used first
    loop.run(4)
    assert asked == ["eval", "train", "train", "eval", "eval", "train"]


def test_one_iterator_for_training_and_evaluation(backend: str) -> None:
    data = powers(24)
    task = lk.TrainTask(data, total(), Descent(1.0), n_steps_per_checkpoint=2)
    loop = lk.Loop(Slope(), task, eval_tasks=lk.EvalTask(data, [total()]), log=None)
    loop.run(4)
    assert trained_on(loop) == [0, 2, 4, 5]  # evaluation, after steps 1, 2 and 4, got the others


def test_batches_are_prepared_with_the_backend_of_the_run(backend: str) -> None:
    seen = set()

    def source() -> Any:
        while True:
            seen.add(fastmath.backend_name())
            yield next(powers(1))

    slope_loop(source()).run(5)
    assert seen == {backend}


def test_what_the_data_raise_comes_out_with_its_message_and_no_thread_stays(backend: str) -> None:
    def source() -> Any:
        yield from powers(3)
        raise ValueError("line 4 of tweets.csv is broken")

    loop = slope_loop(source())
    with pytest.raises(ValueError, match=r"line 4 of tweets\.csv is broken"):
        loop.run(10)
    assert (loop.step, trained_on(loop), threads()) == (3, [0, 1, 2], [])


def test_no_thread_is_left_behind(backend: str) -> None:
    loop = slope_loop(powers(20))
    loop.run(10)
    loop.run(1)
    assert threads() == []


def test_data_that_end_early(backend: str) -> None:
    loop = slope_loop(powers(3))
    with pytest.raises(lk.LayerkitError) as caught:
        loop.run(10)
    assert str(caught.value) == (
        "labeled_data of the training task ended after 3 batches: give an iterator that goes on, or train fewer steps"
    )
    assert (loop.step, trained_on(loop)) == (3, [0, 1, 2])


def test_data_of_one_batch(backend: str) -> None:
    with pytest.raises(lk.LayerkitError, match="ended after 1 batch: give an iterator that goes on"):
        slope_loop(powers(1)).run(2)


def test_evaluation_data_that_end_early(backend: str) -> None:
    measured = lk.EvalTask(powers(3), [total()], n_eval_batches=2)
    loop = lk.Loop(Slope(), lk.TrainTask(powers(20), total(), Descent(), None, 5), eval_tasks=measured, log=None)
    with pytest.raises(lk.LayerkitError, match="labeled_data of the evaluation task ended after 3 batches"):
        loop.run(10)
    assert loop.step == 5


# -- what is wrong, in words -----------------------------------------------------------------------------------------


def long_loss() -> lk.Layer:
    return lk.Fn("Long", lambda y, t: y)


BAD_TASKS = [
    (lambda: lk.TrainTask([], total(), Descent()), "labeled_data of the training task has no batches"),
    (lambda: lk.TrainTask(powers(0), total(), Descent()), "labeled_data of the training task has no batches"),
    (
        lambda: lk.TrainTask((onp.ones(3), onp.ones(3)), total(), Descent()),
        "a batch is a tuple (inputs..., targets, weights), got ndarray; a single batch is given in a list, [(inputs",
    ),
    (lambda: lk.TrainTask([()], total(), Descent()), "got tuple without arrays"),
    (lambda: lk.TrainTask([("a", "b")], total(), Descent()), "array 0 of a batch has text, and ids are due"),
    (lambda: lk.TrainTask([([1j], [1])], total(), Descent()), "has dtype complex128, and numbers are due"),
    (
        lambda: lk.TrainTask([([[1], [1, 2]], 1)], total(), Descent()),
        "array 0 of a batch has rows of different lengths",
    ),
    (
        lambda: lk.TrainTask([(onp.ones((0, 3)), onp.ones(0))], total(), Descent()),
        "array 0 of a batch has no rows: [0, 3]",
    ),
    (
        lambda: lk.TrainTask([(onp.array([2**40]), onp.ones(1))], total(), Descent()),
        "from 1099511627776 to 1099511627776",
    ),
    (
        lambda: lk.TrainTask([(*ONE, ONE[0])], total(), Descent()),
        "labeled_data of the training task: a batch is (float32[2,3], float32[2,3], float32[2,3]), and 2 arrays are "
        "due: 1 for Slope, 1 for Total beside the model's output",
    ),
    (lambda: lk.TrainTask([ONE[:1]], total(), Descent()), "a batch is (float32[2,3]), and 2 arrays are due"),
    (
        lambda: lk.TrainTask([ONE], tl.CrossEntropyLoss(), Descent()),
        "beside the model's output; are the weights missing?",
    ),
    (lambda: lk.TrainTask([ONE], long_loss(), Descent()), "Long: a loss is a single float, and it gives float32[2,3]"),
    (
        lambda: lk.TrainTask([ONE], lk.Fn("Whole", lambda y, t: y.astype(onp.int32).sum()), Descent()),
        "Whole: a loss is a single float, and it gives int32[]",
    ),
    (lambda: lk.TrainTask(7, total(), Descent()), "is an iterator of batches (inputs..., targets, weights), got int"),
    (lambda: lk.TrainTask(lambda: 1, total(), Descent()), "got function: call it"),
    (
        lambda: lk.TrainTask([ONE], tl.CrossEntropyLoss, Descent()),
        "loss_layer: a Layer such as CrossEntropyLoss() is due",
    ),
    (lambda: lk.TrainTask([ONE], Slope, Descent()), "loss_layer: Slope is a class, make one of it"),
    (lambda: lk.TrainTask([ONE], total(), Descent), "optimizer: Descent is a class, make one of it, as in Adam(0.01)"),
    (lambda: lk.TrainTask([ONE], total, 1), "got function total; call it if it makes a layer, or wrap it: lk.Fn("),
    (lambda: lk.TrainTask([ONE], total(), 0.1), "optimizer: an Optimizer such as Adam(0.01) is due, got 0.1"),
    (lambda: lk.TrainTask([ONE], total(), Descent(), 0.1), "lr_schedule is a function of the step, got 0.1"),
    (
        lambda: lk.TrainTask([ONE], total(), Descent(lr_schedules.constant(1)), lr_schedules.constant(1)),
        "lr_schedule and Descent's own schedule are both given",
    ),
    (
        lambda: lk.TrainTask([ONE], total(), Descent(), None, 0),
        "n_steps_per_checkpoint must be a whole number of at least 1, got 0",
    ),
]


@pytest.mark.parametrize(("make", "message"), BAD_TASKS, ids=[message[:40] for _, message in BAD_TASKS])
def test_tasks_that_cannot_be_trained_on(make: Any, message: str, backend: str) -> None:
    with pytest.raises(lk.LayerkitError) as caught:
        lk.Loop(Slope(), make(), log=None)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


BAD_EVALS = [
    (lambda: lk.EvalTask([ONE], []), "metrics is a list of layers, got []"),
    (lambda: lk.EvalTask([ONE], total()), "metrics is a list of layers, got Total_in2"),
    (lambda: lk.EvalTask([ONE], [len]), "metrics: a Layer such as Accuracy() is due, got <built-in function len>"),
    (lambda: lk.EvalTask([ONE], [total()], ["a", "b"]), "1 metrics and 2 metric_names"),
    (lambda: lk.EvalTask([ONE], [total(), total()]), "two metrics are called 'Total': give metric_names"),
    (lambda: lk.EvalTask([ONE], [total()], n_eval_batches=0), "n_eval_batches must be a whole number of at least 1"),
    (lambda: lk.EvalTask([ONE], [long_loss()]), "Long: a metric is a single number, and it gives float32[2,3]"),
    (
        lambda: lk.EvalTask([ONE[:1]], [total()]),
        "labeled_data of the evaluation task: a batch is (float32[2,3]), and 2",
    ),
    (lambda: lk.EvalTask([], [total()]), "labeled_data of the evaluation task has no batches"),
]


@pytest.mark.parametrize(("make", "message"), BAD_EVALS, ids=[message[:40] for _, message in BAD_EVALS])
def test_tasks_that_cannot_be_evaluated(make: Any, message: str, backend: str) -> None:
    with pytest.raises(lk.LayerkitError) as caught:
        lk.Loop(Slope(), lk.TrainTask([ONE], total(), Descent()), eval_tasks=make(), log=None)
    assert message in str(caught.value)


BAD_LOOPS = [
    ({"eval_at": 3}, "eval_at is a function of the step, got 3"),
    ({"checkpoint_at": [10]}, "checkpoint_at is a function of the step, got [10]"),
    ({"which_task": 1}, "which_task is a function of the step, got 1"),
    ({"model": Slope}, "model is a layer, got <class"),
    ({"tasks": tl.Serial(Slope(), Slope())}, "a list of them is due, got Serial[ Slope Slope ]"),
    ({"eval_model": 3}, "eval_model is a layer, got 3"),
    ({"model": [Slope(), Slope()]}, "model is a layer, got [Slope, Slope]: put the layers into a Serial"),
    ({"tasks": []}, "tasks: a Loop trains on one task at least"),
    ({"tasks": "x"}, "tasks: a TrainTask or a list of them is due, got 'x'"),
    ({"eval_tasks": [3]}, "eval_tasks: an EvalTask or a list of them is due, got 3"),
    ({"random_seed": -1}, "random_seed must be a whole number of at least 0, got -1"),
    ({"keep_checkpoints": 0}, "keep_checkpoints must be a whole number of at least 1, got 0"),
    ({"checkpoint_at": lambda step: True}, "checkpoint_at needs an output_dir to write to"),
    ({"tensorboard": True}, "tensorboard needs an output_dir to write to"),
]


@pytest.mark.parametrize(("options", "message"), BAD_LOOPS, ids=[message[:30] for _, message in BAD_LOOPS])
def test_loops_that_cannot_be_made(options: dict[str, Any], message: str) -> None:
    arguments = {"model": Slope(), "tasks": lk.TrainTask([ONE], total(), Descent()), "log": None, **options}
    with lk.use_backend("numpy"), pytest.raises(lk.UsageError) as caught:
        lk.Loop(arguments.pop("model"), arguments.pop("tasks"), **arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize("n_steps", [-1, 1.5, True, "3", None])
def test_a_number_of_steps_that_is_none(n_steps: Any) -> None:
    with lk.use_backend("numpy"), pytest.raises(lk.UsageError, match="n_steps must be a whole number of at least 0"):
        slope_loop(powers(3)).run(n_steps)


@pytest.mark.parametrize("chosen", [2, -1, None, 0.5])
def test_a_task_that_does_not_exist(chosen: Any, backend: str) -> None:
    tasks = [lk.TrainTask(powers(3), total(), Descent()) for _ in range(2)]
    loop = lk.Loop(Slope(), tasks, which_task=lambda n: chosen, log=None)
    with pytest.raises(lk.UsageError, match=r"which_task\(0\) is .*; there are tasks 0 to 1"):
        loop.run(2)
    assert loop.step == 0


@pytest.mark.parametrize("rate", [-1.0, None, "fast", math.nan, math.inf])
def test_a_schedule_that_gives_no_learning_rate(rate: Any, backend: str) -> None:
    task = lk.TrainTask(powers(9), total(), Descent(), lr_schedule=lambda step: rate if step == 2 else 0.1)
    with pytest.raises(lk.UsageError, match="lr_schedule: the learning rate of step 2 must be a number of at least 0"):
        lk.Loop(Slope(), task, log=None).run(5)


def test_a_model_that_does_not_fit_its_data_is_refused_before_step_1(backend: str) -> None:
    task = lk.TrainTask([(onp.ones((2, 3)), onp.ones((2, 5)))], tl.L2Loss(), Descent())
    with pytest.raises(lk.LayerkitError):
        lk.Loop(tl.Serial(tl.Dense(4)), task, log=None)
    with pytest.raises(lk.LayerError, match=r"Serial > 1:Add"):
        lk.Loop(
            tl.Serial(tl.Branch(tl.Dense(4), tl.Dense(3)), tl.Add()), lk.TrainTask([ONE], total(), Descent()), log=None
        )


def test_calls_from_inside_a_run(backend: str, tmp_path: Path) -> None:
    caught: list[str] = []

    def at(step: int) -> bool:
        for call in (loop.run, loop.run_evals, loop.load_checkpoint):
            with pytest.raises(lk.LayerkitError) as error:
                call()
            caught.append(str(error.value))
        return False

    loop = slope_loop(powers(4), output_dir=tmp_path, checkpoint_at=at)
    loop.run(1)
    assert caught == [
        f"{name} is called while the loop runs: wait for run to end" for name in ("run", "run_evals", "load_checkpoint")
    ]


def test_saving_without_a_folder() -> None:
    with lk.use_backend("numpy"):
        loop = slope_loop(powers(1))
        with pytest.raises(lk.UsageError, match="save_checkpoint: the Loop has no output_dir to write to"):
            loop.save_checkpoint()
        with pytest.raises(lk.UsageError, match="load_checkpoint: say which directory; the Loop has no output_dir"):
            loop.load_checkpoint()


@pytest.mark.parametrize(("rows", "expected"), [(16, 16), (1 << 18, 5), (1 << 21, 2)])
def test_many_small_batches_are_made_ahead_and_few_large_ones(rows: int, expected: int) -> None:
    x = onp.zeros(rows, onp.float32)
    task = lk.TrainTask([(x, x, x)], tl.L2Loss(), Descent(0.1))
    assert n_ahead([task]) == expected
