"""When a run goes wrong: losses that are not finite, and Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as onp
import pytest
from training_setups import (
    BACKENDS,
    Descent,
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
from layerkit import layers as tl
from layerkit import optimizers
from layerkit.fastmath import numpy as np
from layerkit.training import NotFiniteError, steps
from layerkit.training.interrupt import Interrupts


class Root(lk.Layer):
    """sqrt(x): not a number below 0."""

    def forward(self, x: Any) -> Any:
        return np.sqrt(x)


def values_then(bad: Any, at: int) -> Any:
    """Batches of ones, the one number ``at`` of ``bad``."""
    k = 0
    while True:
        yield onp.full((2, 3), bad if k == at else 1.0, onp.float32), onp.zeros(2, onp.float32)
        k += 1


def names(count: int) -> list[lk.Layer]:
    return [lk.Fn(f"Same{i}", lambda x: x) for i in range(count)]


# -- losses that are not finite --------------------------------------------------------------------------------------


def test_a_loss_that_is_not_finite_stops_the_run_before_the_step_and_names_the_layer(backend: str) -> None:
    model = tl.Serial(Slope(), tl.Branch(None, tl.Serial(*names(2), Root())), tl.Add())
    model.init(lk.f32(2, 3))
    model.weights = (np.array(1.0), model.weights[1], ())
    task = lk.TrainTask(values_then(-4.0, at=6), total(), Descent(0.001))
    loop = lk.Loop(model, task, log=None)
    undisturbed = lk.Loop(model, lk.TrainTask(values_then(1.0, at=0), total(), Descent(0.001)), log=None)
    with pytest.raises(NotFiniteError) as caught:
        loop.run(100)
    error, text = caught.value, str(caught.value)
    assert (error.step, error.path) == (7, "Serial > 1:Branch > 1:Serial > 2:Root")
    assert text.startswith(
        "step 7: the loss Total is nan: Serial > 1:Branch > 1:Serial > 2:Root: the first output that"
    )
    assert "with nan in 6 of 6 values" in text
    assert text.endswith("lower the learning rate, or clip gradients with clip_grad_norm")
    assert "\n" not in text
    assert loop.step == 6
    assert threads() == []
    undisturbed.run(6)
    assert same(loop.model.weights, undisturbed.model.weights)


def test_the_run_may_go_on_and_meets_the_same_batch(backend: str) -> None:
    seen = iter([1.0, 2.0, onp.inf, 4.0])
    data = ((onp.array([x], onp.float32), onp.zeros(1)) for x in seen)
    loop = slope_loop(data)
    for _ in range(2):
        with pytest.raises(NotFiniteError, match="step 3: the loss Total is"):
            loop.run(4)
        assert (loop.step, trained_on(loop)) == (2, [0, 1])
    assert loop.tasks[0].next_batch()[0] == onp.inf
    loop.run(1)
    assert trained_on(loop) == [0, 1, 2]


def test_a_batch_that_is_not_finite_is_to_blame(backend: str) -> None:
    loop = slope_loop(values_then(onp.nan, at=1))
    with pytest.raises(NotFiniteError) as caught:
        loop.run(3)
    assert "array 0 of the batch has nan in 6 of 6 values; look at the data" in str(caught.value)
    assert caught.value.path == "Slope"


@pytest.mark.parametrize(
    ("ids", "target", "told"),
    [
        (1, 2, "CrossEntropyLoss: target 2 is none of the 2 classes"),
        (9, 1, "Serial > 0:Embedding_4_3: id 9 is outside the table of 4 rows"),
    ],
)
def test_ids_that_do_not_fit_are_the_data_s_fault_and_no_learning_rate_s(ids: int, target: int, told: str) -> None:
    batch = (onp.full((2, 3), ids, "int32"), onp.full(2, target, "int32"), onp.ones(2, "float32"))
    with lk.use_backend("jax"):
        model = tl.Serial(tl.Embedding(4, 3), tl.Mean(axis=1), tl.Dense(2), tl.LogSoftmax())
        task = lk.TrainTask([batch], tl.CrossEntropyLoss(), optimizers.SGD(0.1))
        with pytest.raises(lk.LayerkitError) as caught:
            lk.Loop(model, task, log=None).run(1)
    assert told in str(caught.value)
    assert str(caught.value).endswith("; look at the data")


def test_a_loss_layer_may_be_the_first(backend: str) -> None:
    loss = lk.Fn("LogLoss", lambda y, t: np.log(y - y).sum())
    loop = lk.Loop(Slope(), lk.TrainTask([next(values_then(1.0, at=0))], loss, Descent()), log=None)
    with pytest.raises(NotFiniteError, match=r"step 1: the loss LogLoss is -inf: LogLoss: the first output"):
        loop.run(2)


def test_an_id_beyond_the_table_is_named(backend: str) -> None:
    ids = onp.full((4, 5), 40, onp.int32)
    batch = (ids, onp.zeros(4, onp.int32), onp.ones(4))
    data = [next(batches()), batch]
    loop = lk.Loop(classifier(), train_task(data), log=None)
    with pytest.raises(lk.LayerkitError) as caught:
        loop.run(5)
    assert "Serial > 0:Embedding_40_4" in str(caught.value)
    assert "40" in str(caught.value)
    assert loop.step == 1


@pytest.mark.parametrize("at", [1, 2, 5])
def test_the_last_good_checkpoint_stays(at: int, backend: str, tmp_path: Path) -> None:
    loop = slope_loop(values_then(onp.inf, at), output_dir=tmp_path, checkpoint_at=lambda step: True)
    with pytest.raises(NotFiniteError):
        loop.run(20)
    weights = loop.model.weights
    again = slope_loop(values_then(1.0, 0), output_dir=tmp_path)
    assert again.step == at
    assert same(again.model.weights, weights)


class Careless(lk.Optimizer):
    """Sets every weight to NaN, whatever the gradient."""

    def update(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> Any:
        return param * np.nan, slots


def test_weights_that_are_not_finite_are_not_saved(backend: str, tmp_path: Path) -> None:
    def loop(**options: Any) -> lk.Loop:
        task = lk.TrainTask(values_then(1.0, 0), total(), Careless(1.0))
        return lk.Loop(tl.Serial(Slope(), Slope()), task, log=None, learning_curve=False, **options)

    with pytest.raises(
        NotFiniteError, match=r"step 1: the weight 0\.Slope/weights has nan in 1 of 1 values, though the"
    ):
        loop(output_dir=tmp_path).run(3)
    assert list(tmp_path.glob("checkpoints/*")) == []
    with pytest.raises(
        NotFiniteError, match=r"step 2: .*; the weight 0\.Slope/weights has nan in 1 of 1 values since the update of"
    ):
        loop().run(3)


def test_the_first_of_several_tasks_stops_all(backend: str) -> None:
    tasks = [lk.TrainTask(values_then(v, 2), total(), Descent()) for v in (1.0, onp.inf)]
    loop = lk.Loop(Slope(), tasks, log=None)
    with pytest.raises(NotFiniteError, match="step 6"):
        loop.run(9)
    assert loop.step == 5


def test_a_loss_that_is_seen_at_the_end_of_a_run(backend: str) -> None:
    loop = slope_loop(values_then(onp.inf, at=2))
    with pytest.raises(NotFiniteError, match="step 3"):
        loop.run(3)
    assert loop.step == 2


@pytest.mark.parametrize("patience", [0.0, 1e6])
@pytest.mark.parametrize("at", [9, 16])
def test_the_step_that_stops_a_run_is_the_same_however_many_losses_nobody_looked_at(
    at: int, patience: float, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "_PATIENCE", patience)
    good, losses = next(batches()), tl.CrossEntropyLoss()
    bad = (*good[:2], good[2] * onp.float32(onp.inf))

    def loop(data: Any) -> lk.Loop:
        model = tl.Serial(tl.Embedding(40, 4, update="lazy"), tl.Mean(axis=1), tl.Dense(2), tl.LogSoftmax())
        task = lk.TrainTask(iter(data), losses, optimizers.Adam(0.1))
        return lk.Loop(model, task, eval_at=lambda step: step == at, log=None)

    stopped, undisturbed = loop([*[good] * at, bad, *[good] * 60]), loop([good] * (at + 1))
    with pytest.raises(NotFiniteError, match=f"step {at + 1}: "):
        stopped.run(60)
    undisturbed.run(at)
    assert stopped.step == at
    assert same(stopped.model.weights, undisturbed.model.weights)
    assert stopped.history.to_dict() == undisturbed.history.to_dict()
    assert not onp.isfinite(stopped.tasks[0].next_batch()[2]).any()


# -- Ctrl-C ----------------------------------------------------------------------------------------------------------


def interrupting(data: Any, at: int) -> Any:
    """The same batches; while number ``at`` is made, somebody presses Ctrl-C."""
    for k, batch in enumerate(data):
        if k == at:
            os.kill(os.getpid(), signal.SIGINT)
        yield batch


class CtrlC:
    """An iterator with a position; while it makes batch number ``at``, somebody presses Ctrl-C."""

    def __init__(self, source: Any, at: int) -> None:
        self.source, self.at, self.count = source, at, 0

    def __iter__(self) -> CtrlC:
        return self

    def __next__(self) -> Any:
        self.count += 1
        if self.count == self.at:
            os.kill(os.getpid(), signal.SIGINT)
        return next(self.source)

    @property
    def position(self) -> Any:
        return self.source.position

    def seek(self, position: Any) -> None:
        self.source.seek(position)


@pytest.mark.parametrize("at", [2, 9, 10, 11, 17])
def test_ctrl_c_leaves_a_checkpoint_that_the_run_goes_on_from(at: int, backend: str, tmp_path: Path) -> None:
    def loop(data: Any, output_dir: Path) -> lk.Loop:
        return lk.Loop(
            classifier(0.3),
            train_task(data),
            eval_tasks=eval_task(),
            output_dir=output_dir,
            log=lines.append,
            learning_curve=False,
        )

    lines: list[str] = []
    undisturbed = loop(batches(), tmp_path / "undisturbed")
    undisturbed.run(25)
    first = loop(CtrlC(batches(), at), tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        first.run(25)
    assert any(line.startswith(f"Step {first.step: 6d}: interrupted, saved in ") for line in lines)
    assert 0 <= first.step < 25
    assert threads() == []
    second = loop(batches(), tmp_path / "run")
    assert second.step == first.step
    second.run(25 - second.step)
    assert same(second.model.weights, undisturbed.model.weights)
    assert second.history.to_dict() == undisturbed.history.to_dict()


def test_ctrl_c_while_evaluation_waits_for_data(backend: str, tmp_path: Path) -> None:
    def loop(data: Any, folder: str) -> lk.Loop:
        return lk.Loop(
            classifier(),
            train_task(every=5),
            eval_tasks=eval_task(data),
            output_dir=tmp_path / folder,
            log=None,
            learning_curve=False,
        )

    undisturbed = loop(batches(seed=7), "undisturbed")
    undisturbed.run(12)
    first = loop(CtrlC(batches(seed=7), at=4), "run")  # the second batch of the evaluation after step 5
    with pytest.raises(KeyboardInterrupt):
        first.run(12)
    second = loop(batches(seed=7), "run")
    second.run(12 - second.step)
    assert same(second.model.weights, undisturbed.model.weights)
    assert second.history.to_dict() == undisturbed.history.to_dict()


def test_ctrl_c_without_a_folder_leaves_the_weights_of_the_last_step(backend: str) -> None:
    loop = slope_loop(interrupting(powers(20), at=5))
    with pytest.raises(KeyboardInterrupt):
        loop.run(20)
    assert trained_on(loop) == list(range(loop.step))


def test_ctrl_c_while_the_data_do_not_come(backend: str) -> None:
    never = threading.Event()

    def source() -> Any:
        yield from powers(2)
        timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        never.wait(4)

    loop = slope_loop(source())
    threading.Timer(1.0, never.set).start()
    with pytest.raises(KeyboardInterrupt):
        loop.run(20)
    assert (loop.step, threads()) == (2, [])


def test_a_second_ctrl_c_does_not_wait() -> None:
    with Interrupts() as interrupts:
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupts.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_an_import_that_makes_another_exception_of_ctrl_c() -> None:
    def imported() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt as error:  # as Python 3.11 does in a class statement, and extension modules do
            raise RuntimeError("Error calling __set_name__") from error

    with Interrupts() as interrupts, pytest.raises(KeyboardInterrupt), interrupts.let_through():
        imported()


def test_a_handler_of_ones_own_stays() -> None:
    seen = []
    previous = signal.signal(signal.SIGINT, lambda *_: seen.append("mine"))
    try:
        with Interrupts() as interrupts:
            os.kill(os.getpid(), signal.SIGINT)
        assert (seen, interrupts.requested) == (["mine"], None)
    finally:
        signal.signal(signal.SIGINT, previous)
    with Interrupts():
        assert signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_loop_runs_in_a_thread_of_its_own(backend: str) -> None:
    loop = slope_loop(powers(5))
    failed: list[BaseException] = []

    def run() -> None:
        try:
            with lk.use_backend(backend):
                loop.run(5)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert (failed, loop.step, trained_on(loop)) == ([], 5, [0, 1, 2, 3, 4])


@pytest.mark.parametrize("name", BACKENDS)
def test_nothing_is_imported_that_is_not_used(name: str) -> None:
    import subprocess

    code = f"""
