"""Checks of an optimizer: what one step does."""

from __future__ import annotations

import copy
from typing import Any

import numpy as onp

from layerkit import fastmath
from layerkit.errors import an
from layerkit.fastmath import nested_map
from layerkit.fastmath import numpy as np
from layerkit.optimizer import Optimizer
from layerkit.testing.blame import demand
from layerkit.testing.optimizer_case import (
    SHAPES,
    OptimizerCase,
    check,
    gradients_like,
    numbers,
    run,
    weights_of_a_model,
)
from layerkit.testing.suite import Skip
from layerkit.testing.trees import host, leaves, require_close, require_same

__all__: list[str] = []

_HUGE = 1e18
_LATE = 10_000_000


@check("steps")
def follows_its_formula(case: OptimizerCase) -> None:
    """Twenty steps with gradients of all sizes give what its formula gives in float64."""
    if case.formula is None:
        raise Skip("no formula was given: check_optimizer(optimizer, formula=function)")
    optimizer = case.make()
    exact = type(optimizer.opt_params)(*(float(value) for value in optimizer.opt_params))
    for shape in SHAPES:
        start = numbers(shape, 0)
        gradients = [numbers(shape, step + 1, scale=10.0 ** (step % 5 - 3)) for step in range(20)]
        wanted = onp.asarray(case.formula(start.astype("float64"), [g.astype("float64") for g in gradients], exact))
        weight: Any = np.asarray(start)
        slots = optimizer.init(weight)
        for step, gradient in enumerate(gradients):
            weight, slots = optimizer.update(step, np.asarray(gradient), weight, slots, optimizer.opt_params)
        moved = float(onp.abs(wanted - start).max())
        demand(moved > 0, f"the formula does not move a weight {shape} in 20 steps")
        off = float(onp.abs(host(weight) - wanted).max())
        limit = 2e-6 + 2e-5 * moved
        demand(off <= limit, f"a weight {shape} is {off:.2g} off the formula after 20 steps, more than {limit:.2g}")


@check("steps")
def arguments_are_not_changed(case: OptimizerCase) -> None:
    """A step leaves weights, gradients and slots as they were, also where they cannot be written to."""
    for optimizer in (case.make(), case.make(clip_grad_norm=0.1, decay=0.1)):
        weights = weights_of_a_model()
        slots, opt_params = optimizer.tree_init(weights)
        arguments = copy.deepcopy(fastmath.to_host((weights, gradients_like(weights, 0), slots)))
        before = copy.deepcopy(arguments)
        weights, gradients, slots = arguments
        optimizer.tree_update(1, gradients, weights, slots, opt_params)
        require_same("weights, gradients and slots after a step and before", arguments, before)
        for leaf in fastmath.tree_leaves(arguments):
            leaf.setflags(write=False)
        optimizer.tree_update(1, gradients, weights, slots, opt_params)


@check("steps")
def overwrite_is_update(case: OptimizerCase) -> None:
    """A loop that owns its arrays gives them to ``overwrite``: the step is that of ``update``, and gradients stay."""
    optimizer, weights = case.make(), weights_of_a_model()
    if type(optimizer).overwrite is Optimizer.overwrite:
        raise Skip("it has no overwrite: a loop takes its update")
    slots, opt_params = optimizer.tree_init(weights)
    weights, slots, _ = optimizer.tree_update(0, gradients_like(weights, 0), weights, slots, opt_params)
    gradients = nested_map(np.asarray, gradients_like(weights, 1))
    before = nested_map(np.copy, gradients)
    wanted = optimizer.tree_update(1, gradients, weights, slots, opt_params)[:2]
    own: list[Any] = []
    nested_map(lambda w, s: own.append((np.copy(w), nested_map(np.copy, s))), weights, slots)
    params, own_slots = map(list, zip(*own, strict=True))
    made = list(optimizer.overwrite_all(1, fastmath.tree_leaves(gradients), params, own_slots, opt_params))
    require_same("gradients after a step by overwrite, and before,", gradients, before)
    new, new_slots = zip(*made, strict=True)
    require_close("the weights of overwrite and update", leaves(new), leaves(wanted[0]), 5e-6)
    require_close("the slots of overwrite and update", leaves(new_slots), leaves(wanted[1]), 5e-6)


@check("steps")
def same_arguments_same_step(case: OptimizerCase) -> None:
    """The same arguments give the same weights and slots, to the last bit, however many steps came between."""
    optimizer, weights = case.make(), weights_of_a_model()
    slots, opt_params = optimizer.tree_init(weights)
    gradients = gradients_like(weights, 0)
    once = optimizer.tree_update(3, gradients, weights, slots, opt_params)
    run(optimizer, weights, 2)
    again = optimizer.tree_update(3, gradients, weights, slots, opt_params)
    require_same("a step, and the same step later,", once[:2], again[:2])


