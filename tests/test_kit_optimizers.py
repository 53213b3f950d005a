"""The kit for optimizers: every bundled one passes, and every planted fault is caught by the check meant for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from mutants.optimizers import MUTANTS, Steady
from optimizer_table import ROWS, Row

import layerkit as lk
from layerkit import optimizers
from layerkit.fastmath import numpy as np
from layerkit.plugins import registry
from layerkit.testing.optimizer_case import OPTIMIZERS
from layerkit.testing.optimizers import check_optimizer

pytest.importorskip("jax", reason="optimizers are checked on every backend")

NO_OVERWRITE = {"overwrite_is_update": "it has no overwrite: a loop takes its update"}
NO_SKIP_ROWS = dict.fromkeys(
    ("skip_rows_equals_real_steps", "skip_rows_knows_rates_and_decay"),
    "it has no skip_rows: all rows are updated at every step",
)


def formula_of(row: Row) -> Callable[[Any, list[Any], Any], Any]:
    def formula(weight: Any, gradients: list[Any], opt_params: Any) -> Any:
        reference = row.reference(weight, opt_params)
        for gradient in gradients:
            reference.step(gradient)
        return reference.w

    return formula


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_bundled_optimizers_pass(row: Row) -> None:
    made = getattr(optimizers, row.name)
    report = check_optimizer(made, formula_of(row), arguments=dict(row.arguments))
    assert report.ok, str(report)
    skipped = {result.name: result.message for result in report.skipped}
    lacking = {} if hasattr(made, "skip_rows") else NO_SKIP_ROWS
    assert skipped == lacking | ({} if made.overwrite is not lk.Optimizer.overwrite else NO_OVERWRITE)


def test_nothing_is_skipped_for_one_that_has_everything() -> None:
    report = check_optimizer(Steady)
    assert report.ok, str(report)
    assert len(report.results) == report.ran == len(OPTIMIZERS.checks) >= 30


@pytest.mark.parametrize(("mutant", "name"), MUTANTS, ids=lambda value: getattr(value, "__name__", value))
def test_a_planted_fault_is_caught(mutant: type[lk.Optimizer], name: str) -> None:
    (result,) = check_optimizer(mutant, only=[name]).results
    assert (result.name, result.status) == (name, "failed"), result.message


def test_every_check_catches_something() -> None:
    assert {name for _, name in MUTANTS} == set(OPTIMIZERS.names())


def test_an_optimizer_that_was_made_is_checked_as_it_is() -> None:
    def formula(weight: Any, gradients: list[Any], opt_params: Any) -> Any:
        assert opt_params.mass == pytest.approx(0.25)
        v = 0.0
        for gradient in gradients:
            v = 0.25 * v + gradient
            weight = weight - opt_params.learning_rate * v
        return weight

    report = check_optimizer(Steady(0.3, mass=0.25), formula, only=["follows_its_formula"])
    assert report.ok, str(report)
    assert report.subject == "Steady"


def make_nothing(learning_rate: float) -> None:
    """w <- w"""


def make_trouble(learning_rate: float) -> None:
    """w <- w"""
    raise ValueError("no luck today")


class Raises(lk.Optimizer):
    """w <- w - g"""

    def update(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> tuple[Any, Any]:
        return grads["left"], slots


@pytest.mark.parametrize(
    ("subject", "said"),
    [
        (make_nothing, "make_nothing(0.05) gives a NoneType, no lk.Optimizer"),
        (make_trouble, "make_trouble(0.05) cannot be made: ValueError: no luck today"),
        (lk.Optimizer, "Optimizer has no update method"),
        (Raises, "Raises raises "),
    ],
)
def test_what_is_no_optimizer_is_told_so(subject: Any, said: str) -> None:
    report = check_optimizer(subject)
    assert not report.ok
    assert "error" not in {result.status for result in report.results}, str(report)
    first, *others = report.results
    assert said in first.message
    assert {result.message for result in others} == {"makes_a_step failed"}


class SkipsNothing(Steady):
    __doc__ = Steady.__doc__

    def skip_rows(self, step: Any, last: Any, param_rows: Any, slot_rows: Any, opt_params: Any) -> Any:
        return None


class SkipsByOtherArguments(Steady):
    __doc__ = Steady.__doc__

    def skip_rows(self, step: Any, param_rows: Any, slot_rows: Any) -> Any:  # type: ignore[override]
        return param_rows, slot_rows


@pytest.mark.parametrize(
    ("optimizer", "said"),
    [
        (SkipsNothing, "on jax: skip_rows returns two things, a weight and its slots"),
        (SkipsByOtherArguments, "on jax: skip_rows raises TypeError: "),
    ],
)
def test_skip_rows_of_another_form_is_its_author_s_fault(optimizer: Any, said: str) -> None:
    (result,) = check_optimizer(optimizer, only=["skip_rows_equals_real_steps"]).results
    assert result.status == "failed"
    assert result.message.startswith(said)


def test_messages_have_numbers() -> None:
    (result,) = check_optimizer(optimizers.SGD, lambda w, gs, p: w - sum(gs), only=["follows_its_formula"]).results
    assert result.status == "failed"
    assert result.message.startswith("on jax: a weight () is ")
    assert "off the formula after 20 steps, more than" in result.message


def test_where_one_backend_alone_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = registry.missing_modules
    monkeypatch.setattr(
        registry,
        "missing_modules",
        lambda made: ("jax",) if getattr(made, "__name__", "") == "jax" else missing(made),
    )
    report = check_optimizer(Steady)
    assert report.ok, str(report)
    assert {result.name: result.message for result in report.skipped} == {
        "compiles_once": "nothing is compiled here: numpy",
        "backends_agree": "one backend alone is installed, numpy",
    }


class OnNumpy(Steady):
    __doc__ = Steady.__doc__
    backends = ("numpy",)


class OnNothingHere(Steady):
    backends = ("abacus", "tally")


def test_an_optimizer_is_tried_where_it_runs() -> None:
    report = check_optimizer(OnNumpy)
    assert report.ok, str(report)
    assert {result.name: result.message for result in report.skipped} == {
        "compiles_once": "nothing is compiled here: numpy",
        "backends_agree": "it runs on numpy alone",
    }
    nowhere = check_optimizer(OnNothingHere, only=["first_step_goes_down"])
    assert nowhere.results[0].message == "OnNothingHere runs on abacus and tally alone, not installed here"
    assert not nowhere.ok


class Counting(lk.Optimizer):
    """w <- w - learning_rate * g;  n <- n + 1."""

    def init(self, param: Any) -> Any:
        return np.zeros((), "int32")

    def update(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> tuple[Any, Any]:
        return param - opt_params.learning_rate * grads, slots + 1


def test_a_slot_may_be_a_count() -> None:
    only = [
        "slots_are_arrays_of_32_bits",
        "slots_keep_their_form",
        "bfloat16_weights_train",
        "resumed_from_saved_slots",
    ]
    report = check_optimizer(Counting, only=only)
    assert report.ok, str(report)


class ByQuotients(lk.Optimizer):
    """w <- w - learning_rate * m / (1 - b^t): JAX divides by a single number otherwise than NumPy, by a bit."""

    def __init__(self, learning_rate: float = 0.01, b: float = 0.9) -> None:
        super().__init__(learning_rate, b=b)

    def init(self, param: Any) -> Any:
        return np.zeros_like(param)

    def update(self, step: Any, grads: Any, param: Any, slots: Any, opt_params: Any) -> tuple[Any, Any]:
        learning_rate, b = opt_params
        m = b * slots + (1 - b) * grads
        return param - learning_rate * (m / (1 - b ** (step + 1))) / (np.sqrt(m * m) + 1), m


def test_what_is_read_again_is_computed_with_where_it_was() -> None:
    report = check_optimizer(ByQuotients, only=["resumed_from_saved_slots"])
    assert report.ok, str(report)