import sys
import numpy as np
import layerkit as lk
from layerkit import layers as tl, optimizers
with lk.use_backend({name!r}):
    task = lk.TrainTask([(np.ones((2, 3)), np.ones((2, 1)), np.ones((2, 1)))], tl.L2Loss(), optimizers.SGD(0.1))
    lk.Loop(tl.Dense(1), task).run(3)
unwanted = {{"rich", "matplotlib", "tensorboardX", "safetensors", "nltk", "click", "pickle5"}} & set(sys.modules)
assert not unwanted, unwanted
assert {name!r} == "jax" or "jax" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Step      1: train L2Loss | ")


def test_bfloat16_weights_train_and_are_saved(tmp_path: Path) -> None:
    with lk.use_backend("jax"):

        def loop() -> lk.Loop:
            model = Slope()
            model.init(lk.f32(1))
            model.weights = np.array(0.0).astype(lk.bf16().dtype)
            task = lk.TrainTask(powers(4), total(), optimizers.Adam(1.0))
            return lk.Loop(model, task, output_dir=tmp_path, log=None, learning_curve=False)

        one = loop()
        one.run(1)
        assert one.model.weights.dtype == lk.bf16().dtype
        assert [str(a.dtype) for a in host(loop().model.weights)] == ["bfloat16"]