@check("steps")
def two_models_at_once(case: OptimizerCase) -> None:
    """One optimizer trains two models in turn as it trains each alone: nothing is kept outside of the slots."""
    alone = [run(case.make(), weights_of_a_model(seed), 4) for seed in (0, 50)]
    optimizer = case.make()
    weights = [weights_of_a_model(seed) for seed in (0, 50)]
    slots = [optimizer.tree_init(tree)[0] for tree in weights]
    for step in range(4):
        for i in (0, 1):
            gradients = gradients_like(weights[i], step)
            weights[i], slots[i], _ = optimizer.tree_update(step, gradients, weights[i], slots[i], optimizer.opt_params)
    for i in (0, 1):
        require_same("a model trained beside another one, and alone,", (weights[i], slots[i]), alone[i])


@check("steps")
def a_tree_is_its_leaves(case: OptimizerCase) -> None:
    """A tree of weights moves as each of its weights would by itself."""
    optimizer, weights = case.make(), weights_of_a_model()
    slots, opt_params = optimizer.tree_init(weights)
    gradients = gradients_like(weights, 0)
    new, new_slots, _ = optimizer.tree_update(3, gradients, weights, slots, opt_params)
    pairs = zip(leaves(gradients), leaves(weights), strict=True)
    single = [
        optimizer.update(3, np.asarray(g), np.asarray(w), optimizer.init(np.asarray(w)), opt_params) for g, w in pairs
    ]
    require_same("the weights of a tree, and each by itself,", leaves(new), leaves([w for w, _ in single]))
    require_same("the slots of a tree, and each by itself,", leaves(new_slots), leaves([s for _, s in single]))


@check("steps")
def zero_gradient_moves_nothing(case: OptimizerCase) -> None:
    """With fresh slots, no weight decay and a gradient of zeros no weight moves, and no slot becomes NaN."""
    optimizer, weights = case.make(), weights_of_a_model()
    slots, opt_params = optimizer.tree_init(weights)
    new, slots, _ = optimizer.tree_update(0, nested_map(onp.zeros_like, weights), weights, slots, opt_params)
    require_same("weights after a step without gradient, and before,", new, weights)
    demand(_finite(slots), "a slot is not finite after a step without gradient")


@check("steps")
def huge_gradients_stay_finite(case: OptimizerCase) -> None:
    """Gradients of 1e18 leave weights and slots finite, do not move a weight upwards, and the next step is finite."""
    optimizer, weights = case.make(), weights_of_a_model()
    for step in (0, _LATE):
        slots, opt_params = optimizer.tree_init(weights)
        huge = nested_map(lambda weight: onp.full_like(weight, _HUGE), weights)
        new, slots, _ = optimizer.tree_update(step, huge, weights, slots, opt_params)
        demand(_finite((new, slots)), f"weights or slots are not finite after a gradient of {_HUGE:.0e} at step {step}")
        for before, after in zip(leaves(weights), leaves(new), strict=True):
            up = float((after - before).max())
            demand(up <= 0, f"a weight moves up by {up:.2g} after a gradient of {_HUGE:.0e} at step {step}")
        new, slots, _ = optimizer.tree_update(step + 1, gradients_like(weights, 0), new, slots, opt_params)
        demand(_finite((new, slots)), f"weights or slots are not finite one step after a gradient of {_HUGE:.0e}")


@check("steps")
def tiny_gradients_stay_finite(case: OptimizerCase) -> None:
    """Gradients of 1e-30, whose squares are 0 in float32, leave weights and slots finite."""
    optimizer, weights = case.make(), weights_of_a_model()
    slots, opt_params = optimizer.tree_init(weights)
    tiny = nested_map(lambda weight: onp.full_like(weight, 1e-30), weights)
    for step in (0, 1):
        weights, slots, _ = optimizer.tree_update(step, tiny, weights, slots, opt_params)
        demand(_finite((weights, slots)), f"weights or slots are not finite after a gradient of 1e-30 at step {step}")


@check("steps")
def first_and_late_steps_are_finite(case: OptimizerCase) -> None:
    """Step 0, the first, and step 10,000,000 give finite weights and slots."""
    optimizer, weights = case.make(), weights_of_a_model()
    for step in (0, 1, _LATE):
        slots, opt_params = optimizer.tree_init(weights)
        new, slots, _ = optimizer.tree_update(step, gradients_like(weights, 0), weights, slots, opt_params)
        demand(_finite((new, slots)), f"weights or slots are not finite after step {step:,}")


