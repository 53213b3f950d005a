"""What is said of a loss or a gradient that is not finite: the layer, the rows, the examples, the weight."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as onp
import pytest
from not_finite_models import CASES, ROWS, WIDTH, Case, batch, inverse, total
from training_setups import Descent, host, same

import layerkit as lk
from layerkit import layers as tl
from layerkit import optimizers
from layerkit.data import RaggedBatches
from layerkit.fastmath import numpy as np
from layerkit.training import NotFiniteError


def diagnosed(case: Case) -> NotFiniteError:
    model, x = case.make(), (case.inputs or batch)()
    if case.spoil is not None:
        model.init(lk.shapes.signature(x))
        case.spoil(model)
    data = [(x, onp.zeros(x.shape[:1], onp.float32))]
    loop = lk.Loop(model, lk.TrainTask(data, (case.loss or total)(), Descent(0.0)), log=None)
    with pytest.raises(NotFiniteError) as caught:
        loop.run(2)
    assert loop.step == 0
    return caught.value


def test_there_are_twenty() -> None:
    assert len(CASES) >= 20
    assert sum(case.gradient for case in CASES) >= 5


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_layer_that_is_not_finite_is_named(case: Case, backend: str) -> None:
    error = diagnosed(case)
    text = str(error)
    assert (error.step, error.path, error.weight) == (1, case.path, case.weight), text
    assert text.startswith("step 1: the loss ")
    assert f"{case.path}: " in text
    assert ("and its gradient is not finite" in text) == case.gradient
    assert text.isprintable()
    if case.inputs is None or case.inputs.__name__ != "sequences":
        assert error.rows == case.rows, text


def ragged(rows: list[list[int]], **options: Any) -> RaggedBatches:
    return RaggedBatches(rows, [0] * len(rows), 4, seed=3, **options)


@pytest.mark.parametrize("pad_last", [False, True])
def test_the_examples_of_the_data_are_named(backend: str, pad_last: bool) -> None:
    examples = [[1, 2, 3]] * 9
    examples[6] = [1, 7]
    model = tl.Serial(tl.Embedding(8, 2), tl.Mean(axis=1), tl.Dense(2), tl.LogSoftmax())
    model.init(lk.i32(4, 3))
    table = onp.ones((8, 2), onp.float32)
    table[7] = onp.inf
    model.weights = (table, *model.weights[1:])
    loop = lk.Loop(model, lk.TrainTask(ragged(examples, pad_last=pad_last), tl.CrossEntropyLoss(), Descent()), log=None)
    with pytest.raises(NotFiniteError) as caught:
        loop.run(20)
    error = caught.value
    assert error.path == "Serial > 0:Embedding_8_2"
    assert error.examples == (6,)
    assert "(example 6 of the data)" in str(error)
    order = ragged(examples).examples_at({"batch": error.step - 1})
    assert [order[row] for row in error.rows] == [6]


def test_data_that_do_not_know_their_examples(backend: str) -> None:
    error = diagnosed(CASES[0])
    assert (error.rows, error.examples) == ((2,), ())
    assert "; in row 2 of the batch's 4, counted from 0; " in str(error)


def test_all_rows_and_many_rows() -> None:
    x = onp.zeros((40, 2), onp.float32)
    for count, said in ((40, "in all 40 rows of the batch"), (8, "in rows 0, 1, 2, 3 and 4 more of the batch's 40")):
        x[:] = 1
        x[:count] = 0
        loop = lk.Loop(inverse(), lk.TrainTask([(x, x)], total(), Descent()), log=None)
        with pytest.raises(NotFiniteError) as caught:
            loop.run(1)
        assert said in str(caught.value)
        assert caught.value.rows == tuple(range(count))


def test_a_loss_of_each_row_alone_tells_the_row(backend: str) -> None:
    """The loss layer gives one number, and no other layer is at fault: the rows are tried one by one."""
    loss = tl.Fn("Logs", lambda y, t: np.log(y.sum(axis=1)).mean())
    loop = lk.Loop(tl.Relu(), lk.TrainTask([(batch(), onp.zeros(ROWS))], loss, Descent()), log=None)
    with pytest.raises(NotFiniteError) as caught:
        loop.run(1)
    assert (caught.value.path, caught.value.rows) == ("Logs", (2,))


def test_arrays_of_unlike_length_have_no_rows_in_common(backend: str) -> None:
    data = [(batch(), onp.zeros(3))]
    loop = lk.Loop(inverse(), lk.TrainTask(data, total(), Descent()), log=None)
    with pytest.raises(NotFiniteError) as caught:
        loop.run(1)
    assert (caught.value.path, caught.value.rows) == ("HERE", ())


def test_nothing_changes_by_the_step_that_failed(backend: str, tmp_path: Path) -> None:
    """A gradient that is not finite leaves weights, slots and state as they were, and the run can go on from there."""
    good, bad = onp.ones((ROWS, WIDTH), onp.float32), batch()
    model = tl.Serial(
        tl.Dense(WIDTH, use_bias=False, kernel_initializer=lambda shape, rng: np.eye(WIDTH)),
        tl.Fn("Root", lambda x: np.sqrt(x)),
    )
    task = lk.TrainTask(iter([(x, good) for x in (good, good, bad)]), total(), optimizers.Adam(0.0))
    loop = lk.Loop(model, task, output_dir=tmp_path, checkpoint_at=lambda step: True, log=None, learning_curve=False)
    loop.run(2)
    before = host((loop.model.weights, loop.model.state))
    with pytest.raises(NotFiniteError, match=r"step 3: .*, and its gradient is not finite: Serial > 1:Root: "):
        loop.run(1)
    assert loop.step == 2
    assert same(before, host((loop.model.weights, loop.model.state)))
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir())[-1] == "step-00000002"


def test_the_recipe_quotes_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    from layerkit_plugins.sentiment import model as models

    def spoilt(*args: Any) -> lk.Layer:
        model = classifier(*args)
        return tl.Serial(model, tl.Fn("Spoilt", lambda y: y / (y - y)))

    classifier = models.MODELS["classifier"]
    monkeypatch.setitem(models.MODELS, "classifier", spoilt)
    with pytest.raises(NotFiniteError) as caught:
        lk.train("sentiment", corpus="starter", steps=2, batch_size=2, backend="numpy", embedding_dim=4)
    assert caught.value.path == "Serial > 1:Spoilt"
    first = caught.value.examples[0]
    assert f"; example {first} is '" in str(caught.value)


def test_without_examples_there_is_nothing_to_quote() -> None:
    error = NotFiniteError("step 3: ...", 3)
    assert error.quoting(["a"]) is error


def test_weights_that_are_not_finite_are_loaded_with_a_warning(backend: str, tmp_path: Path) -> None:
    model = tl.Serial(tl.Dense(2), tl.Dense(3))
    model.init(lk.f32(4, 5))
    first, second = model.weights
    model.weights = (first, second._replace(bias=np.full(3, np.nan)))
    model.save_to_file(tmp_path / "m.safetensors")
    with pytest.warns(lk.errors.LayerkitWarning) as caught:
        model.init_from_file(tmp_path / "m.safetensors", lk.f32(4, 5))
    assert len(caught) == 1
    assert str(caught[0].message) == (
        f"Serial: {tmp_path / 'm.safetensors'}: 1.Dense/bias has nan in 3 of 3 values: what it computes means nothing; "
        "load an earlier file, or train again"
    )
    assert onp.isnan(host(model.weights)[-1]).all()


def test_a_gradient_whose_sum_overflows_is_as_bad(backend: str) -> None:
    model = tl.Dense(2, use_bias=False, kernel_initializer=lambda shape, rng: np.zeros(shape))
    data = [(onp.full((1, 2), 2e38, onp.float32), onp.zeros(1))]
    with pytest.raises(NotFiniteError) as caught:
        lk.Loop(model, lk.TrainTask(data, total(), Descent()), log=None).run(1)
    assert (caught.value.path, caught.value.weight, caught.value.rows) == ("", "", ())
    assert "and its gradient is not finite: layer by layer all is finite, and so large that the sum" in str(
        caught.value
    )


def test_rows_that_wait_are_brought_up_to_date_before_the_step_is_computed_again(backend: str) -> None:
    """Row 1 moves on while no batch reads it: to -0.1 by its gradient, and to -0.26 by what Adam remembers of it."""
    table = tl.Embedding(4, 1, kernel_initializer=lambda shape, rng: np.zeros(shape), update="lazy")
    model = tl.Serial(table, tl.Fn("Edge", lambda x: np.where(np.abs(x) > 0.15, np.inf, x)))
    data = [(onp.full((2, 1), row, onp.int32), onp.zeros(2)) for row in (1, 2, 3, 0, 1)]
    loop = lk.Loop(model, lk.TrainTask(data, total(), optimizers.Adam(0.1)), log=None)
    with pytest.raises(NotFiniteError) as caught:
        loop.run(9)
    assert (caught.value.step, caught.value.path) == (5, "Serial > 1:Edge")


def test_what_stopped_the_run_is_told_where_the_layer_cannot_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*args: Any) -> Any:
        raise RuntimeError("no way in\nat all")

    monkeypatch.setattr("layerkit.training.diagnose.faulty_gradient", fails)
    error = diagnosed(next(case for case in CASES if case.name == "slope of a root"))
    assert (error.step, error.path) == (1, "")
    assert "its gradient is not finite: its layer cannot be found (RuntimeError: no way in); " in str(error)
