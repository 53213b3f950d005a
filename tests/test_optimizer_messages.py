"""What optimizers say about arguments, gradients and slots that are wrong, and about themselves."""

from __future__ import annotations

from typing import Any

import pytest
from weight_trees import SeedAdam, host, numbers

import layerkit as lk
from layerkit import layers as tl
from layerkit import optimizers
from layerkit.errors import LayerkitError, UsageError
from layerkit.fastmath import numpy as np
from layerkit.training import lr_schedules

NUMBERS = [
    (lambda: optimizers.SGD(-0.1), "SGD: learning_rate", "[0, inf), got -0.1; the default is 0.01"),
    (lambda: optimizers.SGD("fast"), "SGD: learning_rate", "[0, inf), got 'fast'; the default is 0.01"),
    (lambda: optimizers.SGD(float("nan")), "SGD: learning_rate", "[0, inf), got nan; the default is 0.01"),
    (lambda: optimizers.SGD(True), "SGD: learning_rate", "[0, inf), got True; the default is 0.01"),
    (
        lambda: optimizers.SGD(1e39),
        "SGD: learning_rate",
        "[0, inf), got 1e+39, which is inf in float32; the default is 0.01",
    ),
    (lambda: optimizers.Adam(b1=1.0), "Adam: b1", "[0, 1), got 1.0; the default is 0.9"),
    (lambda: optimizers.Adam(b2=-0.1), "Adam: b2", "[0, 1), got -0.1; the default is 0.999"),
    (
        lambda: optimizers.Adam(b1=1 - 1e-9),
        "Adam: b1",
        "[0, 1), got 0.999999999, which is 1.0 in float32; the default is 0.9",
    ),
    (lambda: optimizers.Adam(eps=0), "Adam: eps", "(0, inf), got 0; the default is 1e-05"),
    (lambda: optimizers.Adam(clip_grad_norm=0), "Adam: clip_grad_norm", "(0, inf), got 0; the default is None"),
    (lambda: optimizers.Adam(weight_decay_rate=-1), "Adam: weight_decay_rate", "[0, inf), got -1; the default is 0.0"),
    (lambda: optimizers.Momentum(mass=2), "Momentum: mass", "[0, 1), got 2; the default is 0.9"),
    (lambda: optimizers.RMSProp(gamma=None), "RMSProp: gamma", "[0, 1), got None; the default is 0.9"),
    (lambda: optimizers.SM3(momentum=-1), "SM3: momentum", "[0, 1), got -1; the default is 0.9"),
    (lambda: optimizers.Adagrad(eps=-1), "Adagrad: eps", "(0, inf), got -1; the default is 1e-10"),
    (lambda: optimizers.Adafactor(decay_rate=0), "Adafactor: decay_rate", "(0, inf), got 0; the default is 0.8"),
    (lambda: SeedAdam(0.1, b1=[1, 2]), "SeedAdam: b1", "(-inf, inf), got [1, 2]"),
    (lambda: optimizers.SGD(lambda step: -1.0).opt_params, "SGD: learning_rate of step 0", "[0, inf), got -1.0"),
]

ARGUMENTS = [
    (
        lambda: optimizers.Adam(0.01, lerning_rate=0.9),
        "Adam has no option 'lerning_rate': did you mean 'learning_rate'?",
    ),
    (
        lambda: optimizers.SGD(momentum=0.9),
        "SGD has no option 'momentum': known: clip_grad_norm, learning_rate, weight_decay_rate",
    ),
    (
        lambda: optimizers.SGD(1, 2, 3, 4),
        "SGD: too many positional arguments; its options are learning_rate, clip_grad_norm, weight_decay_rate",
    ),
    (lambda: optimizers.SM3(momentum_type="nestrov"), "SM3: unknown momentum_type 'nestrov': did you mean 'nesterov'?"),
]

WRONG = [(make, f"{name} must be a number in {rest}") for make, name, rest in NUMBERS] + ARGUMENTS