@check("steps")
def first_step_goes_down(case: OptimizerCase) -> None:
    """The first step moves weights, and against their gradient."""
    optimizer, weights = case.make(), weights_of_a_model()
    slots, opt_params = optimizer.tree_init(weights)
    gradients = gradients_like(weights, 0)
    new, _, _ = optimizer.tree_update(0, gradients, weights, slots, opt_params)
    pairs = zip(leaves(new), leaves(weights), leaves(gradients), strict=True)
    slope = sum(float(((after - before).astype("float64") * g).sum()) for after, before, g in pairs)
    demand(slope < 0, f"the first step changes the loss by {slope:.3g} to first order: it should go down")


@check("steps")
def steps_of_all_kinds(case: OptimizerCase) -> None:
    """A step counted by Python, by NumPy or in an array of the backend gives the same."""
    optimizer, weights = case.make(), weights_of_a_model()
    slots, opt_params = optimizer.tree_init(weights)
    gradients = gradients_like(weights, 0)
    for number in (0, 7):
        wanted = optimizer.tree_update(number, gradients, weights, slots, opt_params)[:2]
        for step in (onp.int64(number), onp.array(number, "int32"), np.array(number)):
            got = optimizer.tree_update(step, gradients, weights, slots, opt_params)[:2]
            require_same(f"step {number} as {an(type(step).__name__)} and as an int", got, wanted)


@check("steps")
def learning_rate_0_changes_nothing(case: OptimizerCase) -> None:
    """With a learning rate of 0 weights stay as they are, whatever the gradients."""
    weights = weights_of_a_model()
    new, _ = run(case.make(0.0), weights, 3)
    require_same("weights after 3 steps with a learning rate of 0, and before,", new, weights)


@check("steps")
def learning_rate_may_be_a_schedule(case: OptimizerCase) -> None:
    """A learning rate that is a function of the step gives what the same rates set by hand give."""
    rates = [0.1, 0.02, 0.3]
    scheduled, _ = run(
        case.make(lambda step: np.asarray(onp.array(rates, onp.float32))[step]), weights_of_a_model(), len(rates)
    )
    optimizer, weights = case.make(), weights_of_a_model()
    slots, opt_params = optimizer.tree_init(weights)
    for step, rate in enumerate(rates):
        opt_params = opt_params._replace(learning_rate=onp.float32(rate))
        weights, slots, _ = optimizer.tree_update(step, gradients_like(weights, step), weights, slots, opt_params)
    require_close("weights under a schedule, and under the same rates set by hand,", scheduled, weights, 1e-6)


@check("steps")
def clipping_scales_gradients(case: OptimizerCase) -> None:
    """``clip_grad_norm`` does what gradients scaled down to that norm, all weights together, do; smaller ones pass."""
    weights = weights_of_a_model()
    gradients = gradients_like(weights, 0)
    norm = float(onp.sqrt(sum(float((g.astype("float64") ** 2).sum()) for g in leaves(gradients))))
    for limit in (norm / 4, norm * 4):
        scale = min(1.0, limit / norm)
        by_hand = nested_map(lambda g, scale=scale: onp.float32(scale) * g, gradients)
        results = []
        for optimizer, given in ((case.make(clip_grad_norm=limit), gradients), (case.make(), by_hand)):
            slots, opt_params = optimizer.tree_init(weights)
            results.append(optimizer.tree_update(0, given, weights, slots, opt_params)[0])
        require_close(
            f"a step with gradients of norm {norm:.3g} clipped to {limit:.3g}, and scaled by hand,",
            results[0],
            results[1],
            1e-5,
        )


@check("steps")
def weight_decay_is_apart_from_the_gradient(case: OptimizerCase) -> None:
    """``weight_decay_rate`` first multiplies a weight by 1 - learning_rate * weight_decay_rate, then a step follows."""
    weights, rate, decay = weights_of_a_model(), 0.05, 0.5
    smaller = nested_map(lambda weight: onp.float32(1 - rate * decay) * weight, weights)
    results = []
    for optimizer, given in ((case.make(rate, decay=decay), weights), (case.make(rate), smaller)):
        slots, opt_params = optimizer.tree_init(weights)
        results.append(optimizer.tree_update(0, gradients_like(weights, 0), given, slots, opt_params)[0])
    require_close(
        f"a step with a weight decay of {decay}, and one from weights decayed by hand,", results[0], results[1], 1e-6
    )


def _finite(tree: Any) -> bool:
    return all(onp.isfinite(leaf).all() for leaf in leaves(tree))
