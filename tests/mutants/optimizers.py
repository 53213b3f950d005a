"""Optimizers that each break one rule, and the check that has to catch each."""

from __future__ import annotations

import time
from typing import Any

import numpy as onp

import layerkit as lk
from layerkit import fastmath
from layerkit.fastmath import numpy as np

__all__ = ["MUTANTS", "Steady", "adam", "momentum"]


def momentum(weight: Any, gradients: list[Any], opt_params: Any) -> Any:
    """What ``Steady`` says it does, as a loop."""
    rate, mass = opt_params
    v = onp.zeros_like(weight)
    for g in gradients:
        v = mass * v + g
        weight = weight - rate * v
    return weight


def adam(weight: Any, gradients: list[Any], opt_params: Any) -> Any:
    """Adam, as a loop."""
    rate, b1, b2, eps = opt_params
    m = v = onp.zeros_like(weight)
    for t, g in enumerate(gradients, 1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        weight = weight - rate * (m / (1 - b1**t)) / (onp.sqrt(v / (1 - b2**t)) + eps)
    return weight


class Steady(lk.Optimizer):
    """v <- mass * v + g;  w <- w - learning_rate * v. It keeps every rule; the others here break one each."""

    formula = staticmethod(momentum)
    skips_at_any_rate = True

    def __init__(self, learning_rate: Any = 0.01, mass: float = 0.5) -> None:
        super().__init__(learning_rate, mass=mass)

    def init(self, param: Any) -> Any:
        return (np.zeros_like(param),)

    def update(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> tuple[Any, Any]:
        v = opt_params.mass * slots[0] + grads
        return param - opt_params.learning_rate * v, (v,)

    def overwrite(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> tuple[Any, Any]:
        (v,) = slots
        v *= opt_params.mass
        v += grads
        param -= opt_params.learning_rate * v
        return param, (v,)

    def skip_rows(self, step: Any, last: Any, param_rows: Any, slot_rows: Any, opt_params: Any) -> tuple[Any, Any]:
        """The steps that rows missed add up to a geometric series."""
        mass = float(opt_params.mass)
        missed = self.missed_steps(step, last, opt_params, param_rows)
        moved = missed.sums(mass ** onp.arange(1, 101)[:, None])[:, 0]
        kept = missed.decay()
        param_rows = param_rows if kept is None else kept * param_rows
        return param_rows - slot_rows[0] * missed.column(moved), (slot_rows[0] * missed.power(mass),)


class Slope(lk.Optimizer):
    """w <- w - learning_rate * g. The plainest there is, to be changed in one place."""

    def direction(self, step: Any, g: Any, opt_params: Any) -> Any:
        return g

    def update(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> tuple[Any, Any]:
        return param - opt_params.learning_rate * self.direction(step, grads, opt_params), slots


class RateLast(Slope):
    """w <- w - learning_rate * g"""

    def __init__(self, clip: float = 1.0, learning_rate: float = 0.01) -> None:
        super().__init__(learning_rate)


class Mute(Slope):
    pass


class Vague(Slope):
    """Moves weights."""


class Anonymous(Slope):
    """w <- w - learning_rate * g"""

    def __repr__(self) -> str:
        return "an optimizer"


class NumbersInADict(Slope):
    """w <- w - learning_rate * g"""

    @property
    def opt_params(self) -> Any:
        return {"learning_rate": onp.float32(0.25)}

    def update(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> tuple[Any, Any]:
        return param - opt_params["learning_rate"] * grads, slots


class WideSlots(Steady):
    """v <- mass * v + g"""

    def init(self, param: Any) -> Any:
        return (onp.zeros(param.shape),)


class GrowingSlots(Steady):
    """v <- mass * v + g"""

    def update(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> tuple[Any, Any]:
        param, new = super().update(step, grads, param, slots, opt_params)
        return param, (*new, np.sum(grads))


class DiceSlots(Steady):
    """v <- mass * v + g"""

    def init(self, param: Any) -> Any:
        return (np.asarray(onp.random.default_rng().normal(size=param.shape).astype("float32")),)


class WideSteps(Slope):
    """w <- w - learning_rate * g"""

    def update(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> tuple[Any, Any]:
        return param - onp.full(param.shape, float(opt_params.learning_rate)) * grads, slots


class NarrowSlots(Steady):
    """v <- mass * v + g, in the weight's own 16 bits."""

    def tree_init(self, weights: Any) -> Any:
        return fastmath.nested_map(self.init, weights), self.opt_params


class TrainsWholeNumbers(Slope):
    """w <- w - learning_rate * g"""

    def tree_update(self, step: Any, grads: Any, weights: Any, slots: Any, opt_params: Any, stats: bool = False) -> Any:
        step_down = lambda w, g: self.update(step, g, w, (), opt_params)[0]
        return fastmath.nested_map(step_down, weights, grads), slots, {}


class DropsEmptyWeights(Slope):
    """w <- w - learning_rate * g"""

    def tree_update(self, step: Any, grads: Any, weights: Any, slots: Any, opt_params: Any, stats: bool = False) -> Any:
        new, slots, figures = super().tree_update(step, grads, weights, slots, opt_params, stats)
        return (tuple(part for part in new if len(fastmath.tree_leaves(part))), slots, figures)


class WrongFormula(lk.Optimizer):
    """w <- w - learning_rate * m' / (sqrt(v') + eps), as Adam, but m and v stay small at first."""

    formula = staticmethod(adam)

    def __init__(self, learning_rate: Any = 0.01, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-5) -> None:
        super().__init__(learning_rate, b1=b1, b2=b2, eps=eps)

    def init(self, param: Any) -> Any:
        return np.zeros_like(param), np.zeros_like(param)

    def update(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> tuple[Any, Any]:
        rate, b1, b2, eps = opt_params
        m, v = b1 * slots[0] + (1 - b1) * grads, b2 * slots[1] + (1 - b2) * np.square(grads)
        return param - rate * m / (np.sqrt(v) + eps), (m, v)


class WritesOverWeights(Slope):
    """w <- w - learning_rate * g"""

    def update(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> tuple[Any, Any]:
        param -= opt_params.learning_rate * grads
        return param, slots


class CountsItself(Slope):
    """w <- w - learning_rate * g / calls"""

    calls = 0

    def direction(self, step: Any, g: Any, opt_params: Any) -> Any:
        self.calls += 1
        return g / self.calls


class OneVelocityForAll(Slope):
    """v <- v / 2 + g, kept on the optimizer, by shape."""

    def update(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> tuple[Any, Any]:
        kept = self.__dict__.setdefault("kept", {})
        kept[param.shape] = 0.5 * kept.get(param.shape, 0.0) + grads
        return param - opt_params.learning_rate * kept[param.shape], slots


class NormalizesTheTree(Slope):
    """w <- w - learning_rate * g / |all gradients|"""

    def tree_update(self, step: Any, grads: Any, weights: Any, slots: Any, opt_params: Any, stats: bool = False) -> Any:
        norm = sum(np.sum(np.abs(g)) for g in fastmath.tree_leaves(grads)) + 1e-6
        grads = fastmath.nested_map(lambda g: g / norm, grads)
        return super().tree_update(step, grads, weights, slots, opt_params, stats)


class Restless(Slope):
    """w <- w - learning_rate * (g + 0.001)"""

    def direction(self, step: Any, g: Any, opt_params: Any) -> Any:
        return g + 0.001


class Overflows(Slope):
    """w <- w - learning_rate * g / sqrt(1 + g^4)"""

    def direction(self, step: Any, g: Any, opt_params: Any) -> Any:
        return np.square(np.square(g)) * g / (1 + np.square(np.square(g)))


class Underflows(Slope):
    """w <- w - learning_rate * g / |g|"""

    def direction(self, step: Any, g: Any, opt_params: Any) -> Any:
        return np.where(g == 0, 0.0, g / np.sqrt(np.where(g == 0, 1.0, np.square(g))))


class CountsFromOne(Slope):
    """w <- w - learning_rate * g / (1 - 0.9^step)"""

    def direction(self, step: Any, g: Any, opt_params: Any) -> Any:
        return g / np.asarray(1 - onp.float32(0.9) ** step)


class GrowsWithoutEnd(Slope):
    """w <- w - learning_rate * g * 1.001^step"""

    def direction(self, step: Any, g: Any, opt_params: Any) -> Any:
        return g * np.power(onp.float32(1.001), np.asarray(step))


class Climbs(Slope):
    """w <- w + learning_rate * g"""

    def direction(self, step: Any, g: Any, opt_params: Any) -> Any:
        return -g


class KnowsIntsAlone(Slope):
    """w <- w - learning_rate * g / (step + 1), if the step is an int."""

    def tree_update(self, step: Any, grads: Any, weights: Any, slots: Any, opt_params: Any, stats: bool = False) -> Any:
        known = step if isinstance(step, int) else 0
        grads = fastmath.nested_map(lambda g: g / (known + 1), grads)
        return super().tree_update(step, grads, weights, slots, opt_params, stats)


class NeverRests(Slope):
    """w <- w - max(learning_rate, 0.001) * g"""

    def update(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> tuple[Any, Any]:
        return param - np.maximum(opt_params.learning_rate, 0.001) * grads, slots


class DeafToSchedules(Slope):
    """w <- w - learning_rate(0) * g"""

    def learning_rate_at(self, step: Any) -> Any:
        return super().learning_rate_at(0)


class NeverClips(Slope):
    """w <- w - learning_rate * g"""

    def tree_update(self, step: Any, grads: Any, weights: Any, slots: Any, opt_params: Any, stats: bool = False) -> Any:
        self.clip_grad_norm = None
        return super().tree_update(step, grads, weights, slots, opt_params, stats)


class DecaysInTheGradient(Steady):
    """g <- g + weight_decay_rate * w, which is then divided by its size."""

    def _update_one(self, step: Any, grads: Any, weight: Any, slots: Any, opt_params: Any, *_: Any) -> Any:
        grads = grads + self.weight_decay_rate * weight
        return super()._update_one(step, grads, weight, slots, opt_params, None, False)

    def update(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> tuple[Any, Any]:
        return param - opt_params.learning_rate * np.sign(grads), slots


class SkipsWithoutMoving(Steady):
    """v <- mass * v + g; rows that were skipped do not move."""

    def skip_rows(self, step: Any, last: Any, param_rows: Any, slot_rows: Any, opt_params: Any) -> tuple[Any, Any]:
        return param_rows, super().skip_rows(step, last, param_rows, slot_rows, opt_params)[1]


class SkipsOneTooMany(Steady):
    """v <- mass * v + g"""

    def skip_rows(self, step: Any, last: Any, param_rows: Any, slot_rows: Any, opt_params: Any) -> tuple[Any, Any]:
        return super().skip_rows(step + 1, last, param_rows, slot_rows, opt_params)


class LooksAtRows(Steady):
    """v <- mass * v + g; rows that missed nothing are left alone, which cannot be known in a compiled step."""

    def skip_rows(self, step: Any, last: Any, param_rows: Any, slot_rows: Any, opt_params: Any) -> tuple[Any, Any]:
        if (last == step - 1).all():
            return param_rows, slot_rows
        return super().skip_rows(step, last, param_rows, slot_rows, opt_params)


class ForgetsDecay(Steady):
    """v <- mass * v + g; what weight decay did to rows that were skipped is left out."""

    def skip_rows(self, step: Any, last: Any, param_rows: Any, slot_rows: Any, opt_params: Any) -> tuple[Any, Any]:
        mass = float(opt_params.mass)
        missed = self.missed_steps(step, last, opt_params, param_rows)
        moved = missed.sums(mass ** onp.arange(1, 101)[:, None])[:, 0]
        return param_rows - slot_rows[0] * missed.column(moved), (slot_rows[0] * missed.power(mass),)


class KnowsOneRate(Steady):
    """v <- mass * v + g; rows that were skipped move at the latest learning rate."""

    def skip_rows(self, step: Any, last: Any, param_rows: Any, slot_rows: Any, opt_params: Any) -> tuple[Any, Any]:
        rate = opt_params.learning_rate
        rate = getattr(rate, "values", rate)
        latest = rate[step - 1] if getattr(rate, "ndim", 0) else rate
        given = opt_params._replace(learning_rate=latest)
        return super().skip_rows(step, last, param_rows, slot_rows, given)


class OverwritesFurther(Steady):
    """v <- mass * v + g; where it owns the arrays, a step is longer by a hundredth."""

    def overwrite(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> tuple[Any, Any]:
        longer = opt_params._replace(learning_rate=1.01 * opt_params.learning_rate)
        return super().overwrite(step, grads, param, slots, longer)


class OverwritesGradients(Steady):
    """v <- mass * v + g; the gradient is written into as well."""

    def overwrite(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> tuple[Any, Any]:
        param, slots = super().overwrite(step, grads, param, slots, opt_params)
        grads *= 0
        return param, slots


class OneCoordinate(Slope):
    """w[0] <- w[0] - learning_rate * g[0]"""

    def direction(self, step: Any, g: Any, opt_params: Any) -> Any:
        return g * np.asarray(onp.arange(g.size).reshape(g.shape) == 0).astype(onp.float32)


class Tires(Slope):
    """w <- w - learning_rate * g / (step + 1)^2"""

    def direction(self, step: Any, g: Any, opt_params: Any) -> Any:
        return g / np.square(np.asarray(step).astype(onp.float32) + 1)


class LooksAtValues(Slope):
    """w <- w - learning_rate * g / max(|g|), if that is more than 1"""

    def direction(self, step: Any, g: Any, opt_params: Any) -> Any:
        largest = np.max(np.abs(g))
        return g / largest if largest > 1 else g


class ListOfSlots(Steady):
    """v <- mass * v + g"""

    def update(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> tuple[Any, Any]:
        param, new = super().update(step, grads, param, slots, opt_params)
        return param, list(new)


class KnowsItsBackend(Slope):
    """w <- w - learning_rate * g, a little less of it on JAX"""

    def direction(self, step: Any, g: Any, opt_params: Any) -> Any:
        return g * (0.999 if fastmath.backend_name() == "jax" else 1.0)


class SharesAScratchpad(Slope):
    """w <- w - learning_rate * g"""

    def direction(self, step: Any, g: Any, opt_params: Any) -> Any:
        self.scratch = g * 2
        time.sleep(0.002)
        return self.scratch / 2


class WithoutSlots(Slope):
    """w <- w - learning_rate * g"""

    def update(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> Any:
        return param - opt_params.learning_rate * grads


MUTANTS: list[tuple[type[lk.Optimizer], str]] = [
    (WithoutSlots, "makes_a_step"),
    (RateLast, "learning_rate_comes_first"),
    (Mute, "docstring_has_a_formula"),
    (Vague, "docstring_has_a_formula"),
    (Anonymous, "repr_names_it_and_its_learning_rate"),
    (NumbersInADict, "numbers_are_a_record"),
    (WideSlots, "slots_are_arrays_of_32_bits"),
    (GrowingSlots, "slots_keep_their_form"),
    (DiceSlots, "slots_start_from_the_weight_alone"),
    (WideSteps, "weights_keep_their_form"),
    (NarrowSlots, "bfloat16_weights_train"),
    (TrainsWholeNumbers, "whole_numbers_among_weights_stay"),
    (DropsEmptyWeights, "empty_weights_stay"),
    (WrongFormula, "follows_its_formula"),
    (WritesOverWeights, "arguments_are_not_changed"),
    (CountsItself, "same_arguments_same_step"),
    (OneVelocityForAll, "two_models_at_once"),
    (NormalizesTheTree, "a_tree_is_its_leaves"),
    (Restless, "zero_gradient_moves_nothing"),
    (Overflows, "huge_gradients_stay_finite"),
    (Underflows, "tiny_gradients_stay_finite"),
    (CountsFromOne, "first_and_late_steps_are_finite"),
    (GrowsWithoutEnd, "first_and_late_steps_are_finite"),
    (Climbs, "first_step_goes_down"),
    (KnowsIntsAlone, "steps_of_all_kinds"),
    (NeverRests, "learning_rate_0_changes_nothing"),
    (DeafToSchedules, "learning_rate_may_be_a_schedule"),
    (NeverClips, "clipping_scales_gradients"),
    (DecaysInTheGradient, "weight_decay_is_apart_from_the_gradient"),
    (SkipsWithoutMoving, "skip_rows_equals_real_steps"),
    (SkipsOneTooMany, "skip_rows_equals_real_steps"),
    (LooksAtRows, "skip_rows_equals_real_steps"),
    (ForgetsDecay, "skip_rows_knows_rates_and_decay"),
    (KnowsOneRate, "skip_rows_knows_rates_and_decay"),
    (OverwritesFurther, "overwrite_is_update"),
    (OverwritesGradients, "overwrite_is_update"),
    (OneCoordinate, "finds_the_bottom_of_a_parabola"),
    (Tires, "gets_along_in_rosenbrocks_valley"),
    (LooksAtValues, "compiled_equals_eager"),
    (ListOfSlots, "compiles_once"),
    (KnowsItsBackend, "backends_agree"),
    (OneVelocityForAll, "resumed_from_saved_slots"),
    (SharesAScratchpad, "threads_do_not_disturb_each_other"),
]
"""Each with the check that is meant for it; others may fail as well."""