@pytest.mark.parametrize(("make", "message"), WRONG, ids=[message for _, message in WRONG])
def test_wrong_arguments(make: Any, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        make()
    assert str(caught.value) == message


MISFITS = [
    (
        (numbers((2,), 0),),
        "SGD: gradients do not belong to the weights (trees differ in structure: tuple of 2 and tuple of 1)",
    ),
    ((numbers((2,), 0), numbers((3,), 0)), "SGD: weight 1 has shape (2, 3), its gradient (3,)"),
    ((numbers((2,), 0), (1.0,)), "SGD: weight 1 has shape (2, 3), its gradient tuple"),
]


@pytest.mark.parametrize(("grads", "message"), MISFITS)
def test_gradients_that_do_not_belong(grads: Any, message: str, backend: str) -> None:
    weights = (numbers((2,), 0), numbers((2, 3), 0))
    sgd = optimizers.SGD()
    with pytest.raises(LayerkitError) as caught:
        sgd.tree_update(0, grads, weights, *sgd.tree_init(weights))
    assert str(caught.value) == f"{message}: take the gradients of these weights"


def test_slots_that_do_not_belong(backend: str) -> None:
    weights = (numbers((2,), 0), numbers((2, 3), 0))
    adam = optimizers.Adam()
    with pytest.raises(LayerkitError, match=r"Adam: slots do not belong .*: take those of tree_init\(weights\)"):
        adam.tree_update(0, weights, weights, ((),), adam.opt_params)


def test_an_optimizer_without_update_says_so() -> None:
    class Idle(lk.Optimizer):
        """Does nothing."""

    with pytest.raises(LayerkitError, match="Idle has no update method: an optimizer defines update"):
        Idle().tree_update(0, numbers((2,), 0), numbers((2,), 0), (), Idle().opt_params)


def test_an_optimizer_need_not_call_super_init(backend: str) -> None:
    class Halver(lk.Optimizer):
        """Halves the gradient."""

        def __init__(self, share: float) -> None:
            self.share = share

        def update(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> Any:
            return param - self.share * grads, slots

    halver = Halver(0.5)
    weight = np.array([1.0])
    new, _, _ = halver.tree_update(0, np.array([1.0]), weight, *halver.tree_init(weight))
    assert host(new).tolist() == [0.5]
    assert repr(halver) == "Halver(learning_rate=0.01, share=0.5)"


SHOWN = [
    (lambda: optimizers.Adam(0.01), "Adam(learning_rate=0.01)"),
    (lambda: optimizers.Adam(), "Adam(learning_rate=0.0001)"),
    (lambda: optimizers.Adam(0.01, 0.1, eps=1e-5), "Adam(learning_rate=0.01, weight_decay_rate=0.1)"),
    (lambda: optimizers.Momentum(mass=0.5, nesterov=False), "Momentum(learning_rate=0.01, mass=0.5, nesterov=False)"),
    (lambda: SeedAdam(0.01, b1=0.9), "SeedAdam(learning_rate=0.01, b1=0.9)"),
    (lambda: optimizers.SGD(lr_schedules.warmup(3, 0.1)),
     "SGD(learning_rate=warmup(n_warmup_steps=3, max_value=0.1))"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "text"), SHOWN, ids=[text for _, text in SHOWN])
def test_repr_is_the_call(make: Any, text: str) -> None:
    assert repr(make()) == text


class WithoutSlots(lk.Optimizer):
    def update(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> Any:
        return param - opt_params.learning_rate * grads


class KeepsOnItself(lk.Optimizer):
    kept: Any = 0

    def update(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> Any:
        self.kept = self.kept + grads
        return param - opt_params.learning_rate * self.kept, slots


@pytest.mark.parametrize(
    ("optimizer", "said"),
    [
        (WithoutSlots(0.1), "WithoutSlots: update returns two things, a weight and its slots"),
        (KeepsOnItself(0.1), "KeepsOnItself: update makes (3, 2) of a weight of shape (2,)"),
    ],
)
def test_what_update_returns(optimizer: lk.Optimizer, said: str, backend: str) -> None:
    weights = (np.ones((3, 2)), np.ones(2))
    with pytest.raises(LayerkitError) as caught:
        optimizer.tree_update(0, weights, weights, ((), ()), optimizer.opt_params)
    assert str(caught.value) == said


class LooksAtTheStep(lk.Optimizer):
    def update(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> Any:
        return param - opt_params.learning_rate * grads * (0.1 if step < 3 else 1.0), slots


CURIOUS = [
    (
        optimizers.SGD(lambda step: 0.1 * min(1.0, step / 10)),
        "SGD: its learning rate, a function of the step, asks what number the step is, which a compiled step does not "
        "know: write it with layerkit.fastmath.numpy (np.minimum, np.where), or give it to the TrainTask as "
        "lr_schedule",
    ),
    (
        LooksAtTheStep(),
        "LooksAtTheStep: update: Python looks at the value of an array (an if, a while, float()); use np.where or "
        "fastmath.cond",
    ),
]


@pytest.mark.parametrize(("optimizer", "said"), CURIOUS)
def test_what_a_compiled_step_does_not_know(optimizer: lk.Optimizer, said: str) -> None:
    pytest.importorskip("jax", reason="the NumPy backend knows every step")
    loss = lk.Fn("L2Loss", lambda y, target: np.mean((y - target) ** 2))
    batch = numbers((2, 3), 0), numbers((2, 1), 1)
    with lk.use_backend("jax"):
        loop = lk.Loop(tl.Dense(1), lk.TrainTask([batch], loss, optimizer), log=None)
        with pytest.raises(LayerkitError) as caught:
            loop.run(1)
    assert str(caught.value) == said


def test_a_schedule_that_fails_says_so_itself(backend: str) -> None:
    with pytest.raises(TypeError, match="unsupported operand"):
        optimizers.SGD(lambda step: step + "s").learning_rate_at(0)  # type: ignore[operator]


class Means(optimizers.SGD):
    def update(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> Any:
        return (param - opt_params.learning_rate * grads).mean(0), slots


@pytest.mark.parametrize("rows", [6, 600])  # many are updated some at a time, and written into what is there
def test_an_update_of_another_shape_is_not_spread_over_the_weight(rows: int, backend: str) -> None:
    weights = (np.ones((rows, 512)),)
    with pytest.raises(LayerkitError, match=r"^Means: update makes \(512,\) of a weight of shape"):
        Means(0.1).tree_update(0, weights, weights, ((),), Means(0.1).opt_params)
